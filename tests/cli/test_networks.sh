#!/bin/sh
# test_networks.sh PATH-OF-NFTOOL: networks as people have them: their names, their collections, their spaces.
# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

# floats COUNT VALUE: COUNT numbers of four bytes each, as printf escapes.
floats() {
    left=$1
    while [ "$left" -gt 0 ]; do
        printf %s "$2"
        left=$((left - 1))
    done
}
one='\000\000\200\077'
two='\000\000\000\100'
nan='\000\000\300\177'

# network PATH NAME VALUE [IN OUT]: one linear layer of IN inputs and OUT outputs, all of whose numbers are VALUE.
network() {
    in=${4:-2} out=${5:-3}
    w=$((4 * in * out)) b=$((4 * in * out + 4 * out))
    safetensors "$1" '{"'"$2"'.weight":{"dtype":"F32","shape":['"$out,$in"'],"data_offsets":[0,'"$w"']},"'"$2"'.bias":{"dtype":"F32","shape":['"$out"'],"data_offsets":['"$w,$b"']}}' "$(floats $((in * out + out)) "$3")"
}
# mlp PATH FIRST SECOND THIRD: an MLP of 2, 4, 4 and 1 neurons, whose layers have these names.
mlp() {
    safetensors "$1" '{"'"$2"'.weight":{"dtype":"F32","shape":[4,2],"data_offsets":[0,32]},"'"$2"'.bias":{"dtype":"F32","shape":[4],"data_offsets":[32,48]},"'"$3"'.weight":{"dtype":"F32","shape":[4,4],"data_offsets":[48,112]},"'"$3"'.bias":{"dtype":"F32","shape":[4],"data_offsets":[112,128]},"'"$4"'.weight":{"dtype":"F32","shape":[1,4],"data_offsets":[128,144]},"'"$4"'.bias":{"dtype":"F32","shape":[1],"data_offsets":[144,148]}}' "$(floats 37 "$one")"
}

# A sum of outputs leaves no trace in a file: a permutation is refused, unless there are activations between the layers or an order is
# given. So it is with a filter that may be that of a transposed convolution.
mlp sums.safetensors fc1 fc2 fc3
run 1 permute sums.safetensors -o x.safetensors
says "sums.safetensors: a permutation might change the network: the network is read as a chain of layers, but a file does not show residual connections, which layers of equal width may have: if there are any, give the network's space in --space; else name its layers, in their order, in --layers"
safetensors transposed.safetensors '{"0.weight":{"dtype":"F32","shape":[2,2,2,2],"data_offsets":[0,64]},"1.weight":{"dtype":"F32","shape":[1,2,2,2],"data_offsets":[64,96]}}' "$(floats 24 "$one")"
run 1 permute transposed.safetensors -o x.safetensors
says "a permutation might change the network: layer '0' is read as a convolution, but a transposed convolution of as many inputs as outputs has the same shape: if it is one, give the network's space in --space; else name its layers, in their order, in --layers"
run 0 permute transposed.safetensors -o x.safetensors --layers 0,1
run 0 permute sums.safetensors -o x.safetensors --layers fc1,fc2,fc3
run 0 canonicalize sums.safetensors -o x.safetensors
run 0 render sums.safetensors -o x.png
mlp sequential.safetensors net.0 net.2 net.4
run 0 permute sequential.safetensors -o x.safetensors
check "info succeeds" sh -c "'$nftool' info sums.safetensors >out 2>err"
says "a file does not show residual connections"

# Many tensors that are no network are counted by kind.
header='{"a.bias":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
i=0
while [ $i -lt 30 ]; do
    header=$header',"b.'$i'.filter":{"dtype":"F32","shape":[0,2],"data_offsets":[0,0]},"c'$i'":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    i=$((i + 1))
