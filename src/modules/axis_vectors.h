/* Features laid out along neuron axes. Everything that an axis indexes is a sequence of vectors, each running
 * along the axis: for a group of C channels and each axis a matrix [head][vector of the axis][neuron][channel
 * of the head]. A weight stands in the matrices of two axes, a bias in one. */
#ifndef NFT_MODULES_AXIS_VECTORS_H
#define NFT_MODULES_AXIS_VECTORS_H

#include "modules/features.h"

/* Floats that a vector may be longer in memory than it is. */
#define NFT_AXIS_PADDING 16

typedef struct nft_axis_layout {
    const nft_space *space;
    int64_t heads, head_channels;
    int64_t groups;         /* that stand beside each other: 3 for q, k, v */
    const int64_t *offsets; /* for each axis, floats of one group before it */
} nft_axis_layout;

/* Fills offsets (one for each axis); returns the floats of one group. Saturates. */
int64_t nft_axis_offsets(const nft_space *space, int64_t heads, int64_t head_channels, int64_t *offsets);

/* Floats from one vector of a matrix to the next, at least size · head_channels. */
int64_t nft_axis_stride(const nft_axis_layout *layout, int64_t axis);

/* The matrix (vectors of the axis, size · head_channels) of one group and head. */
float *nft_axis_matrix(const nft_axis_layout *layout, float *vectors, int64_t axis, int64_t group,
                       int64_t head);

/* Copies one group of some tokens to their places: the channels of head h of token i are at x + i · stride +
 * h · head_stride. */
void nft_axis_put(const nft_axis_layout *layout, float *vectors, int64_t group, const nft_rows *rows,
                  const float *x, int64_t stride, int64_t head_stride);
/* Adds what stands in all places of some tokens to y, laid out like x of nft_axis_put: its adjoint. */
void nft_axis_add(const nft_axis_layout *layout, float *vectors, int64_t group, const nft_rows *rows,
                  float *y, int64_t stride, int64_t head_stride);

#endif
