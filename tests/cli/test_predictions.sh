#!/bin/sh
# test_predictions.sh PATH-OF-NFTOOL: predictions as people read them: tables, CSV, JSON.
# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

classifier=$examples/digit-classifier.safetensors
sirens=$examples/mnist-sirens.safetensors
predictor=$examples/accuracy-predictor.safetensors
cnns=$examples/fashion-cnns.safetensors

# The classifier was trained on networks in canonical form, and says so.
run 1 forward "$classifier" "$sirens"
says "and so does --prepare"
run 0 canonicalize "$sirens" -o sirens.safetensors
sirens=$PWD/sirens.safetensors

# Without a file a table is printed.
run 0 forward "$classifier" "$sirens"
prints "network  class  probability  label"
check "a row for each network" test "$(wc -l <out)" -eq 61
run 0 forward "$predictor" "$cnns"
check "the only number is the output" grep -Eq '^network +output +label$' out
run 0 forward "$classifier" "$sirens" -o table.txt
prints "table.txt: predictions of 60 networks"
"$nftool" forward "$classifier" "$sirens" >printed
check "a file has the printed table" cmp table.txt printed
run 0 forward "$predictor" "$cnns" --json
check "an object on each line" test "$(grep -c '^{"network":[0-9]*,"output":\[0\.[0-9]*\],"label":[0-9.]*}$' out)" -eq "$(wc -l <out)"

# The ending tells the format, or --format does.
run 0 forward "$classifier" "$sirens" -o y.safetensors
run 0 forward "$classifier" "$sirens" -o y.json
run 0 forward "$classifier" "$sirens" -o y.jsonl
run 0 forward "$classifier" "$sirens" -o y.csv
run 0 forward "$classifier" "$sirens" --format csv -o y.npy
check "--format stands above the ending" cmp y.csv y.npy
"$nftool" forward "$classifier" "$sirens" --format csv -o - >piped.csv 2>err
check "a pipe has the same" cmp y.csv piped.csv
for name in y.npy y.pt y.h5 y.tsv; do
    run 1 forward "$classifier" "$sirens" -o $name
    says "$name: expected a name that ends in .safetensors, .csv, .json, .jsonl or .txt"
done

# Commands that write safetensors refuse the name of another format before they begin.
refused() { # ARGUMENT …
    run 1 "$@"
    says "$name: 'nftool $1' writes safetensors there, expected a name that ends in .safetensors"
}
for name in x.pt x.png x.csv x.npz x.json; do
    refused permute "$sirens" -o $name
    refused canonicalize "$sirens" -o $name
    refused train recipe.json -o $name
    refused train recipe.json -o $name --seeds 2
    refused fit "$examples/digits-idx3-ubyte.gz" --count 1 -o $name
    refused evaluate "$classifier" "$sirens" --predictions $name
done
name=x.pt
refused collect "$sirens" -o x.pt
says "x.pt: 'nftool collect' writes safetensors there, expected a name that ends in .safetensors, or in .json for an index"
check "nothing was written" sh -c '! ls x.*'
run 1 forward "$classifier" "$sirens" --format safetensors
says "--format safetensors needs --output"
run 0 forward "$classifier" "$sirens" -o any-name
check "another name holds safetensors" cmp any-name y.safetensors
python "probabilities are the softmax of the outputs" '
import csv
shape, logits = read("y.safetensors")["output"]
labels = read("y.safetensors")["label"][1]
rows = json.load(open("y.json"))
assert rows == [json.loads(line) for line in open("y.jsonl")] and len(rows) == shape[0]
table = list(csv.DictReader(open("y.csv")))
for n, row in enumerate(rows):
    own = logits[n * shape[1]:(n + 1) * shape[1]]
    total = sum(map(math.exp, own))
    for c in range(shape[1]):
        assert abs(row["probabilities"][c] - math.exp(own[c]) / total) < 1e-6
        assert abs(float(table[n]["probability_%d" % c]) - row["probabilities"][c]) < 1e-8
    assert row["class"] == own.index(max(own)) == int(table[n]["class"])
    assert row["label"] == labels[n] == int(table[n]["label"])
    assert row["network"] == n and abs(row["probability"] - max(row["probabilities"])) < 1e-8
'

# Classes have the names of the training set, and they cannot do harm.
one='\000\000\200\077\000\000\000\100'
mkdir -p zoo/cat "zoo/d,o\"g"
for i in 1 2 3 4; do
    safetensors zoo/cat/$i.safetensors '{"a.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"a.bias":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}' "$one"
    cp zoo/cat/$i.safetensors "zoo/d,o\"g/$i.safetensors"
