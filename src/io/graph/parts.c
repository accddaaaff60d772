/* Operators that join parts of a dimension, or take some. */
#include "io/graph/operators.h"

#include <string.h>

bool nft_pass_concat(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *first = nft_node_input(graph, node, 0);
    int64_t axis = first ? nft_from_behind(nft_node_integer(node, "axis", 1), first->rank) : -1, whole = 0;
    nft_dim_list parts = {0};
    bool fits = axis >= 0;
    for (int64_t i = 0; i < node->input_count && fits; i++) {
        const nft_graph_value *value = nft_node_input(graph, node, i);
        fits = value && value->rank == first->rank;
        for (int64_t d = 0; fits && d < first->rank; d++)
            fits = d == axis || nft_match(graph, first->dims[d], value->dims[d]);
        if (fits) {
            nft_dim_list_add(&graph->dims, &parts, value->dims[axis]);
            whole = nft_size_add(whole, nft_value_size(graph, value, axis));
        }
    }
    fits = fits && whole <= NFT_GRAPH_MAX_SIZE;
    if (fits) {
        nft_dim_shape shape = nft_shape_of(first);
        shape.dims[axis] = nft_dims_sum(&graph->dims, parts.items, parts.count);
        nft_node_set(graph, node, 0, &shape);
    }
    nft_release(parts.items);
    return fits;
}

/* Equal parts but for the last, unless their sizes are given. */
static int64_t part_size(const nft_integers *sizes, int64_t whole, int64_t parts, int64_t i)
{
    int64_t each = (whole + parts - 1) / parts;
    if (sizes->items)
        return i < sizes->count ? sizes->items[i] : 0;
    return whole - i * each < each ? whole - i * each : each;
}

bool nft_pass_split(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    int64_t axis = input ? nft_from_behind(nft_node_integer(node, "axis", 0), input->rank) : -1, end = 0;
    nft_integers sizes;
    nft_dim_list parts = {0};
    bool fits = axis >= 0 && node->output_count && nft_node_integers(&sizes, graph, node, "split", 1);
    int64_t whole = fits ? nft_value_size(graph, input, axis) : 0;
    for (int64_t i = 0; i < node->output_count && fits; i++) {
        int64_t size = part_size(&sizes, whole, node->output_count, i);
        fits = size >= 1 && size <= whole - end;
        end += fits ? size : 0;
        if (fits)
            nft_dim_list_add(&graph->dims, &parts, nft_dims_leaf(&graph->dims, size));
    }
    fits = fits && end == whole && !graph->dims.status;
    if (fits)
        nft_dims_unite(&graph->dims, input->dims[axis], nft_dims_sum(&graph->dims, parts.items, parts.count));
    for (int64_t i = 0; i < node->output_count && fits; i++) {
        nft_dim_shape shape = nft_shape_of(input);
        shape.dims[axis] = parts.items[i];
        nft_node_set(graph, node, i, &shape);
    }
    nft_release(parts.items);
    return fits;
}

