/* Elementwise and row kernels, written once on vectors of the compiler and built for several instruction
 * sets. The best set of the machine is chosen once. On one machine a result does not depend on the place of
 * an element in an array. Every function is right for NaN, infinities, denormals and empty arrays. `y` may be
 * `x`. Rows may have a stride. */
#ifndef NFT_MATH_VECTOR_H
#define NFT_MATH_VECTOR_H

#include <stdbool.h>
#include <stdint.h>

typedef struct nft_kernels {
    int width; /* floats in a vector */

    void (*copy_scaled)(int64_t n, float a, const float *x, float *y);    /* y = a x */
    void (*add)(int64_t n, const float *x, float *y);                     /* y += x */
    void (*add_two)(int64_t n, const float *x, const float *z, float *y); /* y = x + z; y may be either */
    void (*multiply)(int64_t n, const float *x, float *y);                /* y *= x */
    float (*dot)(int64_t n, const float *x, const float *z);              /* summed in a fixed order */
    float (*sum)(int64_t n, const float *x);                              /* summed in a fixed order */

    /* c (m, n) = a bᵀ + [c if add], the product of each row of a (m, k) with each row of b (n, k); all in one
     * order */
    void (*row_products)(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride, const float *b,
                         int64_t b_stride, bool add, float *c, int64_t c_stride);

    void (*relu)(int64_t n, const float *x, float *y); /* NaN stays NaN, as in PyTorch */
    void (*gelu)(
        int64_t n, const float *x,
        float *y); /* x Φ(x), exact form; Φ(x) = ½ erfc(-x/√2) keeps its relative precision below 0 */
    void (*sigmoid)(int64_t n, const float *x, float *y);
    void (*tanh)(int64_t n, const float *x, float *y);
    void (*exp)(int64_t n, const float *x, float *y);
    void (*sincos)(int64_t n, const float *x, float *sine,
                   float *cosine); /* of x radians, any magnitude; either output may be NULL */
    void (*sincos_turns)(int64_t n, const float *x, float *sine,
                         float *cosine); /* of 2π x: the reduction is exact; neither may be NULL */

    /* rows of n floats, `stride` floats apart */
    void (*add_bias)(int64_t rows, int64_t n, const float *bias, float *y, int64_t stride); /* y += bias */
    void (*softmax)(int64_t rows, int64_t n, float scale, float *y,
                    int64_t stride); /* y = softmax(scale y) */
    void (*sum_rows)(int64_t rows, int64_t n, const float *x, int64_t stride,
                     float *y); /* y += (Σ over rows), pairwise where they are more than 64 */
    /* y = x, y += x */
    void (*copy_rows)(int64_t rows, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride);
    void (*add_rows)(int64_t rows, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride);
    /* the same for groups of n floats: those of x are x_group apart, those of y y_group */
    void (*copy_groups)(int64_t rows, int64_t n, int groups, const float *x, int64_t x_stride,
                        int64_t x_group, float *y, int64_t y_stride, int64_t y_group);
    void (*add_groups)(int64_t rows, int64_t n, int groups, const float *x, int64_t x_stride, int64_t x_group,
                       float *y, int64_t y_stride, int64_t y_group);
    /* y = (x - mean) / (s + 1e-5) gamma + beta, s the unbiased standard deviation; n ≥ 2 (simple_layer_norm)
     */
    void (*simple_layer_norm)(int64_t rows, int64_t n, const float *gamma, const float *beta, const float *x,
                              int64_t x_stride, float *y, int64_t y_stride);
    /* y = (x - mean) / √(biased variance + 1e-5) gamma + beta (PyTorch's LayerNorm) */
    void (*layer_norm)(int64_t rows, int64_t n, const float *gamma, const float *beta, const float *x,
                       int64_t x_stride, float *y, int64_t y_stride);
} nft_kernels;

/* Those of the set in use (kernel_set.h). */
const nft_kernels *nft_vector(void);

#endif
