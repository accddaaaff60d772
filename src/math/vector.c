#include "math/vector.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The sets that this library was built with, the best last; kernels.c defines them. */
#if defined(__x86_64__)

extern const nft_kernels nft_kernels_baseline, nft_kernels_avx2, nft_kernels_avx512;
static const nft_kernels *const built[] = {&nft_kernels_baseline, &nft_kernels_avx2, &nft_kernels_avx512};

static bool machine_has(const nft_kernels *set)
{
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (set == &nft_kernels_avx512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    return set == &nft_kernels_avx2 ? avx2 : true;
}

#else

#if defined(__aarch64__)
extern const nft_kernels nft_kernels_neon;
static const nft_kernels *const built[] = {&nft_kernels_neon};
#else
extern const nft_kernels nft_kernels_baseline;
static const nft_kernels *const built[] = {&nft_kernels_baseline};
#endif

static bool machine_has(const nft_kernels *set)
{
    (void)set;
    return true;
}

#endif

/* The best set, or the one that the environment names. */
static const nft_kernels *choose(void)
{
    const char *wanted = getenv("NFT_KERNELS");
    const nft_kernels *best = built[0];
    for (size_t i = 0; i < sizeof built / sizeof *built; i++) {
        if (!machine_has(built[i]))
            continue;
        best = built[i];
        if (wanted && !strcmp(wanted, best->name))
            return best;
    }
    return best;
}

const nft_kernels *nft_vector(void)
{
    static _Atomic(const nft_kernels *) chosen;
    const nft_kernels *set = atomic_load_explicit(&chosen, memory_order_acquire);
    if (set)
        return set;
    const nft_kernels *none = NULL;
    set = choose();
    /* The first thread's choice stays, even if the environment changed meanwhile. */
    return atomic_compare_exchange_strong(&chosen, &none, set) ? set : none;
}
