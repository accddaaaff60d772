#!/bin/sh
# long.sh [MINUTES [NAME …]]: runs each fuzz target for so long (30), as many at a time as there are cores (JOBS names another
# number), then prints the executions, and the lines that the corpora and all inputs found so far reach in the files of each target.
# Works in build/fuzz; lines that nothing reaches go to build/fuzz/NAME.uncovered. A target that fails stops, and makes the script
# fail.
set -eu

cd "$(dirname "$0")/../.."
minutes=${1:-30}
[ $# -eq 0 ] || shift
build=build/fuzz
if [ $# -eq 0 ]; then
    for source in tests/fuzz/fuzz_*.c; do
        source=${source##*/fuzz_}
        set -- "$@" "${source%.c}"
    done
fi

# The files that read a target's input.
files_of() {
    case $1 in
    checkpoint) echo src/train/checkpoint.c ;;
    config) echo src/model/config.c src/config/json.c src/io/space_json.c ;;
    file) echo src/io/formats/safetensors.c src/io/tensor_read.c src/io/convert.c src/io/names.c src/io/network.c src/io/network_chain.c src/io/file_tensors.c src/io/weights_load.c ;;
    formats) echo src/io/file.c src/io/tensor_read.c src/io/convert.c src/io/formats/[a-gi-z]*.c ;;
    forward) echo src/modules/*/*.c src/model/forward.c src/model/backward.c src/modules/sequence/decoder.c ;;
    graph) echo src/io/graph/*.c src/io/formats/protobuf.c ;;
    idx) echo src/cli/idx.c ;;
    index) echo src/io/index.c src/io/dataset.c ;;
    jpeg) echo src/cli/jpeg.c ;;
    log) echo src/cli/training_log.c ;;
    partial) echo src/cli/partial.c ;;
    model) echo src/model/model_file.c ;;
    recipe) echo src/train/recipe.c ;;
    table) echo src/io/collect/table.c src/io/collect/values.c ;;
    *) echo "long.sh: no files are known for fuzz_$1" >&2 && return 1 ;;
    esac
}

# Functions in these files that write.
writers='^(gather_metadata|write_tensors|nft_model_save|describe_state|write_checkpoint|nft_trainer_save|nft_convert_to_bytes'
writers="$writers|log_describe_step|log_describe_validation|write_line|log_step|log_validation|log_sync)\$"

# llvm-cov or llvm-profdata of the compiler's version, which Debian keeps in a separate folder.
tool() {
    folder=$(clang -print-resource-dir)
    tool=${folder%/lib/clang/*}/bin/$1
    shift
    "$tool" "$@"
}

# Replays all inputs with counters of lines; prints the percentage.
coverage() {
    program=$build/coverage/tests/fuzz/fuzz_$1
    inputs="tests/fuzz/$1"
    [ ! -d "$build/$1.found" ] || inputs="$inputs $build/$1.found"
    # shellcheck disable=SC2086
    LLVM_PROFILE_FILE=$build/$1.profraw "$program" -runs=0 $inputs >"$build/$1.replay.log" 2>&1
    tool llvm-profdata merge -o "$build/$1.profdata" "$build/$1.profraw"
    # shellcheck disable=SC2046
    tool llvm-cov show "$program" -instr-profile="$build/$1.profdata" -show-line-counts $(files_of "$1") >"$build/$1.lines"
    # shellcheck disable=SC2046
    tool llvm-cov report "$program" -instr-profile="$build/$1.profdata" -show-functions $(files_of "$1") |
        awk -v writers="$writers" '
            NF == 10 && $5 ~ /^[0-9]+$/ {
                name = $1
                sub(/^.*:/, "", name)
                if (name == "TOTAL" || name ~ writers)
                    next
                lines += $5
                missed += $6
            }
            END { printf "%.1f", 100 * (lines - missed) / lines }'
    awk -F'|' -v root="$PWD" '
        NF == 1 && /:$/ { file = substr($0, length(root) + 2) }
        $2 ~ /^ *0$/ { print file $1 + 0 ": " $3 }' "$build/$1.lines" >"$build/$1.uncovered"
}

statistic() {
    sed -n "s/^stat::$2: *//p" "$build/$1.log"
}

crashes() {
    find "$build" -maxdepth 1 \( -name "$1.crash-*" -o -name "$1.leak-*" -o -name "$1.timeout-*" -o -name "$1.oom-*" \) | wc -l
}

. src/package/debian.sh
# shellcheck disable=SC2086
install_packages $nft_build_packages clang libclang-rt-dev llvm
mkdir -p $build
tests/fuzz/build.sh $build/targets -DNFT_SANITIZE=address,undefined >$build/build.log
tests/fuzz/build.sh $build/coverage -DCMAKE_C_FLAGS='-fprofile-instr-generate -fcoverage-mapping -Wno-pass-failed' >>$build/build.log
ln -sfn targets/tests $build/tests
status=0
printf '%s\n' "$@" | xargs -P "${JOBS:-$(nproc)}" -I{} tests/fuzz/fuzz.sh $build {} $((60 * minutes)) || status=1
printf '%-12s %12s %8s %8s %8s\n' target executions '/s' crashes 'lines %'
for name in "$@"; do
    printf '%-12s %12s %8s %8s %8s\n' "$name" "$(statistic "$name" number_of_executed_units)" \
        "$(statistic "$name" average_exec_per_sec)" "$(crashes "$name")" "$(coverage "$name")"
done
exit $status
