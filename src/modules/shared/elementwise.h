/* The functions that act on each number by itself. */
#ifndef NFT_MODULES_ELEMENTWISE_H
#define NFT_MODULES_ELEMENTWISE_H

#include "modules/shared/module.h"

typedef enum nft_function {
    NFT_RELU,
    NFT_GELU,
    NFT_SIGMOID,
    NFT_TANH,
    NFT_SINE,
    NFT_FUNCTION_COUNT
} nft_function;

extern const char *const nft_function_names[NFT_FUNCTION_COUNT];

/* y = f(x) + addend on the team; `addend` may be NULL, `y` may be `x`. */
void nft_exec_elementwise(const nft_exec *exec, nft_function function, int64_t count, const float *x,
                          const float *addend, float *y);

/* The derivatives of sigmoid and tanh are taken from their output, those of the others from their input. */
bool nft_function_keeps_output(nft_function function);
/* dx = f'(x) dy on the team; x is f's output where nft_function_keeps_output. dx may be dy. */
void nft_exec_elementwise_back(const nft_exec *exec, nft_function function, int64_t count, const float *x,
                               const float *dy, float *dx);

#endif
