/* Configurations that are wrong in themselves. Each is refused with the right status and one line with the
 * fault, its place, the expected value and the value found. No model is made of it. */
#include "model/context.h"
#include "unit/config_cases.h"

static const config_case container_cases[] = {
    {"", NFT_ERROR_FORMAT, {"line 1"}},
    {"{", NFT_ERROR_FORMAT, {"line 1", "column 1"}},
    {"{'format_version': 1,\n 'space' {}}", NFT_ERROR_FORMAT, {"line 2"}},
    {"{} {}", NFT_ERROR_FORMAT, {"line 1"}},
    {"{'format_version': NaN}", NFT_ERROR_FORMAT, {"line 1"}},
    {"{'format_version': 1, 'format_version': 1}", NFT_ERROR_FORMAT, {"duplicate", "format_version"}},
    {MLP("{'type': 'relu', 'type': 'gelu'}"), NFT_ERROR_FORMAT, {"duplicate", "type"}},
    {"[1, 2]", NFT_ERROR_CONFIG, {"configuration", "object", "array"}},
    {"null", NFT_ERROR_CONFIG, {"configuration", "object", "null"}},
    {"{}", NFT_ERROR_CONFIG, {"format_version", "missing"}},
    {"{'format_version': 2}", NFT_ERROR_CONFIG, {"format_version", "2", "1"}},
    {"{'format_version': '1'}", NFT_ERROR_CONFIG, {"format_version", "\"1\"", "integer"}},
    {"{'format_version': 1, 'modules': []}", NFT_ERROR_CONFIG, {"space", "missing"}},
    {"{'format_version': 1, 'space': {'layers': [" MLP_LAYERS "]}}",
     NFT_ERROR_CONFIG,
     {"modules", "missing"}},
    {MLP(""), NFT_ERROR_CONFIG, {"0 'modules'", "expected 1"}},
    {"{'format_version': 1, 'space': {'layers': [" MLP_LAYERS "]}, 'modules': {}}",
     NFT_ERROR_CONFIG,
     {"modules", "list"}},
    {MLP("{'type': 'relu'}, 7"), NFT_ERROR_CONFIG, {"modules[1]", "object", "7"}},
    {MLP("{'type': 'relu'}, null"), NFT_ERROR_CONFIG, {"modules[1]", "object", "null"}},
    {"{'format_version': 1, 'space': {'layers': [" MLP_LAYERS "]}, 'in_chanels': 4, 'modules': []}",
     NFT_ERROR_CONFIG,
     {"in_chanels", "did you mean 'in_channels'"}},
    {"{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 6, 'channels': 4}, 'channels': 4, "
     "'modules': [{'type': 'mean_tokens'}]}",
     NFT_ERROR_CONFIG,
     {"unknown option 'channels'", "did you mean 'input.channels'?"}},
    {"{'format_version': 1, 'space': {'layers': [" MLP_LAYERS "]}, 'in_channels': 0, 'modules': []}",
     NFT_ERROR_CONFIG,
     {"in_channels", "0", "1"}},
    {"{'format_version': 1, 'space': {'layers': [" MLP_LAYERS "]}, 'in_channels': 1.5, 'modules': []}",
     NFT_ERROR_CONFIG,
     {"in_channels", "1.5", "integer"}},
    {"{'format_version': 1, 'space': {'layers': [" MLP_LAYERS "]}, 'in_channels': true, 'modules': []}",
     NFT_ERROR_CONFIG,
     {"in_channels", "true", "integer"}},
    {"{'format_version': 1, 'space': {'layers': [" MLP_LAYERS
     "]}, 'in_channels': 9223372036854775807, 'modules': []}",
     NFT_ERROR_CONFIG,
     {"in_channels", "9223372036854775807"}},
    {"{'format_version': 1, 'input': {'type': 'features', 'tokens': 6, 'channels': 4}, 'modules': []}",
     NFT_ERROR_CONFIG,
     {"input", "features", "tokens"}},
    {"{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 0, 'channels': 4}, 'modules': []}",
     NFT_ERROR_CONFIG,
     {"input", "tokens", "0"}},
    {"{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 6}, 'modules': []}",
     NFT_ERROR_CONFIG,
     {"input", "channels", "missing"}},
    {"{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 6, 'channels': 4}, 'space': {'layers': "
     "[" MLP_LAYERS "]}, 'modules': [{'type': 'mean_tokens'}]}",
     NFT_ERROR_CONFIG,
     {"space"}},
};

