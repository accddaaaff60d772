/* The output of dropout and channel_dropout in training: each number, or each effective channel of a weight,
 * is 0 or 1/(1 - p) times its input, and another choice in every sample. */
#include "unit/symmetry_cases.h"

#include "model/context.h"

#define NETWORKS 40
#define CHANNELS 3
#define P 0.3

static const test_space space = {"CNN",
                                 "{'layers': [{'type': 'conv2d', 'in': 2, 'out': 5, 'kernel': [2, 3]}, "
                                 "{'type': 'linear', 'in': 5, 'out': 4}]}",
                                 ON_CNN};

typedef struct trained {
    nft_model *model;
    nft_weights *input;
    nft_context *context;
} trained;

static trained run_training(const test_case *c)
{
    trained t = {.model = make_model(c, &space, CHANNELS, 1)};
    nft_dropout_key keys[NETWORKS];
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.threads = 1;
    options.max_batch = NETWORKS;
    options.keep_for_backward = 1;
    t.input = support_weights(t.model->space, NETWORKS, CHANNELS, 2);
    for (uint64_t i = 0; i < NETWORKS; i++)
        keys[i] = (nft_dropout_key){.seed = 3, .step = 4, .sample = i};
    assert_ok(nft_context_create(&t.context, t.model, &options));
    t.context->dropout = keys;
    assert_ok(nft_forward(t.context, NFT_VIEW_WEIGHTS(t.input)));
    return t;
}

static void finish(trained *t)
{
    nft_context_free(t->context);
    nft_weights_free(t->input);
    nft_model_free(t->model);
}

/* One tensor of a network, as a set has it: (channels, tokens, positions). */
typedef struct tensor_case {
    int64_t tensor;
    int64_t tokens, positions;
    bool together; /* all tokens of a channel share their fate */
} tensor_case;

/* The first number with the same fate as number `i`. */
static int64_t first_of(const tensor_case *c, int64_t i)
{
    return c->together ? i / (c->tokens * c->positions) * c->tokens * c->positions + i % c->positions : i;
}

/* Whether a number was dropped; a kept one is scaled. */
static bool is_dropped(float before, float after)
{
    if (after != 0)
        assert_float_equal(after, before / (1 - (float)P), 1e-6F * fabsf(before));
    return after == 0;
}

static void check_tensor(const trained *t, const tensor_case *c)
{
    const nft_weights *output = nft_context_output(t->context, NFT_OUTPUT)->weights;
    bool dropped[2][CHANNELS * 60];
    int64_t floats = CHANNELS * c->tokens * c->positions, all = 0, count = 0, same = 0;
    assert_int_equal(nft_weights_data_count(t->input, c->tensor), NETWORKS * floats);
    for (int64_t n = 0; n < NETWORKS; n++) {
        const float *before = nft_weights_data(t->input, c->tensor) + n * floats,
                    *after = nft_weights_data(output, c->tensor) + n * floats;
        bool *own = dropped[n % 2];
        for (int64_t i = 0; i < floats; i++) {
            int64_t first = first_of(c, i);
            own[i] = is_dropped(before[i], after[i]);
            assert_true(own[i] == own[first]);
            all += i == first;
            count += i == first && own[i];
            same += i == first && n > 0 && dropped[0][i] == dropped[1][i];
        }
    }
    double deviation = sqrt(P * (1 - P) * (double)all);
    assert_true(fabs((double)count - P * (double)all) <= 5 * deviation);
    assert_true(same < all * 3 / 4); /* two samples agree in p² + (1 - p)² = 0.58 of them */
}

static void dropout(void **state)
{
    (void)state;
    static const test_case c = {.modules = "{'type': 'dropout', 'p': 0.3}"};
    static const tensor_case tensors[] = {
        {0, 10, 6, false}, {1, 5, 1, false}, {2, 20, 1, false}, {3, 4, 1, false}};
    trained t = run_training(&c);
    for (size_t i = 0; i < COUNT(tensors); i++)
        check_tensor(&t, &tensors[i]);
    finish(&t);
}

static void channel_dropout(void **state)
{
    (void)state;
    static const test_case c = {.modules = "{'type': 'channel_dropout', 'p': 0.3}"};
    static const tensor_case tensors[] = {
        {0, 10, 6, true}, {1, 5, 1, false}, {2, 20, 1, true}, {3, 4, 1, false}};
    trained t = run_training(&c);
    for (size_t i = 0; i < COUNT(tensors); i++)
        check_tensor(&t, &tensors[i]);
    finish(&t);
}

/* Tensors do not share their fate. */
static void tensors_differ(void **state)
{
    (void)state;
    static const test_case c = {.modules = "{'type': 'channel_dropout', 'p': 0.3}"};
    trained t = run_training(&c);
    const nft_weights *output = nft_context_output(t.context, NFT_OUTPUT)->weights;
    int64_t same = 0;
    for (int64_t i = 0; i < NETWORKS * CHANNELS; i++)
        same += (nft_weights_data(output, 0)[i * 60] == 0) == (nft_weights_data(output, 2)[i * 20] == 0);
    assert_true(same < NETWORKS * CHANNELS * 3 / 4);
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dropout), cmocka_unit_test(channel_dropout),
                                       cmocka_unit_test(tensors_differ)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
