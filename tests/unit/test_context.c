/* Contexts: outputs, progress, and calls at the same time. */
#define _XOPEN_SOURCE 700
#include "nft/train.h"
#include "unit/models.h"

#include <pthread.h>

static void check_shape(const nft_array *array, int64_t rank, const int64_t *shape)
{
    assert_non_null(array);
    assert_int_equal(nft_array_rank(array), rank);
    for (int64_t axis = 0; axis < rank; axis++)
        assert_int_equal(nft_array_size(array, axis), shape[axis]);
}

static void outputs(void **state)
{
    (void)state;
    nft_model *features = support_model(NFN, 0), *images = support_model(INR2ARRAY, 0);
    nft_weights *cnns = support_weights(nft_model_describe(features)->space, 2, 1, 0);
    nft_weights *sirens = support_weights(nft_model_describe(images)->space, 2, 1, 0);
    nft_context *context = support_context(features, 1, 3);
    assert_null(nft_context_output(context, NFT_OUTPUT)->weights);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(cnns)));
    assert_null(nft_context_output(context, NFT_OUTPUT)->array);
    assert_null(nft_context_output(context, NFT_OUTPUT)->array);
    assert_null(nft_context_output(context, NFT_OUTPUT_LATENTS)->array);
    assert_null(nft_context_output(context, 3)->array);
    const nft_weights *edited = nft_context_output(context, NFT_OUTPUT)->weights;
    assert_int_equal(nft_weights_count(edited), 2);
    assert_int_equal(nft_weights_channels(edited), 1);
    assert_int_equal(nft_weights_data_count(edited, 0), 2 * 3 * 2 * 3);
    assert_int_equal(nft_weights_data_count(edited, 1), 2 * 3);
    assert_int_equal(nft_weights_data_count(edited, 2), 2 * 4 * 6);
    assert_int_equal(nft_weights_data_count(edited, 3), 2 * 4);
    nft_context_free(context);

    context = support_context(images, 1, 3);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(sirens)));
    assert_null(nft_context_output(context, NFT_OUTPUT)->weights);
    check_shape(nft_context_output(context, NFT_OUTPUT)->array, 2, (const int64_t[]){2, 15});
    assert_ptr_equal(nft_context_output(context, NFT_OUTPUT)->array,
                     nft_context_output(context, NFT_OUTPUT)->array);
    check_shape(nft_context_output(context, NFT_OUTPUT_LATENTS)->array, 3, (const int64_t[]){2, 4, 6});
    assert_int_equal(nft_model_describe(images)->has_decoder, 1);
    assert_int_equal(nft_model_describe(features)->has_decoder, 0);
    nft_context_free(context);
    nft_weights_free(sirens);
    nft_weights_free(cnns);
    nft_model_free(images);
    nft_model_free(features);
}

/* The output of a context can be the input of the next: features of a model as weights of another. */
static void outputs_are_inputs(void **state)
{
    (void)state;
    nft_model *first = support_model(CNN("{'type': 'pointwise', 'out_channels': 3}") "}", 0);
    nft_model *second = support_model(
        "{'format_version': 1, 'in_channels': 3, 'space': {'layers': [{'type': 'conv2d', 'in': 2, 'out': 3, "
        "'kernel': [3, "
        "1]}, {'type': 'linear', 'in': 3, 'out': 4, 'positions': 2}]}, 'modules': [{'type': 'np_pool'}]}",
        0);
    nft_model *both =
        support_model(CNN("{'type': 'pointwise', 'out_channels': 3}, {'type': 'np_pool'}") "}", 0);
    nft_weights *weights = support_weights(nft_model_describe(first)->space, 3, 1, 0);
    nft_context *a = support_context(first, 1, 1), *b = support_context(second, 1, 1),
                *c = support_context(both, 1, 1);
    assert_ok(nft_forward(a, NFT_VIEW_WEIGHTS(weights)));
    assert_ok(nft_forward(b, NFT_VIEW_WEIGHTS(nft_context_output(a, NFT_OUTPUT)->weights)));
    assert_ok(nft_forward(c, NFT_VIEW_WEIGHTS(weights)));
    support_identical("two models", nft_array_count(nft_context_output(c, NFT_OUTPUT)->array),
                      nft_array_f32(nft_context_output(b, NFT_OUTPUT)->array),
                      nft_array_f32(nft_context_output(c, NFT_OUTPUT)->array));
    nft_context_free(c);
    nft_context_free(b);
    nft_context_free(a);
    nft_weights_free(weights);
    nft_model_free(both);
    nft_model_free(second);
    nft_model_free(first);
}

