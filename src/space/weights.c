#include "space/weights.h"
#include "space/array.h"

#include <inttypes.h>
#include <string.h>

/* Edge of the squares in which a matrix is transposed, so that both sides stay in cache. */
#define TRANSPOSE_BLOCK 16

static int64_t tensor_numbers(const nft_weights *weights, int64_t t)
{
    const nft_tensor *tensor = &weights->space->tensors[t];
    return tensor->tokens * tensor->positions;
}

static nft_status name_tensors(nft_weights *weights, const char *const *names)
{
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const char *name = names ? names[t] : weights->space->tensors[t].name;
        weights->names[t] = nft_copy_text(name);
        if (!weights->names[t])
            return nft_fail_memory("a tensor's name", (int64_t)strlen(name));
    }
    return NFT_OK;
}

/* A set without data. */
static nft_status new_set(nft_weights **out, const nft_space *space, int64_t count, int64_t channels,
                          const char *const *names)
{
    *out = NULL;
    if (count < 0)
        return nft_fail(NFT_ERROR_ARGUMENT, "a weight set of %" PRId64 " networks, expected no less than 0",
                        count);
    if (channels < 1)
        return nft_fail(NFT_ERROR_ARGUMENT, "a weight set of %" PRId64 " channels, expected at least 1",
                        channels);
    nft_weights *weights = nft_allocate(sizeof *weights);
    if (!weights)
        return nft_fail_memory("a weight set", sizeof *weights);
    nft_references_init(&weights->references);
    weights->space = nft_space_retain(space);
    weights->count = count;
    weights->channels = channels;
    weights->rank = channels == 1 ? 2 : 3;
    weights->data = nft_allocate_array((size_t)space->tensor_count, sizeof *weights->data);
    weights->names = nft_allocate_array((size_t)space->tensor_count, sizeof *weights->names);
    nft_status status =
        weights->data && weights->names
            ? name_tensors(weights, names)
            : nft_fail_memory("a weight set", space->tensor_count * (int64_t)sizeof *weights->data);
    if (status) {
        nft_weights_free(weights);
        return status;
    }
    *out = weights;
    return NFT_OK;
}

/* Of all tensors; saturates. */
static int64_t total_bytes(const nft_space *space, int64_t count, int64_t channels)
{
    return nft_size_multiply(nft_size_multiply(nft_size_multiply(space->numbers, channels), count),
                             sizeof(float));
}

nft_status nft_weights_allocate(nft_weights **out, const nft_space *space, int64_t count, int64_t channels,
                                const char *const *names, int64_t memory_limit)
{
    nft_weights *weights = NULL;
    nft_status status = new_set(&weights, space, count, channels, names);
    int64_t bytes = total_bytes(space, count, channels);
    if (!status)
        status = nft_check_limit("a weight set", bytes, memory_limit);
    if (!status && !(weights->storage = nft_allocate((size_t)bytes)))
        status = nft_fail_memory("a weight set", bytes);
    if (status) {
        nft_weights_free(weights);
        *out = NULL;
        return status;
    }
    for (int64_t t = 0; t < space->tensor_count; t++)
        weights->data[t] = weights->storage + count * channels * space->tensors[t].offset;
    *out = weights;
    return NFT_OK;
}

/* The bias of a chain's layer, whose absence means zeros. */
static bool may_be_missing(const nft_space *space, int64_t t)
{
    return space->layer_count && t % 2 == 1;
}

static nft_status check_arrays(const char *function, const nft_space *space, int64_t count,
                               const float *const *tensors)
{
    if (!space || !tensors)
        return nft_fail_null(function, space ? "tensors" : "space");
    for (int64_t t = 0; t < space->tensor_count && count != 0; t++)
        if (!tensors[t] && !may_be_missing(space, t))
            return nft_fail(NFT_ERROR_ARGUMENT, "%s: tensors[%" PRId64 "], '%s', is NULL", function, t,
                            space->tensors[t].name);
    return NFT_OK;
}

nft_status nft_weights_create(nft_weights **weights, const nft_space *space, int64_t count, int64_t channels,
                              const float *const *tensors)
{
    static const char function[] = "nft_weights_create";
    if (!weights)
        return nft_fail_null(function, "weights");
    *weights = NULL;
    if (!space)
        return nft_fail_null(function, "space");
    nft_status status = tensors ? check_arrays(function, space, count, tensors) : NFT_OK;
    if (!status)
        status = nft_weights_allocate(weights, space, count, channels, NULL, 0);
    for (int64_t t = 0; tensors && t < space->tensor_count && !status; t++) {
        int64_t numbers = nft_weights_data_count(*weights, t);
        if (numbers && tensors[t])
            memcpy(nft_weights_edit(*weights, t), tensors[t], (size_t)numbers * sizeof(float));
    }
    return status;
}

/* Zeros that stand for every tensor that the caller has not got, and where a set of no networks has no
 * memory. */
