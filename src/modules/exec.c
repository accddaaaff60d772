/* How a module's forward uses the threads that share a sample. */
#include "modules/module.h"

typedef struct shared_items {
    const nft_exec *exec;
    nft_exec_work *work;
    void *argument;
} shared_items;

static void run_item(void *argument, int64_t item, int worker)
{
    const shared_items *shared = argument;
    shared->work(shared->argument, item, shared->exec->thread_scratch + worker * shared->exec->thread_stride);
}

void nft_exec_for(const nft_exec *exec, int64_t items, nft_exec_work *work, void *argument)
{
    if (exec->team) {
        shared_items shared = {exec, work, argument};
        nft_pool_run(exec->team, items, run_item, &shared);
        return;
    }
    for (int64_t item = 0; item < items; item++)
        work(argument, item, exec->thread_scratch);
}

int64_t nft_chunk_count(int64_t rows)
{
    return (rows + NFT_CHUNK_ROWS - 1) / NFT_CHUNK_ROWS;
}

void nft_chunk(int64_t rows, int64_t index, int64_t *first, int64_t *count)
{
    int64_t chunks = nft_chunk_count(rows), size = rows / chunks, longer = rows % chunks;
    *first = index * size + (index < longer ? index : longer);
    *count = size + (index < longer);
}

void nft_map_rows(const nft_exec *exec, const nft_map *map, int64_t rows, const float *x, int64_t x_stride,
                  float *y, int64_t y_stride, nft_map_mode mode)
{
    const float *bias = map->bias < 0 ? NULL : exec->parameters + map->bias;
    nft_packed_linear(rows, map->inputs, map->outputs, exec->packed + map->packed, bias, x, x_stride, y,
                      y_stride, mode);
}

typedef struct linear_rows {
    const nft_exec *exec;
    const nft_map *map;
    int64_t rows;
    const float *x;
    float *y;
    nft_map_mode mode;
} linear_rows;

static void linear_chunk(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const linear_rows *l = argument;
    int64_t first, count, inputs = l->map->inputs, outputs = l->map->outputs;
    nft_chunk(l->rows, item, &first, &count);
    nft_map_rows(l->exec, l->map, count, l->x + first * inputs, inputs, l->y + first * outputs, outputs,
                 l->mode);
}

void nft_exec_linear(const nft_exec *exec, const nft_map *map, int64_t rows, const float *x, float *y,
                     nft_map_mode mode)
{
    linear_rows l = {exec, map, rows, x, y, mode};
    nft_exec_for(exec, nft_chunk_count(rows), linear_chunk, &l);
}

int64_t nft_product_flops(int64_t m, int64_t n, int64_t k)
{
    return nft_size_multiply(2, nft_size_multiply(m, nft_size_multiply(n, k)));
}

int64_t nft_map_flops(const nft_map *map, int64_t rows)
{
    return nft_product_flops(rows, map->outputs, map->inputs);
}
