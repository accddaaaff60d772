/* Attention along an axis whose vectors exceed the caches, in several chunks of queries. */
#include "modules/weights/np_attention.h"
#include "nft/train.h"
#include "unit/support.h"

#define A 28
#define B 600
#define CHANNELS 64
#define TOKENS ((int64_t)A * B)
#define MODEL                                                                                                \
    "{'format_version': 1, 'space': {'axes': [{'name': 'a', 'size': 28}, {'name': 'b', 'size': 600}], "      \
    "'tensors': [{'name': 'w', 'shape': ['a', 'b']}]}, 'in_channels': 64, 'modules': [{'type': "             \
    "'np_attention', 'num_heads': 1, 'ablate_diagonalterm': true}]}"

/* Entry k of vector i stands at token i · vector + k · entry. */
typedef struct view {
    int64_t vectors, size, vector, entry;
} view;

/* q, k and v of every token, (TOKENS, 3 CHANNELS), from the input (C, A, B). */
static double *project(const nft_model *model, const float *x)
{
    nft_tensor_info weight = NFT_TENSOR_INFO_INIT, bias = NFT_TENSOR_INFO_INIT;
    assert_ok(nft_model_tensor(&weight, model, 0));
    assert_ok(nft_model_tensor(&bias, model, 1));
    double *qkv = support_allocate((size_t)(TOKENS * 3 * CHANNELS) * sizeof *qkv);
    for (int64_t token = 0; token < TOKENS; token++)
        for (int64_t o = 0; o < 3 * CHANNELS; o++) {
            double sum = (double)bias.data[o];
            for (int64_t c = 0; c < CHANNELS; c++)
                sum += (double)weight.data[o * CHANNELS + c] * (double)x[c * TOKENS + token];
            qkv[token * 3 * CHANNELS + o] = sum;
        }
    return qkv;
}

static double score(const view *v, const double *qkv, int64_t query, int64_t key)
{
    double sum = 0;
    for (int64_t k = 0; k < v->size; k++) {
        const double *q = qkv + (query * v->vector + k * v->entry) * 3 * CHANNELS,
                     *other = qkv + (key * v->vector + k * v->entry) * 3 * CHANNELS + CHANNELS;
        for (int64_t c = 0; c < CHANNELS; c++)
            sum += q[c] * other[c];
    }
    return sum / sqrt((double)(v->size * CHANNELS));
}

/* Adds the results of some queries to out (TOKENS, CHANNELS). */
static void attend(const view *v, const double *qkv, int64_t query, double *out)
{
    double weights[B], total = 0, largest = -INFINITY;
    for (int64_t key = 0; key < v->vectors; key++) {
        weights[key] = score(v, qkv, query, key);
        largest = fmax(largest, weights[key]);
    }
    for (int64_t key = 0; key < v->vectors; key++)
        total += weights[key] = exp(weights[key] - largest);
    for (int64_t key = 0; key < v->vectors; key++)
        for (int64_t k = 0; k < v->size; k++)
            for (int64_t c = 0; c < CHANNELS; c++)
                out[(query * v->vector + k * v->entry) * CHANNELS + c] +=
                    weights[key] / total *
                    qkv[(key * v->vector + k * v->entry) * 3 * CHANNELS + 2 * CHANNELS + c];
}

static const view along_a = {B, A, 1, B}, along_b = {A, B, B, 1};

static void both_axes_are_large(void **state)
{
    (void)state;
    nft_model *model = support_model(MODEL, 0);
    const nft_space *space = nft_model_describe(model)->space;
    int64_t next = 0, first, count;
    assert_true(nft_attention_axis_is_large(&space->axes[0], CHANNELS));
    assert_true(nft_attention_axis_is_large(&space->axes[1], CHANNELS));
    int64_t chunks = nft_attention_chunk_count(&space->axes[0], true);
    assert_true(chunks > 1 && chunks < nft_attention_chunk_count(&space->axes[0], false));
    for (int64_t i = 0; i < chunks; i++, next += count) {
        nft_attention_chunk(&space->axes[0], true, i, &first, &count);
        assert_true(first == next && count > 0 && count <= 4 * NFT_CHUNK_ROWS);
    }
    assert_int_equal(next, B);
    nft_model_free(model);
}

