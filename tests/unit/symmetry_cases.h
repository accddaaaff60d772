/* Spaces, modules and models for tests of symmetry. Each case has the permutations that it must and must not
 * commute with. */
#ifndef NFT_TEST_SYMMETRY_CASES_H
#define NFT_TEST_SYMMETRY_CASES_H

#include "unit/support.h"

#define ON_ONE_LAYER 1 /* spaces that a case runs on */
#define ON_DEEP_MLP 2
#define ON_CNN 4
#define ON_SIREN 8 /* only the MLP whose inputs are two coordinates */
#define ON_TENSORS 16
#define ON_FLAT_TENSORS 32 /* with f = 1 in every tensor */
#define ON_DEEP (ON_DEEP_MLP | ON_CNN)
#define ON_MLP (ON_ONE_LAYER | ON_DEEP_MLP)
#define ON_CHAINS (ON_MLP | ON_CNN)
#define ON_FLAT (ON_MLP | ON_FLAT_TENSORS)
#define ON_SPACES (ON_TENSORS | ON_FLAT_TENSORS)
#define ON_ALL (ON_CHAINS | ON_SPACES)

typedef struct test_space {
    const char *name, *json; /* the JSON for support_json() */
    int on;                  /* which cases run on it: ON_… */
} test_space;

