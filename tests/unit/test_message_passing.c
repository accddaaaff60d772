/* message_passing against its formula in double, on a chain with filters and a flattened map. */
#include "unit/random_values.h"
#include "unit/support.h"

#include "space/weights.h"

#define CHANNELS 2 /* of each weight */
#define K 5        /* of each neuron */
#define WIDEST 64  /* messages of a neuron */
#define MODEL(options)                                                                                       \
    "{'format_version': 1, 'in_channels': 2, 'space': {'layers': [{'type': 'conv2d', 'in': 2, 'out': 3, "    \
    "'kernel': [1, 2]}, {'type': 'linear', 'in': 3, 'out': 4, 'positions': 3}, {'type': 'linear', 'in': 4, " \
    "'out': 2}]}, 'modules': [{'type': 'message_passing', 'out_channels': 5" options "}]}"

typedef double activation(double x);

static double gelu(double x)
{
    return x / 2 * erfc(-x / sqrt(2));
}

typedef struct run {
    nft_model *model;
    nft_weights *set;
    nft_context *context;
} run;

static run open_run(const char *text)
{
    run r = {.model = support_model(text, 3)};
    stir_parameters(r.model, 7, true);
    r.set = support_weights(nft_model_describe(r.model)->space, 2, CHANNELS, 9);
    r.context = support_context(r.model, 1, 2);
    assert_ok(nft_forward(r.context, NFT_VIEW_WEIGHTS(r.set)));
    return r;
}

static void close_run(run *r)
{
    nft_context_free(r->context);
    nft_weights_free(r->set);
    nft_model_free(r->model);
}

static const float *parameter(const run *r, const char *name, int64_t layer)
{
    char whole[64];
    snprintf(whole, sizeof whole, name, (int)layer);
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    for (int64_t i = 0; nft_model_tensor(&info, r->model, i) == NFT_OK; i++)
        if (!strcmp(info.name, whole))
            return info.data;
    fail_msg("no parameter %s", whole);
    return NULL;
}

/* Channel c of number `index` of a tensor. */
static double number(const run *r, int64_t n, int64_t tensor, int64_t c, int64_t index)
{
    int64_t numbers = nft_weights_data_count(r->set, tensor) / r->set->count / CHANNELS;
    return (double)nft_weights_data(r->set, tensor)[(n * CHANNELS + c) * numbers + index];
}

/* y (rows, K) = x (rows, K) weightᵀ + bias, then the activation. */
static void update(int64_t rows, double *x, const float *weight, const float *bias, activation *f)
{
    for (int64_t r = 0; r < rows; r++) {
        double y[K];
        for (int o = 0; o < K; o++) {
            y[o] = (double)bias[o];
            for (int i = 0; i < K; i++)
                y[o] += f(x[r * K + i]) * (double)weight[o * K + i];
        }
        for (int o = 0; o < K; o++)
            x[r * K + o] = f(y[o]);
    }
}

/* Message e of neuron c of the layer before, element k. */
static double message(const run *r, int64_t layer, int64_t width, int64_t c, int64_t e, int64_t k,
                      const double *h)
{
    if (layer == 0)
        return (double)parameter(r, "0.inputs", 0)[(c * width + e) * K + k];
    const float *row = parameter(r, "0.edges.%d.weight", layer) + (e * K + k) * K;
    double sum = 0;
    for (int i = 0; i < K; i++)
        sum += h[c * K + i] * (double)row[i];
    return sum;
}

static double add_messages(const run *r, int64_t n, int64_t layer, int64_t row, int64_t k, const double *h)
{
    const nft_tensor *weight = &r->set->space->tensors[2 * layer];
    int64_t in = weight->sizes[1], f = weight->positions, width = CHANNELS * f;
    double sum = 0;
    for (int64_t c = 0; c < in; c++)
        for (int64_t e = 0; e < width; e++)
            sum += number(r, n, 2 * layer, e / f, (row * in + c) * f + e % f) *
                   message(r, layer, width, c, e, k, h);
    return sum / sqrt((double)(in * width));
}

