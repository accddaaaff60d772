/* Pools that keep means of each tensor: a vector with index c * K + k, K numbers for each channel c. */
#ifndef NFT_MODULES_MEAN_POOL_H
#define NFT_MODULES_MEAN_POOL_H

#include "modules/shared/module.h"

/* `distinguish_io`: input neurons at W_0 and output neurons at W_{L-1} and v_{L-1} keep their own means
 * (HNP), else all axes are averaged (NP). */
nft_status nft_mean_pool_configure(nft_module *module, nft_builder *builder, bool distinguish_io);
void nft_mean_pool_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out);
void nft_mean_pool_backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                            const float *grad_out, float *grad_in);
void nft_mean_pool_release(nft_module *module);

#endif
