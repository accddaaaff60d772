/* Layers whose names or shapes contradict their place in a chain. */
#ifndef NFT_IO_CHAIN_DOUBTS_H
#define NFT_IO_CHAIN_DOUBTS_H

#include "base/memory.h"

/* `shape` is that of one network. NFT_ERROR_FORMAT, with the way out, for an embedding and for a kernel whose
 * axes look like (height, width, in, out). `note` receives a doubt that nothing decides, once. */
nft_status nft_doubt_layer(nft_text *note, const char *name, const int64_t *shape, int64_t rank,
                           bool has_bias);

#endif
