#define _GNU_SOURCE /* sched_getaffinity */
#include "base/threads.h"
#include "base/cgroup.h"
#include "base/memory.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#define MAX_THREADS 1024 /* that options may ask for */

typedef struct worker {
    nft_pool *pool;
    pthread_t thread;
    int index;
} worker;

struct nft_pool {
    int threads;   /* workers that exist, the caller included */
    int wanted;    /* threads that were asked for */
    pid_t process; /* whose threads they are: a child of fork has none of them. 0: no locks and no threads */
    worker *workers; /* wanted - 1 */

    pthread_mutex_t lock;
    pthread_cond_t start, done;
    uint64_t round; /* counts the runs, so that a worker knows a new one */
    int busy;       /* workers that have not finished this round */
    bool closing;

    nft_work *work;
    void *argument;
    int64_t items;
    int64_t next; /* atomic */
};

/* Items are claimed one by one: an idle worker takes the next. Which worker computes an item does not change
 * its result. */
static void work_on_items(nft_pool *pool, int index)
{
    for (;;) {
        int64_t item = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED);
        if (item >= pool->items)
            return;
        pool->work(pool->argument, item, index);
    }
}

static void *worker_main(void *argument)
{
    const worker *self = argument;
    nft_pool *pool = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->round == seen && !pool->closing)
            pthread_cond_wait(&pool->start, &pool->lock);
        if (pool->closing)
            break;
        seen = pool->round;
        pthread_mutex_unlock(&pool->lock);
        work_on_items(pool, self->index);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0)
            pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Makes the locks and as many workers as the system grants. */
static nft_status start_workers(nft_pool *pool)
{
    pool->threads = 1;
    pool->process = 0;
    pool->round = 0;
    pool->busy = 0;
    pool->closing = false;
    if (pthread_mutex_init(&pool->lock, NULL))
        return nft_fail(NFT_ERROR_THREAD, "the system refused a lock");
    if (pthread_cond_init(&pool->start, NULL))
        goto no_start;
    if (pthread_cond_init(&pool->done, NULL))
        goto no_done;
    for (int i = 0; i < pool->wanted - 1; i++) {
        worker *next = &pool->workers[i];
        *next = (worker){.pool = pool, .index = i + 1};
        if (pthread_create(&next->thread, NULL, worker_main, next))
            break;
        pool->threads++;
    }
    pool->process = getpid();
    return NFT_OK;
no_done:
    pthread_cond_destroy(&pool->start);
no_start:
    pthread_mutex_destroy(&pool->lock);
    return nft_fail(NFT_ERROR_THREAD, "the system refused a condition variable");
}

nft_status nft_pool_create(nft_pool **out, int threads)
{
    *out = NULL;
    nft_pool *pool = nft_allocate(sizeof *pool);
    if (!pool)
        return nft_fail_memory("a thread pool", sizeof *pool);
    pool->wanted = threads > 1 ? threads : 1;
    pool->workers = nft_allocate_array((size_t)pool->wanted, sizeof *pool->workers);
    nft_status status = pool->workers
                            ? start_workers(pool)
                            : nft_fail_memory("a thread pool", pool->wanted * (int64_t)sizeof *pool->workers);
    if (status) {
        nft_release(pool->workers);
        nft_release(pool);
        return status;
    }
    if (pool->threads < pool->wanted)
        nft_log(NFT_LOG_WARNING, "the system granted %d of %d threads", pool->threads, pool->wanted);
    *out = pool;
    return NFT_OK;
}

void nft_pool_free(nft_pool *pool)
{
    if (!pool)
        return;
    if (pool->process == getpid()) {
        pthread_mutex_lock(&pool->lock);
        pool->closing = true;
        pthread_cond_broadcast(&pool->start);
        pthread_mutex_unlock(&pool->lock);
        for (int i = 0; i < pool->threads - 1; i++)
            pthread_join(pool->workers[i].thread, NULL);
        pthread_cond_destroy(&pool->done);
        pthread_cond_destroy(&pool->start);
        pthread_mutex_destroy(&pool->lock);
    }
    nft_release(pool->workers);
    nft_release(pool);
}

int nft_pool_threads(const nft_pool *pool)
{
    return pool ? pool->threads : 1;
}

static void run_alone(int64_t items, nft_work *work, void *argument)
{
    for (int64_t item = 0; item < items; item++)
        work(argument, item, 0);
}

void nft_pool_run(nft_pool *pool, int64_t items, nft_work *work, void *argument)
{
    /* In a child of fork the workers are gone. When new ones cannot be made, the caller does all the work. */
    bool no_workers = !pool || (pool->process != getpid() && start_workers(pool));
    if (no_workers || pool->threads == 1 || items <= 1) {
        run_alone(items, work, argument);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->work = work;
    pool->argument = argument;
    pool->items = items;
    pool->next = 0;
    pool->busy = pool->threads - 1;
    pool->round++;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);

    work_on_items(pool, 0);

    pthread_mutex_lock(&pool->lock);
    while (pool->busy)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

/* By the process's affinity. */
static int allowed_cores(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
#endif
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 && cores < 4096 ? (int)cores : 1;
}

int nft_machine_cores(void)
{
    int allowed = allowed_cores();
    int64_t quota = nft_cgroup_limits()->cores;
    return quota < allowed ? (int)quota : allowed;
}

nft_status nft_check_threads(const char *function, int32_t threads)
{
    if (threads >= 0 && threads <= MAX_THREADS)
        return NFT_OK;
    return nft_fail(NFT_ERROR_ARGUMENT, "%s: threads is %d, expected 0 (all cores) … %d", function, threads,
                    MAX_THREADS);
}
