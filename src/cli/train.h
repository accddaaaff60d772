/* One training as the command line and its recipe say. */
#ifndef NFT_CLI_TRAIN_H
#define NFT_CLI_TRAIN_H

#include "options.h"
#include "ranks.h"
#include "training_log.h"

/* Trains and writes the model. `kept`, unless it is NULL, gets what was logged; close it. `together`: every
 * rank returns the same. Prints its failure and returns the exit status. */
int train_once(const cli_options *given, const cli_ranks *ranks, training_log *kept, bool *together);

#endif
