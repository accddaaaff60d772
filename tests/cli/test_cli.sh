#!/bin/sh
# shellcheck disable=SC2015,SC2016
# Tests of the nftool program: test_cli.sh PATH-OF-NFTOOL. Prints a line for each failed check, then "N passed, N failed". Where
# INTERPOSED names the library of interposed.c, it is also seen when the program forks.
set -u

# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

# Two networks of one layer, 2 → 1, weights and biases 1 and label tensors made of the given type and bytes.
one='\000\000\200\077'
data_set() {
    safetensors "$1" '{"a.weight":{"dtype":"F32","shape":[2,1,2],"data_offsets":[0,16]},"a.bias":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]},"label":{"dtype":"'"$2"'","shape":[2],"data_offsets":[24,'$((24 + $3))']}}' "$4$one$one$one$one$one$5"
}

zeros8='\000\000\000\000\000\000\000\000'
data_set floats.safetensors F32 8 "$one" '\000\000\000\000\000\000\000\077'
data_set classes.safetensors I64 16 "$one" "$zeros8"'\001\000\000\000\000\000\000\000'
data_set range.safetensors I64 16 "$one" "$zeros8"'\007\000\000\000\000\000\000\000'
data_set large.safetensors F32 8 "$one" "$one"'\000\000\000\100'
data_set nan.safetensors F32 8 '\000\000\300\177' '\000\000\000\000\000\000\000\077'
safetensors misshaped.safetensors '{"a.weight":{"dtype":"F32","shape":[2,1,2],"data_offsets":[0,16]},"a.bias":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]},"label":{"dtype":"F32","shape":[1],"data_offsets":[24,28]}}' "$one$one$one$one$one$one$one"
safetensors plain.safetensors '{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}' "$one$one"
printf '{"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 1}]}, "modules": [{"type": "np_pool"}, {"type": "linear", "out_features": 1}, {"type": "sigmoid"}]}' >probability.json
printf '{"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 1}]}, "modules": [{"type": "np_pool"}, {"type": "linear", "out_features": 3}]}' >logits.json
printf '{"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 1}]}, "modules": [{"type": "pointwise", "out_channels": 3}]}' >features.json
printf '{"format_version": 1, "input": {"type": "tokens", "tokens": 4, "channels": 8}, "modules": [{"type": "layer_norm"}, {"type": "mean_tokens"}, {"type": "linear", "out_features": 2}]}' >tokens.json
safetensors empty.safetensors '{"a.weight":{"dtype":"F32","shape":[0,1,2],"data_offsets":[0,0]},"a.bias":{"dtype":"F32","shape":[0,1],"data_offsets":[0,0]}}' ''
head -c 60 floats.safetensors >short.safetensors
mkdir folder

# Usage.
run 0 --help
prints "forward"
run 0 --version
prints "nftool 0."
"$nftool" >out 2>usage
check "no command is wrong usage" test $? -eq 2
check "no command prints the usage" grep -q '^usage' usage
for command in info forward evaluate permute bench; do
    run 0 $command --help
    prints "usage: nftool $command"
    prints "--quiet"
    run 0 $command --no-such -h
    run 2 $command
    run 2 $command --no-such x
    says "unknown option '--no-such'"
done
run 2 foward
says "did you mean 'forward'"
run 2 --vrsion
says "did you mean '--version'"
run 2 forward --thread 2 a b
says "did you mean '--threads'"
run 2 permute a
says "--output is missing"
run 2 forward a b c -o d
says "'c' is one file too many"
run 2 forward a b -o
says "--output needs a value"
run 2 forward a b -o ''
run 2 forward a b -o c --threads 0
says "expected a whole number from 1"
run 2 forward a b -o c --threads two
run 2 forward a b -o c --seed -1
run 2 forward a b -o c --seed 18446744073709551616
run 2 forward a b -o c --json=yes
says "takes no value"
run 2 evaluate a b --loss l1
says "mse, bce, cross_entropy"

