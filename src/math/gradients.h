/* Kernels for training: derivatives of the functions of vector.h, dropout, and updates; built and chosen like
 * them. `dx` may be `dy`. */
#ifndef NFT_MATH_GRADIENTS_H
#define NFT_MATH_GRADIENTS_H

#include "math/adam.h"

#include <stdint.h>

typedef struct nft_gradient_kernels {
    /* of the input x, or the output y */
    void (*relu)(int64_t n, const float *x, const float *dy,
                 float *dx); /* 0 where x ≤ 0; dy at NaN, as in PyTorch */
    void (*gelu)(int64_t n, const float *x, const float *dy, float *dx); /* dy (Φ(x) + x φ(x)) */
    /* the same, and y = gelu(x) once more, of which most is shared; none of y and dx overlaps x or dy */
    void (*gelu_again)(int64_t n, const float *x, const float *dy, float *y, float *dx);
    void (*sigmoid)(int64_t n, const float *y, const float *dy, float *dx);
    void (*tanh)(int64_t n, const float *y, const float *dy, float *dx);

    /* rows of n floats, strides in floats. p is softmax(scale x): dx = scale p (dy - Σ p dy). */
    void (*softmax)(int64_t rows, int64_t n, float scale, const float *p, int64_t p_stride, const float *dy,
                    int64_t dy_stride, float *dx, int64_t dx_stride);
    /* dx, and dgamma += Σ over rows, dbeta += Σ over rows, in blocks of them. x is the forward's input. */
    void (*simple_layer_norm)(int64_t rows, int64_t n, const float *gamma, const float *x, int64_t x_stride,
                              const float *dy, int64_t dy_stride, float *dx, int64_t dx_stride, float *dgamma,
                              float *dbeta);
    void (*layer_norm)(int64_t rows, int64_t n, const float *gamma, const float *x, int64_t x_stride,
                       const float *dy, int64_t dy_stride, float *dx, int64_t dx_stride, float *dgamma,
                       float *dbeta);

    /* y = scale x, but 0 where a random number of 32 bits is below `threshold`; y may be x. The numbers are
     * Philox's (base/random.h), the same on every machine: that of element i is word i / 16 % 4 of block
     * i / 64 · 16 + i % 16. */
    void (*drop)(int64_t n, uint32_t threshold, float scale, uint64_t seed, uint64_t stream, const float *x,
                 float *y);

    /* g ← scale g + decay p with p ← shrink p, then m ← m + (1 - β1) (g - m), v ← β2 v + (1 - β2) g²,
     * p ← p - step_size m / (√v / correction + eps) */
    void (*adam)(const nft_adam *adam, int64_t n, const float *gradients, float *m, float *v, float *p);
} nft_gradient_kernels;

/* Those of the set in use (kernel_set.h). */
const nft_gradient_kernels *nft_vector_gradients(void);

#endif
