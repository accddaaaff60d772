#include "train/mixup.h"

#include <math.h>
#include <string.h>

#define NUMBERS_OF_A_NETWORK (UINT64_C(1) << 32) /* at most, of its share */

nft_status nft_mixup_create(nft_mixup *mixup, double alpha, const nft_space *space, int64_t count)
{
    mixup->alpha = alpha;
    if (!(alpha > 0))
        return NFT_OK;
    nft_status status = nft_weights_allocate(&mixup->networks, space, count, 1, NULL, 0);
    return status ? status : nft_siren_alignment_create(&mixup->alignment, space);
}

void nft_mixup_clear(nft_mixup *mixup)
{
    nft_weights_free(mixup->networks);
    nft_siren_alignment_free(mixup->alignment);
    *mixup = (nft_mixup){0};
}

int64_t nft_mixup_bytes(double alpha, const nft_space *space, int64_t count)
{
    if (!(alpha > 0))
        return 0;
    int64_t networks = nft_size_multiply(nft_size_multiply(count, space->numbers), sizeof(float));
    return nft_size_add(networks, nft_siren_alignment_bytes(space));
}

nft_random nft_mixup_random(uint64_t seed, int64_t step)
{
    return (nft_random){.seed = seed, .stream = nft_random_stream("mixup") + (uint64_t)step};
}

/* Between 0 and 1, neither of them. */
static double open_uniform(const nft_random *random, uint64_t index)
{
    return (double)nft_random_uniform(random, index) + 0x1p-25;
}

/* Beta(alpha, alpha) by Jöhnk, "Erzeugung von betaverteilten und gammaverteilten Zufallszahlen", 1964: x and
 * y are powers 1/alpha of uniform numbers; x / (x + y) has the distribution where x + y is at most 1. */
double nft_mixup_share(double alpha, const nft_random *random, int64_t place)
{
    uint64_t index = (uint64_t)place * NUMBERS_OF_A_NETWORK;
    for (;; index += 2) {
        double x = pow(open_uniform(random, index), 1 / alpha),
               y = pow(open_uniform(random, index + 1), 1 / alpha);
        if (x + y <= 1)
            return x / (x + y);
    }
}

int64_t nft_mixup_distance(const nft_random *random, int64_t count)
{
    return 1 + (int64_t)nft_random_below(random, (uint64_t)count * NUMBERS_OF_A_NETWORK, (uint64_t)count - 1);
}

static void copy_network(float *const *tensors, int64_t place, const nft_forward_sample *input)
{
    const nft_space *space = input->weights->space;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        int64_t numbers = space->tensors[t].tokens;
        memcpy(tensors[t] + place * numbers, input->weights->data[t] + input->index * numbers,
               (size_t)numbers * sizeof(float));
    }
}

/* x ← share · own + (1 - share) · x */
static void blend(int64_t count, double share, const float *own, float *x)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)(share * (double)own[i] + (1 - share) * (double)x[i]);
}

/* The network of `own` mixed with that of `partner`, to `place`. */
static void mix_networks(nft_mixup *mixup, double share, const nft_forward_sample *own,
                         const nft_forward_sample *partner, int64_t place)
{
    const nft_space *space = mixup->networks->space;
    float *const *tensors = (float *const *)mixup->networks->data;
    copy_network(tensors, place, partner);
    nft_siren_align(mixup->alignment, tensors, place, own->weights->data, own->index);
    for (int64_t t = 0; t < space->tensor_count; t++) {
        int64_t numbers = space->tensors[t].tokens;
        blend(numbers, share, own->weights->data[t] + own->index * numbers, tensors[t] + place * numbers);
    }
}

void nft_mixup_samples(nft_mixup *mixup, const nft_random *random, nft_sample *samples, int64_t count,
                       int64_t first, int64_t part)
{
    int64_t distance = nft_mixup_distance(random, count);
    for (int64_t place = first; place < first + part; place++) {
        nft_sample *own = &samples[place];
        const nft_sample *partner = &samples[(place + distance) % count];
        double share = nft_mixup_share(mixup->alpha, random, place);
        mix_networks(mixup, share, &own->input, &partner->input, place);
        own->other_share = 1 - share;
        own->other_target = partner->target;
        own->other_label = partner->label;
    }
    for (int64_t place = first; place < first + part; place++)
        samples[place].input = (nft_forward_sample){.weights = mixup->networks, .index = place};
}
