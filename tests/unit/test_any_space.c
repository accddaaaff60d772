/* Models of any space: calls with several spaces, and results that depend on the space. */
#define _XOPEN_SOURCE 700
#include "nft/train.h"
#include "unit/any_space.h"
#include "unit/temporary.h"

/* Output and gradients of each network by itself: the gradients are added in the order of the samples. */
static support_result run_alone(const nft_model *model, const nft_forward_sample *samples, int64_t count,
                                const nft_dropout_key *keys)
{
    support_result all = {0, NULL};
    nft_context *context = open_context(model, 1, 1, 1, 0);
    nft_gradients *gradients = NULL;
    assert_ok(nft_gradients_create(&gradients, model));
    for (int64_t i = 0; i < count; i++) {
        nft_context_set_dropout(context, keys ? keys + i : NULL);
        assert_ok(nft_context_run(context, samples + i, 1, 0));
        support_append(&all, nft_context_output(context, NFT_OUTPUT)->array);
        assert_ok(
            nft_backward(context, NFT_VIEW_ARRAY(nft_context_output(context, NFT_OUTPUT)->array), gradients));
    }
    support_append_floats(&all, gradients->values, model->parameters.total);
    nft_gradients_free(gradients);
    nft_context_free(context);
    return all;
}

static support_result run_together(const nft_model *model, const nft_forward_sample *samples, int64_t count,
                                   const nft_dropout_key *keys, int32_t threads, int recompute)
{
    support_result all = {0, NULL};
    nft_context *context = open_context(model, threads, count, 1, recompute);
    nft_gradients *gradients = NULL;
    assert_ok(nft_gradients_create(&gradients, model));
    nft_context_set_dropout(context, keys);
    assert_ok(nft_context_run(context, samples, count, 0));
    support_append(&all, nft_context_output(context, NFT_OUTPUT)->array);
    assert_ok(
        nft_backward(context, NFT_VIEW_ARRAY(nft_context_output(context, NFT_OUTPUT)->array), gradients));
    support_append_floats(&all, gradients->values, model->parameters.total);
    nft_gradients_free(gradients);
    nft_context_free(context);
    return all;
}

static void several_spaces_in_a_call_change_no_bit(void **state)
{
    (void)state;
    static const char *const models[] = {POOLED, STATISTICS};
    zoo z = open_zoo();
    nft_forward_sample samples[NETWORKS * COUNT(space_texts)];
    nft_dropout_key keys[COUNT(samples)];
    int64_t count = mix(samples, &z);
    for (int64_t i = 0; i < count; i++)
        keys[i] = (nft_dropout_key){.seed = 1, .step = 2, .sample = (uint64_t)i};
    for (size_t m = 0; m < COUNT(models); m++) {
        nft_model *model = support_model(models[m], 3);
        for (int dropout = 0; dropout <= 1; dropout++) {
            const nft_dropout_key *own = dropout ? keys : NULL;
            support_result expected = run_alone(model, samples, count, own);
            for (int32_t threads = 1; threads <= 3; threads++)
                for (int recompute = 0; recompute <= 1; recompute++) {
                    char what[80];
                    snprintf(what, sizeof what, "model %zu, %d threads, recompute %d", m, threads, recompute);
                    support_result found = run_together(model, samples, count, own, threads, recompute);
                    assert_int_equal(found.count, expected.count);
                    support_identical(what, found.count, found.values, expected.values);
                    free(found.values);
                }
            free(expected.values);
        }
        nft_model_free(model);
    }
    close_zoo(&z);
}

/* The calls of all threads give each network the result that it has in a set of its space. */
static void a_set_gives_what_its_networks_give(void **state)
{
    (void)state;
    zoo z = open_zoo();
    nft_model *model = support_model(POOLED, 3);
    nft_context *context = open_context(model, 2, NETWORKS, 0, 0);
    for (int64_t i = 0; i < SPACES; i++) {
        support_result together = support_forward(context, z.sets[i]);
        assert_int_equal(together.count, 3 * NETWORKS);
        for (int64_t k = 0; k < NETWORKS; k++) {
            assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(z.sets[i], k, 1)));
            support_identical("a single network", 3,
                              nft_array_f32(nft_context_output(context, NFT_OUTPUT)->array),
                              together.values + 3 * k);
        }
        free(together.values);
    }
    nft_context_free(context);
    nft_model_free(model);
    close_zoo(&z);
}

