/* Spaces, modules and models whose symmetries are tested, and what each of them must and must not commute
 * with. */
#ifndef NFT_TEST_SYMMETRY_CASES_H
#define NFT_TEST_SYMMETRY_CASES_H

#include "unit/support.h"

typedef struct test_space {
    const char *name, *layers;
    int layer_count;
    bool flat; /* one position in every layer */
} test_space;

/* Every axis has two neurons at least, so that every one of them can be permuted. */
static const test_space spaces[] = {
    {"one layer", "{'type': 'linear', 'in': 4, 'out': 3}", 1, true},
    {"MLP of 2", "{'type': 'linear', 'in': 3, 'out': 5}, {'type': 'linear', 'in': 5, 'out': 2}", 2, true},
    {"MLP of 3",
     "{'type': 'linear', 'in': 2, 'out': 4}, {'type': 'linear', 'in': 4, 'out': 5}, "
     "{'type': 'linear', 'in': 5, 'out': 3}",
     3, true},
    {"MLP of 5",
     "{'type': 'linear', 'in': 3, 'out': 4}, {'type': 'linear', 'in': 4, 'out': 2}, "
     "{'type': 'linear', 'in': 2, 'out': 5}, {'type': 'linear', 'in': 5, 'out': 4}, "
     "{'type': 'linear', 'in': 4, 'out': 2}",
     5, true},
    {"CNN of 2",
     "{'type': 'conv2d', 'in': 2, 'out': 4, 'kernel': [3, 2]}, {'type': 'linear', 'in': 4, 'out': 3}", 2,
     false},
    {"CNN of 3",
     "{'type': 'conv2d', 'in': 2, 'out': 3, 'kernel': [2, 2]}, "
     "{'type': 'conv2d', 'in': 3, 'out': 4, 'kernel': [1, 3]}, "
     "{'type': 'linear', 'in': 4, 'out': 3, 'positions': 4}",
     3, false},
    {"CNN of 5",
     "{'type': 'conv2d', 'in': 2, 'out': 3, 'kernel': [2, 1]}, "
     "{'type': 'conv2d', 'in': 3, 'out': 4, 'kernel': [2, 2]}, "
     "{'type': 'linear', 'in': 4, 'out': 5, 'positions': 3}, {'type': 'linear', 'in': 5, 'out': 2}, "
     "{'type': 'linear', 'in': 2, 'out': 3}",
     5, false},
};

#define ON_ONE_LAYER 1 /* spaces that a case runs on */
#define ON_DEEP_MLP 2
#define ON_CNN 4
#define ON_SIREN 8 /* only the MLP whose inputs are two coordinates */
#define ON_DEEP (ON_DEEP_MLP | ON_CNN)
#define ON_MLP (ON_ONE_LAYER | ON_DEEP_MLP)
#define ON_ALL (ON_MLP | ON_CNN)

typedef struct test_case {
    const char *name;
    int on;
    int64_t channels[2]; /* of the input: it is run with each */
    const char *modules; /* the configuration's list */
    const char *decoder; /* NULL for none */
    double tolerance;    /* 0: TOLERANCE */
} test_case;

#define PERCEIVER                                                                                            \
    "{'type': 'perceiver', 'num_latents': 4, 'latent_dim': 6, 'cross_dim_head': 5, 'latent_heads': 2, "      \
    "'latent_dim_head': 3, 'self_per_cross_attn': 1, 'depth': 2}"
#define TRANSFORMER "{'type': 'transformer_encoder_layer', 'num_heads': 2, 'dim_feedforward': 5}"
#define UNSHARED_BLOCK "{'type': 'nft_block', 'num_heads': 2, 'share_projections': false}"

