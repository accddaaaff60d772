/* Batch norms folded into the layers before them. */
#ifndef NFT_IO_FOLD_H
#define NFT_IO_FOLD_H

#include "io/file.h"

/* Replaces each layer with a batch norm behind it by the layer that computes the same in evaluation, and
 * removes the norm: weight · gain / √(running_var + eps), and the bias accordingly. The layers become F32 in
 * memory. NFT_ERROR_FORMAT for a norm without a linear or convolutional layer before it. `prefix` chooses the
 * tensors. `note`, empty at first, receives a text about the order. */
nft_status nft_fold_norms(nft_text *note, nft_file *file, const char *prefix, double eps);

#endif
