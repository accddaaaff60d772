/* Recipe files of `nftool train`: model, data and settings of a training. */
#ifndef NFT_CLI_RECIPES_H
#define NFT_CLI_RECIPES_H

#include "sources.h"

#include <jansson.h>

typedef struct cli_recipe {
    const char *path;
    json_t *object;                     /* with the values of the command line in place of the recipe's */
    cli_options data;                   /* the command line's, and the recipe's seed */
    char *model_path;                   /* NULL if the recipe holds the configuration itself */
    char *train_path, *validation_path; /* validation NULL for none */
} cli_recipe;

/* Reads a recipe; its paths are relative to it. Prints failures and returns the exit status. Free it in any
 * case. */
int load_recipe(cli_recipe *recipe, const char *path, const cli_options *given);
/* Replaces `epochs`, if the recipe has it, by the number of steps for `samples` training samples. */
int recipe_count_steps(cli_recipe *recipe, int64_t samples);
void free_recipe(cli_recipe *recipe);

/* The model to begin with. `fresh`: it was made from a configuration. */
int load_recipe_model(nft_model **model, bool *fresh, const cli_recipe *recipe);

#endif
