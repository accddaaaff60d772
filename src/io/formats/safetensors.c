/* Opening: the header is parsed and checked once, so that reading a tensor needs no further checks. */
#include "io/formats/format.h"
#include "config/json.h"
#include "space/array.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The limit of the reference implementation. */
#define MAX_HEADER_BYTES INT64_C(100000000)
#define LENGTH_BYTES 8
#define SHAPE_CAPACITY 192

/* Known types have a size to check; others are left out. */
static bool find_type(const char *text, nft_type *type)
{
    for (int t = NFT_TYPE_F32; t < NFT_TYPES; t++)
        if (!strcmp(text, nft_type_name((nft_type)t))) {
            *type = (nft_type)t;
            return true;
        }
    return false;
}

static nft_status read_shape(const char *name, const json_t *value, nft_entry *entry)
{
    if (!json_is_array(value))
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': shape is missing, expected an array of sizes", name);
    size_t rank = json_array_size(value);
    if (rank > NFT_ARRAY_MAX_RANK)
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': has %zu axes, expected at most %d", name, rank,
                        NFT_ARRAY_MAX_RANK);
    for (size_t axis = 0; axis < rank; axis++) {
        const json_t *size = json_array_get(value, axis);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': shape[%zu] is not a size", name, axis);
        entry->shape[axis] = json_integer_value(size);
    }
    entry->rank = (int64_t)rank;
    entry->count = nft_shape_count(entry->shape, entry->rank);
    return NFT_OK;
}

/* Where a tensor's bytes are, from the end of the header. */
typedef struct extent {
    const char *name;
    int64_t begin, end;
} extent;

static nft_status read_offsets(const char *name, const json_t *value, int64_t size, extent *place)
{
    const json_t *first = json_array_get(value, 0), *second = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': data_offsets is not a pair of integers", name);
    int64_t begin = json_integer_value(first), end = json_integer_value(second);
    if (begin < 0 || end < begin || end > size)
        return nft_fail(NFT_ERROR_FORMAT,
                        "tensor '%s': data_offsets are [%" PRId64 ", %" PRId64
                        "], but the file holds %" PRId64 " bytes of data; is it cut short?",
                        name, begin, end, size);
    *place = (extent){name, begin, end};
    return NFT_OK;
}

static nft_status check_span(const char *name, const extent *place, const nft_entry *entry)
{
    int64_t bytes = nft_size_multiply(entry->count, nft_type_size(entry->type));
    char shape[SHAPE_CAPACITY];
    if (place->end - place->begin == bytes)
        return NFT_OK;
    nft_shape_describe(entry->shape, entry->rank, shape, sizeof shape);
    return nft_fail(NFT_ERROR_FORMAT,
                    "tensor '%s': data_offsets span %" PRId64 " bytes, but shape %s of %s needs %" PRId64,
                    name, place->end - place->begin, shape, nft_type_name(entry->type), bytes);
}

static nft_status leave_out(nft_file *file, const char *name, const char *type)
{
    const char *kind = type[0] == 'C'                                       ? "complex numbers"
                       : !strncmp(type, "F4", 2) || !strncmp(type, "F6", 2) ? "quantised numbers"
                                                                            : "a type that is not known";
    return nft_file_leave_out(file, name, strlen(name), "it is %s, %s", type, kind);
}

static nft_status read_entry(nft_file *file, const char *name, const json_t *value, int64_t data,
                             extent *place)
{
    if (!json_is_object(value))
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': its description is not a JSON object", name);
    const char *type = json_string_value(json_object_get(value, "dtype"));
    if (!type)
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': dtype is not a text, expected \"F32\" for example",
                        name);
    nft_entry entry = {.source = &file->source};
    nft_status status = read_shape(name, json_object_get(value, "shape"), &entry);
    if (!status)
        status = read_offsets(name, json_object_get(value, "data_offsets"), file->source.size - data, place);
    if (status)
        return status;
    if (!find_type(type, &entry.type))
        return leave_out(file, name, type);
    entry.offset = data + place->begin;
    status = check_span(name, place, &entry);
    return status ? status : nft_file_add_entry(file, name, strlen(name), &entry, file->source.size);
}

static nft_status read_metadata(nft_file *file, json_t *object)
{
    if (!json_is_object(object))
        return nft_fail(NFT_ERROR_FORMAT, "__metadata__ is not a JSON object");
    size_t count = json_object_size(object);
    file->metadata = nft_allocate_array(count, sizeof *file->metadata);
    if (!file->metadata)
        return nft_fail_memory("metadata", (int64_t)(count * sizeof *file->metadata));
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return nft_fail(NFT_ERROR_FORMAT, "__metadata__: '%s' is not a text", key);
        struct nft_text_pair *pair = &file->metadata[file->metadata_count++];
        pair->key = nft_copy_text(key);
        pair->value = nft_copy_text_range(json_string_value(value), json_string_length(value));
        if (!pair->key || !pair->value)
            return nft_fail_memory("metadata", (int64_t)json_string_length(value));
    }
    return NFT_OK;
}

