/* onnx.proto: ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto and ValueInfoProto. */
#include "io/formats/protobuf.h"
#include "io/graph/graph.h"
#include "space/array.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LONGEST_NAME 4096

enum { MODEL_GRAPH = 7 };
enum { GRAPH_NODE = 1, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12, GRAPH_VALUE_INFO = 13 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_OP_TYPE = 4, NODE_ATTRIBUTE = 5, NODE_DOMAIN = 7 };
enum {
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_INT = 3,
    ATTRIBUTE_TEXT = 4,
    ATTRIBUTE_TENSOR = 5,
    ATTRIBUTE_GRAPH = 6,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_GRAPHS = 11
};
enum {
    TENSOR_DIMS = 1,
    TENSOR_DATA_TYPE = 2,
    TENSOR_INT32_DATA = 5,
    TENSOR_INT64_DATA = 7,
    TENSOR_NAME = 8,
    TENSOR_RAW_DATA = 9
};
enum { INFO_NAME = 1, INFO_TYPE = 2, TYPE_TENSOR = 1, TENSOR_TYPE_SHAPE = 2, SHAPE_DIM = 1, DIM_VALUE = 1 };
enum {
    ONNX_FLOAT = 1,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_BOOL = 9,
    ONNX_FLOAT16 = 10,
    ONNX_DOUBLE = 11,
    ONNX_BFLOAT16 = 16
};

typedef struct reader {
    nft_graph *graph;
    const nft_file *weights; /* NULL: every initializer of floats is a weight */
    nft_node *node;
} reader;

/* One field of a message. */
typedef nft_status (*visitor)(reader *r, nft_field *field, void *to);

static nft_status visit(reader *r, nft_message message, visitor visit_field, void *to)
{
    nft_status status = NFT_OK;
    while (message.at < message.end && !status) {
        nft_field field;
        status = nft_message_next(&message, &field);
        if (!status)
            status = visit_field(r, &field, to);
    }
    return status ? status : r->graph->dims.status;
}

/* Cut to the capacity. */
static nft_status read_text(const nft_field *field, char *text, int64_t capacity)
{
    int64_t length = field->wire == NFT_WIRE_BYTES ? field->bytes.end - field->bytes.at : 0;
    length = length < capacity ? length : capacity - 1;
    text[length] = 0;
    if (!length)
        return NFT_OK;
    return nft_source_read(field->bytes.source, field->bytes.at, length, text);
}

static nft_status read_value(reader *r, const nft_field *field, int32_t *value)
{
    char name[LONGEST_NAME];
    if (field->wire != NFT_WIRE_BYTES || field->bytes.end - field->bytes.at >= LONGEST_NAME)
        return nft_fail(NFT_ERROR_FORMAT, "the graph has a name of more than %d bytes", LONGEST_NAME - 1);
    nft_status status = read_text(field, name, sizeof name);
    if (!status)
        *value = name[0] ? nft_graph_find(r->graph, name, strlen(name)) : -1;
    return status ? status : r->graph->dims.status;
}

typedef struct number_list {
    int64_t *items;
    int64_t count, capacity;
} number_list;

static nft_status add_number(number_list *list, int64_t number)
{
    if (list->count >= NFT_GRAPH_MAX_NUMBERS)
        return NFT_OK;
    if (list->count == list->capacity) {
        nft_status status =
            nft_grow(&list->items, list->count + 1, &list->capacity, sizeof number, "numbers of a graph", 0);
        if (status)
            return status;
    }
    list->items[list->count++] = number;
    return NFT_OK;
}

/* One number, or packed ones. More than are kept are not read. */
static nft_status add_numbers(number_list *list, nft_field *field)
{
    if (field->wire == NFT_WIRE_VARINT)
        return add_number(list, (int64_t)field->value);
    nft_status status = NFT_OK;
    while (field->wire == NFT_WIRE_BYTES && field->bytes.at < field->bytes.end && !status &&
           list->count < NFT_GRAPH_MAX_NUMBERS) {
        status = nft_message_read_varint(&field->bytes, &field->value);
        if (!status)
            status = add_number(list, (int64_t)field->value);
    }
    return status;
}

typedef struct tensor {
    int32_t value;
    uint64_t type;
    number_list shape, numbers;
    nft_message raw;
} tensor;

static nft_status visit_tensor(reader *r, nft_field *field, void *to)
{
    tensor *t = to;
    switch (field->number) {
    case TENSOR_DIMS:
        return add_numbers(&t->shape, field);
    case TENSOR_DATA_TYPE:
        t->type = field->value;
        return NFT_OK;
    case TENSOR_NAME:
        return t->value < 0 ? read_value(r, field, &t->value) : NFT_OK;
    case TENSOR_INT32_DATA:
    case TENSOR_INT64_DATA:
        return add_numbers(&t->numbers, field);
    case TENSOR_RAW_DATA:
        t->raw = field->bytes;
        return NFT_OK;
    default:
        return NFT_OK;
    }
}

