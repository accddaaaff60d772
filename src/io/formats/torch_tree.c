/* From the value of a pickle to tensors with dotted names. */
#include "io/formats/torch.h"
#include "space/array.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEEPEST 100
#define LONGEST_LIST 64 /* of numbers and texts that are kept */
/* A tensor may repeat its storage, but not without bounds: small ones as often as they like, others so often.
 */
#define SMALL_BYTES (INT64_C(1) << 20)
#define MOST_REPEATS 16
#define ENTRY_COST 256 /* bytes of an entry without its name, about */

static const struct {
    const char *storage, *data_type;
    nft_type type;
} types[] = {
    {"FloatStorage", "float32", NFT_TYPE_F32},
    {"DoubleStorage", "float64", NFT_TYPE_F64},
    {"HalfStorage", "float16", NFT_TYPE_F16},
    {"BFloat16Storage", "bfloat16", NFT_TYPE_BF16},
    {"LongStorage", "int64", NFT_TYPE_I64},
    {"IntStorage", "int32", NFT_TYPE_I32},
    {"ShortStorage", "int16", NFT_TYPE_I16},
    {"CharStorage", "int8", NFT_TYPE_I8},
    {"ByteStorage", "uint8", NFT_TYPE_U8},
    {"BoolStorage", "bool", NFT_TYPE_BOOL},
    {"", "uint16", NFT_TYPE_U16},
    {"", "uint32", NFT_TYPE_U32},
    {"", "uint64", NFT_TYPE_U64},
    {"Float8_e4m3fnStorage", "float8_e4m3fn", NFT_TYPE_F8_E4M3},
    {"Float8_e5m2Storage", "float8_e5m2", NFT_TYPE_F8_E5M2},
    {"Float8_e4m3fnuzStorage", "float8_e4m3fnuz", NFT_TYPE_F8_E4M3FNUZ},
    {"Float8_e5m2fnuzStorage", "float8_e5m2fnuz", NFT_TYPE_F8_E5M2FNUZ},
    {"", "float8_e8m0fnu", NFT_TYPE_F8_E8M0},
};

/* Types of storages that are not read. The sizes of their elements are needed to find the storages behind
 * them. */
static const struct {
    const char *storage;
    int64_t size;
} other_storages[] = {{"ComplexFloatStorage", 8}, {"ComplexDoubleStorage", 16}, {"QInt8Storage", 1},
                      {"QUInt8Storage", 1},       {"QInt32Storage", 4},         {"QUInt4x2Storage", 1},
                      {"QUInt2x4Storage", 1},     {"UntypedStorage", 1}};

/* Functions that make tensors of other kinds. */
static const struct {
    const char *name, *reason;
} other_tensors[] = {{"_rebuild_sparse_tensor", "it is a sparse tensor"},
                     {"_rebuild_sparse_csr_tensor", "it is a sparse tensor"},
                     {"_rebuild_qtensor", "it is a quantised tensor"},
                     {"_rebuild_nested_tensor", "it is a nested tensor"},
                     {"_rebuild_meta_tensor_no_storage", "it is a tensor without data"}};

static nft_pickle_ref class_name(const nft_pickle *pickle, nft_pickle_ref type)
{
    const nft_pickle_value *value = nft_pickle_at(pickle, type);
    return value->kind == NFT_PICKLE_CLASS ? value->as.type.name : NFT_PICKLE_NO_VALUE;
}

/* The type of the elements, by the name of the storage's class or of the data type. */
static bool find_type(const nft_pickle *pickle, nft_pickle_ref id, nft_pickle_ref data_type, nft_type *type)
{
    bool by_storage = data_type < 0;
    nft_pickle_ref name = class_name(pickle, by_storage ? nft_pickle_item(pickle, id, 1) : data_type);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (nft_pickle_is_text(pickle, name, by_storage ? types[i].storage : types[i].data_type)) {
            *type = types[i].type;
            return true;
        }
    return false;
}

int64_t nft_torch_element_bytes(const nft_pickle *pickle, nft_pickle_ref id)
{
    nft_type type;
    nft_pickle_ref name = class_name(pickle, nft_pickle_item(pickle, id, 1));
    if (find_type(pickle, id, NFT_PICKLE_NO_VALUE, &type))
        return nft_type_size(type);
    for (size_t i = 0; i < sizeof other_storages / sizeof *other_storages; i++)
        if (nft_pickle_is_text(pickle, name, other_storages[i].storage))
            return other_storages[i].size;
    return 0;
}

