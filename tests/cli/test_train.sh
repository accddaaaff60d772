#!/bin/sh
# shellcheck disable=SC2016
# Tests of nftool train and of the pictures of nftool evaluate: test_train.sh PATH-OF-NFTOOL. Prints a line for each failed check, then
# "N passed, N failed".
set -u

# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

# Of a build with sanitizers: memory that Cairo's fonts keep to the end is no leak of the program.
LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0
export LSAN_OPTIONS

sample=$examples/fashion-cnns.safetensors
one='\000\000\200\077'
nan='\000\000\300\177'
zeros8='\000\000\000\000\000\000\000\000'

# Two networks of one layer, 2 → 1; the first weight, then labels of the given type and bytes.
data_set() {
    safetensors "$1" '{"a.weight":{"dtype":"F32","shape":[2,1,2],"data_offsets":[0,16]},"a.bias":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]},"label":{"dtype":"'"$2"'","shape":[2],"data_offsets":[24,'$((24 + $3))']}}' "$4$one$one$one$one$one$5"
}

# recipe FILE MODEL DATA LOSS REST: a recipe in a separate folder; REST are more keys.
recipe() {
    echo "{\"model\": $2, \"train\": \"$3\", \"loss\": \"$4\", \"batch_size\": 2, \"steps\": 3, $5}" >"recipes/$1"
}

# same_logs A B: the same steps and validations; how long they took may differ.
same_logs() {
    for log in "$1" "$2"; do
        sed 's/"samples_per_s":[^,}]*,//; s/"time":[0-9]*//' "$log" >"$log.timeless"
    done
    cmp "$1.timeless" "$2.timeless"
}

# wait_for_steps LOG: until a training in the background has done some.
wait_for_steps() {
    tries=0
    while ! grep -q '"step":5,' "$1" 2>/dev/null && [ $tries -lt 500 ]; do
        sleep 0.02
        tries=$((tries + 1))
    done
}

# is_svg FILE: it is a whole SVG file.
is_svg() {
    grep -q '<svg' "$1" && tail -n 1 "$1" | grep -q '</svg>'
}

mkdir recipes folder
cnn='"space": {"layers": [{"type": "conv2d", "in": 1, "out": 16, "kernel": [3, 3]}, {"type": "conv2d", "in": 16, "out": 16, "kernel": [3, 3]}, {"type": "conv2d", "in": 16, "out": 16, "kernel": [3, 3]}, {"type": "linear", "in": 16, "out": 10}]}'
statistics="{\"format_version\": 1, $cnn, \"modules\": [{\"type\": \"stat_featurizer\"}, {\"type\": \"layer_norm\"}, {\"type\": \"linear\", \"out_features\": 16}, {\"type\": \"relu\"}, {\"type\": \"dropout\", \"p\": 0.2}, {\"type\": \"linear\", \"out_features\": 1}, {\"type\": \"sigmoid\"}]}"
cp "$sample" recipes/cnns.safetensors
cat >recipes/cnns.json <<END
{"model": $statistics, "train": "cnns.safetensors", "validation": "cnns.safetensors", "loss": "bce",
 "optimizer": {"type": "adamw", "lr": 3e-3}, "schedule": {"type": "cosine", "warmup_steps": 4}, "grad_clip": 1,
 "batch_size": 16, "steps": 300, "validate_every": 50}
END

