/* ONNX: the initializers of a model's graph. The reader looks only at the fields on the way to them in the
 * wire format of protocol buffers (onnx.proto: ModelProto, GraphProto, TensorProto). */
#include "io/formats/protobuf.h"
#include "space/array.h"

#include <inttypes.h>
#include <string.h>

#define LONGEST_NAME 4096

enum { MODEL_GRAPH = 7, GRAPH_INITIALIZER = 5, GRAPH_SPARSE_INITIALIZER = 15 };
enum {
    TENSOR_DIMS = 1,
    TENSOR_DATA_TYPE = 2,
    TENSOR_FLOAT_DATA = 4,
    TENSOR_INT32_DATA = 5,
    TENSOR_INT64_DATA = 7,
    TENSOR_NAME = 8,
    TENSOR_RAW_DATA = 9,
    TENSOR_DOUBLE_DATA = 10,
    TENSOR_UINT64_DATA = 11,
    TENSOR_EXTERNAL_DATA = 13,
    TENSOR_DATA_LOCATION = 14
};

/* A TensorProto while its fields are collected. */
typedef struct tensor {
    char name[LONGEST_NAME];
    int64_t name_length, shape[NFT_ARRAY_MAX_RANK], rank;
    uint64_t data_type;
    nft_message data; /* the last of its data fields */
    uint32_t data_in; /* the number of that field; 0: none */
    int data_fields;  /* how many there are */
    bool is_external, is_wrong;
} tensor;

static void add_dim(tensor *t, uint64_t size)
{
    t->is_wrong |= size > INT64_MAX;
    if (t->rank < NFT_ARRAY_MAX_RANK)
        t->shape[t->rank] = (int64_t)size;
    t->rank++;
}

static nft_status read_dims(tensor *t, nft_field *f)
{
    nft_status status = NFT_OK;
    if (f->wire == NFT_WIRE_VARINT)
        add_dim(t, f->value);
    while (f->wire == NFT_WIRE_BYTES && f->bytes.at < f->bytes.end && !status) {
        status = nft_message_read_varint(&f->bytes, &f->value);
        add_dim(t, f->value);
    }
    return status;
}

static nft_status read_name(tensor *t, const nft_field *f)
{
    int64_t length = f->bytes.end - f->bytes.at;
    t->name_length = length < LONGEST_NAME ? length : LONGEST_NAME;
    return nft_source_read(f->bytes.source, f->bytes.at, t->name_length, t->name);
}

static nft_status read_tensor_field(tensor *t, nft_field *f)
{
    switch (f->number) {
    case TENSOR_DIMS:
        return read_dims(t, f);
    case TENSOR_DATA_TYPE:
        t->data_type = f->value;
        return NFT_OK;
    case TENSOR_NAME:
        return f->wire == NFT_WIRE_BYTES ? read_name(t, f) : NFT_OK;
    case TENSOR_EXTERNAL_DATA:
        t->is_external = true;
        return NFT_OK;
    case TENSOR_DATA_LOCATION:
        t->is_external |= f->value == 1;
        return NFT_OK;
    case TENSOR_RAW_DATA:
    case TENSOR_FLOAT_DATA:
    case TENSOR_DOUBLE_DATA:
    case TENSOR_INT32_DATA:
    case TENSOR_INT64_DATA:
    case TENSOR_UINT64_DATA:
        t->data_in = f->number;
        t->data_fields += f->wire == NFT_WIRE_BYTES && f->bytes.at == f->bytes.end ? 0 : 1;
        t->data = f->bytes;
        t->is_wrong |= f->wire != NFT_WIRE_BYTES; /* each number a field, as no writer does */
        return NFT_OK;
    default:
        return NFT_OK;
    }
}