static int compare_places(const void *a, const void *b)
{
    const extent *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The data must be covered from its first byte to its last, each byte by one tensor. */
static nft_status check_coverage(extent *places, int64_t count, int64_t size)
{
    int64_t expected = 0;
    if (count > 1)
        qsort(places, (size_t)count, sizeof *places, compare_places);
    for (int64_t i = 0; i < count; i++) {
        if (places[i].begin < expected)
            return nft_fail(NFT_ERROR_FORMAT, "tensors '%s' and '%s' overlap at byte %" PRId64 " of the data",
                            places[i - 1].name, places[i].name, places[i].begin);
        if (places[i].begin > expected)
            return nft_fail(NFT_ERROR_FORMAT,
                            "%" PRId64 " bytes of data before tensor '%s' belong to no tensor",
                            places[i].begin - expected, places[i].name);
        expected = places[i].end;
    }
    if (expected != size)
        return nft_fail(NFT_ERROR_FORMAT, "%" PRId64 " bytes after the last tensor belong to no tensor",
                        size - expected);
    return NFT_OK;
}

static nft_status read_header(nft_file *file, json_t *header, int64_t data)
{
    if (!json_is_object(header))
        return nft_fail(NFT_ERROR_FORMAT, "the header is not a JSON object");
    extent *places = nft_allocate_array(json_object_size(header), sizeof *places);
    if (!places)
        return nft_fail_memory("a table of tensors", (int64_t)(json_object_size(header) * sizeof *places));
    const char *name;
    json_t *value;
    int64_t count = 0;
    nft_status status = NFT_OK;
    json_object_foreach(header, name, value)
    {
        if (!strcmp(name, "__metadata__"))
            status = read_metadata(file, value);
        else
            status = read_entry(file, name, value, data, &places[count++]);
        if (status)
            break;
    }
    if (!status)
        status = check_coverage(places, count, file->source.size - data);
    nft_release(places);
    return status;
}

static nft_status parse_header(nft_file *file, const char *text, int64_t length)
{
    json_t *header = NULL;
    nft_status status = nft_json_parse(&header, text, (size_t)length);
    if (status == NFT_ERROR_FORMAT)
        return nft_fail_in(status, "the header is not a safetensors header");
    if (status)
        return status;
    status = read_header(file, header, LENGTH_BYTES + length);
    json_decref(header);
    return status;
}

static nft_status check_length(const nft_file *file, int64_t *length)
{
    int64_t size = file->source.size;
    if (size < LENGTH_BYTES)
        return nft_fail(NFT_ERROR_FORMAT, "%" PRId64 " bytes are too few for a safetensors file", size);
    uint8_t bytes[LENGTH_BYTES];
    nft_status status = nft_source_read(&file->source, 0, LENGTH_BYTES, bytes);
    if (status)
        return status;
    uint64_t value = nft_load_le(bytes, LENGTH_BYTES);
    if (value > (uint64_t)MAX_HEADER_BYTES)
        return nft_fail(NFT_ERROR_FORMAT,
                        "not a file of tensors that libnft knows: as safetensors its header would be %" PRIu64
                        " bytes long, expected at most %" PRId64,
                        value, MAX_HEADER_BYTES);
    if (value > (uint64_t)(size - LENGTH_BYTES))
        return nft_fail(NFT_ERROR_FORMAT,
                        "the header is %" PRIu64 " bytes long, but only %" PRId64 " follow; is it cut short?",
                        value, size - LENGTH_BYTES);
    *length = (int64_t)value;
    return NFT_OK;
}

static nft_status open_safetensors(nft_file *file)
{
    int64_t length = 0;
    nft_status status = check_length(file, &length);
    if (status)
        return status;
    char *copy = NULL;
    if (!file->source.bytes) {
        copy = nft_allocate((size_t)length);
        if (!copy)
            return nft_fail_memory("a header", length);
        status = nft_source_read(&file->source, LENGTH_BYTES, length, copy);
    }
    if (!status)
        status = parse_header(file, copy ? copy : (const char *)file->source.bytes + LENGTH_BYTES, length);
    nft_release(copy);
    return status;
}

/* The length of a header that fits, and an object behind it. */
static bool matches(const nft_start *start)
{
    return start->length > LENGTH_BYTES && start->bytes[LENGTH_BYTES] == '{' &&
           nft_load_le(start->bytes, LENGTH_BYTES) <= (uint64_t)(start->size - LENGTH_BYTES);
}

const nft_format nft_format_safetensors = {"safetensors", matches, open_safetensors, NULL};
