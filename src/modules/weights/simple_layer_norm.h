/* The norms of each tensor's effective channels: simple_layer_norm is one set of them, nft_block has two. */
#ifndef NFT_MODULES_SIMPLE_LAYER_NORM_H
#define NFT_MODULES_SIMPLE_LAYER_NORM_H

#include "modules/weights/features.h"

typedef struct nft_channel_norm {
    int64_t width; /* channels that are normed together */
    int64_t owner; /* tensors of one owner share gamma and beta */
    nft_param gamma, beta;
    nft_buffer gamma_gradient, beta_gradient;
} nft_channel_norm;

/* The norms of all tensors of a space. */
typedef struct nft_channel_norms {
    const nft_space *space;
    int64_t channels, owners;
    nft_channel_norm *items; /* one for each tensor */
    bool adds;               /* backward adds to the parameters' gradients: the norms had a turn before */
} nft_channel_norms;

/* Declares the parameters of each owner under `prefix`; `items` has room for every tensor of the space. */
nft_status nft_channel_norms_add(nft_builder *builder, nft_channel_norms *norms, nft_channel_norm *items,
                                 const char *prefix);
/* y (rows, width) = the norm of x's rows; y may be x. */
void nft_channel_norm_rows(const nft_channel_norm *norm, const nft_exec *exec, int64_t rows, const float *x,
                           float *y);

/* grad_in = back through the norms of all tensors, plus `added` unless NULL; in is the input of forward.
 * None of them overlaps grad_in. */
void nft_channel_norms_back(const nft_channel_norms *norms, const nft_exec *exec, const float *in,
                            const float *grad_out, const float *added, float *grad_in);

#endif
