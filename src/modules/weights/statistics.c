#include "modules/weights/statistics.h"

#include <math.h>
#include <string.h>

#define QUANTILES 5

nft_entries nft_entries_of_tensor(const nft_space *space, int64_t t, int64_t channels, int64_t channel)
{
    return (nft_entries){space, t, t + 1, NFT_EVERY_ROLE, channels, channel};
}

nft_entries nft_entries_of_role(const nft_space *space, int32_t role, int64_t channels, int64_t channel)
{
    return (nft_entries){space, 0, space->tensor_count, role, channels, channel};
}

bool nft_entries_include(const nft_entries *entries, int64_t t)
{
    return entries->role == NFT_EVERY_ROLE || entries->space->tensors[t].role == entries->role;
}

static int64_t tensor_entries(const nft_tensor *tensor)
{
    return nft_size_multiply(tensor->tokens, tensor->positions);
}

int64_t nft_entries_count(const nft_entries *entries)
{
    int64_t count = 0;
    for (int64_t t = entries->first_tensor; t < entries->end_tensor; t++)
        if (nft_entries_include(entries, t))
            count = nft_size_add(count, tensor_entries(&entries->space->tensors[t]));
    return count;
}

nft_sorted nft_sorted_reserve(nft_builder *builder, int64_t count)
{
    nft_sorted sorted = {.values = nft_reserve(builder, NFT_ARENA_ITEM, 1, count),
                         .other = nft_reserve(builder, NFT_ARENA_ITEM, 1, count)};
    return sorted;
}

/* Where the channel of a tensor begins in the features; its tokens are channels · positions apart. */
static int64_t start_of(const nft_entries *entries, const nft_tensor *tensor)
{
    return tensor->offset * entries->channels + entries->channel * tensor->positions;
}

static void gather(const nft_entries *entries, const float *x, float *values)
{
    for (int64_t t = entries->first_tensor; t < entries->end_tensor; t++) {
        const nft_tensor *tensor = &entries->space->tensors[t];
        int64_t f = tensor->positions, stride = entries->channels * f, start = start_of(entries, tensor);
        if (!nft_entries_include(entries, t))
            continue;
        for (int64_t token = 0; token < tensor->tokens; token++, values += f)
            memcpy(values, x + start + token * stride, (size_t)f * sizeof *values);
    }
}

/* Floats in ascending order are these keys in ascending order; both zeros are equal, NaNs are at the ends. */
static uint32_t key_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (bits == 0x80000000u)
        return bits;
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

/* Quantile k/4 is (1 - w) times the value of rank `below` plus w times the next one. */
typedef struct rank_place {
    int64_t below;
    double w;
} rank_place;

static rank_place rank_of(int64_t count, int64_t quarter)
{
    int64_t quarters = quarter * (count - 1);
    return (rank_place){quarters / 4, (double)(quarters % 4) / 4};
}

/* Linear interpolation between order statistics, as torch.quantile's; between equal ones, infinite or not,
 * there is nothing to interpolate. */
static float quantile(int64_t count, const float *sorted, int64_t quarter)
{
    rank_place rank = rank_of(count, quarter);
    double low = (double)sorted[rank.below], high = (double)sorted[rank.below + (rank.w > 0)];
    return (float)(low == high ? low : low + rank.w * (high - low));
}

static bool has_nan(int64_t count, const float *values)
{
    for (int64_t i = 0; i < count; i++)
        if (isnan(values[i]))
            return true;
    return false;
}

static double mean_of(int64_t count, const float *values)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)values[i];
    return sum / (double)count;
}

static double variance_of(int64_t count, const float *values, double mean)
{
    double squares = 0;
    for (int64_t i = 0; i < count; i++)
        squares += ((double)values[i] - mean) * ((double)values[i] - mean);
    return count > 1 ? squares / (double)(count - 1) : 0;
}

void nft_statistics_take(const nft_entries *entries, const nft_sorted *sorted, float *item_memory,
                         const float *x, float statistics[NFT_STATISTIC_COUNT])
{
    float *values = nft_in_item(item_memory, &sorted->values), *quantiles = statistics + 2;
    int64_t count = nft_entries_count(entries);
    gather(entries, x, values);
    double mean = mean_of(count, values);
    statistics[0] = (float)mean;
    statistics[1] = (float)variance_of(count, values, mean);
    bool unordered = has_nan(count, values);
    if (!unordered)
        sort(count, values, nft_in_item(item_memory, &sorted->other));
    for (int64_t k = 0; k < QUANTILES; k++)
        quantiles[k] = unordered ? NAN : quantile(count, values, k);
}

/* dx = d(mean) / n + d(variance) 2 (x - mean) / (n - 1) */
static void moments_back(const nft_entries *entries, int64_t count, double mean, const float *x,
                         const float *gradient, float *grad_x)
{
    double constant = (double)gradient[0] / (double)count,
           slope = count > 1 ? 2 * (double)gradient[1] / (double)(count - 1) : 0;
    for (int64_t t = entries->first_tensor; t < entries->end_tensor; t++) {
        const nft_tensor *tensor = &entries->space->tensors[t];
        int64_t f = tensor->positions, stride = entries->channels * f, start = start_of(entries, tensor);
        if (!nft_entries_include(entries, t))
            continue;
        for (int64_t token = 0; token < tensor->tokens; token++)
            for (int64_t at = start + token * stride; at < start + token * stride + f; at++)
                grad_x[at] = (float)(constant + slope * ((double)x[at] - mean));
    }
}

/* Where in the features the entry of this rank stands: of equal entries the first ones have the lower ranks.
 */
static int64_t place_of_rank(const nft_entries *entries, const float *x, const float *sorted, int64_t rank)
{
    uint32_t key = key_of(sorted[rank]);
    int64_t equal = 0;
    while (equal < rank && key_of(sorted[rank - equal - 1]) == key)
        equal++;
    for (int64_t t = entries->first_tensor; t < entries->end_tensor; t++) {
        const nft_tensor *tensor = &entries->space->tensors[t];
        int64_t f = tensor->positions, stride = entries->channels * f, start = start_of(entries, tensor);
        if (!nft_entries_include(entries, t))
            continue;
        for (int64_t token = 0; token < tensor->tokens; token++)
            for (int64_t at = start + token * stride; at < start + token * stride + f; at++)
                if (key_of(x[at]) == key && equal-- == 0)
                    return at;
    }
    return -1;
}

static void add_at_rank(const nft_entries *entries, const float *x, const float *sorted, int64_t rank,
                        double gradient, float *grad_x)
{
    int64_t place = place_of_rank(entries, x, sorted, rank);
    if (place >= 0)
        grad_x[place] += (float)gradient;
}

void nft_statistics_back(const nft_entries *entries, const nft_sorted *sorted, float *item_memory,
                         const float *x, const float gradient[NFT_STATISTIC_COUNT], float *grad_x)
{
    float *values = nft_in_item(item_memory, &sorted->values);
    int64_t count = nft_entries_count(entries);
    gather(entries, x, values);
    double mean = mean_of(count, values);
    moments_back(entries, count, mean, x, gradient, grad_x);
    if (has_nan(count, values))
        return;
    sort(count, values, nft_in_item(item_memory, &sorted->other));
    for (int64_t k = 0; k < QUANTILES; k++) {
        rank_place rank = rank_of(count, k);
        double d = (double)gradient[2 + k];
        add_at_rank(entries, x, values, rank.below, (1 - rank.w) * d, grad_x);
        if (rank.w > 0)
            add_at_rank(entries, x, values, rank.below + 1, rank.w * d, grad_x);
    }
}
