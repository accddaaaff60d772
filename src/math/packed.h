/* Linear maps with packed weights. BLAS packs a weight matrix at every call; a model's weights are packed
 * once, and then a map of 32 rows runs as fast as one of 1,000. Each output sums its
 * products in the order of the inputs, so a row's result does not depend on the other rows. */
#ifndef NFT_MATH_PACKED_H
#define NFT_MATH_PACKED_H

#include <stdint.h>

/* How the result xWᵀ + bias is stored. */
typedef enum nft_map_mode {
    NFT_MAP_SET,  /* y = it */
    NFT_MAP_ADD,  /* y += it */
    NFT_MAP_RELU, /* y = relu(it) */
    NFT_MAP_GELU  /* y = gelu(it) */
} nft_map_mode;

/* Floats of a packed matrix on this machine; saturates. */
int64_t nft_packed_floats(int64_t outputs, int64_t inputs);
/* weight (outputs, inputs), as PyTorch keeps it. */
void nft_pack(int64_t outputs, int64_t inputs, const float *weight, float *packed);
/* The packed transpose of the same weight: a map from its outputs back to its inputs. */
void nft_pack_transpose(int64_t outputs, int64_t inputs, const float *weight, float *packed);
/* x (rows, inputs), y (rows, outputs), strides in floats; bias (outputs) or NULL. x and y do not overlap.
 * Strides that are multiples of 1,024 floats are slow: the rows share a cache line's place. */
void nft_packed_linear(int64_t rows, int64_t inputs, int64_t outputs, const float *packed, const float *bias,
                       const float *x, int64_t x_stride, float *y, int64_t y_stride, nft_map_mode mode);

#endif
