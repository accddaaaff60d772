/* The loop over steps: how groups of a batch go forward and backward. */
#ifndef NFT_TRAIN_LOOP_H
#define NFT_TRAIN_LOOP_H

#include "model/backward.h"
#include "nft/trainer.h"
#include "train/recipe.h"

typedef struct nft_loop {
    nft_context *context;
    nft_gradients *gradients;
    int64_t group;            /* the most samples whose forward is kept at a time */
    int64_t group_floats;     /* and the most floats that it keeps */
    nft_dropout_key *dropout; /* one for each sample of a group */
} nft_loop;

/* `model` is changed by its steps; clear it also after a failure. */
nft_status nft_loop_create(nft_loop *loop, const nft_model *model, const nft_recipe *recipe,
                           const nft_trainer_options *options);
void nft_loop_clear(nft_loop *loop);

#endif
