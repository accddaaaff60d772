/* The weights of a graph whose axes are united, as a space. */
#include "io/graph/pieces.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RANK (NFT_ARRAY_MAX_RANK - 2) /* of a tensor in a space */

typedef struct own_axis {
    nft_space_axis axis;
    int group;     /* 0 of an input, 1 inside, 2 of an output: the order of the axes in the space */
    int32_t place; /* in the space */
} own_axis;

typedef struct builder {
    nft_graph *graph;
    nft_pieces pieces;
    own_axis *axes;
    int64_t axis_count, axis_capacity;
    int32_t *axis_of; /* of each dimension that stands for its class, plus 1; 0: none yet */
    int64_t axis_of_capacity;
    nft_space_tensor *tensors;
    int64_t tensor_count, tensor_capacity;
    nft_factor *factors; /* of all tensors, one behind the other */
    int64_t factor_count, factor_capacity;
    char **names; /* of axes and pieces */
    int64_t name_count, name_capacity;
    int64_t room; /* ordered axes that the tensor may still have; more of them are positions */
} builder;

static void clear(builder *b)
{
    for (int64_t i = 0; i < b->name_count; i++)
        nft_release(b->names[i]);
    nft_release(b->names);
    nft_release(b->factors);
    nft_release(b->tensors);
    nft_release(b->axis_of);
    nft_release(b->axes);
    nft_pieces_clear(&b->pieces);
}

/* Takes the text over. */
static nft_status keep_name(builder *b, nft_text *text, const char **name)
{
    nft_status status = text->failed ? nft_fail_memory("a name", (int64_t)text->length) : NFT_OK;
    if (!status && b->name_count == b->name_capacity)
        status = nft_grow(&b->names, b->name_count + 1, &b->name_capacity, sizeof *b->names, "names", 0);
    if (status) {
        nft_text_clear(text);
        return status;
    }
    b->names[b->name_count++] = text->data;
    *name = text->data;
    return NFT_OK;
}

/* Names an axis after the graph's input or output, or else after the first tensor that has it. */
static nft_status name_axis(builder *b, const nft_dim *dim, const char *tensor, const char **name)
{
    nft_text text = {0};
    const char *base = dim->hint ? dim->hint : tensor, *dot = strrchr(base, '.');
    nft_text_append_bytes(&text, base, dot && dot > base && !dim->hint ? (size_t)(dot - base) : strlen(base));
    return keep_name(b, &text, name);
}

static int compare_axes(const void *a, const void *b)
{
    const own_axis *x = *(own_axis *const *)a, *y = *(own_axis *const *)b;
    int order = strcmp(x->axis.name, y->axis.name);
    return order ? order : (x > y) - (x < y);
}

/* Axes of one name are numbered from the second on. */
static nft_status number_axes(builder *b)
{
    own_axis **sorted = nft_allocate_array((size_t)b->axis_count, sizeof *sorted);
    nft_status status = sorted ? NFT_OK : nft_fail_memory("axes", b->axis_count * (int64_t)sizeof *sorted);
    for (int64_t i = 0; i < b->axis_count && !status; i++)
        sorted[i] = &b->axes[i];
    if (!status)
        qsort(sorted, (size_t)b->axis_count, sizeof *sorted, compare_axes);
    const char *name = NULL;
    for (int64_t i = 0, number = 1; i < b->axis_count && !status; i++) {
        nft_text text = {0};
        number = name && !strcmp(name, sorted[i]->axis.name) ? number + 1 : 1;
        name = sorted[i]->axis.name;
        if (number == 1)
            continue;
        nft_text_append(&text, "%s (%" PRId64 ")", name, number);
        status = keep_name(b, &text, &sorted[i]->axis.name);
    }
    nft_release(sorted);
    return status;
}

static nft_status find_axis(builder *b, int32_t dim, const char *tensor, int32_t *axis)
{
    const nft_dim *leaf = &b->graph->dims.items[dim];
    nft_status status = NFT_OK;
    if (dim >= b->axis_of_capacity)
        status = nft_grow(&b->axis_of, (int64_t)dim + 1, &b->axis_of_capacity, sizeof *b->axis_of, "axes", 0);
    if (status)
        return status;
    if (b->axis_of[dim]) {
        *axis = b->axis_of[dim] - 1;
        return NFT_OK;
    }
    if (b->axis_count == b->axis_capacity)
        status = nft_grow(&b->axes, b->axis_count + 1, &b->axis_capacity, sizeof *b->axes, "axes", 0);
    own_axis own = {.group = !leaf->hint ? 1 : leaf->is_output ? 2 : 0};
    own.axis = (nft_space_axis){.size = sizeof own.axis,
                                .neurons = leaf->size,
                                .symmetry = leaf->ordered ? NFT_SYMMETRY_NONE : NFT_SYMMETRY_PERMUTATION};
    if (!status)
        status = name_axis(b, leaf, tensor, &own.axis.name);
    if (status)
        return status;
    b->axes[b->axis_count++] = own;
    b->axis_of[dim] = (int32_t)b->axis_count;
    *axis = b->axis_of[dim] - 1;
    return NFT_OK;
}