# Files that are missing or of the wrong kind.
run 1 forward logits.json floats.safetensors -o floats.safetensors
says "is also an input"
run 1 info absent.safetensors
says "absent.safetensors"
run 1 info folder
run 2 info ''
says "is empty"
run 2 forward logits.json '' -o x.safetensors
run 1 info short.safetensors
says "short.safetensors"
run 1 info absent.json
run 1 forward absent.json floats.safetensors -o x.safetensors
run 1 forward plain.safetensors floats.safetensors -o x.safetensors
says "nft.config"
printf '{"model": %s, "loss": "mse"}' "$(cat logits.json)" >recipe.json
run 0 info logits.json --json
mv out expected
run 0 info recipe.json --json
check "the model of a recipe is that of its configuration" cmp out expected
echo '{"model": {"modules": []}, "loss": "mse"}' >recipe.json
run 1 info recipe.json
says "recipe.json: model: "
mkdir named
echo '{"model": "../logits.json", "loss": "mse"}' >named/recipe.json
run 0 info named/recipe.json --json
check "or of the file that it names" cmp out expected
echo '{"model": "recipe.json", "loss": "mse"}' >named/recipe.json
run 1 info named/recipe.json
says "named/recipe.json: configuration: 'format_version' is missing"
for value in 3 null true '[]'; do
    echo "{\"model\": $value, \"loss\": \"mse\"}" >recipe.json
    run 1 info recipe.json
    says "recipe.json: 'model' is neither a configuration nor the path of a file"
done
echo '{"model": "absent.safetensors", "loss": "mse"}' >recipe.json
run 1 bench recipe.json
says "absent.safetensors"
run 1 forward probability.json plain.safetensors -o x.safetensors
run 1 forward probability.json logits.json -o x.safetensors
says "this is a configuration, or JSON without 'parts', expected weights"
run 1 forward probability.json floats.safetensors -o absent/x.safetensors
says "absent"
run 1 forward probability.json floats.safetensors -o folder
says "folder"
run 1 forward probability.json floats.safetensors -o x.safetensors --decode
says "no decoder"
run 1 forward tokens.json floats.safetensors -o x.safetensors
says "output"
run 1 forward probability.json empty.safetensors -o x.safetensors
says "holds no networks"
run 0 info empty.safetensors
prints "networks   0 of 3 parameters in 1 layer"
run 1 permute plain.safetensors -o x.safetensors
run 1 permute floats.safetensors -o x.safetensors --layers b
check "no file is left by failures" test ! -e x.safetensors

# permute keeps tensors that belong to no layer, under their names, also those of one network.
safetensors others.safetensors '{"a.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"label":{"dtype":"I64","shape":[],"data_offsets":[8,16]},"note":{"dtype":"F32","shape":[3],"data_offsets":[16,28]}}' "$one$one"'\003\000\000\000\000\000\000\000'"$one$one$one"
run 0 permute others.safetensors -o o.safetensors
run 0 info o.safetensors --json
prints '{"name":"label","type":"I64","shape":[]}'
prints '{"name":"note","type":"F32","shape":[3]}'
tail -c 20 others.safetensors >expected
tail -c 20 o.safetensors >found
check "values of other tensors are kept" cmp expected found

# A norm between the layers, which --layers leaves out.
zeros='\000\000\000\000'
safetensors norm.safetensors '{"conv.weight": {"dtype": "F32", "shape": [1, 1, 1, 1], "data_offsets": [0, 4]}, "conv.bias": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}, "norm.weight": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}' "$zeros$zeros$zeros"
run 1 permute norm.safetensors -o x.safetensors
says "with biases of 1 axis"
says "name the layers to read in --layers"
"$nftool" info norm.safetensors >out 2>err
check "info of weights that are none fails" test $? -eq 1
prints "norm.weight"
says "name the layers to read in --layers"
run 0 permute norm.safetensors -o without.safetensors --layers conv --quiet

