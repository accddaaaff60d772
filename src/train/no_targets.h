/* The messages for data without the tensor of targets that the loss needs: with the tensors that may be
 * meant. */
#ifndef NFT_TRAIN_NO_TARGETS_H
#define NFT_TRAIN_NO_TARGETS_H

#include "train/trainer.h"

/* Of a set in memory. */
nft_status nft_fail_no_extra(const nft_trainer *trainer, const nft_weights *weights);
/* Of a part of a data set. */
nft_status nft_fail_no_entry(const nft_trainer *trainer, const nft_dataset *dataset, const nft_part *part);

#endif
