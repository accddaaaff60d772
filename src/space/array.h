/* The inside of an array. */
#ifndef NFT_SPACE_ARRAY_H
#define NFT_SPACE_ARRAY_H

#include "base/memory.h"
#include "nft/array.h"

struct nft_array {
    nft_references references;
    int32_t type;
    int64_t rank;
    int64_t shape[NFT_ARRAY_MAX_RANK];
    int64_t count;
    const void *data;
    void *storage; /* owns data, unless borrowed */
};

/* Elements of a shape, INT64_MAX when it overflows. */
int64_t nft_shape_count(const int64_t *shape, int64_t rank);

nft_array *nft_array_retain(const nft_array *array); /* one more reference */

#endif
