/* Alignment of two SIRENs: the order of the hidden neurons of one that brings its weights closest to those of
 * the other, layer by layer. Incoming weights and biases are compared, those of a layer after the one before
 * it was ordered; the assignment of each layer is optimal (weight matching, Ainsworth et al., "Git Re-Basin",
 * 2023, in one pass). */
#ifndef NFT_SIREN_ALIGN_H
#define NFT_SIREN_ALIGN_H

#include "space/space.h"

/* Memory for the networks of a space, on one thread at a time. */
typedef struct nft_siren_alignment nft_siren_alignment;

int64_t nft_siren_alignment_bytes(const nft_space *space); /* saturates */
nft_status nft_siren_alignment_create(nft_siren_alignment **alignment, const nft_space *space);
void nft_siren_alignment_free(nft_siren_alignment *alignment);

/* Orders the neurons of network `index` in tensors like network `like_index` in `like`; tensors[t] is a set's
 * (N, *shape) of tensor t. The function of the network stays. */
void nft_siren_align(nft_siren_alignment *alignment, float *const *tensors, int64_t index,
                     const float *const *like, int64_t like_index);

#endif
