#include "io/targets.h"
#include "train/objective.h"

nft_status nft_set_allocate(nft_set *set, int64_t parts)
{
    set->parts = nft_allocate_array((size_t)parts, sizeof *set->parts);
    set->part_count = parts;
    return set->parts ? NFT_OK : nft_fail_memory("a set", nft_size_multiply(parts, sizeof *set->parts));
}

void nft_set_retain(const nft_set *set)
{
    for (int64_t i = 0; i < set->part_count; i++) {
        const nft_set_part *part = &set->parts[i];
        if (part->weights)
            nft_weights_retain(part->weights);
        if (part->tokens)
            nft_array_retain(part->tokens);
        if (part->target_array)
            nft_array_retain(part->target_array);
    }
    if (set->dataset)
        nft_dataset_retain(set->dataset);
}

void nft_set_clear(nft_set *set, bool retained)
{
    int64_t parts = set->parts ? set->part_count : 0;
    for (int64_t i = 0; i < parts; i++)
        nft_array_free(set->parts[i].converted);
    for (int64_t i = 0; retained && i < parts; i++) {
        nft_weights_free((nft_weights *)set->parts[i].weights);
        nft_array_free((nft_array *)set->parts[i].tokens);
        nft_array_free((nft_array *)set->parts[i].target_array);
    }
    if (retained)
        nft_dataset_free(set->dataset);
    nft_release(set->parts);
    nft_release(set->chosen);
    *set = (nft_set){0};
}

const nft_set_part *nft_set_find_part(const nft_set *set, int64_t number)
{
    int64_t low = 0, high = set->part_count - 1;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (set->parts[middle].first <= number)
            low = middle;
        else
            high = middle - 1;
    }
    return &set->parts[low];
}

/* A sample of the caller's memory. */
static nft_sample sample_in_memory(const nft_objective *objective, const nft_set *set, int64_t number)
{
    const nft_set_part *part = nft_set_find_part(set, number);
    int64_t index = number - part->first;
    const nft_array *array = part->converted ? part->converted : part->target_array;
    const float *targets = array ? nft_array_f32(array) : NULL;
    const int64_t *labels = array ? nft_array_i64(array) : NULL;
    return (nft_sample){.input = {.weights = part->weights, .tokens = part->tokens, .index = index},
                        .target = targets ? targets + index * nft_objective_target_numbers(objective) : NULL,
                        .label = labels ? labels[index] : 0,
                        .number = number,
                        .kept = part->kept};
}

/* `count` samples of one part that follow each other, and are the reading's `at` and further. */
typedef struct run {
    const nft_set_part *part;
    int64_t index, count; /* in the part */
    int64_t at;
    float *inputs;
    nft_weights *view;
    const float **arrays;
} run;

static nft_status read_networks(const nft_set *set, const run *r)
{
    int64_t index = r->part - set->parts;
    const nft_part *file = &set->dataset->parts[index];
    int64_t channels = set->dataset->channels;
    for (int64_t t = 0; t < r->part->space->tensor_count; t++)
        r->arrays[t] = r->inputs + r->count * channels * r->part->space->tensors[t].offset;
    *r->view = (nft_weights){.space = file->network.space,
                             .count = r->count,
                             .channels = channels,
                             .rank = channels == 1 ? 2 : 3,
                             .data = r->arrays,
                             .names = file->network.names};
    float *const *arrays = (float *const *)r->arrays;
    nft_status status = nft_dataset_read_networks(set->dataset, index, r->index, r->count, arrays);
    if (!status)
        nft_siren_repair_networks(&r->part->repair, r->part->space, arrays, r->count);
    return status;
}

static nft_status read_run(const nft_objective *objective, const nft_set *set, const run *r,
                           nft_reading *reading, nft_sample *samples)
{
    const nft_set_part *part = r->part;
    int64_t index = part - set->parts;
    float *targets = reading->targets ? reading->targets + r->at * reading->numbers : NULL;
    int64_t *labels = reading->labels ? reading->labels + r->at : NULL;
    nft_status status = part->space
                            ? read_networks(set, r)
                            : nft_part_read_rows(set->dataset, index, set->dataset->parts[index].tokens,
                                                 r->index, r->count, r->inputs, NULL);
    if (!status && part->target_entry)
        status =
            nft_part_read_targets(set->dataset, index, part->target_entry, nft_objective_classes(objective),
                                  r->index, r->count, reading->scratch, targets, labels);
    for (int64_t i = 0; i < r->count && !status; i++)
        samples[r->at + i] =
            (nft_sample){.input = {.weights = part->space ? r->view : NULL,
                                   .tokens = part->space ? NULL : reading->tokens,
                                   .index = part->space ? i : r->at + i},
                         .target = targets && part->target_entry ? targets + i * reading->numbers : NULL,
                         .label = labels && part->target_entry ? labels[i] : 0,
                         .number = part->first + r->index + i,
                         .kept = part->kept};
    return status;
}

/* How many samples from `at` on follow each other in one part. */
static int64_t run_length(const nft_set_part *part, const int64_t *numbers, int64_t first, int64_t at,
                          int64_t count)
{
    int64_t number = numbers ? numbers[at] : first + at;
    int64_t left = part->first + part->count - number, most = count - at < left ? count - at : left;
    int64_t length = numbers ? 1 : most;
    while (numbers && length < most && numbers[at + length] == number + length)
        length++;
    return length;
}

static nft_status read_samples(const nft_objective *objective, const nft_set *set, const int64_t *numbers,
                               int64_t first, int64_t count, nft_reading *reading, nft_sample *samples)
{
    run r = {.inputs = reading->inputs, .view = reading->views, .arrays = reading->arrays};
    nft_status status = NFT_OK;
    while (r.at < count && !status) {
        int64_t number = numbers ? numbers[r.at] : first + r.at;
        r.part = nft_set_find_part(set, number);
        r.index = number - r.part->first;
        r.count = run_length(r.part, numbers, first, r.at, count);
        status = read_run(objective, set, &r, reading, samples);
        r.at += r.count;
        r.inputs += r.count * reading->floats;
        r.view++;
        r.arrays += reading->tensors;
    }
    return status;
}

/* Where samples are left out, translates the numbers of samples into the memory of the reading. */
static const int64_t *choose(const nft_set *set, const int64_t *numbers, int64_t first, int64_t count,
                             nft_reading *reading)
{
    if (!set->chosen)
        return numbers;
    for (int64_t i = 0; i < count; i++)
        reading->chosen[i] = set->chosen[numbers ? numbers[i] : first + i];
    return reading->chosen;
}

nft_status nft_set_fetch_unchecked(const nft_objective *objective, const nft_set *set, const int64_t *numbers,
                                   int64_t first, int64_t count, nft_reading *reading, nft_sample *samples)
{
    if (set->dataset)
        return read_samples(objective, set, choose(set, numbers, first, count, reading), first, count,
                            reading, samples);
    for (int64_t i = 0; i < count; i++)
        samples[i] = sample_in_memory(objective, set, nft_set_number(set, numbers ? numbers[i] : first + i));
    return NFT_OK;
}

nft_status nft_set_fetch(const nft_objective *objective, const nft_set *set, const int64_t *numbers,
                         int64_t first, int64_t count, nft_reading *reading, nft_sample *samples)
{
    nft_status status = nft_set_fetch_unchecked(objective, set, numbers, first, count, reading, samples);
    if (status || !set->dataset)
        return status;
    status = nft_samples_check(objective, samples, count);
    return status ? nft_fail_in(status, "%s", set->dataset->path) : NFT_OK;
}
