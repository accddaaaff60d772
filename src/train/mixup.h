/* MixUp of aligned networks: each network of a batch becomes a mean of itself and of another one of the
 * batch, whose neurons are ordered like its own, and its loss the same mean of both labels' losses (Zhang et
 * al., arXiv 1710.09412; of weight spaces: Shamsian et al., arXiv 2402.04081). */
#ifndef NFT_TRAIN_MIXUP_H
#define NFT_TRAIN_MIXUP_H

#include "base/random.h"
#include "siren/align.h"
#include "train/sets.h"

typedef struct nft_mixup {
    double alpha;          /* of the distribution of shares, Beta(alpha, alpha); 0: nothing is mixed */
    nft_weights *networks; /* of a batch */
    nft_siren_alignment *alignment;
} nft_mixup;

/* For batches of `count` networks of SIRENs; nothing if `alpha` is 0. Clear it also after a failure. */
nft_status nft_mixup_create(nft_mixup *mixup, double alpha, const nft_space *space, int64_t count);
void nft_mixup_clear(nft_mixup *mixup);
/* How much that takes; saturates. */
int64_t nft_mixup_bytes(double alpha, const nft_space *space, int64_t count);

/* The random numbers of a step; network `place` of its batch has its own. */
nft_random nft_mixup_random(uint64_t seed, int64_t step);
/* How much of network `place` is its own, 0 … 1. */
double nft_mixup_share(double alpha, const nft_random *random, int64_t place);
/* How many places behind a network of a batch of `count` its partner is, 1 … count - 1, around the end. */
int64_t nft_mixup_distance(const nft_random *random, int64_t count);

/* Mixes samples first … first + part - 1 of `count`, all of which have networks of the space and targets. */
void nft_mixup_samples(nft_mixup *mixup, const nft_random *random, nft_sample *samples, int64_t count,
                       int64_t first, int64_t part);

#endif
