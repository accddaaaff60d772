/* Ranks that began with other things would add up gradients that do not belong together. */
#ifndef NFT_CLI_AGREEMENT_H
#define NFT_CLI_AGREEMENT_H

#include "ranks.h"

#include <jansson.h>
#include <nft/nft.h>
#include <nft/train.h>

/* The state from which a rank begins. */
typedef struct beginning {
    const char *recipe_path;
    json_t *recipe;
    const char *checkpoint; /* its path */
    const nft_trainer *trainer;
    int64_t train, validation; /* samples */
} beginning;

/* Fails unless all ranks have done as many steps, and have the same recipe (except for the paths of its
 * files), the same parameters and as many samples. Rank 0 prints the difference. Every rank calls it. *alike:
 * all fail, and none waits for another. */
int begin_alike(const cli_ranks *ranks, const beginning *own, bool *alike);

#endif
