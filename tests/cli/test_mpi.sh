#!/bin/sh
# Tests of nftool train, forward, evaluate, collect, fit and bench --train on ranks of MPI: test_mpi.sh [FOLDER]. Builds the program with -DNFT_MPI=ON in FOLDER (default: a temporary
# one), so it needs MPI: libopenmpi-dev and openmpi-bin. Prints a line for each failed check, then "N passed, N failed".
set -u

tree=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-}
if [ -z "$build" ]; then
    build=$(mktemp -d)
    temporary=$build
fi
cmake -S "$tree" -B "$build" -DCMAKE_BUILD_TYPE=Release -DNFT_WERROR=ON -DNFT_MPI=ON -DNFT_BUILD_TESTS=OFF -DNFT_BUILD_EXAMPLES=OFF -DNFT_INSTALL=OFF \
    >"$build.log" 2>&1 && cmake --build "$build" -j 2 >>"$build.log" 2>&1 || {
    tail -n 20 "$build.log"
    rm -rf "$build.log" "${temporary:-}"
    echo "0 passed, 1 failed"
    exit 1
}
rm -f "$build.log"

set -- "$build/nftool"
# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"
trap 'rm -rf "$work" "${temporary:-}"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise

# ranks ARGUMENT …: nftool on two ranks of one thread each; messages of mpirun go to err as well.
ranks() {
    mpirun -n 2 --allow-run-as-root --oversubscribe "$nftool" "$@" --threads 1 >out 2>err
}

# Numbers of a log's key, one a line.
numbers() { # KEY LOG
    sed -n "s/.*\"$1\":\\([^,}]*\\).*/\\1/p" "$2"
}

# close_numbers KEY TOLERANCE A B: as many, and equal to a relative error.
close_numbers() {
    numbers "$1" "$3" >left
    numbers "$1" "$4" >right
    paste left right | awk -v tolerance="$2" '
        { difference = $1 - $2; if (difference < 0) difference = -difference; size = $2 < 0 ? -$2 : $2 }
        NF != 2 || difference > tolerance * size { exit bad = 1 }
        END { exit bad || NR == 0 }'
}

cnn='"space": {"layers": [{"type": "conv2d", "in": 1, "out": 16, "kernel": [3, 3]}, {"type": "conv2d", "in": 16, "out": 16, "kernel": [3, 3]}, {"type": "conv2d", "in": 16, "out": 16, "kernel": [3, 3]}, {"type": "linear", "in": 16, "out": 10}]}'
cp "$examples/fashion-cnns.safetensors" data.safetensors
cat >recipe.json <<END
{"model": {"format_version": 1, $cnn, "modules": [{"type": "normalize"}, {"type": "stat_featurizer"}, {"type": "layer_norm"}, {"type": "linear", "out_features": 32},
    {"type": "relu"}, {"type": "dropout", "p": 0.1}, {"type": "linear", "out_features": 1}, {"type": "sigmoid"}]},
 "train": "data.safetensors", "validation": "data.safetensors", "loss": "bce", "optimizer": {"type": "adamw", "lr": 1e-3},
 "grad_clip": 1, "batch_size": 8, "steps": 40, "validate_every": 10}
END

"$nftool" train recipe.json -o one.safetensors --log one.jsonl --threads 1 >out 2>err
check "one process trains" test $? -eq 0
ranks train recipe.json -o two.safetensors --log two.jsonl --plot two.svg
check "two ranks train" test $? -eq 0
check "only rank 0 prints the result" test "$(grep -c 'the model with the lowest' out)" -eq 1
check "each step is logged once" test "$(wc -l <two.jsonl)" -eq 44
check "the losses of each step agree" close_numbers loss 1e-4 two.jsonl one.jsonl
check "and the norms of the gradients" close_numbers grad_norm 1e-3 two.jsonl one.jsonl
check "and the validations" close_numbers validation_loss 1e-4 two.jsonl one.jsonl
"$nftool" evaluate one.safetensors data.safetensors --json >one.scores
"$nftool" evaluate two.safetensors data.safetensors --json >two.scores
check "the models' predictions agree" close_numbers mae 1e-4 two.scores one.scores
ranks train recipe.json -o again.safetensors
check "two ranks again are the same bits" cmp two.safetensors again.safetensors
check "no checkpoint is left" test ! -e two.safetensors.checkpoint

# Killed and started again; with steps enough that the signal finds it at work, however long mpirun takes to hand it on.
mpirun -n 2 --allow-run-as-root --oversubscribe "$nftool" train recipe.json -o long.safetensors --steps 4000 --checkpoint-every 0 --threads 1 \
    >out 2>err &
program=$!
tries=0
while [ ! -e long.safetensors.checkpoint ] && [ $tries -lt 500 ]; do
    sleep 0.02
    tries=$((tries + 1))
