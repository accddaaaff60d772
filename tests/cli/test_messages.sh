#!/bin/sh
# test_messages.sh PATH-OF-NFTOOL: the messages that new users meet, and help.
# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

model=$examples/digit-classifier.safetensors
cp "$examples/mnist-sirens.safetensors" data.safetensors
cp "$model" model.safetensors
echo '{"parts": ["data.safetensors"]}' >index.json
echo '{"accuracy": 0.5}' >sidecar.json
echo '{"accuracy": 0.5, "space": {"layers": [{"type": "linear", "in": 3, "out": 7}]}}' >with-space.json

# Swapped arguments are told.
for command in forward evaluate; do
    for data in data.safetensors index.json sidecar.json; do
        run 1 $command $data model.safetensors
        says "$data: is not a model, but model.safetensors is: are the two swapped? Usage is 'nftool $command MODEL "
    done
done
run 1 forward index.json data.safetensors
says "index.json: is an index of networks, expected a model"
run 1 bench sidecar.json
says "sidecar.json: has neither 'modules', as a configuration has, nor 'model', as a recipe has"

# A sidecar has info.
run 0 info sidecar.json
prints "JSON: neither a configuration nor a recipe nor an index"
prints "accuracy  0.5"
run 0 info with-space.json
prints "7 × 3"
run 0 info sidecar.json --json
prints '{"kind":"json","entries":{"accuracy":0.5}}'

# Metadata are listed, long texts cut for people and whole in JSON, and classes stand at their label.
long=$(printf '%0120d' 0)
safetensors classes.safetensors '{"__metadata__":{"nft.classes":"[\"cat\",\"dog\"]","long":"'"$long"'","note":"\u001b[31mred"},"a.weight":{"dtype":"F32","shape":[2,1,2],"data_offsets":[0,16]},"a.bias":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]},"label":{"dtype":"I64","shape":[2],"data_offsets":[24,40]}}' \
    "$(printf '%024d' 0 | sed 's/0/\\000/g')"'\000\000\000\000\000\000\000\000\001\000\000\000\000\000\000\000'
run 0 info classes.safetensors
prints "0 … 1: cat, dog"
prints "metadata     value"
prints 'note         \x1b[31mred'
prints "long         $(printf '%0100d' 0) …"
run 0 info classes.safetensors --json
prints '"metadata":{"nft.classes":"[\"cat\",\"dog\"]","long":"'"$long"'","note":"\u001B[31mred"}'
run 0 info model.safetensors
prints "cross_entropy"
prints '{"nft.canonical": "sign-phase", "nft.omega": "30"}'
run 0 info model.safetensors --json
prints '"nft.loss":"cross_entropy","nft.trained_on":"{'
safetensors plain.safetensors '{"__metadata__":{"made":"today"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' '\000\000\000\000'
run 0 info plain.safetensors
prints "made      today"

# One file is expected where many networks are.
mkdir zoo
for command in "forward model.safetensors" "evaluate model.safetensors" init; do
    # shellcheck disable=SC2086
    run 1 $command zoo
    says "zoo: is a folder, expected a file; 'nftool collect' makes a data set of it"
    # shellcheck disable=SC2086
    run 2 $command data.safetensors data.safetensors
    says "'data.safetensors' is one file too many: usage is 'nftool ${command% *}"
    says "; 'nftool collect' makes a data set of several files"
done

# Training without labels lists the tensors that may be meant.
echo '{"model": "model.safetensors", "train": "data.safetensors", "loss": "cross_entropy", "optimizer": {"type": "adamw", "lr": 1e-3}, "batch_size": 2, "steps": 1}' >recipe.json
run 1 train recipe.json -o x.safetensors --label labl
says "it has no tensor 'labl' with a number for each of its 60 samples; it has 'label'; name one with the recipe's \"label\" or --label; did you mean 'label'?"
run 1 train recipe.json -o x.safetensors --set label=acuracy
says "samples; it has 'label'; name one with the recipe's \"label\" or --label"
check "nothing near is suggested" sh -c '! grep -q "did you mean" err'
echo '{"format_version": 1, "parts": [{"file": "data.safetensors", "count": 60}]}' >parts.json
run 1 train recipe.json -o x.safetensors --set train=parts.json --label labl
says "data.safetensors: it has no tensor 'labl' with a number for each of its 60 samples; it has 'label'"

