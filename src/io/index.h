/* Indexes: JSON files that list the parts of a data set. */
#ifndef NFT_IO_INDEX_H
#define NFT_IO_INDEX_H

#include "base/memory.h"

typedef struct nft_index_part {
    char *path; /* the index's folder and the file that it names */
    int64_t count;
} nft_index_part;

typedef struct nft_index {
    nft_index_part *parts;
    int64_t count; /* 0: the file is no index */
} nft_index;

/* Reads an index if the file is JSON and has its keys. Messages name the file. Clear it also after a failure.
 */
nft_status nft_index_read(nft_index *index, const char *path);
void nft_index_clear(nft_index *index);

#endif
