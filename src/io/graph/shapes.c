/* Operators that give the same numbers another shape. */
#include "io/graph/operators.h"

#include <string.h>

/* 0 copies a size unless zeros are allowed, -1 is the rest. */
static bool resolve_sizes(int64_t *sizes, const nft_graph *graph, const nft_graph_value *input,
                          const nft_integers *given, bool zeros)
{
    int64_t whole = 1, named = 1, open = -1;
    for (int64_t d = 0; d < input->rank; d++)
        whole = nft_size_multiply(whole, nft_value_size(graph, input, d));
    if (given->count > NFT_GRAPH_MAX_RANK || whole == INT64_MAX)
        return false;
    for (int64_t d = 0; d < given->count; d++) {
        sizes[d] = given->items[d];
        if (sizes[d] == 0 && !zeros && d < input->rank)
            sizes[d] = nft_value_size(graph, input, d);
        if (sizes[d] == -1 && open < 0)
            open = d;
        else if (sizes[d] < 1 || sizes[d] > NFT_GRAPH_MAX_SIZE)
            return false;
        else
            named = nft_size_multiply(named, sizes[d]);
    }
    if (open >= 0) {
        sizes[open] = whole / named;
        named = nft_size_multiply(named, sizes[open]);
    }
    return named == whole && (open < 0 || sizes[open] <= NFT_GRAPH_MAX_SIZE);
}

/* The dimensions in[0 … m - 1] hold the same numbers as n new ones. */
static void split_dims(nft_graph *graph, const int32_t *in, int64_t m, const int64_t *sizes, int64_t n,
                       int32_t *out)
{
    if (m == 1 && n == 1) {
        out[0] = in[0];
        return;
    }
    for (int64_t i = 0; i < n; i++)
        out[i] = nft_dims_leaf(&graph->dims, sizes[i]);
    int32_t before = nft_dims_product(&graph->dims, in, m), behind = nft_dims_product(&graph->dims, out, n);
    nft_dims_unite(&graph->dims, before, behind);
}

/* Cuts both shapes where they have the same numbers before the cut. */
static bool set_sizes(nft_graph *graph, const nft_node *node, const nft_graph_value *input,
                      const int64_t *sizes, int64_t rank)
{
    nft_dim_shape shape = {.rank = rank};
    int64_t i = 0, j = 0;
    while (i < input->rank || j < rank) {
        int64_t first_i = i, first_j = j;
        if (i < input->rank && nft_value_size(graph, input, i) == 1) {
            i++;
            continue;
        }
        if (j < rank && sizes[j] == 1) {
            shape.dims[j++] = nft_dims_ordered(&graph->dims, 1);
            continue;
        }
        if (i == input->rank || j == rank)
            return false;
        int64_t in = nft_value_size(graph, input, i++), out = sizes[j++];
        while (in != out) {
            if (in < out ? i == input->rank : j == rank)
                return false;
            if (in < out)
                in = nft_size_multiply(in, nft_value_size(graph, input, i++));
            else
                out = nft_size_multiply(out, sizes[j++]);
        }
        split_dims(graph, input->dims + first_i, i - first_i, sizes + first_j, j - first_j,
                   shape.dims + first_j);
    }
    nft_node_set(graph, node, 0, &shape);
    return true;
}

bool nft_pass_reshape(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    nft_integers given;
    int64_t sizes[NFT_GRAPH_MAX_RANK];
    if (!input || !nft_node_integers(&given, graph, node, "shape", 1) || !given.items)
        return false;
    if (!resolve_sizes(sizes, graph, input, &given, nft_node_integer(node, "allowzero", 0) != 0))
        return false;
    return set_sizes(graph, node, input, sizes, given.count);
}

bool nft_pass_flatten(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    int64_t axis = nft_node_integer(node, "axis", 1), sizes[2] = {1, 1};
    if (!input)
        return false;
    axis = axis < 0 ? axis + input->rank : axis;
    for (int64_t d = 0; d < input->rank; d++)
        sizes[d >= axis] = nft_size_multiply(sizes[d >= axis], nft_value_size(graph, input, d));
    if (sizes[0] > NFT_GRAPH_MAX_SIZE || sizes[1] > NFT_GRAPH_MAX_SIZE)
        return false;
    return set_sizes(graph, node, input, sizes, 2);
}

