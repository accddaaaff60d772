#!/bin/sh
# peers.sh NFTOOL: the peers' models agree with libnft, and a quick run prints a table with a time in each cell. Status 77: skipped, no
# Python with numpy and PyTorch 2.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
nftool=${1:?usage: peers.sh NFTOOL}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM # dash leaves EXIT out otherwise
PYTHONDONTWRITEBYTECODE=1
OMP_NUM_THREADS=1
export PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS
for python in "${NFT_PYTHON:-}" python3 /usr/bin/python3; do
    python=$(command -v "${python:-none}") || continue
    "$python" -c 'import numpy, torch; torch.compile' 2>/dev/null && break
    python=
done
if [ -z "$python" ]; then
    echo "skipped: no Python 3 with numpy and PyTorch 2"
    exit 77
fi

cat >"$work/encoder.json" <<'JSON'
{"format_version": 1,
 "space": {"layers": [{"type": "linear", "in": 2, "out": 6}, {"type": "linear", "in": 6, "out": 5}, {"type": "linear", "in": 5, "out": 3}]},
 "in_channels": 1,
 "modules": [
   {"type": "gaussian_fourier", "mapping_size": 8, "scale": 3},
   {"type": "learned_pos_embedding"},
   {"type": "nft_block", "num_heads": 4, "ff_factor": 2, "dropout": 0},
   {"type": "nft_block", "num_heads": 2, "ff_factor": 3, "dropout": 0},
   {"type": "flatten_weights"},
   {"type": "perceiver", "num_latents": 4, "latent_dim": 24, "depth": 1, "cross_heads": 1, "cross_dim_head": 12, "self_per_cross_attn": 0}]}
JSON
run() {
    "$python" "$root/examples/peers/peers.py" --nftool "$nftool" --quick --threads 1 --batch-size 3 --models "$work/encoder.json" \
        --only libnft "PyTorch eager" "ONNX Runtime" JAX "$@" >"$work/table" 2>"$work/log"
}
run || {
    cat "$work/log"
    exit 1
}
for row in "encoder, 16 channels, batch 3" "encoder, 16 channels, batch 1" "training step, 16 channels, batch 3" "SIREN fit"; do
    grep -Eq "^\| ${row}[^|]*\| [0-9.]+ \| [0-9.]+ \| ([0-9.]+|–|not installed) \| ([0-9.]+|–|not installed) \| [0-9.]+ \|$" "$work/table" || {
        echo "no times in the row '$row':"
        cat "$work/table"
        exit 1
    }
done

# Another model than the one that libnft runs is refused.
sed 's/"ff_factor": 3/"ff_factor": 3, "ablate_crossterm": true/' "$work/encoder.json" >"$work/other.json"
if run --models "$work/other.json"; then
    echo "peers.py did not notice that the models differ"
    exit 1
fi
grep -q 'PyTorch eager differs from libnft by .*, expected 0.0001 at most' "$work/log"
