/* The exponential moving average of a model's parameters (Polyak and Juditsky, "Acceleration of Stochastic
 * Approximation by Averaging", 1992; of the weights of networks: Izmailov et al., arXiv 1803.05407). */
#ifndef NFT_TRAIN_AVERAGE_H
#define NFT_TRAIN_AVERAGE_H

#include "train/optimizer.h"

typedef struct nft_average {
    double decay;
    float *values; /* at the offsets of the model's values, buffers included; NULL: there is no average */
} nft_average;

int64_t nft_average_bytes(const nft_model *model, double decay);
/* An average of the model's values as they are; none if `decay` is 0. */
nft_status nft_average_create(nft_average *average, const nft_model *model, double decay);
void nft_average_clear(nft_average *average);

/* Begins anew with the model's values, because they were set and not trained. */
void nft_average_reset(nft_average *average, const nft_model *model);
/* Follows update number `step`, from 1, in the ranges of trained numbers: a ← a + (1 - d) (p - a) with
 * d = min(decay, (1 + step) / (10 + step)). Early steps thus forget the values from before training. */
void nft_average_update(nft_average *average, const nft_moments *moments, int64_t step, const float *values,
                        nft_pool *pool);
/* The average and the model's values change places; the caller packs the weights again. */
void nft_average_swap(nft_average *average, nft_model *model);

#endif
