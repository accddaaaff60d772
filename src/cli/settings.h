/* Entries of a recipe that the command line sets: --set optimizer.lr=1e-4, --set model.modules.2.p=0.1. */
#ifndef NFT_CLI_SETTINGS_H
#define NFT_CLI_SETTINGS_H

#include "options.h"

#include <jansson.h>

/* Puts the values, in the order in which they were given, in place of those of the recipe. A value is JSON,
 * or else a text. Prints its failure and returns the exit status. */
int settings_apply(json_t *recipe, const cli_options *given);

#endif
