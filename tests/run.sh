#!/bin/sh
# run.sh: builds everything with gcc and runs every test. run.sh --all: also with clang, under sanitizers, with each BLAS, with each
# set of vector kernels; cross-compiles, fuzzes, packages, documents, measures coverage, lints. As root on Debian it installs the
# packages that are missing. Builds and logs go to build/check. The last line is "N passed, N failed": each of ctest's tests counts,
# and each stage that is not ctest's. Skipped ones are reported and not counted.
set -eu

cd "$(dirname "$0")/.."
. src/package/debian.sh
checks=build/check
logs=$checks/logs
everything=no
case ${1:-} in
'') ;;
--all) everything=yes ;;
*)
    echo "usage: tests/run.sh [--all]" >&2
    exit 2
    ;;
esac
passed=0
failed=0
started=$(date +%s)

# --- stages ---

# stage NAME COMMAND …: runs it with its output in a log, which is shown if it fails.
stage() {
    name=$1
    shift
    log=$logs/$(printf %s "$name" | tr -c 'A-Za-z0-9\n' '-').log
    begin=$(date +%s)
    printf '%-58s' "$name"
    set +e
    (
        set -e
        "$@"
    ) >"$log" 2>&1 </dev/null
    status=$?
    set -e
    end=$(date +%s)
    count_tests
    if [ $status -eq 0 ]; then
        printf 'ok      %4d s\n' $((end - begin))
    elif [ $status -eq 77 ]; then
        printf 'skipped %4d s: %s\n' $((end - begin)) "$(tail -n 1 "$log")"
    else
        printf 'FAILED  %4d s\n' $((end - begin))
        findings | tee -a $logs/findings
    fi
    sed -n 's/^[0-9]*% tests passed, .*/    &/p' "$log"
    sed -n 's/^ *[0-9]*\/[0-9]* Test *#[0-9]*: \([a-z_]*\) .*\*\*\*Skipped.*/    skipped: \1/p' "$log"
}

# The part of the last stage's log that tells why it failed: the output of each failed test, or else the end.
findings() {
    echo "--- $name, from $log:"
    if grep -q 'tests failed out of' "$log"; then
        awk '/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / { failed = /[*][*][*]/ && !/[*][*][*]Skipped/ }
            /^ +Start +[0-9]+: |^[0-9]+% tests passed/ { failed = 0 }
            failed' "$log" | tail -n 60 | cut -c 1-400
    else
        tail -n 40 "$log" | cut -c 1-400
    fi
    echo "---"
}