/* Every axis has two neurons at least, so that every one of them can be permuted. */
static const test_space spaces[] = {
    {"one layer",
     "{'layers': ["
     "{'type': 'linear', 'in': 4, 'out': 3}"
     "]}",
     ON_ONE_LAYER},
    {"MLP of 2",
     "{'layers': ["
     "{'type': 'linear', 'in': 3, 'out': 5}, {'type': 'linear', 'in': 5, 'out': 2}"
     "]}",
     ON_DEEP_MLP},
    {"MLP of 3",
     "{'layers': ["
     "{'type': 'linear', 'in': 2, 'out': 4}, {'type': 'linear', 'in': 4, 'out': 5}, {'type': 'linear', 'in': "
     "5, 'out': 3}"
     "]}",
     ON_DEEP_MLP | ON_SIREN},
    {"MLP of 5",
     "{'layers': ["
     "{'type': 'linear', 'in': 3, 'out': 4}, {'type': 'linear', 'in': 4, 'out': 2}, {'type': 'linear', 'in': "
     "2, 'out': 5}, {'type': 'linear', 'in': 5, 'out': 4}, {'type': 'linear', 'in': 4, 'out': 2}"
     "]}",
     ON_DEEP_MLP},
    {"CNN of 3",
     "{'layers': ["
     "{'type': 'conv2d', 'in': 2, 'out': 3, 'kernel': [2, 2]}, {'type': 'conv2d', 'in': 3, 'out': 4, "
     "'kernel': [1, 3]}, {'type': 'linear', 'in': 4, 'out': 3, 'positions': 4}"
     "]}",
     ON_CNN},
    {"CNN of 5",
     "{'layers': ["
     "{'type': 'conv2d', 'in': 2, 'out': 3, 'kernel': [2, 1]}, {'type': 'conv2d', 'in': 3, 'out': 4, "
     "'kernel': [2, 2]}, {'type': 'linear', 'in': 4, 'out': 5, 'positions': 3}, {'type': 'linear', 'in': 5, "
     "'out': 2}, {'type': 'linear', 'in': 2, 'out': 3}"
     "]}",
     ON_CNN},
    {"residual CNN with batch norms",
     "{'axes': [{'name': 'image', 'size': 2, 'symmetry': 'none'}, {'name': 'c', 'size': 3}, {'name': 'm1', "
     "'size': 4}, {'name': 'm2', 'size': 2}, {'name': 'd', 'size': 5}, {'name': 'classes', 'size': 3, "
     "'symmetry': 'none'}], 'tensors': ["
     "{'name': 'conv1.weight', 'shape': ['c', 'image', 3, 3]}, "
     "{'name': 'bn1.weight', 'shape': ['c']}, "
     "{'name': 'bn1.bias', 'shape': ['c']}, "
     "{'name': 'bn1.running_mean', 'shape': ['c']}, "
     "{'name': 'bn1.running_var', 'shape': ['c']}, "
     "{'name': 'layer1.0.conv1.weight', 'shape': ['m1', 'c', 3, 2]}, "
     "{'name': 'layer1.0.conv2.weight', 'shape': ['c', 'm1', 3, 2]}, "
     "{'name': 'layer1.0.bn2.weight', 'shape': ['c']}, "
     "{'name': 'layer1.0.bn2.bias', 'shape': ['c']}, "
     "{'name': 'layer1.0.bn2.running_mean', 'shape': ['c']}, "
     "{'name': 'layer1.0.bn2.running_var', 'shape': ['c']}, "
     "{'name': 'layer2.0.conv1.weight', 'shape': ['m2', 'c', 2, 2]}, "
     "{'name': 'layer2.0.conv2.weight', 'shape': ['d', 'm2', 2, 2]}, "
     "{'name': 'layer2.0.downsample.0.weight', 'shape': ['d', 'c', 1, 1]}, "
     "{'name': 'fc.weight', 'shape': ['classes', 'd']}, "
     "{'name': 'fc.bias', 'shape': ['classes']}"
     "]}",
     ON_TENSORS},
    {"depthwise CNN, flattened",
     "{'axes': [{'name': 'image', 'size': 2, 'symmetry': 'none'}, {'name': 'a', 'size': 4}, {'name': 'b', "
     "'size': 3}, {'name': 'classes', 'size': 2, 'symmetry': 'none'}], 'tensors': ["
     "{'name': 'stem.weight', 'shape': ['a', 'image', 3, 3]}, "
     "{'name': 'stem.bias', 'shape': ['a']}, "
     "{'name': 'depthwise.weight', 'shape': ['a', 1, 3, 3]}, "
     "{'name': 'depthwise.bias', 'shape': ['a']}, "
     "{'name': 'pointwise.weight', 'shape': ['b', 'a', 1, 1]}, "
     "{'name': 'pointwise.bias', 'shape': ['b']}, "
     "{'name': 'fc.weight', 'shape': ['classes', ['b', 4]]}, "
     "{'name': 'fc.bias', 'shape': ['classes']}"
     "]}",
     ON_TENSORS},
    {"transformer block",
     "{'axes': [{'name': 'words', 'size': 4, 'symmetry': 'none'}, {'name': 'd', 'size': 4}, {'name': 'head', "
     "'size': 2}, {'name': 'qk', 'size': 3}, {'name': 'v', 'size': 3}, {'name': 'hidden', 'size': 5}, "
     "{'name': 'classes', 'size': 2, 'symmetry': 'none'}], 'tensors': ["
     "{'name': 'embedding.weight', 'shape': ['words', 'd']}, "
     "{'name': 'norm1.weight', 'shape': ['d']}, "
     "{'name': 'norm1.bias', 'shape': ['d']}, "
     "{'name': 'q.weight', 'shape': [['head', 'qk'], 'd']}, "
     "{'name': 'q.bias', 'shape': [['head', 'qk']]}, "
     "{'name': 'k.weight', 'shape': [['head', 'qk'], 'd']}, "
     "{'name': 'k.bias', 'shape': [['head', 'qk']]}, "
     "{'name': 'v.weight', 'shape': [['head', 'v'], 'd']}, "
     "{'name': 'v.bias', 'shape': [['head', 'v']]}, "
     "{'name': 'out.weight', 'shape': ['d', ['head', 'v']]}, "
     "{'name': 'out.bias', 'shape': ['d']}, "
     "{'name': 'up.weight', 'shape': ['hidden', 'd']}, "
     "{'name': 'up.bias', 'shape': ['hidden']}, "
     "{'name': 'down.weight', 'shape': ['d', 'hidden']}, "
     "{'name': 'down.bias', 'shape': ['d']}, "
     "{'name': 'scale', 'shape': []}, "
     "{'name': 'fc.weight', 'shape': ['classes', 'd']}, "
     "{'name': 'fc.bias', 'shape': ['classes']}"
     "]}",
     ON_FLAT_TENSORS},
    {"grouped-query attention, packed",
     "{'axes': [{'name': 'tokens', 'size': 3, 'symmetry': 'none'}, {'name': 'd', 'size': 4}, {'name': "
     "'group', 'size': 2}, {'name': 'query', 'size': 2}, {'name': 'qk', 'size': 3}, {'name': 'v', 'size': "
     "2}], 'tensors': ["
     "{'name': 'embed.weight', 'shape': ['tokens', 'd']}, "
     "{'name': 'q', 'shape': [['group', 'query', 'qk'], 'd'], 'from': 'qkv.weight', 'slice': [0, 0, 12]}, "
     "{'name': 'k', 'shape': [['group', 'qk'], 'd'], 'from': 'qkv.weight', 'slice': [0, 12, 6]}, "
     "{'name': 'v', 'shape': [['group', 'v'], 'd'], 'from': 'qkv.weight', 'slice': [0, 18, 4]}, "
     "{'name': 'out.weight', 'shape': ['d', ['group', 'query', 'v']]}"
     "]}",
     ON_FLAT_TENSORS},
    {"bidirectional LSTM",
     "{'axes': [{'name': 'input', 'size': 2, 'symmetry': 'none'}, {'name': 'f', 'size': 3}, {'name': 'b', "
     "'size': 4}, {'name': 'output', 'size': 2, 'symmetry': 'none'}], 'tensors': ["
     "{'name': 'weight_ih_l0', 'shape': [[4, 'f'], 'input']}, "
     "{'name': 'weight_hh_l0', 'shape': [[4, 'f'], 'f']}, "
     "{'name': 'bias_ih_l0', 'shape': [[4, 'f']]}, "
     "{'name': 'weight_ih_l0_reverse', 'shape': [[4, 'b'], 'input']}, "
     "{'name': 'weight_hh_l0_reverse', 'shape': [[4, 'b'], 'b']}, "
     "{'name': 'bias_ih_l0_reverse', 'shape': [[4, 'b']]}, "
     "{'name': 'fc.f', 'shape': ['output', 'f'], 'from': 'fc.weight', 'slice': [1, 0, 3]}, "
     "{'name': 'fc.b', 'shape': ['output', 'b'], 'from': 'fc.weight', 'slice': [1, 3, 4]}, "
     "{'name': 'fc.bias', 'shape': ['output']}"
     "]}",
     ON_TENSORS},
    {"DenseNet",
     "{'axes': [{'name': 'image', 'size': 2, 'symmetry': 'none'}, {'name': 'stem', 'size': 3}, {'name': "
     "'g1', 'size': 2}, {'name': 'g2', 'size': 4}, {'name': 'classes', 'size': 3, 'symmetry': 'none'}], "
     "'tensors': ["
     "{'name': 'conv0.weight', 'shape': ['stem', 'image', 3, 3]}, "
     "{'name': 'conv1.weight', 'shape': ['g1', 'stem', 3, 3]}, "
     "{'name': 'conv2.stem', 'shape': ['g2', 'stem', 2, 2], 'from': 'conv2.weight', 'slice': [1, 0, 3]}, "
     "{'name': 'conv2.g1', 'shape': ['g2', 'g1', 2, 2], 'from': 'conv2.weight', 'slice': [1, 3, 2]}, "
     "{'name': 'fc.stem', 'shape': ['classes', 'stem'], 'from': 'fc.weight', 'slice': [1, 0, 3]}, "
     "{'name': 'fc.g1', 'shape': ['classes', 'g1'], 'from': 'fc.weight', 'slice': [1, 3, 2]}, "
     "{'name': 'fc.g2', 'shape': ['classes', 'g2'], 'from': 'fc.weight', 'slice': [1, 5, 4]}, "
     "{'name': 'fc.bias', 'shape': ['classes']}"
     "]}",
     ON_TENSORS},
    {"grouped convolutions",
     "{'axes': [{'name': 'input', 'size': 2, 'symmetry': 'none'}, {'name': 'g', 'size': 2}, {'name': 'i', "
     "'size': 3}, {'name': 'o', 'size': 4}, {'name': 'classes', 'size': 2, 'symmetry': 'none'}], 'tensors': ["
     "{'name': 'conv1.weight', 'shape': [['g', 'i'], 'input', 3]}, "
     "{'name': 'conv1.bias', 'shape': [['g', 'i']]}, "
     "{'name': 'conv2.weight', 'shape': [['g', 'o'], 'i', 2]}, "
     "{'name': 'conv2.bias', 'shape': [['g', 'o']]}, "
     "{'name': 'fc.weight', 'shape': ['classes', ['g', 'o']]}, "
     "{'name': 'fc.bias', 'shape': ['classes']}"
     "]}",
     ON_TENSORS},
    {"U-Net",
     "{'axes': [{'name': 'image', 'size': 2, 'symmetry': 'none'}, {'name': 'a', 'size': 3}, {'name': 'b', "
     "'size': 4}, {'name': 'u', 'size': 2}, {'name': 'out', 'size': 2, 'symmetry': 'none'}], 'tensors': ["
     "{'name': 'down1.weight', 'shape': ['a', 'image', 3, 3]}, "
     "{'name': 'down1.bias', 'shape': ['a']}, "
     "{'name': 'down2.weight', 'shape': ['b', 'a', 3, 3]}, "
     "{'name': 'down2.bias', 'shape': ['b']}, "
     "{'name': 'up.weight', 'shape': ['b', 'u', 2, 2]}, "
     "{'name': 'up.bias', 'shape': ['u']}, "
     "{'name': 'head.u', 'shape': ['out', 'u', 1, 1], 'from': 'head.weight', 'slice': [1, 0, 2]}, "
     "{'name': 'head.a', 'shape': ['out', 'a', 1, 1], 'from': 'head.weight', 'slice': [1, 2, 3]}, "
     "{'name': 'head.bias', 'shape': ['out']}"
     "]}",
     ON_TENSORS},
};

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
     .on = ON_FLAT,
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
     .on = ON_FLAT,
     .channels = {4, 6},
     .modules = "{'type': 'nft_block', 'num_heads': 2, 'ff_factor': 3}"},
    {.name = "nft_block, forward order",
     .on = ON_FLAT,
     .channels = {4, 6},
     .modules = "{'type': 'nft_block', 'num_heads': 2, 'order': 'forward'}"},
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
    {.name = "add_input to two groups",
     .on = ON_ALL,
     .channels = {2, 4},
     .modules = "{'type': 'pointwise', 'out_channels': 4}, {'type': 'add_input'}"},
    {.name = "elementwise",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules =
         "{'type': 'gelu'}, {'type': 'tanh'}, {'type': 'sigmoid'}, {'type': 'sine'}, {'type': 'relu'}, "
         "{'type': 'dropout', 'p': 0.5}, {'type': 'channel_dropout', 'p': 0.5}"},
    {.name = "np_pool", .on = ON_ALL, .channels = {1, 3}, .modules = "{'type': 'np_pool'}"},
    {.name = "stat_featurizer", .on = ON_ALL, .channels = {1, 3}, .modules = "{'type': 'stat_featurizer'}"},
    {.name = "signed_log",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules = "{'type': 'signed_log', 'roles': ['linear', 'conv', 'gain', 'running_var']}"},
    /* sin(30 x) would magnify the rounding of its input */
    {.name = "siren_phases",
     .on = ON_SIREN,
     .channels = {1, 1},
     .modules = "{'type': 'siren_phases', 'omega': 1.5}"},
    {.name = "siren_phases, even",
     .on = ON_SIREN,
     .channels = {1, 1},
     .modules = "{'type': 'siren_phases', 'omega': 1.5, 'form': 'even'}"},
    {.name = "lift, unlift",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules = "{'type': 'lift', 'out_channels': 4}, {'type': 'pointwise', 'out_channels': 3}, "
                "{'type': 'unlift', 'out_channels': 2}"},
    {.name = "role_pool", .on = ON_ALL, .channels = {1, 3}, .modules = "{'type': 'role_pool'}"},
    {.name = "role_statistics",
     .on = ON_CHAINS,
     .channels = {1, 3},
     .modules = "{'type': 'role_statistics'}"},
    {.name = "flatten_weights, mean_tokens",
     .on = ON_FLAT,
     .channels = {1, 3},
     .modules = "{'type': 'flatten_weights'}, {'type': 'mean_tokens'}"},
    {.name = "flatten_weights, linear, unflatten_weights",
     .on = ON_FLAT,
     .channels = {1, 3},
     .modules = "{'type': 'flatten_weights'}, {'type': 'linear', 'out_features': 5}, "
                "{'type': 'layer_norm'}, {'type': 'unflatten_weights'}"},
    {.name = "latents, token_embedding, flatten_tokens, unflatten_tokens, select_token",
     .on = ON_FLAT,
     .channels = {2, 4},
     .modules = "{'type': 'cross_attn_encoder', 'num_latents': 3}, {'type': 'token_embedding', 'max_tokens': "
                "4}, {'type': 'flatten_tokens'}, {'type': 'unflatten_tokens', 'tokens': 3}, {'type': "
                "'select_token', 'index': 1}"},
    {.name = "flatten_weights, transformer_encoder_layer, unflatten_weights",
     .on = ON_FLAT,
     .channels = {4, 6},
     .modules = "{'type': 'flatten_weights'}, " TRANSFORMER ", {'type': 'unflatten_weights'}"},
    {.name = "transformer_encoder_layer, mean_tokens",
     .on = ON_FLAT,
     .channels = {4, 6},
     .modules = "{'type': 'flatten_weights'}, " TRANSFORMER ", {'type': 'mean_tokens'}"},
    {.name = "perceiver",
     .on = ON_FLAT,
     .channels = {3, 5},
     .modules = "{'type': 'flatten_weights'}, " PERCEIVER},
    {.name = "cross_attn_encoder",
     .on = ON_FLAT,
     .channels = {1, 3},
     .modules = "{'type': 'cross_attn_encoder', 'num_latents': 4}"},
};

