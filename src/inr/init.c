/* Fresh SIRENs. */
#include "base/random.h"
#include "inr/siren_set.h"
#include "siren/siren.h"
#include "nft/inr.h"

#include <inttypes.h>
#include <math.h>

/* Draws one network from its stream `number`; numbers are counted over the whole network. */
static void init_network(nft_weights *weights, int64_t network, uint64_t seed, uint64_t number,
                         const nft_siren_form *form)
{
    const nft_space *space = weights->space;
    nft_random random = {seed, nft_random_stream("siren") + number};
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        int64_t layer = t / 2; /* of a chain: weight, then bias */
        double bound = t == NFT_BIAS_OF(layer) ? 1 / sqrt((double)space->layers[layer].in)
                                               : nft_siren_bound(space, layer, nft_siren_omega(form, layer));
        float *values = nft_weights_edit(weights, t) + network * tensor->tokens;
        for (int64_t i = 0; i < tensor->tokens; i++) {
            float uniform = nft_random_uniform(&random, (uint64_t)(tensor->offset + i));
            values[i] = (float)(bound * (2 * (double)uniform - 1));
        }
    }
}

nft_status nft_inr_init(nft_weights *weights, uint64_t seed, int64_t first, double omega)
{
    nft_siren_form form;
    nft_status status = nft_check_own_siren_set("nft_inr_init", weights);
    if (!status && first < 0)
        status =
            nft_fail(NFT_ERROR_ARGUMENT, "nft_inr_init: first is %" PRId64 ", expected 0 or more", first);
    if (!status && first > INT64_MAX - weights->count)
        status =
            nft_fail(NFT_ERROR_ARGUMENT,
                     "nft_inr_init: first is %" PRId64 ", too large for the numbers of %" PRId64 " networks",
                     first, weights->count);
    if (!status)
        status = nft_fill_form("nft_inr_init", &form, weights, omega);
    if (!status)
        status = nft_note_form(weights, omega);
    for (int64_t n = 0; !status && n < weights->count; n++)
        init_network(weights, n, seed, (uint64_t)first + (uint64_t)n, &form);
    return status;
}
