/* Memory: a context takes the memory that it announced and a forward takes nothing, objects are freed in any
 * order, and nothing leaks at any failed allocation. */
#define _XOPEN_SOURCE 700
#include "model/context.h"
#include "unit/failing_allocator.h"
#include "unit/models.h"
#include "unit/temporary.h"

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

/* A context takes the memory that it announced. A forward of max_batch networks takes nothing more, a larger
 * one only its output, once. */
static void promised_memory(void **state)
{
    (void)state;
    const nft_allocator allocator = {sizeof allocator, counted_allocate, counted_release, NULL};
    assert_ok(nft_set_allocator(&allocator));
    for (size_t i = 0; i < COUNT(test_models); i++)
        for (int32_t threads = 1; threads <= 3; threads += 2) {
            nft_model *model = support_model(test_models[i], 0);
            nft_weights *weights = support_weights(nft_model_describe(model)->space, 400, 1, 0);
            nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
            nft_context *context = NULL;
            int64_t promised = 0;
            options.threads = threads;
            options.max_batch = 200;
            assert_ok(nft_context_cost(&promised, NULL, model, NULL, &options));
            counted_bytes = 0;
            assert_ok(nft_context_create(&context, model, &options));
            /* besides: tables of a few kilobytes */
            assert_true(counted_bytes >= promised && counted_bytes <= promised + promised / 20 + 8192);
            counted_calls = counted_bytes = 0;
            assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(weights, 0, 200)));
            assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(weights, 150, 1)));
            assert_int_equal(counted_calls, 0);
            assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
            assert_true(counted_calls > 0 && counted_bytes < promised * 2 + 8192);
            counted_calls = 0;
            assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
            assert_int_equal(counted_calls, 0);
            nft_context_free(context);
            nft_weights_free(weights);
            nft_model_free(model);
        }
    assert_ok(nft_set_allocator(NULL));
}

static int64_t announced(const nft_model *model, int32_t threads, int64_t max_batch)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    int64_t bytes = 0;
    options.threads = threads;
    options.max_batch = max_batch;
    assert_ok(nft_context_cost(&bytes, NULL, model, NULL, &options));
    return bytes;
}

/* The outputs of 5 networks; they come in pieces of max_batch. */
static nft_array *outputs_of_five(const nft_model *model, const nft_weights *weights, int32_t threads,
                                  int64_t max_batch)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    nft_array *output = NULL;
    options.threads = threads;
    options.max_batch = max_batch;
    assert_ok(nft_context_create(&context, model, &options));
    assert_int_equal(nft_context_bytes(context), announced(model, threads, max_batch));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    const nft_array *given = nft_context_output(context, NFT_OUTPUT)->array;
    const int64_t shape[] = {nft_array_count(given)};
    assert_ok(nft_array_create(&output, NFT_ARRAY_F32, shape, 1, nft_array_f32(given)));
    nft_context_free(context);
    return output;
}

/* Threads that share a sample have scratch for their items, and no values of a sample. */
static void more_threads_than_samples_take_little_memory(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSIFIER, 0);
    nft_weights *weights = support_weights(nft_model_describe(model)->space, 5, 1, 0);
    int64_t of_sample = announced(model, 2, 2) - announced(model, 1, 2),
            of_thread = announced(model, 4, 2) - announced(model, 3, 2);
    assert_true(of_thread > 0 && of_thread < of_sample / 2);
    assert_int_equal(announced(model, 32, 1) - announced(model, 2, 1), 30 * of_thread);
    nft_array *expected = outputs_of_five(model, weights, 1, 5);
    for (int32_t threads = 1; threads <= 6; threads++)
        for (int64_t max_batch = 1; max_batch <= 5; max_batch++) {
            nft_array *output = outputs_of_five(model, weights, threads, max_batch);
            assert_memory_equal(nft_array_f32(output), nft_array_f32(expected),
                                (size_t)nft_array_count(expected) * sizeof(float));
            nft_array_free(output);
        }
    nft_array_free(expected);
    nft_weights_free(weights);
    nft_model_free(model);
}