# A training with its log and its picture.
run 0 train recipes/cnns.json -o whole.safetensors --log whole.jsonl --plot whole.svg --threads 1
prints "step 300: loss"
prints ", tau 0."
prints "the model with the lowest validation loss of 300 steps"
check "the log has a line for each step and validation" test "$(wc -l <whole.jsonl)" -eq 306
check "of each step with its speed" test "$(grep -c '"step":[0-9]*,"loss":[0-9.e-]*,"lr":[0-9.e-]*,"grad_norm":[0-9.e-]*,"samples_per_s":[0-9.e+nul]*,"time":[0-9]*}$' whole.jsonl)" -eq 300
check "of each validation with its metrics" test "$(grep -c '"validation_loss":.*"tau":.*"r2":.*"mae":.*"best":' whole.jsonl)" -eq 6
check "the learning curves are drawn" is_svg whole.svg
check "the checkpoint is removed at the end" test ! -e whole.safetensors.checkpoint
run 0 evaluate whole.safetensors "$sample" --json
said=$(sed 's/.*"loss":\([^,]*\),.*/\1/' out)
best=$(sed -n 's/.*"validation_loss":\([^,]*\),.*"best":true.*/\1/p' whole.jsonl | tail -n 1)
check "evaluate agrees with the log about the best model" test "$(printf '%.5f' "$said")" = "$(printf '%.5f' "$best")"
run 0 train recipes/cnns.json -o again.safetensors --json --plot again.svg
check "--json prints a line for each step and validation" test "$(wc -l <out)" -eq 306
check "the same training again is the same bits" cmp whole.safetensors again.safetensors
if command -v python3 >/dev/null 2>&1; then
    check "each line of the log is JSON" python3 -c 'import json
for line in open("whole.jsonl"):
    assert json.loads(line)["step"] >= 0'
fi
if command -v script >/dev/null 2>&1; then
    script -qec "stty cols 200; '$nftool' train recipes/cnns.json -o again.safetensors --threads 1" terminal >/dev/null 2>&1 </dev/null
    check "a terminal sees how far it has come" grep -q 'train: [0-9]* of 300 steps, loss [0-9.]*.* samples a second, [0-9]* s left' terminal
    for columns in 40 80; do
        script -qec "stty cols $columns; '$nftool' train recipes/cnns.json -o again.safetensors --threads 1" terminal >/dev/null 2>&1 </dev/null
        check "no line is longer than $columns columns" sh -c 'tr "\r" "\n" <terminal | grep "^train: " | awk -v most='$columns' "length(\$0) >= most { exit bad = 1 } END { exit bad || NR == 0 }"'
    done
    check "80 columns have room for all" grep -Eq 'tau [0-9.]*, [0-9.]*(/s| samples a second), [0-9]* s left' terminal
    script -qec "'$nftool' train recipes/cnns.json -o again.safetensors --threads 1 --json" terminal >/dev/null 2>&1 </dev/null
    check "and each object is on a separate line" sh -c 'tr "\r" "\n" <terminal | grep "{" | grep -vq "^{" && exit 1; grep -q "{" terminal'
    script -qec "'$nftool' train recipes/cnns.json -o again.safetensors --threads 1 --quiet" terminal >/dev/null 2>&1 </dev/null
    check "unless it is to be quiet" sh -c '! grep -q "s left" terminal'
fi

# Flags in place of the recipe's keys; their paths are relative to the working directory.
run 0 train recipes/cnns.json -o flags.safetensors --train "$sample" --validation "recipes/cnns.safetensors" --validate-every 2 --steps 5 \
    --lr 1e-2 --batch-size 3 --seed 7 --log flags.jsonl
check "--validate-every" test "$(grep -c validation_loss flags.jsonl)" -eq 3
check "--lr" sh -c 'grep "\"step\":1," flags.jsonl | grep -q "\"lr\":0.0025"'
run 0 train recipes/cnns.json -o flags.safetensors --steps 5 --recompute
run 0 train recipes/cnns.json -o stored.safetensors --steps 5
check "--recompute does not change a bit" cmp flags.safetensors stored.safetensors
NFT_KERNELS=portable_amx run 0 train recipes/cnns.json -o bf16.safetensors --steps 5 --precision bf16
NFT_KERNELS=portable_amx run 0 train recipes/cnns.json -o bf16-recomputed.safetensors --steps 5 --precision bf16 --recompute --threads 1
check "with bf16 neither do --recompute and --threads" cmp bf16.safetensors bf16-recomputed.safetensors
check "bf16 is not float32" sh -c '! cmp -s bf16.safetensors stored.safetensors'
run 0 train recipes/cnns.json -o layers.safetensors --steps 5 --layers conv1,conv2,conv3,fc
check "--layers in natural order changes nothing" cmp layers.safetensors stored.safetensors
run 1 train recipes/cnns.json -o x.safetensors --layers conv1,conv9
says "conv9"

