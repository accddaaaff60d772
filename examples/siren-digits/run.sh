#!/bin/sh
# run.sh IMAGES RESULTS [ROW …]: fits SIRENs to the digits of IMAGES/mnist and the clothes of IMAGES/fashion, trains the recipes
# of this folder on them, judges each model on SIRENs of the test images and prints the tables. Each of the two folders holds the
# four files in which MNIST and FashionMNIST are distributed. ROW is a row of the tables; without any, all are done but those of
# single ideas.
# run.sh --small RESULTS [ROW …]: the same on 300 digits of the tree, with few steps: it shows the procedure, and the models learn nothing.
#
# Results that RESULTS already holds are not made again, and interrupted fits and trainings resume. Rows may be done by several
# runs at the same time. NFTOOL names the program (default: nftool), PYTHON the interpreter for the rows of dilation (default: python3),
# THREADS how many each fit and training takes (default: 1).
set -eu

fit_steps=250
train_options=
drawn=40 # networks in a picture
sample_rows='mnist-nft mnist-hnp-nfn mnist-nft-raw mnist-mlp mnist-inr2array dilation-nft dilation-np-nfn dilation-hnp-nfn
    dilation-none mnist-nft-long'
all_rows="$sample_rows fashion-nft fashion-hnp-nfn"
# Done only when they are named.
sample_ideas='mnist-messages mnist-messages-wide mnist-messages-gelu mnist-inr2array-messages mnist-nft-augmented mnist-nft-mixup mnist-nft-image mnist-nft-phases mnist-nft-even mnist-nft-forward mnist-nft-probes mnist-probes'
idea_rows="$sample_ideas $(echo "$sample_ideas" | sed 's/mnist-/fashion-/g') dilation-nft-4"

usage() {
    echo "usage: run.sh IMAGES RESULTS [ROW …], or run.sh --small RESULTS [ROW …]" >&2
    exit 2
}

complain() {
    echo "run.sh: $*" >&2
    exit 1
}

[ $# -ge 2 ] || usage
folder=$1
results=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
nftool=${NFTOOL:-nftool}
python=${PYTHON:-python3}
threads=${THREADS:-1}
kind=full
rows=$all_rows
case $folder in
--small)
    kind=small
    fit_steps=100
    train_options='--steps 30 --validate-every 10'
    rows=$sample_rows
    idea_rows="$sample_ideas dilation-nft-4"
    ;;
-*) usage ;;
esac
possible=$(echo "$rows $idea_rows" | tr -s ' \n' ' ' | sed 's/ $//')
[ $# -eq 0 ] || rows="$*"

# --- faults are found before hours of work ---

wants() { # BEGINNING …: whether a row begins with one
    for beginning in "$@"; do
        case " $rows" in *" $beginning"*) return 0 ;; esac
    done
    return 1
}

check_row() { # ROW
    for known in $possible; do
        [ "$known" != "$1" ] || return 0
    done
    complain "'$1' is no row of this run, expected some of: $possible"
}

check_images() { # FOLDER
    for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
        [ -f "$1/$name-ubyte.gz" ] || complain "$1/$name-ubyte.gz: no such file; it is one of the four of a data set"
    done
}

check_python() {
    "$python" -c 'import numpy' 2>/dev/null || complain "the rows of dilation need Python 3 with numpy; PYTHON names it"
}

for row in $rows; do
    check_row "$row"
done
command -v "$nftool" >/dev/null || complain "there is no program '$nftool'; NFTOOL names it"
"$nftool" --version | grep -q libnft || complain "'$nftool' is not libnft's program; NFTOOL names it"
command -v flock >/dev/null || complain "there is no program 'flock', on Debian in the package util-linux"
if [ $kind = full ]; then
    ! wants mnist- dilation- || check_images "$folder/mnist"
    ! wants fashion- || check_images "$folder/fashion"
fi
! wants dilation- || check_python
mkdir -p "$results/locks"
# Of a build that is not installed, Python finds the library next to the program.
library=$(dirname "$(command -v "$nftool")")/libnft.so.0
[ ! -e "$library" ] || NFT_LIBRARY=${NFT_LIBRARY:-$library}
export NFT_LIBRARY="${NFT_LIBRARY:-libnft.so.0}" PYTHONDONTWRITEBYTECODE=1

# --- how a thing is made ---

say() {
    echo "$(date +%H:%M) $*" >&2
}

# once FILE COMMAND …: makes a file of RESULTS that is not there. Of several runs one makes it and the others wait. The lock is
# that of an open file, which the command holds too: it is gone with the last of them, however they end, and not before.
once() {
    made=$results/$1
    [ ! -e "$made" ] || return 0
    lock=$results/locks/$1
    shift
    (
        flock -n 9 || {
            say "another run makes $made: waiting"
            flock 9
        }
        [ -e "$made" ] || "$@"
    ) 9>"$lock"
}

