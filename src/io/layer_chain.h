/* Layers of a file that may be a chain. */
#ifndef NFT_IO_LAYER_CHAIN_H
#define NFT_IO_LAYER_CHAIN_H

#include "io/file.h"
#include "nft/space.h"

typedef struct nft_chain_layer {
    char *name;
    const nft_entry *weight;
    const nft_entry *bias; /* NULL: zeros */
} nft_chain_layer;

typedef struct nft_layer_chain {
    nft_chain_layer *layers; /* in order */
    nft_layer *shapes;       /* one for each of them */
    int64_t layer_count;
    int64_t rank;       /* of the biases */
    const char *prefix; /* of the names of its tensors */
    const nft_file *file;
} nft_layer_chain;

/* Errors that list the layers: layer i does not take the output of the one before it. `by_hand`: their order
 * was given. */
nft_status nft_chain_fail_order(const nft_layer_chain *chain, int64_t i, bool by_hand);
/* Layer i would have positions, but the one before it is no convolution. */
nft_status nft_chain_fail_positions(const nft_layer_chain *chain, int64_t i);
/* An error if one of the layers is a batch norm, by its running mean. */
nft_status nft_chain_refuse_norms(const nft_layer_chain *chain);

#endif
