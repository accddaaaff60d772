/* One set of kernels for each instruction set, in one table. The best set of the machine is chosen once. */
#ifndef NFT_MATH_KERNEL_SET_H
#define NFT_MATH_KERNEL_SET_H

#include "base/status.h"
#include "math/gradients.h"
#include "math/panels.h"
#include "math/siren_bf16.h"
#include "math/siren_kernels.h"
#include "math/tiles.h"
#include "math/vector.h"

#include <stdbool.h>

typedef struct nft_kernel_set {
    const char *name; /* "avx512" */
    const nft_kernels *vector;
    const nft_gradient_kernels *gradients;
    const nft_panels *panels;
    const nft_siren_kernels *siren;
    const nft_siren_bf16 *siren_bf16; /* NULL: floats are as fast */
    const nft_tiles *tiles;           /* products of bf16 numbers; NULL: the set has none */
    bool portable;        /* computes the numbers of another machine's tiles in C; chosen only by name */
    bool (*usable)(void); /* on this machine */
} nft_kernel_set;

/* All sets that this library was built with, the best last; NULL after the last. */
const nft_kernel_set *nft_kernel_set_at(int index);

/* The best set that this machine can use. NFT_KERNELS in the environment names another. Fixed by the first
 * call. */
const nft_kernel_set *nft_kernel_set_in_use(void);

/* NFT_ERROR_ARGUMENT if NFT_KERNELS named, at the choice, a set that this library or machine lacks. */
nft_status nft_kernel_set_check(const char *function);

/* NFT_ERROR_ARGUMENT unless it is an NFT_PRECISION_…. */
nft_status nft_check_precision(const char *function, int32_t precision);

#endif
