/* Attention over neuron axes (arXiv 2305.13546, section 3.1), as np_attention and inside nft_block. */
#ifndef NFT_MODULES_NP_ATTENTION_H
#define NFT_MODULES_NP_ATTENTION_H

#include "modules/weights/axis_vectors.h"
#include "modules/weights/simple_layer_norm.h"

typedef struct nft_attention_options {
    int64_t num_heads;
    double dropout; /* on the attention weights of the cross terms */
    bool share_projections, ablate_crossterm, ablate_diagonalterm;
} nft_attention_options;

typedef struct nft_attention {
    const nft_space *space;
    nft_attention_options options;
    int64_t channels, heads, head_channels;
    bool shared, cross, diagonal;
    int64_t term_count;      /* that are added to a weight: the unprojection's bias counts once for each */
    uint64_t stream;         /* of its dropout */
    nft_map *qkv;            /* for each tensor; all the same when shared */
    nft_map *unproject;      /* for each tensor, weights only; not used when shared */
    int64_t *unproject_bias; /* sides, for each tensor: the gradient of the unprojection's bias */
    const nft_channel_norm *norms; /* of what arrives; NULL: none */

    /* scratch of a sample */
    int64_t qkv_rows;    /* (tokens, 3C), of each head q, k and v */
    int64_t terms;       /* summed (tokens, C), where they are not kept */
    int64_t sums, means; /* for each chunk of rows the sum of its rows; the mean token of each tensor */
    int64_t diagonal_qkv, diagonal_out; /* (tensors, 3C), (tensors, C); in backward their gradients */
    int64_t terms_gradient,
        normed_gradient; /* backward: of the summed terms (tokens, C), of the normed features */

    /* kept for backward */
    int64_t kept_normed; /* what is projected: features, C channels */
    int64_t kept_qkv, kept_diagonal_qkv;
    int64_t kept_weights; /* of the cross terms, before dropout: for each axis and head (tokens, tokens); -1
                             where they would be more floats than q and k, and are computed again */
    int64_t kept_terms;   /* unless shared */

    /* sides */
    int64_t qkv_gradient;    /* (tokens, 3C) */
    int64_t output_gradient; /* features, unless shared */
} nft_attention;

/* Matrices of one axis and head that an item of the cross terms works on: q, k, v, and in backward the
 * gradients of the results and of k and v. */
#define NFT_ATTENTION_MATRICES 6

/* Reads the options that attention has, but for dropout, whose default differs. */
nft_status nft_attention_read(nft_options *options, nft_attention_options *values);
/* Declares its parameters under `prefix` and adds what it needs to the module's scratch, thread_scratch and
 * flops. `norms`, unless NULL, are applied to what arrives. The arrays are one allocation that
 * nft_attention_release frees. */
nft_status nft_attention_configure(nft_attention *attention, nft_module *module, nft_builder *builder,
                                   const nft_attention_options *values, const nft_channel_norm *norms,
                                   const char *prefix);
void nft_attention_release(nft_attention *attention);
/* How many attention weights all heads of axes 0 … axis - 1 have. */
int64_t nft_attention_weights_before(const nft_attention *attention, int64_t axis);

/* out = attention(norm(in)), plus in itself if `residual`. out may be in. */
void nft_attention_forward(const nft_attention *attention, const nft_exec *exec, bool residual,
                           const float *in, float *out);
/* grad_in = the gradient through attention and norm alone. */
void nft_attention_backward(const nft_attention *attention, const nft_exec *exec, const float *in,
                            const float *grad_out, float *grad_in);

#endif
