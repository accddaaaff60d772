/* The table of a file that is written piece by piece. Each function that can fail prints its failure and
 * returns the exit status. */
#ifndef NFT_CLI_TABLES_H
#define NFT_CLI_TABLES_H

#include <nft/nft.h>

typedef struct cli_tensor_table {
    nft_tensor_info *items; /* names are owned, because they may come from a context that is freed before */
    int64_t count, room;
} cli_tensor_table;

/* Adds a tensor; NULL without memory. */
nft_tensor_info *table_add(cli_tensor_table *table, const char *name, const char *type);
nft_tensor_info *table_find(const cli_tensor_table *table, const char *name);
void table_remove(cli_tensor_table *table, int64_t index);
void table_free(cli_tensor_table *table);

/* Adds the tensors of networks as a file has them: slices of one are one. `leading` are the dimensions before
 * a tensor's own, `shape` their sizes: N, C. */
int table_add_networks(cli_tensor_table *table, const nft_weights *networks, const int64_t *shape,
                       int64_t leading);

#endif
