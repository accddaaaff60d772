#!/bin/sh
# run.sh ZOO RESULTS [SEEDS [RECIPE …]]: trains every recipe of this folder, or those that are named, on the CNNs of ZOO
# (train and validation, each a .safetensors file or a .json index) with seeds 0 … SEEDS - 1 (default 3), judges each model on ZOO's test
# set and prints the table. Finished results are kept, and an interrupted training continues. NFTOOL names the program (default: nftool),
# THREADS its threads (default: all), RECIPES another folder of recipes.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: run.sh ZOO RESULTS [SEEDS [RECIPE …]]" >&2
    exit 2
fi
zoo=$1
results=$2
seeds=${3:-3}
nftool=${NFTOOL:-nftool}
recipes=$(cd "${RECIPES:-$(dirname "$0")}" && pwd)
if [ $# -gt 3 ]; then
    shift 3
    names=$*
else
    names=$(find "$recipes" -name '*.json' -exec basename {} .json \; | LC_ALL=C sort)
fi
for name in $names; do
    if [ ! -e "$recipes/$name.json" ]; then
        echo "run.sh: there is no recipe '$name' in $recipes" >&2
        exit 2
    fi
done

data() { # PART
    if [ -e "$zoo/$1.json" ]; then echo "$zoo/$1.json"; else echo "$zoo/$1.safetensors"; fi
}
for part in train validation test; do
    if [ ! -e "$(data $part)" ]; then
        echo "run.sh: there is no $zoo/$part.safetensors, and no $zoo/$part.json" >&2
        exit 2
    fi
done
if ! "$nftool" --version 2>/dev/null | grep -q libnft; then
    echo "run.sh: '$nftool' is not libnft's program; NFTOOL names it" >&2
    exit 2
fi
mkdir -p "$results"

train() { # NAME SEED
    run=$results/$1-$2
    [ ! -e "$run.json" ] || return 0
    echo "$1, seed $2" >&2
    [ -e "$run.safetensors" ] || "$nftool" train "$recipes/$1.json" --train "$(data train)" \
        --validation "$(data validation)" --seed "$2" \
        ${THREADS:+--threads "$THREADS"} --log "$run.jsonl" --plot "$run.svg" -o "$run.safetensors" >"$run.txt"
    "$nftool" evaluate "$run.safetensors" "$(data test)" ${THREADS:+--threads "$THREADS"} --json >"$run.json.new"
    mv "$run.json.new" "$run.json"
}

# The row of one recipe: mean of the seeds, and the least and the greatest.
row() { # NAME
    cat "$results/$1"-[0-9]*.json | awk -v name="$1" '
        function number(key) { return match($0, "\"" key "\": *-?[0-9.e+-]+") ? value(substr($0, RSTART, RLENGTH)) : 0 }
        function value(text) { sub(/.*: */, "", text); return text + 0 }
        function see(key, x) {
            sum[key] += x
            if (NR == 1 || x < least[key]) least[key] = x
            if (NR == 1 || x > most[key]) most[key] = x
        }
        { see("tau", number("tau")); see("r2", number("r2")); see("mae", number("mae")) }
        function cell(key) { return sprintf("%.4f (%.4f … %.4f)", sum[key] / NR, least[key], most[key]) }
        END { printf "| %s | %d | %s | %s | %s |\n", name, NR, cell("tau"), cell("r2"), cell("mae") }'
}

for name in $names; do
    seed=0
    while [ "$seed" -lt "$seeds" ]; do
        train "$name" "$seed"
        seed=$((seed + 1))
    done
done
echo "| recipe | seeds | Kendall's τ | R² | mean absolute error |"
echo "|---|---|---|---|---|"
for name in $names; do
    row "$name"
done