done
kill -TERM $program
wait $program
check "told to stop, two ranks leave a checkpoint" test -e long.safetensors.checkpoint
ranks train recipe.json -o long.safetensors --steps 4000
check "two ranks resume" grep -q 'resumes after' err
ranks train recipe.json -o straight.safetensors --steps 4000
check "to the bits of a training that was not interrupted" cmp long.safetensors straight.safetensors

# Failures end all ranks, with one line of the program's.
ranks train recipe.json -o x.safetensors --train absent.safetensors
check "a file that is missing ends both" test $? -ne 0
check "and is said once" test "$(grep -c '^nftool: .*absent.safetensors' err)" -eq 1
ranks train recipe.json -o x.safetensors --lr 1e38
check "a run that diverges ends both" test $? -ne 0
sed 's/"grad_clip"/"schedule": {"type": "constant", "warmup_steps": 1}, "grad_clip"/' recipe.json >warm.json # step 0 changes nothing
ranks train warm.json -o x.safetensors --lr 1e38 --validate-every 1
check "the best model is kept, and that is said" grep -q 'x.safetensors.best is the model with the lowest validation loss so far' err
check "and can be read" "$nftool" evaluate x.safetensors.best data.safetensors
rm -f x.safetensors.checkpoint
check "and is said once, too" test "$(grep -c '^nftool: .*not finite' err)" -eq 1
ranks train recipe.json -o x.safetensors --batch-size 7
check "a batch that is no multiple of the ranks" grep -q '^nftool: .*a batch of 7 cannot be shared equally by 2 ranks' err
# Each with its own: only rank 0 sees a checkpoint, and then another rate.
apart() { # OUTPUT OPTION … of rank 1
    output=$1
    shift
    mpirun --allow-run-as-root --oversubscribe -n 1 "$nftool" train recipe.json -o here/x.safetensors --threads 1 \
        : -n 1 "$nftool" train recipe.json -o "$output" --threads 1 "$@" >out 2>err
}
mkdir here there
"$nftool" train recipe.json -o here/x.safetensors --steps 4000 --checkpoint-every 0 --threads 1 >out 2>err &
program=$!
tries=0
while [ ! -e here/x.safetensors.checkpoint ] && [ $tries -lt 500 ]; do
    sleep 0.02
    tries=$((tries + 1))
done
kill -TERM $program
wait $program
sed 's/"steps": 40/"steps": 4000/' recipe.json >recipe.new && mv recipe.new recipe.json
apart there/x.safetensors
check "ranks that resume from other steps" grep -q '^nftool: here/x.safetensors.checkpoint: ranks have done between 0 and [0-9]* steps' err
check "are told of once" test "$(grep -c 'ranks have done' err)" -eq 1
rm here/x.safetensors.checkpoint
apart there/x.safetensors --lr 1e-4
check "ranks of other recipes" grep -q '^nftool: recipe.json: ranks do not train the same' err
check "no model is left by failures" test ! -e x.safetensors

# How fast they are together.
ranks bench recipe.json --train --batch-size 8
check "two ranks measure their steps" test $? -eq 0
check "only rank 0 reports" test "$(grep -c '^speed' out)" -eq 1
check "and names its ranks" grep -q '^ranks  *2 share each batch' out
ranks bench recipe.json --train --batch-size 8 --scaling 1000
check "two ranks measure a size" test $? -eq 0
check "and one reports it" test "$(grep -c '^ *[0-9,]* *1 ' out)" -eq 1
ranks bench recipe.json --train --batch-size 7
check "a batch of odd size ends both" test $? -ne 0
check "and that is said once" test "$(grep -c '^nftool: .*a batch of 7 cannot be shared equally by 2 ranks' err)" -eq 1
mpirun --allow-run-as-root --oversubscribe -n 1 "$nftool" bench recipe.json --train --threads 1 --batch-size 8 \
    : -n 1 "$nftool" bench recipe.json --train --threads 1 --batch-size 4 >out 2>err
check "ranks that measure different things are told of once" test "$(grep -c '^nftool: recipe.json: ranks do not measure the same' err)" -eq 1