/* A model on tokens is the tail of one on weights. */
static void tokens(void **state)
{
    (void)state;
#define TAIL                                                                                                 \
    ", {'type': 'token_embedding', 'max_tokens': 50}, {'type': 'transformer_encoder_layer', 'num_heads': "   \
    "2, "                                                                                                    \
    "'dim_feedforward': 5}, {'type': 'select_token', 'index': 2}, {'type': 'linear', 'out_features': 3}"
    nft_model *whole = support_model("{'format_version': 1, 'in_channels': 4, 'space': {'layers': [{'type': "
                                     "'linear', 'in': 2, 'out': 5}]}, "
                                     "'modules': [{'type': 'flatten_weights'}" TAIL "]}",
                                     5);
    nft_model *tail =
        support_model("{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 15, 'channels': 4}, "
                      "'modules': [{'type': 'dropout', 'p': 0.5}" TAIL "]}",
                      5);
    nft_model *flatten = support_model("{'format_version': 1, 'in_channels': 4, 'space': {'layers': "
                                       "[{'type': 'linear', 'in': 2, 'out': 5}]}, "
                                       "'modules': [{'type': 'flatten_weights'}]}",
                                       0);
    nft_module_info input = NFT_MODULE_INFO_INIT;
    input = *nft_model_describe(tail)->input;
    assert_int_equal(input.output, NFT_VALUE_TOKENS);
    assert_int_equal(input.tokens, 15);
    assert_int_equal(input.channels, 4);
    nft_weights *weights = support_weights(nft_model_describe(whole)->space, 5, 4, 0);
    nft_context *a = support_context(whole, 1, 5), *b = support_context(tail, 2, 5),
                *c = support_context(flatten, 1, 5);
    assert_ok(nft_forward(a, NFT_VIEW_WEIGHTS(weights)));
    assert_ok(nft_forward(c, NFT_VIEW_WEIGHTS(weights)));
    assert_ok(nft_forward(b, NFT_VIEW_ARRAY_RANGE(nft_context_output(c, NFT_OUTPUT)->array, 0, 5)));
    support_identical("whole", 15, nft_array_f32(nft_context_output(b, NFT_OUTPUT)->array),
                      nft_array_f32(nft_context_output(a, NFT_OUTPUT)->array));
    assert_ok(nft_forward(b, NFT_VIEW_ARRAY_RANGE(nft_context_output(c, NFT_OUTPUT)->array, 3, 2)));
    check_shape(nft_context_output(b, NFT_OUTPUT)->array, 2, (const int64_t[]){2, 3});
    support_identical("range", 6, nft_array_f32(nft_context_output(b, NFT_OUTPUT)->array),
                      nft_array_f32(nft_context_output(a, NFT_OUTPUT)->array) + 9);
    nft_context_free(c);
    nft_context_free(b);
    nft_context_free(a);
    nft_weights_free(weights);
    nft_model_free(flatten);
    nft_model_free(tail);
    nft_model_free(whole);
}

typedef struct listener {
    int64_t calls, last, total, stop_at; /* stop_at -1: never */
    pthread_t thread;
    bool in_order;
} listener;

static int listen(int64_t done, int64_t total, void *user)
{
    listener *l = user;
    l->in_order = l->in_order && done > l->last && done <= total && pthread_equal(l->thread, pthread_self());
    l->calls++;
    l->last = done;
    l->total = total;
    return l->stop_at >= 0 && done >= l->stop_at;
}

static void progress(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSIFIER, 0);
    nft_weights *weights = support_weights(nft_model_describe(model)->space, 9, 1, 0);
    for (int32_t threads = 1; threads <= 3; threads++) {
        nft_context *context = support_context(model, threads, 4);
        listener l = {.stop_at = -1, .thread = pthread_self(), .in_order = true};
        nft_context_set_progress(context, listen, &l);
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
        assert_true(l.in_order && l.calls > 0 && l.calls <= 9 && l.total == 9 && l.last == 9);
        assert_true(threads > 1 || l.calls == 9);

        l = (listener){.stop_at = 1, .thread = pthread_self(), .in_order = true};
        assert_int_equal(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(weights, 0, 8)), NFT_ERROR_CANCELLED);
        assert_non_null(strstr(nft_error_message(), "of 8"));
        assert_int_equal(l.calls, 1);
        assert_null(nft_context_output(context, NFT_OUTPUT)->array);
        nft_context_set_progress(context, NULL, NULL);
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
        assert_int_equal(nft_array_size(nft_context_output(context, NFT_OUTPUT)->array, 0), 9);
        nft_context_free(context);
    }
    nft_weights_free(weights);
    nft_model_free(model);
}

