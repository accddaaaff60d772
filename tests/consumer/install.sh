#!/bin/sh
# install.sh BUILD: installs a build in a new folder; three projects find it there, or in the source, link and run.
set -eu

build=$(cd "${1:?usage: install.sh BUILD}" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/consumer
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise
prefix="$work/a prefix"
cd "$work"

# quietly COMMAND …: its output only if it fails.
quietly() {
    "$@" >log 2>&1 || {
        cat log
        echo "failed: $*"
        exit 1
    }
}

quietly cmake --install "$build" --prefix "$prefix"
library=$(dirname "$(find "$prefix" -name libnft.so)")
for file in "$library/libnft.so.0" "$library/libnft.a" "$prefix/include/nft/nft.h" "$prefix/include/nft/nft.hpp" \
    "$library/pkgconfig/nft.pc" "$library/cmake/nft/nftConfig.cmake" "$library/cmake/nft/nftConfigVersion.cmake" \
    "$prefix/bin/nftool" "$prefix/share/man/man1/nftool.1" "$prefix/share/doc/nft/LICENSE" \
    "$prefix/share/doc/nft/guide/README.md" "$prefix/share/doc/nft/guide/spaces.md"; do
    test -e "$file" || {
        echo "not installed: $file"
        exit 1
    }
done
# Versions that find_package may ask for: those with the same SONAME.
cat >versions.cmake <<END
foreach(PACKAGE_FIND_VERSION 0.0 0.1 1.0)
    string(REGEX MATCH "^[0-9]+" PACKAGE_FIND_VERSION_MAJOR \${PACKAGE_FIND_VERSION})
    include("$library/cmake/nft/nftConfigVersion.cmake")
    string(APPEND found "\${PACKAGE_FIND_VERSION}: \${PACKAGE_VERSION_COMPATIBLE}; ")
endforeach()
message("\${found}")
END
test "$(cmake -P versions.cmake 2>&1)" = "0.0: TRUE; 0.1: TRUE; 1.0: FALSE; " || {
    echo "find_package is told wrong versions: $(cmake -P versions.cmake 2>&1)"
    exit 1
}
readelf -d "$library/libnft.so" | grep -q 'SONAME.*\[libnft\.so\.0\]'
quietly "$prefix/bin/nftool" --version

# Relative, because pkg-config splits absolute paths at blanks.
ln -s "$prefix" installed
PKG_CONFIG_PATH=$work/installed${library#"$prefix"}/pkgconfig
export PKG_CONFIG_PATH
flags='-std=c99 -Wall -Wextra -Wpedantic -Werror'
# shellcheck disable=SC2046,SC2086
quietly "${CC:-cc}" $flags "$here/c/consumer.c" -o with-pkg-config $(pkg-config --cflags --libs nft) -Wl,-rpath,"$library"
./with-pkg-config
mkdir archive
cp "$library/libnft.a" archive
# shellcheck disable=SC2046,SC2086
quietly "${CC:-cc}" $flags "$here/c/consumer.c" -o with-pkg-config-static -Larchive \
    $(pkg-config --static --cflags --libs nft | sed 's/-lnft/-l:libnft.a/')
./with-pkg-config-static
if readelf -d with-pkg-config-static | grep -q libnft; then
    echo "the static program needs the shared library"
    exit 1
fi

if command -v "${CXX:-c++}" >/dev/null; then
    quietly cmake -S "$here/cpp" -B cpp -DCMAKE_PREFIX_PATH="$prefix"
    quietly cmake --build cpp
    cpp/consumer
    cpp/consumer_static
fi
# Without a build type, as a host may be configured: the library is optimised all the same.
quietly cmake -S "$here/subdirectory" -B subdirectory -DNFT_SOURCE="$root" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
grep '"command".*/src/math/kernels\.c' subdirectory/compile_commands.json | grep -q -e ' -O3 ' || {
    echo "a subdirectory without a build type is not optimised"
    exit 1
}
quietly cmake --build subdirectory --parallel 2
subdirectory/consumer
subdirectory/consumer_static
