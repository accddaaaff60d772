/* Shared by the tests of kernels: the sets that this machine has, numbers, comparing. */
#ifndef NFT_TEST_KERNEL_SETS_H
#define NFT_TEST_KERNEL_SETS_H

#include "math/kernel_set.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) ((int64_t)(sizeof(array) / sizeof *(array)))

static const nft_kernel_set *sets[4];
static int set_count;

/* The sets of vector kernels that this machine has, each once: some sets differ only in their tiles. */
static inline void find_sets(void)
{
    const nft_kernel_set *set;
    for (int i = 0; (set = nft_kernel_set_at(i)); i++) {
        bool usable = set->usable() && !set->portable && set_count < COUNT(sets);
        for (int k = 0; k < set_count && usable; k++)
            usable = sets[k]->vector != set->vector;
        if (usable)
            sets[set_count++] = set;
    }
}

/* As many as three vectors and a part. */
#define LENGTH 56

static inline bool same_bits(const float *a, const float *b, int64_t n)
{
    return !memcmp(a, b, (size_t)n * sizeof *a);
}

/* Numbers in [-1, 1] from a fixed sequence. */
static inline void fill_random(int64_t n, float *x)
{
    uint32_t seed = 12345;
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        x[i] = (float)(seed >> 8) * 0x1p-23f - 1;
    }
}

#endif
