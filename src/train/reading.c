/* Memory for samples that are read from files: for any of the spaces that the set has. */
#include "io/targets.h"
#include "train/objective.h"

#include <string.h>

/* Of one sample's input. */
static int64_t input_floats(const nft_model *model, const nft_space *space)
{
    return nft_value_floats(&model->input, space);
}

static int64_t tensor_count(const nft_space *space)
{
    return space ? space->tensor_count : 0;
}

int64_t nft_reading_bytes(const nft_model *model, const nft_space *space, int64_t target_bytes,
                          int64_t capacity)
{
    int64_t floats = nft_size_multiply(input_floats(model, space), sizeof(float));
    int64_t view = space ? (int64_t)sizeof(nft_weights) + tensor_count(space) * (int64_t)sizeof(float *) : 0;
    return nft_size_multiply(
        capacity, nft_size_add(nft_size_add(floats, view), nft_size_add(target_bytes, sizeof(int64_t))));
}

static nft_status allocate_targets(nft_reading *reading, const nft_objective *objective)
{
    size_t count = (size_t)reading->capacity;
    reading->numbers = nft_objective_target_numbers(objective);
    if (objective->loss->target == NFT_TARGET_CLASS)
        reading->labels = nft_allocate_array(count, sizeof *reading->labels);
    else if (reading->numbers)
        reading->targets =
            nft_allocate_array(count, (size_t)nft_size_multiply(reading->numbers, sizeof *reading->targets));
    if (reading->labels || reading->targets || objective->loss->target == NFT_TARGET_INPUT)
        return NFT_OK;
    return nft_fail_memory(
        "a batch's targets",
        nft_size_multiply(nft_size_multiply(reading->capacity, reading->numbers), sizeof *reading->targets));
}

static nft_status allocate_inputs(nft_reading *reading, const nft_model *model)
{
    size_t count = (size_t)reading->capacity;
    int64_t floats = nft_size_multiply(reading->capacity, reading->floats);
    if (model->input.kind == NFT_VALUE_TOKENS) {
        int64_t shape[] = {reading->capacity, model->input.tokens, model->input.channels};
        nft_status status = nft_array_create(&reading->tokens, NFT_ARRAY_F32, shape, 3, NULL);
        reading->inputs = status ? NULL : reading->tokens->storage;
        return status;
    }
    reading->inputs = nft_allocate((size_t)nft_size_multiply(floats, sizeof *reading->inputs));
    reading->views = nft_allocate_array(count, sizeof *reading->views);
    reading->arrays = nft_allocate_array(count * (size_t)reading->tensors, sizeof *reading->arrays);
    if (reading->inputs && reading->views && reading->arrays)
        return NFT_OK;
    return nft_fail_memory("a batch", nft_size_multiply(floats, sizeof *reading->inputs));
}

/* Bytes for each sample of targets that are not read as the loss takes them. */
static int64_t scratch_bytes(const nft_objective *objective, const nft_set *set)
{
    int64_t most = 0;
    for (int64_t i = 0; i < set->part_count; i++) {
        const nft_entry *entry = set->parts[i].target_entry;
        if (!entry || !set->parts[i].count)
            continue;
        int64_t width = entry->count / set->parts[i].count;
        if (width > most &&
            nft_labels_convert(nft_type_is_float(entry->type), width, nft_objective_classes(objective)))
            most = width;
    }
    return nft_size_multiply(most, sizeof(int64_t));
}

static nft_status allocate_scratch(nft_reading *reading)
{
    int64_t bytes = nft_size_multiply(reading->capacity, reading->scratch_row);
    if (reading->scratch_row && !(reading->scratch = nft_allocate((size_t)bytes)))
        return nft_fail_memory("a batch's labels", bytes);
    reading->chosen = nft_allocate_array((size_t)reading->capacity, sizeof *reading->chosen);
    return reading->chosen ? NFT_OK : nft_fail_memory("the numbers of a batch", reading->capacity * 8);
}

nft_status nft_reading_reserve(nft_reading *reading, const nft_objective *objective, const nft_set *set,
                               int64_t capacity)
{
    const nft_model *model = objective->model;
    nft_reading larger = {.capacity = capacity,
                          .floats = reading->floats,
                          .tensors = reading->tensors,
                          .scratch_row = scratch_bytes(objective, set)};
    if (larger.scratch_row < reading->scratch_row)
        larger.scratch_row = reading->scratch_row;
    for (int64_t i = 0; i < set->part_count; i++) {
        int64_t floats = input_floats(model, set->parts[i].space),
                tensors = tensor_count(set->parts[i].space);
        larger.floats = floats > larger.floats ? floats : larger.floats;
        larger.tensors = tensors > larger.tensors ? tensors : larger.tensors;
    }
    if (reading->capacity >= capacity && reading->floats == larger.floats &&
        reading->tensors == larger.tensors && reading->scratch_row == larger.scratch_row &&
        reading->numbers == nft_objective_target_numbers(objective))
        return NFT_OK;
    nft_status status = allocate_inputs(&larger, model);
    if (!status)
        status = allocate_targets(&larger, objective);
    if (!status)
        status = allocate_scratch(&larger);
    if (status) {
        nft_reading_clear(&larger);
        return status;
    }
    nft_reading_clear(reading);
    *reading = larger;
    return NFT_OK;
}

void nft_reading_clear(nft_reading *reading)
{
    if (reading->tokens)
        nft_array_free(reading->tokens);
    else
        nft_release(reading->inputs);
    nft_release(reading->views);
    nft_release(reading->arrays);
    nft_release(reading->targets);
    nft_release(reading->labels);
    nft_release(reading->scratch);
    nft_release(reading->chosen);
    *reading = (nft_reading){0};
}
