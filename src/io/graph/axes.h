/* The dimensions of a graph's values as one structure. A dimension is a leaf, or a product of smaller ones
 * (row-major, as Reshape splits it), or a sum (one behind the other, as Concat joins them). Uniting two
 * dimensions unites their leaves; leaves are split and cut where the two have finer structures. Where two
 * structures do not fit, everything in them becomes ordered, which is always right. */
#ifndef NFT_IO_GRAPH_AXES_H
#define NFT_IO_GRAPH_AXES_H

#include "base/memory.h"

typedef enum nft_dim_kind { NFT_DIM_LEAF, NFT_DIM_PRODUCT, NFT_DIM_SUM } nft_dim_kind;

typedef struct nft_dim {
    nft_dim_kind kind;
    bool ordered;         /* a leaf: not to be permuted */
    bool positions;       /* a leaf: counts as positions where it is ordered */
    bool channels;        /* a leaf: an axis even if its size is 1 */
    int32_t same;         /* the dimension that this one was united with; itself if it stands for its class */
    int32_t first, count; /* children of a product or a sum, in nft_dims.children */
    int64_t size;
    const char *hint; /* the name of an input or output of the graph, borrowed; NULL: none */
    bool is_output;   /* the hint is an output's */
} nft_dim;

/* A growing list of numbers. */
typedef struct nft_dim_list {
    int32_t *items;
    int64_t count, capacity;
} nft_dim_list;

/* Once something failed, `status` is set, every call does nothing and returns dimension 0. */
typedef struct nft_dims {
    nft_dim *items;
    int64_t count, capacity;
    nft_dim_list children;
    nft_dim_list pairs, stack; /* work of nft_dims_unite() and of walks */
    int64_t steps;             /* of all walks so far */
    int64_t orderings;         /* leaves that became ordered so far */
    nft_status status;
} nft_dims;

void nft_dims_clear(nft_dims *dims);

void nft_dim_list_add(nft_dims *dims, nft_dim_list *list, int32_t dim);

int32_t nft_dims_leaf(nft_dims *dims, int64_t size);
int32_t nft_dims_ordered(nft_dims *dims, int64_t size);   /* a leaf that is ordered */
int32_t nft_dims_positions(nft_dims *dims, int64_t size); /* a leaf that is ordered, and positions */
/* Factors of size 1 are left out; a single factor is its own product. */
int32_t nft_dims_product(nft_dims *dims, const int32_t *factors, int64_t count);
/* Parts of size 0 are left out. */
int32_t nft_dims_sum(nft_dims *dims, const int32_t *parts, int64_t count);

void nft_dims_unite(nft_dims *dims, int32_t a, int32_t b);
void nft_dims_order(nft_dims *dims, int32_t dim);
void nft_dims_order_all(nft_dims *dims);

/* The dimension that stands for the class. */
int32_t nft_dims_find(nft_dims *dims, int32_t dim);
int64_t nft_dims_size(const nft_dims *dims, int32_t dim);
/* Adds the parts of a dimension to a list: leaves and products, no sums. */
void nft_dims_parts(nft_dims *dims, int32_t dim, nft_dim_list *list);
/* Adds the factors of a dimension that is no sum: leaves, and sums behind the first factor. */
void nft_dims_factors(nft_dims *dims, int32_t dim, nft_dim_list *list);
/* Turns a product with a sum in it into a sum, and orders the factors before it; false if they are many. */
bool nft_dims_distribute(nft_dims *dims, int32_t dim);
/* Whether every leaf of a dimension is ordered. */
bool nft_dims_are_ordered(nft_dims *dims, int32_t dim);

#endif