/* Equivariant or, where no features come out, invariant to permutations of every axis. */
static const test_case neuron_cases[] = {
    {.name = "gaussian_fourier",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules = "{'type': 'gaussian_fourier', 'mapping_size': 3, 'scale': 0.5}"},
    {.name = "normalize", .on = ON_ALL, .channels = {1, 3}, .modules = "{'type': 'normalize'}"},
    {.name = "learned_scale",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules = "{'type': 'learned_scale', 'init_scale': 0.3}"},
    {.name = "pointwise",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules = "{'type': 'pointwise', 'out_channels': 4}"},
    {.name = "simple_layer_norm",
     .on = ON_ALL,
     .channels = {2, 5},
     .modules = "{'type': 'simple_layer_norm'}"},
    {.name = "np_attention",
     .on = ON_MLP,
     .channels = {2, 6},
     .modules = "{'type': 'np_attention', 'num_heads': 2}"},
    {.name = "np_attention, unshared",
     .on = ON_ALL,
     .channels = {2, 6},
     .modules = "{'type': 'np_attention', 'num_heads': 2, 'share_projections': false}"},
    {.name = "np_attention without cross terms",
     .on = ON_ALL,
     .channels = {2, 4},
     .modules = "{'type': 'np_attention', 'num_heads': 2, 'share_projections': false, "
                "'ablate_crossterm': true}"},
    {.name = "np_attention without diagonal term",
     .on = ON_ALL,
     .channels = {2, 4},
     .modules = "{'type': 'np_attention', 'num_heads': 2, 'share_projections': false, "
                "'ablate_diagonalterm': true}"},
    /* Two channels that are nearly the same make a norm of them magnify rounding. */
    {.name = "nft_block",
     .on = ON_MLP,
     .channels = {4, 6},
     .modules = "{'type': 'nft_block', 'num_heads': 2, 'ff_factor': 3}"},
    {.name = "nft_block, unshared", .on = ON_ALL, .channels = {4, 6}, .modules = UNSHARED_BLOCK},
    {.name = "nft_block without terms",
     .on = ON_ALL,
     .channels = {4, 6},
     .modules = "{'type': 'nft_block', 'num_heads': 2, 'share_projections': false, 'ablate_crossterm': true, "
                "'ablate_diagonalterm': true}"},
    {.name = "np_linear",
     .on = ON_ALL,
     .channels = {1, 4},
     .modules = "{'type': 'np_linear', 'out_channels': 3}"},
    {.name = "np_linear, kaiming",
     .on = ON_ALL,
     .channels = {2, 3},
     .modules = "{'type': 'np_linear', 'out_channels': 2, 'init': 'kaiming_normal'}"},
    {.name = "residual",
     .on = ON_ALL,
     .channels = {4, 6},
     .modules = "{'type': 'residual', 'activation': 'gelu', 'base': {'type': 'np_attention', "
                "'num_heads': 2, 'share_projections': false}, 'norm': {'type': 'simple_layer_norm'}}, "
                "{'type': 'residual', 'activation': 'sigmoid', 'base': {'type': 'residual', "
                "'activation': 'tanh', 'base': {'type': 'relu'}}}"},
    {.name = "add_input",
     .on = ON_ALL,
     .channels = {3, 3},
     .modules = "{'type': 'pointwise', 'out_channels': 3}, {'type': 'add_input'}"},
    {.name = "elementwise",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules = "{'type': 'gelu'}, {'type': 'tanh'}, {'type': 'sigmoid'}, {'type': 'relu'}, "
                "{'type': 'dropout', 'p': 0.5}, {'type': 'channel_dropout', 'p': 0.5}"},
    {.name = "np_pool", .on = ON_ALL, .channels = {1, 3}, .modules = "{'type': 'np_pool'}"},
    {.name = "stat_featurizer", .on = ON_ALL, .channels = {1, 3}, .modules = "{'type': 'stat_featurizer'}"},
    {.name = "flatten_weights, mean_tokens",
     .on = ON_MLP,
     .channels = {1, 3},
     .modules = "{'type': 'flatten_weights'}, {'type': 'mean_tokens'}"},
    {.name = "flatten_weights, linear, unflatten_weights",
     .on = ON_MLP,
     .channels = {1, 3},
     .modules = "{'type': 'flatten_weights'}, {'type': 'linear', 'out_features': 5}, "
                "{'type': 'layer_norm'}, {'type': 'unflatten_weights'}"},
    {.name = "flatten_weights, transformer_encoder_layer, unflatten_weights",
     .on = ON_MLP,
     .channels = {4, 6},
     .modules = "{'type': 'flatten_weights'}, " TRANSFORMER ", {'type': 'unflatten_weights'}"},
    {.name = "transformer_encoder_layer, mean_tokens",
     .on = ON_MLP,
     .channels = {4, 6},
     .modules = "{'type': 'flatten_weights'}, " TRANSFORMER ", {'type': 'mean_tokens'}"},
    {.name = "perceiver",
     .on = ON_MLP,
     .channels = {3, 5},
     .modules = "{'type': 'flatten_weights'}, " PERCEIVER},
    {.name = "cross_attn_encoder",
     .on = ON_MLP,
     .channels = {1, 3},
     .modules = "{'type': 'cross_attn_encoder', 'num_latents': 4}"},
};

