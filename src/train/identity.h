/* Which training a checkpoint belongs to: its recipe, precision, model and data, as JSON. */
#ifndef NFT_TRAIN_IDENTITY_H
#define NFT_TRAIN_IDENTITY_H

#include "config/json.h"
#include "train/trainer.h"

/* Everything that must be equal when a training continues; NULL: no memory. */
json_t *nft_identity_describe(const nft_trainer *trainer);
/* NFT_ERROR_MISMATCH, with the first difference, unless the trainer may continue a training so described. */
nft_status nft_identity_check(const nft_trainer *trainer, const json_t *found);

#endif