# The recipes that predict the accuracy of CNNs.
for path in "$examples"/../cnn-accuracy/*.json; do
    sed 's/"warmup_steps": 100/"warmup_steps": 1/' "$path" >recipes/accuracy.json
    run 0 train recipes/accuracy.json --train "$sample" --validation "$sample" --steps 2 --batch-size 4 -o accuracy.safetensors --quiet
done

# Killed before any checkpoint has its name, the same command resumes from the one before, and the result is bit-identical. There is a
# checkpoint after each step, so a process that is killed at its Nth has done N - 1 steps for the next one.
if [ -n "${INTERPOSED:-}" ]; then
    for checkpoints in 1 20 25 25 30 30 30; do
        env LD_PRELOAD="$INTERPOSED" KILLED=killed.safetensors.checkpoint KILLED_AT=$checkpoints "$nftool" train recipes/cnns.json \
            -o killed.safetensors --log killed.jsonl --checkpoint-every 0 --threads 1 >out 2>err &
        wait $! 2>/dev/null
        check "killed at checkpoint $checkpoints" test $? -eq 137
    done
    check "a killed program leaves whole lines" sh -c '[ "$(tail -c 1 killed.jsonl | od -An -c | tr -d " ")" = "\\n" ]'
    "$nftool" train recipes/cnns.json -o killed.safetensors --log killed.jsonl --threads 1 >out 2>err
    check "it resumes to the end" test $? -eq 0
    check "and says from where" grep -q 'resumes after 154 steps' err
    check "a training that was killed ends with the same bits" cmp whole.safetensors killed.safetensors
    check "and the same log" same_logs whole.jsonl killed.jsonl
    check "its checkpoint is gone" test ! -e killed.safetensors.checkpoint
fi

# Asked to stop, it finishes the step and keeps everything.
"$nftool" train recipes/cnns.json -o stopped.safetensors --log stopped.jsonl --checkpoint here.checkpoint --steps 100000 >out 2>err &
program=$!
wait_for_steps stopped.jsonl
kill -TERM $program
wait $program
check "a signal ends it with status 1" test $? -eq 1
says "the same command resumes from here.checkpoint"
check "in one line" test "$(wc -l <err)" -eq 1
check "the checkpoint is there" test -e here.checkpoint
done_steps=$(sed 's/.*after \([0-9]*\) of.*/\1/' err)
check "the log ends with the checkpoint" grep -q "\"step\":$((done_steps - 1))," stopped.jsonl

# A program that the shell told to ignore a signal ignores it.
rm -f ignoring.jsonl
(
    trap '' TERM
    exec "$nftool" train recipes/cnns.json -o ignoring.safetensors --log ignoring.jsonl --quiet
) >out 2>err &
program=$!
wait_for_steps ignoring.jsonl
kill -TERM $program
wait $program
check "a signal that is ignored ends nothing" test $? -eq 0
check "such a training is whole" cmp ignoring.safetensors whole.safetensors

# Another recipe, model or data set than the checkpoint's.
cp stopped.jsonl untouched.jsonl
run 1 train recipes/cnns.json -o stopped.safetensors --log stopped.jsonl --checkpoint here.checkpoint
says "steps"
says "remove it to begin anew, or give another --checkpoint"
run 1 train recipes/cnns.json -o stopped.safetensors --log stopped.jsonl --checkpoint here.checkpoint --steps 100000 --lr 1
says "lr"
run 0 permute recipes/cnns.safetensors -o permuted.safetensors --seed 1
run 1 train recipes/cnns.json -o stopped.safetensors --checkpoint here.checkpoint --steps 100000 --train permuted.safetensors
says "the inputs of the training set are not the same"
echo "no checkpoint" >broken.checkpoint
run 1 train recipes/cnns.json -o stopped.safetensors --log stopped.jsonl --checkpoint broken.checkpoint
says "broken.checkpoint"
says "; give another --checkpoint"
run 1 train recipes/cnns.json -o stopped.safetensors --checkpoint permuted.safetensors
says "this is not a checkpoint; give another --checkpoint"
run 1 train recipes/cnns.json -o stopped.safetensors --checkpoint /dev/null
check "a file that is no checkpoint is never to be removed" sh -c '! grep -q remove err'
check "a failed command does not change the log" cmp stopped.jsonl untouched.jsonl

