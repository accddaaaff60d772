/* The getters of a model, and its files. */
#define _XOPEN_SOURCE 700
#include "unit/models.h"
#include "unit/temporary.h"

static char *file_text(const char *path)
{
    size_t size;
    return support_read(path, &size); /* ends with a 0 */
}

static nft_module_info module_of(const nft_model *model, int64_t index)
{
    nft_module_info info = NFT_MODULE_INFO_INIT;
    assert_ok(nft_model_module(&info, model, index));
    return info;
}

/* The encoder of Inr2Array for MNIST: 21.2 M parameters, 11.1 GFLOP, 1,185 weights and biases. */
static void the_papers_encoder(void **state)
{
    (void)state;
    char *json = file_text(NFT_SOURCE_DIR "/examples/data/mnist-encoder.json");
    nft_model *model = NULL;
    nft_module_info input = NFT_MODULE_INFO_INIT, output = NFT_MODULE_INFO_INIT;
    assert_ok(nft_model_create(&model, json, strlen(json), 0, NULL));
    free(json);
    assert_int_equal(nft_space_describe(nft_model_describe(model)->space)->parameter_count, 1185);
    input = *nft_model_describe(model)->input;
    assert_string_equal(input.type, "input");
    assert_int_equal(input.output, NFT_VALUE_FEATURES);
    assert_int_equal(input.channels, 1);
    output = *nft_model_describe(model)->output;
    assert_string_equal(output.type, "output");
    assert_int_equal(output.output, NFT_VALUE_TOKENS);
    assert_int_equal(output.tokens, 16);
    assert_int_equal(output.channels, 256);
    assert_true(fabs((double)output.parameter_count / 1e6 - 21.2) < 0.05);
    assert_int_equal(output.buffer_count, 128);
    assert_true(fabs((double)output.flops / 1e9 - 11.10) < 0.01);

    static const char *const types[] = {"gaussian_fourier", "learned_pos_embedding",
                                        "nft_block",        "nft_block",
                                        "nft_block",        "nft_block",
                                        "nft_block",        "nft_block",
                                        "flatten_weights",  "perceiver"};
    int64_t parameters = 0, buffers = 0, flops = 0;
    assert_int_equal(nft_model_describe(model)->module_count, COUNT(types));
    for (int64_t i = 0; i < (int64_t)COUNT(types); i++) {
        nft_module_info info = module_of(model, i);
        assert_string_equal(info.type, types[i]);
        assert_int_equal(info.output, i < 8 ? NFT_VALUE_FEATURES : NFT_VALUE_TOKENS);
        assert_int_equal(info.tokens, i < 8 ? 0 : i == 8 ? 1185 : 16);
        assert_int_equal(info.channels, 256);
        parameters += info.parameter_count;
        buffers += info.buffer_count;
        flops += info.flops;
    }
    assert_int_equal(parameters, output.parameter_count);
    assert_int_equal(buffers, output.buffer_count);
    assert_int_equal(flops, output.flops);
    nft_model_free(model);
}

/* Counted by hand from the formulas: 2·m·n·k for each product. */
static void flops(void **state)
{
    (void)state;
    nft_model *model =
        support_model(CNN("{'type': 'pointwise', 'out_channels': 4}, {'type': 'np_attention', 'num_heads': "
                          "2, 'share_projections': "
                          "false}, {'type': 'np_pool'}, {'type': 'linear', 'out_features': 5}") "}",
                      0);
    /* tokens: W_0 3·2 at 3 positions, v_0 3, W_1 4·3 at 2 positions, v_1 4 */
    assert_int_equal(module_of(model, 0).flops, 2 * (6 * 3 * 12 + 3 * 4 + 12 * 2 * 8 + 4 * 4));
    int64_t projections = 6 * 12 * 12 + 3 * 4 * 12 + 12 * 8 * 12 + 4 * 4 * 12, back = 6 * 4 * 12 + 12 * 4 * 8;
    int64_t diagonal = 2 * 4 * 4 * 4; /* scores and values of 4 means */
    int64_t axes =
        2 * 4 * (3 * 3 * 2 + (2 + 1 + 4) * (2 + 1 + 4) * 3 + (3 + 1) * (3 + 1) * 4); /* tokens² · length */
    assert_int_equal(module_of(model, 1).flops, 2 * (projections + back + diagonal + axes));
    assert_int_equal(module_of(model, 2).flops, 0);
    assert_int_equal(module_of(model, 3).flops, 2 * 5 * (4 * (3 + 1 + 2 + 1)));
    nft_model_free(model);
}

