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
/* dw (outputs, inputs) += dyᵀ x, the gradient of the weight of such a map from that of its outputs dy (rows,
 * outputs). The order of a sum depends on the sizes and the machine alone. */
void nft_weight_gradient(int64_t rows, int64_t inputs, int64_t outputs, const float *dy, int64_t dy_stride,
                         const float *x, int64_t x_stride, float *dw);

/* One instruction set's part of it, see panels.c. */
typedef struct nft_panels {
    int64_t width; /* outputs in a panel: two vectors */
    int64_t lanes; /* of a vector */
    /* y (rows, outputs) = x (rows, inputs) panelᵀ + [bias unless NULL] + [y if add]. `outputs` is at most
     * width; up to the next multiple of lanes, bias is read and each row of y is written. */
    void (*map)(int64_t rows, int64_t inputs, int64_t outputs, const float *panel, const float *bias, int add,
                const float *x, int64_t x_stride, float *y, int64_t y_stride);
    /* dw (outputs, inputs) += dy (rows, outputs)ᵀ x (rows, inputs); inputs is lanes or width. */
    void (*outer)(int64_t rows, int64_t inputs, int64_t outputs, const float *dy, int64_t dy_stride,
                  const float *x, int64_t x_stride, float *dw, int64_t dw_stride);
} nft_panels;

#endif
