/* Models of any space: plans of the spaces that a context meets, and calls with several spaces. */
#define _XOPEN_SOURCE 700
#include "unit/failing_allocator.h"
#include "unit/support.h"
#include "unit/temporary.h"

#include "model/backward.h"

#define ANY(modules) "{'format_version': 1, 'space': 'any', 'modules': [" modules "]}"
#define BLOCK                                                                                                \
    "{'type': 'normalize'}, {'type': 'lift', 'out_channels': 8, 'positions': 9}, {'type': "                  \
    "'place_embedding'}, {'type': 'nft_block', 'num_heads': 2, 'dropout': 0.2}"
#define POOLED ANY(BLOCK ", {'type': 'role_pool'}, {'type': 'linear', 'out_features': 3}")
#define STATISTICS ANY("{'type': 'role_statistics'}, {'type': 'linear', 'out_features': 3}")
#define FEATURES ANY(BLOCK ", {'type': 'pointwise', 'out_channels': 2}")
#define TOKENS ANY(BLOCK ", {'type': 'flatten_weights'}")

static const char *const space_texts[] = {
    "{'layers': [{'type': 'linear', 'in': 2, 'out': 9}, {'type': 'linear', 'in': 9, 'out': 30}, {'type': "
    "'linear', 'in': 30, 'out': 4}]}",
    "{'axes': [{'name': 'image', 'size': 2, 'symmetry': 'none'}, {'name': 'c', 'size': 3}, {'name': 'm', "
    "'size': 4}, {'name': 'classes', 'size': 3, 'symmetry': 'none'}], 'tensors': [{'name': 'stem.weight', "
    "'shape': ['c', 'image', 3, 3]}, {'name': 'bn.weight', 'shape': ['c']}, {'name': 'bn.running_mean', "
    "'shape': ['c']}, {'name': 'a.weight', 'shape': ['m', 'c', 3, 2]}, {'name': 'b.weight', 'shape': ['c', "
    "'m', 3, 2]}, {'name': 'fc.weight', 'shape': ['classes', ['c', 4]]}]}",
    "{'axes': [{'name': 'in', 'size': 3, 'symmetry': 'none'}, {'name': 'h', 'size': 4}], 'tensors': "
    "[{'name': "
    "'weight_ih', 'shape': [[4, 'h'], 'in']}, {'name': 'weight_hh', 'shape': [[4, 'h'], 'h']}, {'name': "
    "'scale', 'shape': []}]}",
    "{'layers': [{'type': 'conv2d', 'in': 1, 'out': 6, 'kernel': [3, 3]}, {'type': 'linear', 'in': 6, 'out': "
    "5}]}"};
#define SPACES (int64_t) COUNT(space_texts)

/* Networks of each space. */
#define NETWORKS 3
typedef struct zoo {
    nft_space *spaces[COUNT(space_texts)];
    nft_weights *sets[COUNT(space_texts)];
} zoo;

static nft_space *parse_space(const char *text)
{
    char *json = support_json(text);
    nft_space *space = NULL;
    assert_ok(nft_space_parse(&space, json, strlen(json)));
    free(json);
    return space;
}

static zoo open_zoo(void)
{
    zoo z;
    for (int64_t i = 0; i < SPACES; i++) {
        z.spaces[i] = parse_space(space_texts[i]);
        z.sets[i] = support_weights(z.spaces[i], NETWORKS, 1, (uint64_t)i);
    }
    return z;
}

static void close_zoo(zoo *z)
{
    for (int64_t i = 0; i < SPACES; i++) {
        nft_weights_free(z->sets[i]);
        nft_space_free(z->spaces[i]);
    }
}

static nft_context *open_context(const nft_model *model, int32_t threads, int64_t max_batch, int keep,
                                 int recompute)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.threads = threads;
    options.max_batch = max_batch;
    options.keep_for_backward = keep;
    options.recompute = recompute;
    assert_ok(nft_context_create(&context, model, &options));
    return context;
}

/* All networks of the zoo, their spaces in turn. */
static int64_t mix(nft_forward_sample *samples, const zoo *z)
{
    int64_t count = 0;
    for (int64_t i = 0; i < NETWORKS; i++)
        for (int64_t space = 0; space < SPACES; space++)
            samples[count++] = (nft_forward_sample){.weights = z->sets[space], .index = i};
    return count;
}

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
            support_identical("a network alone", 3,
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
    assert_ok(nft_context_memory(&promised, model, space, &options));
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
        assert_ok(nft_context_memory(&bytes, model, z.spaces[i], &options));
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
    assert_ok(nft_context_memory(&large, model, z.spaces[0], &options));
    assert_ok(nft_context_memory(&small, model, z.spaces[3], &options));
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
    assert_ok(nft_context_memory(&options.memory_limit, model, z.spaces[0], &options));
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
        numbers -= NETWORKS * nft_space_parameter_count(z.spaces[i]);
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
        assert_int_equal(nft_space_tensor_count(nft_weights_space(output)),
                         nft_space_tensor_count(z.spaces[i]));
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
    assert_int_equal(nft_context_memory(&bytes, any, NULL, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(bytes, 0);
    assert_int_equal(nft_context_memory(&bytes, one, z.spaces[0], NULL), NFT_ERROR_MISMATCH);
    assert_ok(nft_context_memory(&bytes, one, nft_model_space(one), NULL));
    assert_null(nft_model_space(any));
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
        {"{'format_version': 1, 'space': 'some', 'modules': [{'type': 'role_statistics'}]}", "'space'"},
        {"{'format_version': 1, 'space': 'any', 'modules': [{'type': 'role_statistics'}], 'decoder': {}}",
         "decoder"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *json = support_json(cases[i].text);
        nft_model *model = NULL;
        assert_int_equal(nft_model_create(&model, json, strlen(json), 0, NULL), NFT_ERROR_CONFIG);
        assert_null(model);
        if (!strstr(nft_error_message(), cases[i].words))
            fail_msg("%s", nft_error_message());
        free(json);
    }
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
    assert_string_equal(nft_model_config(loaded), nft_model_config(model));
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
        cmocka_unit_test(several_spaces_in_a_call_change_no_bit),
        cmocka_unit_test(a_set_gives_what_its_networks_give),
        cmocka_unit_test(roles_without_tensors_have_no_gradient),
        cmocka_unit_test(a_space_takes_the_memory_that_was_reported),
        cmocka_unit_test(spaces_share_their_memory),
        cmocka_unit_test(the_least_recently_used_space_is_dropped),
        cmocka_unit_test(a_call_has_at_most_max_spaces),
        cmocka_unit_test(a_space_beyond_the_limit_is_refused),
        cmocka_unit_test(outputs_make_room_for_others),
        cmocka_unit_test(statistics_are_visited_in_order),
        cmocka_unit_test(equal_spaces_with_other_roles_differ),
        cmocka_unit_test(outputs_follow_the_space),
        cmocka_unit_test(input_gradients_are_of_one_space),
        cmocka_unit_test(memory_needs_the_space),
        cmocka_unit_test(wrong_models_are_refused_by_name),
        cmocka_unit_test(a_model_of_any_space_is_saved_and_loaded),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("any space", tests, temporary_open, temporary_close);
}
