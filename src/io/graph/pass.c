#include "io/graph/operators.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *op;
    nft_operator pass;
} operator_row;

static const operator_row operators[] = {
    {"Abs", nft_pass_elementwise},
    {"Add", nft_pass_elementwise},
    {"And", nft_pass_elementwise},
    {"ArgMax", nft_pass_arg},
    {"ArgMin", nft_pass_arg},
    {"AveragePool", nft_pass_pool},
    {"BatchNormalization", nft_pass_channel_norm},
    {"Cast", nft_pass_first},
    {"CastLike", nft_pass_first},
    {"Ceil", nft_pass_elementwise},
    {"Celu", nft_pass_elementwise},
    {"Clip", nft_pass_elementwise},
    {"Concat", nft_pass_concat},
    {"Constant", nft_pass_constant},
    {"ConstantOfShape", nft_pass_constant_of_shape},
    {"Conv", nft_pass_conv},
    {"ConvTranspose", nft_pass_conv_transpose},
    {"Cos", nft_pass_elementwise},
    {"CumSum", nft_pass_along},
    {"DepthToSpace", nft_pass_pixel_shuffle},
    {"Div", nft_pass_elementwise},
    {"Dropout", nft_pass_first},
    {"Einsum", nft_pass_einsum},
    {"Elu", nft_pass_elementwise},
    {"Equal", nft_pass_elementwise},
    {"Erf", nft_pass_elementwise},
    {"Exp", nft_pass_elementwise},
    {"Expand", nft_pass_expand},
    {"Flatten", nft_pass_flatten},
    {"Floor", nft_pass_elementwise},
    {"GRU", nft_pass_recurrent},
    {"Gather", nft_pass_gather},
    {"Gelu", nft_pass_elementwise},
    {"Gemm", nft_pass_gemm},
    {"GlobalAveragePool", nft_pass_global_pool},
    {"GlobalLpPool", nft_pass_global_pool},
    {"GlobalMaxPool", nft_pass_global_pool},
    {"Greater", nft_pass_elementwise},
    {"GreaterOrEqual", nft_pass_elementwise},
    {"GroupNormalization", nft_pass_group_norm},
    {"HardSigmoid", nft_pass_elementwise},
    {"HardSwish", nft_pass_elementwise},
    {"Identity", nft_pass_elementwise},
    {"InstanceNormalization", nft_pass_channel_norm},
    {"IsInf", nft_pass_elementwise},
    {"IsNaN", nft_pass_elementwise},
    {"LSTM", nft_pass_recurrent},
    {"LayerNormalization", nft_pass_layer_norm},
    {"LeakyRelu", nft_pass_elementwise},
    {"Less", nft_pass_elementwise},
    {"LessOrEqual", nft_pass_elementwise},
    {"Log", nft_pass_elementwise},
    {"LogSoftmax", nft_pass_first},
    {"LpNormalization", nft_pass_first},
    {"MatMul", nft_pass_matmul},
    {"Max", nft_pass_elementwise},
    {"MaxPool", nft_pass_pool},
    {"Mean", nft_pass_elementwise},
    {"MeanVarianceNormalization", nft_pass_first},
    {"Min", nft_pass_elementwise},
    {"Mish", nft_pass_elementwise},
    {"Mod", nft_pass_elementwise},
    {"Mul", nft_pass_elementwise},
    {"Neg", nft_pass_elementwise},
    {"Not", nft_pass_elementwise},
    {"Or", nft_pass_elementwise},
    {"PRelu", nft_pass_elementwise},
    {"Pad", nft_pass_pad},
    {"Pow", nft_pass_elementwise},
    {"RMSNormalization", nft_pass_layer_norm},
    {"RNN", nft_pass_recurrent},
    {"Reciprocal", nft_pass_elementwise},
    {"ReduceL1", nft_pass_reduce},
    {"ReduceL2", nft_pass_reduce},
    {"ReduceLogSum", nft_pass_reduce},
    {"ReduceLogSumExp", nft_pass_reduce},
    {"ReduceMax", nft_pass_reduce},
    {"ReduceMean", nft_pass_reduce},
    {"ReduceMin", nft_pass_reduce},
    {"ReduceProd", nft_pass_reduce},
    {"ReduceSum", nft_pass_reduce},
    {"ReduceSumSquare", nft_pass_reduce},
    {"Relu", nft_pass_elementwise},
    {"Reshape", nft_pass_reshape},
    {"Resize", nft_pass_resize},
    {"Round", nft_pass_elementwise},
    {"Selu", nft_pass_elementwise},
    {"Shape", nft_pass_shape},
    {"Sigmoid", nft_pass_elementwise},
    {"Sign", nft_pass_elementwise},
    {"Sin", nft_pass_elementwise},
    {"Slice", nft_pass_slice},
    {"Softmax", nft_pass_first},
    {"Softplus", nft_pass_elementwise},
    {"Softsign", nft_pass_elementwise},
    {"Split", nft_pass_split},
    {"Sqrt", nft_pass_elementwise},
    {"Squeeze", nft_pass_squeeze},
    {"Sub", nft_pass_elementwise},
    {"Sum", nft_pass_elementwise},
    {"Swish", nft_pass_elementwise},
    {"Tanh", nft_pass_elementwise},
    {"ThresholdedRelu", nft_pass_elementwise},
    {"Tile", nft_pass_tile},
    {"Transpose", nft_pass_transpose},
    {"Unsqueeze", nft_pass_unsqueeze},
    {"Upsample", nft_pass_resize},
    {"Where", nft_pass_elementwise},
    {"Xor", nft_pass_elementwise},
};

