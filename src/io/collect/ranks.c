/* Several processes that collect together. */
#include "io/collect/collect.h"

#include <string.h>

static nft_status reduce(const nft_collection *collection, double *sums, int64_t count)
{
    const nft_collect_options *options = &collection->options;
    return options->reduce(sums, count, NULL, 0, options->reduce_user)
               ? nft_fail(NFT_ERROR_CANCELLED, "the reduce callback failed")
               : NFT_OK;
}

nft_status nft_collection_meet(nft_collection *collection, nft_status status)
{
    int32_t ranks = collection->options.ranks, first = 0;
    double *flags = collection->flags;
    collection->failure = status;
    if (!flags)
        return status;
    memset(flags, 0, (size_t)ranks * sizeof *flags);
    flags[collection->options.rank] = (double)status;
    nft_status met = reduce(collection, flags, ranks);
    if (met) {
        collection->failure = met;
        return status ? status : met;
    }
    while (first < ranks && flags[first] == 0)
        first++;
    collection->failure = first < ranks ? (nft_status)flags[first] : NFT_OK;
    if (first == ranks || first == collection->options.rank)
        return status;
    return nft_fail(NFT_ERROR_CANCELLED, "another rank failed, and says why");
}

nft_status nft_collection_sum(nft_collection *collection, double *sums, int64_t count, nft_status status)
{
    status = nft_collection_meet(collection, status);
    return status || !collection->flags ? status : reduce(collection, sums, count);
}
