/* Features seen along a neuron axis. Everything that the axis indexes is a sequence of vectors, each running
 * along the axis: a matrix [vector of the axis][neuron][channel]. A weight stands in the matrices of two
 * axes, of which one has an even number, a bias in one. */
#ifndef NFT_MODULES_AXIS_VECTORS_H
#define NFT_MODULES_AXIS_VECTORS_H

#include "modules/features.h"

/* Floats that a vector may be longer in memory than it is. */
#define NFT_AXIS_PADDING 16

/* Floats from one vector of an axis's matrix to the next, at least size · channels. Saturates. */
int64_t nft_axis_stride(const nft_axis *axis, int64_t channels);

/* Fills the matrix (axis->tokens, stride) of an axis: channel c of token i of the space is at x[i · x_stride
 * + c]. */
void nft_axis_take(const nft_space *space, int64_t axis, int64_t channels, const float *x, int64_t x_stride,
                   float *matrix);
/* Adds a matrix to the tokens that it was taken from: the adjoint. */
void nft_axis_give(const nft_space *space, int64_t axis, int64_t channels, const float *matrix, float *x,
                   int64_t x_stride);

#endif