static const config_case space_cases[] = {
    {"{'format_version': 1, 'space': [], 'modules': []}", NFT_ERROR_CONFIG, {"space", "object", "array"}},
    {"{'format_version': 1, 'space': null, 'modules': []}", NFT_ERROR_CONFIG, {"space", "null"}},
    {"{'format_version': 1, 'space': {}, 'modules': []}", NFT_ERROR_CONFIG, {"space", "layers", "lacks"}},
    {LAYERS(""), NFT_ERROR_CONFIG, {"space", "layers", "at least one"}},
    {"{'format_version': 1, 'space': {'layers': [" MLP_LAYERS "], 'name': 'x'}, 'modules': []}",
     NFT_ERROR_CONFIG,
     {"space", "name"}},
    {LAYERS("3"), NFT_ERROR_CONFIG, {"layers[0]", "object", "3"}},
    {LAYERS("{'type': 'conv', 'in': 2, 'out': 3}"),
     NFT_ERROR_CONFIG,
     {"layers[0]", "conv", "linear", "conv2d"}},
    {LAYERS("{'in': 2, 'out': 3}"), NFT_ERROR_CONFIG, {"layers[0]", "type", "missing"}},
    {LAYERS("{'type': 'linear', 'in': 2}"), NFT_ERROR_CONFIG, {"layers[0]", "out", "missing"}},
    {LAYERS("{'type': 'linear', 'in': 0, 'out': 3}"), NFT_ERROR_CONFIG, {"layers[0]", "in", "0", "1"}},
    {LAYERS("{'type': 'linear', 'in': 2, 'out': '3'}"),
     NFT_ERROR_CONFIG,
     {"layers[0]", "out", "\"3\"", "integer"}},
    {LAYERS("{'type': 'linear', 'in': 2, 'out': 4}, {'type': 'linear', 'in': 5, 'out': 3}"),
     NFT_ERROR_CONFIG,
     {"layers[1]", "5 inputs", "layers[0]", "4 outputs"}},
    {LAYERS("{'type': 'conv2d', 'in': 2, 'out': 4, 'kernel': [3, 3]}, "
            "{'type': 'linear', 'in': 100, 'out': 3}"),
     NFT_ERROR_CONFIG,
     {"layers[1]", "100", "layers[0]", "4"}},
    {LAYERS("{'type': 'conv2d', 'in': 2, 'out': 3}"), NFT_ERROR_CONFIG, {"layers[0]", "kernel", "missing"}},
    {LAYERS("{'type': 'conv2d', 'in': 2, 'out': 3, 'kernel': 3}"),
     NFT_ERROR_CONFIG,
     {"layers[0]", "kernel", "two integers"}},
    {LAYERS("{'type': 'conv2d', 'in': 2, 'out': 3, 'kernel': [3, 3, 3]}"),
     NFT_ERROR_CONFIG,
     {"layers[0]", "kernel", "two integers"}},
    {LAYERS("{'type': 'conv2d', 'in': 2, 'out': 3, 'kernel': [3, 0]}"),
     NFT_ERROR_CONFIG,
     {"layers[0]", "kernel[1]", "0"}},
    {LAYERS("{'type': 'conv2d', 'in': 2, 'out': 3, 'kernel': [3, 3], 'positions': 4}"),
     NFT_ERROR_CONFIG,
     {"layers[0]", "positions"}},
    {LAYERS("{'type': 'linear', 'in': 2, 'out': 3, 'kernel': [3, 3]}"),
     NFT_ERROR_CONFIG,
     {"layers[0]", "kernel"}},
    {LAYERS("{'type': 'linear', 'in': 2, 'out': 3, 'positions': 0}"),
     NFT_ERROR_CONFIG,
     {"layers[0]", "positions", "0"}},
    {LAYERS("{'type': 'linear', 'in': 2, 'out': 3, 'position': 4}"),
     NFT_ERROR_CONFIG,
     {"layers[0]", "position", "did you mean 'positions'"}},
    {LAYERS("{'type': 'linear', 'in': 2147483648, 'out': 3}"),
     NFT_ERROR_CONFIG,
     {"layers[0]", "in", "2147483648"}},
};

