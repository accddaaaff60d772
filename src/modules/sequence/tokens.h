/* Shared by the modules on tokens and vectors: checks, the ordinary LayerNorm, ranges of options. */
#ifndef NFT_MODULES_TOKENS_H
#define NFT_MODULES_TOKENS_H

#include "modules/shared/module.h"

/* Larger numbers in a configuration are a mistake. Products of these stay below NFT_GEMM_MAX_SIZE. */
#define NFT_MAX_WIDTH (INT64_C(1) << 24) /* channels, latents */
#define NFT_MAX_HEADS 4096
#define NFT_MAX_HEAD_SIZE 65536
#define NFT_MAX_REPEATS 256 /* layers of one kind inside a module */

/* An error unless tokens or a vector arrive; `rows` is the number of tokens, 1 for a vector. */
nft_status nft_require_rows(const nft_builder *builder, int64_t *rows);

/* An error unless there is a space and each of its weights and biases is one token. */
nft_status nft_require_flat_space(const nft_builder *builder);

/* The option `dropout`, in [0, 1). */
nft_status nft_dropout_option(const nft_builder *builder, nft_options *options, double *dropout);

/* Rows that an item works on at most. */
int64_t nft_chunk_rows(int64_t rows);

/* The place in the CALL arena that a KEPT buffer has in inference. In training nothing else uses it, so
 * backward has it for a copy. */
nft_buffer nft_call_place(const nft_buffer *kept);

/* PyTorch's LayerNorm over the channels of a row: PREFIX NAME weight begins at 1, PREFIX NAME bias at 0. */
typedef struct nft_norm {
    int64_t channels;
    nft_param weight, bias;
    nft_buffer weight_gradient, bias_gradient;
} nft_norm;

nft_status nft_norm_add(nft_builder *builder, nft_norm *norm, int64_t channels, const char *prefix,
                        const char *name);
/* Rows without gaps; y may be x. */
void nft_norm_rows(const nft_exec *exec, const nft_norm *norm, int64_t rows, const float *x, float *y);
/* From the gradient of y to that of x, which it may overwrite, for all rows at once: leaves the sums over
 * them, the gradients of weight and bias, in the backward block. */
void nft_norm_rows_back(const nft_exec *exec, const nft_norm *norm, int64_t rows, const float *x,
                        const float *dy, float *dx);

#endif
