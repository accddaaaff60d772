#!/bin/sh
# Tests of nftool on inputs that somebody made to harm, or changes meanwhile: test_hostile.sh PATH-OF-NFTOOL. Prints a line for each
# failed check, then "N passed, N failed". Where INTERPOSED names the library of interposed.c, files are also replaced while they are read.
set -u

# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

# shellcheck disable=SC2034
LIMIT=60 # seconds of a command, each of which takes a fraction of one
zero='\000\000\000\000'

# numbers COUNT BYTES: COUNT copies of the escapes of one number.
numbers() {
    n=0
    while [ "$n" -lt "$1" ]; do
        printf %s "$2"
        n=$((n + 1))
    done
}

# classes FILE COUNT: COUNT networks of one layer, 2 → 1, each of class 0.
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

# harmless FILE …: only lines of printable ASCII and of other characters that no terminal obeys.
harmless() {
    for printed in "$@"; do
        if [ -n "$(tr -d '\n -~\200-\377' <"$printed")" ] ||
            LC_ALL=C grep -q "$(printf '\302[\200-\237]\|\342\200[\250-\256\216\217]\|\342\201[\246-\251]\|\330\234')" "$printed"; then
            complain "a control character in: $(cat -v "$printed" | head -n 5)"
        else
            pass
        fi
    done
}

# Names, metadata and paths with control characters of terminals: a title, a colour, C1, the direction of text, a new line.
evil='\u001b]0;title\u0007\u001b[31mred\u009b31m\u202egnp.\u2028\u0085\r\nx: y'
layer='.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}'
safetensors tensor.safetensors '{"'"$evil"'":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' "$zero"
safetensors layer.safetensors '{"'"$evil$layer"',"'"$evil"'.bias":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}' "$zero$zero$zero"
safetensors extra.safetensors '{"a'"$layer"',"a.bias":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"'"$evil"'":{"dtype":"F32","shape":[3],"data_offsets":[12,24]}}' \
    "$(numbers 6 "$zero")"
safetensors unclear.safetensors '{"'"$evil"'.weight":{"dtype":"U64","shape":[1],"data_offsets":[0,8]}}' "$zero$zero"
safetensors model.safetensors '{"__metadata__":{"nft.loss":"'"$evil"'","nft.config":"{\"format_version\":1,\"space\":{\"layers\":[{\"type\":\"linear\",\"in\":2,\"out\":1}]},\"modules\":[{\"type\":\"hnp_pool\"},{\"type\":\"linear\",\"out_features\":1}]}"},"1.weight":{"dtype":"F32","shape":[1,3],"data_offsets":[0,12]},"1.bias":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}' \
    "$(numbers 4 "$zero")"
for file in tensor layer extra model; do
    for options in "" --tensors --json; do
        # shellcheck disable=SC2086
        run 0 info $file.safetensors $options
        harmless out err
    done
done
run 0 info layer.safetensors
prints '\x1b]0;title\x07\x1b[31mred\u009b31m\u202egnp.\u2028\u0085\x0d\x0ax: y'
run 0 info model.safetensors
prints 'loss       \x1b]0;title'
run 1 forward layer.safetensors tensor.safetensors -o x.safetensors
harmless err
run 1 info unclear.safetensors
harmless out err
run 1 permute unclear.safetensors -o x.safetensors
harmless err
run 1 evaluate model.safetensors layer.safetensors
harmless err
path=$(printf 'p\033[31m\302\2331m\342\200\256')
cp layer.safetensors "$path"
run 0 permute "$path" -o "$path.permuted"
harmless out
run 0 canonicalize "$path" -o "$path.canonical"
harmless out
run 1 permute "$path.absent" -o x
harmless err
run 2 "$path"
harmless err

# Files of very many tensors take as long as their size says.
if command -v python3 >/dev/null 2>&1; then
    python3 - <<'END'
import json, struct
def write(name, layers, extras):
    header, at = {}, 0
    for shape, tensor in ([((2, 1, 1), "%d.weight" % i) for i in range(layers)] + [((2, 1), "%d.bias" % i) for i in range(layers)] +
                          [((2,), "x%d" % i) for i in range(extras)]):
        header[tensor] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 8]}
        at += 8
    text = json.dumps(header).encode()
    open(name, "wb").write(struct.pack("<Q", len(text)) + text + bytes(at))