# A resumed training adds only to its own log.
echo "my notes" >notes.txt
cp notes.txt kept.txt
run 1 train recipes/cnns.json -o stopped.safetensors --log notes.txt --checkpoint here.checkpoint --steps 100000
says "notes.txt: is not the log of a training"
check "a file that is no log stays" cmp notes.txt kept.txt
run 1 train recipes/cnns.json -o fresh.safetensors --log notes.txt --steps 1
says "notes.txt: is not the log of a training"
check "a file that is no log stays when a training begins" cmp notes.txt kept.txt
head -n 1 whole.jsonl >other.jsonl
cp other.jsonl kept.jsonl
run 1 train recipes/cnns.json -o stopped.safetensors --log other.jsonl --checkpoint here.checkpoint --steps 100000
says "other.jsonl: ends after 1 step, but the training resumes after $done_steps: it is not its log; give another --log"
check "another training's log stays" cmp other.jsonl kept.jsonl

# A run that diverges names the step and the parameter, and its last checkpoint stays.
sed 's/"grad_clip": 1,//; s/"bce"/"mse"/; s/, {"type": "sigmoid"}//; s/{"type": "layer_norm"}, //' recipes/cnns.json >recipes/diverging.json
run 1 train recipes/diverging.json -o x.safetensors --lr 1e30 --checkpoint-every 0
says "step "
says "not finite"
says "the largest parameter is "
says "x.safetensors.checkpoint keeps the last state"
check "the last checkpoint stays" test -e x.safetensors.checkpoint
rm -f x.safetensors.checkpoint
# The first validation is of parameters that are fine, and there is no checkpoint yet.
run 1 train recipes/diverging.json -o x.safetensors --lr 1e30 --validate-every 1
says "x.safetensors.best is the model with the lowest validation loss so far, "
check "the model itself is not there" test ! -e x.safetensors
run 1 train recipes/diverging.json -o x.safetensors --checkpoint x.safetensors.best
says "x.safetensors.best: is where the best model is kept if the training diverges; give another --output"
check "there was no checkpoint" test ! -e x.safetensors.checkpoint
run 0 evaluate x.safetensors.best recipes/cnns.safetensors --json