/* The same to permutations of hidden neurons only. */
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
    {.name = "place_embedding",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules = "{'type': 'place_embedding', 'num_bands': 2}"},
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
    {.name = "message_passing",
     .on = ON_CHAINS,
     .channels = {1, 3},
     .modules = "{'type': 'message_passing', 'out_channels': 5}"},
    {.name = "message_passing, sine",
     .on = ON_CHAINS,
     .channels = {1, 2},
     .modules = "{'type': 'message_passing', 'out_channels': 8, 'activation': 'sine'}"},
    {.name = "message_passing, tanh",
     .on = ON_DEEP_MLP,
     .channels = {1, 2},
     .modules = "{'type': 'message_passing', 'out_channels': 8, 'activation': 'tanh'}"},
    {.name = "hnp_pool", .on = ON_ALL, .channels = {1, 3}, .modules = "{'type': 'hnp_pool'}"},
    {.name = "siren_probes",
     .on = ON_SIREN,
     .channels = {1, 1},
     .modules = "{'type': 'siren_probes', 'num_probes': 5, 'omega': 1.5}"},
    {.name = "siren_probes, generator",
     .on = ON_SIREN,
     .channels = {1, 1},
     .modules = "{'type': 'siren_probes', 'num_probes': 5, 'omega': 1.5, 'generator': 3}"},
    {.name = "siren_probes, features",
     .on = ON_SIREN,
     .channels = {1, 1},
     .modules = "{'type': 'siren_probes', 'num_probes': 3, 'omega': 1.5, 'form': 'features'}"},
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
    /* sin(30 x) magnifies the rounding of its input */
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

