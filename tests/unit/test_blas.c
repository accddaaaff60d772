/* The products against sums in double, and the number of threads that BLAS is left with. */
#define _GNU_SOURCE
#include "math/blas.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) ((int64_t)(sizeof(array) / sizeof *(array)))
#define MOST 24 /* rows, columns and strides of a test's matrices */

extern void openblas_set_num_threads(int threads) __attribute__((weak));
extern int openblas_get_num_threads(void) __attribute__((weak));

static void fill_random(int64_t n, float *x)
{
    uint32_t seed = 1;
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        x[i] = (float)(seed >> 8) * 0x1p-23f - 1;
    }
}

/* --- products --- */

static const char *const names[] = {"nn", "nt", "tn"};

static void check_product(nft_layout layout, int64_t m, int64_t n, int64_t k, float alpha, float beta)
{
    float a[MOST * MOST], b[MOST * MOST], old[MOST * MOST], c[MOST * MOST];
    fill_random(COUNT(a), a);
    memcpy(b, a + 1, sizeof b - sizeof *b);
    b[COUNT(b) - 1] = 0.5f;
    for (int64_t i = 0; i < COUNT(old); i++)
        old[i] = beta == 0 ? NAN : a[COUNT(a) - 1 - i];
    memcpy(c, old, sizeof c);
    nft_gemm(layout, m, n, k, alpha, a, MOST - 1, b, MOST - 2, beta, c, MOST);
    for (int64_t i = 0; i < MOST; i++)
        for (int64_t j = 0; j < MOST; j++) {
            float got = c[i * MOST + j];
            if (i >= m || j >= n) {
                assert_memory_equal(&got, &old[i * MOST + j], sizeof got);
                continue;
            }
            double sum = beta == 0 ? 0 : (double)beta * (double)old[i * MOST + j];
            for (int64_t l = 0; l < k; l++)
                sum += (double)alpha *
                       (double)(layout == NFT_TN ? a[l * (MOST - 1) + i] : a[i * (MOST - 1) + l]) *
                       (double)(layout == NFT_NT ? b[j * (MOST - 2) + l] : b[l * (MOST - 2) + j]);
            if (!(fabs((double)got - sum) < 1e-5))
                fail_msg("%s (%" PRId64 ", %" PRId64 ", %" PRId64 "): %g, expected %g", names[layout], m, n,
                         k, (double)got, sum);
        }
}

static void products_are_right(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 2, 7, 20};
    static const float betas[] = {0, 1, -0.5f};
    for (int layout = 0; layout < COUNT(names); layout++)
        for (int64_t s = 0; s < COUNT(sizes) * COUNT(sizes) * COUNT(sizes); s++)
            for (int b = 0; b < COUNT(betas); b++)
                check_product((nft_layout)layout, sizes[s % COUNT(sizes)],
                              sizes[s / COUNT(sizes) % COUNT(sizes)], sizes[s / COUNT(sizes) / COUNT(sizes)],
                              b == 1 ? 1 : 0.75f, betas[b]);
}

static void a_single_row_needs_no_stride(void **state)
{
    (void)state;
    const float row[3] = {1, 2, 3}, matrix[6] = {1, 0, 1, 0, 1, 1};
    float c[2];
    nft_gemm(NFT_NT, 1, 2, 3, 1, row, 0, matrix, 3, 0, c, 0);
    assert_true(c[0] == 4 && c[1] == 5);
    nft_gemm(NFT_NN, 1, 2, 3, 1, row, INT64_MAX, matrix, 2, 0, c, INT64_MAX);
    assert_true(c[0] == 6 && c[1] == 3);
}

/* --- threads --- */

static int blas_threads(void)
{
    return openblas_get_num_threads();
}

/* ThreadSanitizer ends the child of a process with several threads. */
#if defined(__SANITIZE_THREAD__)
#define CHILDREN_END true
#elif defined(__has_feature)
#define CHILDREN_END __has_feature(thread_sanitizer)
#else
#define CHILDREN_END false
#endif

