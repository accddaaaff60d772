/* Which samples are in which batch. */
#ifndef NFT_TRAIN_SAMPLER_H
#define NFT_TRAIN_SAMPLER_H

#include "base/memory.h"

/* A batch depends only on the seed, the number of samples, and the step. Passes over the data are joined end
 * to end. */
typedef struct nft_sampler {
    bool shuffle;
    uint64_t seed;
    int64_t samples;
    int64_t *order; /* the permutation of pass `pass`; NULL unless shuffled */
    int64_t pass;
} nft_sampler;

nft_status nft_sampler_create(nft_sampler *sampler, int64_t samples, bool shuffle, uint64_t seed);
void nft_sampler_clear(nft_sampler *sampler);
void nft_sampler_batch(nft_sampler *sampler, int64_t step, int64_t count, int64_t *indices);

#endif
