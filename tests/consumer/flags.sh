#!/bin/sh
# flags.sh BUILD: -ffast-math of elsewhere does not reach the library, and a release is hardened.
set -eu

build=$(cd "${1:?usage: flags.sh BUILD}" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise

fail() {
    echo "$*"
    exit 1
}

# Flags of a distribution: every file is compiled as if they were not there.
cmake -S "$root" -B "$work/fast" -DCMAKE_C_FLAGS="-Ofast -ffast-math" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DNFT_BUILD_TESTS=OFF -DNFT_BUILD_EXAMPLES=OFF \
    >"$work/log" 2>&1 || {
    cat "$work/log"
    fail "the build cannot be configured"
}
grep '"command"' "$work/fast/compile_commands.json" | sed 's/.*"command": "//; s/",*$//; s/\\"/"/g; s/ -o [^ ]* -c / -dM -E /' >"$work/commands"
for file in src/train/samples.c src/math/kernels.c src/cli/metrics.c; do
    command=$(grep "$file" "$work/commands" | head -n 1)
    [ -n "$command" ] || fail "$file is not compiled"
    (cd "$work/fast" && eval "$command") >"$work/macros" 2>/dev/null
    grep -q '__FINITE_MATH_ONLY__ 0' "$work/macros" || fail "$file is compiled with -ffinite-math-only"
    ! grep -q __FAST_MATH__ "$work/macros" || fail "$file is compiled with -ffast-math"
done
echo '#include "base/status.h"' >"$work/without.c"
! "${CC:-cc}" -ffast-math -I"$root/src" -I"$root/include" -c "$work/without.c" -o "$work/without.o" 2>"$work/log" ||
    fail "without CMake -ffast-math goes unnoticed"
grep -q "libnft looks for NaN" "$work/log"
"${CC:-cc}" -I"$root/src" -I"$root/include" -c "$work/without.c" -o "$work/without.o"

grep -q '^CMAKE_BUILD_TYPE:[A-Z]*=Release$' "$build/CMakeCache.txt" || exit 0
for file in libnft.so nftool; do
    readelf -lW "$build/$file" | grep -q GNU_RELRO || fail "$file has no RELRO"
    readelf -dW "$build/$file" | grep -Eq 'BIND_NOW|FLAGS_1.*NOW' || fail "$file binds lazily"
    nm -D "$build/$file" | grep -q __stack_chk_fail || fail "$file has no stack protector"
    nm -D "$build/$file" | grep -Eq '__[a-z]*printf_chk' || fail "$file has no FORTIFY"
done