/* The limit is compared with the announced memory. */
static void memory_limit(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSIFIER, 0);
    nft_weights *weights = support_weights(nft_model_describe(model)->space, 20000, 1, 0);
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    int64_t promised = 0;
    options.threads = 1;
    options.max_batch = 2;
    assert_ok(nft_context_cost(&promised, NULL, model, NULL, &options));
    options.memory_limit = promised - 1;
    assert_int_equal(nft_context_create(&context, model, &options), NFT_ERROR_LIMIT);
    assert_null(context);
    options.memory_limit = promised;
    assert_ok(nft_context_create(&context, model, &options));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(weights, 0, 2)));
    float before[2 * 7];
    const nft_array *output = nft_context_output(context, NFT_OUTPUT)->array;
    memcpy(before, nft_array_f32(output), sizeof before);
    assert_true(20000 * 7 * 4 > promised);
    assert_int_equal(nft_forward(context, NFT_VIEW_WEIGHTS(weights)), NFT_ERROR_LIMIT);
    assert_ptr_equal(nft_context_output(context, NFT_OUTPUT)->array,
                     output); /* the last output is as it was */
    assert_int_equal(nft_array_size(output, 0), 2);
    /* An output counts with the rest of the context. */
    options.memory_limit = promised + 100 * 7 * 4;
    nft_context *more = NULL;
    assert_ok(nft_context_create(&more, model, &options));
    assert_ok(nft_forward(more, NFT_VIEW_WEIGHTS_RANGE(weights, 0, 100)));
    assert_int_equal(nft_forward(more, NFT_VIEW_WEIGHTS_RANGE(weights, 0, 101)), NFT_ERROR_LIMIT);
    nft_context_free(more);
    assert_memory_equal(nft_array_f32(output), before, sizeof before);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(weights, 0, 2)));
    nft_context_free(context);
    nft_weights_free(weights);
    nft_model_free(model);
}

#define SCALES "{'type': 'learned_scale', 'init_scale': 1}, {'type': 'learned_scale', 'init_scale': 1}"

/* Tables that a module makes of its options, and that of the parameters, are bounded by the model's limit. */
static void memory_limit_of_a_model(void **state)
{
    (void)state;
    static const char *const modules[] = {
        "{'type': 'io_sinusoidal', 'num_bands': 65536}, {'type': 'np_pool'}", SCALES ", " SCALES ", " SCALES};
    static const char *const words[] = {"modules[0] (io_sinusoidal)", "the table of parameters"};
    for (size_t i = 0; i < COUNT(modules); i++) {
        nft_load_options options = NFT_LOAD_OPTIONS_INIT;
        char text[32768];
        int length = snprintf(text, sizeof text,
                              "{'format_version': 1, 'modules': [%s], 'space': {'layers': [", modules[i]);
        for (int layer = 0; layer < 200; layer++)
            length += snprintf(text + length, sizeof text - (size_t)length,
                               "%s{'type': 'linear', 'in': 20, 'out': 20}", layer ? ", " : "");
        snprintf(text + length, sizeof text - (size_t)length, "]}}");
        nft_model *model = support_model(text, 0), *loaded = NULL;
        assert_ok(nft_model_save(model, temporary_path("limited")));
        assert_ok(nft_model_load(&loaded, temporary_path("limited"), NULL));
        nft_model_free(loaded);
        options.memory_limit = 250000; /* room for the parsed JSON */
        assert_int_equal(nft_model_load(&loaded, temporary_path("limited"), &options), NFT_ERROR_LIMIT);
        if (!strstr(nft_error_message(), words[i]))
            fail_msg("%s", nft_error_message());
        nft_model_free(model);
    }
    temporary_entries(1);
}

