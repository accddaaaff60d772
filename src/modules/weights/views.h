/* Views: a tensor as rows of numbers. Its dimensions are split in three. Each index of the row dimensions is
 * one row. The indices of the channel dimensions stay apart inside a row. The rest is averaged. */
#ifndef NFT_MODULES_WEIGHTS_VIEWS_H
#define NFT_MODULES_WEIGHTS_VIEWS_H

#include "modules/weights/means.h"

typedef struct nft_tensor_view {
    int64_t tensor;
    nft_dims rows, channels;
} nft_tensor_view;

/* Where the entries of a view stand in the margin of its rows and channels, (tokens, C · f). Entry c · F + P
 * of a row belongs to channel c; P runs over the tensor's positions and the dimensions that are channels, in
 * the order of the shape. */
typedef struct nft_view_layout {
    int64_t rows, entries; /* entries = C · F */
    int64_t row_rank, row_sizes[NFT_TENSOR_MAX_AXES], row_strides[NFT_TENSOR_MAX_AXES];
    int64_t channels, channel_stride; /* factors of P that continue c are counted with it */
    int64_t loops, sizes[NFT_TENSOR_MAX_FACTORS], strides[NFT_TENSOR_MAX_FACTORS]; /* over the others */
} nft_view_layout;

/* For a view of features of C channels. `positions_first`: P runs over positions first, then over dimensions,
 * as in the published layers. */
nft_view_layout nft_view_layout_of(const nft_space *space, const nft_tensor_view *view, int64_t channels,
                                   bool positions_first);
/* Whether the margin already is the rows. */
bool nft_view_is_dense(const nft_view_layout *layout);

/* Rows first … first + count - 1: entries, `stride` floats from row to row, from the margin; into it; added
 * to it. */
void nft_view_get(const nft_view_layout *layout, int64_t first, int64_t count, const float *margin,
                  float *entries, int64_t stride);
void nft_view_put(const nft_view_layout *layout, int64_t first, int64_t count, const float *entries,
                  int64_t stride, float *margin);
void nft_view_add(const nft_view_layout *layout, int64_t first, int64_t count, const float *entries,
                  int64_t stride, float *margin);

#endif
