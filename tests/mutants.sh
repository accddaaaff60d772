#!/bin/sh
# mutants.sh: shows that the tests notice a wrong formula. mutants.sh [TEXT]: only the mutants of files whose names have TEXT in them.
#
# Each line of mutants.txt is a mutant, FILE :: SED EXPRESSION :: WHAT IT DOES: one sign flipped or one term dropped in one line of a
# copy of the tree. Some test must then fail. The last line is "N mutants, N killed"; the exit status is 1 if one survived, does not
# change exactly one line, or does not compile. Copies and builds go to build/mutants, one for each processor.
set -eu
export CMOCKA_TEST_ABORT=1 OPENBLAS_NUM_THREADS=1 # a test program ends at its first failure

cd "$(dirname "$0")/.."
only=${1:-}
root=build/mutants
workers=$(nproc)

# The test programs that may notice a change of a file, the fastest first.
tests_of() {
    case $1 in
    src/train/*) echo test_train_parts && (cd tests/unit && ls test_train*.c) | sed -n 's/\.c$//; /^test_train_parts$/!p' ;;
    src/math/gradient_kernels.c) echo test_gradient_kernels ;;
    src/math/kernels.c) echo test_rows test_math ;;
    src/inr/*) echo test_canonical test_inr ;;
    src/model/siren*) echo test_siren_tape test_golden test_golden_gradients test_gradients ;;
    src/math/packed.c) echo test_packed ;;
    src/math/products.c | src/math/panels.c) echo test_products test_packed ;;
    src/modules/exec.c | src/modules/*dropout.c)
        echo test_dropout test_dropout_modules test_golden test_golden_gradients test_gradients ;;
    *) echo test_golden test_golden_gradients test_gradients ;;
    esac
}

# build FOLDER TARGET …
build() {
    folder=$1
    shift
    ninja -C "$folder/build" "$@" >"$folder/log" 2>&1
}

# run_test FOLDER TEST; one that hangs has failed.
run_test() {
    (cd "$1" && timeout 120 "build/tests/$2") >"$1/log" 2>&1
}

prepare() {
    mkdir -p "$1/tree"
    cp -R CMakeLists.txt include src tests examples "$1/tree"
    cmake -S "$1/tree" -B "$1/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DNFT_BUILD_PROGRAM=OFF -DNFT_BUILD_EXAMPLES=OFF \
        -DNFT_INSTALL=OFF >"$1/log" 2>&1
    # shellcheck disable=SC2086
    build "$1" $all_tests
}

# A mutant means something only if the tests pass without it.
check_unmutated() {
    for test in $all_tests; do
        if ! run_test "$1" "$test"; then
            tail -n 20 "$1/log"
            echo "$test fails without any mutant" >&2
            exit 1
        fi
    done
}

# verdict FOLDER FILE EXPRESSION: says what became of the mutant; the file stays as it is mutated.
verdict() {
    sed -e "$3" "$1/original" >"$1/tree/$2"
    changed=$(diff "$1/original" "$1/tree/$2" | grep -c '^[<>]' || true)
    if [ "$changed" -ne 2 ] || [ "$(wc -l <"$1/original")" -ne "$(wc -l <"$1/tree/$2")" ]; then
        echo "ERROR: does not apply to exactly one line"
        return 0
    fi
    for test in $(tests_of "$2"); do
        if ! build "$1" "$test"; then
            echo "ERROR: does not compile"
            return 0
        fi
        if ! run_test "$1" "$test"; then
            echo "killed by $test"
            return 0
        fi
    done
    echo "SURVIVED"
}

# Takes the mutants that no other worker has taken.
work() {
    number=0
    while IFS= read -r line; do
        number=$((number + 1))
        mkdir "$root/taken/$number" 2>/dev/null || continue
        file=${line%% :: *}
        rest=${line#* :: }
        cp "$1/tree/$file" "$1/original"
        printf '%s, %s: %s\n' "$file" "${rest##* :: }" "$(verdict "$1" "$file" "${rest% :: *}")"
        cp "$1/original" "$1/tree/$file"
    done <"$root/table"
}

rm -rf "$root"
mkdir -p "$root/taken"
grep ' :: ' tests/mutants.txt | grep -v '^#' | grep "^[^:]*${only}[^:]* :: " >"$root/table"
all_tests=$(sed 's/ :: .*//' "$root/table" | sort -u | while read -r file; do tests_of "$file"; done | tr ' ' '\n' | sort -u)
each=$(seq "$workers")
running=
# Jobs in the background do not hear what stops a script.
trap 'kill $running 2>/dev/null; exit 130' HUP INT TERM
for n in $each; do
    (prepare "$root/$n" && touch "$root/$n/ready") &
    running="$running $!"
done
wait
running=
for n in $each; do
    if [ ! -e "$root/$n/ready" ]; then
        tail -n 20 "$root/$n/log"
        echo "the tree does not build" >&2
        exit 1
    fi
done
check_unmutated "$root/1"
for n in $each; do
    work "$root/$n" >"$root/$n/verdicts" 2>"$root/$n/errors" &
    running="$running $!"
done
wait
cat "$root"/*/verdicts | sort
mutants=$(wc -l <"$root/table")
killed=$(cat "$root"/*/verdicts | grep -c ': killed by ' || true)
echo "$mutants mutants, $killed killed"
[ "$killed" -eq "$mutants" ]