static nft_status leave_out(nft_torch *torch, const char *reason)
{
    return nft_file_leave_out(torch->file, torch->path.data, torch->path.length, "%s", reason);
}

/* "Reason NAME": the class or type with this name is not read. */
static nft_status leave_out_named(nft_torch *torch, const char *reason, nft_pickle_ref module,
                                  nft_pickle_ref name)
{
    const nft_pickle_value *m = nft_pickle_at(&torch->pickle, module),
                           *n = nft_pickle_at(&torch->pickle, name);
    if (n->kind != NFT_PICKLE_TEXT)
        return leave_out(torch, "it is no value that is read");
    bool has_module = m->kind == NFT_PICKLE_TEXT;
    return nft_file_leave_out(torch->file, torch->path.data, torch->path.length, "%s %.*s%s%.*s", reason,
                              has_module && m->as.text.length < 100 ? (int)m->as.text.length : 0,
                              has_module ? m->as.text.bytes : "", has_module ? "." : "",
                              n->as.text.length < 100 ? (int)n->as.text.length : 0, n->as.text.bytes);
}

static nft_status fail_tensor(const nft_torch *torch, const char *reason)
{
    return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': %s", torch->path.data, reason);
}

/* Integers of a tuple, at most as many as axes; -1 if they are none, or negative. */
static int64_t read_sizes(const nft_pickle *pickle, nft_pickle_ref tuple, int64_t *sizes)
{
    const nft_pickle_value *value = nft_pickle_at(pickle, tuple);
    int64_t rank = 0;
    if (value->kind != NFT_PICKLE_TUPLE && value->kind != NFT_PICKLE_LIST)
        return -1;
    for (int32_t cell = value->as.items.first; cell >= 0; cell = pickle->cells[cell].next, rank++) {
        const nft_pickle_value *size = nft_pickle_at(pickle, pickle->cells[cell].value);
        if (size->kind != NFT_PICKLE_INTEGER || size->as.integer < 0)
            return -1;
        if (rank < NFT_ARRAY_MAX_RANK)
            sizes[rank] = size->as.integer;
    }
    return rank;
}

/* A persistent id: ("storage", class, key, location, count[, view]); a view is (key, offset, count). */
static nft_status find_storage(nft_torch *torch, nft_pickle_ref id, int64_t element,
                               nft_torch_storage *storage)
{
    const nft_pickle *pickle = &torch->pickle;
    const nft_pickle_value *key = nft_pickle_at(pickle, nft_pickle_item(pickle, id, 2)),
                           *first = nft_pickle_at(pickle,
                                                  nft_pickle_item(pickle, nft_pickle_item(pickle, id, 5), 1));
    if (key->kind != NFT_PICKLE_TEXT)
        return fail_tensor(torch, "its storage has no key");
    nft_status status = torch->find(torch, key->as.text.bytes, key->as.text.length, storage);
    if (status)
        return nft_fail_in(status, "tensor '%s'", torch->path.data);
    if (first->kind == NFT_PICKLE_INTEGER && first->as.integer > 0) {
        int64_t skipped = nft_size_multiply(first->as.integer, element);
        storage->offset = nft_size_add(storage->offset, skipped);
        storage->size -= skipped < storage->size ? skipped : storage->size;
    }
    return NFT_OK;
}

static bool begins_with(const nft_pickle *pickle, nft_pickle_ref text, const char *begin)
{
    const nft_pickle_value *value = nft_pickle_at(pickle, text);
    size_t length = strlen(begin);
    return value->kind == NFT_PICKLE_TEXT && value->as.text.length >= (int64_t)length &&
           !memcmp(value->as.text.bytes, begin, length);
}

