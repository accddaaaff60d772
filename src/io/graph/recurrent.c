/* LSTM, GRU and RNN. The gates are positions, and so are the two directions, which share the axis of the
 * state. */
#include "io/graph/operators.h"

#include <string.h>

/* (directions, gates · state, …). */
static bool match_rows(nft_graph *graph, const nft_graph_value *value, int64_t directions, int64_t gates,
                       int32_t state)
{
    nft_dims *dims = &graph->dims;
    if (!value || value->rank < 2 || nft_value_size(graph, value, 0) != directions)
        return false;
    nft_dims_unite(dims, value->dims[0], nft_dims_positions(dims, directions));
    int32_t factors[2] = {nft_dims_positions(dims, gates), state};
    return nft_match(graph, value->dims[1], nft_dims_product(dims, factors, 2));
}

/* W (directions, gates · state, input), R (…, state), B (directions, 2 · gates · state), P (directions,
 * 3 · state). */
static bool match_weights(nft_graph *graph, const nft_node *node, int64_t directions, int64_t gates,
                          int32_t input, int32_t state)
{
    const nft_graph_value *w = nft_node_input(graph, node, 1), *r = nft_node_input(graph, node, 2),
                          *b = nft_node_input(graph, node, 3), *p = nft_node_input(graph, node, 7);
    if (!match_rows(graph, w, directions, gates, state) || !match_rows(graph, r, directions, gates, state))
        return false;
    if (w->rank != 3 || r->rank != 3 || !nft_match(graph, w->dims[2], input) ||
        !nft_match(graph, r->dims[2], state))
        return false;
    nft_mark_channels(graph, input);
    return (!b || match_rows(graph, b, directions, 2 * gates, state)) &&
           (!p || match_rows(graph, p, directions, 3, state));
}

/* Exporters write zeros once for all layers: as a constant they do not make the states one axis. */
static bool match_initial(nft_graph *graph, const nft_node *node, int64_t index, int32_t state)
{
    const nft_graph_value *value = nft_node_input(graph, node, index);
    if (value && value->is_zero) {
        graph->values[node->inputs[index]].is_weight = false;
        nft_node_order_input(graph, node, index);
        return true;
    }
    return !value || (value->rank == 3 && nft_match(graph, value->dims[2], state));
}

bool nft_pass_recurrent(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    const nft_attribute *direction = nft_node_attribute(node, "direction");
    int64_t hidden = nft_node_integer(node, "hidden_size", 0);
    int64_t directions = direction && !strcmp(direction->text, "bidirectional") ? 2 : 1;
    int64_t gates = !strcmp(node->op, "LSTM") ? 4 : !strcmp(node->op, "GRU") ? 3 : 1;
    if (!input || input->rank != 3 || hidden < 1 || hidden > NFT_GRAPH_MAX_SIZE / 8 ||
        nft_node_integer(node, "layout", 0))
        return false;
    int32_t state = nft_dims_leaf(&graph->dims, hidden);
    nft_mark_channels(graph, state);
    nft_dims_order(&graph->dims, input->dims[0]);
    if (!match_weights(graph, node, directions, gates, input->dims[2], state) ||
        !match_initial(graph, node, 5, state) || !match_initial(graph, node, 6, state))
        return false;
    int32_t each = nft_dims_positions(&graph->dims, directions);
    nft_dim_shape all = {4, {input->dims[0], each, input->dims[1], state}},
                  last = {3, {each, input->dims[1], state}};
    nft_node_set(graph, node, 0, &all);
    nft_node_set(graph, node, 1, &last);
    nft_node_set(graph, node, 2, &last);
    return true;
}
