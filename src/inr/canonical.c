/* The API of the canonical form: the set is checked here, src/siren has the form. */
#include "inr/siren_set.h"
#include "nft/inr.h"
#include "siren/canonical.h"

nft_status nft_inr_canonicalize(nft_weights *weights, double omega)
{
    nft_siren_form form;
    nft_status status = nft_check_own_siren_set("nft_inr_canonicalize", weights);
    if (!status)
        status = nft_fill_form("nft_inr_canonicalize", &form, weights, omega);
    if (!status)
        status = nft_weights_check_whole(weights);
    if (!status)
        status = nft_metadata_set(&weights->metadata, NFT_CANONICAL_KEY, NFT_SIGN_PHASE);
    if (!status) /* the set owns its memory */
        nft_siren_canonicalize(weights->space, &form, (float *const *)weights->data, 0, weights->count);
    return status;
}
