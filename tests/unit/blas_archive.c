/* Whether products of several threads overlap, by symbols of the linked BLAS. Built once for each kind. */
#define _POSIX_C_SOURCE 200809L
#include "math/blas.h"
#include "math/vector.h"

#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREADS 4

static int inside, most;

/* Stays a while, so that others come too if they may. */
void cblas_sgemm(CBLAS_LAYOUT layout, CBLAS_TRANSPOSE a_transposed, CBLAS_TRANSPOSE b_transposed, int m,
                 int n, int k, float alpha, const float *a, int a_stride, const float *b, int b_stride,
                 float beta, float *c, int c_stride)
{
    (void)layout, (void)a_transposed, (void)b_transposed, (void)m, (void)n, (void)k, (void)alpha, (void)a;
    (void)a_stride, (void)b, (void)b_stride, (void)beta, (void)c, (void)c_stride;
    int now = __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST),
        before = __atomic_load_n(&most, __ATOMIC_SEQ_CST);
    while (now > before &&
           !__atomic_compare_exchange_n(&most, &before, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        continue;
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
}

const nft_kernels *nft_vector(void)
{
    abort();
}

#if defined(BLAS_IS_serial) || defined(BLAS_IS_threaded)
void *blas_memory_alloc(int position);

void *blas_memory_alloc(int position)
{
    (void)position;
    return NULL;
}
#endif

#if defined(BLAS_IS_threaded)
int exec_blas(long count, void *queue);

int exec_blas(long count, void *queue)
{
    (void)count, (void)queue;
    return 0;
}
#endif

#if defined(BLAS_IS_threaded) || defined(BLAS_IS_safe)
#define OVERLAPS true
#else
#define OVERLAPS false
#endif

static void *multiply(void *argument)
{
    float values[4] = {0};
    (void)argument;
    nft_gemm(NFT_NN, 1, 1, 1, 1, values, 1, values + 1, 1, 0, values + 2, 1);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, multiply, NULL))
            return EXIT_FAILURE;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%d products at a time\n", most);
    return (most > 1) == OVERLAPS ? EXIT_SUCCESS : EXIT_FAILURE;
}