/* Uses the context that it is called from. */
typedef struct intruder {
    nft_context *context;
    const nft_weights *weights;
    int64_t calls, refused;
} intruder;

static int intrude(int64_t done, int64_t total, void *user)
{
    (void)done;
    (void)total;
    intruder *i = user;
    float value = 0;
    nft_model *model = NULL;
    i->calls++;
    i->refused += nft_forward(i->context, NFT_VIEW_WEIGHTS(i->weights)) == NFT_ERROR_ARGUMENT &&
                  strstr(nft_error_message(), "in use") &&
                  nft_context_set_tensor(i->context, 0, &value, 1) == NFT_ERROR_ARGUMENT &&
                  strstr(nft_error_message(), "in use") &&
                  nft_context_snapshot(&model, i->context) == NFT_ERROR_ARGUMENT && !model;
    return 0;
}

static void a_callback_cannot_use_its_context(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSIFIER, 0);
    nft_weights *weights = support_weights(nft_model_describe(model)->space, 5, 1, 0);
    for (int32_t threads = 1; threads <= 2; threads++) {
        nft_context *context = support_context(model, threads, 5);
        support_result expected = support_forward(context, weights);
        intruder i = {.context = context, .weights = weights};
        nft_context_set_progress(context, intrude, &i);
        support_result found = support_forward(context, weights);
        assert_true(i.calls > 0 && i.refused == i.calls);
        assert_int_equal(found.count, expected.count);
        support_identical("the call around it", found.count, found.values, expected.values);
        nft_context_set_progress(context, NULL, NULL);
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
        free(found.values);
        free(expected.values);
        nft_context_free(context);
    }
    nft_weights_free(weights);
    nft_model_free(model);
}

/* Keeps a forward running until the other thread was refused. */
typedef struct meeting {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool running, refused;
    nft_context *context;
    const nft_weights *weights;
    nft_status status;
} meeting;

static int wait_for_the_other(int64_t done, int64_t total, void *user)
{
    (void)done;
    (void)total;
    meeting *m = user;
    pthread_mutex_lock(&m->mutex);
    m->running = true;
    pthread_cond_broadcast(&m->changed);
    while (!m->refused)
        pthread_cond_wait(&m->changed, &m->mutex);
    pthread_mutex_unlock(&m->mutex);
    return 0;
}

static void *run_slowly(void *argument)
{
    meeting *m = argument;
    m->status = nft_forward(m->context, NFT_VIEW_WEIGHTS(m->weights));
    return NULL;
}

static void a_second_thread_is_refused(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSIFIER, 0);
    nft_weights *weights = support_weights(nft_model_describe(model)->space, 3, 1, 0);
    nft_context *context = support_context(model, 2, 3);
    meeting m = {.context = context, .weights = weights};
    pthread_t thread;
    pthread_mutex_init(&m.mutex, NULL);
    pthread_cond_init(&m.changed, NULL);
    nft_context_set_progress(context, wait_for_the_other, &m);
    assert_int_equal(pthread_create(&thread, NULL, run_slowly, &m), 0);
    pthread_mutex_lock(&m.mutex);
    while (!m.running)
        pthread_cond_wait(&m.changed, &m.mutex);
    pthread_mutex_unlock(&m.mutex);
    nft_status refused = nft_forward(context, NFT_VIEW_WEIGHTS(weights));
    pthread_mutex_lock(&m.mutex);
    m.refused = true;
    pthread_cond_broadcast(&m.changed);
    pthread_mutex_unlock(&m.mutex);
    pthread_join(thread, NULL);
    assert_int_equal(refused, NFT_ERROR_ARGUMENT);
    assert_int_equal(m.status, NFT_OK);
    nft_context_set_progress(context, NULL, NULL);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    pthread_cond_destroy(&m.changed);
    pthread_mutex_destroy(&m.mutex);
    nft_context_free(context);
    nft_weights_free(weights);
    nft_model_free(model);
}

