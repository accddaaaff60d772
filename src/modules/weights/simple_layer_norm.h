/* The norms of each tensor's effective channels: simple_layer_norm is one set of them, nft_block has two. */
#ifndef NFT_MODULES_SIMPLE_LAYER_NORM_H
#define NFT_MODULES_SIMPLE_LAYER_NORM_H

#include "modules/weights/features.h"

typedef struct nft_channel_norm {
    int64_t width;                         /* channels that are normed together */
    int64_t gamma, beta;                   /* offsets of (width) */
    int64_t gamma_gradient, beta_gradient; /* sides */
} nft_channel_norm;

/* Declares w_norms.{i} and v_norms.{i} under `prefix`; norms has room for every tensor of the space. */
nft_status nft_channel_norms_add(nft_builder *builder, nft_channel_norm *norms, const char *prefix);
/* y (rows, width) = the norm of x's rows; y may be x. */
void nft_channel_norm_rows(const nft_channel_norm *norm, const float *parameters, int64_t rows,
                           const float *x, float *y);

/* grad_in = back through the norms of all tensors of features with C channels; in is what forward normed. */
void nft_channel_norms_back(const nft_channel_norm *norms, const nft_exec *exec, const nft_space *space,
                            int64_t channels, const float *in, const float *grad_out, float *grad_in);

#endif
