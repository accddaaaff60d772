/* Compares the metadata of data with those of the model's training set. Each function prints its failure and
 * returns the exit status. */
#ifndef NFT_CLI_CONTRACT_H
#define NFT_CLI_CONTRACT_H

#include "input.h"

/* Whether the model refuses the networks for their space. Its message has the difference, which matters
 * before any other. */
bool has_other_space(const cli_input *input, const nft_model *model);
/* Fails where the input is not as the model's data were, and names the way out; with --prepare the input is
 * made so where it can be. The command has the option. */
int check_contract(cli_input *input, const nft_model *model, const cli_options *given);

#define PREPARE_OPTION                                                                                       \
    {                                                                                                        \
        "prepare", 0, OPTION_FLAG, NULL, "bring the networks to the form and frequency of the model's", 0,   \
            0, NULL                                                                                          \
    }

#define ANY_FIT_OPTION                                                                                       \
    {                                                                                                        \
        "any-fit", 0, OPTION_FLAG, NULL, "take networks that were fitted with other settings", 0, 0, NULL    \
    }

#endif
