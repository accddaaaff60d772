#!/bin/sh
# mutants.sh: shows that the tests notice a wrong formula. mutants.sh [TEXT [BUILD]]: only the mutants of files whose names have TEXT in
# them, with the tests of a build that is there (made with Ninja) instead of a new one.
#
# Each line of mutants.txt is a mutant, FILE :: SED EXPRESSION :: WHAT IT DOES: one sign flipped or one term dropped in one line of a
# copy of the file, which a test is linked with in place of the library's own. Some test must then fail. The last line is "N mutants, N
# killed"; the exit status is 1 if one survived, does not change exactly one line, or does not compile. Everything goes to
# build/mutants.
set -eu
export CMOCKA_TEST_ABORT=1 OPENBLAS_NUM_THREADS=1 # a test program ends at its first failure

cd "$(dirname "$0")/.."
only=${1:-}
root=$PWD/build/mutants
build=$root/build
[ -z "${2:-}" ] || build=$(cd "$2" && pwd)
workers=$(nproc)

# The test programs that may notice a change of a file, the fastest first.
tests_of() {
    case $1 in
    src/io/index.c | src/io/dataset.c | src/io/dataset_tensors.c) echo test_weights_space test_index test_dataset test_mixed_training test_adapted ;;
    src/io/families/*) echo test_families test_presets ;;
    src/io/collect/*) echo test_collect_labels test_presets test_collect test_collect_ranks test_collect_split ;;
    src/io/fold.c | src/io/fold_space.c) echo test_fold_space test_adapted ;;
    src/io/kernels.c | src/io/several.c | src/io/chain_doubts.c) echo test_adapted test_presets ;;
    src/io/network.c | src/io/network_chain.c) echo test_weights_space test_adapted test_weights_file test_dataset test_mixed_training ;;
    src/io/tensor_read.c) echo test_adapted test_weights_space test_weights_file ;;
    src/io/targets.c) echo test_labels ;;
    src/io/load_options.c) echo test_arguments ;;
    src/io/formats/other_files.c) echo test_io ;;
    src/config/json.c) echo test_config ;;
    src/modules/shared/module.c) echo test_any_space ;;
    src/io/array_file.c) echo test_io test_weights_file ;;
    src/io/*) echo test_weights_space test_index test_dataset test_weights_file ;;
    src/space/*) echo test_space test_weights test_weights_space test_formats test_archives test_any_space test_any_space_memory test_golden_gradients test_golden ;;
    src/model/contract.c | src/train/contract.c | src/model/outputs.c) echo test_contract test_image_losses test_image_edits test_own_loop test_any_space test_context ;;
    src/model/plan.c) echo test_memory test_any_space test_any_space_memory test_context test_backward_engine test_golden_gradients ;;
    src/model/plans.c | src/model/sequence.c) echo test_any_space test_any_space_memory test_context test_model ;;
    src/model/*)
        echo test_arguments test_train_arguments test_train_auxiliary test_context test_own_loop test_any_space test_any_space_memory test_backward_engine test_golden_gradients \
            test_golden test_gradients ;;
    src/modules/weights/np_attention.c) echo test_golden_gradients test_large_axes test_golden test_gradients_of_spaces test_gradients ;;
    src/modules/weights/lift*.c) echo test_lift test_any_space test_gradients test_golden_gradients test_golden test_gradients_of_spaces ;;
    src/modules/weights/role_*.c | src/modules/weights/signed_log.c | src/modules/weights/place_embedding.c | \
        src/modules/weights/grid_rows.c | src/modules/weights/statistics.c | src/modules/weights/normalize.c)
        echo test_role_modules test_any_space test_golden_gradients test_golden test_gradients_of_spaces test_gradients ;;
    src/modules/weights/add_input.c) echo test_image_losses test_image_edits test_fit test_gradients ;;
    src/modules/weights/message_passing.c) echo test_message_passing test_gradients ;;
    src/modules/weights/siren_*.c) echo test_siren_modules test_gradients test_symmetry ;;
    src/modules/weights/views.c | src/modules/weights/means.c | src/modules/weights/linear_terms.c)
        echo test_views test_init test_golden_gradients test_golden test_gradients_of_spaces test_gradients ;;
    src/train/augment.c | src/train/source.c) echo test_train_augment test_train_mixup ;;
    src/train/* | src/math/schedule.c | src/math/adam.c)
        echo test_train_parts test_mixed_training test_labels test_image_losses test_image_edits && (cd tests/unit && ls test_train*.c) | sed -n 's/\.c$//; /^test_train_parts$/!p' ;;
    src/math/gradient_kernels.c) echo test_gradient_kernels ;;
    src/math/kernels.c) echo test_rows test_math test_products ;;
    src/math/siren_*) echo test_siren_bf16 test_siren_kernels test_siren_tape ;;
    src/inr/*) echo test_siren_form test_canonical test_inr test_image_losses test_image_edits ;;
    src/siren/align.c) echo test_train_mixup ;;
    src/siren/canonical.c) echo test_canonical test_inr test_siren_form ;;
    src/siren/*) echo test_siren_form test_siren_tape test_golden_gradients test_golden test_gradients_of_spaces test_gradients ;;
    src/math/packed.c) echo test_packed ;;
    src/math/products.c | src/math/panels.c) echo test_products test_packed ;;
    src/modules/shared/exec.c | src/modules/*dropout.c)
        echo test_dropout test_dropout_modules test_golden_gradients test_golden test_gradients_of_spaces test_gradients ;;
    *) echo test_golden_gradients test_golden test_gradients_of_spaces test_gradients ;;
    esac
}

# Builds the tests, and notes with which commands.
# shellcheck disable=SC2086
prepare() {
    [ "$build" != "$root/build" ] || cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DNFT_BUILD_PROGRAM=OFF \
        -DNFT_BUILD_EXAMPLES=OFF -DNFT_INSTALL=OFF &&
        ninja -C "$build" $all_tests &&
        ninja -C "$build" -t commands $all_tests >"$root/commands"
}

# A mutant means something only if the tests pass without it.
check_unmutated() {
    printf '%s\n' $all_tests | xargs -P "$workers" -I{} sh -c '
        mkdir "$1/$2" && cd "$1/$2" && timeout 600 "$3/tests/$2" >"$1/$2.log" 2>&1 && exit 0
        tail -n 20 "$1/$2.log"
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

# verdict FOLDER FILE EXPRESSION: prints the fate of the mutant.
verdict() {
    sed -e "$3" "$2" >"$1/mutant.c"
    changed=$(diff "$2" "$1/mutant.c" | grep -c '^[<>]' || true)
    if [ "$changed" -ne 2 ] || [ "$(wc -l <"$2")" -ne "$(wc -l <"$1/mutant.c")" ]; then
        echo "ERROR: does not apply to exactly one line"
        return 0
    fi
    if ! compile "$1" "$2"; then
        echo "ERROR: does not compile"
        return 0
    fi
    for test in $(tests_of "$2"); do
        if ! link "$1" "$test"; then
            echo "ERROR: does not link"
            return 0
        fi
        if ! (cd "$1" && timeout 120 ./test) >"$1/log" 2>&1; then # one that hangs has failed, too
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
        printf '%s, %s: %s\n' "$file" "${rest##* :: }" "$(verdict "$1" "$file" "${rest% :: *}")"
    done <"$root/table"
}

rm -rf "$root"
mkdir -p "$root/taken"
grep ' :: ' tests/mutants.txt | grep -v '^#' | grep "^[^:]*${only}[^:]* :: " >"$root/table" || {
    echo "mutants.txt has no file with '$only' in its name" >&2
    exit 1
}
all_tests=$(sed 's/ :: .*//' "$root/table" | sort -u | while read -r file; do tests_of "$file"; done | tr ' ' '\n' | sort -u)
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
cat "$root"/*/verdicts | sort
mutants=$(wc -l <"$root/table")
killed=$(cat "$root"/*/verdicts | grep -c ': killed by ' || true)
echo "$mutants mutants, $killed killed"
[ "$killed" -eq "$mutants" ]
