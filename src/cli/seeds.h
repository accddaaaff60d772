/* nftool train --seeds: the same training from several seeds. */
#ifndef NFT_CLI_SEEDS_H
#define NFT_CLI_SEEDS_H

#include "options.h"
#include "ranks.h"

/* One training after the other, each with files of its own, then a table of all. The checkpoint of one that
 * is complete stays until all are, so that the same command continues after an interruption. Arguments and
 * result as of train_once(). */
int train_seeds(const cli_options *given, const cli_ranks *ranks, bool *together);

#endif
