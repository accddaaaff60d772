/* Values of a pickle, and the calls in it that are known: no other name does anything. */
#include "io/convert.h"
#include "io/formats/pickle.h"

#include <math.h>
#include <string.h>

#define LARGEST_SCALAR 8

const nft_pickle_value *nft_pickle_at(const nft_pickle *p, nft_pickle_ref ref)
{
    static const nft_pickle_value none = {.kind = NFT_PICKLE_NONE};
    return ref >= 0 ? &p->values[ref] : &none;
}

static bool is_sequence(const nft_pickle_value *value)
{
    return value->kind == NFT_PICKLE_TUPLE || value->kind == NFT_PICKLE_LIST;
}

nft_pickle_ref nft_pickle_item(const nft_pickle *p, nft_pickle_ref sequence, int64_t index)
{
    const nft_pickle_value *value = nft_pickle_at(p, sequence);
    if (!is_sequence(value) || index >= value->as.items.count)
        return NFT_PICKLE_NO_VALUE;
    int32_t cell = value->as.items.first;
    for (; index > 0; index--)
        cell = p->cells[cell].next;
    return p->cells[cell].value;
}

bool nft_pickle_is_text(const nft_pickle *p, nft_pickle_ref ref, const char *text)
{
    const nft_pickle_value *value = nft_pickle_at(p, ref);
    return value->kind == NFT_PICKLE_TEXT && value->as.text.length == (int64_t)strlen(text) &&
           !memcmp(value->as.text.bytes, text, strlen(text));
}

nft_pickle_ref nft_pickle_look_up(const nft_pickle *p, nft_pickle_ref dict, const char *key)
{
    const nft_pickle_value *value = nft_pickle_at(p, dict);
    if (value->kind == NFT_PICKLE_DICT)
        for (int32_t cell = value->as.items.first; cell >= 0; cell = p->cells[cell].next)
            if (nft_pickle_is_text(p, p->cells[cell].key, key))
                return p->cells[cell].value;
    return NFT_PICKLE_NO_VALUE;
}

bool nft_pickle_is_class(const nft_pickle *p, nft_pickle_ref ref, const char *module, const char *name)
{
    const nft_pickle_value *value = nft_pickle_at(p, ref);
    return value->kind == NFT_PICKLE_CLASS && nft_pickle_is_text(p, value->as.type.name, name) &&
           nft_pickle_is_text(p, value->as.type.module, module);
}

static nft_status call_unknown(nft_pickle *p, nft_pickle_ref function, nft_pickle_ref arguments,
                               nft_pickle_ref *result)
{
    nft_status status = nft_pickle_new(p, NFT_PICKLE_OBJECT, result);
    if (status)
        return status;
    p->values[*result].as.object.type = function;
    p->values[*result].as.object.arguments = arguments;
    p->values[*result].as.object.state = NFT_PICKLE_NO_VALUE;
    return NFT_OK;
}

/* OrderedDict() or OrderedDict([(key, value), …]). */
static nft_status call_dict(nft_pickle *p, nft_pickle_ref function, nft_pickle_ref arguments,
                            nft_pickle_ref *result)
{
    (void)function;
    nft_status status = nft_pickle_new(p, NFT_PICKLE_DICT, result);
    const nft_pickle_value *pairs = nft_pickle_at(p, nft_pickle_item(p, arguments, 0));
    if (status || !is_sequence(pairs))
        return status;
    for (int32_t cell = pairs->as.items.first; cell >= 0 && !status; cell = p->cells[cell].next) {
        nft_pickle_ref pair = p->cells[cell].value;
        status = nft_pickle_append(p, *result, nft_pickle_item(p, pair, 0), nft_pickle_item(p, pair, 1));
    }
    return status;
}

/* list((…)) and set([…]) of something that is one already. */
static nft_status call_list(nft_pickle *p, nft_pickle_ref function, nft_pickle_ref arguments,
                            nft_pickle_ref *result)
{
    nft_pickle_ref items = nft_pickle_item(p, arguments, 0);
    (void)function;
    *result = items;
    return is_sequence(nft_pickle_at(p, items)) ? NFT_OK : nft_pickle_new(p, NFT_PICKLE_LIST, result);
}

