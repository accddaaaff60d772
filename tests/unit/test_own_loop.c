#define _XOPEN_SOURCE 700
/* A training loop of the caller's own: forward, backward, and an update of the context's model, which nobody
 * else's model follows. */
#include "unit/training.h"

#include "model/backward.h"
#include "nft/train.h"

#define NETWORKS 4

static const char config[] = "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 2, 'out': "
                             "3}, {'type': 'linear', 'in': 3, "
                             "'out': 1}]}, 'in_channels': 1, 'modules': [{'type': 'normalize'}, {'type': "
                             "'pointwise', 'out_channels': 4}, "
                             "{'type': 'nft_block', 'num_heads': 2, 'dropout': 0}, {'type': 'hnp_pool'}, "
                             "{'type': 'linear', 'out_features': "
                             "2}]}";

static nft_context *open_context(const nft_model *model, int recompute)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.threads = 2;
    options.max_batch = NETWORKS;
    options.keep_for_backward = 1;
    options.recompute = recompute;
    assert_ok(nft_context_create(&context, model, &options));
    return context;
}

/* Output and gradients, of a loss whose gradient is the output. */
static support_result run(nft_context *context, nft_gradients *gradients, const nft_weights *weights)
{
    support_result all = support_forward(context, weights);
    nft_gradients_clear(gradients);
    assert_ok(
        nft_backward(context, NFT_VIEW_ARRAY(nft_context_output(context, NFT_OUTPUT)->array), gradients));
    nft_model *model = NULL;
    assert_ok(nft_context_snapshot(&model, context));
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_gradients_tensor(&info, gradients, i));
        support_append_floats(&all, info.data, info.count);
    }
    nft_model_free(model);
    return all;
}

static nft_status set_all(nft_context *context, const nft_model *from)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < nft_model_describe(from)->tensor_count && !status; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&info, from, i));
        status = nft_context_set_tensor(context, i, info.data, info.count);
    }
    return status;
}

static void check_same(const char *what, support_result found, support_result expected)
{
    same_values(what, found, expected);
    free(found.values);
    free(expected.values);
}

/* A context that is given another model's parameters gives the results of that model's context. */
static void parameters_are_replaced(void **state)
{
    (void)state;
    for (int recompute = 0; recompute < 2; recompute++) {
        nft_model *first = support_model(config, 1), *second = support_model(config, 2), *kept = NULL;
        nft_weights *weights = support_weights(nft_model_describe(first)->space, NETWORKS, 1, 3);
        nft_context *context = open_context(first, recompute), *other = open_context(second, recompute),
                    *sharing = open_context(first, recompute);
        nft_gradients *gradients = NULL;
        assert_ok(nft_gradients_create(&gradients, first));
        support_result before = run(context, gradients, weights);
        assert_ok(set_all(context, second));
        check_same("after the update", run(context, gradients, weights), run(other, gradients, weights));
        check_same("who shares the first model", run(sharing, gradients, weights), before);
        assert_ok(nft_context_snapshot(&kept, context));
        assert_ok(set_all(context, first));
        nft_context *of_kept = open_context(kept, recompute);
        check_same("a snapshot", run(of_kept, gradients, weights), run(other, gradients, weights));
        check_same("the way back", run(context, gradients, weights), run(sharing, gradients, weights));
        nft_context_free(of_kept);
        nft_model_free(kept);
        nft_gradients_free(gradients);
        nft_context_free(sharing);
        nft_context_free(other);
        nft_context_free(context);
        nft_weights_free(weights);
        nft_model_free(second);
        nft_model_free(first);
    }
}

/* ½ Σ output², of which the output is the gradient, goes down. */
static double descend(nft_context *context, nft_gradients *gradients, const nft_weights *weights)
{
    nft_model *model = NULL;
    double loss = 0;
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    const nft_array *output = nft_context_output(context, NFT_OUTPUT)->array;
    for (int64_t i = 0; i < nft_array_count(output); i++)
        loss += 0.5 * pow((double)nft_array_f32(output)[i], 2);
    nft_gradients_clear(gradients);
    assert_ok(nft_backward(context, NFT_VIEW_ARRAY(output), gradients));
    assert_ok(nft_context_snapshot(&model, context));
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info value = NFT_TENSOR_INFO_INIT, gradient = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&value, model, i));
        assert_ok(nft_gradients_tensor(&gradient, gradients, i));
        float *updated = support_allocate((size_t)value.count * sizeof *updated);
        for (int64_t k = 0; k < value.count; k++)
            updated[k] = value.data[k] - (value.trained ? 1e-3f * gradient.data[k] : 0);
        assert_ok(nft_context_set_tensor(context, i, updated, value.count));
        free(updated);
    }
    nft_model_free(model);
    return loss;
}

