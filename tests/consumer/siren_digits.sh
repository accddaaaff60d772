#!/bin/sh
# siren_digits.sh PATH-OF-NFTOOL: examples/siren-digits on the sample in the tree. Every row gets its numbers and its pictures.
# Interrupted work resumes, finished work is not repeated, two runs share common files, and a fault is reported in one line. Status
# 77: all but the rows of dilation, which need Python with numpy.
set -eu

nftool=$(cd "$(dirname "${1:?usage: siren_digits.sh PATH-OF-NFTOOL}")" && pwd)/$(basename "$1")
root=$(cd "$(dirname "$0")/../.." && pwd)
example=$root/examples/siren-digits
work=$(mktemp -d)
begun=
trap '[ -z "$begun" ] || kill "$begun" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise
cd "$work"
# shellcheck source=tests/consumer/find_python.sh
. "$root/tests/consumer/find_python.sh"
export NFTOOL="$nftool" NFT_LIBRARY="${nftool%/*}/libnft.so.0" PYTHONDONTWRITEBYTECODE=1 THREADS=1

fail() {
    echo "FAILED: $*"
    tail -n 20 out err 2>/dev/null
    exit 1
}

# small FOLDER ROW …: a run that succeeds.
small() {
    "$example/run.sh" --small "$@" >out 2>err || fail "run.sh --small $* ends with status $?"
}

# refuses STATUS TEXT COMMAND …: it fails with one line on standard error, which has the text.
refuses() {
    expected=$1
    text=$2
    shift 2
    status=0
    "$@" >out 2>err || status=$?
    [ "$status" -eq "$expected" ] || fail "$*: status $status, expected $expected"
    [ "$(wc -l <err)" -eq 1 ] || fail "$*: $(wc -l <err) lines, expected one"
    grep -qF -- "$text" err || fail "$*: its line has no '$text'"
}

is_png() {
    [ "$(od -An -tx1 -N8 "$1" | tr -d ' \n')" = 89504e470d0a1a0a ] || fail "$1 is no PNG file"
}

# in_table ROW CELLS: the printed row has CELLS cells with numbers behind its name.
in_table() {
    awk -F' *[|] *' -v row="$1" -v cells="$2" '
        $2 == row { for (i = 3; i < 3 + cells; i++) if ($i !~ /^[0-9]+([.][0-9]+)?$/) exit; found = 1 }
        END { exit !found }' out || fail "the tables have no row $1 with $2 numbers"
}

rows="mnist-nft mnist-hnp-nfn mnist-nft-raw mnist-mlp mnist-inr2array mnist-inr2array-messages mnist-nft-long"
edits="dilation-nft dilation-np-nfn dilation-hnp-nfn"
if find_python "$work"; then
    PYTHON=$work/python3
    export PYTHON
    rows="$rows $edits dilation-none"
else
    edits=
fi

# Two runs at once: a file that both need is made once, the rest by the one that wants it.
"$example/run.sh" --small shared mnist-mlp >other.out 2>other.err &
begun=$!
small shared mnist-hnp-nfn
in_table mnist-hnp-nfn 2
wait $begun || fail "the other run ends with status $?"
begun=
cp other.out out
in_table mnist-mlp 2
[ "$(cat err other.err | grep -c ' fit ')" -eq 3 ] || fail "the three parts were not fitted once each"

# A training that is killed. The program is another, which says its number; the steps in the log say when.
cat >killable <<'KILLABLE'
#!/bin/sh
if [ "$1" != train ]; then exec "$NFTOOL_PROGRAM" "$@"; fi
echo $$ >training
exec "$NFTOOL_PROGRAM" "$@" --checkpoint-every 0
KILLABLE
chmod +x killable
mkdir results
: >results/mnist-nft.jsonl
NFTOOL=$work/killable NFTOOL_PROGRAM=$nftool "$example/run.sh" --small results mnist-nft >out 2>err &
begun=$!
tries=0
while [ "$(grep -c '"loss"' results/mnist-nft.jsonl)" -lt 3 ] && [ $tries -lt 6000 ]; do
    sleep 0.02
    tries=$((tries + 1))
done
kill -KILL "$(cat training)"
status=0
wait $begun || status=$?
begun=
[ $status -ne 0 ] || fail "a run whose training is killed succeeds"
[ -e results/mnist-nft.safetensors.checkpoint ] || fail "the killed training left no checkpoint"

# shellcheck disable=SC2086
small results $rows
grep -q 'mnist-nft.safetensors.checkpoint: resumes after' err || fail "the killed training did not resume"
[ "$(sed -n 's/.* fit //p' err)" = mnist-many ] || fail "other networks are fitted than those that only mnist-nft-long needs"
for row in mnist-nft mnist-hnp-nfn mnist-nft-raw mnist-mlp mnist-inr2array mnist-inr2array-messages mnist-nft-long; do
    in_table $row 2
done
for row in $edits; do
    in_table "$row" 3
    is_png "results/$row.png"
done
[ -z "$edits" ] || in_table dilation-none 2
is_png results/mnist-inr2array.png
is_png results/mnist-inr2array-messages.png
grep -q '</svg>' results/mnist-nft.svg || fail "there are no learning curves"

