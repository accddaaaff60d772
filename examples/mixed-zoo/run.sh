#!/bin/sh
# run.sh ZOO RESULTS [SEEDS [RECIPE …]]: collects the networks of ZOO/train, ZOO/validation and ZOO/test, PyTorch files with a .json of
# their own next to each, into data sets in RESULTS/data, trains every recipe of this folder, or those that are named, with seeds 0 …
# SEEDS - 1 (default 3), and prints the table. Finished results are kept, and an interrupted training continues. NFTOOL names the
# program (default: nftool), THREADS its threads (default: all).
set -eu

if [ $# -lt 2 ]; then
    echo "usage: run.sh ZOO RESULTS [SEEDS [RECIPE …]]" >&2
    exit 2
fi
zoo=$1
results=$2
shift
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$results/data"
for part in train validation test; do
    [ -e "$results/data/$part.json" ] ||
        "${NFTOOL:-nftool}" collect "$zoo/$part" --labels sidecar --label accuracy --skip -o "$results/data/$part.json"
done
shift
RECIPES=$here exec "$here/../cnn-accuracy/run.sh" "$results/data" "$results" "$@"