static void expect(const run *r, int64_t n, activation *f, double *h)
{
    int64_t layers = r->set->space->layer_count;
    for (int64_t layer = 0; layer < layers; layer++) {
        int64_t out = r->set->space->layers[layer].out;
        const float *weight = parameter(r, "0.biases.%d.weight", layer),
                    *bias = parameter(r, "0.biases.%d.bias", layer);
        double z[WIDEST * K];
        for (int64_t row = 0; row < out; row++)
            for (int64_t k = 0; k < K; k++) {
                z[row * K + k] = add_messages(r, n, layer, row, k, h) + (double)bias[k];
                for (int c = 0; c < CHANNELS; c++)
                    z[row * K + k] += number(r, n, 2 * layer + 1, c, row) * (double)weight[k * CHANNELS + c];
            }
        if (layer + 1 < layers)
            update(out, z, parameter(r, "0.updates.%d.weight", layer),
                   parameter(r, "0.updates.%d.bias", layer), f);
        memcpy(h, z, (size_t)(out * K) * sizeof *h);
    }
}

static void check(const char *text, activation *f)
{
    run r = open_run(text);
    const nft_array *output = nft_context_output(r.context, NFT_OUTPUT)->array;
    assert_int_equal(nft_array_count(output), 2 * 2 * K);
    for (int64_t n = 0; n < 2; n++) {
        double h[WIDEST * K] = {0};
        float expected[2 * K];
        expect(&r, n, f, h);
        for (int i = 0; i < 2 * K; i++)
            expected[i] = (float)h[i];
        support_close("output", 2 * K, nft_array_f32(output) + n * 2 * K, expected, 0, 2e-5);
    }
    close_run(&r);
}

static void output_is_the_formula_with_gelu_by_default(void **state)
{
    (void)state;
    check(MODEL(""), gelu);
}

static void output_is_the_formula_with_sine(void **state)
{
    (void)state;
    check(MODEL(", 'activation': 'sine'"), sin);
}

/* A neuron of the first layer reads 2 · 2 · 2 numbers. The others have a map to K for each of 2 · 3 and of 2.
 */
static void every_layer_declares_its_parameters(void **state)
{
    (void)state;
    run r = open_run(MODEL(""));
    int64_t inputs = 8 * K, edges = 6 * K * K + 2 * K * K, biases = 3 * (2 * K + K),
            updates = 2 * (K * K + K);
    int64_t found = 0;
    for (int64_t i = 0; i < r.model->parameters.count; i++)
        found += r.model->parameters.items[i].count;
    assert_int_equal(found, inputs + edges + biases + updates);
    close_run(&r);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *config, *message;
    } cases[] = {
        {MODEL(", 'activation': 'elu'"), "activation"},
        {"{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 3, 'out': 7}]}, 'modules': "
         "[{'type': 'message_passing', 'out_channels': 0}]}",
         "out_channels"},
        {"{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 3, 'out': 7}]}, 'modules': "
         "[{'type': 'message_passing'}]}",
         "'out_channels' is missing"},
        {"{'format_version': 1, 'space': {'axes': [{'name': 'a', 'size': 2}], 'tensors': [{'name': 'w', "
         "'shape': "
         "['a']}]}, 'modules': [{'type': 'message_passing', 'out_channels': 1}]}",
         "works on chains of layers"},
        {"{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 3, 'out': 7}]}, 'modules': "
         "[{'type': 'np_pool'}, {'type': 'message_passing', 'out_channels': 1}]}",
         "takes features"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        support_refused(cases[i].config, cases[i].message);
}

static void maps_beyond_a_product_are_refused(void **state)
{
    (void)state;
    nft_model *model = NULL;
    char *json = support_json(
        "{'format_version': 1, 'space': {'layers': [{'type': 'conv2d', 'in': 1, 'out': 1, 'kernel': "
        "[16, 16]}]}, 'modules': [{'type': 'message_passing', 'out_channels': 16777216}]}");
    assert_int_equal(nft_model_create(&model, json, strlen(json), 1, NULL), NFT_ERROR_LIMIT);
    assert_non_null(strstr(nft_error_message(), "have 4294967296 numbers"));
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_is_the_formula_with_gelu_by_default),
        cmocka_unit_test(output_is_the_formula_with_sine),
        cmocka_unit_test(every_layer_declares_its_parameters),
        cmocka_unit_test(refused),
        cmocka_unit_test(maps_beyond_a_product_are_refused),
    };
    return cmocka_run_group_tests_name("message passing", tests, NULL, NULL);
}
