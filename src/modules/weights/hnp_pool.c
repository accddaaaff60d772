/* Invariant to permutations of hidden neurons: means over hidden axes alone, so that W_0 keeps a mean for
 * each input neuron, W_{L-1} one for each output neuron, and v_{L-1} is kept whole (Zhou et al., "Permutation
 * Equivariant Neural Functionals", arXiv 2302.14040). */
#include "modules/weights/mean_pool.h"

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    return nft_mean_pool_configure(module, builder, true);
}

const nft_module_class nft_module_hnp_pool = {.type = "hnp_pool",
                                              .configure = configure,
                                              .forward = nft_mean_pool_forward,
                                              .backward = nft_mean_pool_backward,
                                              .release = nft_mean_pool_release};
