/* The width of a SIREN that reaches a PSNR. */
#ifndef NFT_CLI_FIT_WIDTHS_H
#define NFT_CLI_FIT_WIDTHS_H

#include "images.h"
#include "nft/inr.h"

typedef struct width_search {
    char **paths; /* of the images */
    int path_count;
    int64_t first, count; /* of the images, those that will be fitted: the first few are tried */
    const nft_inr_fit_options *options;
    const char *omega, *offset; /* of the networks, as it is noted; offset NULL: none */
    uint64_t seed;
    double psnr; /* in dB, to be reached in the mean */
} width_search;

/* Neurons of both hidden layers, the fewest of some sizes that reach the PSNR, and `reached`, what they
 * reach. Prints its failure and returns the exit status. */
int find_width(int64_t *width, double *reached, const width_search *search);

#endif
