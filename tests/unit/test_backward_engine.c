#define _XOPEN_SOURCE 700
/* The engine of backward: the same bits whatever is recomputed and however many threads there are; memory as
 * promised; one backward for each forward. */
#include "unit/symmetry_cases.h"
#include "unit/training.h"

#include "model/backward.h"
#include "nft/train.h"

#define NETWORKS 5 /* two or three threads leave some over, which are shared */

static const test_case dropout_cases[] = {
    {.name = "blocks with dropout",
     .on = ON_MLP,
     .channels = {4, 6},
     .modules = "{'type': 'nft_block', 'num_heads': 2, 'dropout': 0.3}, {'type': 'dropout', 'p': 0.2}, "
                "{'type': 'np_attention', 'num_heads': 2, 'dropout': 0.3}"},
    {.name = "a residual with dropout",
     .on = ON_ALL,
     .channels = {4, 6},
     .modules = "{'type': 'residual', 'activation': 'gelu', 'dropout': 0.4, 'base': {'type': 'np_attention', "
                "'num_heads': 2, 'share_projections': false, 'dropout': 0.2}, 'norm': {'type': "
                "'simple_layer_norm'}}, {'type': 'channel_dropout', 'p': 0.3}, {'type': 'add_input'}"},
    {.name = "tokens with dropout",
     .on = ON_MLP,
     .channels = {4, 6},
     .modules = "{'type': 'flatten_weights'}, {'type': 'transformer_encoder_layer', 'num_heads': 2, "
                "'dim_feedforward': 5, 'dropout': 0.3}, {'type': 'perceiver', 'num_latents': 4, "
                "'latent_dim': 6, 'self_per_cross_attn': 1, 'depth': 2, 'dropout': 0.2}"},
};

static nft_context *open_context(const nft_model *model, int32_t threads, int recompute)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.threads = threads;
    options.max_batch = NETWORKS;
    options.keep_for_backward = options.input_gradient = 1;
    options.recompute = recompute;
    assert_ok(nft_context_create(&context, model, &options));
    return context;
}

/* The output's own numbers serve as its gradient: any numbers do. */
static nft_status backward(nft_context *context, nft_gradients *gradients)
{
    const nft_array *output = nft_context_output(context, NFT_OUTPUT)->array;
    return output ? nft_backward(context, NFT_VIEW_ARRAY(output), gradients)
                  : nft_backward(context, NFT_VIEW_WEIGHTS(nft_context_output(context, NFT_OUTPUT)->weights),
                                 gradients);
}

static void append_gradients(support_result *all, const nft_context *context, const nft_gradients *gradients)
{
    const nft_weights *input = nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->weights;
    support_append_floats(all, gradients->values, gradients->model->parameters.total);
    for (int64_t t = 0; t < gradients->model->space->tensor_count; t++)
        support_append_floats(all, nft_weights_data(input, t), nft_weights_data_count(input, t));
}

/* Output, then the gradients of parameters and input. */
static support_result run(const nft_model *model, const nft_weights *weights, int32_t threads, int recompute)
{
    nft_dropout_key keys[NETWORKS];
    for (uint64_t i = 0; i < NETWORKS; i++)
        keys[i] = (nft_dropout_key){.seed = 1, .step = 2, .sample = i};
    nft_context *context = open_context(model, threads, recompute);
    nft_gradients *gradients = NULL;
    assert_ok(nft_gradients_create(&gradients, model));
    nft_context_set_dropout(context, keys);
    support_result all = support_forward(context, weights);
    assert_ok(backward(context, gradients));
    append_gradients(&all, context, gradients);
    nft_gradients_free(gradients);
    nft_context_free(context);
    return all;
}

static void same_bits_in(const test_case *c, const test_space *space)
{
    nft_model *model = make_model(c, space, c->channels[1], 3);
    nft_weights *weights = support_weights(nft_model_describe(model)->space, NETWORKS, c->channels[1], 6);
    support_result expected = run(model, weights, 1, 0);
    for (int32_t threads = 1; threads <= 3; threads++)
        for (int recompute = threads == 1; recompute <= 1; recompute++) {
            char what[160];
            snprintf(what, sizeof what, "%s on %s, %d threads, recompute %d", c->name, space->name, threads,
                     recompute);
            support_result found = run(model, weights, threads, recompute);
            assert_int_equal(found.count, expected.count);
            support_identical(what, found.count, found.values, expected.values);
            free(found.values);
        }
    free(expected.values);
    nft_weights_free(weights);
    nft_model_free(model);
}

