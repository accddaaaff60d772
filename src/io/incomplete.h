/* Layers whose weights are in the file in another form, and tensors that a chain of layers does not have. */
#ifndef NFT_IO_INCOMPLETE_H
#define NFT_IO_INCOMPLETE_H

#include "io/file.h"

/* An error with the way out for weight norm, spectral norm, pruning, LoRA and a shard of several. `prefix`
 * chooses the tensors. */
nft_status nft_refuse_incomplete_layers(const nft_file *file, const char *prefix);

/* Tells once of all entries that are marked, summarised by the last parts of their names. */
nft_status nft_tell_unread(const nft_file *file, const bool *unread);

#endif