static void a_loop_learns(void **state)
{
    (void)state;
    nft_model *model = support_model(config, 1);
    nft_weights *weights = support_weights(nft_model_describe(model)->space, NETWORKS, 1, 3);
    nft_context *context = open_context(model, 0);
    nft_gradients *gradients = NULL;
    assert_ok(nft_gradients_create(&gradients, model));
    double first = descend(context, gradients, weights), last = first;
    for (int step = 0; step < 20; step++) {
        double loss = descend(context, gradients, weights);
        assert_true(loss < last);
        last = loss;
    }
    assert_true(last < 0.9 * first);
    nft_gradients_free(gradients);
    nft_context_free(context);
    nft_weights_free(weights);
    nft_model_free(model);
}

static void expect(nft_status found, nft_status status, const char *message)
{
    assert_int_equal(found, status);
    if (!strstr(nft_error_message(), message))
        fail_msg("\"%s\" lacks \"%s\"", nft_error_message(), message);
}

static void what_cannot_be(void **state)
{
    (void)state;
    nft_model *model = support_model(config, 1), *snapshot = NULL;
    nft_weights *weights = support_weights(nft_model_describe(model)->space, NETWORKS, 1, 3);
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    int64_t last = nft_model_describe(model)->tensor_count - 1;
    assert_ok(nft_model_tensor(&info, model, last));
    float values[2] = {1, NAN};
    assert_int_equal(info.count, 2);
    for (int recompute = 0; recompute < 2; recompute++) {
        nft_context *context = open_context(model, recompute);
        nft_gradients *gradients = NULL;
        assert_ok(nft_gradients_create(&gradients, model));
        expect(nft_context_set_tensor(NULL, 0, values, 2), NFT_ERROR_ARGUMENT, "'context' is NULL");
        expect(nft_context_set_tensor(context, last, NULL, 2), NFT_ERROR_ARGUMENT, "'values' is NULL");
        expect(nft_context_set_tensor(context, -1, values, 2), NFT_ERROR_ARGUMENT,
               "index is -1, expected 0 …");
        expect(nft_context_set_tensor(context, last + 1, values, 2), NFT_ERROR_ARGUMENT, "index is");
        expect(nft_context_set_tensor(context, last, values, 3), NFT_ERROR_ARGUMENT, "3 values for '");
        expect(nft_context_set_tensor(context, last, values, 2), NFT_ERROR_NOT_FINITE, "value 1 for '");
        expect(nft_context_snapshot(NULL, context), NFT_ERROR_ARGUMENT, "'model' is NULL");
        expect(nft_context_snapshot(&snapshot, NULL), NFT_ERROR_ARGUMENT, "'context' is NULL");
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
        assert_ok(nft_context_set_tensor(context, last, info.data, 2));
        assert_non_null(nft_context_output(context, NFT_OUTPUT)->array);
        expect(
            nft_backward(context, NFT_VIEW_ARRAY(nft_context_output(context, NFT_OUTPUT)->array), gradients),
            NFT_ERROR_ARGUMENT, "has changed since the last forward");
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
        assert_ok(
            nft_backward(context, NFT_VIEW_ARRAY(nft_context_output(context, NFT_OUTPUT)->array), gradients));
        nft_gradients_free(gradients);
        nft_context_free(context);
    }
    nft_weights_free(weights);
    nft_model_free(model);
}

/* Rows of an output gradient that a view chooses count as an array of these rows. */
static void a_view_chooses_rows_of_the_gradient(void **state)
{
    (void)state;
    nft_model *model = support_model(config, 1);
    nft_weights *weights = support_weights(nft_model_describe(model)->space, NETWORKS, 1, 3);
    nft_context *context = open_context(model, 1);
    nft_gradients *chosen = NULL, *expected = NULL;
    nft_array *all = NULL, *two = NULL;
    const float values[NETWORKS * 2] = {1, -2, 3, -4, 5, -6, 7, -8};
    const int64_t shape[] = {NETWORKS, 2}, smaller[] = {2, 2};
    assert_ok(nft_array_borrow(&all, NFT_ARRAY_F32, shape, 2, values));
    assert_ok(nft_array_borrow(&two, NFT_ARRAY_F32, smaller, 2, values + 2));
    assert_ok(nft_gradients_create(&chosen, model));
    assert_ok(nft_gradients_create(&expected, model));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(weights, 2, 2)));
    assert_ok(nft_backward(context, NFT_VIEW_ARRAY(two), expected));
    assert_ok(nft_backward(context, NFT_VIEW_ARRAY_RANGE(all, 1, 2), chosen));
    assert_memory_equal(chosen->values, expected->values, (size_t)model->parameters.total * sizeof(float));
    nft_array_free(all);
    nft_array_free(two);
    nft_gradients_free(chosen);
    nft_gradients_free(expected);
    nft_context_free(context);
    nft_weights_free(weights);
    nft_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_replaced),
        cmocka_unit_test(a_loop_learns),
        cmocka_unit_test(what_cannot_be),
        cmocka_unit_test(a_view_chooses_rows_of_the_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