done
safetensors many.safetensors "$header}" ''
run 0 info many.safetensors
check "tensors with names that end alike are one kind" grep -Eq '^ *filter +2 +30 +0$' out
check "with many kinds the others are one" grep -Eq '^ *others +8 +0$' out
prints "--tensors lists them all"
run 0 info many.safetensors --tensors
prints "b.29.filter"

# Layers in an order that words tell: the space that is collected, or printed, keeps it.
mkdir words
mlp words/mlp.safetensors features.0 middle fc
"$nftool" collect words -o words.safetensors >out 2>err
says "the words in the names of the layers tell their order"
says "a file does not show residual connections"
run 0 info words.safetensors
prints "features.0"
"$nftool" space words/mlp.safetensors --json >words.json 2>err
says "the words in the names of the layers tell their order"
run 0 info words/mlp.safetensors --space words.json

# collect: one space, a table, natural order.
mkdir -p zoo/a zoo/b
network zoo/a/n2.safetensors 0 "$one"
network zoo/a/n10.safetensors 0 "$two"
network zoo/b/n1.safetensors 0 "$one"
printf 'file,accuracy,steps\na/n2.safetensors,0.25,7\n"n10",0.5,8\nn1,0.75,9\n' >zoo/labels.csv
run 0 collect zoo -o all.safetensors --labels zoo/labels.csv --label accuracy --also steps
prints "all.safetensors: 3 networks of 1 space"
tail -c $((36 + 3 * 21)) all.safetensors | od -A n -t f4 -N 12 | tr -s ' ' >found
echo " 0.25 0.5 0.75" >expected
check "labels are in the natural order of the paths" cmp expected found
tail -c $((24 + 3 * 21)) all.safetensors | head -c 24 | od -A n -t d8 | tr -s ' \n' ' ' >found
printf ' 7 8 9 ' >expected
check "whole numbers are integers" cmp expected found
run 0 info all.safetensors
prints "3 of 9 parameters"
check "the files of the networks are noted" grep -q 'nft.file  *U8  *3 × 21  *the files of the networks' out
tail -c 63 all.safetensors | tr '\000' '\n' | tr -s '\n' >found
printf 'zoo/a/n2.safetensors\nzoo/a/n10.safetensorszoo/b/n1.safetensors\n' >expected
check "in the order of the networks" cmp expected found
run 0 collect all.safetensors -o stack.safetensors --also steps
check "networks of a stack have numbers" test "$(tail -c 51 stack.safetensors)" = 'all.safetensors#0all.safetensors#1all.safetensors#2'
check "no state is left" sh -c '! ls *.partial 2>/dev/null'
run 0 collect zoo/a/n2.safetensors 'zoo/a/n1*' zoo/b -o again.safetensors --labels zoo/labels.csv --label accuracy --also steps
check "folders and patterns give the same bytes" cmp all.safetensors again.safetensors
printf 'zoo/b/n1.safetensors\nzoo/a/n10.safetensors\nzoo/a/n2.safetensors\n' >list
run 0 collect @list -o again.safetensors --labels zoo/labels.csv --label accuracy --also steps
check "so does a list" cmp all.safetensors again.safetensors
run 0 collect zoo -o parts.safetensors --labels zoo/labels.csv --label accuracy --split test=0.34
prints "  parts-train.safetensors: 2 networks"
prints "  parts-test.safetensors: 1 network"
run 0 info parts-test.safetensors
prints "1 of 9 parameters"
cp -r zoo/a twice
cp zoo/b/n1.safetensors twice
for i in 1 2; do
    (cd twice && "$nftool" collect . -o parts.safetensors --split test=0.34) >out 2>err
    prints "3 networks of 1 space in 2 data sets"
    check "no file is named that is not written" sh -c '! grep -q "^parts.safetensors" out'