/* A gradient of a role that no sample has is 0, and one of a role that they have is not. */
static void roles_without_tensors_have_no_gradient(void **state)
{
    (void)state;
    zoo z = open_zoo();
    nft_model *model = support_model(POOLED, 3);
    nft_context *context = open_context(model, 2, NETWORKS, 1, 0);
    nft_gradients *gradients = NULL;
    assert_ok(nft_gradients_create(&gradients, model));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(z.sets[0]))); /* linear layers and biases */
    assert_ok(
        nft_backward(context, NFT_VIEW_ARRAY(nft_context_output(context, NFT_OUTPUT)->array), gradients));
    int found = 0;
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_gradients_tensor(&info, gradients, i));
        double largest = support_largest(info.count, info.data);
        if (strstr(info.name, ".conv.") || strstr(info.name, ".scalar.") || strstr(info.name, ".gain."))
            assert_true(largest == 0);
        if (strstr(info.name, "maps.linear.weight") || strstr(info.name, "maps.bias.weight")) {
            assert_true(largest > 0);
            found++;
        }
    }
    assert_true(found >= 2);
    nft_gradients_free(gradients);
    nft_context_free(context);
    nft_model_free(model);
    close_zoo(&z);
}

#define MOST_ITEMS 64

typedef struct sums {
    double sum[MOST_ITEMS]; /* in the order of the visits */
    int64_t numbers[MOST_ITEMS];
} sums;

static void add_entries(void *user, int64_t item, const nft_statistics *statistics, const float *entries)
{
    sums *s = user;
    const nft_buffer *at = &statistics->entries;
    for (int64_t row = 0; row < at->rows; row++)
        for (int64_t i = 0; i < at->width; i++)
            s->sum[item] = s->sum[item] * 0.75 + (double)entries[row * at->stride + i];
    s->numbers[item] += at->rows * at->width;
}

/* Each parameter has the same entries in the same order, whatever the threads and the memory. */
static void statistics_are_visited_in_order(void **state)
{
    (void)state;
    zoo z = open_zoo();
    nft_forward_sample samples[NETWORKS * COUNT(space_texts)];
    int64_t count = mix(samples, &z), numbers = 0;
    nft_model *model = support_model(POOLED, 0);
    const nft_step *step = &model->sequence->steps[0];
    int64_t items = step->end_parameter - step->first_parameter;
    assert_true(items > 0 && items <= MOST_ITEMS);
    sums expected = {{0}, {0}};
    for (int32_t threads = 1; threads <= 3; threads++)
        for (int recompute = 0; recompute <= 1; recompute++) {
            sums found = {{0}, {0}};
            nft_context *context = open_context(model, threads, count, 1, recompute);
            assert_ok(nft_context_run(context, samples, count, 1));
            assert_null(nft_context_output(context, NFT_OUTPUT)->array);
            nft_context_visit_statistics(context, 0, step->first_parameter, items, add_entries, &found);
            if (threads == 1 && !recompute)
                expected = found;
            assert_memory_equal(&found, &expected, sizeof found);
            nft_context_free(context);
        }
    for (int64_t i = 0; i < items; i++)
        numbers += expected.numbers[i];
    for (int64_t i = 0; i < SPACES; i++)
        numbers -= NETWORKS * nft_space_describe(z.spaces[i])->parameter_count;
    assert_int_equal(numbers, 0);
    nft_model_free(model);
    close_zoo(&z);
}

