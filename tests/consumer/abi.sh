#!/bin/sh
# abi.sh LIBRARY: a program that was compiled against the headers of the record src/package/libnft.abi runs with these: no function
# went or takes other arguments, no struct has another layout, unless the SONAME is a new one. Additions are fine.
# abi.sh --write LIBRARY: writes the record. Status 77: skipped, without abigail-tools or the one compiler that records.
#
# Recorded is a library of empty functions that are declared as the headers say, not the real one: the compiler checks that those agree,
# symbols.sh that both have the same functions, and in the real one libabigail takes src/space/space.h for nft/space.h.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
record=$root/src/package/libnft.abi
write=no
if [ "${1:-}" = --write ]; then
    write=yes
    shift
fi
soname=$(readelf -d "${1:?usage: abi.sh [--write] LIBRARY}" | sed -n 's/.*SONAME.*\[\(.*\)\]$/\1/p')
compiler=gcc-12
for command in abidw abidiff $compiler; do
    command -v $command >/dev/null || {
        echo "skipped: no $command, on Debian the packages abigail-tools and $compiler"
        exit 77
    }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise
cp -r "$root/include" "$work"
cd "$work"
{
    printf '#include <nft/%s.h>\n' nft train inr file
    sed -e 's:/\*.*\*/::' include/nft/*.h | awk '
        /^NFT_API/ { inside = 1 }
        inside { text = text " " $0 }
        inside && /;/ { sub(/;.*/, " { for (;;) { } }", text); print text; text = ""; inside = 0 }'
} >empty.c
$compiler -std=c11 -g -O0 -Iinclude -shared -fPIC -fvisibility=hidden -Wl,-soname,"$soname" empty.c -o empty.so
test "$(nm -D --defined-only empty.so | wc -l)" = "$(wc -l <"$root/src/package/exported-symbols.txt")"
abidw --type-id-style hash --no-architecture --no-elf-needed --no-corpus-path --no-comp-dir-path --no-show-locs --no-write-default-sizes empty.so >now.abi
if [ $write = yes ]; then
    cp now.abi "$record"
    echo "$record: $(grep -c '<function-decl' "$record") functions"
    exit 0
fi
# members RECORD: each struct's members with their places and types.
members() {
    awk -F"'" '
        /<class-decl/ { struct = $2 }
        /<data-member/ { place = $4 }
        /<var-decl/ && place != "" { print struct "." $2, "at bit " place, "type " $4; place = "" }' "$1" | LC_ALL=C sort
}

recorded=$(sed -n "s/.*<abi-corpus .*soname='\([^']*\)'.*/\1/p" "$record")
if [ "$recorded" != "$soname" ]; then
    echo "the record is of $recorded, the library is $soname; if that is meant: $0 --write $1"
    exit 1
fi
if ! abidiff --no-architecture --no-added-syms --suppressions "$root/src/package/libnft.abignore" "$record" now.abi; then
    echo "programs that were linked to an older libnft would break: keep the functions that they use, or change the SONAME"
    exit 1
fi
members "$record" >members.before
members now.abi >members.now
if LC_ALL=C comm -23 members.before members.now | grep .; then
    echo "these members of structs went, moved or have another type: add new ones at the end, or change the SONAME"
    exit 1
fi
echo "$soname: every function and struct of the record is as it was"
