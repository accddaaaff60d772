#!/bin/sh
# Tests of nftool on inputs that somebody made to harm, or changes meanwhile: test_hostile.sh PATH-OF-NFTOOL. Prints a line for each
# failed check, then "N passed, N failed". Where INTERPOSED names the library of interposed.c, files are also replaced while they are read.
set -u

# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

LIMIT=60 # seconds of a command, each of which takes a fraction of one
zero='\000\000\000\000'

# numbers COUNT BYTES: so many copies of the escapes of one number.
numbers() {
    n=0
    while [ "$n" -lt "$1" ]; do
        printf %s "$2"
        n=$((n + 1))
    done
}

# classes FILE COUNT: so many networks of one layer, 2 → 1, each of class 0.
classes() {
    weights=$((8 * $2))
    biases=$((weights + 4 * $2))
    labels=$((biases + 8 * $2))
    safetensors "$1" '{"a.weight":{"dtype":"F32","shape":['"$2"',1,2],"data_offsets":[0,'$weights']},"a.bias":{"dtype":"F32","shape":['"$2"',1],"data_offsets":['$weights,$biases']},"label":{"dtype":"I64","shape":['"$2"'],"data_offsets":['$biases,$labels']}}' \
        "$(numbers "$((5 * $2))" "$zero")"
}

# A validation file that is replaced behind the opening that counts.
classes train.safetensors 4
cat >recipe.json <<'END'
{"model": {"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 1}]},
 "modules": [{"type": "pointwise", "out_channels": 3}, {"type": "hnp_pool"}, {"type": "linear", "out_features": 2}]},
 "train": "train.safetensors", "validation": "validation.safetensors", "loss": "cross_entropy", "optimizer": {"type": "adamw"},
 "batch_size": 4, "steps": 4, "validate_every": 2}
END
if [ -n "${INTERPOSED:-}" ]; then
    for at in 1 2; do
        classes validation.safetensors 40
        classes other.safetensors 1
        LD_PRELOAD=$INTERPOSED REPLACED=validation.safetensors REPLACEMENT=other.safetensors REPLACED_AT=$at \
            "$nftool" train recipe.json -o model.safetensors --log log --threads 1 >out 2>err
        status=$?
        check "a validation file replaced behind opening $at was replaced" test ! -e other.safetensors
        check "and the training ends, with the scores of one of the two files" test $status -eq 0
        check "of each validation" test "$(grep -c '"accuracy":1[.0]*,' log)" -eq 2
    done
fi

# A size of 0 lets some bytes claim any number of samples.
echo '{"format_version": 1, "input": {"type": "tokens", "tokens": 3, "channels": 2}, "modules": [{"type": "mean_tokens"}, {"type": "linear", "out_features": 3}]}' >tokens.json
for shape in 9223372036854775807,0,2 1099511627776,3,0; do
    safetensors zero.safetensors '{"output":{"dtype":"F32","shape":['$shape'],"data_offsets":[0,0]},"label":{"dtype":"I64","shape":['"${shape%%,*}"',0],"data_offsets":[0,0]}}' ''
    for command in "evaluate tokens.json zero.safetensors --loss cross_entropy" "forward tokens.json zero.safetensors -o x.safetensors"; do
        # shellcheck disable=SC2086
        run 1 $command
        says "zero.safetensors: tensor 'output' is ${shape%%,*} samples of no numbers, expected at least one"
    done
done

finish
