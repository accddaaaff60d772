/* How an object is read from a file. */
#ifndef NFT_IO_LOAD_OPTIONS_H
#define NFT_IO_LOAD_OPTIONS_H

#include "io/file.h"

/* The options of an older caller are shorter. Their missing fields are zero, the default. An error names the
 * function. */
nft_status nft_fill_load_options(const char *function, nft_load_options *filled,
                                 const nft_load_options *given);

/* Fills the options, and opens the file that they have in memory, or else the one at `path`. */
nft_status nft_open_to_load(const char *function, nft_file **file, const char *path, nft_load_options *filled,
                            const nft_load_options *given);

#endif
