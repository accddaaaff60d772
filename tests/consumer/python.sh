#!/bin/sh
# python.sh LIBRARY-FOLDER: the Python module on this build of the library. Status 77: skipped, no Python with numpy.
set -eu

library=$(cd "${1:?usage: python.sh LIBRARY-FOLDER}" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise
# shellcheck source=tests/consumer/find_python.sh
. "$root/tests/consumer/find_python.sh"
if ! find_python "$work"; then
    echo "skipped: no Python 3 with numpy, on Debian the package python3-numpy"
    exit 77
fi

NFT_LIBRARY=$library/libnft.so.0
PYTHONDONTWRITEBYTECODE=1
export NFT_LIBRARY PYTHONDONTWRITEBYTECODE
"$work/python3" "$root/tests/consumer/test_python.py"
data=$root/examples/data
"$work/python3" "$root/examples/python/rank_networks.py" "$data/accuracy-predictor.safetensors" \
    "$data/fashion-cnns.safetensors" 3 >"$work/ranking"
[ "$(awk 'NR == 2 { print $1 }' "$work/ranking")" = 36 ]
if "$work/python3" "$root/examples/python/rank_networks.py" nothing nothing 2>"$work/message"; then
    echo "rank_networks.py did not fail without a model"
    exit 1
fi
grep -q '^nothing: cannot open' "$work/message"