static void same_bits(void **state)
{
    (void)state;
    const struct {
        const test_case *cases;
        size_t count;
    } lists[] = {{neuron_cases, COUNT(neuron_cases)},
                 {hidden_cases, COUNT(hidden_cases)},
                 {model_cases, COUNT(model_cases)},
                 {entry_cases, COUNT(entry_cases)},
                 {dropout_cases, COUNT(dropout_cases)}};
    for (size_t i = 0; i < COUNT(lists); i++)
        for (size_t k = 0; k < lists[i].count; k++)
            for (size_t space = 0; space < COUNT(spaces); space++)
                if (runs_on(&lists[i].cases[k], &spaces[space]))
                    same_bits_in(&lists[i].cases[k], &spaces[space]);
}

/* Tensors of several chunks, which a team shares. */
static void same_bits_in_chunks(void **state)
{
    (void)state;
    static const test_space wide = {"a wide MLP",
                                    "{'layers': [{'type': 'linear', 'in': 3, 'out': 14}, {'type': 'linear', "
                                    "'in': 14, 'out': 30}, {'type': 'linear', 'in': 30, 'out': 2}]}",
                                    ON_DEEP_MLP};
    for (size_t i = 0; i < COUNT(dropout_cases); i++)
        same_bits_in(&dropout_cases[i], &wide);
}

/* Blocks, on a space large enough for its inside to be most of the memory. */
#define DEEP                                                                                                 \
    "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 3, 'out': 20}, {'type': 'linear', " \
    "'in': 20, 'out': 20}, {'type': 'linear', 'in': 20, 'out': 2}]}, 'modules': [{'type': "                  \
    "'gaussian_fourier', 'mapping_size': 8}, {'type': 'nft_block'}, {'type': 'nft_block'}, {'type': "        \
    "'nft_block'}, {'type': 'nft_block'}, {'type': 'flatten_weights'}, {'type': 'mean_tokens'}]}"

static int64_t counted_bytes;

static void *counted_allocate(size_t bytes, void *user)
{
    (void)user;
    counted_bytes += (int64_t)bytes;
    return malloc(bytes);
}

static void counted_release(void *block, void *user)
{
    (void)user;
    free(block);
}

/* A context takes the memory that it announced, and forward and backward take nothing more. */
static int64_t promised(const nft_model *model, const nft_weights *weights, int32_t threads, int recompute)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    int64_t bytes = 0;
    options.threads = threads;
    options.max_batch = NETWORKS;
    options.keep_for_backward = options.input_gradient = 1;
    options.recompute = recompute;
    assert_ok(nft_context_cost(&bytes, NULL, model, NULL, &options));
    nft_gradients *gradients = NULL;
    assert_ok(nft_gradients_create(&gradients, model));
    counted_bytes = 0;
    nft_context *context = open_context(model, threads, recompute);
    /* besides: tables of a few kilobytes */
    assert_true(counted_bytes >= bytes && counted_bytes <= bytes + bytes / 20 + 8192);
    counted_bytes = 0;
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    assert_ok(backward(context, gradients));
    assert_int_equal(counted_bytes, 0);
    nft_context_free(context);
    nft_gradients_free(gradients);
    return bytes;
}

static void promised_memory(void **state)
{
    (void)state;
    const nft_allocator allocator = {sizeof allocator, counted_allocate, counted_release, NULL};
    assert_ok(nft_set_allocator(&allocator));
    nft_model *model = support_model(DEEP, 0);
    nft_weights *weights = support_weights(nft_model_describe(model)->space, NETWORKS, 1, 0);
    int64_t kept = promised(model, weights, 1, 0), recomputed = promised(model, weights, 1, 1);
    promised(model, weights, 3, 0);
    promised(model, weights, 3, 1);
    if (recomputed > kept / 2)
        fail_msg("%" PRId64 " bytes with recompute, %" PRId64 " without", recomputed, kept);
    nft_weights_free(weights);
    nft_model_free(model);
    assert_ok(nft_set_allocator(NULL));
}

/* The limit is compared with the announced memory. */
static void memory_limit(void **state)
{
    (void)state;
    nft_model *model = support_model(DEEP, 0);
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    int64_t bytes = 0;
    options.keep_for_backward = options.recompute = 1;
    assert_ok(nft_context_cost(&bytes, NULL, model, NULL, &options));
    options.memory_limit = bytes - 1;
    assert_int_equal(nft_context_create(&context, model, &options), NFT_ERROR_LIMIT);
    assert_null(context);
    options.memory_limit = bytes;
    assert_ok(nft_context_create(&context, model, &options));
    nft_context_free(context);
    nft_model_free(model);
}

/* A backward uses up the values that a forward kept, unless they are recomputed. Then a second backward gives
 * the same numbers. */
