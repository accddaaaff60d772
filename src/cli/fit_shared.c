#include "fit_shared.h"

#include "omega.h"
#include "report.h"

#include <stdlib.h>
#include <string.h>

static int fit(nft_weights *weights, float *losses, const nft_array *images,
               const nft_inr_fit_options *options, bool canonical)
{
    nft_status status = nft_inr_fit(weights, losses, images, options);
    if (!status && canonical)
        status = nft_inr_canonicalize(weights, 0);
    return status ? fail_library() : EXIT_SUCCESS;
}

/* Copies networks first … of the one set, or with `back` to it. */
static void copy_networks(nft_weights *all, nft_weights *part, int64_t first, bool back)
{
    int64_t count = nft_weights_count(part), total = nft_weights_count(all);
    for (int64_t t = 0; count && t < nft_space_describe(nft_weights_space(all))->tensor_count; t++) {
        int64_t row = nft_weights_data_count(all, t) / total;
        float *here = nft_weights_edit(all, t) + first * row, *there = nft_weights_edit(part, t);
        memcpy(back ? here : there, back ? there : here, (size_t)(count * row) * sizeof *here);
    }
}

/* A set of networks first … with the frequency and offset of all. */
static int make_part(nft_weights **part, nft_weights *all, int64_t first, int64_t count)
{
    if (nft_weights_create(part, nft_weights_space(all), count, 1, NULL) ||
        nft_weights_set_metadata(*part, OMEGA_KEY, nft_weights_metadata(all, OMEGA_KEY)) ||
        nft_weights_set_metadata(*part, OFFSET_KEY, nft_weights_metadata(all, OFFSET_KEY)))
        return fail_library();
    copy_networks(all, *part, first, false);
    return EXIT_SUCCESS;
}

/* A rank has zeros for networks of the others, so a sum over ranks has the numbers of one rank. */
static int share(nft_weights *weights, nft_weights *part, int64_t first, float *losses, cli_ranks *ranks)
{
    int64_t total = nft_weights_count(weights);
    double none = 0;
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(weights))->tensor_count; t++)
        memset(nft_weights_edit(weights, t), 0, (size_t)nft_weights_data_count(weights, t) * sizeof(float));
    copy_networks(weights, part, first, true);
    int failed = ranks_reduce(&none, 1, losses, total, ranks);
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(weights))->tensor_count && !failed; t++)
        failed =
            ranks_reduce(&none, 1, nft_weights_edit(weights, t), nft_weights_data_count(weights, t), ranks);
    return failed ? fail("the ranks cannot reach each other") : EXIT_SUCCESS;
}

int fit_shared(nft_weights *weights, float *losses, const nft_array *images,
               const nft_inr_fit_options *options, bool canonical, cli_ranks *ranks)
{
    if (ranks->count == 1)
        return fit(weights, losses, images, options, canonical);
    int64_t total = nft_weights_count(weights), numbers = nft_array_count(images) / total;
    int64_t first = total * ranks->rank / ranks->count, end = total * (ranks->rank + 1) / ranks->count;
    int64_t shape[4] = {end - first};
    nft_weights *part = NULL;
    nft_array *own = NULL;
    for (int64_t axis = 1; axis < 4; axis++)
        shape[axis] = nft_array_size(images, axis);
    memset(losses, 0, (size_t)total * sizeof *losses);
    /* A common start is network 0. */
    int failed = make_part(&part, weights, options->shared_init ? 0 : first, end - first);
    if (!failed && nft_array_borrow(&own, NFT_ARRAY_F32, shape, 4, nft_array_f32(images) + first * numbers))
        failed = fail_library();
    if (!failed)
        failed = fit(part, losses + first, own, options, canonical);
    if (!failed)
        failed = share(weights, part, first, losses, ranks);
    nft_array_free(own);
    nft_weights_free(part);
    return failed;
}
