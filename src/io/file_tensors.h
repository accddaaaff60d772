/* Tensors of a space as a file has them: slices of one file tensor belong together. */
#ifndef NFT_IO_FILE_TENSORS_H
#define NFT_IO_FILE_TENSORS_H

#include "space/space.h"

/* Where the numbers of one tensor stand in the file's array of one network and channel: runs of neighbours,
 * all of one length and one distance. */
typedef struct nft_slice {
    int64_t runs, run; /* how many, and the numbers of each */
    int64_t start;     /* of the first run */
    int64_t stride;    /* from one run to the next */
} nft_slice;

/* A tensor of the file, with the tensors of the space that it is cut into. */
typedef struct nft_stored_tensor {
    const char *name; /* `from` of its parts, or the name of the only one; the space's */
    int64_t rank, shape[NFT_ARRAY_MAX_RANK]; /* without networks and channels */
    int64_t first, parts;                    /* in nft_stored_tensors.order: by where they begin */
} nft_stored_tensor;

typedef struct nft_stored_tensors {
    nft_stored_tensor *items; /* in the order of their first parts in the space */
    int64_t count;
    int64_t *order;    /* all tensors of the space, item by item */
    nft_slice *slices; /* one for each tensor of the space */
} nft_stored_tensors;

/* Clear it also after a failure. */
nft_status nft_stored_tensors_find(nft_stored_tensors *table, const nft_space *space);
void nft_stored_tensors_clear(nft_stored_tensors *table);

#endif
