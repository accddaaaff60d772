/* A gzipped file is unpacked into memory and then read as the file that it holds. */
#include "io/formats/inflate.h"

#include <unistd.h>

static bool matches(const nft_start *start)
{
    return nft_start_is(start, "\x1f\x8b\x08", 3);
}

static nft_status open_gzip(nft_file *file)
{
    uint8_t *bytes = NULL;
    int64_t size = 0;
    if (file->source.owned)
        return nft_fail(NFT_ERROR_FORMAT, "it is gzipped twice; unpack it with `gunzip`");
    nft_status status = nft_inflate_gzip(file, &bytes, &size);
    if (status) {
        nft_release(bytes);
        return nft_fail_in(status, "it is gzipped");
    }
    if (file->source.descriptor >= 0)
        close(file->source.descriptor);
    file->source = (nft_source){.descriptor = -1, .bytes = bytes, .size = size, .owned = bytes};
    status = nft_file_list(file);
    return status ? nft_fail_in(status, "unpacked") : NFT_OK;
}

const nft_format nft_format_gzip = {"gzip", matches, open_gzip, NULL};
