/* Formulas beyond the golden cases: many turns, single entries, one neuron, flattened
 * feature maps. */
#include "unit/support.h"

#include "siren/patches.h"

#define PI 3.14159265358979323846
#define ONE_LAYER(channels, modules)                                                                         \
    "{'format_version': 1, 'in_channels': " #channels ", 'space': {'layers': [{'type': 'linear', 'in': 3, "  \
    "'out': 4}]}, 'modules': [" modules "]}"

typedef struct run {
    nft_model *model;
    nft_weights *input;
    nft_context *context;
    support_result output;
} run;

/* `scale` multiplies standard normal weights. */
static run run_model(const char *text, int64_t channels, float scale)
{
    run r = {.model = support_model(text, 3)};
    const nft_space *space = nft_model_describe(r.model)->space;
    r.input = support_weights(space, 2, channels, 4);
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++)
        for (int64_t i = 0; i < nft_weights_data_count(r.input, t); i++)
            nft_weights_edit(r.input, t)[i] *= scale;
    r.context = support_context(r.model, 1, 2);
    r.output = support_forward(r.context, r.input);
    return r;
}

static void close_run(run *r)
{
    free(r->output.values);
    nft_context_free(r->context);
    nft_weights_free(r->input);
    nft_model_free(r->model);
}

/* Angles of hundreds of turns are as right as those of one. */
static void many_turns(void **state)
{
    (void)state;
    enum { C = 3, M = 40, ENTRIES = 12 };
    run r = run_model(ONE_LAYER(3, "{'type': 'gaussian_fourier', 'mapping_size': 40}"), C, 10);
    nft_tensor_info b = NFT_TENSOR_INFO_INIT;
    assert_ok(nft_model_tensor(&b, r.model, 0));
    const float *x = nft_weights_data(r.input, 0);
    const float *y = support_feature(r.context, 0);
    double most = 0;
    for (int n = 0; n < 2; n++)
        for (int entry = 0; entry < ENTRIES; entry++)
            for (int k = 0; k < M; k++) {
                double turns = 0;
                for (int c = 0; c < C; c++)
                    turns += (double)x[(n * C + c) * ENTRIES + entry] * (double)b.data[c * M + k];
                double sine = sin(2 * PI * turns), cosine = cos(2 * PI * turns);
                assert_true(fabs((double)y[(n * 2 * M + k) * ENTRIES + entry] - sine) < 1e-6);
                assert_true(fabs((double)y[(n * 2 * M + M + k) * ENTRIES + entry] - cosine) < 1e-6);
                most = fmax(most, fabs(turns));
            }
    assert_true(most > 300);
    close_run(&r);
}

/* One input and one output neuron, one layer: positions are at -1, and a single band has frequency 1. */
static void single_neurons(void **state)
{
    (void)state;
    run r = run_model(
        "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 1, 'out': 1}]}, 'modules': "
        "[{'type': 'io_sinusoidal', 'num_bands': 1, 'max_freq': 7}]}",
        1, 1);
    const float *w = support_feature(r.context, 0);
    const float *v = support_feature(r.context, 1);
    /* [sin(-π), cos(-π), -1] for layer, input and output of the weight; for layer and output of the bias */
    for (int n = 0; n < 2; n++) {
        assert_true(w[4 * n] == nft_weights_data(r.input, 0)[n]);
        assert_true(fabsf(w[4 * n + 1]) < 1e-6F && w[4 * n + 2] == -3 && w[4 * n + 3] == -3);
        assert_true(fabsf(v[4 * n + 1]) < 1e-6F && v[4 * n + 2] == -2 && v[4 * n + 3] == -2);
    }
    close_run(&r);
    r = run_model(
        "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 1, 'out': 1}]}, 'modules': "
        "[{'type': 'io_sinusoidal', 'num_bands': 1, 'enc_layers': false}]}",
        1, 1);
    v = support_feature(r.context, 1);
    assert_true(v[2] == -1 && v[3] == -1);
    close_run(&r);
}

/* The variance of a single entry is 0, its quantiles are itself; quantiles of a few are interpolated. */
static void statistics_of_few(void **state)
{
    (void)state;
    nft_model *model = support_model("{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 4, "
                                     "'out': 1}]}, 'modules': [{'type': "
                                     "'stat_featurizer'}]}",
                                     0);
    nft_weights *weights = NULL;
    const float numbers[4] = {3, -1, 5, 0}, bias = 7;
    const float *const tensors[] = {numbers, &bias};
    assert_ok(nft_weights_borrow(&weights, nft_model_describe(model)->space, 1, 1, tensors));
    nft_context *context = support_context(model, 1, 1);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    const float expected[14] = {1.75F, 22.75F / 3, -1, -0.25F, 1.5F, 3.5F, 5, 7, 0, 7, 7, 7, 7, 7};
    support_close("statistics", 14, nft_array_f32(nft_context_output(context, NFT_OUTPUT)->array), expected,
                  1e-6, 0);
    nft_context_free(context);
    nft_weights_free(weights);
    nft_model_free(model);
}

