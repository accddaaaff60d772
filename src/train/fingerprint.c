/* By which a checkpoint knows its data again, and its own numbers. */
#include "train/trainer.h"

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

static uint64_t hash_row(const float *rows, int64_t index, int64_t numbers, uint64_t hash)
{
    return nft_hash_bytes(rows + index * numbers, (size_t)numbers * sizeof *rows, hash);
}

static uint64_t hash_input(const nft_samples *samples, int64_t index, uint64_t hash)
{
    const nft_weights *weights = samples->weights;
    const nft_array *tokens = samples->tokens;
    if (tokens)
        return hash_row(tokens->data, index, tokens->shape[1] * tokens->shape[2], hash);
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const nft_tensor *tensor = &weights->space->tensors[t];
        hash =
            hash_row(weights->data[t], index, weights->channels * tensor->tokens * tensor->positions, hash);
    }
    return hash;
}

static uint64_t hash_targets(const nft_trainer *trainer, const nft_samples *samples, int64_t index,
                             uint64_t hash)
{
    int64_t numbers = nft_trainer_target_numbers(trainer);
    return numbers ? hash_row(samples->targets, index, numbers, hash) : hash;
}

void nft_samples_hash(const nft_trainer *trainer, const nft_samples *samples, nft_fingerprint *fingerprint)
{
    for (int64_t i = 0; i < samples->count; i++) {
        fingerprint->inputs = hash_input(samples, i, fingerprint->inputs);
        fingerprint->targets =
            samples->classes
                ? nft_hash_bytes(samples->classes + i, sizeof *samples->classes, fingerprint->targets)
                : hash_targets(trainer, samples, i, fingerprint->targets);
    }
}
