#!/bin/sh
# test_runs.sh PATH-OF-NFTOOL: several trainings: from several seeds, and compared by their logs.
# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

cat >recipe.json <<JSON
{"model": {"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 32}, {"type": "linear", "in": 32, "out": 32}, {"type": "linear", "in": 32, "out": 1}]},
           "modules": [{"type": "hnp_pool"}, {"type": "linear", "out_features": 10}]},
 "train": "$examples/mnist-sirens.safetensors", "validation": "$examples/mnist-sirens.safetensors", "loss": "cross_entropy",
 "optimizer": {"type": "adam", "lr": 0.01}, "batch_size": 8, "steps": 6, "validate_every": 2}
JSON

# Each seed has its files, as a single training has, and a row in a table.
run 0 train recipe.json -o many.safetensors --seeds 3 --seed 4 --plot many.svg
check "a row for each, their mean and deviation" test "$(sed -n '/^run /,$p' out | wc -l)" -eq 6
prints "validation loss  accuracy"
cp out table
for seed in 4 5 6; do
    run 0 train recipe.json -o single.safetensors --seed $seed
    check "seed $seed is the single training" cmp single.safetensors many-$seed.safetensors
    check "with a log" test "$(wc -l <many-$seed.jsonl)" -eq 9
done
check "seeds differ" sh -c '! cmp -s many-4.safetensors many-5.safetensors'
check "one picture has all" test -s many.svg
check "no checkpoint is left" sh -c '! ls ./*.checkpoint 2>/dev/null'
run 0 train recipe.json -o many.safetensors --seeds 2 --json
prints '{"run":"many-0.safetensors","steps":6,"best_step":'
prints '{"runs":2,"validation_loss":{"mean":'
python "the last line has the mean and the standard deviation" '
rows = [json.loads(line) for line in open("out")]
runs, spread = [r for r in rows if "run" in r], rows[-1]
losses = [r["validation_loss"] for r in runs]
mean = sum(losses) / len(losses)
assert spread["runs"] == len(runs) == 2
assert abs(spread["validation_loss"]["mean"] - mean) < 1e-6
assert abs(spread["validation_loss"]["deviation"] - math.sqrt(sum((x - mean) ** 2 for x in losses))) < 1e-6
'

# The same command continues: a complete run is not trained again.
run 0 train recipe.json -o part.safetensors --seeds 3 --seed 4 --keep-checkpoint
rm part-6.safetensors part-6.jsonl part-6.safetensors.checkpoint
sed 's/many/part/' table | sed -n '/^run /,$p' >expected
run 0 train recipe.json -o part.safetensors --seeds 3 --seed 4 --quiet
sed -n '/^run /,$p' out >found
check "an interrupted command ends with the same table" cmp expected found
check "and the same models" cmp part-6.safetensors many-6.safetensors
check "the checkpoints are gone" sh -c '! ls part*.checkpoint 2>/dev/null'
run 2 train recipe.json -o many.safetensors --seeds 0
run 1 train recipe.json -o absent/many.safetensors --seeds 2
says "absent/many.safetensors: cannot write to folder 'absent'"

# Logs are compared.
run 0 train recipe.json -o alone.safetensors --log alone.jsonl --set validation=null --steps 60
run 0 compare many-4.jsonl many-5.jsonl --plot compared.png
check "a row for each log" test "$(wc -l <out)" -eq 3
check "a picture" test "$(head -c 8 compared.png | od -An -tx1 | tr -d ' ')" = 89504e470d0a1a0a
sed -n '/^run /,$p' table | grep '^many-4' | tr -s ' ' | cut -d ' ' -f 2- >expected
grep '^many-4' out | tr -s ' ' | cut -d ' ' -f 2- >found
check "a log says the same as its training" cmp expected found
run 0 compare alone.jsonl --json
prints '{"run":"alone.jsonl","steps":60,"last_loss":'
head -c 100 many-4.jsonl >begun.jsonl
run 1 compare begun.jsonl
says "begun.jsonl: "
head -c 400 many-4.jsonl >begun.jsonl
run 0 compare begun.jsonl many-4.jsonl
run 1 compare recipe.json
says "recipe.json: is not the log of a training"
run 1 compare absent.jsonl
says "absent.jsonl: cannot open"
: >empty.jsonl
run 1 compare empty.jsonl
says "empty.jsonl: has no line of a training's log"
run 1 compare many-4.jsonl --plot many-4.jsonl
says "is also an input; give --plot another file"
run 2 compare

finish
