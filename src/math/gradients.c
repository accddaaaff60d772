#include "math/gradients.h"

#include "math/vector.h"

#include <string.h>

#define DECLARE(set) extern const nft_gradient_kernels nft_gradient_kernels_##set
DECLARE(baseline);
DECLARE(avx2);
DECLARE(avx512);
DECLARE(neon);

const nft_gradient_kernels *nft_vector_gradients(void)
{
    const char *name = nft_vector()->name;
    (void)name;
#if defined(__x86_64__)
    if (!strcmp(name, "avx512"))
        return &nft_gradient_kernels_avx512;
    if (!strcmp(name, "avx2"))
        return &nft_gradient_kernels_avx2;
    return &nft_gradient_kernels_baseline;
#elif defined(__aarch64__)
    return &nft_gradient_kernels_neon;
#else
    return &nft_gradient_kernels_baseline;
#endif
}
