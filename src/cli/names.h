/* Finds one of many names by halving, so that a file of many tensors takes time in proportion to its size. */
#ifndef NFT_CLI_NAMES_H
#define NFT_CLI_NAMES_H

#include <nft/file.h>
#include <nft/nft.h>
#include <nft/train.h>
#include <stdbool.h>

typedef struct cli_name {
    char *text;
    int64_t value;
} cli_name;

typedef struct cli_names {
    cli_name *items;
    int64_t count;
} cli_names;

/* The names that the file has for the tensors of the networks; several slices share one. Their values are
 * indices. Prints its failure and returns the exit status. */
int names_of_tensors(cli_names *names, const nft_weights *weights);
/* The names of the extras of the networks; their values are indices. */
int names_of_extras(cli_names *names, const nft_dataset *dataset);
/* The names of a file's tensors; their values are indices. */
int names_of_file(cli_names *names, const nft_file *file);
/* The value of a name, -1 if it is none of them. */
int64_t names_find(const cli_names *names, const char *text);
void names_free(cli_names *names);

#endif
