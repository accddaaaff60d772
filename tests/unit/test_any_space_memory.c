/* Memory of models of any space: plans of the spaces that a context meets, and their limits. */
#include "nft/train.h"
#include "unit/any_space.h"
#include "unit/failing_allocator.h"

static int64_t counted_bytes, counted_calls;

static void *counted_allocate(size_t bytes, void *user)
{
    (void)user;
    counted_bytes += (int64_t)bytes;
    counted_calls++;
    return malloc(bytes);
}

static void counted_release(void *block, void *user)
{
    (void)user;
    free(block);
}

static void count_allocations(void)
{
    const nft_allocator allocator = {sizeof allocator, counted_allocate, counted_release, NULL};
    assert_ok(nft_set_allocator(&allocator));
}

/* Tables of modules come on top: `slack` bytes. */
static void takes_what_it_said(const nft_model *model, const nft_space *space, int32_t threads, int keep,
                               int recompute)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    const int64_t networks = 40;
    int64_t promised = 0, slack = 160000;
    nft_weights *weights = support_weights(space, networks, 1, 0);
    options.threads = threads;
    options.max_batch = networks;
    options.keep_for_backward = options.input_gradient = keep;
    options.recompute = recompute;
    assert_ok(nft_context_cost(&promised, NULL, model, space, &options));
    counted_bytes = 0;
    assert_ok(nft_context_create(&context, model, &options));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    if (counted_bytes < promised || counted_bytes > promised + slack)
        fail_msg("it said %" PRId64 " bytes and took %" PRId64, promised, counted_bytes);
    assert_int_equal(nft_context_bytes(context), promised);
    counted_calls = 0;
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(weights, 1, 2)));
    assert_int_equal(counted_calls, 0);
    nft_context_free(context);
    nft_weights_free(weights);
}

static void a_space_takes_the_memory_that_was_reported(void **state)
{
    (void)state;
    static const char *const models[] = {POOLED, FEATURES};
    count_allocations();
    zoo z = open_zoo();
    for (size_t m = 0; m < COUNT(models); m++) {
        nft_model *model = support_model(models[m], 0);
        for (int64_t i = 0; i < SPACES; i++)
            for (int32_t threads = 1; threads <= 3; threads += 2) {
                takes_what_it_said(model, z.spaces[i], threads, 0, 0);
                takes_what_it_said(model, z.spaces[i], threads, 1, 0);
                takes_what_it_said(model, z.spaces[i], threads, 1, 1);
            }
        nft_model_free(model);
    }
    close_zoo(&z);
    assert_ok(nft_set_allocator(NULL));
}

/* Several spaces take as much as the largest, and calls that mix them allocate nothing once all were met. */
static void spaces_share_their_memory(void **state)
{
    (void)state;
    count_allocations();
    zoo z = open_zoo();
    nft_forward_sample samples[NETWORKS * COUNT(space_texts)];
    int64_t count = mix(samples, &z), most = 0;
    nft_model *model = support_model(POOLED, 0);
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.threads = 2;
    options.max_batch = count;
    options.keep_for_backward = 1;
    for (int64_t i = 0; i < SPACES; i++) {
        int64_t bytes = 0;
        assert_ok(nft_context_cost(&bytes, NULL, model, z.spaces[i], &options));
        most = bytes > most ? bytes : most;
    }
    nft_context *context = NULL;
    nft_gradients *gradients = NULL;
    assert_ok(nft_gradients_create(&gradients, model));
    options.memory_limit = most;
    assert_ok(nft_context_create(&context, model, &options));
    for (int round = 0; round < 2; round++) {
        counted_calls = 0;
        assert_ok(nft_context_run(context, samples, count, 0));
        assert_ok(
            nft_backward(context, NFT_VIEW_ARRAY(nft_context_output(context, NFT_OUTPUT)->array), gradients));
        for (int64_t i = 0; i < SPACES; i++)
            assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(z.sets[i])));
        assert_true(round == 0 || counted_calls == 0);
    }
    assert_true(nft_context_bytes(context) <= most);
    nft_context_free(context);
    nft_gradients_free(gradients);
    nft_model_free(model);
    close_zoo(&z);
    assert_ok(nft_set_allocator(NULL));
}

/* Allocations of a forward on a space. */
static int64_t allocations_of(nft_context *context, const nft_weights *weights)
{
    counted_calls = 0;
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    return counted_calls;
}

static void the_least_recently_used_space_is_dropped(void **state)
{
    (void)state;
    count_allocations();
    zoo z = open_zoo();
    nft_model *model = support_model(POOLED, 0);
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.threads = 1;
    options.max_spaces = 2;
    assert_ok(nft_context_create(&context, model, &options));
    assert_true(allocations_of(context, z.sets[0]) > 0);
    assert_true(allocations_of(context, z.sets[1]) > 0);
    assert_int_equal(allocations_of(context, z.sets[0]), 0);
    assert_true(allocations_of(context, z.sets[2]) > 0); /* in place of 1 */
    assert_int_equal(context->plan_count, 2);
    assert_int_equal(allocations_of(context, z.sets[0]), 0);
    assert_int_equal(allocations_of(context, z.sets[2]), 0);
    assert_true(allocations_of(context, z.sets[1]) > 0);
    assert_int_equal(context->plan_count, 2);
    nft_context_free(context);
    options.max_spaces = -1;
    assert_int_equal(nft_context_create(&context, model, &options), NFT_ERROR_ARGUMENT);
    nft_model_free(model);
    close_zoo(&z);
    assert_ok(nft_set_allocator(NULL));
}

