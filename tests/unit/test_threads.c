/* Threads: bit-identical results on any number of them and in any batch, models shared between them, forks,
 * and the process's BLAS left as it was. NFT_TEST_FORWARDS sets how often threads that share a model run it.
 */
#define _XOPEN_SOURCE 700
#include "unit/support.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

extern int openblas_get_num_threads(void) __attribute__((weak));
extern void openblas_set_num_threads(int threads) __attribute__((weak));

#define NETWORKS 32

static const char *const models[] = {
    NFT_TEST_DATA "/golden/model_cnn_predictor/model.safetensors",
    NFT_TEST_DATA "/golden/model_inr_classifier/model.safetensors",
    NFT_TEST_DATA "/golden/model_inr2array/model.safetensors",
    NFT_TEST_DATA "/golden/model_nft_editor/model.safetensors",
    NFT_TEST_DATA "/golden/model_nfn_hnp/model.safetensors",
    NFT_TEST_DATA "/golden/model_statnet/model.safetensors",
    NFT_TEST_DATA "/golden/residual_np_cnn/model.safetensors",
    NFT_SOURCE_DIR "/examples/data/accuracy-predictor.safetensors",
};

/* A model, networks for it, and the output of one thread for all of them, tensor after tensor. */
typedef struct subject {
    nft_model *model;
    nft_weights *networks;
    support_result expected;
} subject;

static subject open_subject(const char *path)
{
    subject s = {NULL, NULL, {0, NULL}};
    nft_module_info input = NFT_MODULE_INFO_INIT;
    assert_ok(nft_model_load(&s.model, path, NULL));
    input = *nft_model_describe(s.model)->input;
    s.networks = support_weights(nft_model_describe(s.model)->space, NETWORKS, input.channels, 1);
    nft_context *context = support_context(s.model, 1, NETWORKS);
    s.expected = support_forward(context, s.networks);
    nft_context_free(context);
    return s;
}

static void close_subject(subject *s)
{
    free(s->expected.values);
    nft_weights_free(s->networks);
    nft_model_free(s->model);
}

/* Whether the last forward, of networks first … first + count - 1, gave the bits that are expected of them.
 * It allocates nothing and fails no test, so any thread may ask. */
static bool as_expected(const subject *s, const nft_context *context, int64_t first, int64_t count)
{
    const nft_weights *features = nft_context_output(context, NFT_OUTPUT)->weights;
    const nft_array *whole = nft_context_output(context, NFT_OUTPUT)->array;
    const float *expected = s->expected.values;
    if (features ? nft_weights_count(features) != count : !whole || nft_array_size(whole, 0) != count)
        return false;
    for (int64_t t = 0; t < support_output_count(context); t++) {
        const float *values = features ? nft_weights_data(features, t) : nft_array_f32(whole);
        int64_t each = (features ? nft_weights_data_count(features, t) : nft_array_count(whole)) / count;
        if (memcmp(values, expected + first * each, (size_t)(count * each) * sizeof *expected))
            return false;
        expected += NETWORKS * each;
    }
    return true;
}

static void check_range(const subject *s, nft_context *context, int64_t first, int64_t count)
{
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(s->networks, first, count)));
    if (!as_expected(s, context, first, count))
        fail_msg("networks %" PRId64 " … %" PRId64 " differ", first, first + count - 1);
}

static void same_bits(void **state)
{
    (void)state;
    const int32_t threads[] = {1, 2, 3, 7};
    for (size_t m = 0; m < COUNT(models); m++) {
        subject s = open_subject(models[m]);
        for (size_t t = 0; t < COUNT(threads); t++) {
            nft_context *context = support_context(s.model, threads[t], 5);
            for (int64_t alone = 0; alone < NETWORKS; alone += 5)
                check_range(&s, context, alone, 1);
            check_range(&s, context, 0, 5);
            check_range(&s, context, 13, 5);
            check_range(&s, context, 0, NETWORKS);
            nft_context_free(context);
        }
        close_subject(&s);
    }
}

/* --- threads that share a model --- */

#define RUNNERS 8

typedef struct runner {
    pthread_t thread;
    const subject *subject;
    int index, forwards;
    nft_status status;
    bool same;
} runner;

static void *run(void *argument)
{
    runner *r = argument;
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.threads = 1 + r->index % 3;
    options.max_batch = 5;
    r->status = nft_context_create(&context, r->subject->model, &options);
    r->same = true;
    for (int i = 0; i < r->forwards && !r->status && r->same; i++) {
        int64_t count = 1 + (i + r->index) % 5, first = (i * 7 + r->index) % (NETWORKS - count);
        r->status = nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(r->subject->networks, first, count));
        r->same = !r->status && as_expected(r->subject, context, first, count);
    }
    nft_context_free(context);
    return NULL;
}