static nft_status call_first(nft_pickle *p, nft_pickle_ref function, nft_pickle_ref arguments,
                             nft_pickle_ref *result)
{
    *result = nft_pickle_item(p, arguments, 0);
    return *result >= 0 ? NFT_OK : call_unknown(p, function, arguments, result);
}

/* torch.Size: its sizes are one argument, or themselves the arguments. */
static nft_status call_size(nft_pickle *p, nft_pickle_ref function, nft_pickle_ref arguments,
                            nft_pickle_ref *result)
{
    (void)p;
    (void)function;
    nft_pickle_ref first = nft_pickle_item(p, arguments, 0);
    *result = is_sequence(nft_pickle_at(p, first)) ? first : arguments;
    return NFT_OK;
}

static nft_status call_tensor(nft_pickle *p, nft_pickle_ref function, nft_pickle_ref arguments,
                              nft_pickle_ref *result)
{
    nft_status status = nft_pickle_new(p, NFT_PICKLE_TENSOR, result);
    if (status)
        return status;
    bool says_type = nft_pickle_is_class(p, function, "torch._utils", "_rebuild_tensor_v3");
    p->values[*result].as.tensor.arguments = arguments;
    p->values[*result].as.tensor.data_type =
        says_type ? nft_pickle_item(p, arguments, 6) : NFT_PICKLE_NO_VALUE;
    return NFT_OK;
}

/* Bytes in protocol 2: a text and the name of a code. */
static nft_status call_encode(nft_pickle *p, nft_pickle_ref function, nft_pickle_ref arguments,
                              nft_pickle_ref *result)
{
    nft_pickle_ref text = nft_pickle_item(p, arguments, 0), code = nft_pickle_item(p, arguments, 1);
    if (nft_pickle_at(p, text)->kind != NFT_PICKLE_TEXT || !nft_pickle_is_text(p, code, "latin1"))
        return call_unknown(p, function, arguments, result);
    nft_status status = nft_pickle_new(p, NFT_PICKLE_LATIN1, result);
    if (!status)
        p->values[*result].as.text = p->values[text].as.text;
    return status;
}

/* At most `capacity` bytes of a value that stands for bytes; -1 if there are more, or it is none. */
static int64_t decode_bytes(const nft_pickle_value *value, uint8_t *out, int64_t capacity)
{
    if (value->kind != NFT_PICKLE_BYTES && value->kind != NFT_PICKLE_LATIN1)
        return -1;
    const uint8_t *bytes = (const uint8_t *)value->as.text.bytes;
    int64_t count = 0;
    for (int64_t i = 0; i < value->as.text.length; i++) {
        uint8_t byte = bytes[i];
        if (count == capacity)
            return -1;
        if (value->kind == NFT_PICKLE_LATIN1 && byte >= 0x80) { /* two bytes, 0xc2 or 0xc3 first */
            if (byte > 0xc3 || ++i == value->as.text.length)
                return -1;
            byte = (uint8_t)(byte << 6 | (bytes[i] & 0x3f));
        }
        out[count++] = byte;
    }
    return count;
}

static const struct {
    const char *code;
    nft_type type;
} scalar_types[] = {{"f8", NFT_TYPE_F64}, {"f4", NFT_TYPE_F32}, {"f2", NFT_TYPE_F16}, {"i8", NFT_TYPE_I64},
                    {"i4", NFT_TYPE_I32}, {"i2", NFT_TYPE_I16}, {"i1", NFT_TYPE_I8},  {"u4", NFT_TYPE_U32},
                    {"u2", NFT_TYPE_U16}, {"u1", NFT_TYPE_U8},  {"b1", NFT_TYPE_BOOL}};

static void set_number(nft_pickle_value *value, nft_type type, const uint8_t *bytes)
{
    float number;
    if (type == NFT_TYPE_F64) {
        uint64_t bits = nft_load_le(bytes, 8);
        memcpy(&value->as.real, &bits, sizeof bits);
    } else if (nft_type_is_float(type)) {
        nft_convert_to_f32(type, bytes, 1, &number);
        value->as.real = (double)number;
    } else {
        nft_convert_to_i64(type, bytes, 1, &value->as.integer);
    }
}