/* Positions that follow positions in one dimension are one factor. */
static nft_status add_factor(builder *b, nft_space_tensor *tensor, nft_factor factor)
{
    nft_factor *last = tensor->factor_count ? &b->factors[b->factor_count - 1] : NULL;
    nft_status status = NFT_OK;
    if (last && factor.joined && factor.axis < 0 && last->axis < 0) {
        last->positions *= factor.positions;
        return NFT_OK;
    }
    if (!b->factors || b->factor_count == b->factor_capacity)
        status = nft_grow(&b->factors, b->factor_count + 1, &b->factor_capacity, sizeof factor, "factors", 0);
    if (status)
        return status;
    b->factors[b->factor_count++] = factor;
    tensor->factor_count++;
    return NFT_OK;
}

/* An ordered dimension is an axis if it is the only one, is not marked as positions and there is room. */
static nft_status add_ordered(builder *b, nft_space_tensor *tensor, const nft_piece *piece)
{
    nft_dims *dims = &b->graph->dims;
    nft_factor factor = {-1, 0, piece->size};
    int32_t dim = piece->dim < 0 ? -1 : nft_dims_find(dims, piece->dim);
    bool is_axis = dim >= 0 && dims->items[dim].kind == NFT_DIM_LEAF && !dims->items[dim].positions &&
                   (piece->size > 1 || dims->items[dim].channels) && b->room > 0;
    nft_status status = NFT_OK;
    if (is_axis) {
        factor = (nft_factor){0, 0, 0};
        dims->items[dim].ordered = true; /* of size 1, where that makes no difference */
        status = find_axis(b, dim, tensor->from ? tensor->from : tensor->name, &factor.axis);
        b->room--;
    }
    return status ? status : add_factor(b, tensor, factor);
}

static nft_status add_piece(builder *b, nft_space_tensor *tensor, const nft_piece *piece)
{
    nft_dims *dims = &b->graph->dims;
    nft_dim_list leaves = {0};
    if (piece->ordered)
        return add_ordered(b, tensor, piece);
    nft_dims_factors(dims, piece->dim, &leaves);
    nft_status status = dims->status;
    for (int64_t k = 0; k < leaves.count && !status; k++) {
        nft_factor factor = {-1, k > 0, dims->items[leaves.items[k]].size};
        if (!dims->items[leaves.items[k]].ordered) {
            factor.positions = 0;
            status = find_axis(b, leaves.items[k], tensor->from ? tensor->from : tensor->name, &factor.axis);
        }
        if (!status)
            status = add_factor(b, tensor, factor);
    }
    nft_release(leaves.items);
    return status;
}

/* Axes of one piece of a tensor that may be permuted. */
static int64_t count_axes(builder *b, const nft_graph_value *value, int64_t cut, const nft_piece *piece)
{
    nft_dims *dims = &b->graph->dims;
    nft_dim_list leaves = {0};
    int64_t count = 0;
    for (int64_t d = 0; d < value->rank; d++)
        if (d != cut)
            nft_dims_factors(dims, value->dims[d], &leaves);
    if (cut >= 0 && !piece->ordered)
        nft_dims_factors(dims, piece->dim, &leaves);
    for (int64_t k = 0; k < leaves.count && !dims->status; k++)
        count += dims->items[leaves.items[k]].kind == NFT_DIM_LEAF && !dims->items[leaves.items[k]].ordered &&
                 dims->items[leaves.items[k]].size > 1;
    nft_release(leaves.items);
    return count;
}

/* A name for a piece, and its role where the name would not tell it. */
static nft_status name_piece(builder *b, nft_space_tensor *tensor, const nft_graph_value *value, int64_t cut,
                             const nft_piece *piece)
{
    nft_text text = {0};
    const char *dot = strrchr(value->name, '.'), *last = dot ? dot + 1 : value->name;
    nft_text_append(&text, "%s[%" PRId64 ":%" PRId64 "]", value->name, piece->start,
                    piece->start + piece->size);
    tensor->from = value->name;
    tensor->slice_dimension = (int32_t)cut;
    tensor->slice_start = piece->start;
    tensor->role = !strcmp(last, "running_mean")  ? NFT_ROLE_RUNNING_MEAN
                   : !strcmp(last, "running_var") ? NFT_ROLE_RUNNING_VAR
                                                  : NFT_ROLE_BY_NAME;
    return keep_name(b, &text, &tensor->name);
}

