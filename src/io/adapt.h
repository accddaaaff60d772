/* Other layouts of networks in files, shown as libnft reads them. */
#ifndef NFT_IO_ADAPT_H
#define NFT_IO_ADAPT_H

#include "io/file.h"
#include "nft/weights.h"

/* Shows kernels of Keras and flax in PyTorch's order, and several alike networks of one file as a stack,
 * unless the file or the options say which tensors the networks have. */
nft_status nft_file_adapt(nft_file *file, const nft_load_options *options);
/* Does to a file that was opened again as was done to the first. */
nft_status nft_file_adapt_again(nft_file *file, const nft_file *first);

#endif
