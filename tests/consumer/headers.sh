#!/bin/sh
# Every public header compiles by itself as C99, C17 and C++17 without a warning, with each compiler that is installed.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise
cd "$work"
warnings='-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Werror'
compiled=0

# compiles COMPILER LANGUAGE STANDARD HEADER
compiles() {
    printf '#include "nft/%s"\n#include "nft/%s"\n' "$4" "$4" >unit
    # shellcheck disable=SC2086
    if ! "$1" -x "$2" -std="$3" $warnings -I"$root/include" -fsyntax-only unit; then
        echo "nft/$4 does not compile by itself with $1 as $3"
        exit 1
    fi
    compiled=$((compiled + 1))
}

for header in "$root"/include/nft/*.h; do
    for compiler in gcc clang; do
        command -v "$compiler" >/dev/null || continue
        compiles "$compiler" c c99 "$(basename "$header")"
        compiles "$compiler" c c17 "$(basename "$header")"
    done
done
for header in "$root"/include/nft/*.h "$root"/include/nft/*.hpp; do
    for compiler in g++ clang++; do
        command -v "$compiler" >/dev/null || continue
        compiles "$compiler" c++ c++17 "$(basename "$header")"
    done
done
# An older standard than nft.hpp needs is one line of error.
printf '#include "nft/nft.hpp"\n' >unit
for compiler in g++ clang++; do
    command -v "$compiler" >/dev/null || continue
    for case in "-std=c++14:nft.hpp needs C++17" "-std=c++17 -fno-exceptions:nft.hpp needs exceptions"; do
        # shellcheck disable=SC2086
        if "$compiler" -x c++ ${case%%:*} -I"$root/include" -fsyntax-only unit 2>log ||
            ! grep -q "${case#*:}" log || [ "$(grep -c 'error: ' log)" -gt 1 ]; then
            cat log
            echo "$compiler ${case%%:*} does not say: ${case#*:}"
            exit 1
        fi
        compiled=$((compiled + 1))
    done
done
echo "$compiled times as expected"
test "$compiled" -gt 0
