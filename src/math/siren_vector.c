#include "math/siren_kernels.h"
#include "math/vector.h"

#include <string.h>

#define DECLARE(set) extern const nft_siren_kernels nft_siren_kernels_##set
DECLARE(baseline);
DECLARE(avx2);
DECLARE(avx512);
DECLARE(neon);

const nft_siren_kernels *nft_siren_vector(void)
{
    const char *name = nft_vector()->name;
#if defined(__x86_64__)
    if (!strcmp(name, "avx512"))
        return &nft_siren_kernels_avx512;
    if (!strcmp(name, "avx2"))
        return &nft_siren_kernels_avx2;
    return &nft_siren_kernels_baseline;
#elif defined(__aarch64__)
    (void)name;
    return &nft_siren_kernels_neon;
#else
    (void)name;
    return &nft_siren_kernels_baseline;
#endif
}
