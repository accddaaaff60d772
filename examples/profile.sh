#!/bin/sh
# profile.sh MODEL [OPTION...]: the share of each kind of work in `nftool bench MODEL OPTION...`, by Linux's perf. NFTOOL names the program
# (default: build/nftool), which uses the shared library. Left out are the random numbers of a fresh model, and the products of OpenBLAS: bench
# measures sgemm in the same run, and a model has few of them.
#
#   examples/profile.sh examples/data/mnist-encoder-64.json --train --batch-size 32 --threads 1
set -eu

[ $# -gt 0 ] || { echo "usage: $0 MODEL [OPTION...]" >&2; exit 2; }
samples=$(mktemp)
trap 'rm -f "$samples"' EXIT
perf record -q -e cpu-clock:u -F 997 -o "$samples" -- "${NFTOOL:-build/nftool}" bench "$@"
perf report -i "$samples" --stdio --no-children -g none -F sample,dso,symbol 2>/dev/null | awk '
    function kind(name) {
        if (name ~ /^(map|nn|tn|tile)(_[0-9]+)*$|^(row_products|split|multiply_whole|map_(block|tiles|floats))$|product_(nn|tn)$|weight_gradient$|packed_linear$/)
            return "products"
        if (name ~ /layer_norm$|^(measure_rows|norm_rows|sum_row)$/) return "norms"
        if (name ~ /^(gelu|gelu_again|relu|sigmoid|hyperbolic_tangent)$/) return "GELU, ReLU"
        if (name ~ /^softmax|^dot$/) return "softmax"
        if (name ~ /^(copy|add)_(rows|groups)$|axis_(take|give)$|mem(move|cpy|set)/) return "gathers, copies"
        if (name ~ /^(add|add_two|add_bias|sum_rows|sum_strip|sum_rest|copy_scaled|multiply)$/) return "sums, residuals"
        if (name ~ /^(update_range|sum_range|nft_pack|nft_pack_transpose|pack_.*)$/) return "AdamW, packing"
        return "other"
    }
    /^#/ || NF < 4 || $2 !~ /libnft|libc\.so/ || $4 ~ /^nft_(random_uniform|model_initialize)$/ { next }
    {
        all += $1
        sum[kind($4)] += $1
        if (kind($4) == "other" && listed++ < 5) names = names (names ? ", " : "") $4
    }
    END {
        if (!all) exit 1
        split("products;norms;GELU, ReLU;softmax;gathers, copies;sums, residuals;AdamW, packing;other", kinds, ";")
        for (i = 1; i <= 8; i++) printf "%-16s %5.1f %%\n", kinds[i], 100 * sum[kinds[i]] / all
        print "largest of other: " names
    }'