static nft_status allocate_zeros(nft_weights *weights, const float *const *tensors)
{
    int64_t most = 0;
    for (int64_t t = 0; t < weights->space->tensor_count; t++)
        if (!tensors[t] && tensor_numbers(weights, t) > most)
            most = tensor_numbers(weights, t);
    if (!most)
        return NFT_OK;
    int64_t bytes = weights->count * weights->channels * most * (int64_t)sizeof(float);
    nft_status status = nft_check_limit("a weight set", bytes, 0);
    if (!status && !(weights->storage = nft_allocate((size_t)bytes)))
        status = nft_fail_memory("a weight set", bytes);
    return status;
}

nft_status nft_weights_borrow(nft_weights **out, const nft_space *space, int64_t count, int64_t channels,
                              const float *const *tensors)
{
    if (!out)
        return nft_fail_null("nft_weights_borrow", "weights");
    *out = NULL;
    nft_weights *weights = NULL;
    nft_status status = check_arrays("nft_weights_borrow", space, count, tensors);
    if (!status)
        status = new_set(&weights, space, count, channels, NULL);
    if (!status && total_bytes(space, count, channels) == INT64_MAX)
        status = nft_fail(NFT_ERROR_LIMIT, "nft_weights_borrow: the size overflows 64 bits");
    if (!status)
        status = allocate_zeros(weights, tensors);
    if (status) {
        nft_weights_free(weights);
        return status;
    }
    weights->borrowed = true;
    for (int64_t t = 0; t < space->tensor_count; t++)
        weights->data[t] = tensors[t] ? tensors[t] : weights->storage;
    *out = weights;
    return NFT_OK;
}

nft_weights *nft_weights_retain(const nft_weights *weights)
{
    nft_weights *shared = (nft_weights *)weights;
    nft_references_add(&shared->references);
    return shared;
}

void nft_weights_free(nft_weights *weights)
{
    if (!weights || !nft_references_drop(&weights->references))
        return;
    for (int64_t t = 0; weights->names && t < weights->space->tensor_count; t++)
        nft_release(weights->names[t]);
    for (int64_t i = 0; i < weights->extra_count; i++) {
        nft_release(weights->extras[i].name);
        nft_array_free(weights->extras[i].array);
    }
    nft_release(weights->extras);
    nft_release(weights->names);
    for (int64_t i = 0; i < weights->other_count; i++) {
        nft_release(weights->others[i].name);
        nft_array_free(weights->others[i].array);
    }
    nft_release(weights->others);
    nft_release(weights->outsider);
    nft_release(weights->doubt);
    nft_metadata_clear(&weights->metadata);
    nft_release(weights->data);
    nft_release(weights->storage);
    nft_space_free(weights->space);
    nft_release(weights);
}

const nft_space *nft_weights_space(const nft_weights *weights)
{
    return weights ? weights->space : NULL;
}

int64_t nft_weights_count(const nft_weights *weights)
{
    return weights ? weights->count : 0;
}

int64_t nft_weights_channels(const nft_weights *weights)
{
    return weights ? weights->channels : 0;
}

static bool has_tensor(const nft_weights *weights, int64_t tensor)
{
    return weights && tensor >= 0 && tensor < weights->space->tensor_count;
}

const char *nft_weights_tensor_name(const nft_weights *weights, int64_t tensor)
{
    return has_tensor(weights, tensor) ? weights->names[tensor] : NULL;
}

const float *nft_weights_data(const nft_weights *weights, int64_t tensor)
{
    return has_tensor(weights, tensor) ? weights->data[tensor] : NULL;
}

float *nft_weights_edit(nft_weights *weights, int64_t tensor)
{
    return has_tensor(weights, tensor) && !weights->borrowed ? (float *)weights->data[tensor] : NULL;
}

int64_t nft_weights_data_count(const nft_weights *weights, int64_t tensor)
{
    return has_tensor(weights, tensor) ? weights->count * weights->channels * tensor_numbers(weights, tensor)
                                       : 0;
}

const char *nft_weights_metadata(const nft_weights *weights, const char *key)
{
    return weights && key ? nft_metadata_get(&weights->metadata, key) : NULL;
}

const char *nft_weights_metadata_at(const char **text, const nft_weights *weights, int64_t index)
{
    bool exists = weights && index >= 0 && index < weights->metadata.count;
    if (exists && text)
        *text = weights->metadata.entries[index].text;
    return exists ? weights->metadata.entries[index].key : NULL;
}

nft_status nft_weights_set_metadata(nft_weights *weights, const char *key, const char *text)
{
    if (!weights || !key)
        return nft_fail_null("nft_weights_set_metadata", weights ? "key" : "weights");
    nft_status status = nft_metadata_set(&weights->metadata, key, text);
    return status ? nft_fail_in(status, "nft_weights_set_metadata") : NFT_OK;
}