/* The same to permutations of hidden neurons alone. */
static const test_case hidden_cases[] = {
    {.name = "io_sinusoidal",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules = "{'type': 'io_sinusoidal', 'num_bands': 3}"},
    {.name = "io_sinusoidal without layers",
     .on = ON_ALL,
     .channels = {1, 2},
     .modules = "{'type': 'io_sinusoidal', 'enc_layers': false}"},
    {.name = "learned_pos_embedding",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules = "{'type': 'learned_pos_embedding'}"},
    {.name = "np_linear, io_embed",
     .on = ON_ALL,
     .channels = {1, 4},
     .modules = "{'type': 'np_linear', 'out_channels': 3, 'io_embed': true}"},
    {.name = "hnp_linear",
     .on = ON_DEEP,
     .channels = {1, 4},
     .modules = "{'type': 'hnp_linear', 'out_channels': 3}"},
    {.name = "hnp_linear twice",
     .on = ON_DEEP,
     .channels = {1, 2},
     .modules = "{'type': 'hnp_linear', 'out_channels': 3}, {'type': 'relu'}, "
                "{'type': 'hnp_linear', 'out_channels': 1}"},
    {.name = "residual hnp_linear",
     .on = ON_DEEP,
     .channels = {3, 3},
     .modules = "{'type': 'residual', 'activation': 'relu', 'base': {'type': 'hnp_linear', "
                "'out_channels': 3}, 'norm': {'type': 'simple_layer_norm'}}"},
    {.name = "param_layer_norm",
     .on = ON_DEEP_MLP,
     .channels = {1, 3},
     .modules = "{'type': 'param_layer_norm'}"},
    {.name = "hnp_pool", .on = ON_ALL, .channels = {1, 3}, .modules = "{'type': 'hnp_pool'}"},
};

/* The models of the papers: equivariant or invariant to permutations of hidden neurons. */
static const test_case model_cases[] = {
    {.name = "classifier of INRs",
     .on = ON_DEEP_MLP,
     .channels = {1, 1},
     .modules = "{'type': 'gaussian_fourier', 'mapping_size': 3, 'scale': 1}, "
                "{'type': 'learned_pos_embedding'}, {'type': 'nft_block', 'num_heads': 2}, "
                "{'type': 'nft_block', 'num_heads': 3}, {'type': 'flatten_weights'}, " PERCEIVER
                ", {'type': 'mean_tokens'}, {'type': 'linear', 'out_features': 3}"},
    {.name = "editor of INRs",
     .on = ON_ALL,
     .channels = {1, 1},
     .modules = "{'type': 'io_sinusoidal', 'num_bands': 2}, {'type': 'np_linear', 'out_channels': 4}, "
                "{'type': 'relu'}, " UNSHARED_BLOCK ", {'type': 'pointwise', 'out_channels': 1}, "
                "{'type': 'learned_scale', 'init_scale': 0.1}, {'type': 'add_input'}"},
    {.name = "predictor of CNNs",
     .on = ON_DEEP,
     .channels = {1, 1},
     .modules = "{'type': 'normalize'}, {'type': 'pointwise', 'out_channels': 4}, "
                "{'type': 'learned_pos_embedding'}, " UNSHARED_BLOCK ", " UNSHARED_BLOCK ", "
                "{'type': 'hnp_pool'}, {'type': 'linear', 'out_features': 3}"},
    /* sin(30 x) magnifies the rounding of what it is given */
    {.name = "Inr2Array, one network a tensor",
     .on = ON_SIREN,
     .channels = {1, 1},
     .modules = "{'type': 'gaussian_fourier', 'mapping_size': 3, 'scale': 0.5}, "
                "{'type': 'learned_pos_embedding'}, {'type': 'flatten_weights'}, " PERCEIVER,
     .decoder = "{'type': 'hypernetwork', 'style': 'per_tensor', 'hidden_size': 5, 'hidden_layers': 1, "
                "'height': 4, 'width': 5}",
     .tolerance = 1e-4},
    {.name = "Inr2Array, joint and additive",
     .on = ON_SIREN,
     .channels = {1, 1},
     .modules = "{'type': 'gaussian_fourier', 'mapping_size': 3, 'scale': 0.5}, "
                "{'type': 'learned_pos_embedding'}, {'type': 'flatten_weights'}, " PERCEIVER,
     .decoder = "{'type': 'hypernetwork', 'style': 'joint', 'hidden_size': 5, 'hidden_layers': 2, "
                "'additive': true, 'height': 4, 'width': 5}",
     .tolerance = 1e-4},
};

