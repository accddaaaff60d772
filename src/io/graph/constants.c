/* Constants, and the arithmetic of shapes on them. */
#include "io/graph/operators.h"

#include <string.h>

enum { TO_INT32 = 6, TO_INT64 = 7 };

bool nft_pass_shape(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    if (!input)
        return false;
    int64_t start = nft_node_integer(node, "start", 0), end = nft_node_integer(node, "end", input->rank);
    int64_t sizes[NFT_GRAPH_MAX_RANK], count = 0;
    start = start < 0 ? start + input->rank : start;
    end = end < 0 ? end + input->rank : end;
    for (int64_t d = start < 0 ? 0 : start; d < end && d < input->rank; d++)
        sizes[count++] = nft_value_size(graph, input, d);
    if (!count || !node->output_count)
        return false;
    nft_dim_shape shape = {1, {nft_dims_ordered(&graph->dims, count)}};
    nft_node_set(graph, node, 0, &shape);
    nft_graph_set_numbers(graph, node->outputs[0], sizes, count);
    return true;
}

bool nft_pass_constant(nft_graph *graph, const nft_node *node)
{
    const nft_attribute *tensor = nft_node_attribute(node, "value"),
                        *one = nft_node_attribute(node, "value_int"),
                        *list = nft_node_attribute(node, "value_ints");
    nft_dim_shape shape = {0};
    if (!node->output_count)
        return false;
    if (tensor && tensor->tensor >= 0 && graph->values[tensor->tensor].is_known) {
        const nft_graph_value *value = &graph->values[tensor->tensor];
        shape = nft_shape_of(value);
        nft_node_set(graph, node, 0, &shape);
        if (value->numbers)
            nft_graph_set_numbers(graph, node->outputs[0], value->numbers, value->number_count);
        return true;
    }
    const nft_attribute *integers = one ? one : list;
    if (!integers || (list && !list->count))
        return nft_node_attribute(node, "value_float") && (nft_node_set(graph, node, 0, &shape), true);
    if (list)
        nft_shape_add(&shape, nft_dims_ordered(&graph->dims, list->count));
    nft_node_set(graph, node, 0, &shape);
    nft_graph_set_numbers(graph, node->outputs[0], node->numbers + integers->first, integers->count);
    return true;
}

/* All numbers are equal, so any order will do. */
bool nft_pass_constant_of_shape(nft_graph *graph, const nft_node *node)
{
    nft_integers sizes;
    nft_dim_shape shape = {0};
    if (!nft_node_integers(&sizes, graph, node, NULL, 0) || sizes.count > NFT_GRAPH_MAX_RANK)
        return false;
    for (int64_t d = 0; d < sizes.count; d++) {
        if (sizes.items[d] < 1 || sizes.items[d] > NFT_GRAPH_MAX_SIZE)
            return false;
        nft_shape_add(&shape, nft_dims_leaf(&graph->dims, sizes.items[d]));
    }
    nft_node_set(graph, node, 0, &shape);
    return true;
}

/* A list that is made; larger ones are not kept. */
typedef struct made {
    int64_t items[NFT_GRAPH_MAX_RANK * 8], count;
} made;

static bool add(made *list, int64_t number)
{
    if (list->count == (int64_t)(sizeof list->items / sizeof *list->items))
        return false;
    list->items[list->count++] = number;
    return true;
}

static bool fold_copy(made *list, const nft_graph_value *value)
{
    bool fits = true;
    for (int64_t i = 0; i < value->number_count && fits; i++)
        fits = add(list, value->numbers[i]);
    return fits;
}

static bool fold_concat(made *list, const nft_graph *graph, const nft_node *node)
{
    bool fits = true;
    for (int64_t i = 0; i < node->input_count && fits; i++) {
        const nft_graph_value *value = nft_node_input(graph, node, i);
        fits = value && value->numbers && value->rank == 1 && fold_copy(list, value);
    }
    return fits;
}