# info
run 0 info floats.safetensors
prints "data set"
prints "label"
run 0 info floats.safetensors --json
keys kind space parameters tensors networks
run 0 info floats.safetensors --layers a
run 1 info probability.json --layers a
says "probability.json: is a configuration; --layers names the layers of weights"
mkfifo pipe
echo nothing >pipe &
LIMIT=60 run 1 info pipe
says "pipe: "
run 2 permute floats.safetensors -o x.safetensors --seed 9223372036854775808
says "9223372036854775807"
"$nftool" info floats.safetensors --threads "1
2" >out 2>err
check "a message is one line whatever an argument holds" test "$(wc -l <err)" -eq 1
run 0 info plain.safetensors
prints "tensors"
run 0 info plain.safetensors --json
keys kind space parameters tensors
run 0 info nan.safetensors
prints "non-finite 1 value in 1 network"
run 0 info probability.json
prints "np_pool"
run 0 info probability.json --json
keys kind space parameters tensors
run 0 info probability.json --tensors
prints "1.weight"
run 0 info -- tokens.json
prints "4 tokens of 8"

# forward
run 0 forward probability.json floats.safetensors -o p.safetensors
prints "p.safetensors: output 2 × 1"
run 0 info p.safetensors --tensors
prints "label"
run 0 forward probability.json floats.safetensors --output=p.safetensors --json
keys output shape
run 0 forward features.json floats.safetensors -of.safetensors
run 0 info f.safetensors
prints "channels   3"
run 0 forward features.json floats.safetensors -o f.safetensors --json
keys output shape tensors
run 0 forward probability.json floats.safetensors -o s1.safetensors --seed 1
check "another seed is another model" sh -c '! cmp -s p.safetensors s1.safetensors'
run 0 forward probability.json floats.safetensors -o a.safetensors --batch-size 1 --threads 1 --quiet
check "the batch size does not change the result" cmp p.safetensors a.safetensors

run 0 forward probability.json nan.safetensors -o n.safetensors --quiet
"$nftool" forward probability.json nan.safetensors -o n.safetensors >out 2>err
says "the output of 1 of 2 has values that are not finite; the first is that of network 0"
safetensors late.safetensors '{"a.weight":{"dtype":"F32","shape":[2,1,2],"data_offsets":[0,16]},"a.bias":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]}}' "$one$one$one"'\000\000\300\177'"$one$one"
for output in late-output.safetensors late-output.csv; do
    "$nftool" forward probability.json late.safetensors -o "$output" --batch-size 1 >out 2>err
    says "the output of 1 of 2 has values that are not finite; the first is that of network 1"
done
"$nftool" forward features.json late.safetensors -o late-output.safetensors >out 2>err
says "the first is that of network 1"