static void a_call_has_at_most_max_spaces(void **state)
{
    (void)state;
    zoo z = open_zoo();
    nft_forward_sample samples[NETWORKS * COUNT(space_texts)];
    int64_t count = mix(samples, &z);
    nft_model *model = support_model(STATISTICS, 0);
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.max_spaces = SPACES - 1;
    assert_ok(nft_context_create(&context, model, &options));
    assert_ok(nft_context_run(context, samples, SPACES - 1, 0));
    assert_int_equal(nft_context_run(context, samples, count, 0), NFT_ERROR_ARGUMENT);
    assert_non_null(strstr(nft_error_message(), "max_spaces"));
    assert_int_equal(context->plan_count, SPACES - 1);
    assert_ok(nft_context_run(context, samples + 1, SPACES - 1, 0));
    assert_int_equal(context->plan_count, SPACES - 1);
    nft_context_free(context);
    nft_model_free(model);
    close_zoo(&z);
}

/* A space beyond the limit is refused; the plans of before stay, and work. */
static void a_space_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    zoo z = open_zoo();
    nft_model *model = support_model(POOLED, 0);
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    nft_gradients *gradients = NULL;
    int64_t small = 0, large = 0;
    options.threads = 1;
    options.max_batch = NETWORKS;
    options.keep_for_backward = 1;
    assert_ok(nft_gradients_create(&gradients, model));
    assert_ok(nft_context_cost(&large, NULL, model, z.spaces[0], &options));
    assert_ok(nft_context_cost(&small, NULL, model, z.spaces[3], &options));
    assert_true(small < large);
    options.memory_limit = large - 1;
    assert_ok(nft_context_create(&context, model, &options));
    support_result expected = support_forward(context, z.sets[3]);
    const nft_array *output = nft_context_output(context, NFT_OUTPUT)->array;
    assert_int_equal(nft_forward(context, NFT_VIEW_WEIGHTS(z.sets[0])), NFT_ERROR_LIMIT);
    assert_int_equal(context->plan_count, 1);
    assert_ptr_equal(nft_context_output(context, NFT_OUTPUT)->array, output);
    assert_ok(nft_backward(context, NFT_VIEW_ARRAY(output), gradients));
    support_result found = support_forward(context, z.sets[3]);
    support_identical("after the refusal", found.count, found.values, expected.values);
    free(found.values);
    free(expected.values);
    nft_context_free(context);
    nft_gradients_free(gradients);
    nft_model_free(model);
    close_zoo(&z);
}

/* Outputs that depend on the space go with its plan, when their memory is needed for another space. */
static void outputs_make_room_for_others(void **state)
{
    (void)state;
    zoo z = open_zoo();
    nft_model *model = support_model(FEATURES, 0);
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.threads = 1;
    options.max_batch = NETWORKS;
    assert_ok(nft_context_cost(&options.memory_limit, NULL, model, z.spaces[0], &options));
    assert_ok(nft_context_create(&context, model, &options));
    for (int round = 0; round < 2; round++)
        for (int64_t i = 0; i < 2; i++) {
            assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(z.sets[i])));
            assert_int_equal(context->plan_count, 1);
            assert_true(nft_context_bytes(context) <= options.memory_limit);
            assert_true(nft_space_equal(context->plan->sequence->space, z.spaces[i]));
        }
    nft_context_free(context);
    nft_model_free(model);
    close_zoo(&z);
}

/* Everything that allocates for a model of any space: a failure at any place leaves nothing behind. */
static nft_status live(void)
{
    char *json = support_json(POOLED),
         *texts[2] = {support_json(space_texts[1]), support_json(space_texts[2])};
    nft_space *spaces[2] = {NULL, NULL};
    nft_weights *sets[2] = {NULL, NULL};
    nft_model *model = NULL;
    nft_context *context = NULL;
    nft_gradients *gradients = NULL;
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.threads = 1;
    options.max_batch = 4;
    options.keep_for_backward = 1;
    nft_status status = nft_model_create(&model, json, strlen(json), 0, NULL);
    for (int i = 0; i < 2 && !status; i++) {
        status = nft_space_parse(&spaces[i], texts[i], strlen(texts[i]));
        if (!status)
            status = nft_weights_create(&sets[i], spaces[i], 2, 1, NULL);
    }
    const nft_forward_sample samples[] = {{.weights = sets[0], .index = 1}, {.weights = sets[1], .index = 0}};
    if (!status)
        status = nft_context_create(&context, model, &options);
    if (!status)
        status = nft_gradients_create(&gradients, model);
    if (!status)
        status = nft_context_run(context, samples, 2, 0);
    if (!status)
        status =
            nft_backward(context, NFT_VIEW_ARRAY(nft_context_output(context, NFT_OUTPUT)->array), gradients);
    /* A failed call leaves a context that works. */
    if (context && gradients && status == NFT_ERROR_MEMORY &&
        nft_context_run(context, samples, 2, 0) == NFT_OK)
        assert_ok(
            nft_backward(context, NFT_VIEW_ARRAY(nft_context_output(context, NFT_OUTPUT)->array), gradients));
    nft_gradients_free(gradients);
    nft_context_free(context);
    nft_model_free(model);
    for (int i = 0; i < 2; i++) {
        nft_weights_free(sets[i]);
        nft_space_free(spaces[i]);
        free(texts[i]);
    }
    free(json);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    long refused = fail_every_allocation(live);
    if (refused < 60)
        fail_msg("%ld allocations were refused", refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_space_takes_the_memory_that_was_reported),
        cmocka_unit_test(spaces_share_their_memory),
        cmocka_unit_test(the_least_recently_used_space_is_dropped),
        cmocka_unit_test(a_call_has_at_most_max_spaces),
        cmocka_unit_test(a_space_beyond_the_limit_is_refused),
        cmocka_unit_test(outputs_make_room_for_others),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
