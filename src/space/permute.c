/* Neuron permutations: the neurons of an axis move in every tensor that names it. */
#include "base/random.h"
#include "nft/permute.h"
#include "space/weights.h"

#include <inttypes.h>
#include <string.h>

static nft_status check_permutation(const int64_t *permutation, const nft_axis *axis, int64_t network,
                                    bool *seen)
{
    memset(seen, 0, (size_t)axis->size * sizeof *seen);
    for (int64_t k = 0; k < axis->size; k++) {
        int64_t old = permutation[k];
        if (old < 0 || old >= axis->size || seen[old])
            return nft_fail(NFT_ERROR_ARGUMENT,
                            "nft_weights_permute: the permutation of axis '%s' of network %" PRId64
                            " is none of %" PRId64 " neurons: neuron %" PRId64 " comes %s",
                            axis->name, network, axis->size, old,
                            old < 0 || old >= axis->size ? "from outside" : "twice");
        seen[old] = true;
    }
    return NFT_OK;
}

static nft_status check_permutations(const nft_weights *weights, const int64_t *const *permutations,
                                     bool *seen)
{
    nft_status status = NFT_OK;
    for (int64_t a = 0; a < weights->space->axis_count; a++) {
        const nft_axis *axis = &weights->space->axes[a];
        if (permutations[a] && !axis->permutable)
            return nft_fail(NFT_ERROR_ARGUMENT,
                            "nft_weights_permute: axis '%s' has no symmetry, but a permutation", axis->name);
        for (int64_t n = 0; n < weights->count && permutations[a] && !status; n++)
            status = check_permutation(permutations[a] + n * axis->size, axis, n, seen);
    }
    return status;
}

/* new[…, k, …] = old[…, permutation[k], …] along dimension d of features (tokens, positions). */
static void permute_dimension(const nft_tensor *tensor, int64_t d, const int64_t *permutation,
                              const float *old, float *features)
{
    int64_t outer = 1, inner = tensor->positions, size = tensor->sizes[d];
    for (int64_t k = 0; k < d; k++)
        outer *= tensor->sizes[k];
    for (int64_t k = d + 1; k < tensor->rank; k++)
        inner *= tensor->sizes[k];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < size; k++)
            memcpy(features + (o * size + k) * inner, old + (o * size + permutation[k]) * inner,
                   (size_t)inner * sizeof *features);
}

/* One channel of one network's tensor, through features and back; `scratch` has room for it twice. */
static void permute_tensor(const nft_tensor *tensor, const int64_t *const *permutations, float *values,
                           float *scratch)
{
    int64_t numbers = tensor->tokens * tensor->positions;
    float *features = scratch, *old = scratch + numbers;
    nft_tensor_gather(tensor, 1, values, features);
    for (int64_t d = 0; d < tensor->rank; d++) {
        if (!permutations[d])
            continue;
        memcpy(old, features, (size_t)numbers * sizeof *old);
        permute_dimension(tensor, d, permutations[d], old, features);
    }
    nft_tensor_scatter(tensor, 1, features, values);
}

static void permute(nft_weights *weights, const int64_t *const *permutations, float *scratch)
{
    const nft_space *space = weights->space;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        int64_t numbers = tensor->tokens * tensor->positions;
        for (int64_t n = 0; n < weights->count; n++) {
            const int64_t *own[NFT_TENSOR_MAX_AXES] = {NULL};
            bool moves = false;
            for (int64_t d = 0; d < tensor->rank; d++) {
                const int64_t *all = permutations[tensor->axes[d]];
                own[d] = all ? all + n * tensor->sizes[d] : NULL;
                moves = moves || all;
            }
            for (int64_t c = 0; c < weights->channels && moves; c++)
                permute_tensor(tensor, own,
                               nft_weights_edit(weights, t) + (n * weights->channels + c) * numbers, scratch);
        }
    }
}

nft_status nft_weights_permute(nft_weights *weights, const int64_t *const *permutations)
{
    if (!weights || (!permutations && weights->space->axis_count))
        return nft_fail_null("nft_weights_permute", weights ? "permutations" : "weights");
    if (weights->borrowed)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_weights_permute: the set borrows its arrays and cannot write them; make it "
                        "with nft_weights_create()");
    nft_status status = nft_weights_check_whole(weights);
    if (!status)
        status = nft_weights_check_axes(weights);
    if (status)
        return status;
    int64_t widest = 0, largest = 0;
    for (int64_t a = 0; a < weights->space->axis_count; a++)
        widest = weights->space->axes[a].size > widest ? weights->space->axes[a].size : widest;
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const nft_tensor *tensor = &weights->space->tensors[t];
        int64_t numbers = tensor->tokens * tensor->positions;
        largest = numbers > largest ? numbers : largest;
    }
    int64_t bytes = nft_size_add(widest, nft_size_multiply(2 * largest, sizeof(float)));
    status = nft_check_limit("a permutation", bytes, 0);
    if (status)
        return status;
    bool *seen = nft_allocate_array((size_t)widest, sizeof *seen);
    float *scratch = nft_allocate_array((size_t)(2 * largest), sizeof *scratch);
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

/* Permutations of every axis that has them, (N, neurons) of one behind those of the other in `numbers`.
 * `neurons` are those of all these axes: how many numbers a network draws. */
static void draw_all(const nft_weights *weights, uint64_t seed, int64_t first, int64_t neurons,
                     const int64_t **permutations, int64_t *numbers)
{
    nft_random random = {.seed = seed, .stream = nft_random_stream("permute")};
    int64_t before = 0;
    for (int64_t a = 0; a < weights->space->axis_count; a++) {
        const nft_axis *axis = &weights->space->axes[a];
        permutations[a] = axis->permutable ? numbers : NULL;
        for (int64_t n = 0; n < weights->count && axis->permutable; n++) {
            draw(&random, (uint64_t)(first + n) * (uint64_t)neurons + (uint64_t)before, axis->size, numbers);
            numbers += axis->size;
        }
        before += axis->permutable ? axis->size : 0;
    }
}

nft_status nft_weights_permute_random(nft_weights *weights, uint64_t seed, int64_t first)
{
    if (!weights)
        return nft_fail_null("nft_weights_permute_random", "weights");
    if (first < 0)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_weights_permute_random: first is %" PRId64, first);
    int64_t neurons = 0, axes = weights->space->axis_count;
    for (int64_t a = 0; a < axes; a++)
        if (weights->space->axes[a].permutable)
            neurons = nft_size_add(neurons, weights->space->axes[a].size);
    int64_t bytes = nft_size_multiply(nft_size_multiply(neurons, weights->count), sizeof(int64_t));
    nft_status status = nft_check_limit("random permutations", bytes, 0);
    if (status)
        return status;
    int64_t *numbers = nft_allocate((size_t)bytes);
    const int64_t **permutations = nft_allocate_array((size_t)axes, sizeof *permutations);
    if (numbers && permutations) {
        draw_all(weights, seed, first, neurons, permutations, numbers);
        status = nft_weights_permute(weights, permutations);
    } else {
        status = nft_fail_memory("random permutations", bytes);
    }
    nft_release(permutations);
    nft_release(numbers);
    return status;
}
