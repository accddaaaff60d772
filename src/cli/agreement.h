/* Ranks that began with other things would add up gradients that do not belong together. */
#ifndef NFT_CLI_AGREEMENT_H
#define NFT_CLI_AGREEMENT_H

#include "ranks.h"

#include <jansson.h>
#include <nft/nft.h>
#include <nft/train.h>

/* What a rank begins with. */
typedef struct beginning {
    const char *recipe_path;
    json_t *recipe;
    const char *checkpoint; /* its path */
    const nft_trainer *trainer;
    int64_t train, validation; /* samples */
} beginning;

/* Fails unless all ranks have done as many steps, and have the same recipe, but for the paths of its files,
 * the same parameters and as many samples; rank 0 says what differs. Every rank calls it. *alike: all fail,
 * and none waits for another. */
int begin_alike(const cli_ranks *ranks, const beginning *own, bool *alike);

#endif