#define ORDERED(order)                                                                                       \
    "{'format_version': 1, 'in_channels': 4, 'space': {'layers': [{'type': 'linear', 'in': 2, 'out': 3}, "   \
    "{'type': 'linear', 'in': 3, 'out': 5}, {'type': 'linear', 'in': 5, 'out': 1}]}, 'modules': [{'type': "  \
    "'nft_block', 'num_heads': 2, 'ablate_diagonalterm': true" order "}]}"

/* Whether tensor `to` of the output changes with tensor `from` of the input. */
static bool depends(const char *text, int64_t to, int64_t from)
{
    run r = run_model(text, 4, 1);
    int64_t count = nft_weights_data_count(r.input, to);
    float *before = support_allocate((size_t)count * sizeof *before);
    memcpy(before, support_feature(r.context, to), (size_t)count * sizeof *before);
    nft_weights_edit(r.input, from)[1] += 1;
    assert_ok(nft_forward(r.context, NFT_VIEW_WEIGHTS(r.input)));
    bool changed = memcmp(before, support_feature(r.context, to), (size_t)count * sizeof *before) != 0;
    free(before);
    close_run(&r);
    return changed;
}

/* Attention of all axes at once reaches the neighbours of a layer. In forward order the last layer sees the
 * first, and the first does not see the last. */
static void order_of_axes(void **state)
{
    (void)state;
    const char *together = ORDERED(", 'order': 'together'"), *in_order = ORDERED(", 'order': 'forward'");
    assert_true(depends(together, 0, 2) && depends(together, 4, 2));
    assert_false(depends(together, 4, 0));
    assert_false(depends(together, 0, 4));
    assert_true(depends(in_order, 0, 2) && depends(in_order, 4, 2));
    assert_true(depends(in_order, 4, 0));
    assert_false(depends(in_order, 0, 4));
    run plain = run_model(ORDERED(""), 4, 1), a = run_model(together, 4, 1), b = run_model(in_order, 4, 1);
    support_identical("the default", a.output.count, a.output.values, plain.output.values);
    assert_int_equal(nft_model_describe(a.model)->tensor_count, nft_model_describe(b.model)->tensor_count);
    assert_int_equal(a.model->parameters.total, b.model->parameters.total);
    close_run(&plain);
    close_run(&a);
    close_run(&b);
}

/* A linear layer after a flattened map of p pixels is a convolution with p filter positions. */
static void flattened_maps(void **state)
{
    (void)state;
    static const char *const modules[] = {
        "{'type': 'gaussian_fourier', 'mapping_size': 2, 'scale': 1}, {'type': 'io_sinusoidal'}",
        "{'type': 'learned_pos_embedding'}, {'type': 'learned_scale', 'init_scale': 2}",
        "{'type': 'normalize'}",
        "{'type': 'pointwise', 'out_channels': 5}, {'type': 'simple_layer_norm'}",
        "{'type': 'np_attention', 'num_heads': 2, 'share_projections': false}",
        "{'type': 'nft_block', 'num_heads': 2, 'share_projections': false}, {'type': 'hnp_pool'}",
        "{'type': 'np_linear', 'out_channels': 3, 'io_embed': true}, {'type': 'np_pool'}",
        "{'type': 'hnp_linear', 'out_channels': 3}, {'type': 'stat_featurizer'}",
    };
    for (size_t i = 0; i < COUNT(modules); i++) {
        run runs[2];
        for (int k = 0; k < 2; k++) {
            char text[1024];
            snprintf(text, sizeof text,
                     "{'format_version': 1, 'in_channels': 4, 'space': {'layers': [{'type': 'conv2d', 'in': "
                     "2, 'out': "
                     "3, 'kernel': [2, 2]}, {'type': %s, 'in': 3, 'out': 4, %s}, {'type': 'linear', 'in': 4, "
                     "'out': "
                     "2}]}, 'modules': [%s]}",
                     k ? "'linear'" : "'conv2d'", k ? "'positions': 5" : "'kernel': [5, 1]", modules[i]);
            runs[k] = run_model(text, 4, 1);
        }
        assert_int_equal(runs[0].output.count, runs[1].output.count);
        support_identical(modules[i], runs[0].output.count, runs[0].output.values, runs[1].output.values);
        close_run(&runs[0]);
        close_run(&runs[1]);
    }
}

