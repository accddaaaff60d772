# shellcheck shell=sh
# find_python FOLDER: makes `python3` in the folder, which is to stand first in PATH, from the first interpreter that has numpy.
# $NFT_PYTHON is asked first; another python3 may hide the system's and not see its packages.
find_python() {
    for candidate in "${NFT_PYTHON:-}" python3 /usr/bin/python3; do
        candidate=$(command -v "${candidate:-none}") || continue
        if "$candidate" -c 'import numpy' 2>/dev/null; then
            printf '#!/bin/sh\nexec "%s" "$@"\n' "$candidate" >"$1/python3"
            chmod +x "$1/python3"
            return 0
        fi
    done
    return 1
}