/* TensorProto.DataType. `in` is the field that the elements are in unless they are raw. */
static const struct {
    const char *name;
    nft_type type;
    uint32_t in;
} types[] = {
    [1] = {"FLOAT", NFT_TYPE_F32, TENSOR_FLOAT_DATA},
    [2] = {"UINT8", NFT_TYPE_U8, TENSOR_INT32_DATA},
    [3] = {"INT8", NFT_TYPE_I8, TENSOR_INT32_DATA},
    [4] = {"UINT16", NFT_TYPE_U16, TENSOR_INT32_DATA},
    [5] = {"INT16", NFT_TYPE_I16, TENSOR_INT32_DATA},
    [6] = {"INT32", NFT_TYPE_I32, TENSOR_INT32_DATA},
    [7] = {"INT64", NFT_TYPE_I64, TENSOR_INT64_DATA},
    [8] = {"STRING", NFT_TYPE_F32, 0},
    [9] = {"BOOL", NFT_TYPE_BOOL, TENSOR_INT32_DATA},
    [10] = {"FLOAT16", NFT_TYPE_F16, TENSOR_INT32_DATA},
    [11] = {"DOUBLE", NFT_TYPE_F64, TENSOR_DOUBLE_DATA},
    [12] = {"UINT32", NFT_TYPE_U32, TENSOR_UINT64_DATA},
    [13] = {"UINT64", NFT_TYPE_U64, TENSOR_UINT64_DATA},
    [14] = {"COMPLEX64, complex numbers", NFT_TYPE_F32, 0},
    [15] = {"COMPLEX128, complex numbers", NFT_TYPE_F32, 0},
    [16] = {"BFLOAT16", NFT_TYPE_BF16, TENSOR_INT32_DATA},
    [17] = {"FLOAT8E4M3FN", NFT_TYPE_F8_E4M3, TENSOR_INT32_DATA},
    [18] = {"FLOAT8E4M3FNUZ", NFT_TYPE_F8_E4M3FNUZ, TENSOR_INT32_DATA},
    [19] = {"FLOAT8E5M2", NFT_TYPE_F8_E5M2, TENSOR_INT32_DATA},
    [20] = {"FLOAT8E5M2FNUZ", NFT_TYPE_F8_E5M2FNUZ, TENSOR_INT32_DATA},
    [21] = {"UINT4, quantised numbers", NFT_TYPE_F32, 0},
    [22] = {"INT4, quantised numbers", NFT_TYPE_F32, 0},
    [23] = {"FLOAT4E2M1, quantised numbers", NFT_TYPE_F32, 0},
    [24] = {"FLOAT8E8M0", NFT_TYPE_F8_E8M0, TENSOR_INT32_DATA},
};
#define TYPES (sizeof types / sizeof *types)

/* Numbers of any length in bytes to elements of one size, in memory. */
static nft_status unpack(nft_file *file, nft_message data, int64_t count, int64_t size,
                         const nft_source **source)
{
    int64_t bytes = nft_size_multiply(count, size), done = 0;
    if (count > data.end - data.at) /* each has at least one byte */
        return nft_fail_message(&data);
    nft_status status = nft_file_count_unpacked(file, bytes);
    if (status)
        return status;
    uint8_t *out = nft_allocate((size_t)bytes);
    if (!out)
        return nft_fail_memory("a tensor", bytes);
    for (; done < count && data.at < data.end && !status; done++) {
        uint64_t value;
        status = nft_message_read_varint(&data, &value);
        for (int64_t i = 0; i < size && !status; i++)
            out[done * size + i] = (uint8_t)(value >> 8 * i);
    }
    if (!status && (done < count || data.at < data.end))
        status = nft_fail_message(&data);
    if (!status)
        return nft_file_add_source(file, source, out, bytes);
    nft_release(out);
    return status;
}