/* numpy.core.multiarray.scalar(dtype, bytes); the type's state says the order of the bytes. */
static nft_status call_scalar(nft_pickle *p, nft_pickle_ref function, nft_pickle_ref arguments,
                              nft_pickle_ref *result)
{
    const nft_pickle_value *data_type = nft_pickle_at(p, nft_pickle_item(p, arguments, 0));
    uint8_t bytes[LARGEST_SCALAR];
    int64_t length = decode_bytes(nft_pickle_at(p, nft_pickle_item(p, arguments, 1)), bytes, LARGEST_SCALAR);
    for (size_t i = 0; i < sizeof scalar_types / sizeof *scalar_types && data_type->kind == NFT_PICKLE_OBJECT;
         i++) {
        nft_type type = scalar_types[i].type;
        if (length != nft_type_size(type) ||
            !nft_pickle_is_text(p, nft_pickle_item(p, data_type->as.object.arguments, 0),
                                scalar_types[i].code))
            continue;
        if (nft_pickle_is_text(p, nft_pickle_item(p, data_type->as.object.state, 1), ">"))
            nft_reverse_elements(bytes, length, 1);
        nft_status status = nft_pickle_new(p,
                                           type == NFT_TYPE_BOOL     ? NFT_PICKLE_BOOLEAN
                                           : nft_type_is_float(type) ? NFT_PICKLE_REAL
                                                                     : NFT_PICKLE_INTEGER,
                                           result);
        if (!status)
            set_number(&p->values[*result], type, bytes);
        return status;
    }
    return call_unknown(p, function, arguments, result);
}

static const struct {
    const char *module, *name;
    nft_status (*call)(nft_pickle *, nft_pickle_ref, nft_pickle_ref, nft_pickle_ref *);
} functions[] = {
    {"torch._utils", "_rebuild_tensor_v2", call_tensor},
    {"torch._utils", "_rebuild_tensor", call_tensor},
    {"torch._utils", "_rebuild_tensor_v3", call_tensor},
    {"torch._utils", "_rebuild_parameter", call_first},
    {"torch._utils", "_rebuild_parameter_with_state", call_first},
    {"torch.nn.parameter", "Parameter", call_first},
    {"torch.nn.parameter", "Buffer", call_first},
    {"torch", "Size", call_size},
    {"collections", "OrderedDict", call_dict},
    {"collections", "defaultdict", call_dict},
    {"builtins", "dict", call_dict},
    {"builtins", "list", call_list},
    {"builtins", "tuple", call_list},
    {"builtins", "set", call_list},
    {"builtins", "frozenset", call_list},
    {"__builtin__", "dict", call_dict},
    {"__builtin__", "list", call_list},
    {"__builtin__", "tuple", call_list},
    {"__builtin__", "set", call_list},
    {"__builtin__", "frozenset", call_list},
    {"_codecs", "encode", call_encode},
    {"numpy.core.multiarray", "scalar", call_scalar},
    {"numpy._core.multiarray", "scalar", call_scalar},
};

nft_status nft_pickle_call(nft_pickle *p, nft_pickle_ref function, nft_pickle_ref arguments,
                           nft_pickle_ref *result)
{
    /* A tensor of a class that is derived from Tensor, or with attributes: (function, class, arguments,
     * state). */
    while (nft_pickle_is_class(p, function, "torch._tensor", "_rebuild_from_type_v2") &&
           nft_pickle_at(p, nft_pickle_item(p, arguments, 2))->kind == NFT_PICKLE_TUPLE) {
        function = nft_pickle_item(p, arguments, 0);
        arguments = nft_pickle_item(p, arguments, 2);
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (nft_pickle_is_class(p, function, functions[i].module, functions[i].name))
            return functions[i].call(p, function, arguments, result);
    return call_unknown(p, function, arguments, result);
}