static const config_case option_cases[] = {
    {MLP("{'num_heads': 2}"), NFT_ERROR_CONFIG, {"modules[0]", "type", "missing"}},
    {MLP("{'type': 3}"), NFT_ERROR_CONFIG, {"modules[0]", "type", "3", "text"}},
    {MLP("{'type': 'nope'}"), NFT_ERROR_CONFIG, {"modules[0]: there is no module 'nope'"}},
    {MLP("{'type': 'nft_blok'}"), NFT_ERROR_CONFIG, {"modules[0]", "nft_blok", "did you mean 'nft_block'"}},
    {MLP("{'type': 'relu'}, {'type': 'np_atention'}"),
     NFT_ERROR_CONFIG,
     {"modules[1]", "np_atention", "did you mean 'np_attention'"}},
    {MLP("{'type': ''}"), NFT_ERROR_CONFIG, {"modules[0]", "''"}},
    {MLP("{'type': 'two\\nlines'}"), NFT_ERROR_CONFIG, {"modules[0]", "two?lines"}},
    {MLP("{'type': 'nft_block', 'num_heads': 2, 'ff_facter': 2}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (nft_block)", "ff_facter", "did you mean 'ff_factor'"}},
    {MLP("{'type': 'nft_block', 'num_heads': 2, 'ff': 2}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (nft_block)", "ff", "did you mean 'ff_factor'"}},
    {MLP("{'type': 'relu', 'slope': 0.1}"), NFT_ERROR_CONFIG, {"modules[0] (relu)", "slope"}},
    {MLP("{'type': 'np_linear', 'out_channels': 2, 'ioembed': true}"),
     NFT_ERROR_CONFIG,
     {"np_linear", "ioembed", "did you mean 'io_embed'"}},
    /* missing */
    {MLP("{'type': 'pointwise'}"), NFT_ERROR_CONFIG, {"modules[0] (pointwise)", "out_channels", "missing"}},
    {MLP("{'type': 'np_linear'}"), NFT_ERROR_CONFIG, {"np_linear", "out_channels", "missing"}},
    {MLP("{'type': 'hnp_linear'}"), NFT_ERROR_CONFIG, {"hnp_linear", "out_channels", "missing"}},
    {MLP("{'type': 'gaussian_fourier'}"), NFT_ERROR_CONFIG, {"gaussian_fourier", "mapping_size", "missing"}},
    {MLP("{'type': 'learned_scale'}"), NFT_ERROR_CONFIG, {"learned_scale", "init_scale", "missing"}},
    {MLP("{'type': 'dropout'}"), NFT_ERROR_CONFIG, {"dropout", "'p'", "missing"}},
    {MLP("{'type': 'channel_dropout'}"), NFT_ERROR_CONFIG, {"channel_dropout", "'p'", "missing"}},
    {MLP("{'type': 'residual', 'activation': 'relu'}"), NFT_ERROR_CONFIG, {"residual", "base", "missing"}},
    {MLP("{'type': 'residual', 'base': {'type': 'relu'}}"),
     NFT_ERROR_CONFIG,
     {"residual", "activation", "missing"}},
    {MLP("{'type': 'cross_attn_encoder'}"),
     NFT_ERROR_CONFIG,
     {"cross_attn_encoder", "num_latents", "missing"}},
    {MLP(FLAT "{'type': 'perceiver', 'latent_dim': 6}"),
     NFT_ERROR_CONFIG,
     {"perceiver", "num_latents", "missing"}},
    {MLP(FLAT "{'type': 'perceiver', 'num_latents': 6}"),
     NFT_ERROR_CONFIG,
     {"perceiver", "latent_dim", "missing"}},
    {MLP(FLAT "{'type': 'linear'}"), NFT_ERROR_CONFIG, {"linear", "out_features", "missing"}},
    {MLP(FLAT "{'type': 'token_embedding'}"), NFT_ERROR_CONFIG, {"token_embedding", "max_tokens", "missing"}},
    {MLP(FLAT "{'type': 'select_token'}"), NFT_ERROR_CONFIG, {"select_token", "index", "missing"}},
    {MLP(FLAT "{'type': 'transformer_encoder_layer', 'num_heads': 2}"),
     NFT_ERROR_CONFIG,
     {"transformer_encoder_layer", "dim_feedforward", "missing"}},
    {MLP(FLAT "{'type': 'transformer_encoder_layer', 'dim_feedforward': 2}"),
     NFT_ERROR_CONFIG,
     {"transformer_encoder_layer", "num_heads", "missing"}},
    /* of the wrong type */
    {MLP("{'type': 'pointwise', 'out_channels': '8'}"),
     NFT_ERROR_CONFIG,
     {"out_channels", "\"8\"", "integer"}},
    {MLP("{'type': 'pointwise', 'out_channels': 8.5}"), NFT_ERROR_CONFIG, {"out_channels", "8.5", "integer"}},
    {MLP("{'type': 'pointwise', 'out_channels': null}"),
     NFT_ERROR_CONFIG,
     {"out_channels", "null", "integer"}},
    {MLP("{'type': 'pointwise', 'out_channels': [8]}"),
     NFT_ERROR_CONFIG,
     {"out_channels", "array", "integer"}},
    {MLP("{'type': 'np_attention', 'num_heads': 2, 'share_projections': 1}"),
     NFT_ERROR_CONFIG,
     {"share_projections", "1", "true or false"}},
    {MLP("{'type': 'np_attention', 'num_heads': 2, 'dropout': 'none'}"),
     NFT_ERROR_CONFIG,
     {"dropout", "\"none\"", "number"}},
    {MLP("{'type': 'io_sinusoidal', 'enc_layers': 'no'}"),
     NFT_ERROR_CONFIG,
     {"enc_layers", "\"no\"", "true or false"}},
    {MLP("{'type': 'normalize', 'per': 'neuron'}"), NFT_ERROR_CONFIG, {"per", "neuron", "tensor", "weight"}},
    {MLP("{'type': 'np_linear', 'out_channels': 2, 'init': 'xavier'}"),
     NFT_ERROR_CONFIG,
     {"init", "xavier", "pytorch_default", "kaiming_normal"}},
    {MLP("{'type': 'residual', 'activation': 'elu', 'base': {'type': 'relu'}}"),
     NFT_ERROR_CONFIG,
     {"activation", "elu", "relu", "gelu", "tanh"}},
    {MLP("{'type': 'residual', 'activation': 'relu', 'base': 'np_linear'}"),
     NFT_ERROR_CONFIG,
     {"modules[0] (residual).base", "object", "np_linear"}},
    /* out of range */
    {MLP("{'type': 'pointwise', 'out_channels': 0}"), NFT_ERROR_CONFIG, {"out_channels", "0", "1"}},
    {MLP("{'type': 'pointwise', 'out_channels': -3}"), NFT_ERROR_CONFIG, {"out_channels", "-3", "1"}},
    {MLP("{'type': 'pointwise', 'out_channels': 1099511627776}"),
     NFT_ERROR_CONFIG,
     {"out_channels", "1099511627776"}},
    {MLP("{'type': 'gaussian_fourier', 'mapping_size': 0}"), NFT_ERROR_CONFIG, {"mapping_size", "0"}},
    {MLP("{'type': 'gaussian_fourier', 'mapping_size': 2, 'scale': -1}"), NFT_ERROR_CONFIG, {"scale", "-1"}},
    {MLP("{'type': 'io_sinusoidal', 'num_bands': 0}"), NFT_ERROR_CONFIG, {"num_bands", "0"}},
    {MLP("{'type': 'np_attention', 'num_heads': 0}"), NFT_ERROR_CONFIG, {"num_heads", "0"}},
    {MLP("{'type': 'nft_block', 'num_heads': 2, 'ff_factor': 0}"), NFT_ERROR_CONFIG, {"ff_factor", "0"}},
    {MLP("{'type': 'nft_block', 'num_heads': 2, 'dropout': 1.5}"), NFT_ERROR_CONFIG, {"dropout", "1.5"}},
    {MLP("{'type': 'nft_block', 'num_heads': 2, 'order': 'backward'}"),
     NFT_ERROR_CONFIG,
     {"order", "backward"}},
    {MLP("{'type': 'nft_block', 'num_heads': 2, 'order': 'forward', 'share_projections': false}"),
     NFT_ERROR_CONFIG,
     {"'order' is \"forward\"", "share_projections"}},
    {MLP("{'type': 'nft_block', 'num_heads': 2, 'order': 'forward', 'ablate_crossterm': true}"),
     NFT_ERROR_CONFIG,
     {"'order' is \"forward\"", "ablate_crossterm"}},
    {MLP("{'type': 'nft_block', 'num_heads': 2, 'dropout': 1}"), NFT_ERROR_CONFIG, {"dropout", "1"}},
    {MLP("{'type': 'np_attention', 'num_heads': 2, 'dropout': 1}"), NFT_ERROR_CONFIG, {"dropout", "1"}},
    {MLP("{'type': 'np_attention', 'num_heads': 2, 'dropout': -0.5}"), NFT_ERROR_CONFIG, {"dropout", "-0.5"}},
    {MLP("{'type': 'dropout', 'p': 1}"), NFT_ERROR_CONFIG, {"dropout", "'p'", "below 1"}},
    {MLP("{'type': 'channel_dropout', 'p': -0.1}"), NFT_ERROR_CONFIG, {"channel_dropout", "'p'", "-0.1"}},
    {MLP("{'type': 'residual', 'activation': 'relu', 'dropout': 1, 'base': {'type': 'relu'}}"),
     NFT_ERROR_CONFIG,
     {"residual", "dropout", "below 1"}},
    {MLP(FLAT "{'type': 'perceiver', 'num_latents': 2, 'latent_dim': 2, 'depth': 0}"),
     NFT_ERROR_CONFIG,
     {"perceiver", "depth", "0"}},
    {MLP(FLAT "{'type': 'perceiver', 'num_latents': 2, 'latent_dim': 2, 'self_per_cross_attn': -1}"),
     NFT_ERROR_CONFIG,
     {"perceiver", "self_per_cross_attn", "-1"}},
    {MLP(FLAT "{'type': 'linear', 'out_features': 0}"), NFT_ERROR_CONFIG, {"linear", "out_features", "0"}},
    {MLP(FLAT "{'type': 'token_embedding', 'max_tokens': 0}"), NFT_ERROR_CONFIG, {"max_tokens", "0"}},
    {MLP(FLAT "{'type': 'select_token', 'index': -1}"), NFT_ERROR_CONFIG, {"index", "-1"}},
    {MLP(FLAT "{'type': 'transformer_encoder_layer', 'num_heads': 2, 'dim_feedforward': 0}"),
     NFT_ERROR_CONFIG,
     {"dim_feedforward", "0"}},
};