/* Space, weights, model and context may go in any order. */
static void orders_of_freeing(void **state)
{
    (void)state;
    for (int order = 0; order < 24; order++) {
        nft_model *model = support_model(NFN, 0);
        nft_space *space = NULL;
        nft_weights *weights = NULL;
        const nft_layer layers[] = {NFT_LAYER_INIT_CONV2D(2, 3, 3, 1), NFT_LAYER_INIT_FLATTENED(3, 4, 2)};
        assert_ok(nft_space_create_chain(&space, layers, 2));
        assert_ok(nft_weights_create(&weights, space, 2, 1, NULL));
        nft_context *context = support_context(model, 2, 2);
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
        int left = 4, rest = order;
        bool gone[4] = {false};
        while (left > 0) {
            int pick = rest % left, what = 0;
            rest /= left--;
            for (; gone[what] || pick > 0; what++)
                pick -= !gone[what];
            gone[what] = true;
            if (what == 0)
                nft_space_free(space);
            else if (what == 1)
                nft_weights_free(weights);
            else if (what == 2)
                nft_model_free(model);
            else
                nft_context_free(context);
            if (!gone[1] && !gone[3])
                assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
            if (!gone[1])
                assert_int_equal(nft_space_describe(nft_weights_space(weights))->layer_count, 2);
        }
    }
}

static const char *failing_text;

/* A model's whole life; whatever fails, everything is given back. */
static nft_status live(void)
{
    char *json = support_json(failing_text);
    nft_model *model = NULL, *loaded = NULL, *in_memory = NULL;
    nft_weights *weights = NULL;
    nft_context *context = NULL;
    nft_status status = nft_model_create(&model, json, strlen(json), 0, NULL);
    free(json);
    if (!status)
        status = nft_weights_create(&weights, nft_model_describe(model)->space, 3, 1, NULL);
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.threads = 2;
    options.max_batch = 2;
    if (!status)
        status = nft_context_create(&context, model, &options);
    if (!status)
        status = nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(weights, 0, 2));
    if (!status)
        status = nft_forward(context, NFT_VIEW_WEIGHTS(weights));
    if (!status)
        status = nft_model_save(model, temporary_path("lived"));
    if (!status)
        status = nft_model_load(&loaded, temporary_path("lived"), NULL);
    size_t size = 0;
    void *bytes = status ? NULL : support_read(temporary_path("lived"), &size);
    if (!status)
        status = nft_model_load(&in_memory, NULL, NFT_LOAD_BYTES(bytes, size));
    free(bytes);
    nft_context_free(context);
    nft_model_free(in_memory);
    nft_model_free(loaded);
    nft_model_free(model);
    nft_weights_free(weights);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(test_models); i++) {
        failing_text = test_models[i];
        long refused = fail_every_allocation(live);
        if (refused < 30)
            fail_msg("configuration %zu: %ld allocations were refused", i, refused);
        temporary_entries(1);
    }
}

/* After a failure in the middle of a larger batch the context still works. */
static void recovers_from_failure(void **state)
{
    (void)state;
    const nft_allocator allocator = {sizeof allocator, allocator_allocate, allocator_release, NULL};
    assert_ok(nft_set_allocator(&allocator));
    nft_model *model = support_model(CLASSIFIER, 0);
    nft_weights *weights = support_weights(nft_model_describe(model)->space, 50, 1, 0);
    nft_context *context = support_context(model, 1, 2);
    allocator_refused = allocator_calls;
    assert_int_equal(nft_forward(context, NFT_VIEW_WEIGHTS(weights)), NFT_ERROR_MEMORY);
    allocator_refused = -1;
    assert_null(nft_context_output(context, NFT_OUTPUT)->array);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(weights, 0, 2)));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    nft_context_free(context);
    nft_weights_free(weights);
    nft_model_free(model);
    assert_int_equal(allocator_blocks, 0);
    assert_ok(nft_set_allocator(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promised_memory),
        cmocka_unit_test(memory_limit),
        cmocka_unit_test(more_threads_than_samples_take_little_memory),
        cmocka_unit_test(memory_limit_of_a_model),
        cmocka_unit_test(orders_of_freeing),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(recovers_from_failure),
    };
    return cmocka_run_group_tests_name("memory", tests, temporary_open, temporary_close);
}
