/* Networks of a file, changed and written to another file with all else that is there. */
#ifndef NFT_CLI_REWRITE_H
#define NFT_CLI_REWRITE_H

#include "input.h"

typedef struct cli_rewrite {
    cli_input *input; /* of one file; its metadata are changed through `holder` */
    const cli_options *given;
    nft_weights *holder; /* no networks, with the metadata of the file that is written; owned */
    /* Changes networks first … of the file, the first of `weights`. */
    nft_status (*change)(void *user, nft_weights *weights, int64_t first);
    void *user;
} cli_rewrite;

/* Opens the file that is rewritten. Prints its failure and returns the exit status, as rewrite_networks()
 * does. */
int begin_rewrite(cli_rewrite *rewrite, cli_input *input, const cli_options *given);
/* Writes to --output: the networks batch by batch, then the other tensors in pieces. */
int rewrite_networks(cli_rewrite *rewrite);
void end_rewrite(cli_rewrite *rewrite);

#endif