static nft_status list_tensor(nft_torch *torch, const nft_pickle_value *tensor)
{
    const nft_pickle *pickle = &torch->pickle;
    nft_pickle_ref arguments = tensor->as.tensor.arguments;
    const nft_pickle_value *storage = nft_pickle_at(pickle, nft_pickle_item(pickle, arguments, 0)),
                           *first = nft_pickle_at(pickle, nft_pickle_item(pickle, arguments, 1));
    nft_entry entry = {.is_strided = true, .is_big_endian = torch->is_big_endian};
    nft_torch_storage place = {0};
    if (storage->kind != NFT_PICKLE_STORAGE || first->kind != NFT_PICKLE_INTEGER || first->as.integer < 0)
        return fail_tensor(torch, "it is rebuilt from no storage");
    nft_pickle_ref id = storage->as.storage.id, data_type = tensor->as.tensor.data_type;
    bool is_known = find_type(pickle, id, data_type, &entry.type);
    if (!is_known && begins_with(pickle, class_name(pickle, nft_pickle_item(pickle, id, 1)), "Complex"))
        return leave_out(torch, "its elements are complex numbers");
    if (!is_known)
        return leave_out_named(
            torch, "its elements are of", NFT_PICKLE_NO_VALUE,
            class_name(pickle, data_type < 0 ? nft_pickle_item(pickle, id, 1) : data_type));
    entry.rank = read_sizes(pickle, nft_pickle_item(pickle, arguments, 2), entry.shape);
    if (entry.rank < 0 ||
        read_sizes(pickle, nft_pickle_item(pickle, arguments, 3), entry.strides) != entry.rank)
        return fail_tensor(torch, "its shape and strides are no sizes");
    if (entry.rank > NFT_ARRAY_MAX_RANK)
        return leave_out(torch, "it has more than 8 axes");
    int64_t element = nft_type_size(entry.type);
    nft_status status = find_storage(torch, id, element, &place);
    if (status)
        return status;
    int64_t bytes = nft_size_multiply(nft_shape_count(entry.shape, entry.rank), element);
    if (bytes > SMALL_BYTES && bytes / MOST_REPEATS > place.size)
        return leave_out(torch, "it repeats a small storage without end");
    entry.source = place.source;
    entry.offset = nft_size_add(place.offset, nft_size_multiply(first->as.integer, element));
    return nft_file_add_entry(torch->file, torch->path.data, torch->path.length, &entry,
                              nft_size_add(place.offset, place.size));
}

static nft_status list_scalar(nft_torch *torch, const nft_pickle_value *value)
{
    nft_scalar scalar = {.kind = NFT_SCALAR_TEXT};
    if (value->kind == NFT_PICKLE_TEXT) {
        scalar.text = nft_copy_text_range(value->as.text.bytes, (size_t)value->as.text.length);
        if (!scalar.text)
            return nft_fail_memory("a text", value->as.text.length);
        torch->budget -= value->as.text.length;
    } else if (value->kind == NFT_PICKLE_REAL) {
        scalar.kind = NFT_SCALAR_REAL;
        scalar.real = value->as.real;
    } else {
        scalar.kind = value->kind == NFT_PICKLE_BOOLEAN ? NFT_SCALAR_BOOLEAN : NFT_SCALAR_INTEGER;
        scalar.integer = value->as.integer;
        scalar.real = (double)value->as.integer;
    }
    nft_status status = nft_file_add_scalar(torch->file, torch->path.data, torch->path.length, &scalar);
    nft_release(scalar.text);
    return status;
}

static bool is_scalar(const nft_pickle_value *value)
{
    return value->kind == NFT_PICKLE_BOOLEAN || value->kind == NFT_PICKLE_INTEGER ||
           value->kind == NFT_PICKLE_REAL || value->kind == NFT_PICKLE_TEXT;
}

static nft_status list_value(nft_torch *torch, nft_pickle_ref ref, int depth);

static void append_component(nft_torch *torch, const nft_pickle_value *key, int64_t index)
{
    if (torch->path.length)
        nft_text_append(&torch->path, ".");
    if (key->kind == NFT_PICKLE_TEXT)
        nft_text_append_bytes(&torch->path, key->as.text.bytes, (size_t)key->as.text.length);
    else
        nft_text_append(&torch->path, "%" PRId64, key->kind == NFT_PICKLE_INTEGER ? key->as.integer : index);
}

