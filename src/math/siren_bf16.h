/* Kernels for fitting small SIRENs with products of bf16 numbers: those of siren_kernels.h, with two products
 * for one operation of the processor. Factors are rounded to bf16 (bf16.h). Sums, sines and the first and
 * last layer's gradients are floats.
 *
 * A product runs over pairs of neighbours on the inner axis. The forward product's inner axis is a row's
 * columns, and the weights' gradient's is the rows, so an activation is kept in both orders. */
#ifndef NFT_MATH_SIREN_BF16_H
#define NFT_MATH_SIREN_BF16_H

#include "math/siren_kernels.h"

/* A matrix (rows, stride) of bf16 numbers in pairs, the lower half first. The number after the last row is 0.
 */
typedef struct nft_pairs {
    uint32_t *across; /* (rows, stride / 2): columns 2k and 2k + 1 of a row; NULL: not kept */
    uint32_t *down;   /* (⌈rows / 2⌉, stride): rows 2k and 2k + 1 of a column */
    int64_t stride;
} nft_pairs;

/* Σ over k of a and b, the pair k of row r of a at r a_row + k a_step, b (inner, columns) with rows b_stride
 * apart. `columns` is a multiple of nft_siren_bf16.width, `inner` counts pairs. */
typedef struct nft_pair_product {
    int64_t rows, columns, inner;
    const uint32_t *a;
    int64_t a_row, a_step;
    const uint32_t *b;
    int64_t b_stride;
} nft_pair_product;

/* The first layer's outputs at pixels first, first + 1, … of an image, from the sines and cosines (height,
 * columns) and (width, columns) of the parts of its angles. */
typedef struct nft_pixel_waves {
    int64_t first, rows, width, columns;
    const float *row_sine, *row_cosine, *column_sine, *column_cosine;
    float *cosine; /* (rows, columns) */
    nft_pairs sine;
} nft_pixel_waves;

typedef struct nft_siren_bf16 {
    int width; /* columns are multiples of it */
    void (*pack)(int64_t rows, int64_t columns, const float *x, int64_t stride, const nft_pairs *pairs);
    void (*waves)(const nft_pixel_waves *waves);
    /* The sine and cosine of 2π (bias (columns) + a b), each (rows, columns); of the sine as floats or as
     * pairs, the other NULL */
    void (*forward)(const nft_pair_product *product, const float *bias, float *sine, const nft_pairs *pairs,
                    float *cosine);
    /* pairs = (a b) ∘ factor (rows, columns) */
    void (*backward)(const nft_pair_product *product, const float *factor, const nft_pairs *pairs);
    /* The last step back, at the first layer: with d = (a b) ∘ factor, y (2, columns) += placesᵀ d, places
     * (rows, 2), and sums (columns) += the sums of d's columns. */
    void (*backward_first)(const nft_pair_product *product, const float *factor, const float *places,
                           int64_t places_stride, float *y, float *sums);
    /* y (rows, columns) += a b, and sums (columns) += the sums of b's columns */
    void (*gradient)(const nft_pair_product *product, float *y, float *sums);
    /* As nft_siren_kernels.last, with the angles' gradient in pairs */
    void (*last)(const nft_last_layer *layer, const nft_pairs *angle_gradient);
} nft_siren_bf16;

/* Those of the set in use (kernel_set.h); NULL if floats are as fast. */
const nft_siren_bf16 *nft_siren_vector_bf16(void);

/* On AVX512_BF16, and on any processor. */
extern const nft_siren_bf16 nft_siren_bf16_avx512, nft_siren_bf16_portable;

#endif