static bool fold_gather(made *list, const nft_graph_value *data, const nft_graph_value *indices)
{
    bool fits = indices && indices->numbers && data->rank == 1 && indices->rank <= 1;
    for (int64_t i = 0; fits && i < indices->number_count; i++) {
        int64_t index = nft_from_behind(indices->numbers[i], data->number_count);
        fits = index >= 0 && add(list, data->numbers[index]);
    }
    return fits;
}

static bool fold_slice(made *list, const nft_graph *graph, const nft_node *node, const nft_graph_value *data)
{
    nft_integers start, steps;
    const nft_graph_value *out = &graph->values[node->outputs[0]];
    if (!nft_node_integers(&start, graph, node, "starts", 1) ||
        !nft_node_integers(&steps, graph, node, NULL, 4))
        return false;
    if (data->rank != 1 || start.count != 1 || (steps.items && steps.items[0] != 1))
        return false;
    int64_t first = start.items[0] < 0 ? start.items[0] + data->number_count : start.items[0];
    int64_t count = nft_dims_size(&graph->dims, out->dims[0]);
    bool fits = true;
    first = first < 0 ? 0 : first;
    for (int64_t i = 0; i < count && fits; i++)
        fits = first + i < data->number_count && add(list, data->numbers[first + i]);
    return fits;
}

static bool calculate(int64_t *result, char op, int64_t a, int64_t b)
{
    if (op == 'D') {
        *result = b ? (b == -1 ? -(a > INT32_MAX || a < INT32_MIN ? 0 : a) : a / b) : 0;
        return b != 0 && (b != -1 || (a <= INT32_MAX && a >= INT32_MIN));
    }
    if (a > INT32_MAX || a < INT32_MIN || b > INT32_MAX || b < INT32_MIN)
        return false;
    *result = op == 'A' ? a + b : op == 'S' ? a - b : a * b;
    return true;
}

static bool fold_arithmetic(made *list, const nft_node *node, const nft_graph_value *a,
                            const nft_graph_value *b)
{
    if (!b || !b->numbers || a->rank > 1 || b->rank > 1)
        return false;
    int64_t m = a->number_count, n = b->number_count, count = m > n ? m : n;
    bool fits = m && n && (m == n || m == 1 || n == 1);
    for (int64_t i = 0; i < count && fits; i++) {
        int64_t result = 0;
        fits = calculate(&result, node->op[0], a->numbers[m == 1 ? 0 : i], b->numbers[n == 1 ? 0 : i]) &&
               add(list, result);
    }
    return fits;
}

static bool is_one_of(const char *op, const char *const *ops)
{
    while (*ops && strcmp(op, *ops) != 0)
        ops++;
    return *ops;
}

static bool fold(made *list, const nft_graph *graph, const nft_node *node, const nft_graph_value *first)
{
    static const char *const copies[] = {"Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten", NULL},
                             *const arithmetic[] = {"Add", "Sub", "Mul", "Div", NULL};
    int64_t to = nft_node_integer(node, "to", 0);
    if (is_one_of(node->op, copies))
        return fold_copy(list, first);
    if (!strcmp(node->op, "Cast"))
        return (to == TO_INT64 || to == TO_INT32) && fold_copy(list, first);
    if (!strcmp(node->op, "Concat"))
        return fold_concat(list, graph, node);
    if (!strcmp(node->op, "Gather"))
        return fold_gather(list, first, nft_node_input(graph, node, 1));
    if (!strcmp(node->op, "Slice"))
        return fold_slice(list, graph, node, first);
    return is_one_of(node->op, arithmetic) &&
           fold_arithmetic(list, node, first, nft_node_input(graph, node, 1));
}

void nft_graph_fold(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *first = nft_node_input(graph, node, 0);
    made list = {.count = 0};
    if (graph->dims.status || !first || !first->numbers || !node->output_count || node->outputs[0] < 0)
        return;
    if (!graph->values[node->outputs[0]].numbers && fold(&list, graph, node, first))
        nft_graph_set_numbers(graph, node->outputs[0], list.items, list.count);
}
