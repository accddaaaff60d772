/* The space of networks whose batch norms are folded. */
#ifndef NFT_IO_FOLD_SPACE_H
#define NFT_IO_FOLD_SPACE_H

#include "space/space.h"

#include <stdbool.h>

typedef struct nft_fold_space {
    const nft_space *space; /* borrowed; NULL: names alone tell the layers, and all below is unused */
    const char *prefix;     /* borrowed; of the file's names, before those of the space */
    bool *removed;          /* for each tensor: it is a norm's */
    bool *gets_bias;        /* for each tensor: a weight whose bias the space lacks */
    int64_t added;          /* biases */
    bool is_changed;
} nft_fold_space;

/* Clear it also after a failure. */
nft_status nft_fold_space_begin(nft_fold_space *f, const nft_space *space, const char *prefix);
void nft_fold_space_clear(nft_fold_space *f);

/* Names of modules are those of the file. Whether the space does not contradict that the norm is behind the
 * layer. */
bool nft_fold_space_allows(const nft_fold_space *f, const char *norm, const char *layer);
/* The same as an error that tells the reason. */
nft_status nft_fold_space_check(const nft_fold_space *f, const char *norm, const char *layer);
/* Whether the space has neither of them. */
bool nft_fold_space_is_outside(const nft_fold_space *f, const char *norm, const char *layer);
/* Whether the axes tell that the layer's first dimension has its outputs: the second is another axis. */
bool nft_fold_space_tells_outputs(const nft_fold_space *f, const char *layer);
/* Removes the norm, and adds the layer's bias. */
void nft_fold_space_take(nft_fold_space *f, const char *norm, const char *layer);
/* *folded is NULL if nothing was taken. */
nft_status nft_fold_space_finish(nft_space **folded, const nft_fold_space *f);

#endif
