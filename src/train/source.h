/* The source of batches: a set or a callback, and the samples of a step. */
#ifndef NFT_TRAIN_SOURCE_H
#define NFT_TRAIN_SOURCE_H

#include "train/mixup.h"
#include "train/recipe.h"
#include "train/sampler.h"
#include "train/sets.h"

/* A callback, and the batch that it fills. */
typedef struct nft_callback_source {
    nft_batch_callback *call; /* NULL: there is none */
    void *user;
    nft_batch batch; /* with pointers to the source's memory; count 0: there is none */
    nft_array *tokens;
} nft_callback_source;

typedef struct nft_batch_source {
    nft_set set;
    nft_sampler sampler;
    nft_callback_source callback; /* in place of the set */
    nft_reading reading;          /* memory of a batch that is read */
    int64_t *numbers;             /* of a batch's samples, in the set */
    nft_sample *samples;          /* of a batch: this rank's part of them is set */
    nft_mixup mixup;
    nft_weights *augmented; /* the networks of a batch; NULL unless the recipe has "augment" */
} nft_batch_source;

/* Without data; clear it also after a failure. */
nft_status nft_batch_source_create(nft_batch_source *source, const nft_model *model,
                                   const nft_recipe *recipe);
void nft_batch_source_clear(nft_batch_source *source);

/* Memory for the batches of the callback, unless it is there. */
nft_status nft_callback_source_reserve(nft_callback_source *source, const nft_objective *objective,
                                       int64_t batch_size);
/* Frees it. */
void nft_callback_source_free_batch(nft_callback_source *source);
/* Forgets the callback as well. */
void nft_callback_source_clear(nft_callback_source *source);

#endif
