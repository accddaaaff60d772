/* A small pool of threads: the caller is worker 0, the others wait. */
#ifndef NFT_BASE_THREADS_H
#define NFT_BASE_THREADS_H

#include "base/status.h"

typedef struct nft_pool nft_pool;

/* `threads` counts the caller: 1 makes no thread at all. When the system refuses some, the pool has fewer. */
nft_status nft_pool_create(nft_pool **pool, int threads);
void nft_pool_free(nft_pool *pool);
int nft_pool_threads(const nft_pool *pool);

/* Calls work(argument, item, worker) once for each item 0 … items - 1, worker < nft_pool_threads. Returns
 * when all are done. One caller at a time. A work function must not run the same pool again. After a fork the
 * child's first run makes its workers anew. */
typedef void nft_work(void *argument, int64_t item, int worker);
void nft_pool_run(nft_pool *pool, int64_t items, nft_work *work, void *argument);

int nft_machine_cores(void); /* that this process may use, by its affinity and its control group's quota */

/* An error that names the function unless `threads` of the caller's options is 0 (all cores) … 1024. */
nft_status nft_check_threads(const char *function, int32_t threads);

#endif
