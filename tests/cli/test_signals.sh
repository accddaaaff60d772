#!/bin/sh
# shellcheck disable=SC2016,SC2089,SC2090,SC3045
# Tests of nftool when signals come, and of trainings at the same time: test_signals.sh PATH-OF-NFTOOL. Prints a line for each failed
# check, then "N passed, N failed". INTERPOSED names the library of interposed.c, with which writing takes long.
set -u

# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

cp "$examples/fashion-cnns.safetensors" cnns.safetensors
cat >recipe.json <<'END'
{"model": {"format_version": 1, "space": {"layers": [{"type": "conv2d", "in": 1, "out": 16, "kernel": [3, 3]},
 {"type": "conv2d", "in": 16, "out": 16, "kernel": [3, 3]}, {"type": "conv2d", "in": 16, "out": 16, "kernel": [3, 3]},
 {"type": "linear", "in": 16, "out": 10}]}, "modules": [{"type": "stat_featurizer"}, {"type": "linear", "out_features": 1}, {"type": "sigmoid"}]},
 "train": "cnns.safetensors", "loss": "bce", "optimizer": {"type": "adamw"}, "batch_size": 16, "steps": 1000000}
END

# train NAME: a long training in the background, whose process is $program; returns once it has taken steps.
train() {
    rm -f "$1.jsonl" "$1.safetensors.checkpoint"
    "$nftool" train recipe.json -o "$1.safetensors" --log "$1.jsonl" --threads 1 >out 2>err &
    program=$!
    tries=0
    while ! grep -q '"step":5,' "$1.jsonl" 2>/dev/null && [ $tries -lt 500 ]; do
        sleep 0.02
        tries=$((tries + 1))
    done
}

# Each of these saves a checkpoint and stops; SIGINT does as SIGTERM, but a shell's jobs in the background ignore it.
for name in HUP XCPU USR1 USR2 TERM; do
    train stopped
    kill -$name $program
    wait $program
    check "SIG$name ends a training with status 1" test $? -eq 1
    check "and it says so" grep -q '^nftool: stopped after [0-9]* of [0-9]* steps; the same command resumes from stopped.safetensors.checkpoint$' err
    check "and leaves its checkpoint" test -s stopped.safetensors.checkpoint
done
train stopped
kill -XCPU $program
kill -XCPU $program 2>/dev/null
kill -HUP $program 2>/dev/null
wait $program
check "signals that come again change nothing" test $? -eq 1
train stopped
kill -TERM $program
kill -TERM $program 2>/dev/null
wait $program
check "a signal to a process and then to its group is one" test $? -eq 1
says "the same command resumes from stopped.safetensors.checkpoint"

# One training at a time writes to an output, also through a link.
train first
ln -s first.safetensors link.safetensors
for output in first.safetensors ./first.safetensors "$PWD/first.safetensors" link.safetensors; do
    run 1 train recipe.json -o "$output" --steps 1
    says "$output: another training writes to it now; wait for its end, or give another --output"
done
run 0 train recipe.json -o second.safetensors --steps 1
kill -KILL $program
wait $program 2>/dev/null
run 0 train recipe.json -o first.safetensors --steps 1
check "a killed training leaves no lock" test -s first.safetensors
check "and one that ends no file of it" test ! -e .first.safetensors.lock
check "nor one that fails" test ! -e .stopped.safetensors.lock

# A training resumes from a kept checkpoint with other steps, another lr and another validate_every, and nothing else.
run 0 train recipe.json -o kept.safetensors --log kept.jsonl --steps 6 --keep-checkpoint
check "--keep-checkpoint keeps it" test -s kept.safetensors.checkpoint
cp kept.safetensors.checkpoint six.checkpoint
run 1 train recipe.json -o kept.safetensors --steps 9
says "'recipe.steps' was 6, now it is 9"
says "--extend takes one of other steps, lr, validate_every or patience"
for options in "--batch-size 8" "--seed 1" "--train other.safetensors"; do
    cp cnns.safetensors other.safetensors
    [ "$options" = "--seed 1" ] || run 0 permute cnns.safetensors -o other.safetensors
    # shellcheck disable=SC2086
    run 1 train recipe.json -o kept.safetensors --steps 9 --extend $options
    says "kept.safetensors.checkpoint: it is the checkpoint of a"
done
run 1 train recipe.json -o kept.safetensors --steps 5 --extend
says "the training has done 6 steps, more than the 5 of 'recipe.steps'"
run 0 train recipe.json -o kept.safetensors --log kept.jsonl --steps 9 --lr 1e-4 --validate-every 2 --extend --quiet
check "the steps continue" test "$(grep -c '"step":[0-9]*,"loss"' kept.jsonl)" -eq 9
check "with the new rate" sh -c 'tail -n 1 kept.jsonl | grep -q "\"lr\":0.0001" && sed -n 6p kept.jsonl | grep -q "\"lr\":0.001,"'
check "a checkpoint that is not to be kept is removed" test ! -e kept.safetensors.checkpoint
run 0 train recipe.json -o whole.safetensors --steps 9
cp six.checkpoint extended.safetensors.checkpoint
run 0 train recipe.json -o extended.safetensors --steps 9 --extend --quiet
run 1 train recipe.json -o extended.safetensors --steps 12 --extend
says "extended.safetensors.checkpoint: there is no checkpoint to extend; --keep-checkpoint keeps the last one"
check "only more steps are the steps of a training that had them from the beginning" cmp extended.safetensors whole.safetensors

