/* lift and unlift: where positions go, and where the modules may stand. */
#include "nft/train.h"
#include "unit/support.h"

#define ANY(modules) "{'format_version': 1, 'space': 'any', 'in_channels': 2, 'modules': [" modules "]}"
#define CHANNELS 2
#define OUTPUTS 3
#define SIDE 3
#define PLACES (SIDE * SIDE)
#define NEURONS 5
#define POSITIONS 25 /* the most of a tensor */

/* Tensors of one axis. height 0: their positions are no kernel that fits. */
typedef struct positions {
    const char *shape, *role;
    int64_t count, height, width;
    bool before; /* the axis, in the file */
} positions;

static const positions tensors[] = {
    {"['a']", "gain", 1, 1, 1, false},
    {"['a', 3, 3]", "depthwise", 9, 3, 3, false},
    {"['a', 2, 2]", "depthwise", 4, 2, 2, false},
    {"['a', 2, 1]", "depthwise", 2, 1, 2, false}, /* a dimension of 1 does not count */
    {"['a', 2, 3]", "depthwise", 6, 2, 3, false},
    {"[1, 'a', 3]", "depthwise", 3, 1, 3, false},
    {"[3, 'a']", "depthwise", 3, 1, 3, true},
    {"['a', 5, 5]", "depthwise", 25, 0, 0, false},   /* larger than S */
    {"['a', 4]", "depthwise", 4, 0, 0, false},       /* the same in one dimension */
    {"['a', 2, 2, 2]", "depthwise", 8, 0, 0, false}, /* three dimensions */
    {"[['a', 2]]", "depthwise", 2, 0, 0, false},     /* a flattened map */
    {"[['a', 3], 2]", "depthwise", 6, 0, 0, false},  /* one of two is joined */
    {"[[2, 'a']]", "depthwise", 2, 0, 0, true}};
#define TENSORS (int64_t) COUNT(tensors)

static nft_space *all_tensors(void)
{
    char text[2048] = "{'axes': [{'name': 'a', 'size': 5}], 'tensors': [";
    for (int64_t t = 0; t < TENSORS; t++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s{'name': 't%d', 'shape': %s}",
                 t ? ", " : "", (int)t, tensors[t].shape);
    snprintf(text + strlen(text), sizeof text - strlen(text), "]}");
    char *json = support_json(text);
    nft_space *space = NULL;
    assert_ok(nft_space_parse(&space, json, strlen(json)));
    free(json);
    return space;
}

static const float *parameter(const nft_model *model, const char *role, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "0.maps.%s.%s", role, name);
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&info, model, i));
        if (!strcmp(info.name, full))
            return info.data;
    }
    fail_msg("there is no parameter %s", full);
    return NULL;
}

/* The value of one place, from the positions of one channel of one neuron. */
static double place_of(const positions *t, const double *x, int64_t place)
{
    if (t->height) {
        int64_t row = place / SIDE - (SIDE - t->height) / 2, column = place % SIDE - (SIDE - t->width) / 2;
        bool inside = row >= 0 && row < t->height && column >= 0 && column < t->width;
        return inside ? x[row * t->width + column] : 0;
    }
    double sum = 0;
    int64_t first = place * t->count / PLACES, end = ((place + 1) * t->count + PLACES - 1) / PLACES;
    for (int64_t i = first; i < end; i++)
        sum += x[i];
    return sum / (double)(end - first);
}

/* Lifted channel `o` of one neuron, from the file's array (C, shape). */
static double lifted(const positions *t, const float *weight, const float *bias, const float *array,
                     int64_t neuron, int64_t o)
{
    double sum = (double)bias[o];
    for (int64_t c = 0; c < CHANNELS; c++) {
        double x[POSITIONS];
        for (int64_t p = 0; p < t->count; p++)
            x[p] = (double)
                array[c * NEURONS * t->count + (t->before ? p * NEURONS + neuron : neuron * t->count + p)];
        for (int64_t place = 0; place < PLACES; place++)
            sum += (double)weight[(o * CHANNELS + c) * PLACES + place] * place_of(t, x, place);
    }
    return sum;
}

