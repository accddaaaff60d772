/* Validation: the loss without dropout over a set that the model is not trained on. */
#ifndef NFT_TRAIN_VALIDATION_H
#define NFT_TRAIN_VALIDATION_H

#include "train/objective.h"

typedef struct nft_validation {
    nft_set set;
    nft_context *context; /* NULL before there is a set */
    nft_array *output; /* (N, …) of the last validation; NULL without a set, and of losses between images */
    double *losses;    /* of each of its N samples, and one number more on which ranks agree */
    bool has_run;
} nft_validation;

/* Memory for a set of `count` samples; nothing changes on failure but that there is a context. */
nft_status nft_validation_prepare(nft_validation *validation, const nft_objective *objective, int64_t count,
                                  const nft_context_options *options);
void nft_validation_clear(nft_validation *validation);

#endif
