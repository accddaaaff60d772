/* Modules, decoders and sizes that do not fit together: each configuration is refused with the right status
 * and one line that names the module, the layer and the numbers. */
#include "unit/config_cases.h"

#define SMALL_BLOCK ((size_t)1 << 20) /* bytes: more would mean that something absurd was allocated */

static const config_case fit_cases[] = {
    /* channels and heads */
    {MLP("{'type': 'np_attention', 'num_heads': 3}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (np_attention)", "num_heads", "4", "3"}},
    {MLP("{'type': 'nft_block'}"), NFT_ERROR_CONFIG, {"modules[0] (nft_block)", "num_heads", "4", "8"}},
    {MLP(FLAT "{'type': 'transformer_encoder_layer', 'num_heads': 3, 'dim_feedforward': 2}"),
     NFT_ERROR_CONFIG,
     {"modules[1] (transformer_encoder_layer)", "num_heads", "4", "3"}},
    {ONE_CHANNEL("{'type': 'simple_layer_norm'}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (simple_layer_norm)", "0.weight", "1", "2"}},
    {ONE_CHANNEL("{'type': 'nft_block', 'num_heads': 1}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (nft_block)", "0.weight", "1", "2"}},
    {MLP("{'type': 'pointwise', 'out_channels': 6}, {'type': 'add_input'}"),
     NFT_ERROR_CONFIG,
     {"modules[1] (add_input)", "6", "4"}},
    {MLP("{'type': 'residual', 'activation': 'relu', 'base': {'type': 'np_linear', 'out_channels': 6}}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (residual).base", "np_linear", "4", "6"}},
    {MLP("{'type': 'residual', 'activation': 'relu', 'base': {'type': 'relu'}, 'norm': {'type': 'pointwise', "
         "'out_channels': 6}}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (residual).norm", "pointwise", "4", "6"}},
    {MLP("{'type': 'residual', 'activation': 'relu', 'base': {'type': 'np_pool'}}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (residual).base", "np_pool", "features"}},
    {MLP("{'type': 'residual', 'activation': 'relu', 'base': {'type': 'np_liner', 'out_channels': 4}}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (residual).base", "np_liner", "did you mean 'np_linear'"}},
    /* layers and filters */
    {ONE_LAYER("{'type': 'hnp_linear', 'out_channels': 2}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (hnp_linear)", "2 layers", "1"}},
    {ONE_LAYER("{'type': 'param_layer_norm'}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (param_layer_norm)", "1 layer", "2"}},
    {CNN("{'type': 'param_layer_norm'}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (param_layer_norm)", "0.weight", "6", "1"}},
    {CNN("{'type': 'np_attention', 'num_heads': 2}"),
     NFT_ERROR_CONFIG,
     {"share_projections", "modules[0] (np_attention)", "0.weight", "6"}},
    {CNN("{'type': 'nft_block', 'num_heads': 2}"),
     NFT_ERROR_CONFIG,
     {"share_projections", "modules[0] (nft_block)", "0.weight", "6"}},
    {WITH_LAYERS(MLP_LAYERS ", {'type': 'linear', 'in': 3, 'out': 2, 'positions': 7}",
                 "{'type': 'np_attention', 'num_heads': 2}"),
     NFT_ERROR_CONFIG,
     {"share_projections", "2.weight", "7"}},
    {CNN("{'type': 'flatten_weights'}"), NFT_ERROR_CONFIG, {"modules[0] (flatten_weights)", "0.weight", "6"}},
    {CNN("{'type': 'cross_attn_encoder', 'num_latents': 3}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (cross_attn_encoder)", "0.weight", "6"}},
    /* features, tokens, vectors */
    {MLP(POOLED "{'type': 'pointwise', 'out_channels': 2}"),
     NFT_ERROR_CONFIG,
     {"modules[1] (pointwise)", "takes features", "a vector arrives"}},
    {MLP(POOLED "{'type': 'hnp_pool'}"),
     NFT_ERROR_CONFIG,
     {"modules[1] (hnp_pool)", "takes features", "a vector"}},
    {MLP(FLAT "{'type': 'nft_block', 'num_heads': 2}"),
     NFT_ERROR_CONFIG,
     {"modules[1] (nft_block)", "takes features", "tokens arrive"}},
    {MLP(FLAT "{'type': 'add_input'}"),
     NFT_ERROR_CONFIG,
     {"modules[1] (add_input)", "takes features", "tokens"}},
    {MLP(FLAT "{'type': 'residual', 'activation': 'relu', 'base': {'type': 'relu'}}"),
     NFT_ERROR_CONFIG,
     {"modules[1] (residual)", "takes features", "tokens"}},
    {MLP(FLAT "{'type': 'channel_dropout', 'p': 0.5}"),
     NFT_ERROR_CONFIG,
     {"channel_dropout", "takes features", "tokens"}},
    {MLP("{'type': 'mean_tokens'}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (mean_tokens)", "takes tokens", "features"}},
    {MLP("{'type': 'flatten_tokens'}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (flatten_tokens)", "takes tokens", "features"}},
    {MLP("{'type': 'linear', 'out_features': 2}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (linear)", "takes tokens or a vector", "features arrive"}},
    {MLP("{'type': 'layer_norm'}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (layer_norm)", "takes tokens or a vector", "features"}},
    {MLP("{'type': 'perceiver', 'num_latents': 2, 'latent_dim': 2}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (perceiver)", "takes tokens", "features"}},
    {MLP(POOLED "{'type': 'mean_tokens'}"),
     NFT_ERROR_CONFIG,
     {"modules[1] (mean_tokens)", "takes tokens", "a vector"}},
    {MLP(POOLED "{'type': 'select_token', 'index': 0}"),
     NFT_ERROR_CONFIG,
     {"select_token", "takes tokens", "a vector"}},
    {MLP(POOLED "{'type': 'token_embedding', 'max_tokens': 9}"),
     NFT_ERROR_CONFIG,
     {"token_embedding", "takes tokens", "a vector"}},
    {MLP(POOLED "{'type': 'transformer_encoder_layer', 'num_heads': 2, 'dim_feedforward': 2}"),
     NFT_ERROR_CONFIG,
     {"transformer_encoder_layer", "takes tokens", "a vector"}},
    {MLP("{'type': 'unflatten_weights'}"),
     NFT_ERROR_CONFIG,
     {"unflatten_weights", "takes tokens", "features"}},
    {MLP("{'type': 'cross_attn_decoder'}"),
     NFT_ERROR_CONFIG,
     {"cross_attn_decoder", "takes tokens", "features"}},
    {TOKENS("{'type': 'relu'}, {'type': 'np_pool'}"),
     NFT_ERROR_CONFIG,
     {"modules[1] (np_pool)", "features", "tokens"}},
    {TOKENS("{'type': 'unflatten_weights'}"), NFT_ERROR_CONFIG, {"modules[0] (unflatten_weights)", "space"}},
    {TOKENS("{'type': 'cross_attn_decoder'}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (cross_attn_decoder)", "space"}},
    /* numbers of tokens */
    {MLP(FLAT "{'type': 'token_embedding', 'max_tokens': 32}"),
     NFT_ERROR_CONFIG,
     {"modules[1] (token_embedding)", "max_tokens", "32", "33"}},
    {MLP(FLAT "{'type': 'select_token', 'index': 33}"),
     NFT_ERROR_CONFIG,
     {"modules[1] (select_token)", "33", "0", "32"}},
    {MLP(POOLED "{'type': 'linear', 'out_features': 8}, {'type': 'unflatten_tokens', 'tokens': 3}"),
     NFT_ERROR_CONFIG,
     {"modules[2] (unflatten_tokens)", "'tokens' is 3", "a divisor of the 8 numbers"}},
    {MLP(FLAT "{'type': 'unflatten_tokens', 'tokens': 3}"),
     NFT_ERROR_CONFIG,
     {"modules[1] (unflatten_tokens)", "takes a vector", "tokens"}},
    {MLP(LATENTS(4) ", {'type': 'unflatten_weights'}"),
     NFT_ERROR_CONFIG,
     {"modules[2] (unflatten_weights)", "33", "4"}},
};

