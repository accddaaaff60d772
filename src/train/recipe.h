/* The recipe of a training, read and checked. */
#ifndef NFT_TRAIN_RECIPE_H
#define NFT_TRAIN_RECIPE_H

#include "math/schedule.h"
#include "train/augment.h"
#include "train/losses.h"
#include "train/optimizer.h"

typedef struct nft_recipe {
    const nft_loss *loss;
    nft_optimizer optimizer;
    nft_schedule schedule;
    double grad_clip; /* the largest norm; 0: no clipping */
    double omega;     /* of the networks that loss render renders */
    int64_t batch_size, steps, validate_every;
    int64_t patience; /* validations in a row without a lower loss, after which it ends; 0: no such end */
    bool shuffle;
    nft_augment augment;
    uint64_t seed;
} nft_recipe;

nft_status nft_recipe_parse(nft_recipe *recipe, const char *text, size_t length);

#endif
