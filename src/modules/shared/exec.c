/* How a module's forward uses the threads that share a sample. */
#include "modules/shared/module.h"

#include "math/gradients.h"

#include <math.h>
#include <string.h>

typedef struct shared_items {
    const nft_exec *exec;
    nft_exec_work *work;
    void *argument;
} shared_items;

static void run_item(void *argument, int64_t item, int worker)
{
    const shared_items *shared = argument;
    shared->work(shared->argument, item, shared->exec->item + worker * shared->exec->item_stride);
}

void nft_exec_for(const nft_exec *exec, int64_t items, nft_exec_work *work, void *argument)
{
    if (exec->team) {
        shared_items shared = {exec, work, argument};
        nft_pool_run(exec->team, items, run_item, &shared);
        return;
    }
    for (int64_t item = 0; item < items; item++)
        work(argument, item, exec->item);
}

int64_t nft_inner_floats(const nft_module *inner)
{
    return nft_size_add(inner->memory.call, inner->memory.training);
}

nft_exec nft_exec_inside(const nft_exec *exec, const nft_module *inner, const nft_buffer *memory)
{
    nft_exec inside = *exec;
    inside.call = nft_at(exec, memory);
    inside.training = inside.call + inner->memory.call;
    return inside;
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
    const float *bias = map->bias.index < 0 ? NULL : nft_param_at(exec, &map->bias);
    const nft_packed_weights *packed = exec->packed;
    nft_packed_linear(packed->formats[map->exact], rows, map->inputs, map->outputs,
                      packed->values + packed->places[map->weight.index], bias, x, x_stride, y, y_stride,
                      mode);
}

void nft_map_rows_back(const nft_exec *exec, const nft_map *map, int64_t rows, const float *dy,
                       int64_t dy_stride, float *dx, int64_t dx_stride, nft_map_mode mode)
{
    const nft_packed_weights *packed = exec->packed_back;
    nft_packed_linear(packed->formats[map->exact], rows, map->outputs, map->inputs,
                      packed->values + packed->places[map->weight.index], NULL, dy, dy_stride, dx, dx_stride,
                      mode);
}

/* nft_map_rows or nft_map_rows_back. */
typedef void map_rows(const nft_exec *exec, const nft_map *map, int64_t rows, const float *x,
                      int64_t x_stride, float *y, int64_t y_stride, nft_map_mode mode);

typedef struct linear_rows {
    const nft_exec *exec;
    const nft_map *map;
    map_rows *run;
    int64_t rows, x_width, y_width;
    const float *x;
    float *y;
    nft_map_mode mode;
} linear_rows;

static void linear_chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const linear_rows *l = argument;
    int64_t first, count;
    nft_chunk(l->rows, item, &first, &count);
    l->run(l->exec, l->map, count, l->x + first * l->x_width, l->x_width, l->y + first * l->y_width,
           l->y_width, l->mode);
}

void nft_exec_linear(const nft_exec *exec, const nft_map *map, int64_t rows, const float *x, float *y,
                     nft_map_mode mode)
{
    linear_rows l = {exec, map, nft_map_rows, rows, map->inputs, map->outputs, x, y, mode};
    nft_exec_for(exec, nft_chunk_count(rows), linear_chunk, &l);
}

void nft_exec_linear_back(const nft_exec *exec, const nft_map *map, int64_t rows, const float *dy, float *dx,
                          nft_map_mode mode)
{
    linear_rows l = {exec, map, nft_map_rows_back, rows, map->outputs, map->inputs, dy, dx, mode};
    nft_exec_for(exec, nft_chunk_count(rows), linear_chunk, &l);
}

bool nft_drops(const nft_exec *exec, double p)
{
    return exec->dropout && p > 0;
}

void nft_drop(const nft_exec *exec, uint64_t module, double p, int64_t n, const float *x, float *y)
{
    if (!nft_drops(exec, p)) {
        if (x != y)
            memcpy(y, x, (size_t)n * sizeof *y);
        return;
    }
    const nft_dropout_key *key = exec->dropout;
    uint64_t stream = key->step * UINT64_C(0x9e3779b97f4a7c15) + key->sample;
    nft_vector_gradients()->drop(n, (uint32_t)fmin(round(p * 0x1p32), UINT32_MAX), (float)(1 / (1 - p)),
                                 key->seed ^ module, stream, x, y);
}

void nft_add_dropped(const nft_exec *exec, uint64_t module, double p, int64_t n, const float *x,
                     const float *branch, float *y)
{
    if (nft_drops(exec, p)) {
        nft_drop(exec, module, p, n, branch, y);
        branch = y;
    }
    nft_vector()->add_two(n, x, branch, y);
}

int64_t nft_product_flops(int64_t m, int64_t n, int64_t k)
{
    return nft_size_multiply(2, nft_size_multiply(m, nft_size_multiply(n, k)));
}

int64_t nft_map_flops(const nft_map *map, int64_t rows)
{
    return nft_product_flops(rows, map->outputs, map->inputs);
}
