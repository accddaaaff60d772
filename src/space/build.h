/* How a space is put together; nobody else sees it while it changes. */
#ifndef NFT_SPACE_BUILD_H
#define NFT_SPACE_BUILD_H

#include "space/space.h"

/* No network has an axis near this; it keeps a product of two of them inside 64 bits. Longer products
 * saturate, and a space of too many numbers is refused. */
#define NFT_MAX_AXIS INT64_C(0x7fffffff)
#define NFT_MAX_TENSORS 131072

/* As nft_space_create(), and of a chain with its layers (layer_count 0: none). */
nft_status nft_space_create_whole(nft_space **space, const nft_space_axis *axes, int64_t axis_count,
                                  const nft_space_tensor *tensors, int64_t tensor_count,
                                  const nft_layer *layers, int64_t layer_count);

/* Fills sides and colours once all axes and tensors are there. */
nft_status nft_space_fill_sides(nft_space *space);

/* Writes space->json. */
nft_status nft_space_fill_json(nft_space *space);

/* Makes space->lifted. */
nft_status nft_space_fill_lifted(nft_space *space);

/* Copies the layers of a chain, which were checked. */
nft_status nft_space_set_layers(nft_space *space, const nft_layer *layers, int64_t count);

#endif
