/* A system that grants fewer threads than asked for, or no lock: fewer threads work and the log says so, or a
 * status. Results keep their bits. The calls of pthreads are defined here, in front of the C library's. */
#define _GNU_SOURCE
#include "unit/models.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum refusable { REFUSABLE_THREAD, REFUSABLE_MUTEX, REFUSABLE_CONDITION, REFUSABLES };

static int granted[REFUSABLES] = {-1, -1, -1}; /* how many more, below 0: any number */
static int refused;

static bool is_refused(enum refusable what)
{
    if (granted[what] < 0)
        return false;
    if (granted[what]-- > 0)
        return false;
    granted[what] = 0;
    refused++;
    return true;
}

/* BLAS, which ends the process if it gets no threads, gets them. */
static bool is_of_this_program(const void *code)
{
    Dl_info caller, here;
    return dladdr(code, &caller) && dladdr((const void *)granted, &here) &&
           caller.dli_fbase == here.dli_fbase;
}

/* The C library's function, which ISO C does not let a data pointer become. */
static void find_next(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    assert_non_null(found);
    memcpy(function, &found, sizeof found);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (is_of_this_program(__builtin_return_address(0)) && is_refused(REFUSABLE_THREAD))
        return EAGAIN;
    find_next(&next, "pthread_create");
    return next(thread, attributes, run, argument);
}

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    int (*next)(pthread_mutex_t *, const pthread_mutexattr_t *);
    if (is_refused(REFUSABLE_MUTEX))
        return ENOMEM;
    find_next(&next, "pthread_mutex_init");
    return next(mutex, attributes);
}

int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    int (*next)(pthread_cond_t *, const pthread_condattr_t *);
    if (is_refused(REFUSABLE_CONDITION))
        return ENOMEM;
    find_next(&next, "pthread_cond_init");
    return next(condition, attributes);
}

static void grant_everything(void)
{
    for (int what = 0; what < REFUSABLES; what++)
        granted[what] = -1;
}

static char last_line[256];

static void keep_line(int32_t level, const char *line, void *user)
{
    (void)user;
    assert_int_equal(level, NFT_LOG_WARNING);
    snprintf(last_line, sizeof last_line, "%s", line);
}

static nft_model *model;
static nft_weights *networks;
static support_result expected;

static int open_fixture(void **state)
{
    (void)state;
    model = support_model(CLASSIFIER, 1);
    networks = support_weights(nft_model_describe(model)->space, 6, 1, 2);
    nft_context *context = support_context(model, 1, 6);
    expected = support_forward(context, networks);
    nft_context_free(context);
    nft_set_log(keep_line, NULL);
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    nft_set_log(NULL, NULL);
    free(expected.values);
    nft_weights_free(networks);
    nft_model_free(model);
    return 0;
}

static void same_result(nft_context *context)
{
    support_result result = support_forward(context, networks);
    assert_int_equal(result.count, expected.count);
    support_identical("the output", result.count, result.values, expected.values);
    free(result.values);
}

static void fewer_threads(void **state)
{
    (void)state;
    for (int more = 0; more < 4; more++) {
        char line[64] = "";
        *last_line = 0;
        granted[REFUSABLE_THREAD] = more;
        nft_context *context = support_context(model, 4, 6);
        grant_everything();
        if (more < 3)
            snprintf(line, sizeof line, "the system granted %d of 4 threads", more + 1);
        assert_string_equal(last_line, line);
        same_result(context);
        nft_context_free(context);
    }
}

static void no_lock(void **state)
{
    (void)state;
    const struct {
        enum refusable what;
        int granted;
        const char *words;
    } cases[] = {{REFUSABLE_MUTEX, 0, "refused a lock"},
                 {REFUSABLE_CONDITION, 0, "refused a condition variable"},
                 {REFUSABLE_CONDITION, 1, "refused a condition variable"}};
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.threads = 2;
    for (size_t i = 0; i < COUNT(cases); i++) {
        nft_context *context = NULL;
        refused = 0;
        granted[cases[i].what] = cases[i].granted;
        nft_status status = nft_context_create(&context, model, &options);
        grant_everything();
        assert_int_equal(refused, 1);
        assert_int_equal(status, NFT_ERROR_THREAD);
        assert_null(context);
        if (!strstr(nft_error_message(), cases[i].words))
            fail_msg("the message is \"%s\"", nft_error_message());
        assert_ok(nft_context_create(&context, model, &options));
        same_result(context);
        nft_context_free(context);
    }
}

/* A child of fork has no workers and gets none: the caller does all the work. */
static void none_after_fork(void **state)
{
    (void)state;
    const enum refusable cases[] = {REFUSABLE_THREAD, REFUSABLE_MUTEX};
    nft_context *context = support_context(model, 3, 6);
    same_result(context);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int status = 0;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            granted[cases[i]] = 0;
            bool same = true;
            for (int run = 0; run < 2; run++)
                same = same && !nft_forward(context, NFT_VIEW_WEIGHTS(networks)) &&
                       !memcmp(nft_array_f32(nft_context_output(context, NFT_OUTPUT)->array), expected.values,
                               (size_t)expected.count * sizeof *expected.values);
            _exit(same && refused ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    same_result(context);
    nft_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fewer_threads),
        cmocka_unit_test(no_lock),
        cmocka_unit_test(none_after_fork),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