done
run 1 collect zoo -o parts.safetensors --split test
says "--split: 'test' is no name with a share, expected for example validation=0.1,test=0.1"
run 1 collect zoo -o parts.safetensors --split a/b=0.4
says "set 'a/b': a name has letters, digits, - and _"
run 1 collect zoo -o x.safetensors --labels zoo/labels.csv --label acuracy
says "it has no column 'acuracy'; its columns are file, accuracy, steps"
check "a column that was named needs no option's name" sh -c '! grep -q "names the column of the labels" err'
run 1 collect zoo -o x.safetensors --labels zoo/labels.csv
says "its columns are file, accuracy, steps; --label names the column of the labels"
printf '{"path": "a/n2.safetensors", "scores": {"test": 1}}\n{"path": "a/n10.safetensors", "scores": {"test": 2}}\n' >zoo/two.jsonl
run 1 collect zoo -o x.safetensors --labels zoo/two.jsonl --label scores.test
says "n1.safetensors: zoo/two.jsonl has no row for it in column 'path'; --key names the column of the files; --skip leaves such networks out"
run 0 collect zoo -o two.safetensors --labels zoo/two.jsonl --label scores.test --skip
prints "left out: zoo/b/n1.safetensors: zoo/two.jsonl has no row for it"
check "which needs no advice" sh -c '! grep -q "leaves such networks" out'
prints "two.safetensors: 2 networks of 1 space, left out 1"

printf 'name,net,accuracy\nfirst,a/n2.safetensors,0.5\n' >zoo/weird.csv
run 1 collect zoo/a/n2.safetensors -o x.safetensors --labels zoo/weird.csv --label accuracy
says "n2.safetensors: zoo/weird.csv has no row for it in column 'name'; --key names the column of the files"
run 0 collect zoo/a/n2.safetensors -o x.safetensors --labels zoo/weird.csv --label accuracy --key net
printf '{\n"other.safetensors": 0.5}\n' >zoo/map.json
run 1 collect zoo/a/n2.safetensors -o x.safetensors --labels zoo/map.json
says "zoo/map.json has no row for it"
check "an object has no column" sh -c '! grep -q "no row for it in" err'

# Labels of folders are classes; sidecars have dots and null.
run 0 collect zoo -o classes.safetensors --labels folder
check "names of classes are in the metadata" grep -q 'nft.classes":"\[\\"a\\",\\"b\\"\]' classes.safetensors
tail -c $((24 + 3 * 21)) classes.safetensors | head -c 24 | od -A n -t d8 | tr -s ' \n' ' ' >found
printf ' 0 0 1 ' >expected
check "folders are numbered by their names" cmp expected found
mkdir side
for i in 1 2 3; do network side/$i.safetensors 0 "$one"; done
echo '{"result": {"accuracy": 0.5}}' >side/1.json
echo '{"result": {"accuracy": null}}' >side/2.json
echo '{"result": {"accuracy": 0.25}}' >side/3.json
run 1 collect side -o x.safetensors --labels sidecar --label result.accuracy
says "side/2.safetensors: its label 'result.accuracy' is null, or not finite; --skip leaves such networks out"
run 0 collect side -o x.safetensors --labels sidecar --label result.accuracy --skip
prints "x.safetensors: 2 networks of 1 space, left out 1"
run 0 collect side --json --skip --labels sidecar --label result.accuracy -o x.safetensors
prints '"networks":2'

# Several spaces need an index; networks that are not finite are told.
network zoo/b/wide.safetensors 0 "$one" 2 5
run 1 collect zoo -o x2.safetensors
says "write an index, OUT.json"
check "nothing is written" test ! -e x2.safetensors
run 0 collect zoo -o x2.json
prints "x2.json: 4 networks of 2 spaces"
check "the index counts" grep -q '"x2-0.safetensors", "count": 3' x2.json
run 0 space x2.json
prints "x2-1.safetensors: 1 network"
network zoo/b/bad.safetensors 0 "$nan"
run 1 collect zoo -o x3.json
says "zoo/b/bad.safetensors: '0.weight' has a number that is not finite; --skip leaves such networks out"
check "a failure leaves nothing" sh -c '! ls x3* 2>/dev/null'
run 0 collect zoo -o x3.json --skip
prints "left out: zoo/b/bad.safetensors: '0.weight' has a number that is not finite"
check "rows behind it move up" cmp x2-0.safetensors x3-0.safetensors
printf 'short' >zoo/a/cut.pt
run 1 collect zoo -o x4.json
says "zoo/a/cut.pt: "
run 1 collect nothing -o x4.json
says "nothing: cannot read: No such file"
run 1 collect 'noth*' -o x4.json
says "no file has that pattern"
run 2 collect zoo