/* OpenBLAS with more than one thread; restore its number. */
static int begin_threads(void)
{
    if (!openblas_set_num_threads || !openblas_get_num_threads)
        skip();
    int before = blas_threads();
    openblas_set_num_threads(2);
    if (blas_threads() != 2)
        skip();
    return before;
}

static void the_last_call_restores_the_number_of_threads(void **state)
{
    (void)state;
    int before = begin_threads();
    for (int round = 0; round < 2; round++) {
        nft_blas_enter();
        assert_int_equal(blas_threads(), 1);
        nft_blas_enter();
        nft_blas_leave();
        assert_int_equal(blas_threads(), 1);
        nft_blas_leave();
        assert_int_equal(blas_threads(), 2);
    }
    openblas_set_num_threads(before);
}

static void *enter_and_leave(void *argument)
{
    bool *right = argument;
    *right = true;
    for (int i = 0; i < 1000; i++) {
        nft_blas_enter();
        *right = *right && blas_threads() == 1;
        nft_blas_leave();
    }
    return NULL;
}

static void calls_of_several_threads_count_together(void **state)
{
    (void)state;
    int before = begin_threads();
    pthread_t threads[4];
    bool right[4];
    for (int t = 0; t < 4; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, enter_and_leave, &right[t]), 0);
    for (int t = 0; t < 4; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
        assert_true(right[t]);
    }
    assert_int_equal(blas_threads(), 2);
    openblas_set_num_threads(before);
}

static pthread_barrier_t inside, forked;

static void *stay_inside(void *argument)
{
    nft_blas_enter();
    pthread_barrier_wait(&inside);
    pthread_barrier_wait(&forked);
    nft_blas_leave();
    return argument;
}

/* The child has no thread but this one, and this one is in flight as often as it entered itself. */
static bool child_restores(bool entered)
{
    alarm(30);
    if (entered) {
        nft_blas_enter();
        nft_blas_leave();
        if (blas_threads() != 1)
            return false;
        nft_blas_leave();
    } else {
        nft_blas_enter();
        if (blas_threads() != 1)
            return false;
        nft_blas_leave();
    }
    return blas_threads() == 2;
}

/* The number that the child chooses before its first call is the one that it has afterwards. */
static bool child_chooses(void)
{
    alarm(30);
    openblas_set_num_threads(3);
    nft_blas_enter();
    bool one = blas_threads() == 1;
    nft_blas_leave();
    return one && blas_threads() == 3;
}

static void a_child_does_not_wait_for_vanished_calls(void **state)
{
    (void)state;
    if (CHILDREN_END)
        skip();
    int before = begin_threads();
    for (int way = 0; way < 3; way++) {
        bool entered = way == 1;
        pthread_t thread;
        pthread_barrier_init(&inside, NULL, 2);
        pthread_barrier_init(&forked, NULL, 2);
        assert_int_equal(pthread_create(&thread, NULL, stay_inside, NULL), 0);
        pthread_barrier_wait(&inside);
        if (entered)
            nft_blas_enter();
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit((way == 2 ? child_chooses() : child_restores(entered)) ? 0 : 1);
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        pthread_barrier_wait(&forked);
        assert_int_equal(pthread_join(thread, NULL), 0);
        if (entered)
            nft_blas_leave();
        pthread_barrier_destroy(&inside);
        pthread_barrier_destroy(&forked);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(blas_threads(), 2);
    }
    openblas_set_num_threads(before);
}

static void the_library_is_named(void **state)
{
    (void)state;
    const char *name = nft_blas_describe();
    assert_true(strlen(name) > 0 && !strchr(name, '\n'));
    assert_true(openblas_get_num_threads ? !strncmp(name, "OpenBLAS ", 9) : true);
    assert_ptr_equal(name, nft_blas_describe());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(a_single_row_needs_no_stride),
        cmocka_unit_test(the_last_call_restores_the_number_of_threads),
        cmocka_unit_test(calls_of_several_threads_count_together),
        cmocka_unit_test(a_child_does_not_wait_for_vanished_calls),
        cmocka_unit_test(the_library_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