note_kind() {
    echo $kind >"$results/kind.new"
    mv "$results/kind.new" "$results/kind"
}

once kind note_kind
found=$(cat "$results/kind")
[ "$found" = $kind ] || complain "$results: holds a $found run, this one is $kind; give another folder"

# The networks of each part begin from other seeds. Two views of an image are two networks for it; the part `many` has more
# views of the images of `train`.
fit() { # DATA PART
    views=1
    case $kind-$2 in
    full-train) first=0 count=55000 views=2 seed=0 ;;
    full-many) first=0 count=55000 views=4 seed=3 ;;
    full-validation) first=55000 count=5000 seed=1 ;;
    full-test) first=0 count=10000 seed=2 ;;
    small-train) first=0 count=200 views=2 seed=0 ;;
    small-many) first=0 count=200 views=3 seed=3 ;;
    small-validation) first=200 count=50 seed=1 ;;
    small-test) first=250 count=50 seed=2 ;;
    esac
    say "fit $1-$2"
    "$nftool" fit "$(idx "$1" "$2" images-idx3)" --labels "$(idx "$1" "$2" labels-idx1)" --first "$first" --count "$count" \
        --views $views --seed "$seed" --steps $fit_steps --threads "$threads" -o "$results/$1-$2.safetensors" \
        >"$results/$1-$2.txt"
}

# The path of the images or labels of a part.
idx() { # DATA PART images-idx3|labels-idx1
    case $kind-$2-$3 in
    small-*-images-idx3) echo "$here/../data/digits-idx3-ubyte.gz" ;;
    small-*-labels-idx1) echo "$here/../data/digits-labels-idx1-ubyte.gz" ;;
    full-test-*) echo "$folder/$1/t10k-$3-ubyte.gz" ;;
    *) echo "$folder/$1/train-$3-ubyte.gz" ;;
    esac
}

canonicalize() { # DATA PART
    once "$1-$2.safetensors" fit "$1" "$2"
    "$nftool" canonicalize "$results/$1-$2.safetensors" -o "$results/$1-$2-canonical.safetensors" --threads "$threads" >/dev/null
}

dilate() { # DATA PART
    once "$1-$2-canonical.safetensors" canonicalize "$1" "$2"
    "$python" "$here/dilate.py" "$(idx "$1" "$2" images-idx3)" "$results/$1-$2-canonical.safetensors" \
        "$results/$1-$2-dilation.safetensors"
}

encode() { # DATA PART: by the model whose name ends in $variant
    "$nftool" forward "$results/$1-inr2array$variant.safetensors" "$results/$1-$2-canonical.safetensors" --threads "$threads" \
        -o "$results/$1-$2-latents$variant.safetensors" >/dev/null
}

# Few steps are fewer than a recipe's warm-up.
shorten() { # RECIPE
    sed 's/"warmup_steps": *[0-9]*/"warmup_steps": 5/' "$here/$1.json" >"$results/$1.recipe.new"
    mv "$results/$1.recipe.new" "$results/$1.recipe"
}

train() { # NAME RECIPE TRAIN VALIDATION
    recipe=$here/$2.json
    if [ $kind = small ]; then
        once "$2.recipe" shorten "$2"
        recipe=$results/$2.recipe
    fi
    say "train $1"
    # shellcheck disable=SC2086
    "$nftool" train "$recipe" --train "$results/$3.safetensors" --validation "$results/$4.safetensors" $train_options \
        --threads "$threads" --log "$results/$1.jsonl" --plot "$results/$1.svg" -o "$results/$1.safetensors" >>"$results/$1.txt"
}

evaluate() { # NAME MODEL DATA OPTION …
    name=$1
    model=$2
    data=$3
    shift 3
    say "evaluate $name"
    "$nftool" evaluate "$model" "$results/$data.safetensors" --json --threads "$threads" "$@" >"$results/$name.json.new"
    mv "$results/$name.json.new" "$results/$name.json"
}

draw() { # NAME OPERAND …
    name=$1
    shift
    "$nftool" render "$@" --count $drawn --threads "$threads" -o "$results/$name.png" >/dev/null
}

# --- the rows ---

sirens() { # DATA VERSION COMMAND [TRAIN]: of the three parts
    for part in "${4:-train}" validation test; do
        once "$1-$part$2.safetensors" "$3" "$1" "$part"
    done
}

# Trains on two parts and judges on the third.
learn() { # NAME DATA VERSION RECIPE [TRAIN]
    once "$1.safetensors" train "$1" "$4" "$2-${5:-train}$3" "$2-validation$3"
    once "$1.json" evaluate "$1" "$results/$1.safetensors" "$2-test$3"
}

