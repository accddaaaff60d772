/* Fitting a batch of SIRENs on all ranks of MPI. */
#ifndef NFT_CLI_FIT_SHARED_H
#define NFT_CLI_FIT_SHARED_H

#include "nft/inr.h"
#include "ranks.h"

/* Fits network n to image n of (N, height, width, colours), and with `canonical` brings it to its canonical
 * form. Each rank fits an equal part, and gets the networks and losses of all. Prints its failure and returns
 * the exit status. */
int fit_shared(nft_weights *weights, float *losses, const nft_array *images,
               const nft_inr_fit_options *options, bool canonical, cli_ranks *ranks);

#endif
