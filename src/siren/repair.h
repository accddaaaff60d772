/* Changes that bring SIRENs to another ω, another offset or the canonical form, with the same function. */
#ifndef NFT_SIREN_REPAIR_H
#define NFT_SIREN_REPAIR_H

#include "siren/form.h"

typedef struct nft_siren_repair {
    bool scale;        /* weights and biases, from ω of `from` to that of `to` */
    bool shift;        /* the last biases, from the offset of `from` to that of `to` */
    bool canonicalize; /* for ω of `to` */
    nft_siren_form from, to;
} nft_siren_repair;

/* Changes networks 0 … count - 1 of a set of linear layers: tensors[t] is its (N, *shape) of tensor t. */
void nft_siren_repair_networks(const nft_siren_repair *repair, const nft_space *space, float *const *tensors,
                               int64_t count);

#endif
