/* The recipe of a training, read and checked. */
#ifndef NFT_TRAIN_RECIPE_H
#define NFT_TRAIN_RECIPE_H

#include "math/schedule.h"
#include "siren/form.h"
#include "train/augment.h"
#include "train/auxiliary.h"
#include "train/losses.h"
#include "train/optimizer.h"

#define NFT_LABEL_CAPACITY 256

typedef struct nft_recipe {
    const nft_loss *loss;
    nft_optimizer optimizer;
    nft_schedule schedule;
    double grad_clip;    /* the largest norm; 0: no clipping */
    nft_siren_form form; /* of the networks that loss render renders */
    double ema_decay;    /* of the average of the parameters; 0: there is none */
    int64_t batch_size, steps, validate_every;
    int64_t patience; /* validations in a row without a lower loss, after which it ends; 0: no such end */
    bool shuffle;
    bool any_fit; /* networks of other fit settings are taken */
    bool prepare; /* networks of files are brought to the form of the first of the training set */
    bool skip;    /* samples that are not finite are left out */
    char label[NFT_LABEL_CAPACITY]; /* the tensor of the labels; "": label, or else target */
    nft_augment augment;
    nft_auxiliary_options auxiliary;
    uint64_t seed;
} nft_recipe;

/* Clear it also after a failure. */
nft_status nft_recipe_parse(nft_recipe *recipe, const char *text, size_t length);
void nft_recipe_clear(nft_recipe *recipe);

#endif