/* Without any term there is nothing, not even the unprojection's bias. */
static void ablated_attention(void **state)
{
    (void)state;
    run r = run_model(ONE_LAYER(4, "{'type': 'np_attention', 'num_heads': 2, 'share_projections': false, "
                                   "'ablate_crossterm': true, 'ablate_diagonalterm': true}"),
                      4, 1);
    assert_true(support_largest(r.output.count, r.output.values) == 0);
    close_run(&r);
}

/* Dropout is for training. */
static void dropout_is_idle(void **state)
{
    (void)state;
    run r =
        run_model(ONE_LAYER(2, "{'type': 'dropout', 'p': 0.9}, {'type': 'channel_dropout', 'p': 0.9}"), 2, 1);
    const float *values = r.output.values;
    support_identical("weight", 48, values, nft_weights_data(r.input, 0));
    support_identical("bias", 16, values + 48, nft_weights_data(r.input, 1));
    close_run(&r);
}

/* Tokens come in the order W_0 row-major, v_0; a vector has index n · C + c. */
static void order_of_tokens(void **state)
{
    (void)state;
    run r = run_model(ONE_LAYER(2, "{'type': 'flatten_weights'}, {'type': 'flatten_tokens'}"), 2, 1);
    const float *w = nft_weights_data(r.input, 0);
    const float *v = nft_weights_data(r.input, 1);
    for (int n = 0; n < 2; n++)
        for (int token = 0; token < 16; token++)
            for (int c = 0; c < 2; c++) {
                float expected = token < 12 ? w[(n * 2 + c) * 12 + token] : v[(n * 2 + c) * 4 + token - 12];
                assert_true(r.output.values[(n * 16 + token) * 2 + c] == expected);
            }
    close_run(&r);
}

/* Token t of 8 holds the numbers 4 t … 4 t + 3 of a network's 32. */
static void tokens_of_a_vector(void **state)
{
    (void)state;
    run all = run_model(ONE_LAYER(2, "{'type': 'flatten_weights'}, {'type': 'flatten_tokens'}"), 2, 1);
    run one =
        run_model(ONE_LAYER(2, "{'type': 'flatten_weights'}, {'type': 'flatten_tokens'}, {'type': "
                               "'unflatten_tokens', 'tokens': 8}, {'type': 'select_token', 'index': 5}"),
                  2, 1);
    for (int n = 0; n < 2; n++)
        support_identical("token 5", 4, one.output.values + 4 * n, all.output.values + 32 * n + 20);
    close_run(&all);
    close_run(&one);
}

/* Pixel k of H belongs to network (m - 1) k / (H - 1), rounded half to even. */
static void patches(void **state)
{
    (void)state;
    static const int64_t five_of_three[] = {0, 0, 1, 2, 2}, seven_of_four[] = {0, 0, 1, 2, 2, 2, 3},
                         three_of_two[] = {0, 0, 1};
    for (int k = 0; k < 5; k++)
        assert_int_equal(nft_decoder_patch(k, 5, 3), five_of_three[k]);
    for (int k = 0; k < 7; k++)
        assert_int_equal(nft_decoder_patch(k, 7, 4), seven_of_four[k]);
    for (int k = 0; k < 3; k++)
        assert_int_equal(nft_decoder_patch(k, 3, 2), three_of_two[k]);
    assert_int_equal(nft_decoder_patch(0, 1, 4), 0);
    for (int64_t size = 2; size < 40; size++)
        for (int64_t m = 1; m < 8; m++)
            for (int64_t k = 0; k < size; k++) {
                int64_t patch = nft_decoder_patch(k, size, m), twice = 2 * (m - 1) * k;
                int64_t off = twice - 2 * patch * (size - 1);
                assert_true(off <= size - 1 && -off <= size - 1);
                assert_true((off != size - 1 && -off != size - 1) || patch % 2 == 0);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_turns),        cmocka_unit_test(single_neurons),
        cmocka_unit_test(statistics_of_few), cmocka_unit_test(flattened_maps),
        cmocka_unit_test(ablated_attention), cmocka_unit_test(dropout_is_idle),
        cmocka_unit_test(order_of_tokens),   cmocka_unit_test(tokens_of_a_vector),
        cmocka_unit_test(patches),           cmocka_unit_test(order_of_axes),
    };
    return cmocka_run_group_tests_name("modules", tests, NULL, NULL);
}
