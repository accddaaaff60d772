/* A weight space as the modules see it: tensors of tokens, and neuron axes with all that each of them
 * indexes. */
#ifndef NFT_SPACE_SPACE_H
#define NFT_SPACE_SPACE_H

#include "base/memory.h"
#include "nft/space.h"

/* One W_i or v_i. A token is one weight at all its filter positions, or one bias; tokens are in row-major
 * order. */
typedef struct nft_tensor {
    int64_t layer;
    bool bias;
    int64_t rows, columns; /* a bias has one column */
    int64_t positions;     /* f: filter positions, which belong to the channels; 1 for a bias */
    int64_t tokens;        /* rows * columns */
    int64_t first_token;   /* tokens of the tensors before this one */
    int64_t offset;        /* numbers of the tensors before this one: C channels begin at C * offset */
    int64_t row_axis;
    int64_t column_axis; /* -1 for a bias */
} nft_tensor;

/* What an axis indexes of one tensor: `tokens` vectors, each running along the axis. */
typedef struct nft_axis_side {
    int64_t tensor;
    bool rows; /* the axis indexes the tensor's rows, so its columns are the vectors; else the other way round
                */
    int64_t tokens; /* how many vectors */
    int64_t first;  /* where they begin in the axis's sequence of vectors */
} nft_axis_side;

typedef struct nft_axis {
    int64_t size;   /* neurons */
    bool hidden;    /* its neurons may be permuted without changing the network's function */
    int64_t tokens; /* vectors of all sides together */
    int64_t side_count;
    nft_axis_side *sides;
} nft_axis;

struct nft_space {
    nft_references references;
    int64_t layer_count;
    nft_layer *layers;
    int64_t tensor_count; /* 2 * layer_count, in the order W_0, v_0, W_1, v_1, … */
    nft_tensor *tensors;
    int64_t axis_count;
    nft_axis *axes;
    int64_t tokens;    /* of all tensors */
    int64_t numbers;   /* weights and biases of one network: tokens, each at all its positions */
    bool one_position; /* every layer has f = 1 */
};

/* Index of W_i and of v_i in `tensors`. */
#define NFT_WEIGHT_OF(layer) (2 * (layer))
#define NFT_BIAS_OF(layer) (2 * (layer) + 1)

nft_space *nft_space_retain(const nft_space *space); /* one more reference */

/* "linear 16 → 10", "linear 16·25 → 10", "conv2d 1 → 16, 3×3": for messages and tables. */
void nft_layer_describe(const nft_layer *layer, char *text, size_t capacity);

/* NFT_ERROR_MISMATCH with the first layer that differs, unless both are equal. */
nft_status nft_space_check_equal(const nft_space *expected, const nft_space *found);

#endif
