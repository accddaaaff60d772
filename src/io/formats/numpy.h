/* NumPy's arrays, single and in archives. */
#ifndef NFT_IO_FORMATS_NUMPY_H
#define NFT_IO_FORMATS_NUMPY_H

#include "io/formats/zip.h"

/* Adds the array whose file is the bytes from `offset` to `end` of a source. */
nft_status nft_numpy_list(nft_file *file, const char *name, size_t length, const nft_source *source,
                          int64_t offset, int64_t end);

/* Whether every part of an archive is an array. */
bool nft_numpy_is_archive(const nft_zip *zip);
nft_status nft_numpy_open_archive(nft_file *file, nft_zip *zip);

#endif