# evaluate
run 1 evaluate probability.json floats.safetensors
says "--loss"
run 1 evaluate probability.json p.safetensors --loss bce
run 1 evaluate logits.json floats.safetensors --loss cross_entropy
says "label 1 is 0.5, expected a whole number, a class"
run 0 evaluate probability.json classes.safetensors --loss bce
data_set bad-label.safetensors F32 8 "$one" '\000\000\000\077\000\000\300\177'
run 1 evaluate probability.json bad-label.safetensors --loss bce
says "label 1 is not finite; --skip leaves such samples out"
run 0 evaluate probability.json bad-label.safetensors --loss bce --skip --json
prints '"non_finite_labels":1'
run 0 info bad-label.safetensors
prints "0.5 … 0.5, 1 not finite"
prints "non-finite 0 values, 1 value in other tensors"
run 0 info bad-label.safetensors --json
prints '"non_finite":1'
data_set ignored.safetensors I64 16 "$one" '\234\377\377\377\377\377\377\377\001\000\000\000\000\000\000\000'
run 0 evaluate logits.json ignored.safetensors --loss cross_entropy
prints "ignored labels of 1 network, left out"
safetensors pairs.safetensors '{"a.weight":{"dtype":"F32","shape":[2,1,2],"data_offsets":[0,16]},"a.bias":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]},"pair":{"dtype":"U8","shape":[2,2],"data_offsets":[24,28]}}' "$one$one$one$one$one$one"'\001\002\003\004'
sed 's/"out_features": 3/"out_features": 2/' logits.json >two.json
run 1 evaluate two.json pairs.safetensors --loss mse
says "no tensor 'label' (or 'target') with 2 entries: nothing to compare with; --label may name 'pair'"
run 0 evaluate two.json pairs.safetensors --loss mse --label pair
prints "output 1 "
run 0 evaluate two.json pairs.safetensors --loss mse --label pair --json
keys loss tau r2 mae outputs
python "the mean of the outputs' errors is that of all" "
found = json.loads(open('out').read())
assert len(found['outputs']) == 2
assert abs(sum(o['mae'] for o in found['outputs']) / 2 - found['mae']) < 1e-6
assert abs(found['outputs'][1]['mae'] - found['outputs'][0]['mae']) > 1e-3"
printf '{"model": "two.json", "train": "pairs.safetensors", "validation": "pairs.safetensors", "loss": "mse", "optimizer": {"type": "adam"}, "batch_size": 2, "steps": 2}' >pairs.json
run 1 train pairs.json -o pairs-model.safetensors --quiet
says "no tensor 'label' (or 'target')"
run 0 train pairs.json -o pairs-model.safetensors --quiet --label pair
run 0 evaluate pairs-model.safetensors pairs.safetensors
printf '{"model": "probability.json", "train": "bad-label.safetensors", "validation": "bad-label.safetensors", "loss": "bce", "optimizer": {"type": "adam"}, "batch_size": 2, "steps": 2}' >bad-label.json
run 1 train bad-label.json -o x.safetensors --quiet
says "target 1 is not finite; the recipe's \"skip\" leaves such samples out"
"$nftool" train bad-label.json -o skipped.safetensors --skip --json >out 2>err
says "training set: 1 of 2 samples are left out: 1 are not finite, 0 have the ignored class -100"
prints '"validation_loss"'
run 1 evaluate logits.json range.safetensors --loss cross_entropy
says "label 1 is 7, expected 0 … 2"
run 1 evaluate logits.json floats.safetensors --loss mse
says "expected 6"
run 1 evaluate probability.json misshaped.safetensors --loss bce --quiet
says "misshaped.safetensors: 'label' has the shape 1, expected a row for each of 2 samples"
run 1 evaluate probability.json large.safetensors --loss bce
says "label 1 is 2"
run 1 evaluate features.json floats.safetensors --loss mse
says "features"
run 0 evaluate probability.json floats.safetensors --loss bce
prints "mae "
run 0 evaluate probability.json floats.safetensors --loss mse --json --predictions e.safetensors
keys loss tau r2 mae
check "--predictions writes the output of forward" cmp e.safetensors p.safetensors
run 0 evaluate logits.json classes.safetensors --loss cross_entropy
prints "accuracy"
run 0 evaluate logits.json classes.safetensors --loss cross_entropy --json
keys loss accuracy
run 0 evaluate probability.json nan.safetensors --loss mse
prints "non-finite predictions for 1 network"
run 0 evaluate probability.json nan.safetensors --loss mse --json
keys non_finite_inputs non_finite_predictions

