/* Linear maps with packed weights. BLAS packs a weight matrix at every call; a model's weights are packed
 * once, and then a map of 32 rows runs as fast as one of 1,000. Each output
 * sums its products in the order of the inputs, so a row's result does not depend on the rows beside it. */
#ifndef NFT_MATH_PACKED_H
#define NFT_MATH_PACKED_H

#include <stdint.h>

/* What happens to the result xWᵀ + bias. */
typedef enum nft_map_mode {
    NFT_MAP_SET,  /* y = it */
    NFT_MAP_ADD,  /* y += it */
    NFT_MAP_RELU, /* y = relu(it) */
    NFT_MAP_GELU  /* y = gelu(it) */
} nft_map_mode;

/* How a weight is packed: as floats, or as one to three bf16 parts of each number (bf16.h). */
typedef enum nft_pack_format {
    NFT_FORMAT_FLOAT,
    NFT_FORMAT_BF16,   /* one product */
    NFT_FORMAT_BF16X2, /* three products */
    NFT_FORMAT_BF16X3  /* six products: as exact as floats */
} nft_pack_format;

/* The fastest format of the set in use that has at least the precision, an NFT_PRECISION_…. */
nft_pack_format nft_format_of(int32_t precision);

/* Bytes of a packed matrix on this machine, a multiple of a cache line; saturates. */
int64_t nft_packed_bytes(nft_pack_format format, int64_t outputs, int64_t inputs);
/* weight (outputs, inputs), as PyTorch keeps it. `packed` begins on a cache line. */
void nft_pack(nft_pack_format format, int64_t outputs, int64_t inputs, const float *weight, void *packed);
/* The packed transpose of the same weight: a map from its outputs back to its inputs. */
void nft_pack_transpose(nft_pack_format format, int64_t outputs, int64_t inputs, const float *weight,
                        void *packed);
/* x (rows, inputs), y (rows, outputs), strides in floats; bias (outputs) or NULL. x and y do not overlap.
 * Strides that are multiples of 1,024 floats are slow: the rows share a cache line's place. */
void nft_packed_linear(nft_pack_format format, int64_t rows, int64_t inputs, int64_t outputs,
                       const void *packed, const float *bias, const float *x, int64_t x_stride, float *y,
                       int64_t y_stride, nft_map_mode mode);

#endif