# Faults are reported before any time is spent.
data_set floats.safetensors F32 8 "$one" '\000\000\000\000\000\000\000\077'
data_set classes.safetensors I64 16 "$one" "$zeros8"'\001\000\000\000\000\000\000\000'
data_set range.safetensors I64 16 "$one" "$zeros8"'\007\000\000\000\000\000\000\000'
data_set large.safetensors F32 8 "$one" "$one"'\000\000\000\100'
data_set nan.safetensors F32 8 "$nan" '\000\000\000\000\000\000\000\077'
safetensors unlabelled.safetensors '{"a.weight":{"dtype":"F32","shape":[2,1,2],"data_offsets":[0,16]},"a.bias":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]}}' "$one$one$one$one$one$one"
cp ./*.safetensors recipes
small='"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 1}]}'
probability="{$small, \"modules\": [{\"type\": \"np_pool\"}, {\"type\": \"linear\", \"out_features\": 1}, {\"type\": \"sigmoid\"}]}"
logits="{$small, \"modules\": [{\"type\": \"np_pool\"}, {\"type\": \"linear\", \"out_features\": 3}]}"
adam='"optimizer": {"type": "adam"}'
recipe good.json "$probability" floats.safetensors bce "$adam"
recipe classes.json "$logits" classes.safetensors cross_entropy "$adam"
run 0 train recipes/good.json -o good.safetensors --plot good.svg
check "three steps are a picture" is_svg good.svg
run 0 train recipes/classes.json -o classes-model.safetensors --validation classes.safetensors --plot classes.svg --json
prints '"accuracy":'

recipe fit.json "$statistics" floats.safetensors bce "$adam"
run 1 train recipes/fit.json -o x.safetensors
says "training set"
run 1 train recipes/good.json -o x.safetensors --validation "$sample"
says "validation set"
recipe range.json "$logits" range.safetensors cross_entropy "$adam"
run 1 train recipes/range.json -o x.safetensors
says "7"
recipe kind.json "$logits" floats.safetensors cross_entropy "$adam"
run 1 train recipes/kind.json -o x.safetensors
says "label 1 is 0.5, expected a whole number, a class"
recipe kind.json "$probability" classes.safetensors bce "$adam"
run 0 train recipes/kind.json -o kind.safetensors --quiet
rm kind.safetensors
recipe large.json "$probability" large.safetensors bce "$adam"
run 1 train recipes/large.json -o x.safetensors
recipe nan.json "$probability" nan.safetensors bce "$adam"
run 1 train recipes/nan.json -o x.safetensors
says "not finite"
recipe unlabelled.json "$probability" unlabelled.safetensors bce "$adam"
run 1 train recipes/unlabelled.json -o x.safetensors
says "no tensor 'label'"
recipe empty.json '""' floats.safetensors bce "$adam"
run 1 train recipes/empty.json -o x.safetensors
says "recipes/empty.json: 'model' is empty, expected the path of a file"
recipe absent.json "$probability" absent.safetensors bce "$adam"
run 1 train recipes/absent.json -o x.safetensors
says "absent.safetensors"
recipe model.json '"good.json"' floats.safetensors bce "$adam"
run 1 train recipes/model.json -o x.safetensors
recipe data.json "$probability" good.json bce "$adam"
run 1 train recipes/data.json -o x.safetensors
says "expected a data set"
recipe misspelt.json "$probability" floats.safetensors bce '"optimizer": {"type": "adam", "beta": [0.9, 0.99]}'
run 1 train recipes/misspelt.json -o x.safetensors
says "did you mean 'betas'?"
recipe misspelt.json "$probability" floats.safetensors bce "$adam, \"validat_every\": 2"
run 1 train recipes/misspelt.json -o x.safetensors
says "did you mean 'validate_every'?"
recipe loss.json "$probability" floats.safetensors bse "$adam"
run 1 train recipes/loss.json -o x.safetensors
says "bse"
recipe optimizer.json "$probability" floats.safetensors bce '"shuffle": true'
run 1 train recipes/optimizer.json -o x.safetensors
says "'optimizer'"
run 1 train recipes -o x.safetensors
says "recipes: is a folder, expected a recipe"
run 1 train whole.safetensors -o x.safetensors
says "whole.safetensors: is no recipe"
run 1 train '/no such' -o x.safetensors
echo '{"model": ' >recipes/broken.json
run 1 train recipes/broken.json -o x.safetensors
says "broken.json"
run 1 train recipes/good.json -o absent/x.safetensors
says "cannot write to folder 'absent'"
run 1 train recipes/good.json -o folder
says "is a folder"
run 1 train recipes/good.json -o x.safetensors --log absent/x.jsonl
says "cannot write to folder 'absent'"
run 0 train recipes/good.json -o good.safetensors --plot good.png
check "a plot may be PNG" test "$(head -c 8 good.png | od -An -tx1 | tr -d ' ')" = 89504e470d0a1a0a
run 0 evaluate whole.safetensors "$sample" --plot good.png
run 1 train recipes/good.json -o x.safetensors --plot x.pdf
says "--plot x.pdf: expected a name that ends in .svg or .png"
run 1 train recipes/good.json -o x.safetensors --plot absent/x.svg
says "cannot write to folder 'absent'"
run 1 train recipes/good.json -o x.safetensors --checkpoint folder
says "folder"
run 2 train recipes/good.json -o x.safetensors --checkpoint-every soon
run 2 train recipes/good.json -o x.safetensors --plt x.svg
says "did you mean '--plot'"
if [ -w /dev/full ]; then
    run 1 train recipes/good.json -o x.safetensors --log /dev/full
    says "/dev/full"
    says "the same command resumes from x.safetensors.checkpoint, after 1 of 3 steps"
    rm x.safetensors.checkpoint
    "$nftool" train recipes/cnns.json -o x.safetensors --json >/dev/full 2>err
    check "a training that cannot print says so" test $? -eq 1
    says "cannot write to standard output"
    rm -f x.safetensors x.safetensors.checkpoint
fi

# Processes of mpirun that know nothing of each other would write the same files.
if ! "$nftool" --version | grep -q 'with MPI'; then
    OMPI_COMM_WORLD_SIZE=2 "$nftool" train recipes/good.json -o x.safetensors >out 2>err
    check "a program without MPI refuses mpirun" test $? -eq 1
    says "built without MPI"
    OMPI_COMM_WORLD_SIZE=2 "$nftool" bench recipes/good.json --train >out 2>err
    check "also to bench a training" test $? -eq 1
    says "built without MPI"
fi

# Predictions are compared with the tensor of the model's training.
safetensors recipes/targets.safetensors '{"a.weight":{"dtype":"F32","shape":[2,1,2],"data_offsets":[0,16]},"a.bias":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]},"target":{"dtype":"I16","shape":[2],"data_offsets":[24,28]}}' "$one$one$one$one$one$one"'\001\000\002\000'
recipe targets.json "$logits" targets.safetensors cross_entropy "$adam"
run 0 train recipes/targets.json -o targets.safetensors
run 0 evaluate targets.safetensors recipes/targets.safetensors --json
keys loss accuracy
safetensors recipes/tokens.safetensors '{"output":{"dtype":"F32","shape":[2,1,2],"data_offsets":[0,16]},"label":{"dtype":"I64","shape":[2],"data_offsets":[16,32]}}' "$one$one$one$one$zeros8$zeros8"
recipe tokens.json '{"format_version": 1, "input": {"type": "tokens", "tokens": 1, "channels": 2}, "modules": [{"type": "mean_tokens"}, {"type": "linear", "out_features": 3}]}' tokens.safetensors cross_entropy "$adam"
run 0 train recipes/tokens.json -o tokens.safetensors
run 1 train recipes/tokens.json -o x.safetensors --layers a,b
says "is a data set of tokens; --layers names the layers of weights"

# Pictures of a model's predictions.
run 0 evaluate whole.safetensors "$sample" --plot scatter.svg
prints "tau "
check "predicted against actual is drawn" is_svg scatter.svg
run 0 evaluate classes-model.safetensors classes.safetensors --plot confusion.svg --json
keys loss accuracy
check "the confusion matrix is drawn" is_svg confusion.svg
# glyphs PICTURE MORE: it has as many letters more than the confusion matrix with numbers.
glyphs() {
    [ "$(grep -c '<use' "$1")" -ge $(($(grep -c '<use' confusion.svg) + $2)) ]
}
for names in '\"red\",\"green\",\"yellow\"' '\"red\",\"green\"'; do
    safetensors named.safetensors '{"__metadata__":{"nft.classes":"['"$names"']"},"a.weight":{"dtype":"F32","shape":[2,1,2],"data_offsets":[0,16]},"a.bias":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]},"label":{"dtype":"I64","shape":[2],"data_offsets":[24,40]}}' \
        "$one$one$one$one$one$one$zeros8"'\001\000\000\000\000\000\000\000'
    run 0 evaluate classes-model.safetensors named.safetensors --plot named.svg
    case $names in
    *yellow*) check "the data name the classes" glyphs named.svg 12 && cp named.safetensors recipes ;;
    *) check "two names are not those of three classes" sh -c "[ \$(grep -c '<use' named.svg) -le \$(grep -c '<use' confusion.svg) ]" ;;
    esac
done
recipe named.json "$logits" named.safetensors cross_entropy "$adam"
run 0 train recipes/named.json -o named-model.safetensors
run 0 evaluate named-model.safetensors classes.safetensors --plot named.svg
check "the model names the classes" glyphs named.svg 12
recipe numbers.json "{$small, \"modules\": [{\"type\": \"np_pool\"}, {\"type\": \"linear\", \"out_features\": 1}]}" named.safetensors bce "$adam"
check "a loss of numbers takes the numbers of classes" sh -c '"$0" train recipes/numbers.json -o numbers-model.safetensors >out 2>err' "$nftool"
says "'label' is the number of a class, of [\"red\",\"green\",\"yellow\"], and the loss bce takes it as a number"
recipe numbers.json "{$small, \"modules\": [{\"type\": \"np_pool\"}, {\"type\": \"linear\", \"out_features\": 1}]}" classes.safetensors mse "$adam"
run 0 train recipes/numbers.json -o numbers-model.safetensors # without a warning
recipe many.json "{$small, \"modules\": [{\"type\": \"np_pool\"}, {\"type\": \"linear\", \"out_features\": 40}]}" classes.safetensors cross_entropy "$adam"
run 0 train recipes/many.json -o many.safetensors
run 0 evaluate many.safetensors classes.safetensors --plot many.svg
check "also of very many classes" is_svg many.svg
# 2 × 3,000 targets, all 0: more than a picture has points, and a loss that falls by orders of magnitude.
safetensors recipes/wide-data.safetensors '{"a.weight":{"dtype":"F32","shape":[2,1,2],"data_offsets":[0,16]},"a.bias":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]},"label":{"dtype":"F32","shape":[2,3000],"data_offsets":[24,24024]}}' "$one$one$one$one$one$one"
head -c 24000 /dev/zero >>recipes/wide-data.safetensors
recipe wide.json "{$small, \"modules\": [{\"type\": \"np_pool\"}, {\"type\": \"linear\", \"out_features\": 3000}]}" wide-data.safetensors mse '"optimizer": {"type": "adam", "lr": 0.02}'
run 0 train recipes/wide.json -o wide.safetensors --steps 1500 --plot wide-curves.svg
check "a band shows the quantiles of many losses" grep -q 'fill-opacity:0.2;' wide-curves.svg
check "few losses have none" sh -c '! grep -q "fill-opacity:0.2;" whole.svg'
run 0 train recipes/wide.json -o wide.safetensors --steps 300 --lr 0 --plot constant.svg
check "the curve of a loss that stays is drawn" is_svg constant.svg
check "learning curves of 1,500 steps are small" test "$(wc -c <wide-curves.svg)" -lt 200000
run 0 evaluate wide.safetensors recipes/wide-data.safetensors --plot wide.svg
check "very many points are drawn by their density" test "$(wc -c <wide.svg)" -lt 2000000
run 1 evaluate whole.safetensors "$sample" --plot absent/scatter.svg
says "cannot write to folder 'absent'"

# A file that cannot be written ends a training, but loses nothing of it. The log is a pipe whose reader lets it come to the first validation
# only when there is a folder in the place of the plot.
mkfifo pipe
set -- --validation recipes/floats.safetensors --steps 3000 --validate-every 1500 --lr 1e-4 # which is not done by then
"$nftool" train recipes/good.json "$@" -o lost.safetensors --log pipe --plot lost.svg >out 2>err &
program=$!
exec 3<pipe
read -r first <&3
check "a log may be a pipe" sh -c 'case $1 in *"\"step\":0,"*) ;; *) exit 1 ;; esac' sh "$first"
mkdir lost.svg
cat <&3 >rest.jsonl
exec 3<&-
wait $program
check "a plot that cannot be written ends it with status 1" test $? -eq 1
check "in one line, too" test "$(wc -l <err)" -eq 1
says "lost.svg"
says "the same command resumes from lost.safetensors.checkpoint, after 1500 of 3000 steps"
rmdir lost.svg
"$nftool" train recipes/good.json "$@" -o lost.safetensors --plot lost.svg >out 2>err
check "the same command resumes" grep -q 'resumes after 1,500 steps' err
run 0 train recipes/good.json "$@" -o never.safetensors --quiet
check "and no step is lost" cmp lost.safetensors never.safetensors

# No output is an input or another output.
cp recipes/cnns.json own.json
run 1 train recipes/cnns.json -o recipes/cnns.json
says "recipes/cnns.json: is also an input; give -o another file"
run 1 train recipes/cnns.json -o recipes/cnns.safetensors
says "cnns.safetensors: is also an input; give -o another file"
run 1 train recipes/cnns.json -o x.safetensors --train "$sample" --log "$sample"
says "is also an input; give --log another file"
run 1 train recipes/cnns.json -o x.safetensors --plot x.safetensors
says "x.safetensors: is given to -o and to --plot; they are two files"
run 1 evaluate whole.safetensors "$sample" --plot whole.safetensors
says "is also an input; give --plot another file"
# Also of files that are yet to be made, under two names.
run 1 train recipes/cnns.json -o x.safetensors --checkpoint ./x.safetensors
says "x.safetensors: is given to -o and to --checkpoint; they are two files"
run 1 train recipes/cnns.json -o x.safetensors --log "$PWD/folder/../x.safetensors"
says "x.safetensors: is given to -o and to --log; they are two files"
run 1 train recipes/cnns.json -o x.safetensors --log x.safetensors.checkpoint
says "x.safetensors.checkpoint: is also an input; give --log another file"
run 1 evaluate whole.safetensors "$sample" --predictions x.safetensors --plot ./x.safetensors
says "they are two files"
# The model of a recipe is an input.
cp whole.safetensors recipes/own-model.safetensors
recipe own-model.json '"own-model.safetensors"' cnns.safetensors bce "$adam"
run 1 forward recipes/own-model.json "$sample" -o recipes/own-model.safetensors
says "recipes/own-model.safetensors: is also an input; give -o another file"
run 1 evaluate recipes/own-model.json "$sample" --loss bce --predictions "$PWD/recipes/own-model.safetensors"
says "is also an input; give --predictions another file"
check "nor is the model of a recipe" cmp whole.safetensors recipes/own-model.safetensors
check "nothing was replaced" cmp own.json recipes/cnns.json

check "no model is left by failures" test ! -e x.safetensors
# A file that kill -9 interrupts while it is written stays, under another name.
check "no temporary file is left" sh -c '[ "$(find . -name "*.tmp" ! -name ".killed.*" | wc -l)" -eq 0 ]'
# Early stopping: without a learning rate no validation is better than the first.
cat >patient.json <<JSON
{"model": {"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 32}, {"type": "linear", "in": 32, "out": 32}, {"type": "linear", "in": 32, "out": 1}]},
           "modules": [{"type": "hnp_pool"}, {"type": "linear", "out_features": 10}]},
 "train": "$examples/mnist-sirens.safetensors", "validation": "$examples/mnist-sirens.safetensors", "loss": "cross_entropy",
 "optimizer": {"type": "adam", "lr": 0}, "batch_size": 8, "epochs": 2, "validate_every": 2, "patience": 2}
JSON
run 0 train patient.json -o patient.safetensors
prints "stopped early after 6 of 15 steps: 2 validations without a lower loss"
prints "patient.safetensors: the model with the lowest validation loss of 6 steps"
run 0 train patient.json -o patient.safetensors --set patience=null
prints "lowest validation loss of 15 steps"
run 1 train patient.json -o patient.safetensors --set patience=0
says "'patience' is not a number of validations, at least 1"

finish