# The same command makes the same files.
rm zoo/a/cut.pt
run 0 collect zoo -o whole.json --skip
run 0 collect zoo -o again.json --skip
for part in 0 1; do check "the same networks make the same part" cmp whole-$part.safetensors again-$part.safetensors; done

# The order of layers that words tell, and names that tell none.
pair() { # pair PATH A INA OUTA B INB OUTB: two linear layers without biases
    a=$((4 * $3 * $4)) b=$((4 * $3 * $4 + 4 * $6 * $7))
    safetensors "$1" '{"'"$2"'.weight":{"dtype":"F32","shape":['"$4,$3"'],"data_offsets":[0,'"$a"']},"'"$5"'.weight":{"dtype":"F32","shape":['"$7,$6"'],"data_offsets":['"$a,$b"']}}' "$(floats $(($3 * $4 + $6 * $7)) "$one")"
}
pair ae.safetensors decoder 2 4 encoder 4 2
"$nftool" space ae.safetensors --json >out 2>err
prints '"tensors":[{"name":"encoder.weight","shape":["n1","n0"],'
says "which is taken to be encoder,decoder"
pair gan.safetensors D 4 1 G 2 4
run 1 permute gan.safetensors -o x.safetensors
says "the names of the layers do not tell their order: if it is G,D, give it in --layers; if these are several networks, choose one with --prefix"
run 0 permute gan.safetensors -o x.safetensors --layers G,D -q
run 0 space gan.safetensors --prefix G --json
prints '{"layers":[{"type":"linear","in":2,"out":4}]}'

# Layers whose weights are not in the file.
for form in weight_g:remove_weight_norm parametrizations.weight.original0:remove_parametrizations weight_mask:prune.remove weight_u:remove_spectral_norm lora_A.weight:merge_and_unload; do
    safetensors form.safetensors '{"0.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"2.'"${form%:*}"'":{"dtype":"F32","shape":[1,1],"data_offsets":[4,8]}}' "$one$one"
    run 1 space form.safetensors
    says "${form#*:}"
done
safetensors form.safetensors '{"0.kernel":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"0.bias":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}' "$one$one"
run 0 space form.safetensors
prints "0.weight"
safetensors net-00002-of-00002.safetensors '{"0.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}' "$one"
run 1 space net-00002-of-00002.safetensors
says "it is one shard of several"
safetensors turned.safetensors '{"0.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"0.bias":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}' "$one$one$one"
run 1 space turned.safetensors
says "the weight looks transposed"

# Permuting refuses changes of a function, and takes a norm with its layer.
safetensors norm.safetensors '{"0.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"0.bias":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"1.running_mean":{"dtype":"F32","shape":[2],"data_offsets":[16,24]},"1.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[24,32]},"3.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[32,40]}}' "$(floats 6 "$one")"'\005\000\000\000\000\000\000\000'"$(floats 2 "$one")"
run 1 permute norm.safetensors -o x.safetensors --layers 0,3 --quiet
says "tensor '1.running_mean' of the file is not one of the networks'"
run 0 permute norm.safetensors -o normed.safetensors
run 0 info normed.safetensors --tensors
prints "1.num_batches_tracked"
run 0 space norm.safetensors
prints "1.running_mean  (n1)"
run 0 space norm.safetensors --json
cp out norm.json
run 0 permute norm.safetensors -o x.safetensors --space norm.json -q
safetensors odd.safetensors '{"in_proj_weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"out_proj.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[4,8]}}' "$one$one"
run 1 permute odd.safetensors -o x.safetensors --quiet
says "tensor 'in_proj_weight' of the file is not one of the networks'"