static nft_status add_tensor(builder *b, const nft_graph_value *value, int64_t cut, const nft_piece *piece)
{
    nft_space_tensor tensor = {.size = sizeof tensor, .name = value->name};
    nft_pieces pieces = {0};
    nft_status status = NFT_OK;
    if (b->tensor_count == b->tensor_capacity)
        status = nft_grow(&b->tensors, b->tensor_count + 1, &b->tensor_capacity, sizeof tensor, "tensors", 0);
    if (!status && cut >= 0)
        status = name_piece(b, &tensor, value, cut, piece);
    b->room = NFT_TENSOR_MAX_AXES - count_axes(b, value, cut, piece);
    for (int64_t d = 0; d < value->rank && !status; d++) {
        if (d != cut)
            nft_pieces_list(&pieces, b->graph, value->dims[d]);
        status = b->graph->dims.status;
        if (!status)
            status = add_piece(b, &tensor, d == cut ? piece : &pieces.items[0]);
    }
    nft_pieces_clear(&pieces);
    if (!status)
        b->tensors[b->tensor_count++] = tensor;
    return status;
}

static nft_status add_weight(builder *b, const nft_graph_value *value)
{
    int64_t cut = -1;
    nft_status status = NFT_OK;
    if (value->rank > MAX_RANK)
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' has %" PRId64 " dimensions, expected at most %d",
                        value->name, value->rank, MAX_RANK);
    for (int64_t d = 0; d < value->rank && cut < 0; d++) {
        nft_pieces_list(&b->pieces, b->graph, value->dims[d]);
        cut = b->pieces.count > 1 ? d : -1;
    }
    if (cut < 0)
        return b->graph->dims.status ? b->graph->dims.status : add_tensor(b, value, -1, NULL);
    for (int64_t i = 0; i < b->pieces.count && !status; i++)
        status = add_tensor(b, value, cut, &b->pieces.items[i]);
    return status;
}

/* The axes in the order of the space. */
static nft_status sort_axes(builder *b, nft_space_axis **axes)
{
    *axes = nft_allocate_array((size_t)b->axis_count, sizeof **axes);
    if (!*axes)
        return nft_fail_memory("axes", b->axis_count * (int64_t)sizeof **axes);
    int32_t next = 0;
    for (int group = 0; group < 3; group++)
        for (int64_t i = 0; i < b->axis_count; i++)
            if (b->axes[i].group == group) {
                (*axes)[next] = b->axes[i].axis;
                b->axes[i].place = next++;
            }
    return NFT_OK;
}

/* The factors do not move any more. */
static void place_factors(builder *b)
{
    nft_factor *next = b->factors;
    for (int64_t t = 0; t < b->tensor_count; t++) {
        b->tensors[t].factors = next;
        for (int64_t i = 0; i < b->tensors[t].factor_count; i++, next++)
            next->axis = next->axis < 0 ? -1 : b->axes[next->axis].place;
    }
}

static nft_status create(nft_space **space, builder *b)
{
    nft_space_axis *axes = NULL;
    nft_status status = number_axes(b);
    if (!status)
        status = sort_axes(b, &axes);
    if (!status) {
        place_factors(b);
        status = nft_space_create(space, axes, b->axis_count, b->tensors, b->tensor_count);
    }
    nft_release(axes);
    return status;
}

nft_status nft_graph_make_space(nft_space **space, nft_graph *graph)
{
    builder b = {.graph = graph};
    for (int32_t v = 0; v < graph->value_count; v++)
        nft_graph_use(graph, v); /* those that no operator uses are the last */
    nft_graph_settle(graph);
    nft_status status = graph->dims.status;
    for (int64_t i = 0; i < graph->used.count && !status; i++) {
        const nft_graph_value *value = &graph->values[graph->used.items[i]];
        if (value->is_weight && value->is_known)
            status = add_weight(&b, value);
    }
    if (!status && !b.tensor_count)
        status = nft_fail(NFT_ERROR_FORMAT, "the graph has no weights: no initializer of floats");
    if (!status)
        status = create(space, &b);
    clear(&b);
    return status;
}
