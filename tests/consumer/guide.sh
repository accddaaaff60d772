#!/bin/sh
# guide.sh BUILD: the guide is right, and complete. Its pages are worked through in their order, in one folder, against an installation of
# the build: a block whose first line names a file becomes that file, a block of sh is run, a block of C without a name is the body of a
# function that is given a model, networks and a context. Blocks that need missing Python packages are reported as skipped.
set -eu

build=$(cd "${1:?usage: guide.sh BUILD}" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
guide=$root/examples/guide
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise

cmake --install "$build" --prefix "$work/prefix" >"$work/log" 2>&1 || {
    cat "$work/log"
    exit 1
}
library=$(dirname "$(find "$work/prefix" -name libnft.so)")
PATH=$work/prefix/bin:$PATH
CMAKE_PREFIX_PATH=$work/prefix
PKG_CONFIG_PATH=$library/pkgconfig
LD_LIBRARY_PATH=$library
PYTHONPATH=$root/examples/python
PYTHONDONTWRITEBYTECODE=1
export PATH CMAKE_PREFIX_PATH PKG_CONFIG_PATH LD_LIBRARY_PATH PYTHONPATH PYTHONDONTWRITEBYTECODE

# shellcheck source=tests/consumer/find_python.sh
. "$root/tests/consumer/find_python.sh"
find_python "$work/prefix/bin" || echo "no Python with numpy"

fail() {
    echo "$page, block $number: $*"
    cat "$work/log"
    exit 1
}

fragment() {
    {
        printf '#include <%s.h>\n' nft/nft nft/train nft/inr nft/file stdio stdlib
        printf 'static nft_status fragment(nft_model *model, nft_weights *networks, nft_context *context)\n{\n'
        printf '(void)model, (void)networks, (void)context;\n'
        cat "$1"
        printf '}\n#define DATA "data/"\n'
        cat <<'END'
int main(void)
{
    nft_model *model = NULL;
    nft_weights *networks = NULL;
    nft_context *context = NULL;
    int failed = nft_model_load(&model, DATA "accuracy-predictor.safetensors", NULL) ||
                 nft_weights_load(&networks, DATA "fashion-cnns.safetensors", NULL) ||
                 nft_context_create(&context, model, NULL) || fragment(model, networks, context);
    if (failed)
        fprintf(stderr, "%s\n", nft_error_message());
    nft_context_free(context);
    nft_weights_free(networks);
    nft_model_free(model);
    return failed;
}
END
    } >"$work/fragment.c"
    # shellcheck disable=SC2046
    "${CC:-cc}" -std=c99 -Wall -Wextra -Werror "$work/fragment.c" -o "$work/fragment" \
        $(pkg-config --cflags --libs nft) && "$work/fragment"
}

# has_modules PAGE: whether Python finds every package that the page imports.
has_modules() {
    imports=$(sed -n 's/^import \([a-z_]*\).*/import \1/p; s/^from \([a-z_]*\).*/import \1/p' "$1" | sort -u)
    python3 -c "$imports" >"$work/log" 2>&1
}

mkdir "$work/here"
cd "$work/here"
ln -s "$root/examples/data" data
checked=0
for page in $(sed -n 's/^[0-9]*\. \[.*\](\([a-z-]*\.md\)).*/\1/p' "$guide/README.md"); do
    mkdir "$work/$page"
    awk -v folder="$work/$page" '
        /^```/ && inside { close(name); inside = 0; next }
        /^```/ { inside = 1; name = sprintf("%s/%02d.%s", folder, ++count, substr($0, 4)); next }
        inside { print >name }' "$guide/$page"
    for block in "$work/$page"/*; do
        [ -e "$block" ] || continue
        number=$(basename "$block")
        file=$(sed -n '1s,^\(#\|//\) \([A-Za-z_]*\.[a-z]*\)$,\2,p' "$block")
        : >"$work/log"
        if [ -n "$file" ]; then
            cp "$block" "$file"
            case $file in
            *.py)
                if command -v python3 >"$work/log"; then
                    python3 -m py_compile "$file" >"$work/log" 2>&1 || fail "is not Python"
                fi
                ;;
            esac
        else
            case $number in
            *.sh)
                if grep -q python3 "$block" && ! has_modules "$guide/$page"; then
                    echo "$page, block $number: skipped, $(tail -n 1 "$work/log")"
                    continue
                fi
                sh -eu "$block" >"$work/log" 2>&1 || fail "failed"
                ;;
            *.c) fragment "$block" >"$work/log" 2>&1 || fail "failed" ;;
            *) fail "nothing checks it: name a file in its first line" ;;
            esac
        fi
        checked=$((checked + 1))
    done
done
for page in "$guide"/*.md; do
    case $page in */README.md) continue ;; esac
    [ -d "$work/$(basename "$page")" ] || {
        echo "examples/guide/README.md does not list $(basename "$page")"
        exit 1
    }
done
# The program of the README runs in the source's folder.
awk '/^```c$/ { inside = 1; next } /^```/ { inside = 0 } inside' "$root/README.md" >readme.c
# shellcheck disable=SC2046
"${CC:-cc}" -std=c99 -Wall -Wextra -Werror readme.c -o readme $(pkg-config --cflags --libs nft)
test "$(cd "$root" && "$work/here/readme" | grep -c '^CNN .*: accuracy 0')" = 50
echo "$checked blocks"
test $checked -gt 20
