#!/bin/sh
# families.sh NFTOOL: networks of common families keep their functions when their neurons are permuted. Status 77: skipped, no Python
# with torch and numpy.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
for python in "${NFT_PYTHON:-}" python3 /usr/bin/python3; do
    python=$(command -v "${python:-none}") || continue
    if "$python" -c 'import numpy, torch' 2>/dev/null; then
        PYTHONDONTWRITEBYTECODE=1 exec "$python" "$root/tests/consumer/families.py" "${1:?usage: families.sh NFTOOL}"
    fi
done
echo "skipped: no Python 3 with torch and numpy, on Debian the packages python3-torch and python3-numpy"
exit 77