# A sidecar's space is that of every command.
mkdir sidecars
safetensors sidecars/n.safetensors '{"u":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"v":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]}}' "$(floats 4 "$one")"
echo '{"label": 1, "space": {"axes": [{"name": "i", "size": 1, "symmetry": "none"}, {"name": "h", "size": 2}], "tensors": [{"name": "u", "shape": ["h", "i"]}, {"name": "v", "shape": ["i", "h"]}]}}' >sidecars/n.json
for command in "info sidecars/n.safetensors" "space sidecars/n.safetensors" "permute sidecars/n.safetensors -o x.safetensors"; do
    # shellcheck disable=SC2086
    run 0 $command -q
done
prints "1 axis each"
"$nftool" info sidecars/n.safetensors >out 2>err
says "sidecars/n.safetensors: its space is that of its sidecar"
run 0 collect sidecars -o x.safetensors --labels sidecar
run 1 collect sidecars -o x.safetensors --labels sidecar --label lable
says "its sidecar sidecars/n.json has no key 'lable'; its keys are label, space; did you mean 'label'?"
rm sidecars/n.json
pair sidecars/n.safetensors D 4 1 G 2 4
run 1 collect sidecars -o x.safetensors --labels sidecar --layers G,D
says "it has no sidecar, which would be sidecars/n.json"
echo '{"lr": 1, "space": {"lr": [0.1, 1]}}' >sidecars/n.json # of a search, not of a network
run 1 collect sidecars -o x.safetensors
says "give it in --layers"
run 0 collect sidecars -o x.safetensors --layers G,D
run 0 space sidecars/n.safetensors --layers G,D
prints "G.weight  (n1, n0)"
run 1 collect sidecars -o x.safetensors --layers G,D --space sidecars/n.json
says "give one of them"

# The model of a recipe may be a file.
echo '{"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 3}]}, "modules": []}' >sidecars/model.json
echo '{"model": "model.json", "loss": "mse"}' >sidecars/recipe.json
run 0 space sidecars/recipe.json --json
prints '{"layers":[{"type":"linear","in":2,"out":3}]}'

# Networks in other forms: each note is logged once, and written files have PyTorch's order.
safetensors two.safetensors '{"net0.a.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"net0.b.weight":{"dtype":"F32","shape":[3,2],"data_offsets":[8,32]},"net1.a.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[32,40]},"net1.b.weight":{"dtype":"F32","shape":[3,2],"data_offsets":[40,64]}}' "$(floats 16 "$one")"
"$nftool" permute two.safetensors -o turned.safetensors >out 2>err
prints "2 networks permuted"
says "several alike networks are read as a stack"
check "it is said once" test "$(wc -l <err)" -eq 1
run 0 info turned.safetensors
prints "2 of 13 parameters"
safetensors turned.safetensors '{"0.kernel":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"1.kernel":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]}}' "$(floats 8 "$one")"
run 0 permute turned.safetensors -o x.safetensors
run 0 info x.safetensors --tensors
prints "1.weight  F32   1 × 3 × 2"

# Norms fold into the layers before them, and nowhere else.
run 0 collect norm.safetensors -o folded.safetensors --fold-norms --norm-eps 0.01
prints "folded.safetensors: 1 network of 1 space"
run 0 info folded.safetensors
prints "in 2 layers"
run 2 collect norm.safetensors -o x.safetensors --fold-norms --norm-eps 0
run 1 collect norm.safetensors -o x.safetensors --preset no-such
says "there is no preset 'no-such'; there are small-cnn-zoo"

finish
