/* Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
 * 2011). A number depends on (seed, stream, index) and nothing else, so the order in which threads draw does
 * not matter. */
#ifndef NFT_BASE_RANDOM_H
#define NFT_BASE_RANDOM_H

#include <stdint.h>

typedef struct nft_random {
    uint64_t seed;
    uint64_t stream; /* the purpose of the numbers: a parameter, a sample, a module */
} nft_random;

uint64_t nft_random_bits(const nft_random *random, uint64_t index);
float nft_random_uniform(const nft_random *random, uint64_t index); /* [0, 1), 24 bits */
float nft_random_normal(const nft_random *random, uint64_t index);  /* N(0, 1), Box and Muller in double */
uint64_t nft_random_below(const nft_random *random, uint64_t index,
                          uint64_t bound);    /* 0 … bound - 1, bound > 0 */
uint64_t nft_random_stream(const char *name); /* a stream for a name: FNV-1a */

#endif