/* Marks dimensions that an attribute, or input 1, names. */
static bool find_axes(bool *marks, const nft_graph *graph, const nft_node *node, int64_t rank, bool *given)
{
    nft_integers axes;
    memset(marks, 0, NFT_GRAPH_MAX_RANK * sizeof *marks);
    if (rank > NFT_GRAPH_MAX_RANK || !nft_node_integers(&axes, graph, node, "axes", 1))
        return false;
    for (int64_t i = 0; i < axes.count; i++) {
        int64_t d = nft_from_behind(axes.items[i], rank);
        if (d < 0 || marks[d])
            return false;
        marks[d] = true;
    }
    *given = axes.items != NULL;
    return true;
}

bool nft_pass_squeeze(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    bool marks[NFT_GRAPH_MAX_RANK], given;
    nft_dim_shape shape = {0};
    if (!input || !find_axes(marks, graph, node, input->rank, &given))
        return false;
    for (int64_t d = 0; d < input->rank; d++) {
        bool one = nft_value_size(graph, input, d) == 1;
        if (marks[d] && !one)
            return false;
        if (!(given ? marks[d] : one))
            nft_shape_add(&shape, input->dims[d]);
    }
    nft_node_set(graph, node, 0, &shape);
    return true;
}

bool nft_pass_unsqueeze(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    bool marks[NFT_GRAPH_MAX_RANK], given;
    nft_integers axes;
    nft_dim_shape shape = {0};
    if (!input || !nft_node_integers(&axes, graph, node, "axes", 1) || axes.count > NFT_GRAPH_MAX_RANK)
        return false;
    int64_t rank = input->rank + axes.count, next = 0;
    if (!find_axes(marks, graph, node, rank, &given))
        return false;
    for (int64_t d = 0; d < rank; d++)
        nft_shape_add(&shape, marks[d] ? nft_dims_ordered(&graph->dims, 1) : input->dims[next++]);
    nft_node_set(graph, node, 0, &shape);
    return true;
}

bool nft_pass_transpose(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    const nft_attribute *order = nft_node_attribute(node, "perm");
    bool seen[NFT_GRAPH_MAX_RANK] = {false};
    nft_dim_shape shape = {0};
    if (!input || (order && order->count != input->rank))
        return false;
    for (int64_t i = 0; i < input->rank; i++) {
        int64_t d = order ? node->numbers[order->first + i] : input->rank - 1 - i;
        if (d < 0 || d >= input->rank || seen[d])
            return false;
        seen[d] = true;
        nft_shape_add(&shape, input->dims[d]);
    }
    nft_node_set(graph, node, 0, &shape);
    return true;
}

/* Along a dimension that is stretched all numbers are equal, so any order will do. */
bool nft_pass_expand(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    nft_integers sizes;
    nft_dim_shape shape = {0};
    if (!input || !nft_node_integers(&sizes, graph, node, "shape", 1) || !sizes.items ||
        sizes.count > NFT_GRAPH_MAX_RANK)
        return false;
    int64_t rank = sizes.count > input->rank ? sizes.count : input->rank;
    for (int64_t d = 0; d < rank; d++) {
        int64_t own = d - (rank - input->rank), wanted = d - (rank - sizes.count);
        int64_t size = own < 0 ? 1 : nft_value_size(graph, input, own);
        int64_t out = wanted < 0 || sizes.items[wanted] == 1 ? size : sizes.items[wanted];
        if (out < 1 || out > NFT_GRAPH_MAX_SIZE || (size != 1 && out != size))
            return false;
        nft_shape_add(&shape, own >= 0 && out == size ? input->dims[own] : nft_dims_leaf(&graph->dims, out));
    }
    nft_node_set(graph, node, 0, &shape);
    return true;
}

/* Repeats are the slow factor of a dimension. */
bool nft_pass_tile(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    nft_integers repeats;
    nft_dim_shape shape = {0};
    if (!input || !nft_node_integers(&repeats, graph, node, NULL, 1) || repeats.count != input->rank)
        return false;
    for (int64_t d = 0; d < input->rank; d++) {
        int64_t times = repeats.items[d];
        if (times < 1 || nft_size_multiply(times, nft_value_size(graph, input, d)) > NFT_GRAPH_MAX_SIZE)
            return false;
        int32_t factors[2] = {nft_dims_leaf(&graph->dims, times), input->dims[d]};
        nft_shape_add(&shape, times == 1 ? input->dims[d] : nft_dims_product(&graph->dims, factors, 2));
    }
    nft_node_set(graph, node, 0, &shape);
    return true;
}
