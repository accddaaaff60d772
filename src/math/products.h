/* Products of matrices as they lie. BLAS packs both at every call. With an inner length of a few dozen tokens
 * that takes longer than the product. In NT, and in columns that fill whole vectors, the order of each sum
 * does not depend on the other rows. BLAS multiplies the other columns. */
#ifndef NFT_MATH_PRODUCTS_H
#define NFT_MATH_PRODUCTS_H

#include "math/blas.h"

#include <stdbool.h>
#include <stdint.h>

/* c (m, n) = a b + [c if add], strides in floats between rows. Fast where n is a multiple of a vector, and in
 * NT always. */
void nft_multiply(nft_layout layout, int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride,
                  const float *b, int64_t b_stride, bool add, float *c, int64_t c_stride);

/* dw (outputs, inputs) = dyᵀ x + [dw if add], the gradient of the weight of a linear map from that of its
 * outputs dy (rows, outputs); x (rows, inputs). The order of a sum depends only on the sizes and the
 * machine. */
void nft_weight_gradient(int64_t rows, int64_t inputs, int64_t outputs, const float *dy, int64_t dy_stride,
                         const float *x, int64_t x_stride, bool add, float *dw);

#endif
