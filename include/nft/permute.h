/**
 * @file permute.h
 * Permutations of neurons, for augmentation and for tests of invariance. Included by nft/train.h.
 */
#ifndef NFT_PERMUTE_H
#define NFT_PERMUTE_H

#include "nft/base.h"
#include "nft/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Permutes axes. The functions of the networks do not change. Not thread-safe for one set.
 * @param weights the set; one that borrows the caller's memory is refused
 * @param permutations an array (N, neurons of the axis) for each axis of the space: new neuron k of network n
 * is old neuron permutations[axis][n · neurons + k]. A NULL entry leaves an axis as it is, and an axis
 * without symmetry has one.
 * @return ::NFT_ERROR_ARGUMENT for an entry that is no permutation, or an axis without symmetry;
 * ::NFT_ERROR_MISMATCH for a set whose file may hold other networks than the chains it was read as (residual
 * connections leave no trace, a transposed convolution may have the shape of another), or tensors that belong
 * to the networks and were not read. nft_load_options.layers or nft_load_options.space decide it
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_permute(nft_weights *weights,
                                                      const int64_t *const *permutations);
/**
 * Permutes every axis that has the symmetry, with another random permutation for each network. Not
 * thread-safe for one set.
 * @param weights the set; one that borrows the caller's memory is refused
 * @param seed the same seed gives the same permutations
 * @param first number of the set's first network. A set that is a piece of a larger one is permuted as the
 * whole would be; 0 for a whole set
 * @return ::NFT_ERROR_ARGUMENT, ::NFT_ERROR_MISMATCH, ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY; as
 * nft_weights_permute()
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_permute_random(nft_weights *weights, uint64_t seed,
                                                             int64_t first);

#ifdef __cplusplus
}
#endif

#endif
