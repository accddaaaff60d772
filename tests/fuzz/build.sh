#!/bin/sh
# build.sh BUILD [ARGUMENT …]: builds the fuzz targets in that folder; the arguments are for CMake.
set -eu

cd "$(dirname "$0")/../.."
build=$1
shift
cmake -S . -B "$build" -G Ninja -DNFT_WERROR=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang \
    -DNFT_BUILD_FUZZERS=ON -DNFT_BUILD_TESTS=OFF -DNFT_BUILD_EXAMPLES=OFF -DNFT_BUILD_PROGRAM=OFF "$@"
cmake --build "$build"
