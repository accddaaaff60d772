/* Two small spaces on which a model of any space is tried when it is made: the first declares its parameters,
 * the second shows that they do not depend on the space. */
#ifndef NFT_MODEL_PROTOTYPES_H
#define NFT_MODEL_PROTOTYPES_H

#include "space/space.h"

/* `which` is 0 or 1. They differ in all: tensors, axes, sizes, positions and tokens. Both are small, as
 * modules on tokens may take no more than some. */
nft_status nft_space_prototype(nft_space **space, int which);

#endif
