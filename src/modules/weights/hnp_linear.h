/* What hnp_linear consists of: planned in one file, run in another. */
#ifndef NFT_MODULES_HNP_LINEAR_H
#define NFT_MODULES_HNP_LINEAR_H

#include "modules/weights/np_layer.h"

/* A map whose inputs are gathered for each neuron of one axis, plus one from g that is the same for all of
 * them. */
typedef struct nft_neuron_map {
    nft_map own, global;
    int64_t gradient;     /* sides: of the output, (rows, outputs) */
    int64_t gradient_sum; /* its sum over rows */
} nft_neuron_map;

typedef struct nft_hnp_linear {
    int64_t global; /* scratch: g = [M_0 … M_{L-1}, m_0 … m_{L-1}, R_0, K_{L-1}, v_{L-1}]; in backward its
                       gradient */
    int64_t global_size;
    int64_t first_columns, last_rows, last_biases; /* where the last three begin in it: channel-major */
    nft_neuron_map first_weight, first_bias;       /* for each row of W_0, n_0 numbers a channel */
    nft_neuron_map last_weight;                    /* for each column of W_{L-1}, n_L numbers a channel */
    nft_map last_bias;                             /* from g */
    int64_t kept_global, kept_first_input, kept_last_input; /* g, rpt, cpt */
    int64_t last_bias_gradient;                             /* sides: the gradient of last_bias's output */
    int64_t mapped; /* thread scratch: a chunk of outputs before they're put in place */
    nft_np_scratch scratch;
    nft_layer_means *means; /* of each layer */
    nft_np_layer *layers;   /* all but the first and the last */
} nft_hnp_linear;

const nft_tensor *nft_hnp_last_weight(const nft_space *space); /* W_{L-1} */

nft_status nft_hnp_linear_configure(nft_module *module, nft_builder *builder, nft_options *options);
void nft_hnp_linear_release(nft_module *module);

#endif
