/* One sign and one phase for every hidden neuron of a SIREN, of those that give the same function. */
#ifndef NFT_SIREN_CANONICAL_H
#define NFT_SIREN_CANONICAL_H

#include "siren/form.h"

/* Changes networks first … first + count - 1 of a set of linear layers: tensors[t] is its (N, *shape) of
 * tensor t. */
void nft_siren_canonicalize(const nft_space *space, const nft_siren_form *form, float *const *tensors,
                            int64_t first, int64_t count);

#endif
