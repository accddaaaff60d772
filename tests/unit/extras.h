/* Counts the extra tensors of a set. */
#ifndef NFT_TESTS_EXTRAS_H
#define NFT_TESTS_EXTRAS_H

#include "nft/weights.h"

static inline int64_t count_extras(const nft_weights *weights)
{
    int64_t count = 0;
    while (nft_weights_extra_name(weights, count))
        count++;
    return count;
}

#endif
