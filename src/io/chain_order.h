/* The order of the layers of a chain, where letters and not numbers would decide it. */
#ifndef NFT_IO_CHAIN_ORDER_H
#define NFT_IO_CHAIN_ORDER_H

#include "base/memory.h"

typedef struct nft_ordered_layer {
    const char *name;
    int64_t in, out;
    bool is_conv;
} nft_ordered_layer;

/* `layers` are in natural order. Writes the order in which they feed each other to `order`; *note tells of an
 * order that is not natural, else it is NULL; nft_release() it. NFT_ERROR_FORMAT if several orders fit, or
 * one that the names do not tell, or if the layers look like several networks. Layers that fit in no order
 * are left in natural order. */
nft_status nft_find_layer_order(int64_t *order, char **note, const nft_ordered_layer *layers, int64_t count);

#endif
