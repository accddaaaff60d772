/* Convolutions and pools. Places keep their order; kernels are positions. */
#include "io/graph/operators.h"

#include <string.h>

/* One direction of a window. */
typedef struct window {
    int64_t kernel, stride, dilation, before, behind, more; /* more: output_padding */
} window;

static bool get(int64_t *value, const nft_node *node, const char *name, int64_t index, int64_t otherwise)
{
    const nft_attribute *attribute = nft_node_attribute(node, name);
    bool given = attribute && index < attribute->count;
    *value = given ? node->numbers[attribute->first + index] : otherwise;
    return *value >= 0 && *value <= NFT_GRAPH_MAX_SIZE;
}

static bool get_window(window *w, const nft_node *node, int64_t d, int64_t directions, int64_t kernel)
{
    w->kernel = kernel;
    return get(&w->stride, node, "strides", d, 1) && get(&w->dilation, node, "dilations", d, 1) &&
           get(&w->before, node, "pads", d, 0) && get(&w->behind, node, "pads", d + directions, 0) &&
           get(&w->more, node, "output_padding", d, 0) && w->stride > 0 && w->dilation > 0;
}

/* The places of an output; 0 if the window does not fit. */
static int64_t places(const nft_node *node, const window *w, int64_t size)
{
    const nft_attribute *pad = nft_node_attribute(node, "auto_pad");
    int64_t span = w->dilation * (w->kernel - 1) + 1, room = size + w->before + w->behind - span;
    if (pad && !strncmp(pad->text, "SAME", 4))
        return (size + w->stride - 1) / w->stride;
    if (room < 0)
        return 0;
    int64_t count = room / w->stride + 1;
    if (!nft_node_integer(node, "ceil_mode", 0) || room % w->stride == 0)
        return count;
    return count * w->stride >= size + w->before ? count : count + 1; /* a window begins inside */
}

static int64_t transposed_places(const nft_node *node, const window *w, int64_t size)
{
    const nft_attribute *pad = nft_node_attribute(node, "auto_pad");
    if (pad && !strncmp(pad->text, "SAME", 4))
        return nft_size_multiply(size, w->stride);
    int64_t whole =
        nft_size_add(nft_size_multiply(w->stride, size - 1), w->dilation * (w->kernel - 1) + 1 + w->more);
    return whole - w->before - w->behind;
}

/* Orders the places of the input and adds those of the output. */
static bool add_places(nft_graph *graph, const nft_node *node, const nft_graph_value *input,
                       const int64_t *kernel, bool transposed, nft_dim_shape *shape)
{
    int64_t directions = input->rank - 2;
    const nft_attribute *given = nft_node_attribute(node, "output_shape");
    for (int64_t d = 0; d < directions; d++) {
        window w;
        if (!get_window(&w, node, d, directions, kernel[d]))
            return false;
        int64_t size = nft_value_size(graph, input, d + 2);
        int64_t out = transposed ? transposed_places(node, &w, size) : places(node, &w, size);
        if (transposed && given && given->count >= directions)
            out = node->numbers[given->first + given->count - directions + d];
        if (out < 1 || out > NFT_GRAPH_MAX_SIZE)
            return false;
        nft_dims_order(&graph->dims, input->dims[d + 2]);
        nft_shape_add(shape, nft_dims_positions(&graph->dims, out));
    }
    return true;
}

static void mark_kernel(nft_graph *graph, const nft_graph_value *weight, int64_t *kernel)
{
    for (int64_t d = 2; d < weight->rank && !graph->dims.status; d++) {
        nft_dims_order(&graph->dims, weight->dims[d]);
        int32_t dim = nft_dims_find(&graph->dims, weight->dims[d]);
        if (!graph->dims.status)
            graph->dims.items[dim].positions = true;
        kernel[d - 2] = nft_value_size(graph, weight, d);
    }
}

/* Channels are (group, channel of the group). A convolution has weights (group · out, in, …), a transposed
 * one (group · in, out, …). */
static bool match_groups(nft_graph *graph, const nft_graph_value *input, const nft_graph_value *weight,
                         int64_t groups, bool transposed, int32_t *channels)
{
    nft_dims *dims = &graph->dims;
    int64_t first = nft_value_size(graph, weight, 0);
    if (groups < 1 || first % groups || nft_value_size(graph, input, 1) % groups)
        return false;
    int32_t g = nft_dims_leaf(dims, groups),
            in = nft_dims_leaf(dims, nft_value_size(graph, input, 1) / groups);
    int32_t out = transposed ? weight->dims[1] : nft_dims_leaf(dims, first / groups);
    int32_t inputs = nft_dims_product(dims, (int32_t[]){g, in}, 2);
    int32_t outputs = nft_dims_product(dims, (int32_t[]){g, out}, 2);
    *channels = outputs;
    if (groups == 1) {
        nft_mark_channels(graph, weight->dims[0]);
        nft_mark_channels(graph, weight->dims[1]);
    }
    return nft_match(graph, input->dims[1], inputs) &&
           nft_match(graph, weight->dims[0], transposed ? inputs : outputs) &&
           (transposed || nft_match(graph, weight->dims[1], in));
}

