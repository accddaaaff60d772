/* Which layers of a network a safetensors file holds, in which order, and for how many networks and channels.
 */
#ifndef NFT_IO_NETWORK_H
#define NFT_IO_NETWORK_H

#include "io/file.h"
#include "nft/space.h"

typedef struct nft_network_layer {
    char *name;
    const nft_entry *weight;
    const nft_entry *bias; /* NULL: zeros */
} nft_network_layer;

typedef struct nft_network {
    nft_network_layer *layers; /* in order */
    nft_layer *shapes;         /* one for each of them, chained */
    int64_t layer_count;
    int64_t rank; /* of the biases: 1 one network, 2 a stack, 3 features */
    int64_t count, channels;
    bool *of_a_layer; /* for each entry of the file, chosen layers or not */
} nft_network;

/* `order` names the layers; NULL: all of the file's in natural order. Clear it also after a failure. */
nft_status nft_network_find(nft_network *network, const nft_file *file, const char *const *order,
                            int64_t order_count);
void nft_network_clear(nft_network *network);

#endif
