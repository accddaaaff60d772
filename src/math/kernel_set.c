#include "math/kernel_set.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(NFT_HAS_NEON_BF16)
#include <sys/auxv.h>
#endif

/* kernels.c, gradient_kernels.c, panels.c and siren_kernels.c define these for each instruction set. */
#define DECLARE(set)                                                                                         \
    extern const nft_kernels nft_kernels_##set;                                                              \
    extern const nft_gradient_kernels nft_gradient_kernels_##set;                                            \
    extern const nft_panels nft_panels_##set;                                                                \
    extern const nft_siren_kernels nft_siren_kernels_##set
#define KERNELS_OF(set)                                                                                      \
    .vector = &nft_kernels_##set, .gradients = &nft_gradient_kernels_##set, .panels = &nft_panels_##set,     \
    .siren = &nft_siren_kernels_##set

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)

DECLARE(baseline);
DECLARE(avx2);
#define PORTABLE_BASE baseline

static bool has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#if defined(NFT_HAS_AVX512)
DECLARE(avx512);

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif

#if defined(NFT_HAS_AVX512_BF16)
/* CPUID leaf 7, subleaf 1, EAX bit 5: AVX512_BF16 (Intel SDM, CPUID). */
static bool has_avx512_bf16(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    return has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}
#endif

#if defined(NFT_HAS_AMX)
static bool has_amx(void)
{
    return has_avx512_bf16() && nft_amx_granted();
}
#endif

#elif defined(__aarch64__)

DECLARE(neon);
#define PORTABLE_BASE neon

#if defined(NFT_HAS_NEON_BF16)
static bool has_neon_bf16(void)
{
    return getauxval(AT_HWCAP2) >> 14 & 1; /* HWCAP2_BF16 */
}
#endif

#else
DECLARE(baseline);
#define PORTABLE_BASE baseline
#endif

/* Of the set PORTABLE_BASE. */
#define PORTABLE_KERNELS(set) KERNELS_OF(set)

static const nft_kernel_set sets[] = {
    {.name = "portable_avx512_bf16",
     PORTABLE_KERNELS(PORTABLE_BASE),
     .siren_bf16 = &nft_siren_bf16_portable,
     .tiles = &nft_tiles_portable_avx512_bf16,
     .portable = true,
     .usable = always},
    {.name = "portable_amx",
     PORTABLE_KERNELS(PORTABLE_BASE),
     .siren_bf16 = &nft_siren_bf16_portable,
     .tiles = &nft_tiles_portable_amx,
     .portable = true,
     .usable = always},
    {.name = "portable_neon_bf16",
     PORTABLE_KERNELS(PORTABLE_BASE),
     .tiles = &nft_tiles_portable_neon_bf16,
     .portable = true,
     .usable = always},
#if defined(__x86_64__)
    {.name = "baseline", KERNELS_OF(baseline), .usable = always},
    {.name = "avx2", KERNELS_OF(avx2), .usable = has_avx2},
#if defined(NFT_HAS_AVX512)
    {.name = "avx512", KERNELS_OF(avx512), .usable = has_avx512},
#endif
#if defined(NFT_HAS_AVX512_BF16)
    {.name = "avx512_bf16",
     KERNELS_OF(avx512),
     .siren_bf16 = &nft_siren_bf16_avx512,
     .tiles = &nft_tiles_avx512_bf16,
     .usable = has_avx512_bf16},
#endif
#if defined(NFT_HAS_AMX)
    {.name = "amx",
     KERNELS_OF(avx512),
#if defined(NFT_HAS_AVX512_BF16)
     .siren_bf16 = &nft_siren_bf16_avx512,
#endif
     .tiles = &nft_tiles_amx,
     .usable = has_amx},
#endif
#elif defined(__aarch64__)
    {.name = "neon", KERNELS_OF(neon), .usable = always},
#if defined(NFT_HAS_NEON_BF16)
    {.name = "neon_bf16", KERNELS_OF(neon), .tiles = &nft_tiles_neon_bf16, .usable = has_neon_bf16},
#endif
#else
    {.name = "baseline", KERNELS_OF(baseline), .usable = always},
#endif
};

#define SET_COUNT ((int)(sizeof sets / sizeof *sets))

const nft_kernel_set *nft_kernel_set_at(int index)
{
    return index >= 0 && index < SET_COUNT ? &sets[index] : NULL;
}

/* --- the choice --- */

static _Atomic(const nft_kernel_set *) chosen; /* NULL until the choice is made */
static char refused[64];                       /* the name in NFT_KERNELS that cannot be used */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    const char *wanted = getenv("NFT_KERNELS");
    const nft_kernel_set *named = NULL, *best = NULL;
    for (int i = 0; i < SET_COUNT; i++) {
        bool is_named = wanted && !strcmp(wanted, sets[i].name);
        if ((sets[i].portable && !is_named) || !sets[i].usable())
            continue;
        best = &sets[i];
        if (is_named)
            named = best;
    }
    if (!named && wanted && *wanted)
        snprintf(refused, sizeof refused, "%s", wanted);
    atomic_store_explicit(&chosen, named ? named : best, memory_order_release);
}

const nft_kernel_set *nft_kernel_set_in_use(void)
{
    const nft_kernel_set *set = atomic_load_explicit(&chosen, memory_order_acquire);
    if (set)
        return set;
    pthread_once(&once, choose);
    return atomic_load_explicit(&chosen, memory_order_acquire);
}

nft_status nft_kernel_set_check(const char *function)
{
    char names[256] = "";
    nft_kernel_set_in_use();
    if (!*refused)
        return NFT_OK;
    for (int i = 0, length = 0; i < SET_COUNT; i++)
        if (sets[i].usable())
            length += snprintf(names + length, sizeof names - (size_t)length, "%s%s", length ? ", " : "",
                               sets[i].name);
    return nft_fail(NFT_ERROR_ARGUMENT,
                    "%s: the environment's NFT_KERNELS names kernels that this machine lacks, '%s'; expected "
                    "one of %s",
                    function, refused, names);
}

nft_status nft_check_precision(const char *function, int32_t precision)
{
    if (precision >= NFT_PRECISION_FLOAT32 && precision <= NFT_PRECISION_BF16)
        return NFT_OK;
    return nft_fail(NFT_ERROR_ARGUMENT, "%s: precision is %d, expected 0 … %d (NFT_PRECISION_…)", function,
                    precision, NFT_PRECISION_BF16);
}

const nft_kernels *nft_vector(void)
{
    return nft_kernel_set_in_use()->vector;
}

const nft_gradient_kernels *nft_vector_gradients(void)
{
    return nft_kernel_set_in_use()->gradients;
}

const nft_panels *nft_vector_panels(void)
{
    return nft_kernel_set_in_use()->panels;
}

const nft_siren_kernels *nft_siren_vector(void)
{
    return nft_kernel_set_in_use()->siren;
}

const nft_siren_bf16 *nft_siren_vector_bf16(void)
{
    return nft_kernel_set_in_use()->siren_bf16;
}

const nft_tiles *nft_vector_tiles(void)
{
    return nft_kernel_set_in_use()->tiles;
}