static void positions_of_every_kind_have_their_places(void **state)
{
    (void)state;
    nft_model *model = support_model(ANY("{'type': 'lift', 'out_channels': 3, 'positions': 9}"), 4);
    nft_space *space = all_tensors();
    nft_context *context = support_context(model, 1, 1);
    nft_weights *input = support_weights(space, 1, CHANNELS, 7);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(input)));
    const nft_weights *output = nft_context_output(context, NFT_OUTPUT)->weights;
    for (int64_t t = 0; t < TENSORS; t++) {
        const float *weight = parameter(model, tensors[t].role, "weight"),
                    *bias = parameter(model, tensors[t].role, "bias");
        float expected[OUTPUTS * NEURONS];
        for (int64_t o = 0; o < OUTPUTS; o++)
            for (int64_t k = 0; k < NEURONS; k++)
                expected[o * NEURONS + k] =
                    (float)lifted(&tensors[t], weight, bias, nft_weights_data(input, t), k, o);
        assert_int_equal(nft_weights_data_count(output, t), OUTPUTS * NEURONS);
        support_close(tensors[t].shape, OUTPUTS * NEURONS, nft_weights_data(output, t), expected, 1e-5, 1e-6);
    }
    nft_weights_free(input);
    nft_context_free(context);
    nft_space_free(space);
    nft_model_free(model);
}

static double product(int64_t count, const float *a, const float *b)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Σ g · output is linear in weights and biases together, so it is the product of parameters and gradients;
 * and without the biases' part it is that of the input and its gradient. */
static void gradients_agree_with_the_output(void **state)
{
    (void)state;
    nft_model *model = support_model(ANY("{'type': 'lift', 'out_channels': 3, 'positions': 9}"), 4);
    nft_space *space = all_tensors();
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.threads = 2;
    options.max_batch = 1;
    options.keep_for_backward = 1;
    options.input_gradient = 1;
    nft_context *context = NULL;
    nft_gradients *gradients = NULL;
    assert_ok(nft_context_create(&context, model, &options));
    assert_ok(nft_gradients_create(&gradients, model));
    nft_weights *input = support_weights(space, 1, CHANNELS, 7);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(input)));
    const nft_weights *output = nft_context_output(context, NFT_OUTPUT)->weights;
    nft_weights *given = support_weights(nft_weights_space(output), 1, OUTPUTS, 9);
    double loss = 0, by_parameters = 0, by_biases = 0, by_input = 0;
    for (int64_t t = 0; t < TENSORS; t++)
        loss += product(OUTPUTS * NEURONS, nft_weights_data(output, t), nft_weights_data(given, t));
    assert_ok(nft_backward(context, NFT_VIEW_WEIGHTS(given), gradients));
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info values = NFT_TENSOR_INFO_INIT, gradient = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&values, model, i));
        assert_ok(nft_gradients_tensor(&gradient, gradients, i));
        double share = product(values.count, values.data, gradient.data);
        by_parameters += share;
        by_biases += values.rank == 1 ? share : 0;
    }
    const nft_weights *back = nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->weights;
    for (int64_t t = 0; t < TENSORS; t++)
        by_input +=
            product(nft_weights_data_count(input, t), nft_weights_data(input, t), nft_weights_data(back, t));
    assert_true(fabs(loss) > 0.1 && fabs(by_biases) > 0.1);
    assert_true(fabs(by_parameters - loss) < 1e-5 * (1 + fabs(loss)));
    assert_true(fabs(by_input + by_biases - loss) < 1e-5 * (1 + fabs(loss)));
    nft_weights_free(given);
    nft_weights_free(input);
    nft_gradients_free(gradients);
    nft_context_free(context);
    nft_space_free(space);
    nft_model_free(model);
}

