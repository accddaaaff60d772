/* Seven statistics of the entries of one channel: mean, unbiased variance, quantiles 0, ¼, ½, ¾, 1
 * (Unterthiner et al., "Predicting Neural Network Accuracy from Weights", 2020). */
#ifndef NFT_MODULES_STATISTICS_H
#define NFT_MODULES_STATISTICS_H

#include "modules/shared/module.h"

#define NFT_STATISTIC_COUNT 7
#define NFT_EVERY_ROLE (-1)

/* One channel of some tensors: their entries at all positions, tensor by tensor. */
typedef struct nft_entries {
    const nft_space *space;
    int64_t first_tensor, end_tensor;
    int32_t role; /* only tensors of this role count; NFT_EVERY_ROLE: all do */
    int64_t channels, channel;
} nft_entries;

/* The entries of tensor t, or of all tensors of a role. */
nft_entries nft_entries_of_tensor(const nft_space *space, int64_t t, int64_t channels, int64_t channel);
nft_entries nft_entries_of_role(const nft_space *space, int32_t role, int64_t channels, int64_t channel);

bool nft_entries_include(const nft_entries *entries, int64_t t);
int64_t nft_entries_count(const nft_entries *entries); /* saturates */

/* The entries in order, twice: ITEM buffers of (1, count) each. */
typedef struct nft_sorted {
    nft_buffer values, other;
} nft_sorted;

nft_sorted nft_sorted_reserve(nft_builder *builder, int64_t count);

/* The statistics of ≥ 1 entries of the features x. The variance of a single entry is 0. */
void nft_statistics_take(const nft_entries *entries, const nft_sorted *sorted, float *item_memory,
                         const float *x, float statistics[NFT_STATISTIC_COUNT]);

/* From the gradient of the statistics to that of the entries, in grad_x. A quantile between two neighbours
 * gives to both; of equal entries those with lower indices come first. */
void nft_statistics_back(const nft_entries *entries, const nft_sorted *sorted, float *item_memory,
                         const float *x, const float gradient[NFT_STATISTIC_COUNT], float *grad_x);

#endif
