#include "inr/siren_set.h"

#include "base/threads.h"
#include "siren/siren.h"

#include <inttypes.h>
#include <string.h>

#define MIN_OMEGA 1e-6
#define MAX_OMEGA 1e6

nft_status nft_check_siren_set(const char *function, const nft_weights *weights)
{
    if (!weights)
        return nft_fail_null(function, "weights");
    nft_status status = nft_siren_check_space(weights->space);
    if (status)
        return nft_fail_in(status, "%s", function);
    if (weights->channels != 1)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "%s: the set has %" PRId64 " channels, expected raw weights, 1 channel", function,
                        weights->channels);
    return NFT_OK;
}

nft_status nft_check_own_siren_set(const char *function, const nft_weights *weights)
{
    nft_status status = nft_check_siren_set(function, weights);
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

nft_status nft_fill_omega(const char *function, double *omega)
{
    if (*omega == 0)
        *omega = NFT_DEFAULT_OMEGA;
    if (!(*omega >= MIN_OMEGA && *omega <= MAX_OMEGA))
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: omega is %g, expected a number from %g to %g", function,
                        *omega, MIN_OMEGA, MAX_OMEGA);
    return NFT_OK;
}