/* The integers of a constant, if they are kept. */
static nft_status read_raw(tensor *t, int64_t count)
{
    int64_t size = t->type == ONNX_INT64 ? 8 : t->type == ONNX_INT32 ? 4 : 1;
    nft_status status = NFT_OK;
    if (t->raw.end - t->raw.at != nft_size_multiply(count, size))
        return NFT_OK;
    for (int64_t i = 0; i < count && !status; i++) {
        uint8_t bytes[8];
        status = nft_source_read(t->raw.source, t->raw.at + i * size, size, bytes);
        uint64_t number = nft_load_le(bytes, (int)size);
        if (!status)
            status = add_number(&t->numbers, size == 4 ? (int32_t)(uint32_t)number : (int64_t)number);
    }
    return status;
}

static bool is_float(uint64_t type)
{
    return type == ONNX_FLOAT || type == ONNX_DOUBLE || type == ONNX_FLOAT16 || type == ONNX_BFLOAT16;
}

static bool is_small(const int64_t *shape, int64_t rank)
{
    bool small = rank <= NFT_GRAPH_MAX_RANK;
    for (int64_t d = 0; d < rank && small; d++)
        small = shape[d] >= 1 && shape[d] <= NFT_GRAPH_MAX_SIZE;
    return small;
}

/* Whether a small constant is all zeros. */
static nft_status find_zeros(const tensor *t, bool *zero)
{
    uint8_t bytes[1024];
    int64_t size = t->raw.end - t->raw.at;
    nft_status status = NFT_OK;
    *zero = size > 0 && size <= NFT_GRAPH_MAX_NUMBERS;
    for (int64_t at = 0; *zero && at < size && !status; at += (int64_t)sizeof bytes) {
        int64_t now = size - at < (int64_t)sizeof bytes ? size - at : (int64_t)sizeof bytes;
        status = nft_source_read(t->raw.source, t->raw.at + at, now, bytes);
        for (int64_t i = 0; i < now && !status; i++)
            *zero = *zero && !bytes[i];
    }
    return status;
}

/* A weight has new axes, any other constant has ordered ones. */
static nft_status set_tensor(reader *r, tensor *t, bool can_be_weight)
{
    nft_graph *graph = r->graph;
    int32_t dims[NFT_GRAPH_MAX_RANK];
    int64_t count = nft_shape_count(t->shape.items, t->shape.count);
    nft_graph_value *value = &graph->values[t->value];
    bool integers = t->type == ONNX_INT64 || t->type == ONNX_INT32 || t->type == ONNX_BOOL;
    bool empty = integers && t->shape.count == 1 && t->shape.items[0] == 0;
    bool weight =
        can_be_weight && is_float(t->type) && (!r->weights || nft_file_find(r->weights, value->name));
    if (!is_small(t->shape.items, t->shape.count) && !empty)
        return NFT_OK;
    for (int64_t d = 0; d < t->shape.count; d++)
        dims[d] = (weight ? nft_dims_leaf : nft_dims_ordered)(&graph->dims, t->shape.items[d]);
    nft_graph_set(graph, t->value, t->shape.count, dims);
    value->is_weight = weight;
    nft_status status = graph->dims.status;
    if (!status && weight)
        status = find_zeros(t, &value->is_zero);
    if (!status && integers && count <= NFT_GRAPH_MAX_NUMBERS) {
        if (t->raw.source)
            status = read_raw(t, count);
        if (!status && t->numbers.count == count)
            nft_graph_set_numbers(graph, t->value, t->numbers.items, count);
    }
    return status ? status : graph->dims.status;
}

/* `value` is -1 for an initializer, which has a name. */
static nft_status read_tensor(reader *r, nft_message message, int32_t value)
{
    tensor t = {.value = value};
    nft_status status = visit(r, message, visit_tensor, &t);
    if (!status && t.value >= 0)
        status = set_tensor(r, &t, value < 0);
    nft_release(t.shape.items);
    nft_release(t.numbers.items);
    return status;
}

typedef struct info {
    int32_t value;
    bool has_shape;
    int64_t rank, shape[NFT_GRAPH_MAX_RANK]; /* -1: not said */
} info;

static nft_status visit_dim(reader *r, nft_field *field, void *to)
{
    info *about = to;
    (void)r;
    if (field->number == DIM_VALUE && field->wire == NFT_WIRE_VARINT && about->rank <= NFT_GRAPH_MAX_RANK)
        about->shape[about->rank - 1] = (int64_t)field->value;
    return NFT_OK;
}

