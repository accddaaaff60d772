/* The networks of an incomplete fit, in a file next to the target. Finished networks survive any end of the
 * program, and memory does not grow with their number. */
#ifndef NFT_CLI_PARTIAL_H
#define NFT_CLI_PARTIAL_H

#include <nft/nft.h>
#include <stdbool.h>

#define PARTIAL_SETTINGS 4080 /* bytes, with the 0 at the end */

typedef struct cli_partial {
    char *path;
    int descriptor;
    const nft_space *space; /* the caller's */
    int64_t networks;       /* in all */
    int64_t finished;       /* the first `finished` networks are in the file */
    int64_t damaged; /* this number of networks behind them were, until something changed one of them */
    bool ours;       /* it was opened and fits, so it may be removed */
    int64_t bytes;
} cli_partial;

/* Opens TARGET.partial if it exists, and fails unless it was begun with the same settings. Otherwise makes
 * it. A network with a wrong checksum, and all behind it, are not finished. Each function prints its failure
 * and returns the exit status. */
int partial_open(cli_partial *partial, const char *target, const char *settings, const nft_space *space,
                 int64_t networks);
/* Adds the next networks. They are on the disk before they count as finished. */
int partial_add(cli_partial *partial, const nft_weights *weights, const float *losses);
/* Losses of networks first …, which are finished. */
int partial_losses(const cli_partial *partial, int64_t first, int64_t count, float *losses);
/* How many of the tensors W_0, v_0, W_1, … the file has, and the numbers of one network's. */
int64_t partial_tensor_count(const cli_partial *partial);
int64_t partial_tensor_numbers(const cli_partial *partial, int64_t tensor);
/* Tensor `tensor` of networks first …, which are finished. */
int partial_read(const cli_partial *partial, int64_t tensor, int64_t first, int64_t count, void *numbers);
/* Removes the file. */
void partial_remove(cli_partial *partial);
void partial_close(cli_partial *partial);

#endif
