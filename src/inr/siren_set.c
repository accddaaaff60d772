#include "inr/siren_set.h"

#include "base/threads.h"
#include "siren/siren.h"

#include <inttypes.h>
#include <string.h>

nft_status nft_check_siren_features(const char *function, const nft_weights *weights)
{
    if (!weights)
        return nft_fail_null(function, "weights");
    nft_status status = nft_siren_check_space(weights->space);
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}

static nft_status check_siren_set(const char *function, const nft_weights *weights)
{
    nft_status status = nft_check_siren_features(function, weights);
    if (status)
        return status;
    if (weights->channels != 1)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "%s: the set has %" PRId64 " channels, expected raw weights, 1 channel", function,
                        weights->channels);
    return NFT_OK;
}

nft_status nft_check_own_siren_set(const char *function, const nft_weights *weights)
{
    nft_status status = check_siren_set(function, weights);
    if (!status && weights->borrowed)
        status = nft_fail(
            NFT_ERROR_ARGUMENT,
            "%s: the set borrows its memory, which is never written; make it with nft_weights_create "
            "or nft_weights_create",
            function);
    return status;
}

nft_status nft_fill_inr_options(const char *function, void *filled, const void *options, size_t bytes)
{
    size_t size = bytes;
    if (!options)
        return NFT_OK;
    memcpy(&size, options, sizeof size);
    if (size < sizeof size)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: options->size is %zu; begin with NFT_INR_…_OPTIONS_INIT",
                        function, size);
    memcpy(filled, options, size < bytes ? size : bytes);
    return NFT_OK;
}

nft_status nft_fill_threads(const char *function, int32_t *threads)
{
    nft_status status = nft_check_threads(function, *threads);
    if (!status && *threads == 0)
        *threads = nft_machine_cores();
    return status;
}

nft_status nft_fill_form(const char *function, nft_siren_form *form, const nft_weights *weights, double omega)
{
    const char *noted = nft_metadata_get(&weights->metadata, NFT_OMEGA_KEY);
    *form = nft_siren_plain(omega == 0 ? NFT_DEFAULT_OMEGA : omega);
    if (!(form->omega[0] >= NFT_MIN_OMEGA && form->omega[0] <= NFT_MAX_OMEGA))
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: omega is %g, expected a number from %g to %g", function,
                        omega, NFT_MIN_OMEGA, NFT_MAX_OMEGA);
    nft_status status = nft_siren_form_read(form, omega == 0 ? noted : NULL,
                                            nft_metadata_get(&weights->metadata, NFT_OFFSET_KEY));
    if (!status)
        status = nft_siren_form_check(form, weights->space);
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}

nft_status nft_note_form(nft_weights *weights, double omega)
{
    nft_text text = {0};
    nft_status status = nft_metadata_set(&weights->metadata, NFT_CANONICAL_KEY, NULL);
    if (status || omega == 0)
        return status;
    const nft_siren_form form = nft_siren_plain(omega);
    status = nft_siren_write_omega(&text, &form);
    if (!status)
        status = nft_metadata_set(&weights->metadata, NFT_OMEGA_KEY, text.data);
    nft_text_clear(&text);
    return status;
}
