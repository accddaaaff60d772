/* A weight space as the modules see it: tensors, which are grids of tokens, and axes with everything that
 * each of them indexes. */
#ifndef NFT_SPACE_SPACE_H
#define NFT_SPACE_SPACE_H

#include "base/memory.h"
#include "nft/space.h"

#define NFT_ROLE_COUNT 8

/* A tensor is a grid of tokens over its axes, row-major in the order of its shape. A token has all positions
 * of one grid point: C channels make C · positions effective channels, index c · positions + position. */
typedef struct nft_tensor {
    char *name;
    int64_t rank;                       /* axes, 0 … 4 */
    int64_t axes[NFT_TENSOR_MAX_AXES];  /* indices in the space; one axis may stand twice */
    int64_t sizes[NFT_TENSOR_MAX_AXES]; /* neurons of each */
    int64_t positions;                  /* f: product of the positions, row-major in the order of the shape */
    int64_t own_positions;              /* the same before a lift; equal to `positions` elsewhere */
    int64_t tokens;                     /* product of the sizes, 1 without axes */
    int64_t first_token;                /* tokens of the tensors before this one */
    int64_t offset;  /* numbers of the tensors before this one: C channels begin at C · offset */
    int32_t role;    /* 0 … NFT_ROLE_COUNT - 1: NFT_ROLE_… - 1 */
    bool plain;      /* the file's order is [token][position]: no position before an axis */
    bool role_given; /* in the description, not by the name */
    int64_t factor_count;
    nft_factor declared[NFT_TENSOR_MAX_FACTORS];
    int64_t factor_sizes[NFT_TENSOR_MAX_FACTORS]; /* neurons or positions of each */
    int64_t
        factor_strides[NFT_TENSOR_MAX_FACTORS];    /* floats from one index to the next in the file's array */
    int64_t shape_rank, shape[NFT_ARRAY_MAX_RANK]; /* of the file's array, without networks and channels */
    char *from;                                    /* NULL: the file's tensor has this one's name */
    int64_t slice_dimension, slice_start;
} nft_tensor;

/* One dimension of one tensor that an axis indexes. Its vectors run along the axis, one for each index of the
 * tensor's other axes, row-major: token (o · size + k) · inner + i is entry k of vector o · inner + i. */
typedef struct nft_axis_side {
    int64_t tensor, dimension;
    int64_t outer, inner; /* products of the tensor's sizes before and behind the dimension */
    int64_t vectors;      /* outer · inner */
    int64_t first;        /* where they begin in the axis's sequence of vectors */
    bool sets;            /* of all sides of its tensor the first, in the order of colours and axes */
} nft_axis_side;

typedef struct nft_axis {
    char *name;
    int64_t size;    /* neurons */
    bool permutable; /* its neurons may be permuted without changing the network's function */
    int64_t vectors; /* of all sides together */
    int64_t side_count;
    nft_axis_side *sides; /* by tensor, then by dimension */
} nft_axis;

struct nft_space {
    nft_references references;
    int64_t axis_count, tensor_count;
    nft_axis *axes;
    nft_tensor *tensors;
    int64_t layer_count; /* 0 unless made from layers */
    nft_layer *layers;
    nft_axis_side *sides; /* of all axes */

    /* Axes of one colour share no tensor, so they can be processed at the same time without writing the same
     * token. Colour k has the axes colour_axes[colour_starts[k]] … colour_axes[colour_starts[k + 1] - 1]. */
    int64_t colour_count;
    int64_t *colour_starts, *colour_axes;

    int64_t tokens;    /* of all tensors */
    int64_t numbers;   /* of one network: tokens, each at all its positions */
    bool one_position; /* every tensor has f = 1 */
    nft_space *lifted; /* the same tokens with f = 1 each; NULL if every tensor has that already */
    char *json;
    nft_space_description description;
    uint64_t hash; /* equal for equal spaces */
};

/* Index of W_i and of v_i in the tensors of a chain. */
#define NFT_WEIGHT_OF(layer) (2 * (layer))
#define NFT_BIAS_OF(layer) (2 * (layer) + 1)

nft_space *nft_space_retain(const nft_space *space); /* one more reference */

/* The space in which positions have become channels. Borrowed. */
const nft_space *nft_space_lifted(const nft_space *space);

/* "linear", "conv", …: of role 0 … NFT_ROLE_COUNT - 1. */
const char *nft_role_name(int64_t role);

/* The chain of layers that equals a space; NULL if none does. Free it with nft_space_free(). */
nft_status nft_space_as_chain(nft_space **chain, const nft_space *space);

/* Whether dimension `d` of a tensor keeps its order: the axis has no symmetry. */
bool nft_dimension_is_ordered(const nft_space *space, const nft_tensor *tensor, int64_t d);

/* F: positions of a tensor for the modules of hidden permutations, to which ordered axes count as positions.
 */
int64_t nft_ordered_positions(const nft_space *space, const nft_tensor *tensor);

/* The tensor's shape with names of axes, "(c, image, 3, 3)": for messages and tables. */
void nft_tensor_describe(const nft_space *space, const nft_tensor *tensor, char *text, size_t capacity);

/* "linear 16 → 10", "linear 16·25 → 10", "conv2d 1 → 16, 3×3": for messages and tables. */
void nft_layer_describe(const nft_layer *layer, char *text, size_t capacity);

/* NFT_ERROR_MISMATCH with the first tensor (of chains: layer) that differs, unless both are equal. */
nft_status nft_space_check_equal(const nft_space *expected, const nft_space *found);

/* Index of the tensor of that name, -1 if there is none. */
int64_t nft_space_find_tensor(const nft_space *space, const char *name);

#endif
