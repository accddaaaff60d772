/* Runs a model over a whole input batch by batch, and stores its results. Each function that can fail prints
 * its failure and returns the exit status. */
#ifndef NFT_CLI_RESULTS_H
#define NFT_CLI_RESULTS_H

#include "input.h"
#include "nft/file.h"
#include "ranks.h"
#include "tables.h"

/* Takes the context's output for samples first … first + count - 1, which are also in the input. */
typedef int results_taker(void *user, const nft_context *context, int64_t first, int64_t count);

/* Gets the results of samples first … first + count - 1 from `rank`. */
typedef int results_receiver(void *user, int rank, int64_t first, int64_t count);

typedef struct cli_run {
    const nft_model *model;
    cli_input *input;
    const cli_options *given;
    bool decode;  /* images of a model that has a decoder, else its latents */
    bool at_once; /* all samples in one batch */
    results_taker *take;
    void *user;
    cli_ranks *ranks; /* that share the samples, each an equal part in a row; NULL: this process has all */
    results_receiver *receive; /* else NULL: they take turns, batch by batch, and rank 0 receives the
                                  results of the others */
    int64_t bad_inputs;        /* samples with numbers that are not finite, counted on the way */
} cli_run;

/* Batches of --batch-size. */
int run_model(cli_run *run);

/* Predictions in memory, a row for each sample. */
typedef struct cli_predicted {
    int64_t count, row;                      /* samples, and numbers of each */
    int64_t rank, shape[NFT_ARRAY_MAX_RANK]; /* of the output */
    float *values;
} cli_predicted;

/* A results_taker whose `user` is a cli_predicted with the count, else zero. */
int keep_predictions(void *predicted, const nft_context *context, int64_t first, int64_t count);

/* After run_model() with keep_predictions: rank 0 gets the predictions of all, and every rank the counts. */
int share_predictions(cli_run *run, cli_predicted *predicted);

/* A file of results: `output`, or for features the tensors of their space; then the extras of the input. */
typedef struct cli_output {
    const char *path;
    const cli_input *input;
    const char *const *metadata; /* as nft_file_writer_create() takes them */
    nft_weights *received;       /* features of another rank */
    nft_file_writer *writer;
    cli_tensor_table table;
    int64_t own;        /* tensors of the table that the model gives */
    int64_t row;        /* of `output`: numbers of a sample */
    int64_t non_finite; /* samples with results that are not finite */
    int64_t first_non_finite;
} cli_output;

/* A results_taker whose `user` is a cli_output with path, input and metadata, else zero. */
int write_results(void *output, const nft_context *context, int64_t first, int64_t count);
/* A results_taker that sends features to rank 0, and a results_receiver that writes them there; `output` is a
 * cli_output that has written a batch. */
int send_features(void *output, const nft_context *context, int64_t first, int64_t count);
int receive_features(void *output, int rank, int64_t first, int64_t count);
/* Writes predictions as if they came one batch after the other. */
int write_predictions(cli_output *output, const cli_predicted *predicted);
/* Writes the extras of the input and gives the file its name. */
int complete_output(cli_output *output);
/* Gives up a file that is not finished. */
void close_output(cli_output *output);

#endif
