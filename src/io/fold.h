/* Batch norms folded into the layers before them. */
#ifndef NFT_IO_FOLD_H
#define NFT_IO_FOLD_H

#include "io/file.h"
#include "nft/weights.h"

/* Replaces each layer with a batch norm behind it by the layer that computes the same in evaluation, and
 * removes the norm: weight · gain / √(running_var + eps), and the bias accordingly. The layers become F32 in
 * memory. NFT_ERROR_FORMAT for a norm without a linear or convolutional layer before it. The prefix of the
 * options chooses the tensors. A space of tensors in the options must agree: the norm's axis is that of the
 * layer's outputs. *folded is that space without the norms, and with a bias for each layer that a norm was
 * folded into; NULL without such a space, or without norms. `note`, empty at first, receives a text about the
 * order. */
nft_status nft_fold_norms(nft_space **folded, nft_text *note, nft_file *file, const nft_load_options *options,
                          double eps);

#endif