/* Queries at both ends of every chunk, against double. */
static void results_are_right(void **state)
{
    (void)state;
    nft_model *model = support_model(MODEL, 0);
    nft_context *context = support_context(model, 2, 1);
    nft_weights *input = support_weights(nft_model_describe(model)->space, 1, CHANNELS, 7);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(input)));
    const float *found = nft_weights_data(nft_context_output(context, NFT_OUTPUT)->weights, 0);
    double *qkv = project(model, nft_weights_data(input, 0)),
           *out = support_allocate((size_t)(TOKENS * CHANNELS) * sizeof *out);
    const int64_t columns[] = {0, 119, 120, 479, 480, B - 1};
    for (int64_t row = 0; row < A; row++)
        attend(&along_b, qkv, row, out);
    for (size_t i = 0; i < COUNT(columns); i++) {
        attend(&along_a, qkv, columns[i], out);
        float expected[A * CHANNELS], own[A * CHANNELS];
        for (int64_t row = 0; row < A; row++)
            for (int64_t c = 0; c < CHANNELS; c++) {
                int64_t token = row * B + columns[i];
                expected[row * CHANNELS + c] = (float)out[token * CHANNELS + c];
                own[row * CHANNELS + c] = found[c * TOKENS + token];
            }
        support_close("a column", COUNT(own), own, expected, 1e-5, 1e-5);
    }
    free(out);
    free(qkv);
    nft_weights_free(input);
    nft_context_free(context);
    nft_model_free(model);
}

static double loss_at(nft_context *context, nft_weights *input, const float *x, const float *direction,
                      double step, const float *given)
{
    float *values = nft_weights_edit(input, 0);
    for (int64_t i = 0; i < TOKENS * CHANNELS; i++)
        values[i] = (float)((double)x[i] + step * (double)direction[i]);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(input)));
    const float *out = nft_weights_data(nft_context_output(context, NFT_OUTPUT)->weights, 0);
    double loss = 0;
    for (int64_t i = 0; i < TOKENS * CHANNELS; i++)
        loss += (double)out[i] * (double)given[i];
    return loss;
}

/* Along its gradient the loss Σ g · output rises by the gradient's square. */
static void the_gradient_is_the_slope(void **state)
{
    (void)state;
    size_t bytes = (size_t)(TOKENS * CHANNELS) * sizeof(float);
    nft_model *model = support_model(MODEL, 0);
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.threads = 2;
    options.max_batch = 1;
    options.keep_for_backward = 1;
    options.input_gradient = 1;
    nft_context *context = NULL;
    nft_gradients *gradients = NULL;
    assert_ok(nft_context_create(&context, model, &options));
    assert_ok(nft_gradients_create(&gradients, model));
    nft_weights *input = support_weights(nft_model_describe(model)->space, 1, CHANNELS, 7),
                *given = support_weights(nft_model_describe(model)->space, 1, CHANNELS, 8);
    float *x = support_allocate(bytes), *direction = support_allocate(bytes);
    memcpy(x, nft_weights_data(input, 0), bytes);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(input)));
    assert_ok(nft_backward(context, NFT_VIEW_WEIGHTS(given), gradients));
    memcpy(direction, nft_weights_data(nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->weights, 0),
           bytes);
    double square = 0;
    for (int64_t i = 0; i < TOKENS * CHANNELS; i++)
        square += (double)direction[i] * (double)direction[i];
    double step = 1 / sqrt(square);
    double slope = (loss_at(context, input, x, direction, step, nft_weights_data(given, 0)) -
                    loss_at(context, input, x, direction, -step, nft_weights_data(given, 0))) /
                   (2 * step);
    print_message("slope %.6g, square of the gradient %.6g\n", slope, square);
    assert_true(square > 0 && fabs(slope - square) < 1e-2 * square);
    free(direction);
    free(x);
    nft_weights_free(given);
    nft_weights_free(input);
    nft_gradients_free(gradients);
    nft_context_free(context);
    nft_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_axes_are_large),
                                       cmocka_unit_test(results_are_right),
                                       cmocka_unit_test(the_gradient_is_the_slope)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