static const config_case decoder_cases[] = {
    {DECODED("{'type': 'linear', 'in': 3, 'out': 2}", LATENTS(4), STYLE SIZES),
     NFT_ERROR_CONFIG,
     {"decoder", "2 coordinates", "3 inputs"}},
    {DECODED(MLP_LAYERS, LATENTS(5), STYLE SIZES), NFT_ERROR_CONFIG, {"decoder", "square", "5"}},
    {DECODED(CNN_LAYERS, "{'type': 'np_pool'}", STYLE SIZES),
     NFT_ERROR_CONFIG,
     {"decoder", "linear", "layer 0", "conv2d"}},
    {DECODED(MLP_LAYERS ", {'type': 'linear', 'in': 3, 'out': 2, 'positions': 7}", "{'type': 'np_pool'}",
             STYLE SIZES),
     NFT_ERROR_CONFIG,
     {"decoder", "linear", "layer 2", "7"}},
    {DECODED(MLP_LAYERS, "{'type': 'relu'}", STYLE SIZES),
     NFT_ERROR_CONFIG,
     {"decoder", "takes tokens", "features"}},
    {DECODED(MLP_LAYERS, POOLED "{'type': 'relu'}", STYLE SIZES),
     NFT_ERROR_CONFIG,
     {"decoder", "takes tokens", "a vector"}},
    {DECODED(MLP_LAYERS, LATENTS(4), ", 'style': 'per_layer'" SIZES),
     NFT_ERROR_CONFIG,
     {"decoder", "style", "per_layer", "per_tensor", "joint"}},
    {DECODED(MLP_LAYERS, LATENTS(4), SIZES), NFT_ERROR_CONFIG, {"decoder", "style", "missing"}},
    {DECODED(MLP_LAYERS, LATENTS(4), STYLE ", 'hidden_layers': 1, 'height': 5, 'width': 5"),
     NFT_ERROR_CONFIG,
     {"decoder", "hidden_size", "missing"}},
    {DECODED(MLP_LAYERS, LATENTS(4), STYLE ", 'hidden_size': 4, 'height': 5, 'width': 5"),
     NFT_ERROR_CONFIG,
     {"decoder", "hidden_layers", "missing"}},
    {DECODED(MLP_LAYERS, LATENTS(4), STYLE ", 'hidden_size': 4, 'hidden_layers': 0, 'height': 5, 'width': 5"),
     NFT_ERROR_CONFIG,
     {"decoder", "hidden_layers", "0", "1"}},
    {DECODED(MLP_LAYERS, LATENTS(4), STYLE ", 'hidden_size': 4, 'hidden_layers': 1, 'width': 5"),
     NFT_ERROR_CONFIG,
     {"decoder", "height", "missing"}},
    {DECODED(MLP_LAYERS, LATENTS(4), STYLE ", 'hidden_size': 4, 'hidden_layers': 1, 'height': 5, 'width': 0"),
     NFT_ERROR_CONFIG,
     {"decoder", "width", "0"}},
    {DECODED(MLP_LAYERS, LATENTS(4), STYLE SIZES ", 'omega': 0"),
     NFT_ERROR_CONFIG,
     {"decoder", "omega", "0"}},
    {DECODED(MLP_LAYERS, LATENTS(4), STYLE SIZES ", 'additiv': true"),
     NFT_ERROR_CONFIG,
     {"decoder", "additiv", "did you mean 'additive'"}},
    {"{'format_version': 1, 'space': {'layers': [" MLP_LAYERS
     "]}, 'modules': [" LATENTS(4) "], 'decoder': {'type': 'cnn'" STYLE SIZES "}}",
     NFT_ERROR_CONFIG,
     {"decoder", "cnn", "hypernetwork"}},
    {"{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 4, 'channels': 4}, 'modules': [{'type': "
     "'relu'}], "
     "'decoder': {'type': 'hypernetwork'" STYLE SIZES "}}",
     NFT_ERROR_CONFIG,
     {"decoder", "space", "tokens"}},
};