#define RUNNERS 4

typedef struct runner {
    const nft_model *model;
    const nft_weights *weights;
    const float *expected;
    nft_status status;
    bool same;
} runner;

static void *run(void *argument)
{
    runner *r = argument;
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.threads = 2;
    r->status = nft_context_create(&context, r->model, &options);
    r->same = true;
    for (int i = 0; i < 20 && !r->status; i++) {
        r->status = nft_forward(context, NFT_VIEW_WEIGHTS(r->weights));
        const nft_array *output = nft_context_output(context, NFT_OUTPUT)->array;
        r->same = r->same && !memcmp(nft_array_f32(output), r->expected,
                                     (size_t)nft_array_count(output) * sizeof *r->expected);
    }
    nft_context_free(context);
    return NULL;
}

/* Any number of threads share a model and a weight set, each with its own context. */
static void threads_share_a_model(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSIFIER, 0);
    nft_weights *weights = support_weights(nft_model_describe(model)->space, 5, 1, 0);
    nft_context *context = support_context(model, 1, 5);
    support_result expected = support_forward(context, weights);
    pthread_t threads[RUNNERS];
    runner runners[RUNNERS];
    for (int i = 0; i < RUNNERS; i++) {
        runners[i] = (runner){.model = model, .weights = weights, .expected = expected.values};
        assert_int_equal(pthread_create(&threads[i], NULL, run, &runners[i]), 0);
    }
    for (int i = 0; i < RUNNERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(runners[i].status, NFT_OK);
        assert_true(runners[i].same);
    }
    free(expected.values);
    nft_context_free(context);
    nft_weights_free(weights);
    nft_model_free(model);
}

static const char classifier[] = "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 2, "
                                 "'out': 3}, {'type': 'linear', 'in': "
                                 "3, 'out': 1}]}, 'in_channels': 1, 'modules': [{'type': 'hnp_pool'}, "
                                 "{'type': 'linear', 'out_features': 2}]}";

/* A view's samples have the output that they have in the whole set. */
static void views_choose_samples(void **state)
{
    (void)state;
    nft_model *model = support_model(classifier, 3);
    nft_weights *set = support_weights(nft_model_describe(model)->space, 5, 1, 4);
    nft_context *context = support_context(model, 2, 8);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(set)));
    int64_t width = nft_array_size(nft_context_output(context, NFT_OUTPUT)->array, 1);
    size_t bytes = (size_t)(5 * width) * sizeof(float), row = (size_t)width * sizeof(float);
    float *all = support_allocate(bytes);
    memcpy(all, nft_array_f32(nft_context_output(context, NFT_OUTPUT)->array), bytes);

    const int64_t indices[] = {4, 1, 4};
    nft_view view = NFT_VIEW_INIT;
    view.weights = set;
    view.indices = indices;
    view.count = 3;
    view.first = 77; /* not read with indices */
    assert_ok(nft_forward(context, &view));
    const nft_view *output = nft_context_output(context, NFT_OUTPUT);
    assert_int_equal(output->count, 3);
    for (int64_t i = 0; i < 3; i++)
        assert_memory_equal(nft_array_f32(output->array) + i * width, all + indices[i] * width, row);

    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(set, 3, 0)));
    assert_int_equal(nft_context_output(context, NFT_OUTPUT)->count, 2);
    assert_memory_equal(nft_array_f32(nft_context_output(context, NFT_OUTPUT)->array), all + 3 * width,
                        2 * row);
    const int64_t wrong[] = {0, 5};
    view.indices = wrong;
    view.count = 2;
    assert_int_equal(nft_forward(context, &view), NFT_ERROR_ARGUMENT);
    assert_non_null(strstr(nft_error_message(), "indices[1] is 5, expected 0 … 4"));
    view.count = 0;
    assert_int_equal(nft_forward(context, &view), NFT_ERROR_ARGUMENT);
    free(all);
    nft_context_free(context);
    nft_weights_free(set);
    nft_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs),
        cmocka_unit_test(outputs_are_inputs),
        cmocka_unit_test(tokens),
        cmocka_unit_test(progress),
        cmocka_unit_test(threads_share_a_model),
        cmocka_unit_test(a_callback_cannot_use_its_context),
        cmocka_unit_test(a_second_thread_is_refused),
        cmocka_unit_test(views_choose_samples),
    };
    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