# train
mkdir recipes
cp "$golden/train_predictor/model.safetensors" "$golden/train_predictor/data.safetensors" recipes
recipe='"train": "data.safetensors", "loss": "bce", "optimizer": {"type": "adam", "eps": 1e-5}, "batch_size": 4, "steps": 4'
echo "{\"model\": \"model.safetensors\", \"shuffle\": false, $recipe}" >recipes/plain.json
echo "{\"model\": \"model.safetensors\", \"validation\": \"data.safetensors\", \"validate_every\": 3, $recipe}" >recipes/best.json
echo "{$recipe}" >recipes/no-model.json
echo "{\"modle\": \"data.safetensors\", $recipe}" >recipes/modle.json
echo "{\"model\": \"data.safetensors\", $recipe}" >recipes/wrong-model.json
echo "{\"model\": \"model.safetensors\", \"gradclip\": 1, $recipe}" >recipes/misspelt.json
echo '{"model": "model.safetensors", "train": 1}' >recipes/no-path.json
run 0 train recipes/plain.json -o trained.safetensors --json
prints '"grad_norm":'
prints '"loss":0.6274'
check "a line for each step" test "$(wc -l <out)" -eq 4
run 0 train recipes/plain.json -o again.safetensors --threads 1
prints "the model after 4 steps"
check "threads do not change a bit of training" cmp trained.safetensors again.safetensors
run 0 train recipes/plain.json -o again.safetensors --lr 0.01 --steps 2 --batch-size 3
prints "the model after 2 steps"
run 0 evaluate trained.safetensors recipes/data.safetensors
prints "(bce)"
run 0 train recipes/best.json -o trained.safetensors
prints "step 3: loss"
prints "lowest validation loss of 4 steps"
run 0 train recipes/best.json -o again.safetensors --json --seed 0
prints '"validation_loss":'
check "validation after 3 steps and at the end" test "$(grep -c validation_loss out)" -eq 2
check "without a seed it is 0" cmp trained.safetensors again.safetensors
run 1 train recipes/no-model.json -o x.safetensors
says "'model' is missing"
run 1 train recipes/modle.json -o x.safetensors
says "'model' is missing, the path of a file or a configuration; did you mean it with 'modle'?"
run 1 train recipes/no-path.json -o x.safetensors
says "'train' is not a text"
run 1 train recipes/wrong-model.json -o x.safetensors
says "not a model file"
run 1 train recipes/misspelt.json -o x.safetensors
says "did you mean 'grad_clip'?"
run 1 train recipes/missing.json -o x.safetensors
says "recipes/missing.json"
run 2 train recipes/plain.json
run 2 train recipes/plain.json -o x.safetensors --lr fast
says "expected a number"

# permute
run 0 permute floats.safetensors -o q.safetensors --json
keys output networks
run 0 permute q.safetensors -o r.safetensors --seed 5
prints "2 networks permuted, 0 axes each"
check "without hidden layers nothing changes" cmp q.safetensors r.safetensors

# --precision, and the kernels that the environment names
run 0 forward probability.json floats.safetensors -o p.safetensors
for precision in float32 bf16x3 bf16; do
    NFT_KERNELS=portable_amx run 0 forward probability.json floats.safetensors -o q.safetensors --precision $precision
    NFT_KERNELS=portable_amx run 0 forward probability.json floats.safetensors -o r.safetensors --precision $precision --threads 1 --batch-size 1
    check "the same bits in other batches with $precision" cmp q.safetensors r.safetensors
done
run 2 forward probability.json floats.safetensors -o q.safetensors --precision half
says "expected one of: float32, bf16x3, bf16"
NFT_KERNELS=no-such run 1 forward probability.json floats.safetensors -o q.safetensors
says "NFT_KERNELS names kernels that this machine lacks, 'no-such'; expected one of"

# bench
cp "$root/examples/peers/scaling.json" chain.json
run 0 bench logits.json --json --threads 1 --batch-size 4
run 0 bench logits.json --json --threads 1 --batch-size 4 --precision bf16
keys samples_per_s gflops sgemm_gflops fraction peak_bytes
run 0 bench logits.json --train --json --threads 1 --batch-size 4 --precision bf16
keys samples_per_s gflops sgemm_gflops fraction peak_bytes
run 0 bench tokens.json --threads 2 --batch-size 2
prints "of sgemm"
run 0 bench logits.json --train --json --threads 1 --batch-size 4
keys samples_per_s gflops sgemm_gflops fraction peak_bytes trainer_bytes ranks
run 0 bench tokens.json --train --recompute --threads 2 --batch-size 3
prints "three times the forward's"
run 1 bench features.json --train --threads 1
says "gives features"
if [ -n "${INTERPOSED:-}" ]; then
    for arguments in 'tokens.json' 'tokens.json --train' 'chain.json --scaling 1000' 'chain.json --scaling 1000 --train'; do
        # shellcheck disable=SC2086
        LD_PRELOAD=$INTERPOSED ALONE=1 "$nftool" bench $arguments --threads 2 --batch-size 2 >out 2>err
        check "bench $arguments forks before it has threads: $(cat err)" test $? -eq 0
    done