write("layers.safetensors", 65000, 0)
write("extras.safetensors", 2, 65000)
END
    for file in layers extras; do
        for command in "info $file.safetensors" "permute $file.safetensors -o x.safetensors"; do
            # shellcheck disable=SC2086
            LIMIT=60 run 0 $command
        done
    done
    echo '{"format_version": 1, "space": {"layers": [{"type": "linear", "in": 1, "out": 1}, {"type": "linear", "in": 1, "out": 1}]}, "modules": [{"type": "hnp_pool"}, {"type": "linear", "out_features": 1}]}' >two-layers.json
    LIMIT=60 run 0 forward two-layers.json extras.safetensors -o x.safetensors
    check "a result carries all of it along" sh -c 'head -c 9000000 x.safetensors | grep -aq x64999'
    LIMIT=60 run 0 forward two-layers.json extras.safetensors
    LIMIT=60 run 1 evaluate two-layers.json extras.safetensors --loss mse
    says "no tensor 'label' (or 'target')"
    LIMIT=60 run 0 permute extras.safetensors -o x.safetensors --layers 0,1
    check "and all of it is carried along" sh -c 'head -c 9000000 x.safetensors | grep -aq x64999'
fi

# Compression and amplification: a size that a small file announces is refused, within a second and little memory.
if command -v python3 >/dev/null 2>&1; then
    python3 - <<'END'
import gzip, struct, zlib
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
packer = zlib.compressobj(9)
rows = b"".join(packer.compress(bytes(2049 * 64)) for _ in range(256)) + packer.flush()
open("bomb.png", "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16384, 16384, 1, 0, 0, 0, 0)) +
                             chunk(b"IDAT", rows) + chunk(b"IEND", b""))
def idx(name, *shape):
    count = 1
    for size in shape:
        count *= size
    with gzip.open(name, "wb", 9) as file:
        file.write(struct.pack(">BBBB%dI" % len(shape), 0, 0, 8, len(shape), *shape))
        for _ in range(count >> 20):
            file.write(bytes(1 << 20))
idx("bomb.idx.gz", 1, 16384, 16384)
idx("many.idx.gz", 1 << 25, 1, 1)
idx("labels.idx.gz", 1 << 25)
open("objects.json", "wb").write(b'{"a":[' + b",".join([b"{}"] * 1000000) + b"]}")
open("deep.json", "wb").write(b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}")
END
    for file in bomb.png bomb.idx.gz; do
        for command in "render $file -o x.png" "fit $file -o x.safetensors --steps 1"; do
            # shellcheck disable=SC2086
            LIMIT=40 run 1 $command
            says "$file: an image is 16384 × 16384 pixels of 1 numbers, expected at most 67108864 numbers in all"
        done
    done
    LIMIT=40 run 1 fit many.idx.gz --labels labels.idx.gz -o x.safetensors --steps 1 --count 1
    says "labels.idx.gz: labels of 33554432 images are asked for, expected at most 16777216"
    LIMIT=40 run 1 info objects.json --memory-limit 64M
    says "objects.json: parsed JSON: "
    LIMIT=40 run 1 info deep.json
    says "deep.json: JSON: nested 1001 deep, expected at most 64"
fi
echo '{"format_version":1,"input":{"type":"tokens","tokens":1,"channels":1000},"modules":[{"type":"linear","out_features":400000}]}' >large.json
LIMIT=40 run 1 info large.json
says "large.json: the model's parameters: 1601600000 bytes are needed, but the memory limit is 1073741824 bytes; --memory-limit raises it"
run 1 info large.json --memory-limit 1.5M
says "but the memory limit is 1572864 bytes"
for size in 0 x -1 1.5X 1MM 1e300 "1 G"; do
    run 2 info large.json --memory-limit "$size"
    says "--memory-limit is '$size', expected a number of bytes, or one with K, M, G or T"
done

finish
