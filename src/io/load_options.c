#include "io/load_options.h"

#include "base/memory.h"

#include <string.h>

nft_status nft_fill_load_options(const char *function, nft_load_options *filled,
                                 const nft_load_options *given)
{
    *filled = (nft_load_options)NFT_LOAD_OPTIONS_INIT;
    if (!given)
        return NFT_OK;
    if (given->size < sizeof given->size)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: options->size is %zu; begin with NFT_LOAD_OPTIONS_INIT",
                        function, given->size);
    memcpy(filled, given, given->size < sizeof *filled ? given->size : sizeof *filled);
    return nft_check_memory_limit(function, filled->memory_limit);
}
