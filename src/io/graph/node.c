/* Shared by the handlers. */
#include "io/graph/operators.h"

#include <string.h>

const nft_graph_value *nft_node_input(const nft_graph *graph, const nft_node *node, int64_t index)
{
    return index < node->input_count && node->inputs[index] >= 0 ? &graph->values[node->inputs[index]] : NULL;
}

void nft_node_order_input(nft_graph *graph, const nft_node *node, int64_t index)
{
    const nft_graph_value *value = nft_node_input(graph, node, index);
    for (int64_t d = 0; value && d < value->rank; d++)
        nft_dims_order(&graph->dims, value->dims[d]);
}

const nft_attribute *nft_node_attribute(const nft_node *node, const char *name)
{
    for (int64_t i = 0; i < node->attribute_count; i++)
        if (!strcmp(node->attributes[i].name, name))
            return &node->attributes[i];
    return NULL;
}

/* A number of 0 may be left out of the file. */
int64_t nft_node_integer(const nft_node *node, const char *name, int64_t otherwise)
{
    const nft_attribute *attribute = nft_node_attribute(node, name);
    if (!attribute)
        return otherwise;
    return attribute->count ? node->numbers[attribute->first] : 0;
}

bool nft_node_integers(nft_integers *integers, const nft_graph *graph, const nft_node *node, const char *name,
                       int64_t input)
{
    static const int64_t none;
    const nft_attribute *attribute = name ? nft_node_attribute(node, name) : NULL;
    const nft_graph_value *value = input < 0 ? NULL : nft_node_input(graph, node, input);
    *integers = (nft_integers){0};
    if (attribute)
        *integers =
            (nft_integers){attribute->count ? node->numbers + attribute->first : &none, attribute->count};
    else if (value && value->numbers)
        *integers = (nft_integers){value->numbers, value->number_count};
    return attribute || !value || value->numbers;
}

bool nft_shape_add(nft_dim_shape *shape, int32_t dim)
{
    if (shape->rank == NFT_GRAPH_MAX_RANK)
        return false;
    shape->dims[shape->rank++] = dim;
    return true;
}

nft_dim_shape nft_shape_of(const nft_graph_value *value)
{
    nft_dim_shape shape = {.rank = value->rank};
    memcpy(shape.dims, value->dims, sizeof shape.dims);
    return shape;
}

void nft_node_set(nft_graph *graph, const nft_node *node, int64_t output, const nft_dim_shape *shape)
{
    if (output < node->output_count && node->outputs[output] >= 0)
        nft_graph_set(graph, node->outputs[output], shape->rank, shape->dims);
}

int64_t nft_value_size(const nft_graph *graph, const nft_graph_value *value, int64_t d)
{
    return nft_dims_size(&graph->dims, value->dims[d]);
}

bool nft_match(nft_graph *graph, int32_t a, int32_t b)
{
    if (nft_dims_size(&graph->dims, a) != nft_dims_size(&graph->dims, b))
        return false;
    nft_dims_unite(&graph->dims, a, b);
    return true;
}

int64_t nft_from_behind(int64_t d, int64_t rank)
{
    d = d < 0 ? d + rank : d;
    return d >= 0 && d < rank ? d : -1;
}

bool nft_broadcast(nft_graph *graph, nft_dim_shape *into, const nft_dim_shape *shape)
{
    nft_dim_shape longer = into->rank < shape->rank ? *shape : *into;
    const nft_dim_shape *shorter = into->rank < shape->rank ? into : shape;
    int64_t ahead = longer.rank - shorter->rank;
    bool fits = true;
    for (int64_t d = 0; d < shorter->rank && fits; d++) {
        int32_t *dim = &longer.dims[ahead + d], other = shorter->dims[d];
        if (nft_dims_size(&graph->dims, other) == 1 && nft_dims_size(&graph->dims, *dim) != 1)
            continue;
        if (nft_dims_size(&graph->dims, *dim) == 1 && nft_dims_size(&graph->dims, other) != 1)
            *dim = other;
        else
            fits = nft_match(graph, *dim, other);
    }
    *into = longer;
    return fits;
}

void nft_mark_channels(nft_graph *graph, int32_t dim)
{
    int32_t found = nft_dims_find(&graph->dims, dim);
    if (!graph->dims.status)
        graph->dims.items[found].channels = true;
}