static void second_backward(void **state)
{
    (void)state;
    nft_model *model = support_model(DEEP, 0);
    nft_weights *weights = support_weights(nft_model_describe(model)->space, NETWORKS, 1, 0);
    int64_t total = model->parameters.total;
    for (int recompute = 0; recompute <= 1; recompute++) {
        nft_context *context = open_context(model, 2, recompute);
        nft_gradients *once = NULL, *twice = NULL;
        assert_ok(nft_gradients_create(&once, model));
        assert_ok(nft_gradients_create(&twice, model));
        assert_int_equal(backward(context, once), NFT_ERROR_ARGUMENT);
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
        assert_ok(backward(context, once));
        if (recompute) {
            assert_ok(backward(context, twice));
        } else {
            assert_int_equal(backward(context, twice), NFT_ERROR_ARGUMENT);
            assert_non_null(strstr(nft_error_message(), "call nft_forward again"));
            assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
            assert_ok(backward(context, twice));
        }
        support_identical("the second gradients", total, twice->values, once->values);
        nft_gradients_free(once);
        nft_gradients_free(twice);
        nft_context_free(context);
    }
    nft_weights_free(weights);
    nft_model_free(model);
}

/* Normalizes in the middle and inside another module. */
#define NORMALIZED                                                                                           \
    MLP("{'type': 'pointwise', 'out_channels': 4}, {'type': 'normalize'}, {'type': 'residual', "             \
        "'activation': 'gelu', 'dropout': 0.2, 'base': {'type': 'normalize', 'per': 'weight'}, 'norm': "     \
        "{'type': 'simple_layer_norm'}}, {'type': 'nft_block', 'num_heads': 2, 'dropout': 0.2}, {'type': "   \
        "'hnp_pool'}, {'type': 'linear', 'out_features': 1}, {'type': 'sigmoid'}")                           \
    "}"

static support_result train(const nft_model *model, const nft_weights *set, int32_t threads, int recompute)
{
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    nft_trainer *trainer = NULL;
    char *json = support_json(RECIPE);
    options.threads = threads;
    options.recompute = recompute;
    assert_ok(nft_trainer_create(&trainer, model, json, strlen(json), &options));
    assert_ok(set_data(trainer, set, set));
    assert_ok(nft_trainer_fit_normalize(trainer));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    support_result values = trainer_values(trainer);
    nft_trainer_free(trainer);
    free(json);
    return values;
}

/* A trainer gives the same bits, from the statistics of its data on. */
static void trainers(void **state)
{
    (void)state;
    nft_model *model = support_model(NORMALIZED, 0);
    nft_weights *set = make_set(model, SAMPLES, 1);
    support_result expected = train(model, set, 1, 0);
    for (int32_t threads = 1; threads <= 3; threads++) {
        support_result found = train(model, set, threads, 1);
        same_values("the trained model", found, expected);
        free(found.values);
    }
    free(expected.values);
    nft_weights_free(set);
    nft_model_free(model);
}

/* A trainer takes no more than it said, which counts the validation that there is none of here. */
static void memory_of_trainers(void **state)
{
    (void)state;
    const nft_allocator allocator = {sizeof allocator, counted_allocate, counted_release, NULL};
    assert_ok(nft_set_allocator(&allocator));
    nft_model *model = support_model(DEEP, 0);
    char *json = support_json("{'loss': 'mse', " ADAMW ", 'batch_size': 16, 'steps': 1}");
    int64_t bytes[2] = {0};
    for (int recompute = 0; recompute <= 1; recompute++) {
        nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
        nft_trainer *trainer = NULL;
        options.threads = 2;
        options.recompute = recompute;
        assert_ok(nft_trainer_memory(&bytes[recompute], model, NULL, json, strlen(json), &options));
        counted_bytes = 0;
        assert_ok(nft_trainer_create(&trainer, model, json, strlen(json), &options));
        if (counted_bytes > bytes[recompute] || counted_bytes < bytes[recompute] / 2)
            fail_msg("it said %" PRId64 " bytes and took %" PRId64, bytes[recompute], counted_bytes);
        nft_trainer_free(trainer);
    }
    assert_true(bytes[1] < bytes[0] / 2);
    free(json);
    nft_model_free(model);
    assert_ok(nft_set_allocator(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits),          cmocka_unit_test(same_bits_in_chunks),
        cmocka_unit_test(promised_memory),    cmocka_unit_test(memory_limit),
        cmocka_unit_test(second_backward),    cmocka_unit_test(trainers),
        cmocka_unit_test(memory_of_trainers),
    };
    return cmocka_run_group_tests_name("backward engine", tests, NULL, NULL);
}
