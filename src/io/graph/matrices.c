/* Matrix products: the axis that is summed over is one on both sides. */
#include "io/graph/operators.h"

#include <string.h>

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool nft_pass_gemm(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *a = nft_node_input(graph, node, 0), *b = nft_node_input(graph, node, 1),
                          *c = nft_node_input(graph, node, 2);
    int64_t across_a = nft_node_integer(node, "transA", 0) != 0,
            across_b = nft_node_integer(node, "transB", 0) != 0;
    if (!a || !b || a->rank != 2 || b->rank != 2)
        return false;
    nft_dim_shape shape = {.rank = 2, .dims = {a->dims[across_a], b->dims[!across_b]}};
    nft_dim_shape bias = c ? nft_shape_of(c) : (nft_dim_shape){0};
    nft_mark_channels(graph, b->dims[0]);
    nft_mark_channels(graph, b->dims[1]);
    if (!nft_match(graph, a->dims[!across_a], b->dims[across_b]) || bias.rank > 2 ||
        !nft_broadcast(graph, &shape, &bias))
        return false;
    nft_node_set(graph, node, 0, &shape);
    return true;
}

/* (…, m, k) times (…, k, n); a vector is a row on the left, and a column on the right. */
bool nft_pass_matmul(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *a = nft_node_input(graph, node, 0), *b = nft_node_input(graph, node, 1);
    if (!a || !b || !a->rank || !b->rank)
        return false;
    nft_dim_shape shape = nft_shape_of(a), other = nft_shape_of(b);
    shape.rank -= a->rank > 1 ? 2 : 1;
    other.rank -= b->rank > 1 ? 2 : 1;
    int32_t summed = b->dims[b->rank > 1 ? b->rank - 2 : 0];
    for (int64_t d = b->rank > 1 ? b->rank - 2 : 0; d < b->rank && b->is_weight; d++)
        nft_mark_channels(graph, b->dims[d]);
    if (!nft_match(graph, a->dims[a->rank - 1], summed) || !nft_broadcast(graph, &shape, &other))
        return false;
    if (a->rank > 1 && !nft_shape_add(&shape, a->dims[a->rank - 2]))
        return false;
    if (b->rank > 1 && !nft_shape_add(&shape, b->dims[b->rank - 1]))
        return false;
    nft_node_set(graph, node, 0, &shape);
    return true;
}

/* The letters of one term name the axes of one input. */
static bool match_term(nft_graph *graph, const nft_graph_value *value, const char **text, int32_t *letters)
{
    int64_t d = 0;
    for (; **text && **text != ',' && **text != '-'; (*text)++) {
        if (**text == ' ')
            continue;
        if (!is_letter(**text) || d == value->rank)
            return false;
        int32_t *dim = &letters[(unsigned char)**text];
        if (*dim >= 0 && !nft_match(graph, *dim, value->dims[d]))
            return false;
        *dim = *dim < 0 ? value->dims[d] : *dim;
        d++;
    }
    return d == value->rank;
}

bool nft_pass_einsum(nft_graph *graph, const nft_node *node)
{
    const nft_attribute *equation = nft_node_attribute(node, "equation");
    int32_t letters[256];
    memset(letters, -1, sizeof letters);
    if (!equation || strlen(equation->text) + 1 >= sizeof equation->text)
        return false;
    const char *text = equation->text;
    for (int64_t i = 0; i < node->input_count; i++) {
        const nft_graph_value *value = nft_node_input(graph, node, i);
        if (!value || !match_term(graph, value, &text, letters))
            return false;
        if (i + 1 < node->input_count && *text++ != ',')
            return false;
    }
    if (text[0] != '-' || text[1] != '>')
        return false;
    nft_dim_shape shape = {0};
    for (text += 2; *text; text++) {
        if (*text == ' ')
            continue;
        if (!is_letter(*text) || letters[(unsigned char)*text] < 0 ||
            !nft_shape_add(&shape, letters[(unsigned char)*text]))
            return false;
    }
    nft_node_set(graph, node, 0, &shape);
    return true;
}
