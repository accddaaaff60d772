/* One handler for each kind of operator. It unites the axes of its inputs, gives its outputs their shapes,
 * and returns true; or it returns false where it does not understand the operator, and then all axes that
 * pass through it are ordered. Every input that is there has a known shape. */
#ifndef NFT_IO_GRAPH_OPERATORS_H
#define NFT_IO_GRAPH_OPERATORS_H

#include "io/graph/graph.h"

typedef bool (*nft_operator)(nft_graph *graph, const nft_node *node);

bool nft_pass_elementwise(nft_graph *graph, const nft_node *node); /* one input, or several broadcast */
bool nft_pass_first(nft_graph *graph, const nft_node *node);       /* the shape of the first input */
bool nft_pass_along(nft_graph *graph, const nft_node *node);       /* orders one axis: CumSum */
bool nft_pass_reduce(nft_graph *graph, const nft_node *node);
bool nft_pass_arg(nft_graph *graph, const nft_node *node); /* ArgMax: reduces an axis to its index */
bool nft_pass_channel_norm(nft_graph *graph, const nft_node *node);
bool nft_pass_group_norm(nft_graph *graph, const nft_node *node);
bool nft_pass_layer_norm(nft_graph *graph, const nft_node *node);
bool nft_pass_conv(nft_graph *graph, const nft_node *node);
bool nft_pass_conv_transpose(nft_graph *graph, const nft_node *node);
bool nft_pass_pool(nft_graph *graph, const nft_node *node);
bool nft_pass_global_pool(nft_graph *graph, const nft_node *node);
bool nft_pass_gemm(nft_graph *graph, const nft_node *node);
bool nft_pass_matmul(nft_graph *graph, const nft_node *node);
bool nft_pass_einsum(nft_graph *graph, const nft_node *node);
bool nft_pass_reshape(nft_graph *graph, const nft_node *node);
bool nft_pass_flatten(nft_graph *graph, const nft_node *node);
bool nft_pass_squeeze(nft_graph *graph, const nft_node *node);
bool nft_pass_unsqueeze(nft_graph *graph, const nft_node *node);
bool nft_pass_transpose(nft_graph *graph, const nft_node *node);
bool nft_pass_expand(nft_graph *graph, const nft_node *node);
bool nft_pass_tile(nft_graph *graph, const nft_node *node);
bool nft_pass_pixel_shuffle(nft_graph *graph, const nft_node *node); /* DepthToSpace */
bool nft_pass_resize(nft_graph *graph, const nft_node *node);
bool nft_pass_concat(nft_graph *graph, const nft_node *node);
bool nft_pass_split(nft_graph *graph, const nft_node *node);
bool nft_pass_slice(nft_graph *graph, const nft_node *node);
bool nft_pass_gather(nft_graph *graph, const nft_node *node);
bool nft_pass_pad(nft_graph *graph, const nft_node *node);
bool nft_pass_shape(nft_graph *graph, const nft_node *node);
bool nft_pass_constant(nft_graph *graph, const nft_node *node);
bool nft_pass_constant_of_shape(nft_graph *graph, const nft_node *node);
bool nft_pass_recurrent(nft_graph *graph, const nft_node *node);

/* The integers that an operator on constants makes. */
void nft_graph_fold(nft_graph *graph, const nft_node *node);

/* NULL if it is left out. */
const nft_graph_value *nft_node_input(const nft_graph *graph, const nft_node *node, int64_t index);
/* For inputs that are no features: scales, a shape. */
void nft_node_order_input(nft_graph *graph, const nft_node *node, int64_t index);
const nft_attribute *nft_node_attribute(const nft_node *node, const char *name); /* NULL if there is none */
int64_t nft_node_integer(const nft_node *node, const char *name, int64_t otherwise);

typedef struct nft_integers {
    const int64_t *items; /* NULL: not given */
    int64_t count;
} nft_integers;

/* Of an attribute, or of an input that later versions have in its place. False if it is no constant. */
bool nft_node_integers(nft_integers *integers, const nft_graph *graph, const nft_node *node, const char *name,
                       int64_t input);

typedef struct nft_dim_shape {
    int64_t rank;
    int32_t dims[NFT_GRAPH_MAX_RANK];
} nft_dim_shape;

/* False if there are too many. */
bool nft_shape_add(nft_dim_shape *shape, int32_t dim);
nft_dim_shape nft_shape_of(const nft_graph_value *value);
/* Gives an output its shape, if the operator has it. */
void nft_node_set(nft_graph *graph, const nft_node *node, int64_t output, const nft_dim_shape *shape);

int64_t nft_value_size(const nft_graph *graph, const nft_graph_value *value, int64_t d);
/* Unites two dimensions; false if their sizes differ. */
bool nft_match(nft_graph *graph, int32_t a, int32_t b);
/* A dimension that counts from behind if it is negative; -1 if it is none. */
int64_t nft_from_behind(int64_t d, int64_t rank);
/* Unites shapes from behind, where 1 stretches to any size. */
bool nft_broadcast(nft_graph *graph, nft_dim_shape *into, const nft_dim_shape *shape);
/* An axis even where it has one neuron. */
void nft_mark_channels(nft_graph *graph, int32_t dim);

#endif
