/* Networks that are rows of a matrix: every number of a network in one row. */
#ifndef NFT_IO_COLLECT_FLAT_H
#define NFT_IO_COLLECT_FLAT_H

#include "io/collect/preset.h"
#include "io/file.h"

/* Shows the tensors of the rows, a stack of all of them, in place of the matrix. */
nft_status nft_flat_show(nft_file *file, nft_flat kind);

#endif