static nft_status visit_shape(reader *r, nft_field *field, void *to)
{
    info *about = to;
    if (field->number != SHAPE_DIM || field->wire != NFT_WIRE_BYTES)
        return NFT_OK;
    if (++about->rank <= NFT_GRAPH_MAX_RANK)
        about->shape[about->rank - 1] = -1;
    return visit(r, field->bytes, visit_dim, to);
}

static nft_status visit_tensor_type(reader *r, nft_field *field, void *to)
{
    info *about = to;
    if (field->number != TENSOR_TYPE_SHAPE || field->wire != NFT_WIRE_BYTES)
        return NFT_OK;
    about->has_shape = true;
    about->rank = 0;
    return visit(r, field->bytes, visit_shape, to);
}

static nft_status visit_type(reader *r, nft_field *field, void *to)
{
    bool descends = field->number == TYPE_TENSOR && field->wire == NFT_WIRE_BYTES;
    return descends ? visit(r, field->bytes, visit_tensor_type, to) : NFT_OK;
}

static nft_status visit_info(reader *r, nft_field *field, void *to)
{
    info *about = to;
    if (field->number == INFO_NAME)
        return read_value(r, field, &about->value);
    bool descends = field->number == INFO_TYPE && field->wire == NFT_WIRE_BYTES;
    return descends ? visit(r, field->bytes, visit_type, to) : NFT_OK;
}

/* Open sizes of an input do not change which axes are united: a batch of one, short texts, pictures. */
static int64_t assume_size(int64_t rank, int64_t d)
{
    return d == 0 ? 1 : rank < 4 ? 16 : 224;
}

static void set_input(nft_graph *graph, int32_t value)
{
    const nft_graph_value *input = &graph->values[value];
    int32_t dims[NFT_GRAPH_MAX_RANK];
    if (input->is_made || input->said_rank < 0)
        return;
    int64_t rank = input->said_rank;
    for (int64_t d = 0; d < rank; d++) {
        int64_t size = input->said[d] < 0 ? assume_size(rank, d) : input->said[d];
        if (size < 1 || size > NFT_GRAPH_MAX_SIZE)
            return;
        dims[d] = nft_dims_ordered(&graph->dims, size);
        if (!graph->dims.status)
            graph->dims.items[dims[d]].hint = input->name;
    }
    nft_graph_set(graph, value, rank, dims);
}

static nft_status read_info(reader *r, const nft_field *field)
{
    info about = {.value = -1};
    nft_status status = visit(r, field->bytes, visit_info, &about);
    if (status || about.value < 0)
        return status;
    nft_graph_value *value = &r->graph->values[about.value];
    if (about.has_shape && about.rank <= NFT_GRAPH_MAX_RANK) {
        value->said_rank = about.rank;
        memcpy(value->said, about.shape, sizeof about.shape);
    }
    if (field->number == GRAPH_INPUT)
        set_input(r->graph, about.value);
    return r->graph->dims.status;
}

static nft_status visit_attribute(reader *r, nft_field *field, void *to)
{
    nft_attribute *attribute = to;
    nft_node *node = r->node;
    number_list list = {node->numbers, node->number_count, node->number_capacity};
    nft_status status = NFT_OK;
    if (field->number == ATTRIBUTE_NAME)
        return read_text(field, attribute->name, sizeof attribute->name);
    if (field->number == ATTRIBUTE_TEXT)
        return read_text(field, attribute->text, sizeof attribute->text);
    node->has_graph |= field->number == ATTRIBUTE_GRAPH || field->number == ATTRIBUTE_GRAPHS;
    if (field->number == ATTRIBUTE_TENSOR && field->wire == NFT_WIRE_BYTES) {
        char name[48];
        int length = snprintf(name, sizeof name, "constant %" PRId64, r->graph->value_count);
        attribute->tensor = nft_graph_find(r->graph, name, (size_t)length);
        return attribute->tensor < 0 ? r->graph->dims.status
                                     : read_tensor(r, field->bytes, attribute->tensor);
    }
    if (field->number == ATTRIBUTE_INT || field->number == ATTRIBUTE_INTS)
        status = add_numbers(&list, field);
    node->numbers = list.items;
    node->number_count = list.count;
    node->number_capacity = list.capacity;
    attribute->count = list.count - attribute->first;
    return status;
}