static int compare(const void *op, const void *row)
{
    return strcmp(op, ((const operator_row *)row)->op);
}

static nft_operator find_operator(const nft_node *node)
{
    if (node->is_foreign || node->has_graph)
        return NULL;
    const operator_row *row =
        bsearch(node->op, operators, sizeof operators / sizeof *operators, sizeof *operators, compare);
    return row ? row->pass : NULL;
}

static void order_value(nft_graph *graph, const nft_graph_value *value)
{
    for (int64_t d = 0; value->is_known && d < value->rank; d++)
        nft_dims_order(&graph->dims, value->dims[d]);
}

/* Whether all inputs have shapes. An input that is used before it is made is ordered when it is made. An
 * output without a handler is ordered together with its source. */
static bool prepare_inputs(nft_graph *graph, const nft_node *node)
{
    bool known = true;
    for (int64_t i = 0; i < node->input_count && !graph->dims.status; i++) {
        if (node->inputs[i] < 0)
            continue;
        nft_graph_value *value = &graph->values[node->inputs[i]];
        nft_graph_use(graph, node->inputs[i]);
        known = known && value->is_known;
        value->is_late = value->is_late || !value->is_made;
        if (value->source >= 0)
            order_value(graph, &graph->values[value->source]);
    }
    return known;
}

/* An output of the shape that value_info tells, with ordered axes; without it, of an unknown shape. */
static void set_said(nft_graph *graph, int32_t index)
{
    nft_graph_value *value = &graph->values[index];
    int32_t dims[NFT_GRAPH_MAX_RANK];
    bool known = value->said_rank >= 0;
    for (int64_t d = 0; d < value->said_rank && known; d++) {
        known = value->said[d] >= 1 && value->said[d] <= NFT_GRAPH_MAX_SIZE;
        dims[d] = known ? nft_dims_ordered(&graph->dims, value->said[d]) : 0;
    }
    if (known)
        nft_graph_set(graph, index, value->said_rank, dims);
    value->is_made = true;
}

static void order_operator(nft_graph *graph, const nft_node *node)
{
    if (!graph->strange++)
        memcpy(graph->strange_op, node->op, sizeof graph->strange_op);
    for (int64_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] >= 0)
            order_value(graph, &graph->values[node->inputs[i]]);
    if (node->has_graph) /* it may read any value that was made before */
        nft_dims_order_all(&graph->dims);
    for (int64_t i = 0; i < node->output_count && !graph->dims.status; i++) {
        if (node->outputs[i] < 0)
            continue;
        nft_graph_value *value = &graph->values[node->outputs[i]];
        if (value->is_made)
            order_value(graph, value);
        else
            set_said(graph, node->outputs[i]);
    }
}

static void set_rest(nft_graph *graph, const nft_node *node)
{
    for (int64_t i = 0; i < node->output_count; i++) {
        nft_graph_value *value = node->outputs[i] < 0 ? NULL : &graph->values[node->outputs[i]];
        if (!value || value->is_made)
            continue;
        value->is_made = true;
        value->source = node->input_count ? node->inputs[0] : -1;
    }
}

/* An operator whose handler gave up after it had made outputs is no operator that made them twice. */
static bool makes_again(nft_graph *graph, const nft_node *node)
{
    for (int64_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] < 0 || !graph->values[node->outputs[i]].is_made)
            continue;
        graph->dims.status = nft_fail(NFT_ERROR_FORMAT, "two operators of the graph make '%s'",
                                      graph->values[node->outputs[i]].name);
        return true;
    }
    return false;
}

void nft_graph_pass(nft_graph *graph, const nft_node *node)
{
    if (graph->dims.status || makes_again(graph, node))
        return;
    bool known = prepare_inputs(graph, node);
    nft_operator pass = known ? find_operator(node) : NULL;
    if (pass && pass(graph, node)) {
        set_rest(graph, node);
        nft_graph_fold(graph, node);
    } else if (!graph->dims.status) {
        order_operator(graph, node);
    }
}
