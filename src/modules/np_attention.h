/* Attention over neuron axes (arXiv 2305.13546, section 3.1), as np_attention and inside nft_block. */
#ifndef NFT_MODULES_NP_ATTENTION_H
#define NFT_MODULES_NP_ATTENTION_H

#include "modules/simple_layer_norm.h"

typedef struct nft_attention {
    const nft_space *space;
    int64_t channels, heads, head_channels;
    bool shared, cross, diagonal;
    int64_t terms;         /* that are added to a weight: the unprojection's bias counts once for each */
    nft_map *qkv;          /* for each tensor; all the same when shared */
    nft_map *unproject;    /* for each tensor, weights only; not used when shared */
    int64_t *axis_offsets; /* for each axis: where its vectors begin, see `vectors` */
    int64_t vectors;       /* scratch: for each axis [q, k, v][head][vector of the axis][neuron][channel] */
    int64_t sums;          /* scratch: for each chunk of rows the sum of its rows */
    int64_t means, diagonal_qkv,
        diagonal_out; /* scratch: mean token of each tensor, its q, k, v, its result */
} nft_attention;

/* Reads the options that attention has, declares its parameters under `prefix` and adds what it needs to the
 * module's scratch, thread_scratch and flops. The arrays are one allocation that nft_attention_release frees.
 */
typedef struct nft_attention_options {
    int64_t num_heads;
    bool share_projections, ablate_crossterm, ablate_diagonalterm;
} nft_attention_options;

nft_status nft_attention_read(nft_options *options, nft_attention_options *values);
nft_status nft_attention_configure(nft_attention *attention, nft_module *module, nft_builder *builder,
                                   const nft_attention_options *values, const char *prefix);
void nft_attention_release(nft_attention *attention);

/* out = attention(norm(in)), plus in itself if `residual`. norms NULL: no norm. out may be in. */
void nft_attention_forward(const nft_attention *attention, const nft_exec *exec,
                           const nft_channel_norm *norms, bool residual, const float *in, float *out);

#endif