/* `depth` residuals inside each other. */
static char *nested_residuals(int depth)
{
    static const char open[] = "{'type': 'residual', 'activation': 'relu', 'base': ",
                      relu[] = "{'type': 'relu'}";
    size_t size = sizeof MLP("") + (sizeof open + 1) * (size_t)depth + sizeof relu;
    char *text = support_allocate(size);
    strcpy(text, "{'format_version': 1, 'space': {'layers': [" MLP_LAYERS "]}, 'modules': [");
    char *end = text + strlen(text);
    for (int i = 0; i < depth; i++, end += sizeof open - 1)
        memcpy(end, open, sizeof open);
    end += sprintf(end, "%s", relu);
    for (int i = 0; i < depth; i++)
        *end++ = '}';
    strcpy(end, "]}");
    return text;
}

static void deep_nesting(void **state)
{
    (void)state;
    static const int depths[] = {8, 20}, of_json[] = {1000, 100000};
    char *text = nested_residuals(4);
    nft_model_free(support_model(text, 0));
    free(text);
    for (size_t i = 0; i < COUNT(depths); i++) {
        text = nested_residuals(depths[i]);
        refuse(text, NFT_ERROR_CONFIG, (const char *const[WORDS]){"modules[0] (residual).base", "deep"});
        free(text);
    }
    for (size_t i = 0; i < COUNT(of_json); i++) {
        text = nested_residuals(of_json[i]);
        refuse(text, NFT_ERROR_FORMAT, (const char *const[WORDS]){"JSON", "deep, expected at most 64"});
        free(text);
    }
}

