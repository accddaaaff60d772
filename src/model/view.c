#include "model/view.h"

#include "base/status.h"
#include "space/array.h"
#include "space/weights.h"

#include <inttypes.h>
#include <string.h>

static nft_status check_range(int64_t first, int64_t count, int64_t available)
{
    if (count < 1)
        return nft_fail(NFT_ERROR_ARGUMENT, "count is %" PRId64 ", expected at least 1 network", count);
    if (count > available - first)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "first %" PRId64 " and count %" PRId64 " reach past the %" PRId64 " that there are",
                        first, count, available);
    return NFT_OK;
}

static nft_status check_indices(const nft_view *view, int64_t available)
{
    if (view->count < 1)
        return nft_fail(NFT_ERROR_ARGUMENT, "count is %" PRId64 ", expected the number of indices",
                        view->count);
    for (int64_t i = 0; i < view->count; i++)
        if (view->indices[i] < 0 || view->indices[i] >= available)
            return nft_fail(NFT_ERROR_ARGUMENT, "indices[%" PRId64 "] is %" PRId64 ", expected 0 … %" PRId64,
                            i, view->indices[i], available - 1);
    return NFT_OK;
}

nft_status nft_view_fill(nft_view *filled, const nft_view *view)
{
    *filled = (nft_view)NFT_VIEW_INIT;
    if (view->size < sizeof view->size)
        return nft_fail(NFT_ERROR_ARGUMENT, "the view's size is %zu; begin with NFT_VIEW_INIT", view->size);
    memcpy(filled, view, view->size < sizeof *filled ? view->size : sizeof *filled);
    if (!filled->weights == !filled->array)
        return nft_fail(NFT_ERROR_ARGUMENT, "the view has %s, expected one of them",
                        filled->weights ? "weights and an array" : "neither weights nor an array");
    if (filled->array && filled->array->rank < 1)
        return nft_fail(NFT_ERROR_MISMATCH, "the view's array is one number, expected a row for each sample");
    int64_t available = filled->weights ? filled->weights->count : filled->array->shape[0];
    if (filled->indices)
        return check_indices(filled, available);
    if (filled->first < 0 || filled->first > available)
        return nft_fail(NFT_ERROR_ARGUMENT, "first is %" PRId64 ", expected 0 … %" PRId64, filled->first,
                        available > 0 ? available - 1 : 0);
    if (!filled->count)
        filled->count = available - filled->first;
    return check_range(filled->first, filled->count, available);
}
