#!/bin/sh
# modules.sh: each module of the table has a row in the guide, a function of the fuzzer, the words of its JSON in the fuzzer's
# dictionary, and mutants (src/README.md, "Add a module"). The test also takes each of these from a copy and expects it to be missed.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise
guide=examples/guide/reference.md
fuzzer=tests/fuzz/random_modules.h
words=tests/fuzz/config.dict
mutants=tests/mutants.txt

# has FILE PATTERN NAME: prints FILE: lacks NAME unless a line of it has the pattern.
has() {
    grep -q "$2" "$1" || echo "$1: lacks $3"
}

# missed ROOT: what is missing, one a line.
missed() (
    cd "$1"
    sed -n 's/^    X(\([a-z_]*\)).*/\1/p' src/modules/shared/table.c >"$work/modules"
    while read -r module; do
        has $guide "^| .*\`$module\`.* |" "$module"
        has $words "^\"\\\\\"$module\\\\\"\"\$" "$module"
        case $module in
        lift | unlift) ;; # random models have no lifted spaces
        *) has $fuzzer "\"$module\"" "$module" ;;
        esac
    done <"$work/modules"
    find src/modules -name '*.c' -exec cat {} + | tr '\n' ' ' | grep -o 'nft_options_[a-z]*( *&\{0,1\}options, *"[a-z_]*"' |
        sed 's/.*"\(.*\)"/\1/' | sort -u | grep -vx type >"$work/options"
    while read -r option; do
        has $guide "\`$option\`" "the option $option"
        has $words "^\"\\\\\"$option\\\\\"\"\$" "the option $option"
    done <"$work/options"
    grep -l '\.configure = ' src/modules/*/*.c >"$work/files"
    while read -r file; do
        has $mutants "^$file ::" "mutants of $file"
    done <"$work/files"
)

found=$(missed "$root")
if [ -n "$found" ]; then
    echo "$found"
    exit 1
fi

# take FILE NAME MISSED: without the lines that have the name, the test misses it, and nothing else.
take() {
    rm -rf "$work/tree"
    for file in src/modules $guide $fuzzer $words $mutants; do
        mkdir -p "$work/tree/$(dirname "$file")"
        cp -r "$root/$file" "$work/tree/$file"
    done
    grep -v "$2" "$root/$1" >"$work/tree/$1"
    test "$(missed "$work/tree")" = "$1: lacks $3" || {
        echo "not missed: $3 in $1"
        exit 1
    }
}

take $guide "^| \`mean_tokens\`" mean_tokens
take $guide "^| \`additive\`" "the option additive"
take $fuzzer '"mean_tokens"' mean_tokens
take $words '"mean_tokens' mean_tokens
take $words '"max_tokens' "the option max_tokens"
take $mutants '^src/modules/sequence/linear.c' "mutants of src/modules/sequence/linear.c"
echo "$(wc -l <"$work/modules") modules with $(wc -l <"$work/options") options lack nothing"