/* `count` relus one after the other. */
static char *many_modules(int count)
{
    static const char relu[] = "{'type': 'relu'}, ";
    size_t size = sizeof MLP("") + sizeof relu * (size_t)count;
    char *text = support_allocate(size);
    strcpy(text, "{'format_version': 1, 'space': {'layers': [" MLP_LAYERS "]}, 'modules': [");
    char *end = text + strlen(text);
    for (int i = 0; i < count; i++, end += sizeof relu - 1)
        memcpy(end, relu, sizeof relu);
    strcpy(end - 2, "]}");
    return text;
}

static void long_sequences(void **state)
{
    (void)state;
    char *text = many_modules(4096);
    nft_model *model = support_model(text, 0);
    assert_int_equal(nft_model_describe(model)->module_count, 4096);
    nft_model_free(model);
    free(text);
    text = many_modules(4097);
    refuse(text, NFT_ERROR_CONFIG, (const char *const[WORDS]){"modules", "4096"});
    free(text);
}

/* Names of any length and bytes end up in one line of bounded length. */
static void long_names(void **state)
{
    (void)state;
    char name[5000], text[6000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    snprintf(text, sizeof text, "%s%s%s",
             "{'format_version': 1, 'space': {'layers': [" MLP_LAYERS "]}, 'modules': "
             "[{'type': '",
             name, "'}]}");
    refuse(text, NFT_ERROR_CONFIG, (const char *const[WORDS]){"modules[0]", "xxx"});
    char *json = support_json("{'format_version': 1, 'mod\xff\xfeules': []}");
    nft_model *model = NULL;
    assert_int_equal(nft_model_create(&model, json, strlen(json), 0, NULL), NFT_ERROR_FORMAT);
    assert_null(model);
    free(json);
}

/* Only `length` bytes are read, and a 0 among them does not end the text. */
static void length_counts(void **state)
{
    (void)state;
    char *json = support_json(MLP("{'type': 'relu'}") "garbage");
    nft_model *model = NULL;
    assert_ok(nft_model_create(&model, json, strlen(json) - strlen("garbage"), 0, NULL));
    nft_model_free(model);
    assert_int_equal(nft_model_create(&model, json, strlen(json), 0, NULL), NFT_ERROR_FORMAT);
    assert_null(model);
    json[strlen(json) - strlen("garbage")] = 0;
    assert_int_equal(nft_model_create(&model, json, strlen(json) + 5, 0, NULL), NFT_ERROR_FORMAT);
    assert_null(model);
    free(json);
}

/* In training, where dropout drops. */
static support_result forward_in_training(const nft_model *model, const nft_weights *weights)
{
    const nft_dropout_key keys[2] = {{.seed = 3, .sample = 0}, {.seed = 3, .sample = 1}};
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.threads = 1;
    options.max_batch = 2;
    options.keep_for_backward = 1;
    assert_ok(nft_context_create(&context, model, &options));
    context->dropout = keys;
    support_result result = support_forward(context, weights);
    nft_context_free(context);
    return result;
}

/* Every default may be left out or written out. */
static void defaults(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"{'type': 'gaussian_fourier', 'mapping_size': 3}",
         "{'type': 'gaussian_fourier', 'mapping_size': 3, 'scale': 10}"},
        {"{'type': 'io_sinusoidal'}",
         "{'type': 'io_sinusoidal', 'max_freq': 10, 'num_bands': 6, 'enc_layers': true}"},
        {"{'type': 'normalize'}", "{'type': 'normalize', 'per': 'tensor'}"},
        {"{'type': 'pointwise', 'out_channels': 8}, {'type': 'np_attention'}",
         "{'type': 'pointwise', 'out_channels': 8}, {'type': 'np_attention', 'num_heads': 8, 'dropout': 0, "
         "'share_projections': true, 'ablate_crossterm': false, 'ablate_diagonalterm': false}"},
        {"{'type': 'pointwise', 'out_channels': 8}, {'type': 'nft_block'}",
         "{'type': 'pointwise', 'out_channels': 8}, {'type': 'nft_block', 'num_heads': 8, 'ff_factor': 2, "
         "'dropout': "
         "0.1, 'share_projections': true, 'ablate_crossterm': false, 'ablate_diagonalterm': false}"},
        {"{'type': 'np_linear', 'out_channels': 3}",
         "{'type': 'np_linear', 'out_channels': 3, 'io_embed': false, 'init': 'pytorch_default'}"},
        {"{'type': 'residual', 'activation': 'relu', 'base': {'type': 'tanh'}}",
         "{'type': 'residual', 'activation': 'relu', 'base': {'type': 'tanh'}, 'dropout': 0, 'norm': null}"},
        {FLAT "{'type': 'perceiver', 'num_latents': 2, 'latent_dim': 3}",
         FLAT "{'type': 'perceiver', 'num_latents': 2, 'latent_dim': 3, 'depth': 1, 'cross_heads': 1, "
              "'cross_dim_head': 64, 'self_per_cross_attn': 0, 'dropout': 0}"},
        {FLAT "{'type': 'perceiver', 'num_latents': 2, 'latent_dim': 3, 'self_per_cross_attn': 1}",
         FLAT "{'type': 'perceiver', 'num_latents': 2, 'latent_dim': 3, 'self_per_cross_attn': 1, "
              "'latent_heads': 8, 'latent_dim_head': 64}"},
        {FLAT "{'type': 'transformer_encoder_layer', 'num_heads': 2, 'dim_feedforward': 3}",
         FLAT "{'type': 'transformer_encoder_layer', 'num_heads': 2, 'dim_feedforward': 3, 'dropout': 0.1}"},
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        support_result results[2], trained[2];
        nft_model *models[2];
        for (int k = 0; k < 2; k++) {
            char text[2048];
            snprintf(text, sizeof text, "%s%s%s",
                     "{'format_version': 1, 'space': {'layers': [" MLP_LAYERS
                     "]}, 'in_channels': 4, 'modules': [",
                     pairs[i][k], "]}");
            models[k] = support_model(text, 5);
            nft_weights *weights = support_weights(nft_model_describe(models[k])->space, 2, 4, 1);
            nft_context *context = support_context(models[k], 1, 2);
            results[k] = support_forward(context, weights);
            trained[k] = forward_in_training(models[k], weights);
            nft_context_free(context);
            nft_weights_free(weights);
        }
        support_same_tensors(models[0], models[1]);
        assert_int_equal(results[0].count, results[1].count);
        support_identical(pairs[i][0], results[0].count, results[0].values, results[1].values);
        support_identical(pairs[i][0], trained[0].count, trained[0].values, trained[1].values);
        for (int k = 0; k < 2; k++) {
            nft_model_free(models[k]);
            free(results[k].values);
            free(trained[k].values);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"the configuration itself", refused, NULL, NULL, LIST(container_cases)},
        {"the space", refused, NULL, NULL, LIST(space_cases)},
        {"options", refused, NULL, NULL, LIST(option_cases)},
        cmocka_unit_test(deep_nesting),
        cmocka_unit_test(long_sequences),
        cmocka_unit_test(long_names),
        cmocka_unit_test(length_counts),
        cmocka_unit_test(defaults),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
