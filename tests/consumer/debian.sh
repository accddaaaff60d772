#!/bin/sh
# debian.sh BUILD: the Debian packages of a build that was configured with CMAKE_INSTALL_PREFIX=/usr. Unpacked into a folder, they give a
# program that runs and a library that a consumer is compiled against. As root, where none of them is installed, they are also really
# installed and removed; status 77: that was skipped.
set -eu

build=$(cd "${1:?usage: debian.sh BUILD}" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
installed=no
# shellcheck disable=SC2317
clean_up() {
    [ $installed = no ] || dpkg --purge nftool libnft-dev libnft0 >/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise
cd "$work"

fail() {
    echo "$*"
    exit 1
}

# depends PACKAGE WORD …: each of the words is in its dependencies.
depends() {
    package=$1
    shift
    found=$(dpkg-deb -f "$package"_*.deb Depends)
    for word in "$@"; do
        case $found in
        *"$word"*) ;;
        *) fail "$package does not depend on $word, but on: $found" ;;
        esac
    done
}

# works PREFIX [FLAG …]: the program says its version, and consumers of the shared and the static library do their work.
works() {
    prefix=$1
    shift
    "$prefix/bin/nftool" --version
    # shellcheck disable=SC2046
    "${CC:-cc}" -std=c99 -Wall -Werror "$root/tests/consumer/c/consumer.c" -o consumer "$@" \
        $(pkg-config --cflags --libs nft)
    ./consumer
    # shellcheck disable=SC2046
    "${CC:-cc}" -std=c99 -Wall -Werror "$root/tests/consumer/c/consumer.c" -o static "$@" \
        $(pkg-config --static --cflags --libs nft | sed 's/-lnft/-l:libnft.a/')
    ./static
}

(cd "$build" && cpack -B "$work") >log 2>&1 || {
    cat log
    fail "cpack failed"
}
version=$(dpkg-deb -f libnft0_*.deb Version)
depends libnft0 libc6 libjansson4 zlib1g blas
depends libnft-dev "libnft0 (= $version)" libjansson-dev zlib1g-dev
depends nftool "libnft0 (= $version)" libc6
for package in libnft0 libnft-dev nftool; do
    dpkg-deb -f "$package"_*.deb Description | grep -q "^weights of trained networks as data - "
    dpkg-deb -x "$package"_*.deb unpacked
    test -s "unpacked/usr/share/doc/$package/copyright" || fail "$package has no licence"
done

cmp "$root/examples/guide/spaces.md" unpacked/usr/share/doc/libnft-dev/guide/spaces.md

library=$(dirname "$(find "$work/unpacked" -name libnft.so)")
(
    PKG_CONFIG_PATH=$library/pkgconfig
    LD_LIBRARY_PATH=$library
    export PKG_CONFIG_PATH LD_LIBRARY_PATH
    works "$work/unpacked/usr"
)

if [ "$(id -u)" -ne 0 ]; then
    echo "not installed, because this is not root"
    exit 77
elif dpkg-query -W -f='${Status}\n' libnft0 libnft-dev nftool 2>/dev/null | grep -q ' installed$'; then
    echo "not installed, because there is a libnft already"
    exit 77
else
    installed=yes
    dpkg -i ./*.deb >log 2>&1 || {
        cat log
        fail "dpkg could not install the packages"
    }
    works /usr
    ldd consumer | grep -q "libnft.so.0 => /" || fail "the library is not where programs look"
    dpkg --purge nftool libnft-dev libnft0 >log 2>&1
    installed=no
    if [ -e /usr/bin/nftool ] || [ -e /usr/include/nft ] || ldconfig -p | grep -q libnft.so; then
        fail "something is left after the packages were removed"
    fi
fi
