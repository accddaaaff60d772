#include "io/load_options.h"

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

static nft_status open_input(const char *function, nft_file **file, const char *path,
                             const nft_load_options *options, int64_t limit)
{
    if (!path && !options->bytes)
        return nft_fail_null(function, "path");
    if (path && options->bytes)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: both a path, %s, and options->bytes, expected one of them",
                        function, path);
    if (options->byte_count > (size_t)INT64_MAX)
        return nft_fail(NFT_ERROR_LIMIT, "%s: options->byte_count is %zu, more than can be addressed",
                        function, options->byte_count);
    return path ? nft_file_open_within(file, path, limit)
                : nft_file_open_memory_within(file, options->bytes, options->byte_count, limit);
}

nft_status nft_open_to_load(const char *function, nft_file **file, const char *path, nft_load_options *filled,
                            const nft_load_options *given)
{
    nft_status status = nft_fill_load_options(function, filled, given);
    return status ? status : open_input(function, file, path, filled, 0);
}

nft_status nft_file_open(nft_file **file, const char *path, const nft_load_options *options)
{
    static const char function[] = "nft_file_open";
    nft_load_options filled;
    if (!file)
        return nft_fail_null(function, "file");
    *file = NULL;
    nft_status status = nft_fill_load_options(function, &filled, options);
    return status ? status : open_input(function, file, path, &filled, filled.memory_limit);
}
