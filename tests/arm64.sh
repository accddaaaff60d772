#!/bin/sh
# arm64.sh BUILD: compiles the library and the tests of its arithmetic for arm64. Debian's arm64 packages of other libraries come from an
# apt with separate folders and are unpacked in BUILD/root: nothing in the system changes. Ends with status 77 where the packages or the
# emulator cannot be had.
# arm64.sh BUILD KERNELS: runs those tests under qemu with that set of kernels; with neon, which has nothing that neon_bf16 lacks, only those
# that run a single set.
set -eu

cd "$(dirname "$0")/.."
mkdir -p "$1"
build=$(cd "$1" && pwd)
root=$build/root
libraries=$root/usr/lib/aarch64-linux-gnu
of_all_sets='test_math test_gradient_kernels test_siren_kernels test_tiles test_rows' # each runs every set of kernels
of_one_set='test_products test_packed test_precision test_siren_tape test_golden test_golden_gradients'
packages='libopenblas-serial-dev libopenblas0-serial libgfortran5 libjansson-dev libjansson4 zlib1g-dev libcmocka-dev libcmocka0'

# apt_get ARGUMENT …: for arm64, with the system's sources, without its lists and packages.
apt_get() {
    apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root -o "Dir::State::lists=$build/apt/lists" \
        -o "Dir::State::status=$build/apt/status" -o "Dir::Cache=$build/apt/cache" "$@" </dev/null
}

fetch() {
    rm -rf "$build/apt" "$root"
    mkdir -p "$build/apt/lists/partial" "$build/apt/cache/archives/partial" "$build/apt/packages"
    : >"$build/apt/status"
    # shellcheck disable=SC2086
    apt_get update && (cd "$build/apt/packages" && apt_get download $packages) || return 1
    for package in "$build"/apt/packages/*.deb; do
        dpkg-deb -x "$package" "$root" || return 1
    done
    touch "$root/complete"
}

if [ $# -gt 1 ]; then
    tests=$of_one_set
    [ "$2" = neon ] || tests="$tests $of_all_sets"
    # shellcheck disable=SC2086
    names=$(printf '%s|' $tests)
    # Of the golden cases the comparisons with PyTorch: an emulator has no threads to speak of.
    exec env NFT_KERNELS="$2" NFT_TEST_KINDS=1 ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel "$(nproc)" \
        -R "^(${names%|})(_bf16_native)?\$"
fi

for command in aarch64-linux-gnu-gcc qemu-aarch64 apt-get dpkg-deb; do
    command -v $command >/dev/null || {
        echo "$command is not installed"
        exit 77
    }
done
[ -e "$root/complete" ] || fetch || {
    echo "the packages of arm64 cannot be fetched"
    exit 77
}

# The processor has every extension that qemu knows. SVE, which BLAS would choose, is slow to emulate.
cat >"$build/toolchain.cmake" <<END
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_FIND_ROOT_PATH "$root")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu max,sve=off,pauth-impdef=on -L /usr/aarch64-linux-gnu
    -E "LD_LIBRARY_PATH=$libraries/openblas-serial:$libraries")
END
export PKG_CONFIG_LIBDIR="$libraries/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
# libz.so of the package is a link to a place outside of it. No C++, which would be a compiler for this machine.
cmake -S . -B "$build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$build/toolchain.cmake" -DCMAKE_BUILD_TYPE=Release -DNFT_WERROR=ON \
    -DCMAKE_CXX_COMPILER=NOTFOUND -DNFT_BUILD_PROGRAM=OFF -DNFT_BUILD_EXAMPLES=OFF -DNFT_INSTALL=OFF -DNFT_HDF5=OFF \
    -DZLIB_LIBRARY="$libraries/libz.a" -DNFT_CBLAS_LIBRARY="$libraries/openblas-serial/libopenblas.so" \
    -DNFT_CBLAS_INCLUDE_DIR="$root/usr/include/aarch64-linux-gnu/openblas-serial"
# shellcheck disable=SC2086
cmake --build "$build" --target $of_all_sets $of_one_set
