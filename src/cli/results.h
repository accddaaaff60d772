/* Running a model over a whole input in pieces, and keeping what comes out. */
#ifndef NFT_CLI_RESULTS_H
#define NFT_CLI_RESULTS_H

#include "sources.h"

typedef struct cli_result {
    const char *name;                        /* borrowed from the model, or static */
    int64_t rank, shape[NFT_ARRAY_MAX_RANK]; /* shape[0] is N */
    int64_t row;                             /* numbers for one network */
    float *data;
} cli_result;

/* One tensor, `output`, or for features those of the space. */
typedef struct cli_results {
    int64_t count;
    cli_result *items;
} cli_results;

/* Runs the model on batches of --batch-size, so that only the results grow with N. `decode`: images of a
 * model that has a decoder, else its latents. Prints failures and returns the exit status. */
int run_model(cli_results *results, const nft_model *model, const cli_input *input, const cli_options *given,
              bool decode);
void free_results(cli_results *results);

/* How many of the N have a result that is not finite. */
int64_t count_non_finite_results(const cli_results *results);

/* Writes the results and the input's extra tensors, all or nothing; `metadata` as nft_array_save() takes
 * them. */
int save_results(const cli_results *results, const cli_input *input, const char *path,
                 const char *const *metadata);

#endif
