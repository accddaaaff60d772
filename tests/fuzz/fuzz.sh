#!/bin/sh
# fuzz.sh BUILD NAME SECONDS: runs one target from its corpus in the tree. New inputs go to BUILD/NAME.found: the
# corpus does not change, and the next run begins with them. A failing input goes to BUILD/NAME.crash-…, messages to BUILD/NAME.log.
set -eu

cd "$(dirname "$0")/../.."
build=$1
name=$2
corpus=tests/fuzz/$name
mkdir -p "$build/$name.found"
set -- -max_total_time="$3" -timeout=20 -rss_limit_mb=4096 -malloc_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$build/$name."
[ ! -f "$corpus.dict" ] || set -- "$@" -dict="$corpus.dict"
[ "$name" != partial ] || set -- "$@" -max_len=4300 # more than a whole file
[ "$name" != forward ] || set -- "$@" -max_len=128 -len_control=0
"$build/tests/fuzz/fuzz_$name" "$@" "$build/$name.found" "$corpus" >"$build/$name.log" 2>&1 || {
    tail -n 60 "$build/$name.log"
    echo "fuzz_$name failed; see $build/$name.log"
    exit 1
}
