#!/bin/sh
# header_example.sh LIBRARY-FOLDER: the program in nft.h's opening comment compiles and gives PyTorch's predictions.
set -eu

library=$(cd "${1:?usage: header_example.sh LIBRARY-FOLDER}" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
data=$root/examples/data
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise
cd "$work"

sed -n '/^ \* @code/,/^ \* @endcode/p' "$root/include/nft/nft.h" | sed -e '1d;$d' -e 's/^ \* \{0,1\}//' >example.c
compile() {
    "${CC:-cc}" -std=c99 -Wall -Wextra -Wpedantic -Werror -I"$root/include" "$1" -o "$2" -L"$library" -Wl,-rpath,"$library" -lnft -lm
}
compile example.c example
compile "$root/tests/consumer/compare_predictions.c" compare
./example "$data/accuracy-predictor.safetensors" "$data/fashion-cnns.safetensors" >predictions
./compare "$data/fashion-cnns.safetensors" <predictions