/* Nothing of their size may be allocated, nor may a size wrap around to a small one. */
static const config_case absurd_cases[] = {
    {LAYERS("{'type': 'conv2d', 'in': 2147483647, 'out': 2147483647, 'kernel': [2147483647, 2147483647]}"),
     NFT_ERROR_LIMIT,
     {"space"}},
    {WITH_LAYERS(
         "{'type': 'linear', 'in': 16777216, 'out': 16777216}",
         "{'type': 'pointwise', 'out_channels': 16777216}, {'type': 'pointwise', 'out_channels': 16777216}"),
     NFT_ERROR_LIMIT,
     {"modules[0] (pointwise)",
      "281474993487872 weights and biases, a matrix product takes at most 2147483647"}},
    {WITH_LAYERS("{'type': 'linear', 'in': 65536, 'out': 40000}",
                 "{'type': 'cross_attn_encoder', 'num_latents': 1}"),
     NFT_ERROR_LIMIT,
     {"modules[0] (cross_attn_encoder)",
      "2621480000 weights and biases, a matrix product takes at most 2147483647"}},
    {WITH_LAYERS("{'type': 'linear', 'in': 2147483520, 'out': 1}, {'type': 'linear', 'in': 1, 'out': 1}",
                 "{'type': 'pointwise', 'out_channels': 8}, {'type': 'np_attention', 'num_heads': 1}"),
     NFT_ERROR_LIMIT,
     {"modules[1] (np_attention)", "2147483520 neurons with 8 channels in a head"}},
    {WITH_LAYERS("{'type': 'conv2d', 'in': 2, 'out': 2, 'kernel': [2147483647, 1000]}",
                 "{'type': 'pointwise', 'out_channels': 1}"),
     NFT_ERROR_LIMIT,
     {"parameters"}},
    {WITH_LAYERS("{'type': 'conv2d', 'in': 2, 'out': 2, 'kernel': [2147483647, 1000]}",
                 "{'type': 'nft_block', 'num_heads': 1, 'ff_factor': 65536, 'share_projections': false}"),
     NFT_ERROR_LIMIT,
     {"parameters"}},
    {WITH_LAYERS("{'type': 'linear', 'in': 2147483647, 'out': 400000}", "{'type': 'normalize'}"),
     NFT_ERROR_LIMIT,
     {"parameters"}},
    {MLP("{'type': 'np_linear', 'out_channels': 16777216}, {'type': 'np_linear', 'out_channels': 16777216}"),
     NFT_ERROR_LIMIT,
     {"parameters"}},
    {WITH_LAYERS("{'type': 'linear', 'in': 2147483647, 'out': 4}, {'type': 'linear', 'in': 4, 'out': 2}",
                 "{'type': 'hnp_linear', 'out_channels': 4}"),
     NFT_ERROR_LIMIT,
     {"modules[0] (hnp_linear)", "w0_rpt"}},
    {MLP("{'type': 'gaussian_fourier', 'mapping_size': 16777216}, {'type': 'pointwise', 'out_channels': "
         "16777216}, "
         "{'type': 'nft_block', 'num_heads': 1, 'ff_factor': 65536}"),
     NFT_ERROR_LIMIT,
     {"parameters"}},
    {MLP(FLAT "{'type': 'perceiver', 'num_latents': 16777216, 'latent_dim': 16777216, 'depth': 2, "
              "'self_per_cross_attn': 2, 'latent_heads': 4096, 'latent_dim_head': 65536}"),
     NFT_ERROR_LIMIT,
     {"parameters"}},
    {MLP(FLAT
         "{'type': 'linear', 'out_features': 16777216}, {'type': 'token_embedding', 'max_tokens': 16777216}"),
     NFT_ERROR_LIMIT,
     {"parameters"}},
    {MLP(FLAT "{'type': 'linear', 'out_features': 16777216}, {'type': 'transformer_encoder_layer', "
              "'num_heads': 1, "
              "'dim_feedforward': 16777216}"),
     NFT_ERROR_LIMIT,
     {"parameters"}},
    {MLP(FLAT "{'type': 'linear', 'out_features': 16777216}, {'type': 'flatten_tokens'}, {'type': 'linear', "
              "'out_features': 16777216}, {'type': 'linear', 'out_features': 16777216}"),
     NFT_ERROR_LIMIT,
     {"parameters"}},
    {"{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 2147483647, 'channels': 16777216}, "
     "'modules': "
     "[{'type': 'flatten_tokens'}, {'type': 'linear', 'out_features': 2}]}",
     NFT_ERROR_LIMIT,
     {"modules[1] (linear)", "36028797002186752"}},
    {DECODED(MLP_LAYERS, LATENTS(4),
             ", 'style': 'joint', 'hidden_size': 16777216, 'hidden_layers': 256, 'height': "
             "16777216, 'width': 16777216"),
     NFT_ERROR_LIMIT,
     {"parameters"}},
    {WITH_LAYERS("{'type': 'linear', 'in': 2147483647, 'out': 4}",
                 "{'type': 'io_sinusoidal', 'num_bands': 65536}"),
     NFT_ERROR_LIMIT,
     {"modules[0] (io_sinusoidal)"}},
};

