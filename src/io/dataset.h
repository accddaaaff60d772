/* What is inside a data set. */
#ifndef NFT_IO_DATASET_H
#define NFT_IO_DATASET_H

#include "io/network.h"
#include "nft/dataset.h"
#include "space/array.h"

struct nft_dataset {
    nft_references references;
    nft_file *file;
    nft_network network;
    nft_space *space;        /* NULL: */
    const nft_entry *tokens; /* (N, tokens, channels) */
    int64_t count, channels;
};

nft_dataset *nft_dataset_retain(nft_dataset *dataset); /* one more reference */

/* Each reads `count` samples, those of `indices` or first, first + 1, … if it is NULL. They exist. */
nft_status nft_dataset_read_weights(const nft_dataset *dataset, const int64_t *indices, int64_t first,
                                    int64_t count, nft_weights *weights);
nft_status nft_dataset_read_tokens(const nft_dataset *dataset, const int64_t *indices, int64_t first,
                                   int64_t count, float *tokens);
/* Of an entry (N, …): floats or integers, the other NULL. */
nft_status nft_dataset_read_rows(const nft_dataset *dataset, const nft_entry *entry, const int64_t *indices,
                                 int64_t first, int64_t count, float *floats, int64_t *integers);

#endif