/* out (columns, rows) = in (rows, columns)ᵀ, whose elements are pieces of `width` floats. */
static void transpose(const float *in, int64_t rows, int64_t columns, int64_t width, float *out)
{
    for (int64_t top = 0; top < rows; top += TRANSPOSE_BLOCK)
        for (int64_t left = 0; left < columns; left += TRANSPOSE_BLOCK) {
            int64_t bottom = rows - top < TRANSPOSE_BLOCK ? rows : top + TRANSPOSE_BLOCK;
            int64_t right = columns - left < TRANSPOSE_BLOCK ? columns : left + TRANSPOSE_BLOCK;
            for (int64_t column = left; column < right; column++)
                for (int64_t row = top; row < bottom; row++)
                    for (int64_t k = 0; k < width; k++)
                        out[(column * rows + row) * width + k] = in[(row * columns + column) * width + k];
        }
}

/* Where in the file's array of one channel the first number of a token stands. */
static int64_t token_start(const nft_tensor *tensor, int64_t token)
{
    int64_t start = 0;
    for (int64_t i = tensor->factor_count - 1; i >= 0; i--)
        if (tensor->declared[i].axis >= 0) {
            start += token % tensor->factor_sizes[i] * tensor->factor_strides[i];
            token /= tensor->factor_sizes[i];
        }
    return start;
}

/* The same for a position, from the token's start. */
static int64_t position_start(const nft_tensor *tensor, int64_t position)
{
    int64_t start = 0;
    for (int64_t i = tensor->factor_count - 1; i >= 0; i--)
        if (tensor->declared[i].axis < 0) {
            start += position % tensor->factor_sizes[i] * tensor->factor_strides[i];
            position /= tensor->factor_sizes[i];
        }
    return start;
}

/* (C, tokens, positions) → (tokens, C, positions) where the file has that order; else number by number. */
void nft_tensor_gather(const nft_tensor *tensor, int64_t channels, const float *array, float *features)
{
    int64_t numbers = tensor->tokens * tensor->positions, width = channels * tensor->positions;
    if (tensor->plain && channels == 1) {
        memcpy(features, array, (size_t)numbers * sizeof *features);
        return;
    }
    if (tensor->plain) {
        transpose(array, channels, tensor->tokens, tensor->positions, features);
        return;
    }
    for (int64_t position = 0; position < tensor->positions; position++) {
        const float *from = array + position_start(tensor, position);
        for (int64_t token = 0; token < tensor->tokens; token++) {
            int64_t start = token_start(tensor, token);
            for (int64_t c = 0; c < channels; c++)
                features[token * width + c * tensor->positions + position] = from[c * numbers + start];
        }
    }
}

void nft_tensor_scatter(const nft_tensor *tensor, int64_t channels, const float *features, float *array)
{
    int64_t numbers = tensor->tokens * tensor->positions, width = channels * tensor->positions;
    if (tensor->plain && channels == 1) {
        memcpy(array, features, (size_t)numbers * sizeof *array);
        return;
    }
    if (tensor->plain) {
        transpose(features, tensor->tokens, channels, tensor->positions, array);
        return;
    }
    for (int64_t position = 0; position < tensor->positions; position++) {
        float *to = array + position_start(tensor, position);
        for (int64_t token = 0; token < tensor->tokens; token++) {
            int64_t start = token_start(tensor, token);
            for (int64_t c = 0; c < channels; c++)
                to[c * numbers + start] = features[token * width + c * tensor->positions + position];
        }
    }
}

void nft_weights_gather(const nft_weights *weights, int64_t network, float *features)
{
    int64_t channels = weights->channels;
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const nft_tensor *tensor = &weights->space->tensors[t];
        nft_tensor_gather(tensor, channels,
                          weights->data[t] + network * channels * tensor_numbers(weights, t),
                          features + channels * tensor->offset);
    }
}

void nft_weights_scatter(nft_weights *weights, int64_t network, const float *features)
{
    int64_t channels = weights->channels;
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const nft_tensor *tensor = &weights->space->tensors[t];
        nft_tensor_scatter(tensor, channels, features + channels * tensor->offset,
                           nft_weights_edit(weights, t) + network * channels * tensor_numbers(weights, t));
    }
}

nft_status nft_weights_check_whole(const nft_weights *weights)
{
    if (!weights->outsider)
        return NFT_OK;
    return nft_fail(
        NFT_ERROR_MISMATCH,
        "tensor '%s' of the file is not one of the networks', but may change with their neurons, so their "
        "functions might change: give the whole network's space in nft_load_options.space, or name only "
        "the layers in nft_load_options.layers",
        weights->outsider);
}

nft_status nft_weights_check_axes(const nft_weights *weights)
{
    return weights->doubt
               ? nft_fail(
                     NFT_ERROR_MISMATCH,
                     "a permutation might change the network: %s in nft_load_options.space; else name its "
                     "layers, in their order, in nft_load_options.layers",
                     weights->doubt)
               : NFT_OK;
}
