/* Hashes by which a checkpoint recognises its data, and its own numbers. */
#include "train/objective.h"

#include <string.h>

#define FACTOR UINT64_C(0xff51afd7ed558ccd) /* of MurmurHash3's finalizer (Appleby) */

/* Words of 8 bytes; the last is filled up with zeros. */
uint64_t nft_hash_bytes(const void *bytes, size_t count, uint64_t hash)
{
    const unsigned char *next = bytes;
    while (count) {
        uint64_t word = 0;
        size_t now = count < sizeof word ? count : sizeof word;
        memcpy(&word, next, now);
        hash = (hash ^ word) * FACTOR;
        hash ^= hash >> 32;
        next += now;
        count -= now;
    }
    return hash;
}

static uint64_t hash_floats(const float *values, int64_t count, uint64_t hash)
{
    return nft_hash_bytes(values, (size_t)count * sizeof *values, hash);
}

/* A model of any space also tells tensors apart by this text. */
static uint64_t hash_space(const nft_space *space, uint64_t hash)
{
    const char *text = nft_space_describe(space)->json;
    return nft_hash_bytes(text, strlen(text), hash);
}

static uint64_t hash_input(const nft_forward_sample *input, uint64_t hash)
{
    const nft_weights *weights = input->weights;
    if (input->tokens) {
        int64_t numbers = input->tokens->shape[1] * input->tokens->shape[2];
        return hash_floats(nft_array_f32(input->tokens) + input->index * numbers, numbers, hash);
    }
    const nft_space *space = weights ? weights->space : NULL;
    for (int64_t t = 0; space && t < space->tensor_count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        int64_t numbers = weights->channels * tensor->tokens * tensor->own_positions;
        hash = hash_floats(weights->data[t] + input->index * numbers, numbers, hash);
    }
    return hash;
}

static uint64_t hash_target(const nft_objective *objective, const nft_sample *sample, uint64_t hash)
{
    if (objective->loss->target == NFT_TARGET_CLASS)
        return nft_hash_bytes(&sample->label, sizeof sample->label, hash);
    return sample->target ? hash_floats(sample->target, nft_objective_target_numbers(objective), hash) : hash;
}

void nft_samples_hash(const nft_objective *objective, const nft_sample *samples, int64_t count,
                      nft_fingerprint *fingerprint)
{
    const nft_space *last = NULL;
    uint64_t text = 0;
    for (int64_t i = 0; i < count; i++) {
        const nft_space *space = samples[i].input.weights ? samples[i].input.weights->space : NULL;
        if (objective->model->any_space && space && space != last)
            text = hash_space(space, 0);
        last = space;
        if (objective->model->any_space)
            fingerprint->inputs = nft_hash_bytes(&text, sizeof text, fingerprint->inputs);
        fingerprint->inputs = hash_input(&samples[i].input, fingerprint->inputs);
        fingerprint->targets = hash_target(objective, &samples[i], fingerprint->targets);
    }
}
