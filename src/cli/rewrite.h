/* A file of weights, written again with other values of its layers. */
#ifndef NFT_CLI_REWRITE_H
#define NFT_CLI_REWRITE_H

#include "options.h"

#include <nft/nft.h>

/* Writes the tensors of the file `source` to `path`, those of layers with the values of `weights`, which were
 * read from it; with --layers those layers and the tensors that travel with them alone. Its metadata too, and
 * `omega` where they say none, unless that is 0. Prints its failure and returns the exit status. */
int rewrite_weights(const nft_weights *weights, const char *source, const char *path,
                    const cli_options *given, double omega);

#endif