# Adds the log and the status of the last stage.
count_tests() {
    summary=$(sed -n 's/^[0-9]*% tests passed, \([0-9]*\) tests failed out of \([0-9]*\)$/\1 \2/p' "$log" | tail -n 1)
    if [ -n "$summary" ]; then
        bad=${summary% *}
        failed=$((failed + bad))
        passed=$((passed + ${summary#* } - bad - $(grep -c '[*][*][*]Skipped' "$log" || true)))
        [ $status -eq 0 ] || [ "$bad" -gt 0 ] || failed=$((failed + 1)) # the stage failed after its tests
    elif [ $status -eq 0 ]; then
        passed=$((passed + 1))
    elif [ $status -ne 77 ]; then
        failed=$((failed + 1))
    fi
}

# build NAME ARGUMENT …: configures and builds in the folder NAME.
build() {
    folder=$checks/$1
    shift
    cmake -S . -B "$folder" -G Ninja -DNFT_WERROR=ON "$@"
    cmake --build "$folder"
}

# run_tests NAME ARGUMENT …: ctest in that folder.
run_tests() {
    folder=$checks/$1
    shift
    ctest --test-dir "$folder" --output-on-failure --no-tests=error --parallel "$(nproc)" "$@"
}

skip() {
    printf '%-58sskipped: %s\n' "$1" "$2"
}

# --- stages of --all ---

# A package that cannot be had costs only the stages that need it.
install_available() {
    install_packages "$@" && return 0
    for package in "$@"; do
        install_packages "$package" || true
    done
}

# Compilers need minutes for the kernels of AVX-512 with sanitizers: builds with sanitizers have them where they can run.
kernels_that_run() {
    if grep -q '^flags.* avx512f' /proc/cpuinfo; then echo -DNFT_AVX512=ON; else echo -DNFT_AVX512=OFF; fi
}

with_clang() {
    stage "clang: build" build clang -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++
    stage "clang: tests" run_tests clang -L 'unit|example'
    stage "clang, threads: build" build tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang \
        -DCMAKE_CXX_COMPILER=clang++ -DNFT_SANITIZE=thread "$(kernels_that_run)" -DNFT_BUILD_EXAMPLES=OFF -DNFT_BUILD_PROGRAM=OFF
    stage "clang, threads: tests" env TSAN_OPTIONS="halt_on_error=1 die_after_fork=0" NFT_TEST_FORWARDS=50 \
        ctest --test-dir $checks/tsan --output-on-failure --no-tests=error \
        -R '^test_(threads|context|base|backward_engine|any_space|mixed_training|train|checkpoint|dataset|index|ranks)$'
    stage "fuzz targets: build" tests/fuzz/build.sh $checks/fuzz -DNFT_SANITIZE=address,undefined "$(kernels_that_run)"
    stage "fuzz targets: 15 s each" fuzz
}

# Assertions are on here. The tests count for the coverage, too.
with_address_sanitizer() {
    stage "gcc, address and undefined behaviour: build" build asan -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS='-O2 -g' \
        -DCMAKE_CXX_FLAGS='-O2 -g' -DNFT_SANITIZE=address,undefined "$(kernels_that_run)" -DNFT_COVERAGE=ON
    find $checks/asan -name '*.gcda' -delete
    stage "gcc, address and undefined behaviour: tests" env ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:handle_abort=1 \
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 NFT_TEST_FORWARDS=10 NFT_TEST_DIRECTIONS=0 ctest --test-dir $checks/asan --output-on-failure \
        --no-tests=error --parallel "$(nproc)" -E '^test_(golden|checkpoint)_.*_portable_amx$' # a minute each without a sanitizer
    stage "coverage of these tests" tests/coverage.sh $checks/asan
    cat $checks/asan/coverage 2>/dev/null || true
}

# The unit tests that kernels or BLAS may matter to: not those of files, memory, spaces and refusals, nor those that
# choose a precision or tiles themselves.
unit_tests_of_arithmetic() {
    run_tests "$1" -L unit -E "^test_(.*allocations|.*arguments|train_errors|faults|refused_threads|base|cgroup|memory|random|json|config|\
checkpoint|save|io|formats|index|dataset|weights|weights_file|weights_space|space|.*_native|.*_portable_.*)\$"
}

with_each_kernel_set() {
    usual=$($checks/gcc/nftool --version || true)
    for kernels in baseline avx2 avx512 avx512_bf16; do
        NFT_KERNELS=$kernels
        export NFT_KERNELS
        if [ "$($checks/gcc/nftool --version || true)" != "$usual" ]; then
            stage "$kernels kernels: unit tests" unit_tests_of_arithmetic gcc
        else
            skip "$kernels kernels: unit tests" "not on this machine, or used by all other tests"
        fi
        unset NFT_KERNELS
    done
}

# One build against the name that all BLAS packages share; the folder of a flavour in front of the search path picks it.
with_each_blas() {
    shared=$(gcc -print-file-name=libblas.so.3)
    if [ "$shared" = libblas.so.3 ]; then
        skip "each BLAS" "no libblas.so.3"
        return 0
    fi
    stage "any CBLAS: build" build blas -DCMAKE_BUILD_TYPE=Release -DNFT_CBLAS_LIBRARY="$shared" -DNFT_BUILD_EXAMPLES=OFF
    usual=$(basename "$(dirname "$(readlink -f "$(gcc -print-file-name=libopenblas.so)")")")
    for flavour in openblas-pthread openblas-openmp openblas-serial blis-pthread atlas blas; do
        folder=$(dirname "$shared")/$flavour
        if [ "$flavour" = "$usual" ]; then
            skip "BLAS $flavour: unit tests" "used by all other tests"
        elif nm -D "$folder/libblas.so.3" 2>/dev/null | grep -q ' T cblas_sgemm$'; then
            stage "BLAS $flavour: unit tests" with_blas "$folder"
        else
            skip "BLAS $flavour: unit tests" "not installed, or without CBLAS"
        fi
    done
}

with_blas() {
    LD_LIBRARY_PATH=$1
    export LD_LIBRARY_PATH
    ldd $checks/blas/nftool | grep "libblas.so.3 => $1/"
    $checks/blas/nftool --version
    unit_tests_of_arithmetic blas
}

with_arm64() {
    stage "arm64: build" tests/arm64.sh $checks/arm64
    built=$status
    for kernels in neon neon_bf16; do
        if [ "$built" -eq 0 ]; then
            stage "arm64, $kernels kernels: tests under qemu" tests/arm64.sh $checks/arm64 $kernels
        else
            skip "arm64, $kernels kernels: tests under qemu" "not built"
        fi
    done
}

fuzz() {
    find tests/fuzz -name 'fuzz_*.c' | sed 's/.*fuzz_//; s/\.c$//' | xargs -P "$(nproc)" -I{} tests/fuzz/fuzz.sh $checks/fuzz {} 15
}

# Kernels and BLAS that Valgrind can read: it has no AVX-512.
valgrind_nftool() {
    NFT_KERNELS=baseline OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=1 valgrind -q --error-exitcode=1 --leak-check=full \
        --errors-for-leak-kinds=definite,indirect $checks/gcc/nftool "$@" -o $checks/valgrind.safetensors --threads 2
}

under_valgrind() {
    valgrind_nftool forward tests/data/golden/model_nfn_hnp/model.safetensors tests/data/golden/model_nfn_hnp/input.safetensors
    printf '{"model": "%s", "train": "%s", "loss": "bce", "optimizer": {"type": "adamw"}, "batch_size": 2, "steps": 2}\n' \
        "$PWD/examples/data/accuracy-predictor.safetensors" "$PWD/examples/data/fashion-cnns.safetensors" >$checks/valgrind.json
    valgrind_nftool train $checks/valgrind.json
}

build_docs() {
    cmake -S . -B $checks/docs -G Ninja -DNFT_BUILD_DOCS=ON -DNFT_BUILD_TESTS=OFF -DNFT_BUILD_EXAMPLES=OFF
    cmake --build $checks/docs --target docs
    test -s $checks/docs/docs/html/index.html
}

# The guide's pages on PyTorch too, with Debian's torch and, from the Python package index, packages that Debian does not have.
with_pytorch() {
    python=$PWD/$checks/python/bin/python
    if {
        "$python" -m pip --version || /usr/bin/python3 -m venv --clear --system-site-packages $checks/python
        "$python" -c 'import torch, nfn, safetensors' || "$python" -m pip install --no-deps nfn einops safetensors
        "$python" -c 'import torch, nfn, safetensors'
    } >$logs/python.log 2>&1; then
        stage "guide, with PyTorch" env NFT_PYTHON="$python" tests/consumer/guide.sh $checks/gcc
    else
        skip "guide, with PyTorch" "no Python with torch, nfn and safetensors"
    fi
}

with_debian_packages() {
    stage "Debian packages: build" build deb -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr -DNFT_BUILD_TESTS=OFF \
        -DNFT_BUILD_EXAMPLES=OFF
    stage "Debian packages: install, use, remove" tests/consumer/debian.sh $checks/deb
}

c_and_cpp_files() {
    find include src tests examples -name '*.c' -o -name '*.h' -o -name '*.cpp' -o -name '*.hpp'
}

check_format() {
    c_and_cpp_files | xargs clang-format --dry-run -Werror
}

check_with_cppcheck() {
    cppcheck --quiet --enable=warning,performance,portability --std=c11 --inline-suppr --suppressions-list=tests/cppcheck.supp \
        --error-exitcode=1 -j "$(nproc)" -Iinclude -Isrc -Isrc/cli src examples/*.c
}

check_with_clang_tidy() {
    cmake -S . -B $checks/tidy -G Ninja -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DCMAKE_C_COMPILER_LAUNCHER= -DNFT_BUILD_TESTS=OFF \
        -DNFT_BUILD_EXAMPLES=OFF
    find src -name '*.c' -print0 | xargs -0 -P "$(nproc)" -n 4 clang-tidy -p $checks/tidy --quiet
}

check_scripts() {
    shellcheck -x --severity=warning .ci/run tests/*.sh tests/*/*.sh examples/*.sh examples/*/*.sh src/package/debian.sh
}

# if_installed COMMAND NAME STAGE-COMMAND …
if_installed() {
    command=$1
    name=$2
    shift
    if command -v "$command" >/dev/null; then
        stage "$@"
    else
        skip "$name" "$command is not installed"
    fi
}

# --- the run ---

mkdir -p $logs
: >$logs/findings
# shellcheck disable=SC2086
install_packages $nft_build_packages $nft_test_packages
if [ $everything = yes ]; then
    # shellcheck disable=SC2086
    install_available $nft_check_packages
fi
if command -v ccache >/dev/null; then # no stage compiles an object that another has compiled
    CMAKE_C_COMPILER_LAUNCHER=ccache
    CMAKE_CXX_COMPILER_LAUNCHER=ccache
    export CMAKE_C_COMPILER_LAUNCHER CMAKE_CXX_COMPILER_LAUNCHER
fi
stage "gcc: build" build gcc -DCMAKE_BUILD_TYPE=Release
stage "gcc: tests" run_tests gcc
if [ $everything = yes ]; then
    stage "quickstart" examples/quickstart.sh
    with_each_kernel_set
    with_each_blas
    if command -v clang >/dev/null; then
        with_clang
    else
        skip "clang, its thread sanitizer and fuzzing" "clang is not installed"
    fi
    with_address_sanitizer
    if command -v mpirun >/dev/null; then
        stage "MPI: two processes train" tests/cli/test_mpi.sh $checks/mpi
    else
        skip "MPI" "not installed"
    fi
    stage "every mutant fails a test" tests/mutants.sh "" $checks/gcc
    with_arm64
    if_installed valgrind "valgrind" under_valgrind
    if_installed doxygen "documentation" build_docs
    with_pytorch
    if command -v dpkg-shlibdeps >/dev/null; then
        with_debian_packages
    else
        skip "Debian packages" "dpkg-shlibdeps is not installed"
    fi
    if_installed cppcheck "cppcheck" check_with_cppcheck
    if_installed clang-tidy "clang-tidy" check_with_clang_tidy
    if_installed clang-format "clang-format" check_format
    if_installed shellcheck "shellcheck" check_scripts
fi
cat $logs/findings # again, where a log that is cut still shows them
echo "$(($(date +%s) - started)) s in all"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
