#!/bin/sh
# mutants.sh: shows that the tests notice a wrong formula. mutants.sh [TEXT [BUILD]]: only the mutants of files whose names have TEXT in
# them, with the tests of a build that is there (made with Ninja) instead of a new one.
#
# Each line of mutants.txt is a mutant, FILE :: SED EXPRESSION :: WHAT IT DOES :: TEST: one sign flipped or one term dropped in one line
# of a copy of the file, which the test program is linked with in place of the library's own. The test must then fail. Assignments to
# the environment may stand in front of its name. Mutants that survive are listed last, then "N mutants, N killed"; the exit status is
# 1 if one survived, does not change exactly one line, or does not compile. Everything goes to build/mutants.
set -eu
export CMOCKA_TEST_ABORT=1 OPENBLAS_NUM_THREADS=1 # a test program ends at its first failure

cd "$(dirname "$0")/.."
only=${1:-}
root=$PWD/build/mutants
build=$root/build
[ -z "${2:-}" ] || build=$(cd "$2" && pwd)
workers=$(nproc)

# Builds the tests, and notes with which commands.
# shellcheck disable=SC2086
prepare() {
    [ "$build" != "$root/build" ] || cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DNFT_BUILD_PROGRAM=OFF \
        -DNFT_BUILD_EXAMPLES=OFF -DNFT_INSTALL=OFF &&
        ninja -C "$build" $programs &&
        ninja -C "$build" -t commands $programs >"$root/commands"
}

# A mutant means something only if the tests pass without it.
check_unmutated() {
    printf '%s\n' "$tests" | xargs -P "$workers" -I{} sh -c '
        name=${2##* }
        mkdir -p "$1/unmutated/$2" && cd "$1/unmutated/$2" && env ${2%"$name"} timeout 600 "$3/tests/$name" >log 2>&1 && exit 0
        tail -n 20 log
        echo "$2 fails without any mutant" >&2
        exit 1' sh "$root" {} "$build"
}

# compile FOLDER FILE: the folder's mutant, as the file is compiled, which is more than once if it has kernels. A mutant may leave
# something unused, which is no error here. Compiling takes more time than its tests, so it is little optimised.
compile() {
    rm -f "$1"/*.o
    grep -- " -c .*/$2\"\{0,1\}\$" "$root/commands" >"$1/commands"
    objects=0
    while IFS= read -r command; do
        objects=$((objects + 1))
        (cd "$build" && sh -c "${command%% -MD *} -O1 -w -o '$1/$objects.o' -c '$1/mutant.c'") || return 1
    done <"$1/commands"
} >"$1/log" 2>&1

# link FOLDER TEST: as the test is linked, with the mutant in front of the library.
link() {
    command=$(grep -- " -o tests/$2 " "$root/commands")
    (cd "$build" && sh -c "${command%% -o *} '$1'/*.o -o '$1/test' ${command#* -o tests/"$2" }") >"$1/log" 2>&1
}

# verdict FOLDER FILE EXPRESSION TEST: prints the fate of the mutant.
# shellcheck disable=SC2086
verdict() {
    sed -e "$3" "$2" >"$1/mutant.c"
    changed=$(diff "$2" "$1/mutant.c" | grep -c '^[<>]' || true)
    name=${4##* }
    if [ "$changed" -ne 2 ] || [ "$(wc -l <"$2")" -ne "$(wc -l <"$1/mutant.c")" ]; then
        echo "ERROR: does not apply to exactly one line"
    elif ! compile "$1" "$2"; then
        echo "ERROR: does not compile"
    elif ! link "$1" "$name"; then
        echo "ERROR: does not link with $name"
    elif (cd "$1" && env ${4%"$name"} timeout 120 ./test) >"$1/log" 2>&1; then
        echo "SURVIVED $4"
    else # one that hangs has failed, too
        echo "killed by $4"
    fi
}

# Takes the mutants that no other worker has taken.
work() {
    number=0
    while IFS= read -r line; do
        number=$((number + 1))
        mkdir "$root/taken/$number" 2>/dev/null || continue
        file=${line%% :: *}
        test=${line##* :: }
        rest=${line#* :: }
        rest=${rest% :: *}
        printf '%s, %s: %s\n' "$file" "${rest##* :: }" "$(verdict "$1" "$file" "${rest% :: *}" "$test")"
    done <"$root/table"
}

rm -rf "$root"
mkdir -p "$root/taken"
grep ' :: ' tests/mutants.txt | grep -v '^#' | grep "^[^:]*${only}[^:]* :: " >"$root/table" || {
    echo "mutants.txt has no file with '$only' in its name" >&2
    exit 1
}
tests=$(sed 's/.* :: //' "$root/table" | sort -u)
programs=$(echo "$tests" | sed 's/.* //' | sort -u)
if ! prepare >"$root/log" 2>&1; then
    tail -n 20 "$root/log"
    echo "the tree does not build" >&2
    exit 1
fi
check_unmutated
running=
# Jobs in the background do not get the signals that stop a script.
trap 'kill $running 2>/dev/null; exit 130' HUP INT TERM
for n in $(seq "$workers"); do
    mkdir "$root/$n"
    work "$root/$n" >"$root/$n/verdicts" 2>"$root/$n/errors" &
    running="$running $!"
done
wait
cat "$root"/*/verdicts | sort | grep ': killed by ' || true
cat "$root"/*/verdicts | sort | grep -v ': killed by ' || true
mutants=$(wc -l <"$root/table")
killed=$(cat "$root"/*/verdicts | grep -c ': killed by ' || true)
echo "$mutants mutants, $killed killed"
[ "$killed" -eq "$mutants" ]