/* Spaces are equal whatever their names say; parameters are not. */
static void equal_spaces_with_other_roles_differ(void **state)
{
    (void)state;
    static const char form[] = "{'axes': [{'name': 'c', 'size': 5}], 'tensors': [{'name': 'a', 'shape': "
                               "['c'], 'role': '%s'}]}";
    static const char *const roles[] = {"gain", "bias"};
    nft_model *model = support_model(STATISTICS, 0);
    nft_context *shared = open_context(model, 1, 1, 0, 0);
    for (int i = 0; i < 2; i++) {
        char text[200];
        snprintf(text, sizeof text, form, roles[i]);
        nft_space *space = parse_space(text);
        nft_weights *weights = support_weights(space, 1, 1, 0);
        nft_context *own = open_context(model, 1, 1, 0, 0);
        support_result found = support_forward(shared, weights), expected = support_forward(own, weights);
        support_identical(roles[i], found.count, found.values, expected.values);
        free(found.values);
        free(expected.values);
        nft_context_free(own);
        nft_weights_free(weights);
        nft_space_free(space);
    }
    assert_int_equal(shared->plan_count, 2);
    nft_context_free(shared);
    nft_model_free(model);
}

/* Outputs whose shape depends on the space: of one space a call. */
static void outputs_follow_the_space(void **state)
{
    (void)state;
    zoo z = open_zoo();
    nft_forward_sample samples[NETWORKS * COUNT(space_texts)];
    int64_t count = mix(samples, &z);
    nft_model *features = support_model(FEATURES, 0), *tokens = support_model(TOKENS, 0);
    nft_context *a = open_context(features, 2, count, 0, 0), *b = open_context(tokens, 2, count, 0, 0);
    for (int64_t i = 0; i < SPACES; i++) {
        assert_ok(nft_forward(a, NFT_VIEW_WEIGHTS(z.sets[i])));
        const nft_weights *output = nft_context_output(a, NFT_OUTPUT)->weights;
        assert_int_equal(nft_weights_count(output), NETWORKS);
        assert_int_equal(nft_weights_channels(output), 2);
        assert_int_equal(nft_space_describe(nft_weights_space(output))->tensor_count,
                         nft_space_describe(z.spaces[i])->tensor_count);
        assert_ok(nft_forward(b, NFT_VIEW_WEIGHTS(z.sets[i])));
        assert_int_equal(nft_array_size(nft_context_output(b, NFT_OUTPUT)->array, 1), z.spaces[i]->tokens);
    }
    assert_int_equal(nft_context_run(a, samples, count, 0), NFT_ERROR_MISMATCH);
    assert_non_null(strstr(nft_error_message(), "depends on the space"));
    assert_int_equal(nft_context_run(b, samples, count, 0), NFT_ERROR_MISMATCH);
    assert_ok(nft_context_run(a, samples, 1, 0));
    nft_context_free(b);
    nft_context_free(a);
    nft_module_info info = NFT_MODULE_INFO_INIT;
    info = *nft_model_describe(tokens)->output;
    assert_int_equal(info.output, NFT_VALUE_TOKENS);
    assert_int_equal(info.tokens, 0);
    assert_int_equal(info.channels, 8);
    nft_model_free(tokens);
    nft_model_free(features);
    close_zoo(&z);
}

static void input_gradients_are_of_one_space(void **state)
{
    (void)state;
    zoo z = open_zoo();
    nft_forward_sample samples[NETWORKS * COUNT(space_texts)];
    int64_t count = mix(samples, &z);
    nft_model *model = support_model(POOLED, 0);
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.keep_for_backward = options.input_gradient = 1;
    assert_ok(nft_context_create(&context, model, &options));
    assert_int_equal(nft_context_run(context, samples, count, 0), NFT_ERROR_MISMATCH);
    assert_non_null(strstr(nft_error_message(), "input_gradient"));
    for (int64_t i = 0; i < SPACES; i++) {
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(z.sets[i])));
        assert_null(nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->weights);
        assert_ok(
            nft_backward(context, NFT_VIEW_ARRAY(nft_context_output(context, NFT_OUTPUT)->array), NULL));
        const nft_weights *gradient = nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->weights;
        assert_true(nft_space_equal(nft_weights_space(gradient), z.spaces[i]));
        assert_int_equal(nft_weights_count(gradient), NETWORKS);
    }
    nft_context_free(context);
    nft_model_free(model);
    close_zoo(&z);
}