fi
run 2 bench tokens.json --recompute
says "add --train"
run 0 bench chain.json --scaling 3200 --threads 1 --plot scaling.svg --quiet
check "sizes are √10 apart" grep -Eq '^ *987 +1 ' out
check "up to the last" grep -Eq '^ *3,187 +1 ' out
check "the speed of sgemm follows" grep -Eq '^sgemm: [0-9.]+ GFLOP/s on 1 thread$' out
check "and no further size" test "$(grep -c . out)" -eq 4
check "their times are drawn" grep -q '</svg>' scaling.svg
run 0 bench chain.json --scaling 1000 --train --threads 2 --json
check "each size runs on one thread and on all" test \
    "$(grep -c '^{"weights":987,.*"threads":[12],.*"samples_per_s":.*"fraction":.*"trainer_bytes":.*"peak_bytes":[0-9]*}$' out)" -eq 2
run 1 bench chain.json --scaling 1000 --threads 1 --plot scaling.pdf
says "expected a name that ends in .svg or .png"
check "which is said before the measurement" test ! -s out
run 2 bench chain.json --plot scaling.svg
says "add --scaling"
run 2 bench chain.json --scaling 999
says "expected a whole number from 1000"
run 1 bench tokens.json --scaling 1000 --threads 1
says "widens the hidden layers of a chain"

# Standard output that takes nothing.
"$nftool" info floats.safetensors >&- 2>err
check "a closed standard output is an error" test $? -eq 1
if [ -w /dev/full ]; then
    "$nftool" info floats.safetensors --json >/dev/full 2>err
    check "JSON that cannot be written is a failure" test $? -eq 1
    says "cannot write to standard output"
    "$nftool" info floats.safetensors >/dev/full 2>err
    check "a full standard output is an error" test $? -eq 1
    check "and says so" grep -q 'standard output' err
fi

# into_a_broken_pipe COMMAND …: runs it when nobody reads its standard output any more; its status goes to the file piped.
into_a_broken_pipe() {
    {
        while [ ! -e closed ]; do sleep 0.01; done
        "$@" 2>err
        echo $? >piped
    } | {
        exec <&-
        : >closed
    }
    rm closed
}
into_a_broken_pipe "$nftool" info floats.safetensors
check "a broken pipe is an error" test "$(cat piped)" -eq 1
check "of which nobody is told: the reader has seen enough" test ! -s err

# Golden cases through the program.
golden_compare='import json, struct, sys
def read(path):
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    tensors = {}
    for name, info in header.items():
        if name != "__metadata__" and info["dtype"] == "F32":
            begin, end = info["data_offsets"]
            tensors[name] = struct.unpack("<%df" % ((end - begin) // 4), data[8 + length + begin:8 + length + end])
    return tensors
got, expected = read(sys.argv[1]), read(sys.argv[2])
for name, values in expected.items():
    if name.startswith("grad"):
        continue
    most = max(map(abs, values))
    assert len(got[name]) == len(values), name
    for a, b in zip(got[name], values):
        assert abs(a - b) <= 1e-4 * abs(b) + 5e-5 * most, name'
golden_case() { # NAME MODEL INPUT EXPECTED
    decode=
    case $1 in model_inr2array*) decode=--decode ;; esac
    run 0 forward "$2" "$3" -o golden.safetensors $decode
    if command -v python3 >/dev/null 2>&1; then
        check "$1: agrees with the golden file" python3 -c "$golden_compare" golden.safetensors "$4"
    fi
}
for folder in "$golden"/*/; do
    case=$(basename "$folder")
    model=$folder/model.safetensors
    [ -f "$model" ] || continue
    if [ -f "$folder/input.safetensors" ]; then
        run 0 info "$model"
        case $case in # files that do not say their space
        general_*) run 0 info "$folder/input.safetensors" --space "$model" ;;
        *) run 0 info "$folder/input.safetensors" ;;
        esac
        golden_case "$case" "$model" "$folder/input.safetensors" "$folder/expected.safetensors"
    fi
    for input in "$folder"/input-*.safetensors; do
        [ -f "$input" ] || continue
        space=${input##*/input-}
        run 0 info "$input"
        golden_case "$case-${space%.safetensors}" "$model" "$input" "$folder/expected-$space"
    done
