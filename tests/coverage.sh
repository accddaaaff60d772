#!/bin/sh
# coverage.sh [BUILD]: how many lines of src/, the program's left out, the tests of the library and the program reach. BUILD has been
# configured with gcc and -DNFT_COVERAGE=ON, and its tests have run; without it the script does both in build/coverage. Lists the lines
# that nothing reached in BUILD/uncovered, and fails below 95 %.
set -eu

cd "$(dirname "$0")/.."
root=$PWD
build=${1:-build/coverage}
least=95

if [ $# -eq 0 ]; then
    cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS='-O1 -g' -DNFT_COVERAGE=ON -DNFT_BUILD_EXAMPLES=OFF
    cmake --build "$build"
    find "$build" -name '*.gcda' -delete
    # Left out are slow tests whose lines smaller tests reach, and signals, which are the program's.
    ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel "$(nproc)" -L 'unit|program' \
        -E '^(test_.*_portable_amx|test_gradients.*|test_symmetry|cli_signals)$'
fi

rm -rf "$build/gcov"
mkdir "$build/gcov"
cd "$build/gcov"
find .. -path '*/nft_*.dir/*' -name '*.gcda' ! -path '*nft_program*' -exec "${GCOV:-gcov}" --preserve-paths --source-prefix "$root" {} + >log

# Of each line how often any of the objects that hold it ran it: vector kernels are compiled once for each instruction set.
awk -F: -v uncovered=../uncovered '
    { count = $1; line = $2 + 0; gsub(/[ *]/, "", count) }
    line == 0 && $3 == "Source" { file = $4; wanted = file ~ /^src\// && file !~ /^src\/cli\// }
    line > 0 && wanted && count != "-" {
        place = file ":" line
        known[place] = 1
        text[place] = substr($0, index($0, $3))
        if (count !~ /^[#=]/)
            ran[place] = 1
    }
    END {
        for (place in known) {
            lines++
            if (place in ran)
                hit++
            else
                print place ": " text[place] >uncovered
        }
        printf "%d of %d lines, %.1f %%\n", hit, lines, 100 * hit / lines
    }' ./*.gcov >../coverage
LC_ALL=C sort -t: -k1,1 -k2,2n -o ../uncovered ../uncovered
cat ../coverage
awk -v least=$least '{ exit $(NF - 1) < least }' ../coverage || {
    echo "expected at least $least %; see $build/uncovered"
    exit 1
}
