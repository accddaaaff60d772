/* Kernels for fitting small SIRENs: products of matrices that fit in the cache, too small for BLAS. Rows are
 * pixels, columns are neurons, so a vector holds neighbouring neurons and nothing is ever transposed. Sums
 * run in a fixed order: a result depends on its own row, not on the number of rows. */
#ifndef NFT_MATH_SIREN_KERNELS_H
#define NFT_MATH_SIREN_KERNELS_H

#include <stdint.h>

/* y (rows, columns) from a and b (inner, columns), all row-major, strides in floats. `columns` is a multiple
 * of nft_kernels.width. */
typedef struct nft_product {
    int64_t rows, columns, inner;
    const float *a;
    int64_t a_stride;
    const float *b;
    int64_t b_stride;
    float *y;
    int64_t y_stride;
} nft_product;

/* The last layer of one output: out = sine · weight + bias, and the way back of factor/2 (out - target)². */
typedef struct nft_last_layer {
    int64_t rows, columns;      /* whole vectors */
    const float *sine, *cosine; /* (rows, columns) */
    const float *weight;        /* (columns) */
    float bias, factor;
    const float *target;    /* (rows) */
    float *weight_gradient; /* (columns), added to */
    float *bias_gradient;   /* one, added to */
    float *angle_gradient;  /* (rows, columns), factor (out - target) weight ∘ cosine, may be `cosine` */
} nft_last_layer;

typedef struct nft_siren_kernels {
    /* y, cosine = the sine and cosine of 2π (bias (columns) + a b), a (rows, inner), cosine as y: at most
     * 2e-7 off */
    void (*forward)(const nft_product *product, const float *bias, float *cosine);
    /* y = (a b) ∘ factor, a (rows, inner), factor as y, or y itself */
    void (*backward)(const nft_product *product, const float *factor);
    /* The last step back, at the first layer: with d = (a b) ∘ factor, a (rows, inner), y (2, columns) +=
     * placesᵀ d, places (rows, 2), and sums (columns) += the sums of d's columns; factor's rows are y's. */
    void (*backward_first)(const nft_product *product, const float *factor, const float *places,
                           int64_t places_stride, float *sums);
    /* y += aᵀ b, a (inner, rows), rows ≥ 1; and unless it is NULL sums (columns) += the sums of b's columns
     */
    void (*gradient)(const nft_product *product, float *sums);
    /* Sine and cosine (count, columns) of angle sums a + b_i from those of a (columns) and of b (count,
     * columns) */
    void (*waves)(int64_t count, int64_t columns, const float *a_sine, const float *a_cosine,
                  const float *b_sine, const float *b_cosine, float *sine, float *cosine);
    /* y (rows, count) = bias (count) + a bᵀ for few outputs; here b is (count, columns), and a (rows,
     * columns) */
    void (*outputs)(const nft_product *product, int64_t count, const float *bias);
    void (*last)(const nft_last_layer *layer);
} nft_siren_kernels;

/* Those of the set in use (kernel_set.h). */
const nft_siren_kernels *nft_siren_vector(void);

#endif
