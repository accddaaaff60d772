/* Samples that a caller shows to a context. */
#ifndef NFT_MODEL_VIEW_H
#define NFT_MODEL_VIEW_H

#include "nft/context.h"

/* Copies a view, with every default filled in. NFT_ERROR_ARGUMENT unless it has a set or an array, and only
 * samples that there are. */
nft_status nft_view_fill(nft_view *filled, const nft_view *view);

/* Number of sample i in the set or the array. */
static inline int64_t nft_view_index(const nft_view *view, int64_t i)
{
    return view->indices ? view->indices[i] : view->first + i;
}

#endif
