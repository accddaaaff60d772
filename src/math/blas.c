#include "math/blas.h"

#include "math/vector.h"

#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Found only where OpenBLAS, or an OpenMP runtime, is linked. */
#define WEAK __attribute__((weak))
extern void openblas_set_num_threads(int threads) WEAK;
extern int openblas_get_num_threads(void) WEAK;
extern int openblas_get_parallel(void) WEAK;
extern char *openblas_get_config(void) WEAK;
extern char *openblas_get_corename(void) WEAK;
/* A linker takes nothing from an archive for a weak reference. These symbols come with the products: the
 * first with those of OpenBLAS, the second unless it was built without threads, the third with those of the
 * reference BLAS. */
extern void *blas_memory_alloc(int position) WEAK;
extern int exec_blas(long count, void *queue) WEAK;
extern int RowMajorStrg WEAK;
extern void omp_set_num_threads(int threads) WEAK;
extern int omp_get_max_threads(void) WEAK;

/* --- products --- */

/* A BLAS on OpenMP takes the calling thread's own number of threads, whatever the process's is. */
static int hold_openmp(void)
{
    if (!omp_set_num_threads || !omp_get_max_threads)
        return 1;
    int threads = omp_get_max_threads();
    if (threads != 1)
        omp_set_num_threads(1);
    return threads;
}

static void release_openmp(int threads)
{
    if (threads != 1)
        omp_set_num_threads(threads);
}

#if !defined(NFT_CBLAS_THREAD_SAFE)
#define NFT_CBLAS_THREAD_SAFE 0
#endif

/* OpenBLAS built without threads hands out its buffers without a lock: its products come one at a time. So do
 * those of a BLAS that is not known. */
static pthread_mutex_t single = PTHREAD_MUTEX_INITIALIZER;

static bool one_at_a_time(void)
{
    if (openblas_get_parallel)
        return openblas_get_parallel() == 0;
    if (blas_memory_alloc)
        return !exec_blas;
    return !&RowMajorStrg && !NFT_CBLAS_THREAD_SAFE;
}

/* A single row has no stride, but BLAS checks it. */
static int leading(int64_t rows, int64_t columns, int64_t stride)
{
    return (int)(rows == 1 ? columns : stride);
}

static void scale_rows(int64_t rows, int64_t columns, float factor, float *c, int64_t stride)
{
    for (int64_t r = 0; r < rows; r++)
        if (factor == 0)
            memset(c + r * stride, 0, (size_t)columns * sizeof *c);
        else
            nft_vector()->copy_scaled(columns, factor, c + r * stride, c + r * stride);
}

void nft_gemm(nft_layout layout, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
              int64_t a_stride, const float *b, int64_t b_stride, float beta, float *c, int64_t c_stride)
{
    if (m <= 0 || n <= 0)
        return;
    if (k <= 0) {
        scale_rows(m, n, beta, c, c_stride);
        return;
    }
    CBLAS_TRANSPOSE a_transposed = layout == NFT_TN ? CblasTrans : CblasNoTrans,
                    b_transposed = layout == NFT_NT ? CblasTrans : CblasNoTrans;
    int a_leading = layout == NFT_TN ? leading(k, m, a_stride) : leading(m, k, a_stride);
    int b_leading = layout == NFT_NT ? leading(n, k, b_stride) : leading(k, n, b_stride);
    bool locked = one_at_a_time() && pthread_mutex_lock(&single) == 0;
    int threads = hold_openmp();
    cblas_sgemm(CblasRowMajor, a_transposed, b_transposed, (int)m, (int)n, (int)k, alpha, a, a_leading, b,
                b_leading, beta, c, leading(m, n, c_stride));
    release_openmp(threads);
    if (locked)
        pthread_mutex_unlock(&single);
}

/* --- threads --- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int in_flight;    /* calls of all threads */
static int host_threads; /* to be restored; 0: nothing to restore */
static bool fork_hooked;
static _Thread_local int own_calls; /* of this thread: after a fork the only ones */

static void before_fork(void)
{
    pthread_mutex_lock(&mutex);
    pthread_mutex_lock(&single);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&single);
    pthread_mutex_unlock(&mutex);
}

/* Calls of threads that the child lacks never leave. The child's own last call then restores the thread
 * count. */
static void after_fork_in_child(void)
{
    in_flight = own_calls;
    pthread_mutex_unlock(&single);
    pthread_mutex_unlock(&mutex);
}

void nft_blas_enter(void)
{
    if (!openblas_set_num_threads || !openblas_get_num_threads)
        return;
    pthread_mutex_lock(&mutex);
    if (!fork_hooked)
        fork_hooked = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
    own_calls++;
    if (in_flight++ == 0) {
        int now = openblas_get_num_threads();
        if (host_threads == 0 || now != 1) /* a child of fork may have chosen another number meanwhile */
            host_threads = now;
        openblas_set_num_threads(1);
    }
    pthread_mutex_unlock(&mutex);
}

void nft_blas_leave(void)
{
    if (!openblas_set_num_threads || !openblas_get_num_threads)
        return;
    pthread_mutex_lock(&mutex);
    own_calls--;
    if (--in_flight == 0) {
        openblas_set_num_threads(host_threads);
        host_threads = 0;
    }
    pthread_mutex_unlock(&mutex);
}

/* --- description --- */

static char description[128];
static pthread_once_t described = PTHREAD_ONCE_INIT;

/* OpenBLAS's configuration begins with its name and version. */
static void describe(void)
{
    if (!openblas_get_config) {
        snprintf(description, sizeof description, "CBLAS");
        return;
    }
    char name[32] = "OpenBLAS", version[32] = "";
    sscanf(openblas_get_config(), "%31s %31s", name, version);
    snprintf(description, sizeof description, "%s %s (%s)", name, version,
             openblas_get_corename ? openblas_get_corename() : "unknown core");
}

const char *nft_blas_describe(void)
{
    pthread_once(&described, describe);
    return description;
}
