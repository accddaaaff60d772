#include "siren/repair.h"

#include "siren/canonical.h"

/* sin(ω (W h + v)) is sin(ω' (ω/ω' W h + ω/ω' v)). */
static void scale(const nft_siren_repair *repair, const nft_space *space, float *const *tensors,
                  int64_t count)
{
    for (int64_t t = 0; t < space->tensor_count - 2; t++) {
        double factor = nft_siren_omega(&repair->from, t / 2) / nft_siren_omega(&repair->to, t / 2);
        for (int64_t i = 0; i < count * space->tensors[t].tokens; i++)
            tensors[t][i] = (float)(factor * (double)tensors[t][i]);
    }
}

/* The output is that of the last layer plus the offset. */
static void shift(const nft_siren_repair *repair, const nft_space *space, float *const *tensors,
                  int64_t count)
{
    int64_t last = space->tensor_count - 1;
    double added = repair->from.offset - repair->to.offset;
    for (int64_t i = 0; i < count * space->tensors[last].tokens; i++)
        tensors[last][i] = (float)((double)tensors[last][i] + added);
}

void nft_siren_repair_networks(const nft_siren_repair *repair, const nft_space *space, float *const *tensors,
                               int64_t count)
{
    if (repair->scale)
        scale(repair, space, tensors, count);
    if (repair->shift)
        shift(repair, space, tensors, count);
    if (repair->canonicalize)
        nft_siren_canonicalize(space, &repair->to, tensors, 0, count);
}
