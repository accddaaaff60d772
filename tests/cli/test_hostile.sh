#!/bin/sh
# Tests of nftool on inputs that somebody made to harm, or changes meanwhile: test_hostile.sh PATH-OF-NFTOOL. Prints a line for each
# failed check, then "N passed, N failed". Where INTERPOSED names the library of interposed.c, files are also replaced while they are read.
set -u

# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

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

finish
