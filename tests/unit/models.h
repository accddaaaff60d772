/* Models of different kinds, for tests of the properties that all models share. */
#ifndef NFT_TEST_MODELS_H
#define NFT_TEST_MODELS_H

#include "unit/support.h"

#define MLP(modules)                                                                                         \
    "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 2, 'out': 5}, {'type': 'linear', "  \
    "'in': 5, 'out': 4}, {'type': 'linear', 'in': 4, 'out': 1}]}, 'modules': [" modules "]"
#define CNN(modules)                                                                                         \
    "{'format_version': 1, 'space': {'layers': [{'type': 'conv2d', 'in': 2, 'out': 3, 'kernel': [3, 1]}, "   \
    "{'type': 'linear', 'in': 3, 'out': 4, 'positions': 2}]}, 'modules': [" modules "]"
#define CLASSIFIER                                                                                           \
    MLP("{'type': 'gaussian_fourier', 'mapping_size': 4}, {'type': 'learned_pos_embedding'}, {'type': "      \
        "'nft_block'}, {'type': 'flatten_weights'}, {'type': 'perceiver', 'num_latents': 3, "                \
        "'latent_dim': 6}, {'type': 'mean_tokens'}, {'type': 'linear', 'out_features': 7}")                  \
    "}"
#define INR2ARRAY                                                                                            \
    MLP("{'type': 'gaussian_fourier', 'mapping_size': 4}, {'type': 'flatten_weights'}, {'type': "            \
        "'perceiver', 'num_latents': 4, 'latent_dim': 6}")                                                   \
    ", 'decoder': {'type': 'hypernetwork', 'style': 'per_tensor', 'hidden_size': 5, 'hidden_layers': 1, "    \
    "'additive': true, 'height': 3, 'width': 5}}"
#define NFN                                                                                                  \
    CNN("{'type': 'normalize'}, {'type': 'np_linear', 'out_channels': 4, 'io_embed': true}, {'type': "       \
        "'residual', 'activation': 'relu', 'base': {'type': 'hnp_linear', 'out_channels': 4}, 'norm': "      \
        "{'type': 'simple_layer_norm'}}, {'type': 'pointwise', 'out_channels': 1}, {'type': "                \
        "'learned_scale', 'init_scale': 0.1}, {'type': 'add_input'}")                                        \
    "}"
#define CROSS_ATTENTION                                                                                      \
    MLP("{'type': 'io_sinusoidal'}, {'type': 'cross_attn_encoder', 'num_latents': 3}, {'type': "             \
        "'cross_attn_decoder'}, {'type': 'stat_featurizer'}")                                                \
    "}"

static const char *const test_models[] = {CLASSIFIER, INR2ARRAY, NFN, CROSS_ATTENTION};

#endif
