/* Shared by the tests of kernels: the sets that this machine has, numbers, comparing. */
#ifndef NFT_TEST_KERNEL_SETS_H
#define NFT_TEST_KERNEL_SETS_H

#include "math/vector.h"

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

#if defined(__x86_64__)
extern const nft_kernels nft_kernels_baseline, nft_kernels_avx2, nft_kernels_avx512;
#elif defined(__aarch64__)
extern const nft_kernels nft_kernels_neon;
#else
extern const nft_kernels nft_kernels_baseline;
#endif

static const nft_kernels *sets[3];
static int set_count;

static inline void find_sets(void)
{
#if defined(__x86_64__)
    sets[set_count++] = &nft_kernels_baseline;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return;
    sets[set_count++] = &nft_kernels_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        sets[set_count++] = &nft_kernels_avx512;
#elif defined(__aarch64__)
    sets[set_count++] = &nft_kernels_neon;
#else
    sets[set_count++] = &nft_kernels_baseline;
#endif
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