static int wanted_forwards(void)
{
    const char *text = getenv("NFT_TEST_FORWARDS");
    int forwards = text ? atoi(text) : 0;
    return forwards > 0 ? forwards : 200;
}

static void threads_share_a_model(void **state)
{
    (void)state;
    for (size_t m = 0; m + 1 < COUNT(models); m++) {
        subject s = open_subject(models[m]);
        runner runners[RUNNERS];
        for (int i = 0; i < RUNNERS; i++) {
            runners[i] = (runner){.subject = &s, .index = i, .forwards = wanted_forwards()};
            assert_int_equal(pthread_create(&runners[i].thread, NULL, run, &runners[i]), 0);
        }
        for (int i = 0; i < RUNNERS; i++) {
            assert_int_equal(pthread_join(runners[i].thread, NULL), 0);
            assert_int_equal(runners[i].status, NFT_OK);
            assert_true(runners[i].same);
        }
        close_subject(&s);
    }
}

/* Contexts that come and go with their threads. */
static void contexts_come_and_go(void **state)
{
    (void)state;
    subject s = open_subject(models[0]);
    for (int i = 0; i < 20; i++) {
        runner r = {.subject = &s, .index = i, .forwards = 2};
        assert_int_equal(pthread_create(&r.thread, NULL, run, &r), 0);
        assert_int_equal(pthread_join(r.thread, NULL), 0);
        assert_true(r.same && !r.status);
    }
    close_subject(&s);
}

/* --- fork --- */

/* The status of a child of fork: 0 if the context that it inherited still works, and a new one. */
static int child_result(const subject *s, nft_context *context)
{
    nft_context *own = NULL;
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.threads = 2;
    for (int i = 0; i < 2; i++)
        if (nft_forward(context, NFT_VIEW_WEIGHTS(s->networks)) || !as_expected(s, context, 0, NETWORKS))
            return 1;
    nft_context_free(context);
    if (nft_context_create(&own, s->model, &options) ||
        nft_forward(own, NFT_VIEW_WEIGHTS_RANGE(s->networks, 3, 4)) || !as_expected(s, own, 3, 4))
        return 2;
    nft_context_free(own);
    return 0;
}

static void forks(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT(models); m++) {
        subject s = open_subject(models[m]);
        for (int32_t threads = 1; threads <= 3; threads++) {
            nft_context *context = support_context(s.model, threads, NETWORKS);
            check_range(&s, context, 0, NETWORKS);
            pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0)
                _exit(child_result(&s, context));
            int status = -1;
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_int_equal(status, 0);
            check_range(&s, context, 0, NETWORKS);
            nft_context_free(context);
        }
        close_subject(&s);
    }
}

/* --- the process's BLAS --- */

static int read_blas_threads(int64_t done, int64_t total, void *user)
{
    (void)done, (void)total;
    *(int *)user = openblas_get_num_threads();
    return 0;
}

static int stop(int64_t done, int64_t total, void *user)
{
    (void)done, (void)total, (void)user;
    return 1;
}

/* One thread during a forward, afterwards as many as before, also after a stop. With keep_blas_threads the
 * number does not change. */
static void blas_threads_are_restored(void **state)
{
    (void)state;
    if (!openblas_get_num_threads || !openblas_set_num_threads)
        skip();
    int original = openblas_get_num_threads();
    subject s = open_subject(models[0]);
    assert_int_equal(openblas_get_num_threads(), original);
    openblas_set_num_threads(2);
    int before = openblas_get_num_threads(); /* 1 where OpenBLAS was built without threads */
    for (int32_t keep = 0; keep <= 1; keep++) {
        nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
        nft_context *context = NULL;
        int during = -1;
        options.threads = 2;
        options.keep_blas_threads = keep;
        assert_ok(nft_context_create(&context, s.model, &options));
        nft_context_set_progress(context, read_blas_threads, &during);
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(s.networks)));
        assert_int_equal(during, keep ? before : 1);
        assert_int_equal(openblas_get_num_threads(), before);
        nft_context_set_progress(context, stop, NULL);
        assert_int_equal(nft_forward(context, NFT_VIEW_WEIGHTS(s.networks)), NFT_ERROR_CANCELLED);
        assert_int_equal(openblas_get_num_threads(), before);
        nft_context_free(context);
    }
    close_subject(&s);
    openblas_set_num_threads(original);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits),
        cmocka_unit_test(threads_share_a_model),
        cmocka_unit_test(contexts_come_and_go),
        cmocka_unit_test(forks),
        cmocka_unit_test(blas_threads_are_restored),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
