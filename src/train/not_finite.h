/* The messages for a training whose numbers are not finite. */
#ifndef NFT_TRAIN_NOT_FINITE_H
#define NFT_TRAIN_NOT_FINITE_H

#include "train/trainer.h"

/* Of the loss of sample `number`, with its output. */
nft_status nft_fail_loss(const nft_trainer *trainer, const char *set, int64_t number, const float *output);
/* Names a gradient that is not finite, or else the largest one: its square is not finite. */
nft_status nft_fail_gradients(const nft_trainer *trainer);

#endif
