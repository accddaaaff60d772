#include "train/sampler.h"

#include "base/random.h"

nft_status nft_sampler_create(nft_sampler *sampler, int64_t samples, bool shuffle, uint64_t seed)
{
    *sampler = (nft_sampler){.shuffle = shuffle, .seed = seed, .samples = samples, .pass = -1};
    if (!shuffle)
        return NFT_OK;
    sampler->order = nft_allocate_array((size_t)samples, sizeof *sampler->order);
    return sampler->order ? NFT_OK
                          : nft_fail_memory("the order of the samples",
                                            nft_size_multiply(samples, sizeof *sampler->order));
}

void nft_sampler_clear(nft_sampler *sampler)
{
    nft_release(sampler->order);
    *sampler = (nft_sampler){0};
}

/* Fisher and Yates' shuffle, inside out. */
static void shuffle(nft_sampler *sampler, int64_t pass)
{
    nft_random random = {.seed = sampler->seed, .stream = nft_random_stream("shuffle") + (uint64_t)pass};
    for (int64_t i = 0; i < sampler->samples; i++) {
        int64_t j = (int64_t)nft_random_below(&random, (uint64_t)i, (uint64_t)i + 1);
        sampler->order[i] = sampler->order[j];
        sampler->order[j] = i;
    }
    sampler->pass = pass;
}

void nft_sampler_batch(nft_sampler *sampler, int64_t step, int64_t count, int64_t *indices)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t position = step * count + i, pass = position / sampler->samples,
                place = position % sampler->samples;
        if (sampler->shuffle && pass != sampler->pass)
            shuffle(sampler, pass);
        indices[i] = sampler->shuffle ? sampler->order[place] : place;
    }
}