# --set changes any entry of a recipe.
run 0 train recipe.json -o set.safetensors --set steps=9 --set optimizer.lr=1e-3 --set 'schedule={"type":"constant"}'
check "--set is as the recipe's own entry" cmp set.safetensors whole.safetensors
run 0 train recipe.json -o set.safetensors --steps 9 --set model.modules.1.out_features=2 --set 'model.modules.1={"type":"linear","out_features":1}'
check "the last of a key counts, in lists too" cmp set.safetensors whole.safetensors
for setting in steps =9 "optimizer.lr.x=1" "model.modules.9.p=1" "model.modules.9=1" "nothing.here=1"; do
    run 1 train recipe.json -o set.safetensors --steps 9 --set "$setting"
    says "--set '$setting': "
done
run 1 train recipe.json -o set.safetensors --set optimiser.lr=1
says "the recipe has no 'optimiser' that holds entries; did you mean 'optimizer'?"
run 1 train recipe.json -o set.safetensors --set stepz=9
says "stepz"
run 1 train recipe.json -o set.safetensors --set train=absent.safetensors
says "absent.safetensors"

# Epochs are steps: 50 networks in batches of 16, three times, are ten steps.
sed 's/"steps": 1000000/"epochs": 3/' recipe.json >epochs.json
run 0 train epochs.json -o epochs.safetensors --log epochs.jsonl
check "epochs are rounded up to whole steps" test "$(grep -c '"step"' epochs.jsonl)" -eq 10
run 0 train epochs.json -o epochs.safetensors --set epochs=0.1
run 0 train epochs.json -o epochs.safetensors --log epochs.jsonl --steps 4
check "--steps stands in their place" test "$(grep -c '"step"' epochs.jsonl)" -eq 4
run 1 train epochs.json -o epochs.safetensors --set steps=4
says "epochs.json: has both 'epochs' and 'steps', expected one"
for epochs in 0 -1 '"many"' null; do
    run 1 train epochs.json -o epochs.safetensors --set "epochs=$epochs"
    says "epochs.json: 'epochs' is not a number above 0"
done
run 1 train epochs.json -o epochs.safetensors --set epochs=1e300
says "steps, expected at most 2147483647"

# A limit on the size of files is told.
(
    ulimit -f 1
    exec "$nftool" permute cnns.safetensors -o large.safetensors
) >out 2>err
check "a file beyond the limit ends with status 1" test $? -eq 1
says "large.safetensors: cannot write: File too large"
check "and leaves nothing" test ! -e large.safetensors -a ! -e .large.safetensors.nft-0.tmp

# A long run in a file adds a line a minute, here after each fifth of a second, and a terminal that cannot go back lines too.
NFTOOL_PROGRESS_SECONDS=0.2
train lines
sleep 1
kill -TERM $program
wait $program
check "a file gets lines" grep -q '^train: [0-9]* of 1000000 steps, loss [0-9.e-]*, .*s left$' err
check "without carriage returns" sh -c '! grep -q "$(printf "\\r")" err'
check "a few" test "$(wc -l <err)" -lt 60
rm -f lines.safetensors.checkpoint
if command -v script >/dev/null 2>&1; then
    TERM=dumb script -qec "'$nftool' train recipe.json -o dumb.safetensors --steps 3000 --threads 1" terminal >/dev/null 2>&1 </dev/null
    check "a dumb terminal gets lines" sh -c 'grep "^train: " terminal | grep -q left'
    check "and none is written over" sh -c '! sed "s/$(printf "\\r")\$//" terminal | grep -q "$(printf "\\r")"'
fi
NFTOOL_PROGRESS_SECONDS=1000000

# Within any limit on its memory the program ends: it has no threads of OpenBLAS that would wait for theirs.
for limit in 200000 150000 120000 100000; do
    [ -z "${NFT_TEST_SANITIZER:-}" ] || break # sanitizers take all addresses there are
    (
        failed=0
        unset OPENBLAS_NUM_THREADS
        # shellcheck disable=SC3045
        ulimit -v $limit
        LIMIT=60 run 0 info "$examples/accuracy-predictor.safetensors"
        OPENBLAS_NUM_THREADS=2
        export OPENBLAS_NUM_THREADS
        LIMIT=60 run 0 info "$examples/accuracy-predictor.safetensors"
        [ $failed -eq 0 ]
    ) || complain "with ulimit -v $limit"
done

# Told to end while a file is written, the program removes its own; an older file stays.
if [ -n "${INTERPOSED:-}" ]; then
    for name in TERM HUP; do
        for command in "permute cnns.safetensors -o partial.safetensors" "render $examples/digits-idx3-ubyte.gz --count 2 -o partial.png"; do
            printf old >partial.safetensors
            printf old >partial.png
            (
                # shellcheck disable=SC2086
                exec env LD_PRELOAD="$INTERPOSED" SLOW=1 "$nftool" $command
            ) >out 2>err &
            program=$!
            tries=0
            while ! ls .*.tmp >/dev/null 2>&1 && [ $tries -lt 500 ]; do
                sleep 0.02
                tries=$((tries + 1))
            done
            check "it writes" test $tries -lt 500
            kill -$name $program
            wait $program
            check "$command: SIG$name ends it" test $? -gt 128
            check "and removes its temporary file" sh -c '! ls .*.tmp'
            check "the old files stay" test "$(cat partial.safetensors partial.png)" = oldold
        done
    done
fi

finish