done

# An index of networks of several spaces.
any=$golden/any_blocks
cat >index.json <<END
{"format_version": 1, "parts": [{"file": "$any/input-resnet.safetensors", "count": 2}, {"file": "$any/input-lstm.safetensors", "count": 2}]}
END
run 0 info index.json
prints "index: 4 networks in 2 parts"
run 0 info index.json --json
keys kind networks parts non_finite
run 0 forward "$any/model.safetensors" index.json -o mixed.safetensors
prints "output 4 × 2"
python "an index gives the results of its parts, in their order" "
got = read('mixed.safetensors')['output']
parts = [read('$any/expected-' + name + '.safetensors')['output'] for name in ('resnet', 'lstm')]
agree(got, ([4, 2], parts[0][1] + parts[1][1]), 1e-4, 5e-5)"
run 0 forward "$any/model.safetensors" index.json -o again.safetensors --batch-size 1 --threads 1
check "batches do not change an index's results" cmp mixed.safetensors again.safetensors
run 1 permute index.json -o x.safetensors
says "is an index, so that --output must be one too, a name that ends in .json"
run 1 permute index.json -o index.json
mkdir -p permuted
run 0 permute index.json -o permuted/all.json --seed 3
prints "permuted/all-1.safetensors: 2 networks permuted"
run 0 forward "$any/model.safetensors" permuted/all.json -o permuted-mixed.safetensors
python "an index is permuted part by part, with the numbers of its networks" "
import subprocess
agree(read('permuted-mixed.safetensors')['output'], read('mixed.safetensors')['output'], 1e-3, 1e-4)
index = json.load(open('permuted/all.json'))
assert [part['count'] for part in index['parts']] == [2, 2]
part = json.load(open('index.json'))['parts'][1]['file']
subprocess.run(['$nftool', 'permute', part, '-o', 'alone.safetensors', '--seed', '3', '-q'], check=True)
a, b = read('alone.safetensors'), read('permuted/all-1.safetensors')
assert set(a) == set(b) and a != b"
run 1 permute permuted/all.json -o permuted/all.json
cp permuted/all-0.safetensors permuted/all-1.safetensors .
printf '{"format_version": 1, "parts": [{"file": "all-1.safetensors", "count": 2}, {"file": "all-0.safetensors", "count": 2}]}' >turned.json
run 1 permute turned.json -o all.json
says "all-0.safetensors: is also an input; give -o another file"
run 1 forward "$golden/general_resnet_block/model.safetensors" index.json -o x.safetensors
run 0 bench "$any/model.safetensors" --space "$any/input-resnet.safetensors" --threads 1 --batch-size 2 --json
keys samples_per_s gflops fraction context_bytes
run 0 bench "$any/model.safetensors" --space index.json --threads 1 --batch-size 2 --train --json
keys samples_per_s gflops fraction trainer_bytes
run 1 bench "$any/model.safetensors" --threads 1
says "--space says that of the networks"
run 1 bench "$any/model.safetensors" --space "$any/input-resnet.safetensors" --scaling 1000 --threads 1
says "widens the hidden layers of a chain"
echo '{"layers": [{"type": "conv2d", "in": 1, "out": 4, "kernel": [3, 3]}, {"type": "linear", "in": 4, "out": 10, "positions": 9}]}' >layers.json
run 0 bench "$any/model.safetensors" --space layers.json --scaling 1000 --threads 1 --json
check "a model of any space runs on wider chains" grep -q '"weights":1010,' out
run 1 bench logits.json --space "$any/input-resnet.safetensors"
says "the model says the space itself"

