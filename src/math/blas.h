/* The only place that calls BLAS: single-precision products of row-major matrices, on one thread, the
 * caller's. */
#ifndef NFT_MATH_BLAS_H
#define NFT_MATH_BLAS_H

#include "base/status.h"

#include <stdbool.h>

/* How the factors of a product lie: a (m, k), or (k, m) in TN; b (k, n), or (n, k) in NT. */
typedef enum nft_layout { NFT_NN, NFT_NT, NFT_TN } nft_layout;

/* c (m, n) = alpha a b + beta c, strides in floats between rows. Empty products leave beta c. */
void nft_gemm(nft_layout layout, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
              int64_t a_stride, const float *b, int64_t b_stride, float beta, float *c, int64_t c_stride);

/* BLAS libraries differ in the largest index they take; a configuration with a larger axis is refused by this
 * limit. */
#define NFT_GEMM_MAX_SIZE INT64_C(0x7fffffff)

/* Around each call of the library that computes: the first in flight sets OpenBLAS to one thread, the last
 * restores the host's number. Another BLAS is not changed. */
void nft_blas_enter(void);
void nft_blas_leave(void);

const char *nft_blas_describe(void); /* "OpenBLAS 0.3.21 (Haswell)" */

#endif
