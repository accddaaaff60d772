/* Gradients of chains of layers against finite differences, and where memory is cut into chunks and blocks.
 */
#include "unit/gradient_checks.h"

/* Long enough that rows are cut into chunks, in tensors, along axes, and of latents; means into blocks. */
static const test_space long_axes = {
    "MLP of 2 with 130 neurons",
    "{'layers': ["
    "{'type': 'linear', 'in': 2, 'out': 130}, {'type': 'linear', 'in': 130, 'out': 2}"
    "]}",
    ON_DEEP_MLP};
/* More weights of attention than are computed at a time, and fewer than its vectors have floats: kept. */
static const test_space large_layer = {"one layer of 130 by 130",
                                       "{'layers': ["
                                       "{'type': 'linear', 'in': 130, 'out': 130}"
                                       "]}",
                                       ON_ONE_LAYER};
/* With 16 channels in a head the vectors of an axis are padded. */
static const test_space padded_axes = {
    "MLP of 2 with 16 neurons",
    "{'layers': ["
    "{'type': 'linear', 'in': 2, 'out': 16}, {'type': 'linear', 'in': 16, 'out': 2}"
    "]}",
    ON_DEEP_MLP};
static const test_space long_layer = {"one layer of 140 weights",
                                      "{'layers': ["
                                      "{'type': 'linear', 'in': 14, 'out': 10}"
                                      "]}",
                                      ON_ONE_LAYER};

typedef struct long_case {
    test_case c;
    const test_space *space;
} long_case;

static const long_case long_cases[] = {
    {{.name = "chunks of rows",
      .channels = {2, 2},
      .modules = "{'type': 'gaussian_fourier', 'mapping_size': 2, 'scale': 0.5}, {'type': 'pointwise', "
                 "'out_channels': 3}, {'type': 'simple_layer_norm'}, {'type': 'learned_pos_embedding'}"},
     &long_axes},
    {{.name = "chunks of an axis",
      .channels = {2, 2},
      .modules = "{'type': 'np_attention', 'num_heads': 1, 'dropout': 0.3, 'share_projections': false}"},
     &long_axes},
    {{.name = "chunks of an axis, weights kept",
      .channels = {2, 2},
      .modules = "{'type': 'np_attention', 'num_heads': 1, 'dropout': 0.3}"},
     &large_layer},
    {{.name = "padded vectors of an axis",
      .channels = {16, 16},
      .modules = "{'type': 'np_attention', 'num_heads': 1}"},
     &padded_axes},
    {{.name = "chunks of lifted rows",
      .channels = {2, 2},
      .modules = "{'type': 'lift', 'out_channels': 3}, {'type': 'unlift', 'out_channels': 2}"},
     &long_axes},
    {{.name = "blocks of pooled channels",
      .channels = {2, 2},
      .modules = "{'type': 'pointwise', 'out_channels': 18}, {'type': 'role_pool'}"},
     &padded_axes},
    {{.name = "tiles of a gradient",
      .channels = {2, 2},
      .modules = "{'type': 'pointwise', 'out_channels': 130}, {'type': 'np_pool'}, {'type': 'linear', "
                 "'out_features': 2}"},
     &padded_axes},
    {{.name = "chunks of a block", .channels = {3, 3}, .modules = "{'type': 'nft_block', 'num_heads': 1}"},
     &long_axes},
    {{.name = "blocks of means, np_linear",
      .channels = {2, 2},
      .modules = "{'type': 'np_linear', 'out_channels': 2, 'io_embed': true}"},
     &long_axes},
    {{.name = "blocks of means, hnp_linear",
      .channels = {2, 2},
      .modules = "{'type': 'hnp_linear', 'out_channels': 2}"},
     &long_axes},
    {{.name = "chunks of tokens",
      .channels = {2, 2},
      .modules = "{'type': 'flatten_weights'}, {'type': 'linear', 'out_features': 3}, {'type': "
                 "'transformer_encoder_layer', 'num_heads': 1, 'dim_feedforward': 4, 'dropout': 0.3}"},
     &long_layer},
    {{.name = "chunks of latents",
      .channels = {4, 4},
      .modules = "{'type': 'flatten_weights'}, {'type': 'perceiver', 'num_latents': 130, 'latent_dim': 3, "
                 "'cross_dim_head': 2, 'latent_heads': 1, 'latent_dim_head': 3, 'self_per_cross_attn': 1, "
                 "'dropout': 0.3}, {'type': 'cross_attn_decoder'}"},
     &long_layer},
};

static void agrees_on_long(void **state)
{
    const long_case *c = *state;
    assert_int_equal(check_case(&c->c, c->space), 0);
}

static void agrees(void **state)
{
    check_spaces(*state, ON_CHAINS | ON_SIREN);
}

static bool is_covered(const char *type, int on)
{
    const struct {
        const test_case *cases;
        size_t count;
    } lists[] = {{neuron_cases, COUNT(neuron_cases)},
                 {hidden_cases, COUNT(hidden_cases)},
                 {entry_cases, COUNT(entry_cases)},
                 {more_cases, COUNT(more_cases)}};
    for (size_t i = 0; i < COUNT(lists); i++)
        if (have_module(lists[i].cases, lists[i].count, type, on))
            return true;
    return false;
}

/* Modules that need linear layers, and modules on tokens, which come from these. */
static bool is_for_linear_layers(const char *type)
{
    static const char *const types[] = {"siren_phases",       "siren_probes",
                                        "param_layer_norm",   "flatten_weights",
                                        "unflatten_weights",  "cross_attn_encoder",
                                        "cross_attn_decoder", "perceiver",
                                        "token_embedding",    "mean_tokens",
                                        "select_token",       "flatten_tokens",
                                        "unflatten_tokens",   "transformer_encoder_layer"};
    for (size_t i = 0; i < COUNT(types); i++)
        if (!strcmp(types[i], type))
            return true;
    return false;
}

/* Every module has a backward, and a case above for each kind of network that it takes. */
static void every_module(void **state)
{
    (void)state;
    const nft_module_class *class;
    for (int i = 0; (class = nft_module_at(i)); i++) {
        if (!class->backward)
            fail_msg("%s has no backward", class->type);
        if (!is_covered(class->type, ON_MLP | ON_SIREN))
            fail_msg("no case of MLPs has a %s", class->type);
        if (!is_covered(class->type, ON_CNN) && !is_for_linear_layers(class->type))
            fail_msg("no case of CNNs has a %s", class->type);
    }
}

int main(void)
{
    int on = ON_CHAINS | ON_SIREN;
    add_test("every_module", every_module, NULL);
    add_cases(more_cases, COUNT(more_cases), on, agrees);
    for (size_t i = 0; i < COUNT(long_cases); i++)
        add_test(long_cases[i].c.name, agrees_on_long, &long_cases[i]);
    add_cases(entry_cases, COUNT(entry_cases), on, agrees);
    add_cases(hidden_cases, COUNT(hidden_cases), on, agrees);
    add_cases(neuron_cases, COUNT(neuron_cases), on, agrees); /* the slowest last */
    return _cmocka_run_group_tests("gradients", tests, test_count, NULL, NULL);
}