static bool pass_conv(nft_graph *graph, const nft_node *node, bool transposed)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0), *weight = nft_node_input(graph, node, 1),
                          *bias = nft_node_input(graph, node, 2);
    int64_t kernel[NFT_GRAPH_MAX_RANK], groups = nft_node_integer(node, "group", 1);
    if (!input || !weight || input->rank < 3 || weight->rank != input->rank)
        return false;
    nft_dim_shape shape = {.rank = 2, .dims = {input->dims[0]}};
    if (!match_groups(graph, input, weight, groups, transposed, &shape.dims[1]))
        return false;
    if (bias && (bias->rank != 1 || !nft_match(graph, bias->dims[0], shape.dims[1])))
        return false;
    mark_kernel(graph, weight, kernel);
    if (!add_places(graph, node, input, kernel, transposed, &shape))
        return false;
    nft_node_set(graph, node, 0, &shape);
    return true;
}

bool nft_pass_conv(nft_graph *graph, const nft_node *node)
{
    return pass_conv(graph, node, false);
}

bool nft_pass_conv_transpose(nft_graph *graph, const nft_node *node)
{
    return pass_conv(graph, node, true);
}

bool nft_pass_pool(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    const nft_attribute *kernel = nft_node_attribute(node, "kernel_shape");
    if (!input || input->rank < 3 || !kernel || kernel->count != input->rank - 2)
        return false;
    for (int64_t d = 0; d < kernel->count; d++)
        if (node->numbers[kernel->first + d] < 1 || node->numbers[kernel->first + d] > NFT_GRAPH_MAX_SIZE)
            return false;
    nft_dim_shape shape = {.rank = 2, .dims = {input->dims[0], input->dims[1]}};
    if (!add_places(graph, node, input, node->numbers + kernel->first, false, &shape))
        return false;
    nft_node_set(graph, node, 0, &shape);
    return true;
}

bool nft_pass_pixel_shuffle(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0);
    const nft_attribute *mode = nft_node_attribute(node, "mode");
    int64_t block = nft_node_integer(node, "blocksize", 0), area = nft_size_multiply(block, block);
    if (!input || input->rank != 4 || block < 1 || nft_value_size(graph, input, 1) % area)
        return false;
    int32_t blocks = nft_dims_ordered(&graph->dims, area);
    int32_t channels = nft_dims_leaf(&graph->dims, nft_value_size(graph, input, 1) / area);
    bool behind = mode && !strcmp(mode->text, "CRD");
    int32_t factors[2] = {behind ? channels : blocks, behind ? blocks : channels};
    nft_dim_shape shape = {.rank = 2, .dims = {input->dims[0], channels}};
    nft_dims_unite(&graph->dims, input->dims[1], nft_dims_product(&graph->dims, factors, 2));
    for (int64_t d = 2; d < 4; d++) {
        int64_t size = nft_size_multiply(nft_value_size(graph, input, d), block);
        if (size > NFT_GRAPH_MAX_SIZE)
            return false;
        nft_dims_order(&graph->dims, input->dims[d]);
        nft_shape_add(&shape, nft_dims_positions(&graph->dims, size));
    }
    nft_node_set(graph, node, 0, &shape);
    return true;
}

/* The sizes are an input's, or those that value_info tells. Channels are not resized. */
bool nft_pass_resize(nft_graph *graph, const nft_node *node)
{
    const nft_graph_value *input = nft_node_input(graph, node, 0), *sizes = nft_node_input(graph, node, 3);
    if (!input || !node->output_count || node->outputs[0] < 0 || nft_node_attribute(node, "axes"))
        return false;
    const nft_graph_value *output = &graph->values[node->outputs[0]];
    bool given = sizes && sizes->numbers && sizes->number_count == input->rank;
    if (input->rank < 3 || (!given && output->said_rank != input->rank))
        return false;
    nft_dim_shape shape = {0};
    for (int64_t i = 1; i < node->input_count; i++)
        nft_node_order_input(graph, node, i);
    for (int64_t d = 0; d < input->rank; d++) {
        int64_t size = given ? sizes->numbers[d] : output->said[d];
        bool kept = (d == 0 && size < 0) || (d < 2 && size == nft_value_size(graph, input, d));
        if (!kept && (d < 2 || size < 1 || size > NFT_GRAPH_MAX_SIZE))
            return false;
        if (!kept)
            nft_dims_order(&graph->dims, input->dims[d]);
        nft_shape_add(&shape, kept ? input->dims[d] : nft_dims_positions(&graph->dims, size));
    }
    nft_node_set(graph, node, 0, &shape);
    return true;
}
