#!/bin/sh
# symbols.sh LIBRARY: the shared library exports the functions of the checked-in list, and the headers declare the same; every name of
# the static library next to it begins with nft_.
# symbols.sh --write: writes the list from the headers.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
list=$root/src/package/exported-symbols.txt

# A declaration begins with NFT_API and its name stands before the first bracket.
declared() {
    sed -e 's:/\*.*\*/::' "$root"/include/nft/*.h | awk '
        /^NFT_API/ { text = ""; inside = 1 }
        inside { text = text " " $0 }
        inside && /;/ { sub(/\(.*/, "", text); gsub(/[* ]+/, " ", text); n = split(text, words, " "); print words[n]; inside = 0 }' |
        LC_ALL=C sort
}

if [ "${1:-}" = --write ]; then
    declared >"$list"
    echo "$(wc -l <"$list") symbols"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise
declared >"$work/declared"
if ! diff -u "$list" "$work/declared"; then
    echo "the headers declare other functions than src/package/exported-symbols.txt lists; if that is meant: $0 --write"
    exit 1
fi
nm -D --defined-only "${1:?usage: symbols.sh LIBRARY}" | awk '{ print $3 }' | LC_ALL=C sort >"$work/exported"
if ! diff -u "$list" "$work/exported"; then
    echo "$1 exports other symbols than src/package/exported-symbols.txt lists"
    exit 1
fi
if nm -g --defined-only "$(dirname "$1")/libnft.a" | awk 'NF == 3 && $3 !~ /^nft_/ { print $3; found = 1 } END { exit !found }'; then
    echo "these names of libnft.a may collide with a program's own"
    exit 1
fi
echo "$(wc -l <"$list") symbols"
