/* A table with one row for each tensor of a space, then one for each index of each ordered axis. Embeddings
 * add to a token the row of its tensor and those of its indices. */
#ifndef NFT_MODULES_GRID_ROWS_H
#define NFT_MODULES_GRID_ROWS_H

#include "modules/weights/features.h"

/* Rows of the table; saturates. */
int64_t nft_grid_rows(const nft_space *space);

/* Where the rows of an ordered axis begin; -1 for an axis with a symmetry. */
int64_t nft_grid_rows_of_axis(const nft_space *space, int64_t axis);

/* The index of a token along dimension d. */
int64_t nft_grid_index(const nft_tensor *tensor, int64_t token, int64_t d);

/* Features y = x plus the rows of each token, (rows, C), the same at every position. y may be x. */
void nft_grid_add(const nft_exec *exec, const nft_space *space, int64_t channels, const float *table,
                  const float *x, float *y);

/* Scratch of nft_grid_sum. */
typedef struct nft_grid_scratch {
    nft_buffer part, group; /* ITEM: (C) */
} nft_grid_scratch;

nft_grid_scratch nft_grid_reserve(nft_builder *builder);

/* The way back: each row becomes the sum of the gradients of the tokens that it was added to, over all
 * positions. */
void nft_grid_sum(const nft_exec *exec, const nft_space *space, int64_t channels,
                  const nft_grid_scratch *scratch, const float *gradient, float *table);

#endif