static size_t largest_block;

static void *measured_allocate(size_t bytes, void *user)
{
    (void)user;
    largest_block = bytes > largest_block ? bytes : largest_block;
    return malloc(bytes);
}

static void measured_release(void *block, void *user)
{
    (void)user;
    free(block);
}

static void refused_without_allocating(void **state)
{
    const nft_allocator allocator = {sizeof allocator, measured_allocate, measured_release, NULL};
    assert_ok(nft_set_allocator(&allocator));
    largest_block = 0;
    refused(state);
    assert_true(largest_block > 0 && largest_block < SMALL_BLOCK);
    assert_ok(nft_set_allocator(NULL));
}

/* A model whose parameters are small may still need absurd memory to run: that is the context's to refuse. */
static void absurd_contexts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 2147483647, 'channels': 16777216}, "
        "'modules': "
        "[{'type': 'mean_tokens'}]}",
        WITH_LAYERS("{'type': 'linear', 'in': 2147483647, 'out': 4000000}", "{'type': 'relu'}"),
        WITH_LAYERS("{'type': 'linear', 'in': 40000, 'out': 40000}",
                    "{'type': 'np_attention', 'num_heads': 1}, {'type': 'np_pool'}"),
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        nft_model *model = support_model(texts[i], 0);
        int64_t bytes = 0;
        nft_context *context = (nft_context *)&bytes;
        assert_ok(nft_context_cost(&bytes, NULL, model, NULL, NULL));
        assert_true(bytes > INT64_C(100000000000));
        assert_int_equal(nft_context_create(&context, model, NULL), NFT_ERROR_LIMIT);
        assert_null(context);
        check_message(texts[i], (const char *const[WORDS]){"context"});
        nft_model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"modules that do not fit", refused, NULL, NULL, LIST(fit_cases)},
        {"the decoder", refused, NULL, NULL, LIST(decoder_cases)},
        {"absurd sizes", refused_without_allocating, NULL, NULL, LIST(absurd_cases)},
        cmocka_unit_test(absurd_contexts),
    };
    return cmocka_run_group_tests_name("fit", tests, NULL, NULL);
}
