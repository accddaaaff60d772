/* The input of a model, read batch by batch: networks of a file or of an index, or tokens. Each function that
 * can fail prints its failure and returns the exit status. */
#ifndef NFT_CLI_INPUT_H
#define NFT_CLI_INPUT_H

#include "nft/train.h"
#include "omega.h"
#include "sources.h"

typedef struct cli_input {
    const char *path;
    nft_dataset *dataset;
    const nft_space *space;   /* of all networks; NULL if they have several, or of tokens */
    int64_t count;            /* N */
    int64_t channels, tokens; /* tokens of each sample, 0 of networks */
    nft_weights *weights;     /* the batch that was read last, of part `part`; or */
    nft_array *batch;         /* of tokens */
    int64_t part, room;
    /* Changes to SIRENs after they are read: see contract.h. */
    char omega[OMEGA_CAPACITY];   /* noted in their metadata unless it is empty */
    char offset[OFFSET_CAPACITY]; /* the same */
    bool scale;                   /* the weights, from ω of their file to that */
    bool shift;                   /* the last biases, from the offset of their file to that */
    bool canonicalize;
    bool any_fit;       /* the settings of their fit are not noted */
    cli_omega from, to; /* of the batch that is scaled */
    double added;       /* to the last biases of the batch */
} cli_input;

/* Opens networks, or tokens if `model` takes them; `model` NULL: networks for no model. Fails for N = 0 as
 * well. */
int open_input(cli_input *input, const nft_model *model, const char *path, const cli_options *given);
/* Networks, of which there may be none. */
int open_networks(cli_input *input, const char *path, const cli_options *given);
void close_input(cli_input *input);

/* How many samples from `first` on, `most` at most, are of one part and so can be read together. */
int64_t count_together(const cli_input *input, int64_t first, int64_t most);
/* The number of networks for batches of a few megabytes, where the user gives none. */
int64_t batch_of(const cli_input *input, int64_t first);
/* Reads such samples: the first `count` networks of input->weights, or input->batch. */
int read_input(cli_input *input, int64_t first, int64_t count);
/* How many of the `count` samples that were read last have a value that is not finite. */
int64_t count_non_finite_inputs(const cli_input *input, int64_t count);

/* Whether every sample has a row in a tensor of that name. */
bool has_extra(const cli_input *input, const char *name);
int read_extra(nft_array **array, const cli_input *input, const char *name, int64_t first, int64_t count);

/* How many of the first `count` networks have a value that is not finite, and how many values that are.
 * `first` gets the first such network; without one it stays as it is. */
int64_t count_non_finite_networks(const nft_weights *weights, int64_t count, int64_t *values, int64_t *first);

#endif