/* A decoder that is left out is not counted. */
static void flops_of_ablated_attention(void **state)
{
    (void)state;
    /* 2-4-1: tokens 8, 4, 4, 1; of 4 channels, 2 heads */
    static const char *const modules[] = {"'ablate_crossterm': true",
                                          "'ablate_crossterm': true, 'share_projections': false",
                                          "'ablate_crossterm': true, 'ablate_diagonalterm': true",
                                          ("'ablate_crossterm': true, 'ablate_diagonalterm': true, "
                                           "'share_projections': false")};
    const int64_t means = 2 * (4 * 4 * 12 + 2 * 4 * 4 * 4), back = 2 * (8 + 4) * 4 * 4,
                  expected[] = {means, means + back, 0, 0};
    for (size_t i = 0; i < COUNT(modules); i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 2, 'out': 4}, {'type': "
                 "'linear', "
                 "'in': 4, 'out': 1}]}, 'in_channels': 4, 'modules': [{'type': 'np_attention', 'num_heads': "
                 "2, %s}]}",
                 modules[i]);
        nft_model *model = support_model(text, 0);
        assert_int_equal(module_of(model, 0).flops, expected[i]);
        nft_model_free(model);
    }
}

static void tensors_are_listed(void **state)
{
    (void)state;
    nft_model *model = support_model(NFN, 0);
    static const char *const expected[] = {"0.mean_weights_0",       "0.std_weights_0",
                                           "0.mean_bias_0",          "1.in_embed",
                                           "2.norm.w_norms.1.gamma", "2.base_layer.w0_rpt.weight",
                                           "3.weight_maps.1.bias",   "4.bias_scales.1"};
    int64_t trained = 0, buffers = 0, module = 0;
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&info, model, i));
        int64_t count = 1;
        for (int64_t axis = 0; axis < info.rank; axis++)
            count *= info.shape[axis];
        assert_int_equal(info.count, count);
        assert_string_equal(info.type, "F32");
        assert_non_null(info.data);
        *(info.trained ? &trained : &buffers) += count;
        assert_true(strtol(info.name, NULL, 10) >= module);
        module = strtol(info.name, NULL, 10);
    }
    for (size_t k = 0; k < COUNT(expected); k++) {
        int found = 0;
        for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
            nft_tensor_info info = NFT_TENSOR_INFO_INIT;
            assert_ok(nft_model_tensor(&info, model, i));
            found += !strcmp(info.name, expected[k]);
        }
        if (found != 1)
            fail_msg("%d tensors '%s'", found, expected[k]);
    }
    nft_module_info output = NFT_MODULE_INFO_INIT;
    output = *nft_model_describe(model)->output;
    assert_int_equal(output.parameter_count, trained);
    assert_int_equal(output.buffer_count, buffers);
    nft_model_free(model);
}

/* The configuration is kept: a model made from it again has the same parameters. */
static void configurations_are_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(test_models); i++) {
        nft_model *model = support_model(test_models[i], 3), *again = NULL;
        const char *config = nft_model_describe(model)->config;
        assert_null(strchr(config, '\n'));
        assert_ok(nft_model_create(&again, config, strlen(config), 3, NULL));
        assert_string_equal(nft_model_describe(again)->config, config);
        assert_int_equal(nft_model_describe(again)->tensor_count, nft_model_describe(model)->tensor_count);
        nft_model_free(again);
        nft_model_free(model);
    }
}

#define RELU_CONFIG                                                                                          \
    "{\\\"format_version\\\": 1, \\\"space\\\": {\\\"layers\\\": [{\\\"type\\\": \\\"linear\\\", "           \
    "\\\"in\\\": 2, \\\"out\\\": 3}]}, \\\"modules\\\": [{\\\"type\\\": \\\"relu\\\"}]}"
#define SCALE_CONFIG                                                                                         \
    "{\\\"format_version\\\": 1, \\\"space\\\": {\\\"layers\\\": [{\\\"type\\\": \\\"linear\\\", "           \
    "\\\"in\\\": 2, \\\"out\\\": 3}]}, \\\"modules\\\": [{\\\"type\\\": \\\"pointwise\\\", "                 \
    "\\\"out_channels\\\": 1}]}"

static void metadata_is_kept(void **state)
{
    (void)state;
    nft_model *model = NULL, *again = NULL;
    size_t size;
    unsigned char *bytes =
        safetensors_bytes("{\"__metadata__\": {\"nft.loss\": \"bce\", \"nft.config\": \"" RELU_CONFIG
                          "\", \"note\": \"a \\\"word\\\"\"}}",
                          NULL, 0, &size);
    assert_ok(nft_model_load(&model, NULL, NFT_LOAD_BYTES(bytes, size)));
    free(bytes);
    assert_ok(nft_model_save(model, temporary_path("kept")));
    nft_model_free(model);
    assert_ok(nft_model_load(&again, temporary_path("kept"), NULL));
    assert_string_equal(nft_model_metadata(again, "nft.loss"), "bce");
    assert_string_equal(nft_model_metadata(again, "note"), "a \"word\"");
    assert_null(nft_model_metadata(again, "other"));
    assert_int_equal(nft_model_describe(again)->tensor_count, 0);
    nft_model_free(again);
}