static nft_status add_tensor(nft_file *file, const tensor *t)
{
    nft_entry entry = {.source = t->data.source, .offset = t->data.at, .type = types[t->data_type].type};
    int64_t end = t->data.end, size = nft_type_size(entry.type);
    bool is_packed = t->data_in == TENSOR_INT32_DATA || t->data_in == TENSOR_INT64_DATA ||
                     t->data_in == TENSOR_UINT64_DATA;
    entry.rank = t->rank;
    memcpy(entry.shape, t->shape, sizeof entry.shape);
    entry.count = nft_shape_count(entry.shape, entry.rank);
    if (!t->data_in)
        entry.source = &file->source;
    if (is_packed) {
        nft_status status = unpack(file, t->data, entry.count, size, &entry.source);
        if (status)
            return status;
        entry.offset = 0;
        end = entry.source->size;
    }
    if (end - entry.offset != nft_size_multiply(entry.count, size))
        return nft_fail(
            NFT_ERROR_FORMAT, "tensor '%.*s': it has %" PRId64 " bytes of data, expected %" PRId64,
            (int)t->name_length, t->name, end - entry.offset, nft_size_multiply(entry.count, size));
    return nft_file_add_entry(file, t->name, (size_t)t->name_length, &entry, end);
}

/* Why a tensor is left out; NULL if it is not. */
static const char *reason_against(const tensor *t)
{
    if (t->is_external)
        return "its data are in another file (external data); save the model as one file, for example with "
               "onnx.save(onnx.load(PATH), OUT)";
    if (t->rank > NFT_ARRAY_MAX_RANK)
        return "it has more than 8 axes";
    if (t->is_wrong || t->data_fields > 1)
        return "its data are in several pieces";
    if (t->name_length == LONGEST_NAME)
        return "its name is too long";
    if (t->data_type == 0 || t->data_type >= TYPES)
        return "its type is not known";
    if (!types[t->data_type].in)
        return types[t->data_type].name;
    if (t->data_in && t->data_in != TENSOR_RAW_DATA && t->data_in != types[t->data_type].in)
        return "its data are of another type than it says";
    return NULL;
}

static nft_status read_tensor(nft_file *file, nft_message m)
{
    tensor t = {0};
    nft_status status = NFT_OK;
    while (m.at < m.end && !status) {
        nft_field f;
        status = nft_message_next(&m, &f);
        if (!status)
            status = read_tensor_field(&t, &f);
    }
    const char *reason = reason_against(&t);
    if (!status && reason)
        return nft_file_leave_out(file, t.name, (size_t)t.name_length, "%s%s",
                                  t.data_type < TYPES && reason == types[t.data_type].name ? "it is " : "",
                                  reason);
    return status ? status : add_tensor(file, &t);
}

static nft_status read_graph(nft_file *file, nft_message m)
{
    nft_status status = NFT_OK;
    int64_t sparse = 0;
    while (m.at < m.end && !status) {
        nft_field f;
        status = nft_message_next(&m, &f);
        if (!status && f.wire == NFT_WIRE_BYTES && f.number == GRAPH_INITIALIZER)
            status = read_tensor(file, f.bytes);
        sparse += !status && f.number == GRAPH_SPARSE_INITIALIZER;
    }
    if (!status && sparse)
        status = nft_file_leave_out(file, "sparse_initializer", strlen("sparse_initializer"),
                                    "%" PRId64 " tensors are sparse", sparse);
    return status;
}

static nft_status open_model(nft_file *file)
{
    nft_message m = {&file->source, 0, file->source.size};
    bool has_graph = false;
    nft_status status = NFT_OK;
    while (m.at < m.end && !status) {
        nft_field f;
        status = nft_message_next(&m, &f);
        if (!status && f.number == MODEL_GRAPH && f.wire == NFT_WIRE_BYTES) {
            has_graph = true;
            status = read_graph(file, f.bytes);
        }
    }
    if (!status && !has_graph)
        status = nft_fail(NFT_ERROR_FORMAT, "it begins as an ONNX model and has no graph");
    return status;
}

/* A model begins with its version, field 1, and has then a text, a number or a graph. */
static bool matches(const nft_start *start)
{
    const uint8_t *bytes = start->bytes;
    if (start->length < 8 || bytes[0] != 0x08 || bytes[1] == 0 || bytes[1] > 0x3f)
        return false;
    return bytes[2] == 0x12 || bytes[2] == 0x1a || bytes[2] == 0x22 || bytes[2] == 0x28 || bytes[2] == 0x32 ||
           bytes[2] == 0x3a || bytes[2] == 0x42;
}

const nft_format nft_format_onnx = {"ONNX", matches, open_model, NULL};
