/* The optimizer of a trainer: Adam or AdamW (math/adam.h) for all parameters of a model. */
#ifndef NFT_TRAIN_OPTIMIZER_H
#define NFT_TRAIN_OPTIMIZER_H

#include "model/model.h"

typedef struct nft_optimizer {
    bool decoupled; /* AdamW: decay is not part of the gradient */
    double lr, beta1, beta2, eps, weight_decay;
} nft_optimizer;

/* Some neighbouring numbers of a model's values. */
typedef struct nft_range {
    int64_t first, count;
} nft_range;

/* The trained numbers of a model, cut into ranges that depend only on the model, and the optimizer's memory
 * of them. */
typedef struct nft_moments {
    nft_range *ranges;
    int64_t range_count;
    double *sums;          /* one for each range */
    float *first, *second; /* at the offsets of the model's values */
} nft_moments;

int64_t nft_moments_bytes(const nft_model *model); /* saturates */
nft_status nft_moments_create(nft_moments *moments, const nft_model *model);
void nft_moments_clear(nft_moments *moments);

/* The sum of the squares of the gradients, in double by a fixed tree. */
double nft_gradient_squares(const nft_moments *moments, const float *gradients, nft_pool *pool);

/* Update number `step`, from 1, with learning rate `lr` and the gradients times `scale`. */
void nft_optimizer_update(const nft_optimizer *optimizer, nft_moments *moments, int64_t step, double lr,
                          double scale, const float *gradients, float *values, nft_pool *pool);

#endif