done
run 0 collect zoo -o zoo.safetensors --labels folder
cat >recipe.json <<'JSON'
{"model": {"format_version": 1, "space": {"layers": [{"type": "linear", "in": 1, "out": 1}]},
           "modules": [{"type": "hnp_pool"}, {"type": "linear", "out_features": 2}]},
 "train": "zoo.safetensors", "loss": "cross_entropy", "optimizer": {"type": "adam"}, "batch_size": 8, "steps": 1}
JSON
run 0 train recipe.json -o named.safetensors
run 0 forward named.safetensors zoo.safetensors
check "a table has the names of the classes" grep -Eq '^ *0  zoo/cat/1.safetensors +(cat|d,o"g) +0\.[0-9]+  cat$' out
check "and of the labels" grep -Eq '^ *7  zoo/d,o"g/4.safetensors +(cat|d,o"g) +0\.[0-9]+  d,o"g$' out
run 0 forward named.safetensors zoo.safetensors --json
check "JSON has them" grep -q '^{"network":7,.*"label":"d,o\\"g"}$' out
run 0 forward named.safetensors zoo.safetensors --format csv
prints 'network,file,class,probability,probability_cat,"probability_d,o""g",label'
check "CSV quotes them" grep -q '^7,"zoo/d,o""g/4.safetensors",.*,"d,o""g"$' out
run 0 forward named.safetensors zoo.safetensors --json
check "JSON has the files" grep -q '^{"network":7,"file":"zoo/d,o\\"g/4.safetensors",' out

# A message names the file of a network. Tools carry the names along.
run 0 permute zoo.safetensors --seed 1 -o permuted.safetensors
run 0 forward named.safetensors permuted.safetensors --format csv
check "files of permuted networks" grep -q '^3,zoo/cat/4.safetensors,' out
mkdir third
cp zoo/cat/1.safetensors third
printf 'file,label\nthird/1.safetensors,7\n' >third.csv
run 0 collect third -o third.safetensors --labels third.csv
run 1 evaluate named.safetensors third.safetensors
says 'label 0 (third/1.safetensors) is 7, expected 0 … 1'
data=$((8 * 4 + 8 * 4 + 8 * 8 + 8 * 23)) # weights, biases, labels, names
size=$(wc -c <zoo.safetensors)
printf '\000\000\300\177' | dd of=zoo.safetensors bs=1 seek=$((size - data + 5 * 4)) conv=notrunc 2>err
run 1 train recipe.json -o x.safetensors
says "zoo.safetensors: zoo/d,o\"g/2.safetensors: network 5: 'a.weight' has a number that is not finite"
printf '\000\000\200\077' | dd of=zoo.safetensors bs=1 seek=$((size - data + 5 * 4)) conv=notrunc 2>err

# Tokens and features need a file.
echo '{"format_version": 1, "space": {"layers": [{"type": "linear", "in": 1, "out": 1}]}, "modules": [{"type": "np_linear", "out_channels": 2}]}' >features.json
run 1 forward features.json zoo.safetensors
says "the model gives features for each network, which only a file of safetensors holds"
run 1 forward features.json zoo.safetensors -o features.csv
run 0 forward features.json zoo.safetensors -o features.safetensors
check "nothing was begun" test ! -e features.csv

# Many numbers are cut in a table, not in CSV.
run 0 forward "$examples/digit-encoder.safetensors" "$sirens"
prints "… of 1024"
run 0 forward "$examples/digit-encoder.safetensors" "$sirens" --format csv
check "CSV has all numbers" test "$(head -n 1 out | tr ',' '\n' | wc -l)" -eq 1026

# A network that is not finite is told.
nan='\000\000\300\177\000\000\000\100'
safetensors zoo/cat/5.safetensors '{"a.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"a.bias":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}' "$nan"
"$nftool" forward named.safetensors zoo/cat/5.safetensors --json >out 2>err
says "the output of 1 of 1 has values that are not finite; the first is that of network 0"
prints '"probabilities":[null,null]'
nan='\000\000\300\377\000\000\000\100'
safetensors zoo/cat/5.safetensors '{"a.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"a.bias":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}' "$nan"
"$nftool" forward named.safetensors zoo/cat/5.safetensors >out 2>err
check "a NaN has no sign" sh -c 'grep -q nan out && ! grep -q -- -nan out'
"$nftool" forward named.safetensors zoo/cat/5.safetensors --format csv >out 2>err
check "in CSV neither" sh -c 'grep -q ,nan out && ! grep -q -- -nan out'

finish
