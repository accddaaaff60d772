#define _GNU_SOURCE /* prctl */
#include "sgemm.h"

#include "progress.h"
#include "report.h"
#include "text.h"

#include <cblas.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <signal.h>
#include <sys/prctl.h>
#endif

#define MOST_RUNS 5 /* after the first, which warms up */

/* Only OpenBLAS has it; another CBLAS is not changed. */
extern void openblas_set_num_threads(int threads) __attribute__((weak));

typedef struct product {
    const float *a, *b;
    float *c;
    pthread_t thread;
} product;

static void *multiply(void *argument)
{
    const product *p = argument;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SGEMM_SIZE, SGEMM_SIZE, SGEMM_SIZE, 1, p->a,
                SGEMM_SIZE, p->b, SGEMM_SIZE, 0, p->c, SGEMM_SIZE);
    return NULL;
}

/* Runs all products side by side, the first one on this thread. Returns the seconds, negative without
 * threads. */
static double time_products(product *products, int count)
{
    double started = steady_seconds();
    int running = 1;
    while (running < count && !pthread_create(&products[running].thread, NULL, multiply, &products[running]))
        running++;
    multiply(&products[0]);
    for (int i = 1; i < running; i++)
        pthread_join(products[i].thread, NULL);
    return running < count ? -1 : steady_seconds() - started;
}

/* In the child: sends the seconds of each run down the pipe. After `most_seconds` it begins no other. */
static void send_timings(int pipe_end, int threads, double most_seconds)
{
    size_t numbers = (size_t)SGEMM_SIZE * SGEMM_SIZE;
    float *matrices = malloc(((size_t)threads + 2) * numbers * sizeof *matrices);
    product *products = calloc((size_t)threads, sizeof *products);
    if (!matrices || !products)
        return;
    for (size_t i = 0; i < 2 * numbers; i++)
        matrices[i] = (float)(i % 1021) / 1021 - 0.5f;
    for (int i = 0; i < threads; i++)
        products[i] =
            (product){.a = matrices, .b = matrices + numbers, .c = matrices + (size_t)(i + 2) * numbers};
    if (openblas_set_num_threads)
        openblas_set_num_threads(1);
    double spent = 0;
    for (int run = 0; run <= MOST_RUNS && (run < 2 || spent < most_seconds); run++) {
        double seconds = time_products(products, threads);
        if (write(pipe_end, &seconds, sizeof seconds) != sizeof seconds)
            return;
        spent += run ? seconds : 0;
    }
}

/* In the parent: the least of the runs after the first, and their number, which may be 0. */
static double receive_best(int *runs, int pipe_end, cli_progress *progress)
{
    double best = 0, seconds;
    for (*runs = -1; *runs < MOST_RUNS; ++*runs) {
        ssize_t got;
        do
            got = read(pipe_end, &seconds, sizeof seconds);
        while (got < 0 && errno == EINTR);
        if (got != sizeof seconds)
            break;
        if (seconds <= 0)
            return 0;
        if (*runs == 0 || (*runs > 0 && seconds < best))
            best = seconds;
        progress_show(progress, *runs + 2);
    }
    return best;
}

int measure_sgemm(double *gflops, int *runs, int threads, const cli_options *given)
{
    double most_seconds = environment_seconds("NFTOOL_BENCH_SECONDS", HUGE_VAL);
    int ends[2];
    char text[TEXT_CAPACITY];
    if (pipe(ends))
        return fail("cannot measure sgemm: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
#ifdef __linux__ /* it ends with this program even where OpenBLAS, which tries for ever, finds no memory */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
        close(ends[0]);
        send_timings(ends[1], threads, most_seconds);
        _exit(0);
    }
    int fork_error = errno;
    close(ends[1]);
    cli_progress progress;
    progress_start(&progress, given, "sgemm", "products", MOST_RUNS + 1);
    double best = child > 0 ? receive_best(runs, ends[0], &progress) : 0;
    progress_end(&progress);
    close(ends[0]);
    if (child < 0)
        return fail("cannot measure sgemm: %s", strerror(fork_error));
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    if (best <= 0)
        return fail("cannot measure sgemm with %s: the system refused memory or threads",
                    text_plural(text, threads, "thread"));
    *gflops = 2.0 * SGEMM_SIZE * SGEMM_SIZE * SGEMM_SIZE * threads / best * 1e-9;
    return EXIT_SUCCESS;
}
