/* Weights that were read from a file, written with other values. */
#ifndef NFT_CLI_REWRITE_H
#define NFT_CLI_REWRITE_H

#include <nft/nft.h>

/* Writes the set with everything that travels with it, and `omega` where its metadata say none, unless that
 * is 0. Prints its failure and returns the exit status. */
int rewrite_weights(nft_weights *weights, const char *path, double omega);

#endif
