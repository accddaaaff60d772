/* The files that the networks of a data set were read from, where 'nftool collect' noted them. */
#ifndef NFT_CLI_FILE_NAMES_H
#define NFT_CLI_FILE_NAMES_H

#include "input.h"

#define FILE_NAMES "nft.file" /* the tensor with the names */
#define FILE_NAME_CAPACITY 1024

/* A piece of the names at a time, so that memory does not grow with their number. */
typedef struct file_names {
    const cli_input *input; /* NULL: it has none */
    nft_array *rows;
    int64_t first; /* of the rows */
} file_names;

file_names file_names_of(const cli_input *input);
/* The name of network n. Prints a failure and returns the exit status. */
int file_names_read(char *text, file_names *names, int64_t n);
void file_names_clear(file_names *names);

/* " (zoo/a.pt)", for a message about network n; empty if its name is not known. Returns `text`. */
const char *file_of_network(char *text, const cli_input *input, int64_t n);

#endif
