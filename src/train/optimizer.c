#include "train/optimizer.h"

#include "math/gradients.h"

#include <math.h>

#define RANGE 16384 /* numbers that a thread takes at a time */
#define LANES 8     /* of the sums of squares */

/* Neighbouring trained parameters are one run; the few zeros between them do no harm. With `ranges` NULL only
 * counts. */
static int64_t cut(const nft_model *model, nft_range *ranges)
{
    const nft_parameters *table = &model->parameters;
    int64_t count = 0;
    for (int64_t i = 0; i < table->count;) {
        int64_t first = table->items[i].offset, end = first;
        bool trained = table->items[i].trained;
        for (; i < table->count && table->items[i].trained == trained; i++)
            end = table->items[i].offset + table->items[i].count;
        for (; trained && first < end; first += RANGE, count++)
            if (ranges)
                ranges[count] = (nft_range){first, end - first < RANGE ? end - first : RANGE};
    }
    return count;
}

int64_t nft_moments_bytes(const nft_model *model)
{
    return nft_size_multiply(model->parameters.total, 2 * sizeof(float));
}

nft_status nft_moments_create(nft_moments *moments, const nft_model *model)
{
    size_t numbers = (size_t)model->parameters.total;
    moments->range_count = cut(model, NULL);
    moments->ranges = nft_allocate_array((size_t)moments->range_count, sizeof *moments->ranges);
    moments->sums = nft_allocate_array((size_t)moments->range_count, sizeof *moments->sums);
    moments->first = nft_allocate_array(numbers, sizeof *moments->first);
    moments->second = nft_allocate_array(numbers, sizeof *moments->second);
    if (!moments->ranges || !moments->sums || !moments->first || !moments->second)
        return nft_fail_memory("the optimizer's moments", nft_moments_bytes(model));
    cut(model, moments->ranges);
    return NFT_OK;
}

void nft_moments_clear(nft_moments *moments)
{
    nft_release(moments->ranges);
    nft_release(moments->sums);
    nft_release(moments->first);
    nft_release(moments->second);
    *moments = (nft_moments){0};
}

static double sum_pairs(const double *numbers, int64_t count)
{
    if (count <= 2)
        return count == 2 ? numbers[0] + numbers[1] : count == 1 ? numbers[0] : 0;
    int64_t half = count / 2;
    return sum_pairs(numbers, half) + sum_pairs(numbers + half, count - half);
}

static double sum_of_squares(const float *x, int64_t count)
{
    double lanes[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int k = 0; k < LANES; k++)
            lanes[k] += (double)x[i + k] * (double)x[i + k];
    for (int k = 0; i < count; i++, k++)
        lanes[k] += (double)x[i] * (double)x[i];
    return sum_pairs(lanes, LANES);
}

typedef struct norm_call {
    const nft_moments *moments;
    const float *gradients;
} norm_call;

static void sum_range(void *argument, int64_t item, int worker)
{
    (void)worker;
    const norm_call *c = argument;
    const nft_range *range = &c->moments->ranges[item];
    c->moments->sums[item] = sum_of_squares(c->gradients + range->first, range->count);
}

double nft_gradient_squares(const nft_moments *moments, const float *gradients, nft_pool *pool)
{
    norm_call c = {moments, gradients};
    nft_pool_run(pool, moments->range_count, sum_range, &c);
    return sum_pairs(moments->sums, moments->range_count);
}

typedef struct update_call {
    nft_adam adam;
    const nft_moments *moments;
    const float *gradients;
    float *values;
} update_call;

static void update_range(void *argument, int64_t item, int worker)
{
    (void)worker;
    const update_call *c = argument;
    const nft_range *range = &c->moments->ranges[item];
    int64_t at = range->first;
    nft_vector_gradients()->adam(&c->adam, range->count, c->gradients + at, c->moments->first + at,
                                 c->moments->second + at, c->values + at);
}

void nft_optimizer_update(const nft_optimizer *optimizer, nft_moments *moments, int64_t step, double lr,
                          double scale, const float *gradients, float *values, nft_pool *pool)
{
    double decay = optimizer->weight_decay;
    update_call c = {nft_adam_at(step, lr, optimizer->beta1, optimizer->beta2, optimizer->eps), moments,
                     gradients, values};
    c.adam.scale = (float)scale;
    if (optimizer->decoupled)
        c.adam.shrink = (float)(1 - lr * decay);
    else
        c.adam.decay = (float)decay;
    nft_pool_run(pool, moments->range_count, update_range, &c);
}
