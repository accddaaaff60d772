/* Encodings of a place among others: io_sinusoidal and place_embedding. */
#ifndef NFT_MODULES_SINUSOIDS_H
#define NFT_MODULES_SINUSOIDS_H

#include <stdint.h>

/* Numbers of one encoding. */
static inline int64_t nft_sinusoids_width(int64_t bands)
{
    return 2 * bands + 1;
}

/* Of place `index` among `count`, which are spread over [-1, 1]: [sin π s_j t …, cos π s_j t …, t], s_j from
 * 1 to max_freq / 2. */
void nft_sinusoids(int64_t index, int64_t count, int64_t bands, double max_freq, float *row);

#endif
