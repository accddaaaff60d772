#include "base/random.h"

#include "base/pi.h"

#include <math.h>

/* Philox 4x32 with 10 rounds; the constants are those of the paper's section 4.3. */
typedef struct philox {
    uint32_t words[4];
} philox;

static philox philox_round(philox c, uint32_t key0, uint32_t key1)
{
    uint64_t a = (uint64_t)0xD2511F53 * c.words[0], b = (uint64_t)0xCD9E8D57 * c.words[2];
    return (philox){{(uint32_t)(b >> 32) ^ c.words[1] ^ key0, (uint32_t)b,
                     (uint32_t)(a >> 32) ^ c.words[3] ^ key1, (uint32_t)a}};
}

/* The counter is (index, stream), the key the seed, low words first. */
static philox philox_block(const nft_random *random, uint64_t index)
{
    uint32_t key0 = (uint32_t)random->seed, key1 = (uint32_t)(random->seed >> 32);
    philox c = {{(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)random->stream,
                 (uint32_t)(random->stream >> 32)}};
    for (int round = 0; round < 10; round++) {
        c = philox_round(c, key0, key1);
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
    return c;
}

static uint64_t low_bits(philox block)
{
    return block.words[0] | (uint64_t)block.words[1] << 32;
}

static uint64_t high_bits(philox block)
{
    return block.words[2] | (uint64_t)block.words[3] << 32;
}

uint64_t nft_random_bits(const nft_random *random, uint64_t index)
{
    return low_bits(philox_block(random, index));
}

float nft_random_uniform(const nft_random *random, uint64_t index)
{
    return (float)(nft_random_bits(random, index) >> 40) * 0x1p-24f;
}

/* One block gives both uniform numbers of 53 bits; the logarithm's lies in (0, 1]. */
float nft_random_normal(const nft_random *random, uint64_t index)
{
    philox block = philox_block(random, index);
    double u = ((double)(low_bits(block) >> 11) + 1) * 0x1p-53,
           v = (double)(high_bits(block) >> 11) * 0x1p-53;
    return (float)(sqrt(-2 * log(u)) * cos(2 * NFT_PI * v));
}

/* The upper half of the product of 64 bits. */
static uint64_t multiply_high(uint64_t a, uint64_t b)
{
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (uint32_t)middle;
    return a1 * b1 + (middle >> 32) + (other >> 32);
}

/* ⌊bound r / 2^128⌋ for all 128 bits r of a block: no number is likelier than another by more than 2^-64. */
uint64_t nft_random_below(const nft_random *random, uint64_t index, uint64_t bound)
{
    philox block = philox_block(random, index);
    uint64_t low = multiply_high(low_bits(block), bound), middle = high_bits(block) * bound;
    return multiply_high(high_bits(block), bound) + (middle + low < low);
}

uint64_t nft_random_stream(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *name; name++) {
        hash ^= (unsigned char)*name;
        hash *= 0x100000001b3;
    }
    return hash;
}
