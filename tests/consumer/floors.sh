#!/bin/sh
# floors.sh: no file of src includes a header of a floor above its own, or of another room on its own floor (src/README.md). The program
# includes only public headers and base/target.h, with which it is compiled. jansson stays in src/config and BLAS in src/math. The test
# also plants one breach of each rule in a copy and expects it to be found.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise

# breaches SRC: prints FILE: INCLUDE, one a line.
breaches() {
    (cd "$1" && find . -name '*.[ch]' -exec grep -H '^#include' {} +) | sed 's,^\./,,' | awk -F: '
        BEGIN {
            split("base 0 math 1 config 1 space 2 io 3 siren 3 modules 4 model 5 train 6 inr 6 cli 7", words, " ")
            for (i = 1; i in words; i += 2) floor[words[i]] = words[i + 1]
        }
        {
            room = $1; sub("/.*", "", room)
            header = $2; sub("^#include *[\"<]", "", header)
            target = header; sub("/.*", "", target)
            if (!(room in floor)) print $1 ": is in no room of the house"
            if (index(header, "/") && target in floor && target != room && (room == "cli" || floor[target] >= floor[room]) &&
                !(room == "cli" && header ~ "^base/target.h"))
                print $1 ": " $2
            if (header ~ "^jansson.h" && room != "config" && room != "cli") print $1 ": " $2
            if (header ~ "^cblas.h" && room != "math" && room != "cli") print $1 ": " $2
        }'
}

found=$(breaches "$root/src")
if [ -n "$found" ]; then
    echo "$found"
    echo "these includes go up a floor, or past a door; src/README.md has the floors"
    exit 1
fi

# plant FILE INCLUDE: the breach is found, and nothing else.
plant() {
    rm -rf "$work/src"
    cp -r "$root/src" "$work/src"
    mkdir -p "$(dirname "$work/src/$1")"
    printf '#include %s\n' "$2" >"$work/src/$1"
    test "$(breaches "$work/src")" = "${3:-$1: #include $2}" || {
        echo "not found: $1: #include $2"
        exit 1
    }
}

plant base/planted.c '"math/blas.h"'
plant space/planted.c '"io/file.h"'
plant io/formats/planted.h '"siren/siren.h"'
plant modules/weights/planted.c '"model/model.h"'
plant inr/planted.c '"train/trainer.h"'
plant cli/planted.c '"base/memory.h"'
plant modules/planted.c '<jansson.h>'
plant model/planted.c '<cblas.h>'
plant attic/planted.c '<stdio.h>' 'attic/planted.c: is in no room of the house'
echo "$(find "$root/src" -name '*.[ch]' | wc -l) files keep to their floors"