# The recipe of a row.
recipe_of() { # ROW
    case $1 in
    dilation-*) echo "$1" ;;
    *-raw) echo nft ;;
    *) echo "${1#*-}" ;;
    esac
}

# Digits and their reconstructions.
draw_reconstructions() { # NAME DATA
    "$nftool" forward "$results/$1.safetensors" "$results/$2.safetensors" --decode --threads "$threads" \
        -o "$results/$1-decoded.safetensors" >/dev/null
    draw "$1" "$results/$2.safetensors" "$results/$1-decoded.safetensors"
}

# SIRENs before and after the model, and the images that they should be.
draw_edits() { # NAME DATA
    "$nftool" forward "$results/$1.safetensors" "$results/$2.safetensors" --threads "$threads" \
        -o "$results/$1-edited.safetensors" >/dev/null
    draw "$1" "$results/$2.safetensors" "$results/$1-edited.safetensors" "$results/$2.safetensors:target"
}

do_row() { # ROW
    data=${1%%-*}
    recipe=$(recipe_of "$1")
    case $1 in
    dilation-none)
        once mnist-test-dilation.safetensors dilate mnist test
        once "$1.json" evaluate "$1" "$here/$1.json" mnist-test-dilation --loss render
        ;;
    dilation-*)
        sirens mnist -dilation dilate
        learn "$1" mnist -dilation "$recipe"
        once "$1.png" draw_edits "$1" mnist-test-dilation
        ;;
    *-inr2array*)
        variant=${1#*-inr2array}
        sirens "$data" -canonical canonicalize
        learn "$1" "$data" -canonical "$recipe"
        once "$1.png" draw_reconstructions "$1" "$data-test-canonical"
        sirens "$data" "-latents$variant" encode
        learn "$data-latents$variant" "$data" "-latents$variant" "latents$variant"
        ;;
    *-long)
        sirens "$data" -canonical canonicalize many
        learn "$1" "$data" -canonical "$recipe" many
        ;;
    *-raw)
        sirens "$data" "" fit
        learn "$1" "$data" "" "$recipe"
        ;;
    *)
        sirens "$data" -canonical canonicalize
        learn "$1" "$data" -canonical "$recipe"
        ;;
    esac
}

# --- the tables ---

number() { # NAME KEY FORMAT
    sed -n "s/.*\"$2\":\([-+.0-9e]*\).*/\1/p" "$results/$1.json" | awk -v format="$3" '{ printf format, $1 }'
}

# The minutes of trainings, by the times in their logs: steps, validations and checkpoints, without the pause between an interruption
# and the next run, if that is more than a minute.
minutes() { # NAME …
    for name in "$@"; do
        sed -n 's/.*"time":\([0-9]*\).*/\1/p' "$results/$name.jsonl" |
            awk 'NR > 1 && $1 - before < 60 { sum += $1 - before } { before = $1 } END { print sum / 60 }'
    done | awk '{ sum += $1 } END { printf "%.1f", sum }'
}

accuracies() {
    gap
    echo "| row | accuracy | minutes |"
    echo "|---|---|---|"
    for row in $rows; do
        data=${row%%-*}
        case $row in
        dilation-*) ;;
        *-inr2array*)
            latents=$data-latents${row#*-inr2array}
            echo "| $row | $(number "$latents" accuracy %.4f) | $(minutes "$row" "$latents") |"
            ;;
        *) echo "| $row | $(number "$row" accuracy %.4f) | $(minutes "$row") |" ;;
        esac
    done
}

reconstructions() {
    gap
    echo "| row | PSNR of the reconstructions, dB | minutes |"
    echo "|---|---|---|"
    for row in $rows; do
        case $row in
        *-inr2array*) echo "| $row | $(number "$row" psnr %.2f) | $(minutes "$row") |" ;;
        esac
    done
}

edits() {
    gap
    echo "| row | squared error | PSNR, dB | minutes |"
    echo "|---|---|---|---|"
    for row in $rows; do
        case $row in
        dilation-none) echo "| $row | $(number "$row" loss %.5f) | $(number "$row" psnr %.2f) | |" ;;
        dilation-*)
            echo "| $row | $(number "$row" loss %.5f) | $(number "$row" psnr %.2f) | $(minutes "$row") |"
            ;;
        esac
    done
}

# An empty line between two tables.
gap() {
    [ -z "${printed:-}" ] || echo
    printed=yes
}

for row in $rows; do
    do_row "$row"
done
! wants mnist- fashion- || accuracies
! wants mnist-inr2array fashion-inr2array || reconstructions
! wants dilation- || edits
