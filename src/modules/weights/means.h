/* Margins of a tensor: its means, or its sums, over some of its dimensions. The linear equivariant layers
 * exchange means between tensors, and the pools keep them. Sums are their transposes. All sums are taken in a
 * fixed order, in blocks of floats that are joined in double. */
#ifndef NFT_MODULES_WEIGHTS_MEANS_H
#define NFT_MODULES_WEIGHTS_MEANS_H

#include "modules/shared/module.h"

/* A set of dimensions of a tensor: bit d stands for dimension d. */
typedef uint32_t nft_dims;
#define NFT_DIM(d) ((nft_dims)1 << (d))
#define NFT_DIMS_SETS (1 << NFT_TENSOR_MAX_AXES)

nft_dims nft_all_dims(const nft_tensor *tensor);
/* Those whose axis has no symmetry. */
nft_dims nft_ordered_dims(const nft_space *space, const nft_tensor *tensor);
/* Product of their sizes. */
int64_t nft_dims_tokens(const nft_tensor *tensor, nft_dims dims);

/* The margin over all dimensions but `kept`: (tokens of `kept`, width). */
typedef struct nft_margin {
    bool needed;                    /* asked for */
    bool planned;                   /* asked for, or between the tensor and one that is */
    nft_dims parent;                /* it is taken from this margin; all dimensions: from the tensor */
    int64_t outer, averaged, inner; /* the parent's tokens are (outer, averaged, inner) */
    nft_buffer values;
} nft_margin;

typedef struct nft_margins {
    const nft_tensor *tensor;
    int64_t width;                /* numbers of a token */
    nft_dims all;                 /* dimensions of the tensor */
    nft_margin of[NFT_DIMS_SETS]; /* by the dimensions that are kept */
    bool paired;                  /* nft_margins_pair */
    nft_dims by_row, by_column;
    nft_buffer blocks; /* CALL: (blocks of rows, columns · width) */
} nft_margins;

/* First ask for all margins that are needed, then reserve the buffers: in `needed` for those that were asked
 * for, in `others` for those between. The tensor must outlive the margins. */
void nft_margins_open(nft_margins *margins, const nft_tensor *tensor, int64_t width);
void nft_margins_need(nft_margins *margins, nft_dims kept);
void nft_margins_reserve(nft_margins *margins, nft_builder *builder, nft_arena needed, nft_arena others);

/* Means of a matrix over its rows and over its columns, if both are there, are taken in one pass: large
 * tensors are read from memory once. */
void nft_margins_pair(nft_margins *margins, nft_builder *builder);

float *nft_margin_at(const nft_margins *margins, const nft_exec *exec, nft_dims kept);

/* Sets all margins of the tensor x (tokens, width): its means, or its sums. */
typedef enum nft_reduction { NFT_MEANS, NFT_SUMS } nft_reduction;
void nft_margins_reduce(const nft_margins *margins, const nft_exec *exec, nft_reduction reduction,
                        const float *x);

/* The transpose, in three steps. First clear: all margins, or only those that were not requested. The caller
 * then writes the requested margins. Join: each margin is broadcast into the one that it is taken from.
 * Spread: margins that are taken from the tensor are broadcast into it. */
void nft_margins_clear_all(const nft_margins *margins, const nft_exec *exec);
void nft_margins_clear_others(const nft_margins *margins, const nft_exec *exec);
void nft_margins_join(const nft_margins *margins, const nft_exec *exec);
/* Adds to tokens first … first + count - 1 of the tensor, which y holds. */
void nft_margins_spread_rows(const nft_margins *margins, const nft_exec *exec, int64_t first, int64_t count,
                             float *y);
/* Adds to the whole tensor y, on the team. */
void nft_margins_spread(const nft_margins *margins, const nft_exec *exec, float *y);
/* Sets the whole tensor y to the sum of the margins that are spread, at least one. */
void nft_margins_fill(const nft_margins *margins, const nft_exec *exec, float *y);
/* Before join: a mean over n entries gives each of them 1/n of its gradient. */
void nft_margins_share(const nft_margins *margins, const nft_exec *exec);

#endif
