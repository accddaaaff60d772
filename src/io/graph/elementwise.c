/* Elementwise operators, reductions, pools and norms: they act on every channel alike. */
#include "io/graph/operators.h"

#include <string.h>

bool nft_pass_elementwise(nft_graph *graph, const nft_node *node)
{
    nft_dim_shape shape = {0};
    bool fits = true;
    for (int64_t i = 0; i < node->input_count && fits; i++) {
        const nft_graph_value *value = nft_node_input(graph, node, i);
        nft_dim_shape own = value ? nft_shape_of(value) : (nft_dim_shape){0};
        fits = nft_broadcast(graph, &shape, &own);
    }
    if (fits)
        nft_node_set(graph, node, 0, &shape);
    return fits;
}

bool nft_pass_first(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *value = nft_node_input(graph, node, 0);
    if (!value)
        return false;
    nft_dim_shape shape = nft_shape_of(value);
    nft_node_set(graph, node, 0, &shape);
    return true;
}

bool nft_pass_along(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *value = nft_node_input(graph, node, 0);
    nft_integers axis;
    if (!value || !nft_node_integers(&axis, graph, node, NULL, 1) || axis.count != 1)
        return false;
    int64_t d = nft_from_behind(axis.items[0], value->rank);
    if (d < 0)
        return false;
    nft_dims_order(&graph->dims, value->dims[d]);
    return nft_pass_first(graph, node);
}

/* Marks the axes that an operator reduces; all of them if none is named. */
static bool find_reduced(bool *reduced, const nft_integers *axes, int64_t rank, bool all)
{
    for (int64_t d = 0; d < rank; d++)
        reduced[d] = !axes->count && all;
    for (int64_t i = 0; i < axes->count; i++) {
        int64_t d = nft_from_behind(axes->items[i], rank);
        if (d < 0)
            return false;
        reduced[d] = true;
    }
    return true;
}

static bool set_reduced(nft_graph *graph, const nft_node *node, const nft_graph_value *value,
                        const bool *reduced)
{
    bool keeps = nft_node_integer(node, "keepdims", 1) != 0;
    nft_dim_shape shape = {0};
    for (int64_t d = 0; d < value->rank; d++)
        if (!reduced[d] || keeps)
            nft_shape_add(&shape, reduced[d] ? nft_dims_ordered(&graph->dims, 1) : value->dims[d]);
    nft_node_set(graph, node, 0, &shape);
    return true;
}

bool nft_pass_reduce(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *value = nft_node_input(graph, node, 0);
    nft_integers axes;
    bool reduced[NFT_GRAPH_MAX_RANK];
    if (!value || !nft_node_integers(&axes, graph, node, "axes", 1))
        return false;
    if (!find_reduced(reduced, &axes, value->rank, !nft_node_integer(node, "noop_with_empty_axes", 0)))
        return false;
    return set_reduced(graph, node, value, reduced);
}

bool nft_pass_arg(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *value = nft_node_input(graph, node, 0);
    int64_t axis = nft_node_integer(node, "axis", 0), d = value ? nft_from_behind(axis, value->rank) : -1;
    bool reduced[NFT_GRAPH_MAX_RANK] = {false};
    if (d < 0)
        return false;
    nft_dims_order(&graph->dims, value->dims[d]);
    reduced[d] = true;
    return set_reduced(graph, node, value, reduced);
}

/* Input `index` has one number for each channel. */
static bool match_channels(nft_graph *graph, const nft_node *node, int64_t index, int32_t channels)
{
    const nft_graph_value *value = nft_node_input(graph, node, index);
    return !value || (value->rank == 1 && nft_match(graph, value->dims[0], channels));
}

/* Gain, bias, mean and variance of each channel. */
bool nft_pass_channel_norm(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *value = nft_node_input(graph, node, 0);
    bool fits = value && value->rank >= 2;
    for (int64_t i = 1; i < node->input_count && fits; i++)
        fits = match_channels(graph, node, i, value->dims[1]);
    return fits && nft_pass_first(graph, node);
}

/* Channels are (group, channel of the group); gain and bias are of channels, or of groups in older versions.
 */
bool nft_pass_group_norm(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *value = nft_node_input(graph, node, 0);
    int64_t groups = nft_node_integer(node, "num_groups", 1);
    if (!value || value->rank < 2 || groups < 1 || nft_value_size(graph, value, 1) % groups)
        return false;
    int32_t factors[2] = {nft_dims_leaf(&graph->dims, groups),
                          nft_dims_leaf(&graph->dims, nft_value_size(graph, value, 1) / groups)};
    bool fits = nft_match(graph, value->dims[1], nft_dims_product(&graph->dims, factors, 2));
    for (int64_t i = 1; i < 3 && fits; i++) {
        const nft_graph_value *gain = nft_node_input(graph, node, i);
        bool of_groups = gain && gain->rank == 1 && nft_value_size(graph, gain, 0) == groups;
        fits = match_channels(graph, node, i, of_groups ? factors[0] : value->dims[1]);
    }
    return fits && nft_pass_first(graph, node);
}

/* Gain and bias have the shape of the normalised axes, or stretch to it. */
bool nft_pass_layer_norm(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *value = nft_node_input(graph, node, 0);
    bool fits = value;
    for (int64_t i = 1; i < 3 && fits; i++) {
        const nft_graph_value *gain = nft_node_input(graph, node, i);
        nft_dim_shape own = gain ? nft_shape_of(gain) : (nft_dim_shape){0}, whole = nft_shape_of(value);
        fits = own.rank <= whole.rank && nft_broadcast(graph, &whole, &own);
    }
    return fits && nft_pass_first(graph, node);
}

bool nft_pass_global_pool(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *value = nft_node_input(graph, node, 0);
    if (!value || value->rank < 2)
        return false;
    nft_dim_shape shape = nft_shape_of(value);
    for (int64_t d = 2; d < shape.rank; d++)
        shape.dims[d] = nft_dims_positions(&graph->dims, 1);
    nft_node_set(graph, node, 0, &shape);
    return true;
}