/* Layers see their neighbours: permuting one without the other is not what they commute with. */
static const test_case coupled_cases[] = {
    {.name = "np_attention",
     .on = ON_DEEP,
     .channels = {2, 4},
     .modules = "{'type': 'np_attention', 'num_heads': 2, 'share_projections': false}"},
    {.name = "nft_block", .on = ON_DEEP, .channels = {4, 6}, .modules = UNSHARED_BLOCK},
    {.name = "np_linear",
     .on = ON_DEEP,
     .channels = {1, 4},
     .modules = "{'type': 'np_linear', 'out_channels': 3}"},
    {.name = "hnp_linear",
     .on = ON_DEEP,
     .channels = {1, 4},
     .modules = "{'type': 'hnp_linear', 'out_channels': 3}"},
};

/* What tells input and output neurons apart. */
static const test_case distinguishing_cases[] = {
    {.name = "io_sinusoidal",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules = "{'type': 'io_sinusoidal', 'num_bands': 3}"},
    {.name = "io_sinusoidal, np_linear",
     .on = ON_ALL,
     .channels = {1, 2},
     .modules = "{'type': 'io_sinusoidal', 'num_bands': 2}, {'type': 'np_linear', 'out_channels': 2}"},
    {.name = "learned_pos_embedding",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules = "{'type': 'learned_pos_embedding'}"},
    {.name = "learned_pos_embedding, nft_block",
     .on = ON_ALL,
     .channels = {2, 4},
     .modules = "{'type': 'learned_pos_embedding'}, " UNSHARED_BLOCK},
    {.name = "np_linear, io_embed",
     .on = ON_ALL,
     .channels = {1, 4},
     .modules = "{'type': 'np_linear', 'out_channels': 3, 'io_embed': true}"},
    {.name = "hnp_linear",
     .on = ON_DEEP,
     .channels = {1, 4},
     .modules = "{'type': 'hnp_linear', 'out_channels': 3}"},
    {.name = "param_layer_norm",
     .on = ON_DEEP_MLP,
     .channels = {1, 3},
     .modules = "{'type': 'param_layer_norm'}"},
    {.name = "hnp_pool", .on = ON_ALL, .channels = {1, 3}, .modules = "{'type': 'hnp_pool'}"},
};

/* What belongs to a single entry of a tensor goes with no permutation: statistics per weight, and the
 * embeddings that decode to it. */
static const test_case entry_cases[] = {
    {.name = "normalize per weight",
     .on = ON_DEEP,
     .channels = {1, 3},
     .modules = "{'type': 'normalize', 'per': 'weight'}"},
    {.name = "cross_attn_decoder",
     .on = ON_DEEP_MLP,
     .channels = {2, 4},
     .modules = "{'type': 'cross_attn_encoder', 'num_latents': 3}, {'type': 'cross_attn_decoder'}"},
};

static inline bool runs_on(const test_case *c, const test_space *space)
{
    if (c->on & ON_SIREN)
        return !strcmp(space->name, "MLP of 3");
    return c->on & (space->layer_count == 1 ? ON_ONE_LAYER : space->flat ? ON_DEEP_MLP : ON_CNN);
}

static inline nft_model *make_model(const test_case *c, const test_space *space, int64_t channels,
                                    uint64_t seed)
{
    char text[4096];
    snprintf(
        text, sizeof text,
        "{'format_version': 1, 'space': {'layers': [%s]}, 'in_channels': %" PRId64 ", 'modules': [%s]%s%s}",
        space->layers, channels, c->modules, c->decoder ? ", 'decoder': " : "", c->decoder ? c->decoder : "");
    return support_model(text, seed);
}

#endif