/* Layers see their neighbours: they do not commute with a permutation of one without the other. */
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

/* Modules that tell input and output neurons apart. */
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
    {.name = "place_embedding",
     .on = ON_ALL,
     .channels = {1, 3},
     .modules = "{'type': 'place_embedding', 'num_bands': 2}"},
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
    {.name = "message_passing",
     .on = ON_CHAINS,
     .channels = {1, 3},
     .modules = "{'type': 'message_passing', 'out_channels': 5}"},
    {.name = "hnp_pool", .on = ON_ALL, .channels = {1, 3}, .modules = "{'type': 'hnp_pool'}"},
    {.name = "siren_probes",
     .on = ON_SIREN,
     .channels = {1, 1},
     .modules = "{'type': 'siren_probes', 'num_probes': 5, 'omega': 1.5}"},
};

/* Parameters of single entries of a tensor follow no permutation: statistics per weight, and the
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
    return c->on & ON_SIREN ? (space->on & ON_SIREN) != 0 : (c->on & space->on) != 0;
}

/* Whether a case on one of these kinds of networks has the module. */
static inline bool have_module(const test_case *cases, size_t count, const char *type, int on)
{
    char key[64];
    snprintf(key, sizeof key, "'%s'", type);
    for (size_t i = 0; i < count; i++)
        if ((cases[i].on & on) && strstr(cases[i].modules, key))
            return true;
    return false;
}

static inline nft_model *make_model(const test_case *c, const test_space *space, int64_t channels,
                                    uint64_t seed)
{
    char text[8192];
    snprintf(text, sizeof text,
             "{'format_version': 1, 'space': %s, 'in_channels': %" PRId64 ", 'modules': [%s]%s%s}",
             space->json, channels, c->modules, c->decoder ? ", 'decoder': " : "",
             c->decoder ? c->decoder : "");
    return support_model(text, seed);
}

#endif
