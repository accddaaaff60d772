/* Features seen along a neuron axis. Everything that the axis indexes is a sequence of vectors, each running
 * along the axis: a matrix [vector of the axis][neuron][channel]. A tensor of r axes stands in r matrices; a
 * tensor that names one axis twice stands twice in its matrix. */
#ifndef NFT_MODULES_AXIS_VECTORS_H
#define NFT_MODULES_AXIS_VECTORS_H

#include "modules/weights/features.h"

/* Floats that a vector may be longer in memory than it is. */
#define NFT_AXIS_PADDING 16

/* Floats from one vector of an axis's matrix to the next, at least size · channels. Saturates. */
int64_t nft_axis_stride(const nft_axis *axis, int64_t channels);

/* Floats of the matrix of one group of channels. Saturates. */
int64_t nft_axis_floats(const nft_axis *axis, int64_t channels);

/* Fills the matrices (axis->vectors, stride) of `groups` groups of channels, which follow each other: channel
 * c of group g of token i of the space is at x[i · x_stride + g · channels + c]. */
void nft_axis_take(const nft_space *space, int64_t axis, int64_t channels, int groups, const float *x,
                   int64_t x_stride, float *matrices);
/* Gives them to the tokens that they were taken from. Axes have their turn by colours: the first side of a
 * tensor sets its tokens, the others add to them. Of all axes it is the adjoint of taking. `alone`: no other
 * axis has a turn, and a tensor's first side is that of this axis. */
void nft_axis_give(const nft_space *space, int64_t axis, bool alone, int64_t channels, int groups,
                   const float *matrices, float *x, int64_t x_stride);

#endif