#define CHAIN(modules)                                                                                       \
    "{'format_version': 1, 'space': {'layers': [{'type': 'conv2d', 'in': 1, 'out': 4, 'kernel': [3, 3]}, "   \
    "{'type': 'linear', 'in': 4, 'out': 2}]}, 'in_channels': 2, 'modules': [" modules "]}"
#define LIFT "{'type': 'lift', 'out_channels': 4}"
#define UNLIFT "{'type': 'unlift', 'out_channels': 4}"

typedef struct refusal {
    const char *model, *message;
} refusal;

static const refusal refusals[] = {
    {CHAIN(LIFT ", " LIFT), "modules[1] (lift): the features were lifted before"},
    {CHAIN(UNLIFT), "modules[0] (unlift): the features were not lifted"},
    {CHAIN(LIFT ", " UNLIFT ", " UNLIFT), "modules[2] (unlift): the features were not lifted"},
    {CHAIN("{'type': 'lift', 'out_channels': 4, 'positions': 9}"), "positions"},
    {CHAIN("{'type': 'lift', 'out_channels': 0}"), "out_channels"},
    {CHAIN("{'type': 'np_attention', 'num_heads': 1}"), "put lift before it"},
    {CHAIN("{'type': 'np_pool'}, " LIFT), "lift"},
    {CHAIN("{'type': 'residual', 'activation': 'relu', 'dropout': 0, 'norm': null, 'base': {'type': 'lift', "
           "'out_channels': 2}}"),
     "inside another module"},
    {ANY("{'type': 'lift', 'out_channels': 4, 'positions': 10}"), "must be a square"},
    {ANY("{'type': 'lift', 'out_channels': 4, 'positions': 0}"), "positions"},
    {ANY("{'type': 'nft_block', 'num_heads': 1}"), "behind lift"},
    {ANY(LIFT ", " UNLIFT), "any space"},
    {ANY(LIFT ", {'type': 'np_attention', 'num_heads': 1, 'share_projections': false}"),
     "'share_projections' is false"},
    {ANY(LIFT ", {'type': 'np_attention', 'num_heads': 3}"), "do not divide by num_heads"},
    {ANY("{'type': 'lift', 'out_channels': 1}, {'type': 'simple_layer_norm'}"),
     "needs at least 2; put gaussian_fourier, pointwise or lift before it"}};

static void wrong_places_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        char *json = support_json(refusals[i].model);
        nft_model *model = NULL;
        nft_status status = nft_model_create(&model, json, strlen(json), 0, NULL);
        if (status != NFT_ERROR_CONFIG || model || !strstr(nft_error_message(), refusals[i].message))
            fail_msg("%s: status %d, \"%s\"", refusals[i].model, (int)status,
                     status ? nft_error_message() : "");
        free(json);
    }
}

static void lift_and_unlift_take_turns(void **state)
{
    (void)state;
    nft_model *model =
        support_model(CHAIN(LIFT ", " UNLIFT ", " LIFT ", {'type': 'np_attention', 'num_heads': "
                                 "2}, " UNLIFT),
                      0);
    nft_context *context = support_context(model, 1, 1);
    nft_weights *input = support_weights(nft_model_describe(model)->space, 1, 2, 3);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(input)));
    const nft_weights *output = nft_context_output(context, NFT_OUTPUT)->weights;
    assert_int_equal(nft_weights_channels(output), 4);
    assert_true(nft_space_equal(nft_weights_space(output), nft_model_describe(model)->space));
    nft_weights_free(input);
    nft_context_free(context);
    nft_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(positions_of_every_kind_have_their_places),
                                       cmocka_unit_test(gradients_agree_with_the_output),
                                       cmocka_unit_test(wrong_places_are_refused),
                                       cmocka_unit_test(lift_and_unlift_take_turns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
