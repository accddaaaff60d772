/* Neuron permutations: hidden layer i's neurons are W_{i-1}'s rows, v_{i-1} and W_i's columns. */
#include "base/random.h"
#include "space/weights.h"

#include <inttypes.h>
#include <string.h>

static nft_status check_permutation(const int64_t *permutation, int64_t size, int64_t layer, int64_t network,
                                    bool *seen)
{
    memset(seen, 0, (size_t)size * sizeof *seen);
    for (int64_t k = 0; k < size; k++) {
        int64_t old = permutation[k];
        if (old < 0 || old >= size || seen[old])
            return nft_fail(NFT_ERROR_ARGUMENT,
                            "nft_weights_permute: permutations[%" PRId64 "] of network %" PRId64
                            " is no permutation of %" PRId64 " neurons: neuron %" PRId64 " comes %s",
                            layer, network, size, old, old < 0 || old >= size ? "from outside" : "twice");
        seen[old] = true;
    }
    return NFT_OK;
}

static nft_status check_permutations(const nft_weights *weights, const int64_t *const *permutations,
                                     bool *seen)
{
    nft_status status = NFT_OK;
    for (int64_t i = 1; i < weights->space->layer_count; i++) {
        int64_t size = weights->space->layers[i].in;
        for (int64_t n = 0; n < weights->count && permutations[i - 1] && !status; n++)
            status = check_permutation(permutations[i - 1] + n * size, size, i - 1, n, seen);
    }
    return status;
}

/* One channel of one network's tensor: new (row, column) is old (rows[row], columns[column]); NULL leaves an
 * axis. */
static void permute_tensor(const nft_tensor *tensor, const int64_t *rows, const int64_t *columns,
                           float *values, float *old)
{
    int64_t width = tensor->positions, line = tensor->columns * width;
    memcpy(old, values, (size_t)(tensor->rows * line) * sizeof *old);
    for (int64_t row = 0; row < tensor->rows; row++) {
        const float *from = old + (rows ? rows[row] : row) * line;
        float *to = values + row * line;
        for (int64_t column = 0; column < tensor->columns; column++)
            memcpy(to + column * width, from + (columns ? columns[column] : column) * width,
                   (size_t)width * sizeof *to);
    }
}

/* The permutation of one network's axis, NULL if it stays as it is. */
static const int64_t *axis_permutation(const nft_space *space, const int64_t *const *permutations,
                                       int64_t axis, int64_t network)
{
    if (axis < 0 || !space->axes[axis].hidden || !permutations[axis - 1])
        return NULL;
    return permutations[axis - 1] + network * space->axes[axis].size;
}

static void permute(nft_weights *weights, const int64_t *const *permutations, float *scratch)
{
    const nft_space *space = weights->space;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        float *values = nft_weights_edit(weights, tensor->layer, tensor->bias);
        int64_t numbers = tensor->tokens * tensor->positions;
        for (int64_t n = 0; n < weights->count; n++) {
            const int64_t *rows = axis_permutation(space, permutations, tensor->row_axis, n);
            const int64_t *columns = axis_permutation(space, permutations, tensor->column_axis, n);
            for (int64_t c = 0; c < weights->channels && (rows || columns); c++)
                permute_tensor(tensor, rows, columns, values + (n * weights->channels + c) * numbers,
                               scratch);
        }
    }
}

nft_status nft_weights_permute(nft_weights *weights, const int64_t *const *permutations)
{
    if (!weights || (!permutations && weights->space->layer_count > 1))
        return nft_fail_null("nft_weights_permute", weights ? "permutations" : "weights");
    if (weights->borrowed)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_weights_permute: the set borrows its arrays and cannot write them; make it "
                        "with nft_weights_copy()");
    int64_t widest = 0, largest = 0;
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const nft_tensor *tensor = &weights->space->tensors[t];
        int64_t numbers = tensor->tokens * tensor->positions;
        widest = tensor->rows > widest ? tensor->rows : widest;
        largest = numbers > largest ? numbers : largest;
    }
    int64_t bytes = nft_size_add(widest, nft_size_multiply(largest, sizeof(float)));
    nft_status status = nft_check_limit("a permutation", bytes, 0);
    if (status)
        return status;
    bool *seen = nft_allocate_array((size_t)widest, sizeof *seen);
    float *scratch = nft_allocate_array((size_t)largest, sizeof *scratch);
    status = seen && scratch ? check_permutations(weights, permutations, seen)
                             : nft_fail_memory("a permutation", bytes);
    if (!status)
        permute(weights, permutations, scratch);
    nft_release(scratch);
    nft_release(seen);
    return status;
}

/* Fisher and Yates; draws numbers first … first + size - 1. */
static void draw(const nft_random *random, uint64_t first, int64_t size, int64_t *permutation)
{
    for (int64_t k = 0; k < size; k++)
        permutation[k] = k;
    for (int64_t k = size - 1; k > 0; k--) {
        int64_t other = (int64_t)nft_random_below(random, first + (uint64_t)k, (uint64_t)k + 1);
        int64_t kept = permutation[k];
        permutation[k] = permutation[other];
        permutation[other] = kept;
    }
}

/* Permutations of hidden neurons, (N, n_i) for each hidden layer behind each other in `numbers`. */
static void draw_all(const nft_weights *weights, uint64_t seed, const int64_t **permutations,
                     int64_t *numbers)
{
    nft_random random = {.seed = seed, .stream = nft_random_stream("permute")};
    uint64_t drawn = 0;
    for (int64_t i = 1; i < weights->space->layer_count; i++) {
        int64_t size = weights->space->layers[i].in;
        permutations[i - 1] = numbers;
        for (int64_t n = 0; n < weights->count; n++) {
            draw(&random, drawn, size, numbers);
            numbers += size;
            drawn += (uint64_t)size;
        }
    }
}

nft_status nft_weights_permute_random(nft_weights *weights, uint64_t seed)
{
    if (!weights)
        return nft_fail_null("nft_weights_permute_random", "weights");
    int64_t hidden = 0, layers = weights->space->layer_count;
    for (int64_t i = 1; i < layers; i++)
        hidden = nft_size_add(hidden, weights->space->layers[i].in);
    int64_t bytes = nft_size_multiply(nft_size_multiply(hidden, weights->count), sizeof(int64_t));
    nft_status status = nft_check_limit("random permutations", bytes, 0);
    if (status)
        return status;
    int64_t *numbers = nft_allocate((size_t)bytes);
    const int64_t **permutations = nft_allocate_array((size_t)layers, sizeof *permutations);
    if (numbers && permutations) {
        draw_all(weights, seed, permutations, numbers);
        status = nft_weights_permute(weights, permutations);
    } else {
        status = nft_fail_memory("random permutations", bytes);
    }
    nft_release(permutations);
    nft_release(numbers);
    return status;
}