# Networks are shared, and one file is written: the same bits as of one process.
model=$examples/accuracy-predictor.safetensors
"$nftool" forward "$model" data.safetensors -o alone.safetensors --threads 1 >out 2>err
"$nftool" evaluate "$model" data.safetensors --loss bce --json --predictions alone-scores.safetensors --threads 1 >expected 2>err
ranks forward "$model" data.safetensors -o shared.safetensors
check "two ranks run a model" cmp shared.safetensors alone.safetensors
check "only rank 0 says so" test "$(grep -c 'output 50' out)" -eq 1
ranks evaluate "$model" data.safetensors --loss bce --json --predictions shared-scores.safetensors
check "two ranks evaluate a model" cmp out expected
check "and write the predictions" cmp shared-scores.safetensors alone-scores.safetensors
mpirun -n 3 --allow-run-as-root --oversubscribe "$nftool" evaluate "$model" data.safetensors --loss bce --json --threads 1 >out 2>err
check "three ranks evaluate a model" cmp out expected
editor=$examples/digit-editor.safetensors
"$nftool" forward "$editor" "$examples/mnist-sirens.safetensors" --prepare -o alone.safetensors --threads 1 >out 2>err
ranks forward "$editor" "$examples/mnist-sirens.safetensors" --prepare --batch-size 7 -o shared.safetensors
check "features are shared batch by batch" cmp shared.safetensors alone.safetensors
mkfifo pipe
cat pipe >piped.safetensors &
ranks forward "$editor" "$examples/mnist-sirens.safetensors" --prepare -o pipe
wait $!
check "features pass through a pipe" cmp piped.safetensors alone.safetensors
encoder=$examples/digit-encoder.safetensors
"$nftool" evaluate "$encoder" "$examples/mnist-sirens.safetensors" --prepare --loss reconstruction --json --threads 1 >expected 2>err
check "one process compares images" test -s expected
ranks evaluate "$encoder" "$examples/mnist-sirens.safetensors" --prepare --loss reconstruction --json --batch-size 7
check "two ranks share the images" cmp out expected
ranks evaluate "$model" nothing.safetensors --loss bce
check "a missing file is reported once" test "$(grep -c '^nftool: nothing.safetensors: cannot open' err)" -eq 1

# A collection: each rank writes its part of the same file.
mkdir zoo
i=0
while [ $i -lt 11 ]; do
    run 0 permute "$examples/one-cnn.safetensors" --layers conv1,conv2,conv3,fc --seed $i -o zoo/$i.safetensors
    i=$((i + 1))
done
"$nftool" collect zoo -o alone.safetensors >out 2>err
ranks collect zoo -o shared.safetensors
check "two ranks collect networks" cmp shared.safetensors alone.safetensors
check "only rank 0 says so" test "$(grep -c '11 networks of 1 space' out)" -eq 1
mpirun -n 3 --allow-run-as-root --oversubscribe "$nftool" collect zoo -o shared.safetensors >out 2>err
check "three ranks collect networks" cmp shared.safetensors alone.safetensors
"$nftool" fit "$examples/digits-idx3-ubyte.gz" --count 3 --steps 1 --widths 2,6,1 -o zoo/sirens.safetensors >out 2>err
"$nftool" collect zoo -o alone.json >out 2>err
ranks collect zoo -o shared.json
check "two ranks write an index" cmp shared-1.safetensors alone-1.safetensors
ranks collect zoo -o shared.safetensors
check "networks of several spaces end both" test $? -ne 0
check "and that is said once" test "$(grep -c '^nftool: .*one file cannot hold' err)" -eq 1
rm zoo/sirens.safetensors
for bad in 4 10; do # a weight of each becomes infinite
    printf '\000\000\200\177' | dd of=zoo/$bad.safetensors bs=1 seek=$(($(wc -c <zoo/$bad.safetensors) - 4)) conv=notrunc 2>err
done
rm -f shared.safetensors
ranks collect zoo -o shared.safetensors
check "a network that is not finite ends both" test $? -ne 0
check "and its rank says so" test "$(grep -c '^nftool: zoo/.*not finite' err)" -eq 1
check "nothing is left" test ! -e shared.safetensors.partial -a ! -e shared.safetensors
"$nftool" collect zoo --skip -o alone.safetensors >expected 2>err
ranks collect zoo --skip -o shared.safetensors
check "two ranks leave them out" cmp shared.safetensors alone.safetensors
check "and each is listed once" test "$(grep -c '^left out: zoo/.*not finite' out)" -eq 2

images=$examples/digits-idx3-ubyte.gz
set -- --count 9 --steps 5 --widths 2,6,5,1 --canonical --views 2 --batch-size 7
"$nftool" fit "$images" "$@" -o alone.safetensors --threads 1 >out 2>err
ranks fit "$images" "$@" -o shared.safetensors
check "two ranks fit images" cmp shared.safetensors alone.safetensors
set -- --count 5 --steps 5 --widths 2,6,5,1 --shared-init
"$nftool" fit "$images" "$@" -o alone.safetensors --threads 1 >/dev/null 2>err
ranks fit "$images" "$@" -o shared.safetensors
check "two ranks begin all networks with one" cmp shared.safetensors alone.safetensors
check "only rank 0 prints the PSNR" test "$(grep -c 'mean PSNR' out)" -eq 1
check "no partial file is left" test ! -e shared.safetensors.partial
finish
