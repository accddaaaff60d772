# shellcheck shell=sh disable=SC2034,SC2059
# Shared by the tests of the nftool program: . support.sh PATH-OF-NFTOOL. Moves to an empty folder; the functions count passed checks and
# failed, and finish says so.
nftool=${1:?usage: $0 PATH-OF-NFTOOL}
case $nftool in
/*) ;;
*) nftool=$PWD/$nftool ;;
esac
root=$(cd "$(dirname "$0")/../.." && pwd)
golden=$root/tests/data/golden
examples=$root/examples/data
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise
cd "$work" || exit 1

# No line of progress, however slow the machine: a success is silent.
NFTOOL_PROGRESS_SECONDS=1000000
export NFTOOL_PROGRESS_SECONDS

# Five measurements are enough where no speed is checked.
NFTOOL_BENCH_SECONDS=0.001
export NFTOOL_BENCH_SECONDS

# AddressSanitizer's own library need not come before that of interposed.c.
ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0
export ASAN_OPTIONS

# Fontconfig keeps memory that a sanitizer takes for lost.
LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0
export LSAN_OPTIONS

passed=0
failed=0

pass() {
    passed=$((passed + 1))
}

complain() {
    failed=$((failed + 1))
    echo "FAILED: $1"
}

# check DESCRIPTION COMMAND …: the command succeeds.
check() {
    what=$1
    shift
    if "$@" >/dev/null 2>&1; then pass; else complain "$what"; fi
}

# run STATUS ARGUMENT …: nftool ends with the status, within LIMIT seconds (200); a failure says one line, a success none on standard
# error. At the limit it gets the signal ABRT, for which a sanitizer prints the stack.
run() {
    expected=$1
    shift
    timeout -s ABRT "${LIMIT:-200}" "$nftool" "$@" >out 2>err
    status=$?
    lines=$(wc -l <err)
    if [ "$status" -eq 124 ]; then
        complain "nftool $*: does not end: $(cat err)"
    elif [ "$status" -ne "$expected" ]; then
        complain "nftool $*: exit status $status, expected $expected: $(head -n 1 err)"
    elif [ "$expected" -eq 0 ] && [ -s err ]; then
        complain "nftool $*: a message, or its progress, on success: $(head -n 1 err)"
    elif [ "$expected" -ne 0 ] && { [ "$lines" -ne 1 ] || ! grep -q '^nftool[a-z ]*: ' err; }; then
        complain "nftool $*: $lines lines on standard error, expected one: $(head -n 1 err)"
    else
        pass
    fi
}

# prints TEXT, says TEXT: the last run's standard output, or error, has a line with it.
prints() {
    if grep -qF -- "$1" out; then pass; else complain "no '$1' in the output: $(head -n 3 out)"; fi
}
says() {
    if grep -qF -- "$1" err; then pass; else complain "no '$1' in the message: $(head -n 1 err)"; fi
}

# keys NAME …: the last run printed one JSON object with these keys.
keys() {
    if command -v python3 >/dev/null 2>&1; then
        if python3 -c 'import json, sys
lines = open("out").read().splitlines()
assert len(lines) == 1
missing = set(sys.argv[1:]) - set(json.loads(lines[0]))
assert not missing' "$@" 2>/dev/null; then
            pass
        else
            complain "not one JSON object with $*: $(head -n 1 out)"
        fi
        return
    fi
    for key in "$@"; do
        prints "\"$key\":"
    done
}

byte() {
    printf "\\$(printf %03o "$1")"
}

# safetensors FILE HEADER BYTES: BYTES are escapes of printf.
safetensors() {
    length=${#2}
    {
        byte $((length % 256))
        byte $((length / 256))
        printf '\000\000\000\000\000\000'
        printf %s "$2"
        printf "$3"
    } >"$1"
}

# python DESCRIPTION SCRIPT: a check in Python, where there is one. The script may read safetensors and PNG files.
compare='import json, math, struct, sys, zlib
def read(path):
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    tensors = {}
    for name, info in header.items():
        if name != "__metadata__":
            begin, end = info["data_offsets"]
            code, size = {"F32": ("f", 4), "I64": ("q", 8)}[info["dtype"]]
            values = struct.unpack("<%d%s" % ((end - begin) // size, code), data[8 + length + begin:8 + length + end])
            tensors[name] = (info["shape"], values)
    return tensors
def agree(got, expected, relative, absolute):
    assert got[0] == expected[0]
    most = max(map(abs, expected[1]))
    for a, b in zip(got[1], expected[1]):
        assert abs(a - b) <= relative * abs(b) + absolute * most
def pixels(path, height, width, colours=1):
    width *= colours
    data, at, packed = open(path, "rb").read(), 8, b""
    while at < len(data):
        length = int.from_bytes(data[at:at + 4], "big")
        if data[at + 4:at + 8] == b"IDAT":
            packed += data[at + 8:at + 8 + length]
        at += 12 + length
    lines = zlib.decompress(packed)
    result = []
    for y in range(height):
        line = list(lines[y * (width + 1) + 1:(y + 1) * (width + 1)])
        kind, above = lines[y * (width + 1)], result[-width:] or [0] * width
        for x in range(width):
            left, corner = (row[x - colours] if x >= colours else 0 for row in (line, above))
            guess = left + above[x] - corner
            near = min((left, above[x], corner), key=lambda c: abs(guess - c))
            line[x] = (line[x] + [0, left, above[x], (left + above[x]) // 2, near][kind]) % 256
        result += line
    return result
'
python() {
    if command -v python3 >/dev/null 2>&1; then
        what=$1
        shift
        check "$what" python3 -c "$compare$1"
    fi
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
