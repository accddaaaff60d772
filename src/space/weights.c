#include "space/weights.h"
#include "space/array.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Edge of the squares in which a matrix is transposed, so that both sides stay in cache. */
#define TRANSPOSE_BLOCK 16

static int64_t tensor_numbers(const nft_weights *weights, int64_t t)
{
    const nft_tensor *tensor = &weights->space->tensors[t];
    return tensor->tokens * tensor->positions;
}

static nft_status name_layers(nft_weights *weights, const char *const *names)
{
    for (int64_t i = 0; i < weights->space->layer_count; i++) {
        char number[24];
        snprintf(number, sizeof number, "%" PRId64, i);
        weights->layer_names[i] = nft_copy_text(names ? names[i] : number);
        if (!weights->layer_names[i])
            return nft_fail_memory("a layer's name", sizeof number);
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
    weights->layer_names = nft_allocate_array((size_t)space->layer_count, sizeof *weights->layer_names);
    nft_status status =
        weights->data && weights->layer_names
            ? name_layers(weights, names)
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

nft_status nft_weights_create(nft_weights **weights, const nft_space *space, int64_t count, int64_t channels)
{
    if (!weights)
        return nft_fail_null("nft_weights_create", "weights");
    *weights = NULL;
    if (!space)
        return nft_fail_null("nft_weights_create", "space");
    return nft_weights_allocate(weights, space, count, channels, NULL, 0);
}

static nft_status check_arrays(const char *function, const nft_space *space, int64_t count,
                               const float *const *layer_weights)
{
    if (!space || !layer_weights)
        return nft_fail_null(function, space ? "layer_weights" : "space");
    for (int64_t i = 0; i < space->layer_count && count != 0; i++)
        if (!layer_weights[i])
            return nft_fail(NFT_ERROR_ARGUMENT, "%s: layer_weights[%" PRId64 "] is NULL", function, i);
    return NFT_OK;
}

static const float nothing; /* where a set of no networks has no memory */

static void copy_tensor(nft_weights *weights, int64_t layer, int32_t part, const float *values)
{
    int64_t count = nft_weights_data_count(weights, layer, part);
    if (count)
        memcpy(nft_weights_edit(weights, layer, part), values, (size_t)count * sizeof *values);
}

nft_status nft_weights_copy(nft_weights **weights, const nft_space *space, int64_t count, int64_t channels,
                            const float *const *layer_weights, const float *const *layer_biases)
{
    if (!weights)
        return nft_fail_null("nft_weights_copy", "weights");
    *weights = NULL;
    nft_status status = check_arrays("nft_weights_copy", space, count, layer_weights);
    if (!status)
        status = nft_weights_allocate(weights, space, count, channels, NULL, 0);
    if (status)
        return status;
    for (int64_t i = 0; i < space->layer_count; i++) {
        copy_tensor(*weights, i, NFT_WEIGHTS_WEIGHT, layer_weights[i]);
        if (layer_biases && layer_biases[i])
            copy_tensor(*weights, i, NFT_WEIGHTS_BIAS, layer_biases[i]);
    }
    return NFT_OK;
}

/* Zeros that stand for every bias that the caller has not got. */
static nft_status allocate_zeros(nft_weights *weights, const float *const *layer_biases)
{
    const nft_space *space = weights->space;
    int64_t most = 0;
    for (int64_t i = 0; i < space->layer_count; i++)
        if ((!layer_biases || !layer_biases[i]) && space->layers[i].out > most)
            most = space->layers[i].out;
    if (!most)
        return NFT_OK;
    int64_t bytes = weights->count * weights->channels * most * (int64_t)sizeof(float);
    nft_status status = nft_check_limit("a weight set", bytes, 0);
    if (!status && !(weights->storage = nft_allocate((size_t)bytes)))
        status = nft_fail_memory("a weight set", bytes);
    return status;
}

nft_status nft_weights_borrow(nft_weights **out, const nft_space *space, int64_t count, int64_t channels,
                              const float *const *layer_weights, const float *const *layer_biases)
{
    if (!out)
        return nft_fail_null("nft_weights_borrow", "weights");
    *out = NULL;
    nft_weights *weights = NULL;
    nft_status status = check_arrays("nft_weights_borrow", space, count, layer_weights);
    if (!status)
        status = new_set(&weights, space, count, channels, NULL);
    if (!status && total_bytes(space, count, channels) == INT64_MAX)
        status = nft_fail(NFT_ERROR_LIMIT, "nft_weights_borrow: the size overflows 64 bits");
    if (!status)
        status = allocate_zeros(weights, layer_biases);
    if (status) {
        nft_weights_free(weights);
        return status;
    }
    weights->borrowed = true;
    for (int64_t i = 0; i < space->layer_count; i++) {
        weights->data[NFT_WEIGHT_OF(i)] = layer_weights[i] ? layer_weights[i] : &nothing;
        weights->data[NFT_BIAS_OF(i)] = layer_biases && layer_biases[i] ? layer_biases[i] : weights->storage;
    }
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
    for (int64_t i = 0; weights->layer_names && i < weights->space->layer_count; i++)
        nft_release(weights->layer_names[i]);
    for (int64_t i = 0; i < weights->extra_count; i++) {
        nft_release(weights->extras[i].name);
        nft_array_free(weights->extras[i].array);
    }
    nft_release(weights->extras);
    nft_release(weights->layer_names);
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

static bool has_layer(const nft_weights *weights, int64_t layer)
{
    return weights && layer >= 0 && layer < weights->space->layer_count;
}

const char *nft_weights_layer_name(const nft_weights *weights, int64_t layer)
{
    return has_layer(weights, layer) ? weights->layer_names[layer] : NULL;
}

/* Index of a tensor of the space, -1 if there is none. */
static int64_t tensor_index(const nft_weights *weights, int64_t layer, int32_t part)
{
    if (!has_layer(weights, layer) || (part != NFT_WEIGHTS_WEIGHT && part != NFT_WEIGHTS_BIAS))
        return -1;
    return part == NFT_WEIGHTS_WEIGHT ? NFT_WEIGHT_OF(layer) : NFT_BIAS_OF(layer);
}

const float *nft_weights_data(const nft_weights *weights, int64_t layer, int32_t part)
{
    int64_t t = tensor_index(weights, layer, part);
    return t < 0 ? NULL : weights->data[t];
}

float *nft_weights_edit(nft_weights *weights, int64_t layer, int32_t part)
{
    int64_t t = tensor_index(weights, layer, part);
    return t < 0 || weights->borrowed ? NULL : (float *)weights->data[t];
}

int64_t nft_weights_data_count(const nft_weights *weights, int64_t layer, int32_t part)
{
    int64_t t = tensor_index(weights, layer, part);
    return t < 0 ? 0 : weights->count * weights->channels * tensor_numbers(weights, t);
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

/* (C, tokens, positions) → (tokens, C, positions) */
void nft_weights_gather(const nft_weights *weights, int64_t network, float *features)
{
    int64_t channels = weights->channels;
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const nft_tensor *tensor = &weights->space->tensors[t];
        int64_t numbers = channels * tensor_numbers(weights, t);
        const float *values = weights->data[t] + network * numbers;
        float *out = features + channels * tensor->offset;
        if (channels == 1)
            memcpy(out, values, (size_t)numbers * sizeof *out);
        else
            transpose(values, channels, tensor->tokens, tensor->positions, out);
    }
}

/* (tokens, C, positions) → (C, tokens, positions) */
void nft_weights_scatter(nft_weights *weights, int64_t network, const float *features)
{
    int64_t channels = weights->channels;
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const nft_tensor *tensor = &weights->space->tensors[t];
        int64_t numbers = channels * tensor_numbers(weights, t);
        float *values = nft_weights_edit(weights, tensor->layer, tensor->bias) + network * numbers;
        const float *in = features + channels * tensor->offset;
        if (channels == 1)
            memcpy(values, in, (size_t)numbers * sizeof *in);
        else
            transpose(in, tensor->tokens, channels, tensor->positions, values);
    }
}