/* The part from `start` on of `count`. */
static int32_t take_part(nft_graph *graph, int32_t dim, int64_t start, int64_t count)
{
    int64_t whole = nft_dims_size(&graph->dims, dim), behind = whole - start - count;
    int32_t parts[3], part = nft_dims_leaf(&graph->dims, count);
    int64_t n = 0;
    if (count == whole)
        return dim;
    if (start)
        parts[n++] = nft_dims_leaf(&graph->dims, start);
    parts[n++] = part;
    if (behind)
        parts[n++] = nft_dims_leaf(&graph->dims, behind);
    nft_dims_unite(&graph->dims, dim, nft_dims_sum(&graph->dims, parts, n));
    return part;
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* Every step-th of start … end - 1; steps other than 1 make the dimension ordered. */
static bool slice_dim(nft_graph *graph, int32_t *dim, int64_t start, int64_t end, int64_t step)
{
    int64_t size = nft_dims_size(&graph->dims, *dim), far = NFT_GRAPH_MAX_SIZE;
    if (step == 0 || step < -far || step > far)
        return false;
    start = clamp(start, -far - far, far);
    end = clamp(end, -far - far, far);
    start = clamp(start < 0 ? start + size : start, 0, step < 0 ? size - 1 : size);
    end = clamp(end < 0 ? end + size : end, step < 0 ? -1 : 0, size);
    int64_t count = step > 0 ? (end - start + step - 1) / step : (start - end - step - 1) / -step;
    if ((step > 0 ? end <= start : start <= end) || count < 1)
        return false;
    if (step == 1) {
        *dim = take_part(graph, *dim, start, count);
        return true;
    }
    nft_dims_order(&graph->dims, *dim);
    *dim = nft_dims_ordered(&graph->dims, count);
    return true;
}

bool nft_pass_slice(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    nft_integers starts, ends, axes, steps;
    if (!input || !nft_node_integers(&starts, graph, node, "starts", 1) ||
        !nft_node_integers(&ends, graph, node, "ends", 2) ||
        !nft_node_integers(&axes, graph, node, "axes", 3) || !nft_node_integers(&steps, graph, node, NULL, 4))
        return false;
    if (!starts.items || starts.count != ends.count || (axes.items && axes.count != starts.count) ||
        (steps.items && steps.count != starts.count))
        return false;
    nft_dim_shape shape = nft_shape_of(input);
    for (int64_t i = 0; i < starts.count; i++) {
        int64_t d = nft_from_behind(axes.items ? axes.items[i] : i, input->rank);
        if (d < 0 || !slice_dim(graph, &shape.dims[d], starts.items[i], ends.items[i],
                                steps.items ? steps.items[i] : 1))
            return false;
    }
    nft_node_set(graph, node, 0, &shape);
    return true;
}

/* Whether constant indices are neighbours, in order, so that they take a part. */
static bool take_a_part(const nft_graph_value *indices, int64_t size)
{
    bool part = indices->numbers && indices->number_count && indices->rank <= 1;
    for (int64_t i = 0; part && i < indices->number_count; i++) {
        int64_t index = indices->numbers[i], first = indices->numbers[0];
        part = index >= -size && index < size && index == first + i && (first >= 0) == (index >= 0);
    }
    return part;
}

/* Rows of an embedding, or a part of a dimension. */
bool nft_pass_gather(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *data = nft_node_input(graph, node, 0), *indices = nft_node_input(graph, node, 1);
    int64_t axis = data ? nft_from_behind(nft_node_integer(node, "axis", 0), data->rank) : -1;
    if (axis < 0 || !indices)
        return false;
    int64_t size = nft_value_size(graph, data, axis);
    nft_dim_shape shape = {0}, taken = nft_shape_of(indices);
    if (take_a_part(indices, size)) {
        int64_t first = indices->numbers[0];
        int32_t part =
            take_part(graph, data->dims[axis], first < 0 ? first + size : first, indices->number_count);
        taken.dims[0] = part;
    } else {
        nft_dims_order(&graph->dims, data->dims[axis]);
    }
    bool fits = true;
    for (int64_t d = 0; d < axis; d++)
        fits = fits && nft_shape_add(&shape, data->dims[d]);
    for (int64_t d = 0; d < taken.rank; d++)
        fits = fits && nft_shape_add(&shape, taken.dims[d]);
    for (int64_t d = axis + 1; d < data->rank; d++)
        fits = fits && nft_shape_add(&shape, data->dims[d]);
    if (fits)
        nft_node_set(graph, node, 0, &shape);
    return fits;
}

/* Constant numbers before and behind a dimension are parts of it; other ways to pad make it ordered. */
static bool pad_dim(nft_graph *graph, int32_t *dim, int64_t before, int64_t behind, bool constant)
{
    int64_t size = nft_dims_size(&graph->dims, *dim), far = NFT_GRAPH_MAX_SIZE;
    if (!before && !behind)
        return true;
    if (before < 0 || behind < 0 || before > far || behind > far || before + behind + size > far)
        return false;
    if (constant) {
        int32_t parts[3] = {nft_dims_leaf(&graph->dims, before), *dim, nft_dims_leaf(&graph->dims, behind)};
        *dim = nft_dims_sum(&graph->dims, parts, 3);
        return true;
    }
    nft_dims_order(&graph->dims, *dim);
    *dim = nft_dims_ordered(&graph->dims, before + size + behind);
    return true;
}

bool nft_pass_pad(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    const nft_attribute *mode = nft_node_attribute(node, "mode");
    nft_integers pads;
    bool fits = input && !nft_node_input(graph, node, 3) && nft_node_integers(&pads, graph, node, "pads", 1);
    if (!fits || pads.count != 2 * input->rank)
        return false;
    nft_dim_shape shape = nft_shape_of(input);
    for (int64_t d = 0; d < input->rank && fits; d++)
        fits = pad_dim(graph, &shape.dims[d], pads.items[d], pads.items[input->rank + d],
                       !mode || !strcmp(mode->text, "constant"));
    if (fits)
        nft_node_set(graph, node, 0, &shape);
    return fits;
}