# Once more: nothing happens, and it says the same.
cp out first
touch moment
# shellcheck disable=SC2086
small results $rows
cmp first out || fail "a second run prints other tables"
[ ! -s err ] || fail "a second run does something again"
[ -z "$(find results -newer moment)" ] || fail "a second run writes files"

# Faults.
run=$example/run.sh
images=$root/examples/data/digits-idx3-ubyte.gz
refuses 2 "usage" "$run" --small
refuses 2 "usage" "$run" --large x
refuses 1 "'mnist-cnn' is no row" "$run" --small x mnist-cnn
refuses 1 "'fashion-nft' is no row" "$run" --small x fashion-nft
refuses 1 "NFTOOL names it" env NFTOOL=absent "$run" --small x
refuses 1 "PYTHON names it" env PYTHON=false "$run" --small x dilation-nft
refuses 1 "absent/mnist/train-images-idx3-ubyte.gz: no such file" "$run" absent x mnist-nft
mkdir -p images/mnist
for name in train-images-idx3 train-labels-idx1 t10k-images-idx3; do
    cp "$images" images/mnist/$name-ubyte.gz
done
refuses 1 "images/mnist/t10k-labels-idx1-ubyte.gz: no such file" "$run" images x mnist-nft
refuses 1 "holds a small run" sh -c "cp '$images' images/mnist/t10k-labels-idx1-ubyte.gz; '$run' images results mnist-nft"
[ ! -e x ] || fail "a run that cannot be leaves a folder"

# The tables of the README are those of the results.
stands() { # RESULT KEY FORMAT ROW: a table has this number behind the row's name
    value=$(sed -n "s/.*\"$2\":\([^,}]*\).*/\1/p" "$example/results/$1.json")
    cell=$(awk -v format="$3" -v value="$value" 'BEGIN { printf format, value }')
    grep -qF "| $4 | $cell |" "$example/README.md" || fail "the README has no row '| $4 | $cell |' of results/$1.json"
}
for result in "$example"/results/*.json; do
    row=$(basename "$result" .json)
    case $row in
    dilation-*) stands "$row" loss %.5f "$row" ;;
    mnist-latents*) stands "$row" accuracy %.4f "mnist-inr2array${row#mnist-latents}" ;;
    mnist-inr2array*) stands "$row" psnr %.2f "$row" ;;
    *) stands "$row" accuracy %.4f "$row" ;;
    esac
done

if [ -z "$edits" ]; then
    echo "skipped: the rows of dilation; no Python 3 with numpy, on Debian the package python3-numpy"
    exit 77
fi

# The targets are right, with and without the numbers of the images.
dilate=$example/dilate.py
"$PYTHON" "$dilate" "$images" results/mnist-train.safetensors views.safetensors
"$PYTHON" "$dilate" "$images" "$root/examples/data/mnist-sirens.safetensors" first.safetensors --first 100
"$PYTHON" - "$root/examples/python" "$images" <<'PYTHON' || fail "the targets of dilate.py are wrong"
import gzip, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import nft
images = np.frombuffer(gzip.open(sys.argv[2]).read(), np.uint8, offset=16).reshape(-1, 28, 28)
def expected(image):
    return [[image[max(y - 1, 0):y + 2, max(x - 1, 0):x + 2].max() / 127.5 - 1 for x in range(28)] for y in range(28)]
views, before = nft.read("views.safetensors"), nft.read("results/mnist-train.safetensors")
assert views["target"].shape == (400, 28, 28, 1) and set(views) == {*before, "target"}
assert all(np.array_equal(views[name], before[name]) for name in before)
assert list(views["image"][:4]) == [0, 0, 1, 1]
for network in (0, 1, 2, 77, 399):
    assert np.allclose(views["target"][network, :, :, 0], expected(images[network // 2]), atol=1e-6)
first = nft.read("first.safetensors")
assert "label" in first and np.allclose(first["target"][59, :, :, 0], expected(images[159]), atol=1e-6)
PYTHON

refuses 1 "network 59 is of image 300" "$PYTHON" "$dilate" "$images" "$root/examples/data/mnist-sirens.safetensors" x --first 241
refuses 1 "--first is for sets without it" "$PYTHON" "$dilate" "$images" views.safetensors x --first 0
refuses 1 "absent: cannot read" "$PYTHON" "$dilate" absent views.safetensors x
refuses 1 "absent: cannot open" "$PYTHON" "$dilate" "$images" absent x
refuses 1 "is no IDX file of bytes, (N, height, width)" "$PYTHON" "$dilate" "$root/examples/data/digits-labels-idx1-ubyte.gz" \
    views.safetensors x
head -c 1000 "$images" >cut.gz
refuses 1 "cut.gz: cannot read" "$PYTHON" "$dilate" cut.gz views.safetensors x
gzip -dc "$images" | head -c 1000 >cut.idx
refuses 1 "cut.idx: its header says 300 x 28 x 28 bytes, it holds 984" "$PYTHON" "$dilate" cut.idx views.safetensors x
refuses 1 "is no data set of networks" "$PYTHON" "$dilate" "$images" "$root/examples/data/one-cnn.safetensors" x
[ ! -e x ] || fail "dilate.py leaves a file when it fails"
echo "every row has its numbers"
