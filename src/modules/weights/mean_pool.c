#include "modules/weights/mean_pool.h"
#include "modules/weights/means.h"

#include <string.h>

/* What one tensor gives: `groups` vectors of its effective channels. */
typedef struct pooled {
    enum { OVER_ALL, OVER_ROWS, OVER_COLUMNS, OVER_NONE } over;
    int64_t groups;
    int64_t first; /* where its numbers begin among a channel's K */
} pooled;

typedef struct mean_pool {
    int64_t numbers; /* K */
    pooled *tensors;
} mean_pool;

static void choose(const nft_space *space, int64_t t, bool distinguish_io, pooled *p)
{
    const nft_tensor *tensor = &space->tensors[t];
    bool first = distinguish_io && tensor->layer == 0,
         last = distinguish_io && tensor->layer == space->layer_count - 1;
    if (tensor->bias)
        p->over = last ? OVER_NONE : OVER_ALL;
    else
        p->over = first ? OVER_ROWS : last ? OVER_COLUMNS : OVER_ALL;
    p->groups = p->over == OVER_ALL ? 1 : p->over == OVER_ROWS ? tensor->columns : tensor->rows;
}

nft_status nft_mean_pool_configure(nft_module *module, nft_builder *builder, bool distinguish_io)
{
    const nft_space *space = builder->space;
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status || (status = nft_module_state(module, sizeof(mean_pool))))
        return status;
    mean_pool *pool = module->state;
    pool->tensors = nft_allocate_array((size_t)space->tensor_count, sizeof *pool->tensors);
    if (!pool->tensors)
        return nft_fail_memory(module->class->type,
                               nft_size_multiply(space->tensor_count, sizeof *pool->tensors));
    for (int64_t t = 0; t < space->tensor_count; t++) {
        choose(space, t, distinguish_io, &pool->tensors[t]);
        pool->tensors[t].first = pool->numbers;
        pool->numbers = nft_size_add(pool->numbers,
                                     nft_size_multiply(pool->tensors[t].groups, space->tensors[t].positions));
    }
    module->out = (nft_value){.kind = NFT_VALUE_VECTOR,
                              .channels = nft_size_multiply(pool->numbers, module->in.channels)};
    module->scratch = module->out.channels;
    return NFT_OK;
}

void nft_mean_pool_release(nft_module *module)
{
    mean_pool *pool = module->state;
    nft_release(pool->tensors);
}

/* means (groups, C * positions) */
static void take_means(const pooled *p, const nft_tensor *tensor, int64_t width, const float *x, float *means)
{
    int64_t row = tensor->columns * width;
    if (p->over == OVER_NONE)
        memcpy(means, x, (size_t)(tensor->tokens * width) * sizeof *means);
    else if (p->over == OVER_ROWS)
        nft_mean_rows(tensor->rows, row, x, row, means);
    else if (p->over == OVER_ALL)
        nft_mean_rows(tensor->tokens, width, x, width, means);
    else
        for (int64_t i = 0; i < tensor->rows; i++)
            nft_mean_rows(tensor->columns, width, x + i * row, width, means + i * width);
}

typedef struct pool_call {
    const nft_module *module;
    const float *in;
    float *scratch, *out;
} pool_call; /* in backward `in` is the gradient of the output, `out` that of the input */

static void pool_tensor(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const pool_call *call = argument;
    const mean_pool *pool = call->module->state;
    const pooled *p = &pool->tensors[item];
    const nft_tensor *tensor = &call->module->space->tensors[item];
    int64_t channels = call->module->in.channels, positions = tensor->positions, width = channels * positions;
    float *means = call->scratch + p->first * channels;
    take_means(p, tensor, width, call->in + tensor->offset * channels, means);
    for (int64_t c = 0; c < channels; c++) {
        float *out = call->out + c * pool->numbers + p->first;
        for (int64_t group = 0; group < p->groups; group++)
            memcpy(out + group * positions, means + group * width + c * positions,
                   (size_t)positions * sizeof *out);
    }
}

void nft_mean_pool_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    pool_call call = {.module = module, .in = in, .scratch = exec->scratch, .out = out};
    nft_exec_for(exec, module->space->tensor_count, pool_tensor, &call);
}

/* x (tokens, C * positions): each mean gives its entries their share. */
static void spread_means(const pooled *p, const nft_tensor *tensor, int64_t width, const float *means,
                         float *x)
{
    const nft_kernels *vector = nft_vector();
    int64_t rows = tensor->rows, columns = tensor->columns, row_floats = columns * width;
    if (p->over == OVER_NONE) {
        memcpy(x, means, (size_t)(tensor->tokens * width) * sizeof *x);
        return;
    }
    int64_t entries = p->over == OVER_ALL ? tensor->tokens : p->over == OVER_ROWS ? rows : columns;
    float share = (float)(1 / (double)entries);
    for (int64_t row = 0; row < rows; row++) {
        float *y = x + row * row_floats;
        if (p->over == OVER_ROWS)
            vector->copy_scaled(row_floats, share, means, y);
        for (int64_t column = 0; column < columns && p->over != OVER_ROWS; column++)
            vector->copy_scaled(width, share, p->over == OVER_COLUMNS ? means + row * width : means,
                                y + column * width);
    }
}

static void pool_tensor_back(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const pool_call *call = argument;
    const mean_pool *pool = call->module->state;
    const pooled *p = &pool->tensors[item];
    const nft_tensor *tensor = &call->module->space->tensors[item];
    int64_t channels = call->module->in.channels, positions = tensor->positions, width = channels * positions;
    float *means = call->scratch + p->first * channels;
    for (int64_t c = 0; c < channels; c++) {
        const float *in = call->in + c * pool->numbers + p->first;
        for (int64_t group = 0; group < p->groups; group++)
            memcpy(means + group * width + c * positions, in + group * positions,
                   (size_t)positions * sizeof *means);
    }
    spread_means(p, tensor, width, means, call->out + tensor->offset * channels);
}

void nft_mean_pool_backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                            const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    pool_call call = {.module = module, .in = grad_out, .scratch = exec->scratch, .out = grad_in};
    nft_exec_for(exec, module->space->tensor_count, pool_tensor_back, &call);
}
