/* The data set of a complete fit. */
#ifndef NFT_CLI_DATA_SET_H
#define NFT_CLI_DATA_SET_H

#include "partial.h"

/* Writes the networks with `label` (NULL: none), and if it is `numbered` with `image`, the number of each
 * network's image, of which each has `views`. In pieces: the data set need not fit in memory. Prints failures
 * and returns the exit status. */
int save_data_set(const char *path, const cli_partial *partial, const nft_array *labels, int64_t views,
                  bool numbered);

#endif