/* One after the other: tensors in the header, and the message about them. */
static void wrong_files(void **state)
{
    (void)state;
    static const struct {
        const char *metadata, *tensors;
        size_t data;
        nft_status status;
        const char *words[3];
    } cases[] = {
        {"", "", 0, NFT_ERROR_FORMAT, {"nft.config"}},
        {"\"nft.config\": \"{\"", "", 0, NFT_ERROR_FORMAT, {"line 1"}},
        {"\"nft.config\": \"{}\"", "", 0, NFT_ERROR_CONFIG, {"format_version"}},
        {"\"nft.config\": \"" SCALE_CONFIG "\"",
         "",
         0,
         NFT_ERROR_FORMAT,
         {"0.weight_maps.0.weight", "missing"}},
        {"\"nft.config\": \"" SCALE_CONFIG "\"",
         ", \"0.weight_maps.0.weight\": {\"dtype\": \"F32\", \"shape\": [1, 2], \"data_offsets\": [0, 8]}",
         8,
         NFT_ERROR_FORMAT,
         {"0.weight_maps.0.weight", "(1, 2)", "(1, 1, 1, 1)"}},
        {"\"nft.config\": \"" SCALE_CONFIG "\"",
         ", \"0.weight_maps.0.weight\": {\"dtype\": \"I64\", \"shape\": [1, 1, 1, 1], \"data_offsets\": [0, "
         "8]}",
         8,
         NFT_ERROR_FORMAT,
         {"0.weight_maps.0.weight", "I64", "F32"}},
        {"\"nft.config\": \"" RELU_CONFIG "\"",
         ", \"extra\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}",
         8,
         NFT_ERROR_FORMAT,
         {"extra", "not part"}},
    };
    const float data[2] = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char header[2048];
        size_t size;
        nft_model *model = (nft_model *)(void *)header;
        snprintf(header, sizeof header, "{\"__metadata__\": {%s}%s}", cases[i].metadata, cases[i].tensors);
        unsigned char *bytes = safetensors_bytes(header, data, cases[i].data, &size);
        temporary_write(temporary_path("wrong"), bytes, size);
        assert_int_equal(nft_model_load(&model, temporary_path("wrong"), NULL), cases[i].status);
        assert_null(model);
        assert_non_null(strstr(nft_error_message(), "wrong")); /* the file's name */
        for (int k = 0; k < 3 && cases[i].words[k]; k++)
            if (!strstr(nft_error_message(), cases[i].words[k]))
                fail_msg("\"%s\", expected \"%s\" in it", nft_error_message(), cases[i].words[k]);
        assert_int_equal(nft_model_load(&model, NULL, NFT_LOAD_BYTES(bytes, size)), cases[i].status);
        assert_null(model);
        free(bytes);
    }
}

/* Parameters in other float types are read; a whole file in F64 gives the same model. */
static void other_float_types(void **state)
{
    (void)state;
    nft_model *model = NULL;
    size_t size;
    const double values[4] = {0.5, -0.25, 3, 8};
    char header[2048];
    snprintf(
        header, sizeof header, "{\"__metadata__\": {\"nft.config\": \"" SCALE_CONFIG "\"}%s}",
        ", \"0.weight_maps.0.weight\": {\"dtype\": \"F64\", \"shape\": [1, 1, 1, 1], \"data_offsets\": [0, "
        "8]}"
        ", \"0.weight_maps.0.bias\": {\"dtype\": \"F64\", \"shape\": [1], \"data_offsets\": [8, 16]}"
        ", \"0.bias_maps.0.weight\": {\"dtype\": \"F64\", \"shape\": [1, 1, 1], \"data_offsets\": [16, 24]}"
        ", \"0.bias_maps.0.bias\": {\"dtype\": \"F64\", \"shape\": [1], \"data_offsets\": [24, 32]}");
    unsigned char *bytes = safetensors_bytes(header, values, sizeof values, &size);
    assert_ok(nft_model_load(&model, NULL, NFT_LOAD_BYTES(bytes, size)));
    free(bytes);
    nft_weights *weights = NULL;
    assert_ok(nft_weights_create(&weights, nft_model_describe(model)->space, 1, 1, NULL));
    nft_weights_edit(weights, 0)[0] = 1;
    nft_weights_edit(weights, 1)[0] = 1;
    nft_context *context = support_context(model, 1, 1);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    const float *weight = support_feature(context, 0);
    const float *bias = support_feature(context, 1);
    assert_true(weight[0] == 0.25F && weight[1] == -0.25F && bias[0] == 11 && bias[1] == 8);
    nft_context_free(context);
    nft_weights_free(weights);
    nft_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_papers_encoder),
        cmocka_unit_test(flops),
        cmocka_unit_test(flops_of_ablated_attention),
        cmocka_unit_test(tensors_are_listed),
        cmocka_unit_test(configurations_are_kept),
        cmocka_unit_test(metadata_is_kept),
        cmocka_unit_test(wrong_files),
        cmocka_unit_test(other_float_types),
    };
    return cmocka_run_group_tests_name("model", tests, temporary_open, temporary_close);
}