# An entry of an object inside the recipe is found.
run 1 train recipe.json -o x.safetensors --set lr=3
says "unknown option 'lr'; did you mean 'optimizer.lr'?"
run 1 train recipe.json -o x.safetensors --set steeps=3
says "unknown option 'steeps'; did you mean 'steps'?"

# The model's space has no residual connections, so its networks have none.
run 0 forward "$examples/accuracy-predictor.safetensors" "$examples/one-cnn.safetensors"
cp "$examples/one-cnn.safetensors" one.safetensors
"$nftool" info one.safetensors >out 2>err
says "a file does not show residual connections"

# Of an index the part is told whose space is not the model's.
echo '{"format_version": 1, "parts": [{"file": "data.safetensors", "count": 60}, {"file": "one.safetensors", "count": 1}]}' >mixed.json
for command in forward "evaluate --loss bce"; do
    # shellcheck disable=SC2086
    "$nftool" $command "$examples/accuracy-predictor.safetensors" mixed.json --batch-size 64 >out 2>err
    says "mixed.json: data.safetensors: "
done

# Files that are not networks say what they are.
printf '\000\000\010\003\000\000\000\001\000\000\000\001\000\000\000\001x' >images.idx
printf '\000\000\010\001\000\000\000\001x' >labels.idx
for command in info "collect -o x.safetensors" "permute -o x.safetensors" "forward model.safetensors"; do
    # shellcheck disable=SC2086
    run 1 $command images.idx
    says "images.idx: not a file of tensors: it is an IDX file of images; 'nftool fit' makes networks of it"
done
run 1 info labels.idx
says "labels.idx: not a file of tensors: it is an IDX file of labels"
run 1 collect model.safetensors -o x.safetensors
check "no more is said of a model" grep -q "model.safetensors: this is a model file, expected networks\$" err

# Batch norms have a way out.
safetensors norms.safetensors '{"conv.weight":{"dtype":"F32","shape":[1,1,1,1],"data_offsets":[0,4]},"conv.bias":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"bn.weight":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"bn.bias":{"dtype":"F32","shape":[1],"data_offsets":[12,16]},"bn.running_mean":{"dtype":"F32","shape":[1],"data_offsets":[16,20]},"bn.running_var":{"dtype":"F32","shape":[1],"data_offsets":[20,24]}}' \
    "$(printf '%024d' 0 | sed 's/0/\\000/g')"
for command in info "collect -o x.safetensors"; do
    # shellcheck disable=SC2086
    run 1 $command norms.safetensors
    says "norms.safetensors: 'bn' is a batch norm, so this is no chain of layers: 'nftool collect --fold-norms' folds it into"
    says "in --space"
done

# A model of any space has no module whose output depends on the space.
for pool in np_pool hnp_pool; do
    echo '{"format_version": 1, "space": "any", "modules": [{"type": "lift", "out_channels": 4}, {"type": "'$pool'"}]}' >$pool.json
    run 1 info $pool.json
    says "modules[1] ($pool): its size depends on the space, but the model is of any space; role_pool has one size for all"
done

# A file that is not there is told alike by all.
for command in "info" "forward" "train" "evaluate" "bench" "compare" "permute" "render" "fit" "space"; do
    for file in absent.json absent.safetensors; do
        case $command in
        forward | evaluate) set -- $file data.safetensors ;;
        train | permute | fit) set -- $file -o x ;;
        render) set -- $file -o x.png ;;
        *) set -- $file ;;
        esac
        run 1 $command "$@"
        says "$file: cannot open: No such file or directory"
    done
done

# Help leaves out common options without effect.
for command in info permute compare space collect; do
    run 0 $command --help
    check "$command has no threads" sh -c '! grep -q -e "--threads" out'
    prints "--quiet"
done
run 0 forward --help
prints "--threads N"
run 0 permute --help
prints "--seed S"
run 0 collect --help
prints "nftool collect zoo/*.pt --labels zoo/results.csv"
prints "nft.classes"

finish
