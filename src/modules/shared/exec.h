/* Execution: the arguments of forward and backward of a module, and the threads of a sample. */
#ifndef NFT_MODULES_SHARED_EXEC_H
#define NFT_MODULES_SHARED_EXEC_H

#include "base/threads.h"
#include "math/blas.h"
#include "math/products.h"
#include "math/vector.h"
#include "modules/shared/packed_weights.h"
#include "modules/shared/memory.h"
#include "modules/shared/parameters.h"

/* The key of the random numbers of dropout. They depend on it, the module and the element only. */
typedef struct nft_dropout_key {
    uint64_t seed, step, sample;
} nft_dropout_key;

struct nft_exec {
    const float *parameters;               /* the model's */
    const nft_packed_weights *packed;      /* of its linear maps */
    const nft_packed_weights *packed_back; /* in backward: the transposes */
    const float *input;                    /* the model's own input for this sample */
    float *input_gradient;          /* in backward: the part of its gradient from modules that read `input` */
    const nft_dropout_key *dropout; /* NULL: none */
    nft_pool *team;                 /* threads that share this sample; NULL: only the calling thread */

    /* The arenas (modules/shared/memory.h); modules reach them through nft_at() and nft_exec_for(). */
    float *call, *training;
    float *frame;    /* NULL in inference */
    float *backward; /* only in backward */
    float *item;     /* of worker 0; worker w's begins w · item_stride further */
    int64_t item_stride;
};

/* True in a forward that keeps its values for backward. */
static inline bool nft_keeps(const nft_exec *exec)
{
    return exec->frame != NULL;
}

/* The values of a parameter. */
static inline const float *nft_param_at(const nft_exec *exec, const nft_param *parameter)
{
    return exec->parameters + parameter->offset;
}

/* Runs items 0 … items - 1 of a sample on its team, each with the memory of its thread for ITEM buffers. The
 * result of an item must not depend on the team. */
typedef void nft_exec_work(void *argument, int64_t item, float *item_memory);
void nft_exec_for(const nft_exec *exec, int64_t items, nft_exec_work *work, void *argument);

/* Rows of a matrix are cut into chunks that depend only on the number of rows, so that each product, and each
 * sum over a chunk, is bit-identical in every batch and on every number of threads. */
#define NFT_CHUNK_ROWS 128
int64_t nft_chunk_count(int64_t rows);
void nft_chunk(int64_t rows, int64_t index, int64_t *first, int64_t *count);

/* y (rows, outputs) = map(x) for the rows of one item. x and y must not overlap. */
void nft_map_rows(const nft_exec *exec, const nft_map *map, int64_t rows, const float *x, int64_t x_stride,
                  float *y, int64_t y_stride, nft_map_mode mode);
/* dx (rows, inputs) = or += dy (rows, outputs) weight. */
void nft_map_rows_back(const nft_exec *exec, const nft_map *map, int64_t rows, const float *dy,
                       int64_t dy_stride, float *dx, int64_t dx_stride, nft_map_mode mode);
/* The same on dense rows, in chunks on the team. */
void nft_exec_linear(const nft_exec *exec, const nft_map *map, int64_t rows, const float *x, float *y,
                     nft_map_mode mode);
void nft_exec_linear_back(const nft_exec *exec, const nft_map *map, int64_t rows, const float *dy, float *dx,
                          nft_map_mode mode);

/* True in training where elements may be dropped; otherwise the two functions below drop none. */
bool nft_drops(const nft_exec *exec, double p);
/* y = x with each element dropped with probability p, the others scaled by 1/(1 - p). `module` tells modules
 * apart (nft_random_stream of the path). The same call in backward drops the same elements of the gradient. y
 * may be x. */
void nft_drop(const nft_exec *exec, uint64_t module, double p, int64_t n, const float *x, float *y);
/* y = x + that of branch; y may be branch, and not x. */
void nft_add_dropped(const nft_exec *exec, uint64_t module, double p, int64_t n, const float *x,
                     const float *branch, float *y);

/* Floating-point operations of a matrix product, and of a linear map on `rows` rows: 2·m·n·k. Saturate. */
int64_t nft_product_flops(int64_t m, int64_t n, int64_t k);
int64_t nft_map_flops(const nft_map *map, int64_t rows);

#endif
