/* Kernels of Keras, TensorFlow and flax. Their inputs come before their outputs, and their channels come
 * last: (in, out), (height, width, in, out). They are shown in PyTorch's order. */
#ifndef NFT_IO_KERNELS_H
#define NFT_IO_KERNELS_H

#include "io/file.h"

/* A kernel as it is stored. */
typedef struct nft_kernel {
    const char *name;                        /* that it gets: NAME.weight */
    const nft_entry *base;                   /* kept (io/views.h) */
    int64_t offset;                          /* of its first number in the base, in elements */
    int64_t networks;                        /* of a stack; 0: there is no such axis */
    int64_t distance;                        /* from one network to the next, in elements */
    int64_t rank, shape[NFT_ARRAY_MAX_RANK]; /* of one network, as it is stored */
    int64_t channels; /* of the flattened map that it reads, which come last; 0: it reads none */
} nft_kernel;

/* The channels of the map that `kernel` reads flattened, if the layer before it is a convolution; else 0. */
int64_t nft_kernel_channels(const nft_kernel *kernel, const nft_kernel *before);
/* Adds it to the table as (out, in, …). */
nft_status nft_kernel_add(nft_file *file, const nft_kernel *kernel);

/* Shows the kernels of a file in PyTorch's order, and its norms with PyTorch's names. An error for layers
 * that no such order makes readable. */
nft_status nft_kernels_convert(nft_file *file);

#endif
