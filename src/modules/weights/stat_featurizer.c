/* Seven statistics of each tensor and channel, in the order mean, unbiased variance, quantiles 0, ¼, ½, ¾, 1
 * (Unterthiner et al., "Predicting Neural Network Accuracy from Weights", 2020). */
#include "modules/shared/module.h"

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
    const float *grad_out; /* in backward */
    float *grad_in;
} stat_call;

/* One channel of one tensor, and where it stands: entry i of position p is number i * stride + p. */
typedef struct entries {
    int64_t count, tokens, positions, stride;
    int64_t first;   /* in the features */
    int64_t numbers; /* in the vector: where its statistics begin */
} entries;

static entries entries_of(const nft_module *module, int64_t item)
{
    const stat_featurizer *state = module->state;
    int64_t channels = module->in.channels, c = item % channels, t = item / channels;
    const nft_tensor *tensor = &module->space->tensors[t];
    return (entries){.count = tensor->tokens * tensor->positions,
                     .tokens = tensor->tokens,
                     .positions = tensor->positions,
                     .stride = channels * tensor->positions,
                     .first = tensor->offset * channels + c * tensor->positions,
                     .numbers = c * state->numbers + t * STATISTICS};
}

static void gather(const entries *e, const float *x, float *values)
{
    for (int64_t token = 0; token < e->tokens; token++)
        memcpy(values + token * e->positions, x + token * e->stride, (size_t)e->positions * sizeof *values);
}

/* An item is one channel of one tensor. */
static void describe(void *argument, int64_t item, float *thread_scratch)
{
    const stat_call *call = argument;
    const stat_featurizer *state = call->module->state;
    entries e = entries_of(call->module, item);
    float *values = thread_scratch + state->values;
    gather(&e, call->in + e.first, values);
    take_statistics(e.count, values, thread_scratch + state->sorted, call->out + e.numbers);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    stat_call call = {.module = module, .in = in, .out = out};
    nft_exec_for(exec, module->space->tensor_count * module->in.channels, describe, &call);
}

/* Adds to the gradient of the value of this rank; of equal values the first ones have the lower ranks. */
static void add_at_rank(const entries *e, const float *x, const float *sorted, int64_t rank, float gradient,
                        float *grad_in)
{
    uint32_t key = key_of(sorted[rank]);
    int64_t equal = 0;
    while (equal < rank && key_of(sorted[rank - equal - 1]) == key)
        equal++;
    for (int64_t token = 0; token < e->tokens; token++)
        for (int64_t p = 0; p < e->positions; p++)
            if (key_of(x[token * e->stride + p]) == key && equal-- == 0) {
                grad_in[token * e->stride + p] += gradient;
                return;
            }
}

/* A quantile is (1 - w) low + w high of two neighbours in order. */
static void quantiles_back(const entries *e, const float *x, const float *sorted, const float *grad_out,
                           float *grad_in)
{
    for (int64_t quarter = 0; quarter < QUANTILES; quarter++) {
        double rank = 0.25 * (double)quarter * (double)(e->count - 1), below = floor(rank), w = rank - below;
        float gradient = grad_out[quarter];
        add_at_rank(e, x, sorted, (int64_t)below, (float)((1 - w) * (double)gradient), grad_in);
        if (w > 0)
            add_at_rank(e, x, sorted, (int64_t)below + 1, (float)(w * (double)gradient), grad_in);
    }
}

/* dx = d(mean) / n + d(variance) 2 (x - mean) / (n - 1) + the quantiles' */
static void describe_back(void *argument, int64_t item, float *thread_scratch)
{
    const stat_call *call = argument;
    const stat_featurizer *state = call->module->state;
    entries e = entries_of(call->module, item);
    const float *x = call->in + e.first, *grad_out = call->grad_out + e.numbers;
    float *grad_in = call->grad_in + e.first, *sorted = thread_scratch + state->values;
    double n = (double)e.count, sum = 0;
    gather(&e, x, sorted);
    for (int64_t i = 0; i < e.count; i++)
        sum += (double)sorted[i];
    double constant = (double)grad_out[0] / n, slope = e.count > 1 ? 2 * (double)grad_out[1] / (n - 1) : 0;
    for (int64_t token = 0; token < e.tokens; token++)
        for (int64_t p = 0; p < e.positions; p++) {
            int64_t at = token * e.stride + p;
            grad_in[at] = (float)(constant + slope * ((double)x[at] - sum / n));
        }
    if (isnan(sum))
        return;
    sort(e.count, sorted, thread_scratch + state->sorted);
    quantiles_back(&e, x, sorted, grad_out + 2, grad_in);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    stat_call call = {.module = module, .in = in, .grad_out = grad_out, .grad_in = grad_in};
    nft_exec_for(exec, module->space->tensor_count * module->in.channels, describe_back, &call);
}

const nft_module_class nft_module_stat_featurizer = {
    .type = "stat_featurizer", .configure = configure, .forward = forward, .backward = backward};
