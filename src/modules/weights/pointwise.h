/* The linear maps of each tensor's channels that pointwise is, and nft_block's feed-forward has two of. */
#ifndef NFT_MODULES_POINTWISE_H
#define NFT_MODULES_POINTWISE_H

#include "modules/weights/features.h"

/* Declares the map of each owner under `prefix`; maps has room for every tensor of the space. */
nft_status nft_pointwise_add(nft_builder *builder, nft_map *maps, int64_t in_channels, int64_t out_channels,
                             const char *prefix);
/* 2·m·n·k of all of them for a sample. */
int64_t nft_pointwise_flops(const nft_space *space, const nft_map *maps);

#endif