static nft_status add_attribute(reader *r, nft_message message)
{
    nft_node *node = r->node;
    nft_attribute attribute = {.first = node->number_count, .tensor = -1};
    nft_status status = NFT_OK;
    if (node->attribute_count == node->attribute_capacity)
        status = nft_grow(&node->attributes, node->attribute_count + 1, &node->attribute_capacity,
                          sizeof attribute, "the attributes of an operator", 0);
    if (!status)
        status = visit(r, message, visit_attribute, &attribute);
    if (!status)
        node->attributes[node->attribute_count++] = attribute;
    return status;
}

static nft_status add_value(reader *r, const nft_field *field, int32_t **values, int64_t *count,
                            int64_t *capacity)
{
    int32_t value = -1;
    nft_status status = read_value(r, field, &value);
    if (!status && *count == *capacity)
        status = nft_grow(values, *count + 1, capacity, sizeof value, "the values of an operator", 0);
    if (!status)
        (*values)[(*count)++] = value;
    return status;
}

static nft_status visit_node(reader *r, nft_field *field, void *to)
{
    nft_node *node = to;
    char domain[32];
    nft_status status = NFT_OK;
    switch (field->number) {
    case NODE_INPUT:
        return add_value(r, field, &node->inputs, &node->input_count, &node->input_capacity);
    case NODE_OUTPUT:
        return add_value(r, field, &node->outputs, &node->output_count, &node->output_capacity);
    case NODE_OP_TYPE:
        return read_text(field, node->op, sizeof node->op);
    case NODE_ATTRIBUTE:
        return field->wire == NFT_WIRE_BYTES ? add_attribute(r, field->bytes) : NFT_OK;
    case NODE_DOMAIN:
        status = read_text(field, domain, sizeof domain);
        node->is_foreign = domain[0] && strcmp(domain, "ai.onnx") != 0;
        return status;
    default:
        return NFT_OK;
    }
}

static nft_status visit_initializer(reader *r, nft_field *field, void *to)
{
    (void)to;
    bool is = field->number == GRAPH_INITIALIZER && field->wire == NFT_WIRE_BYTES;
    return is ? read_tensor(r, field->bytes, -1) : NFT_OK;
}

static nft_status visit_value_info(reader *r, nft_field *field, void *to)
{
    (void)to;
    bool is =
        field->number == GRAPH_INPUT || field->number == GRAPH_OUTPUT || field->number == GRAPH_VALUE_INFO;
    return is && field->wire == NFT_WIRE_BYTES ? read_info(r, field) : NFT_OK;
}

static nft_status visit_operator(reader *r, nft_field *field, void *to)
{
    (void)to;
    nft_node *node = r->node;
    if (field->number != GRAPH_NODE || field->wire != NFT_WIRE_BYTES)
        return NFT_OK;
    node->op[0] = 0;
    node->is_foreign = node->has_graph = false;
    node->input_count = node->output_count = node->attribute_count = node->number_count = 0;
    nft_status status = visit(r, field->bytes, visit_node, node);
    r->graph->node_count++;
    if (!status)
        nft_graph_pass(r->graph, node);
    return status ? status : r->graph->dims.status;
}

/* The order of outputs is the user's. */
static nft_status visit_output(reader *r, nft_field *field, void *to)
{
    (void)to;
    info about = {.value = -1};
    if (field->number != GRAPH_OUTPUT || field->wire != NFT_WIRE_BYTES)
        return NFT_OK;
    nft_status status = visit(r, field->bytes, visit_info, &about);
    if (status || about.value < 0)
        return status;
    const nft_graph_value *value = &r->graph->values[about.value];
    for (int64_t d = 0; value->is_known && d < value->rank; d++) {
        nft_dims_order(&r->graph->dims, value->dims[d]);
        nft_dim *dim = &r->graph->dims.items[nft_dims_find(&r->graph->dims, value->dims[d])];
        if (!r->graph->dims.status && !dim->hint) {
            dim->hint = value->name;
            dim->is_output = true;
        }
    }
    return r->graph->dims.status;
}

static nft_status visit_graph(reader *r, nft_field *field, void *to)
{
    static const visitor passes[] = {visit_initializer, visit_value_info, visit_operator, visit_output};
    (void)to;
    nft_status status = NFT_OK;
    if (field->number == MODEL_GRAPH && field->wire == NFT_WIRE_BYTES)
        for (size_t i = 0; i < sizeof passes / sizeof *passes && !status; i++)
            status = visit(r, field->bytes, passes[i], NULL);
    return status;
}

nft_status nft_graph_read(nft_graph *graph, const nft_source *source, const nft_file *weights)
{
    nft_node node = {0};
    reader r = {graph, weights, &node};
    nft_status status = visit(&r, (nft_message){source, 0, source->size}, visit_graph, NULL);
    nft_release(node.inputs);
    nft_release(node.outputs);
    nft_release(node.attributes);
    nft_release(node.numbers);
    return status;
}