# Networks that do not say their space take it from the model, or from --space.
bare=$golden/general_resnet_np/input.safetensors
run 1 permute "$golden/general_conv1d_np/input.safetensors" -o x.safetensors
says "or name the layers to read in --layers"
run 0 permute "$bare" -o permuted.safetensors --space "$golden/general_resnet_np/model.safetensors" --seed 2
prints "4 axes each"
run 0 permute "$bare" -o again.safetensors --space "$golden/general_resnet_np/model.safetensors" --seed 2 --batch-size 1
check "pieces are permuted as the whole" cmp permuted.safetensors again.safetensors
check "and it changes them" sh -c "! cmp -s permuted.safetensors '$bare'"
run 0 info permuted.safetensors
prints "layer1.0.bn1.running_var"
printf '{"axes": [{"name": "c", "size": 3}], "tensors": [{"name": "nowhere", "shape": ["c"]}]}' >other-space.json
run 1 info "$bare" --space other-space.json
says "tensor 'nowhere'"
run 1 info "$bare" --space other-space.json --layers a
says "give one of them"

# Real networks: the program's results are PyTorch's.
predictor=$examples/accuracy-predictor.safetensors
sample=$examples/fashion-cnns.safetensors
if [ -f "$predictor" ] && [ -f "$sample" ]; then
    run 0 info "$predictor"
    prints "nft_block"
    run 0 info "$sample"
    prints "conv2d"
    into_a_broken_pipe "$nftool" info "$predictor" --tensors
    check "a pipe that breaks early is an error" test "$(cat piped)" -eq 1
    check "of which nobody is told either" test ! -s err
    run 1 info "$sample" --layers conv1,conv9
    says "conv9"
    run 1 evaluate "$sample" "$predictor" --loss bce
    run 1 evaluate "$predictor" "$examples/mnist-sirens.safetensors" --loss bce
    says "layer 0 of the networks is linear 2 → 32, expected conv2d 1 → 16, 3×3"
    run 1 forward "$predictor" "$predictor" -o x.safetensors
    says "this is a model, expected weights"
    run 0 evaluate "$predictor" "$sample" --loss bce --json
    run 0 forward "$predictor" "$sample" -o one.safetensors --threads 1 --batch-size 7
    run 0 forward "$predictor" "$sample" -o two.safetensors --threads 2 --batch-size 64
    check "threads and batch size do not change a bit" cmp one.safetensors two.safetensors
    run 0 forward "$predictor" "$sample" -o three.safetensors --layers conv1,conv2,conv3,fc
    check "--layers in natural order changes nothing" cmp one.safetensors three.safetensors
    if command -v python3 >/dev/null 2>&1; then
        check "the predictions are PyTorch's" python3 -c "$golden_compare
a = read('one.safetensors')
assert max(abs(x - y) for x, y in zip(a['output'], a['prediction'])) < 1e-4" one.safetensors one.safetensors
    fi
    run 0 permute "$sample" -o permuted.safetensors --seed 3
    check "a permutation changes the file" sh -c "! cmp -s permuted.safetensors '$sample'"
    run 0 permute "$sample" -o again.safetensors --seed 3
    check "the same seed is the same permutation" cmp permuted.safetensors again.safetensors
    run 0 evaluate "$predictor" permuted.safetensors --loss bce
    prints "tau "
fi
if [ -f "$predictor" ] && [ -f "$examples/one-cnn.safetensors" ]; then
    run 0 forward "$predictor" "$examples/one-cnn.safetensors" -o single.safetensors --json
    prints '"shape":[1,1]'
fi
if [ -f "$examples/mnist-sirens.safetensors" ]; then
    run 0 info "$examples/mnist-sirens.safetensors" --json
    keys kind networks
    run 1 forward "$predictor" "$examples/mnist-sirens.safetensors" -o x.safetensors
fi
check "no file is left by failures" test ! -e x.safetensors
check "no temporary file is left" sh -c '[ "$(find . -name "*.tmp" | wc -l)" -eq 0 ]'

finish
