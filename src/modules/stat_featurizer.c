/* Seven statistics of each tensor and channel, in the order mean, unbiased variance, quantiles 0, ¼, ½, ¾, 1
 * (Unterthiner et al., "Predicting Neural Network Accuracy from Weights", 2020). */
#include "modules/module.h"

#include <math.h>
#include <string.h>

#define STATISTICS 7
#define QUANTILES 5

typedef struct stat_featurizer {
    int64_t numbers;        /* K: 7 for each tensor */
    int64_t values, sorted; /* thread scratch: the entries of one tensor and channel, twice */
} stat_featurizer;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    const nft_space *space = builder->space;
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status || (status = nft_module_state(module, sizeof(stat_featurizer))))
        return status;
    stat_featurizer *state = module->state;
    state->numbers = STATISTICS * space->tensor_count;
    int64_t largest = 0;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        int64_t entries = nft_size_multiply(space->tensors[t].tokens, space->tensors[t].positions);
        largest = entries > largest ? entries : largest;
    }
    state->values = nft_reserve(&module->thread_scratch, largest);
    state->sorted = nft_reserve(&module->thread_scratch, largest);
    module->out = (nft_value){.kind = NFT_VALUE_VECTOR,
                              .channels = nft_size_multiply(state->numbers, module->in.channels)};
    return NFT_OK;
}

/* Floats in ascending order are these keys in ascending order; NaNs are at the ends. */
static uint32_t key_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* Radix sort by bytes, the lowest first: linear in any case, and indifferent to NaN. Four passes end where
 * they began. */
static void sort(int64_t count, float *values, float *other)
{
    for (int shift = 0; shift < 32; shift += 8) {
        int64_t starts[257] = {0};
        for (int64_t i = 0; i < count; i++)
            starts[(key_of(values[i]) >> shift & 255) + 1]++;
        for (int digit = 0; digit < 256; digit++)
            starts[digit + 1] += starts[digit];
        for (int64_t i = 0; i < count; i++)
            other[starts[key_of(values[i]) >> shift & 255]++] = values[i];
        float *swap = values;
        values = other;
        other = swap;
    }
}

/* Linear interpolation between order statistics, as torch.quantile's; between equal ones, infinite or not,
 * there is nothing to interpolate. */
static float quantile(int64_t count, const float *sorted, int64_t quarter)
{
    double rank = 0.25 * (double)quarter * (double)(count - 1), below = floor(rank);
    double low = (double)sorted[(int64_t)below], high = (double)sorted[(int64_t)ceil(rank)];
    return (float)(low == high ? low : low + (rank - below) * (high - low));
}

static void take_quantiles(int64_t count, float *values, float *other, bool has_nan, float *quantiles)
{
    if (!has_nan)
        sort(count, values, other);
    for (int64_t i = 0; i < QUANTILES; i++)
        quantiles[i] = has_nan ? NAN : quantile(count, values, i);
}

/* Orders `values`. The variance of a single entry is 0. */
static void take_statistics(int64_t count, float *values, float *other, float *statistics)
{
    bool has_nan = false;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)values[i];
        has_nan = has_nan || isnan(values[i]);
    }
    double mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++)
        squares += ((double)values[i] - mean) * ((double)values[i] - mean);
    statistics[0] = (float)mean;
    statistics[1] = (float)(count > 1 ? squares / (double)(count - 1) : 0);
    take_quantiles(count, values, other, has_nan, statistics + 2);
}

typedef struct stat_call {
    const nft_module *module;
    const float *in;
    float *out;
} stat_call;

/* An item is one channel of one tensor. */
static void describe(void *argument, int64_t item, float *thread_scratch)
{
    const stat_call *call = argument;
    const stat_featurizer *state = call->module->state;
    int64_t channels = call->module->in.channels, c = item % channels, t = item / channels;
    const nft_tensor *tensor = &call->module->space->tensors[t];
    int64_t positions = tensor->positions;
    const float *x = call->in + tensor->offset * channels + c * positions;
    float *values = thread_scratch + state->values;
    for (int64_t token = 0; token < tensor->tokens; token++)
        memcpy(values + token * positions, x + token * channels * positions,
               (size_t)positions * sizeof *values);
    take_statistics(tensor->tokens * positions, values, thread_scratch + state->sorted,
                    call->out + c * state->numbers + t * STATISTICS);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    stat_call call = {.module = module, .in = in, .out = out};
    nft_exec_for(exec, module->space->tensor_count * module->in.channels, describe, &call);
}

const nft_module_class nft_module_stat_featurizer = {
    .type = "stat_featurizer", .configure = configure, .forward = forward};
