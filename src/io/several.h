/* Several networks of one file, side by side: net0.fc.weight, net1.fc.weight. */
#ifndef NFT_IO_SEVERAL_H
#define NFT_IO_SEVERAL_H

#include "io/file.h"

/* Shows them as a stack, with the names that each of them has inside, if they are alike; else does nothing.
 * *stacked tells. */
nft_status nft_several_stack(nft_file *file, bool *stacked);

#endif
