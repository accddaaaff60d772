#!/bin/sh
# functions.sh PROGRAM: permuted networks compute the same functions. Status 77: skipped, no Python with onnx.
set -eu

program=$(command -v "${1:?usage: functions.sh PROGRAM}")
root=$(cd "$(dirname "$0")/../.." && pwd)
for candidate in "${NFT_PYTHON:-}" python3 /usr/bin/python3; do
    candidate=$(command -v "${candidate:-none}") || continue
    if "$candidate" -c 'import numpy, onnx.reference' 2>/dev/null; then
        PYTHONDONTWRITEBYTECODE=1 exec "$candidate" "$root/tests/consumer/functions.py" "$program" "$root/tests/data/graphs"
    fi
done
echo "skipped: no Python 3 with numpy and onnx"
exit 77
