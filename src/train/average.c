#include "train/average.h"

#include <math.h>
#include <string.h>

int64_t nft_average_bytes(const nft_model *model, double decay)
{
    return decay > 0 ? nft_size_multiply(model->parameters.total, sizeof(float)) : 0;
}

nft_status nft_average_create(nft_average *average, const nft_model *model, double decay)
{
    average->decay = decay;
    if (!(decay > 0))
        return NFT_OK;
    average->values = nft_allocate_array((size_t)model->parameters.total, sizeof *average->values);
    if (!average->values)
        return nft_fail_memory("the average of the parameters", nft_average_bytes(model, decay));
    nft_average_reset(average, model);
    return NFT_OK;
}

void nft_average_clear(nft_average *average)
{
    nft_release(average->values);
    *average = (nft_average){0};
}

void nft_average_reset(nft_average *average, const nft_model *model)
{
    if (average->values)
        memcpy(average->values, model->values, (size_t)model->parameters.total * sizeof *average->values);
}

typedef struct average_call {
    const nft_range *ranges;
    const float *values;
    float *average;
    float rise; /* 1 - d */
} average_call;

static void update_range(void *argument, int64_t item, int worker)
{
    (void)worker;
    const average_call *c = argument;
    int64_t first = c->ranges[item].first, end = first + c->ranges[item].count;
    for (int64_t i = first; i < end; i++)
        c->average[i] += c->rise * (c->values[i] - c->average[i]);
}

void nft_average_update(nft_average *average, const nft_moments *moments, int64_t step, const float *values,
                        nft_pool *pool)
{
    double decay = fmin(average->decay, (1 + (double)step) / (10 + (double)step));
    average_call c = {
        .ranges = moments->ranges, .values = values, .average = average->values, .rise = (float)(1 - decay)};
    if (average->values)
        nft_pool_run(pool, moments->range_count, update_range, &c);
}

void nft_average_swap(nft_average *average, nft_model *model)
{
    float *values = model->values;
    if (!average->values)
        return;
    model->values = average->values;
    average->values = values;
}
