/* Features as rows: what the modules that work tensor by tensor share. */
#ifndef NFT_MODULES_FEATURES_H
#define NFT_MODULES_FEATURES_H

#include "modules/shared/module.h"

/* The tokens of all tensors cut into chunks: each item is some rows of one tensor. Depends on the space
 * alone. */
typedef struct nft_rows {
    int64_t tensor;
    int64_t first, count; /* tokens of that tensor */
} nft_rows;

int64_t nft_rows_count(const nft_space *space);
nft_rows nft_rows_at(const nft_space *space, int64_t item);

/* Effective channels of a tensor: C * positions. */
int64_t nft_tensor_width(const nft_tensor *tensor, int64_t channels);

/* The widest and the longest of all: for scratch. */
int64_t nft_widest_tensor(const nft_space *space, int64_t channels);
int64_t nft_longest_chunk(const nft_space *space);

/* PyTorch's shape of one tensor's features, (channels, out, in, kh, kw); returns the rank. */
int64_t nft_feature_shape(const nft_space *space, int64_t tensor, int64_t channels,
                          int64_t shape[NFT_ARRAY_MAX_RANK]);

#endif
