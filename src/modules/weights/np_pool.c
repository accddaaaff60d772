/* Invariant to permutations of every neuron axis: the mean of each tensor, for each filter position (Zhou et
 * al., "Permutation Equivariant Neural Functionals", arXiv 2302.14040). */
#include "modules/weights/mean_pool.h"

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    return nft_mean_pool_configure(module, builder, false);
}

const nft_module_class nft_module_np_pool = {.type = "np_pool",
                                             .configure = configure,
                                             .forward = nft_mean_pool_forward,
                                             .backward = nft_mean_pool_backward,
                                             .release = nft_mean_pool_release};