static void memory_needs_the_space(void **state)
{
    (void)state;
    zoo z = open_zoo();
    int64_t bytes = 1;
    nft_model *any = support_model(POOLED, 0);
    nft_model *one = support_model("{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 2, "
                                   "'out': 3}]}, 'modules': [{'type': 'np_pool'}]}",
                                   0);
    assert_int_equal(nft_context_cost(&bytes, NULL, any, NULL, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(bytes, 0);
    assert_int_equal(nft_context_cost(&bytes, NULL, one, z.spaces[0], NULL), NFT_ERROR_MISMATCH);
    assert_ok(nft_context_cost(&bytes, NULL, one, nft_model_describe(one)->space, NULL));
    assert_null(nft_model_describe(any)->space);
    nft_model_free(one);
    nft_model_free(any);
    close_zoo(&z);
}

static void wrong_models_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {ANY("{'type': 'np_linear', 'out_channels': 2}, {'type': 'np_pool'}"), "modules[0] (np_linear)"},
        {ANY("{'type': 'pointwise', 'out_channels': 2}, {'type': 'role_pool'}"), "modules[0] (pointwise)"},
        {ANY("{'type': 'lift', 'out_channels': 2}, {'type': 'unlift', 'out_channels': 1}"),
         "modules[1] (unlift)"},
        {ANY("{'type': 'lift', 'out_channels': 2}, {'type': 'np_pool'}"),
         "modules[1] (np_pool): its size depends on the space"},
        {ANY("{'type': 'lift', 'out_channels': 2}, {'type': 'hnp_pool'}"), "role_pool has one size for all"},
        {"{'format_version': 1, 'space': 'some', 'modules': [{'type': 'role_statistics'}]}", "'space'"},
        {"{'format_version': 1, 'space': 'any', 'modules': [{'type': 'role_statistics'}], 'decoder': {}}",
         "decoder"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        support_refused(cases[i].text, cases[i].words);
}

static void a_model_of_any_space_is_saved_and_loaded(void **state)
{
    (void)state;
    zoo z = open_zoo();
    nft_model *model = support_model(POOLED, 9), *loaded = NULL;
    assert_ok(nft_model_set_metadata(model, "nft.loss", "mse"));
    assert_ok(nft_model_save(model, temporary_path("any")));
    assert_ok(nft_model_load(&loaded, temporary_path("any"), NULL));
    assert_string_equal(nft_model_metadata(loaded, "nft.loss"), "mse");
    assert_string_equal(nft_model_describe(loaded)->config, nft_model_describe(model)->config);
    support_same_tensors(model, loaded);
    nft_context *a = open_context(model, 1, NETWORKS, 0, 0), *b = open_context(loaded, 2, NETWORKS, 0, 0);
    for (int64_t i = 0; i < SPACES; i++) {
        support_result expected = support_forward(a, z.sets[i]), found = support_forward(b, z.sets[i]);
        support_identical("loaded", found.count, found.values, expected.values);
        free(expected.values);
        free(found.values);
    }
    nft_context_free(b);
    nft_context_free(a);
    nft_model_free(loaded);
    nft_model_free(model);
    close_zoo(&z);
    temporary_entries(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_spaces_in_a_call_change_no_bit),
        cmocka_unit_test(a_set_gives_what_its_networks_give),
        cmocka_unit_test(roles_without_tensors_have_no_gradient),
        cmocka_unit_test(statistics_are_visited_in_order),
        cmocka_unit_test(equal_spaces_with_other_roles_differ),
        cmocka_unit_test(outputs_follow_the_space),
        cmocka_unit_test(input_gradients_are_of_one_space),
        cmocka_unit_test(memory_needs_the_space),
        cmocka_unit_test(wrong_models_are_refused_by_name),
        cmocka_unit_test(a_model_of_any_space_is_saved_and_loaded),
    };
    return cmocka_run_group_tests_name("any space", tests, temporary_open, temporary_close);
}