/* Items of a container under its path. Numbers and texts of long lists are not kept. */
static nft_status list_items(nft_torch *torch, nft_pickle_ref container, int depth)
{
    const nft_pickle *pickle = &torch->pickle;
    const nft_pickle_value *value = nft_pickle_at(pickle, container);
    size_t length = torch->path.length;
    int64_t index = 0;
    nft_status status = NFT_OK;
    for (int32_t at = value->as.items.first; at >= 0 && !status; at = pickle->cells[at].next, index++) {
        const nft_pickle_cell *cell = &pickle->cells[at];
        torch->budget--;
        if (cell->key < 0 && value->as.items.count > LONGEST_LIST &&
            is_scalar(nft_pickle_at(pickle, cell->value)))
            continue;
        append_component(torch, nft_pickle_at(pickle, cell->key), index);
        if (torch->path.failed)
            return nft_fail_memory("a name", (int64_t)torch->path.length);
        torch->budget -= ENTRY_COST + (int64_t)torch->path.length;
        if (torch->budget < 0)
            return nft_fail(NFT_ERROR_LIMIT, "the names of its values take more memory than its size allows");
        status = list_value(torch, cell->value, depth + 1);
        torch->path.length = length;
        torch->path.data[length] = 0;
    }
    return status;
}

/* torch.nn.Module keeps its parts in dictionaries that its state_dict does not name. */
static nft_status list_module(nft_torch *torch, nft_pickle_ref state, int depth)
{
    static const char *const parts[] = {"_parameters", "_buffers", "_modules"};
    nft_status status = NFT_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !status; i++) {
        nft_pickle_ref part = nft_pickle_look_up(&torch->pickle, state, parts[i]);
        if (nft_pickle_at(&torch->pickle, part)->kind == NFT_PICKLE_DICT)
            status = list_items(torch, part, depth + 1);
    }
    return status;
}

static nft_status list_object(nft_torch *torch, const nft_pickle_value *object, int depth)
{
    const nft_pickle *pickle = &torch->pickle;
    const nft_pickle_value *type = nft_pickle_at(pickle, object->as.object.type);
    nft_pickle_ref state = object->as.object.state;
    bool has_state = nft_pickle_at(pickle, state)->kind == NFT_PICKLE_DICT;
    if (has_state) /* its keys are gone through */
        torch->budget -= nft_pickle_at(pickle, state)->as.items.count;
    if (has_state && nft_pickle_look_up(pickle, state, "_modules") >= 0)
        return list_module(torch, state, depth);
    if (type->kind != NFT_PICKLE_CLASS)
        return leave_out(torch, "it is a number of more than 64 bits, or an unknown object");
    if (has_state && begins_with(pickle, type->as.type.module, "__torch__")) /* TorchScript's modules */
        return list_items(torch, state, depth + 1);
    for (size_t i = 0; i < sizeof other_tensors / sizeof *other_tensors; i++)
        if (nft_pickle_is_text(pickle, type->as.type.name, other_tensors[i].name))
            return leave_out(torch, other_tensors[i].reason);
    return leave_out_named(torch, "it is of the class", type->as.type.module, type->as.type.name);
}

static nft_status list_value(nft_torch *torch, nft_pickle_ref ref, int depth)
{
    const nft_pickle_value *value = nft_pickle_at(&torch->pickle, ref);
    if (depth > DEEPEST)
        return nft_fail(NFT_ERROR_LIMIT, "'%.80s…' is nested more than %d deep", torch->path.data, DEEPEST);
    switch (value->kind) {
    case NFT_PICKLE_TENSOR:
        return list_tensor(torch, value);
    case NFT_PICKLE_DICT:
    case NFT_PICKLE_LIST:
    case NFT_PICKLE_TUPLE:
        return list_items(torch, ref, depth);
    case NFT_PICKLE_OBJECT:
        return list_object(torch, value, depth);
    case NFT_PICKLE_STORAGE:
        return leave_out(torch, "it is a storage without a tensor");
    default:
        return is_scalar(value) ? list_scalar(torch, value) : NFT_OK;
    }
}

nft_status nft_torch_list(nft_torch *torch, nft_pickle_ref root)
{
    nft_pickle_kind kind = nft_pickle_at(&torch->pickle, root)->kind;
    bool is_container = kind == NFT_PICKLE_DICT || kind == NFT_PICKLE_LIST || kind == NFT_PICKLE_TUPLE;
    bool is_object = kind == NFT_PICKLE_OBJECT;
    /* A single tensor has no name. */
    nft_text_append(&torch->path, "%s", is_container || is_object ? "" : "tensor");
    torch->budget = nft_size_add(1 << 20, nft_size_multiply(32, torch->pickle.size));
    nft_status status = torch->path.failed ? nft_fail_memory("a name", 1) : list_value(torch, root, 0);
    nft_text_clear(&torch->path);
    return status;
}
