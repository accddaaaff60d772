/* Opening: the header is parsed and checked once, so that reading a tensor needs no further checks. */
#define _POSIX_C_SOURCE 200809L
#include "config/json.h"
#include "io/safetensors.h"
#include "io/system.h"
#include "space/array.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The limit of the reference implementation. */
#define MAX_HEADER_BYTES INT64_C(100000000)
#define LENGTH_BYTES 8
#define SHAPE_CAPACITY 192

static nft_status read_type(const char *name, const json_t *value, nft_type *type)
{
    const char *text = json_string_value(value);
    for (int t = NFT_TYPE_F32; text && t < NFT_TYPES; t++)
        if (!strcmp(text, nft_type_name((nft_type)t))) {
            *type = (nft_type)t;
            return NFT_OK;
        }
    if (!text)
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': dtype is not a text, expected \"F32\" for example",
                        name);
    return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': dtype is %s, which is not known, nor how large it is",
                    name, text);
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

static int64_t entry_bytes(const nft_entry *entry)
{
    return nft_size_multiply(entry->count, nft_type_size(entry->type));
}

/* data_offsets are [begin, end) from the end of the header. */
static nft_status read_offsets(const char *name, const json_t *value, int64_t data, int64_t size,
                               nft_entry *entry)
{
    const json_t *first = json_array_get(value, 0), *second = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': data_offsets is not a pair of integers", name);
    int64_t begin = json_integer_value(first), end = json_integer_value(second);
    if (begin < 0 || end < begin || end > size - data)
        return nft_fail(NFT_ERROR_FORMAT,
                        "tensor '%s': data_offsets are [%" PRId64 ", %" PRId64
                        "], but the file holds %" PRId64 " bytes of data; is it cut short?",
                        name, begin, end, size - data);
    if (end - begin != entry_bytes(entry)) {
        char shape[SHAPE_CAPACITY];
        nft_shape_describe(entry->shape, entry->rank, shape, sizeof shape);
        return nft_fail(NFT_ERROR_FORMAT,
                        "tensor '%s': data_offsets span %" PRId64 " bytes, but shape %s of %s needs %" PRId64,
                        name, end - begin, shape, nft_type_name(entry->type), entry_bytes(entry));
    }
    entry->offset = data + begin;
    return NFT_OK;
}

static nft_status read_entry(const char *name, const json_t *value, int64_t data, int64_t size,
                             nft_entry *entry)
{
    if (!json_is_object(value))
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': its description is not a JSON object", name);
    nft_status status = read_type(name, json_object_get(value, "dtype"), &entry->type);
    if (!status)
        status = read_shape(name, json_object_get(value, "shape"), entry);
    if (!status)
        status = read_offsets(name, json_object_get(value, "data_offsets"), data, size, entry);
    if (status)
        return status;
    entry->name = nft_copy_text(name);
    return entry->name ? NFT_OK : nft_fail_memory("a tensor's name", (int64_t)strlen(name));
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

static nft_status read_header(nft_file *file, json_t *header, int64_t data)
{
    if (!json_is_object(header))
        return nft_fail(NFT_ERROR_FORMAT, "the header is not a JSON object");
    file->entries = nft_allocate_array(json_object_size(header), sizeof *file->entries);
    if (!file->entries)
        return nft_fail_memory("a table of tensors",
                               (int64_t)(json_object_size(header) * sizeof *file->entries));
    const char *name;
    json_t *value;
    nft_status status = NFT_OK;
    json_object_foreach(header, name, value)
    {
        if (!strcmp(name, "__metadata__"))
            status = read_metadata(file, value);
        else
            status = read_entry(name, value, data, file->size, &file->entries[file->entry_count++]);
        if (status)
            break;
    }
    return status;
}

static int compare_places(const void *a, const void *b)
{
    const nft_entry *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    int64_t m = entry_bytes(x), n = entry_bytes(y);
    return (m > n) - (m < n);
}

static int compare_entries(const void *a, const void *b)
{
    return nft_compare_names(((const nft_entry *)a)->name, ((const nft_entry *)b)->name);
}

/* The data must be covered from its first byte to its last, each byte by one tensor. */
static nft_status check_coverage(nft_file *file, int64_t data)
{
    nft_entry *entries = file->entries;
    qsort(entries, (size_t)file->entry_count, sizeof *entries, compare_places);
    int64_t expected = data;
    for (int64_t i = 0; i < file->entry_count; i++) {
        if (entries[i].offset < expected)
            return nft_fail(NFT_ERROR_FORMAT, "tensors '%s' and '%s' overlap at byte %" PRId64 " of the data",
                            entries[i - 1].name, entries[i].name, entries[i].offset - data);
        if (entries[i].offset > expected)
            return nft_fail(NFT_ERROR_FORMAT,
                            "%" PRId64 " bytes of data before tensor '%s' belong to no tensor",
                            entries[i].offset - expected, entries[i].name);
        expected += entry_bytes(&entries[i]);
    }
    if (expected != file->size)
        return nft_fail(NFT_ERROR_FORMAT, "%" PRId64 " bytes after the last tensor belong to no tensor",
                        file->size - expected);
    return NFT_OK;
}

static nft_status parse_header(nft_file *file, const char *text, int64_t length)
{
    json_t *header = NULL;
    nft_status status = nft_json_parse(&header, text, (size_t)length);
    if (status == NFT_ERROR_FORMAT)
        return nft_fail_in(status, "the header is not a safetensors header");
    if (status)
        return status;
    int64_t data = LENGTH_BYTES + length;
    status = read_header(file, header, data);
    json_decref(header);
    if (!status)
        status = check_coverage(file, data);
    if (!status)
        qsort(file->entries, (size_t)file->entry_count, sizeof *file->entries, compare_entries);
    return status;
}

static nft_status read_bytes(const nft_file *file, int64_t offset, int64_t bytes, void *out)
{
    if (!file->bytes)
        return nft_read_at(file->descriptor, offset, bytes, out);
    if (bytes)
        memcpy(out, file->bytes + offset, (size_t)bytes);
    return NFT_OK;
}

/* What a file that begins with these bytes is, if that is no length of a header; NULL if nobody can tell. */
static const char *other_format(const uint8_t bytes[LENGTH_BYTES])
{
    if (bytes[LENGTH_BYTES - 1] == 0)
        return NULL;
    if (bytes[0] == '{')
        return "it looks like JSON; a configuration is read by nft_model_create, and by the program where "
               "MODEL is asked for";
    if (!memcmp(bytes, "PK\3\4", 4))
        return "it looks like a zip archive; save with safetensors.torch.save_file, not torch.save";
    if (!memcmp(bytes, "\x89PNG", 4))
        return "it looks like a PNG image; nftool fit makes networks of images";
    if (!memcmp(bytes, "\x93NUMPY", 6))
        return "it looks like a NumPy array; save with safetensors.numpy.save_file";
    return NULL;
}

/* Of gzip, which may also begin as the length of a header does. */
static bool is_gzipped(const uint8_t bytes[LENGTH_BYTES])
{
    return bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8;
}

static nft_status check_length(const nft_file *file, int64_t *length)
{
    if (file->size < LENGTH_BYTES)
        return nft_fail(NFT_ERROR_FORMAT, "%" PRId64 " bytes are too few for a safetensors file", file->size);
    uint8_t bytes[LENGTH_BYTES];
    nft_status status = read_bytes(file, 0, LENGTH_BYTES, bytes);
    if (status)
        return status;
    const char *other = other_format(bytes);
    if (other)
        return nft_fail(NFT_ERROR_FORMAT, "not a safetensors file: %s", other);
    uint64_t value = 0;
    for (int i = 0; i < LENGTH_BYTES; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    if (value > (uint64_t)(file->size - LENGTH_BYTES) && is_gzipped(bytes))
        return nft_fail(NFT_ERROR_FORMAT, "not a safetensors file: it looks gzipped");
    if (value > (uint64_t)MAX_HEADER_BYTES)
        return nft_fail(NFT_ERROR_FORMAT,
                        "not a safetensors file: its header would be %" PRIu64
                        " bytes long, expected at most %" PRId64,
                        value, MAX_HEADER_BYTES);
    if (value > (uint64_t)(file->size - LENGTH_BYTES))
        return nft_fail(NFT_ERROR_FORMAT,
                        "the header is %" PRIu64 " bytes long, but only %" PRId64 " follow; is it cut short?",
                        value, file->size - LENGTH_BYTES);
    *length = (int64_t)value;
    return NFT_OK;
}

/* Expects path, size and one of descriptor and bytes. */
static nft_status read_file(nft_file *file)
{
    int64_t length = 0;
    nft_status status = check_length(file, &length);
    if (status)
        return status;
    char *copy = NULL;
    if (!file->bytes) {
        copy = nft_allocate((size_t)length);
        if (!copy)
            return nft_fail_memory("a header", length);
        status = read_bytes(file, LENGTH_BYTES, length, copy);
    }
    if (!status)
        status = parse_header(file, copy ? copy : (const char *)file->bytes + LENGTH_BYTES, length);
    nft_release(copy);
    return status;
}

static nft_status new_file(nft_file **out, const char *path)
{
    nft_file *file = nft_allocate(sizeof *file);
    if (!file)
        return nft_fail_memory("a file", sizeof *file);
    file->descriptor = -1;
    file->path = nft_copy_text(path);
    if (!file->path) {
        nft_file_free(file);
        return nft_fail_memory("a file name", (int64_t)strlen(path));
    }
    *out = file;
    return NFT_OK;
}

nft_status nft_file_open(nft_file **out, const char *path)
{
    if (!out)
        return nft_fail_null("nft_file_open", "file");
    *out = NULL;
    if (!path)
        return nft_fail_null("nft_file_open", "path");
    nft_file *file = NULL;
    nft_status status = new_file(&file, path);
    if (!status)
        status = nft_open_regular(path, &file->descriptor, &file->size);
    if (!status && (status = read_file(file)))
        nft_fail_in(status, "%s", file->path);
    if (status) {
        nft_file_free(file);
        return status;
    }
    *out = file;
    return NFT_OK;
}

nft_status nft_file_open_memory(nft_file **out, const void *bytes, size_t size)
{
    if (!out)
        return nft_fail_null("nft_file_open_memory", "file");
    *out = NULL;
    if (!bytes)
        return nft_fail_null("nft_file_open_memory", "bytes");
    if (size > (size_t)INT64_MAX)
        return nft_fail(NFT_ERROR_LIMIT,
                        "nft_file_open_memory: size is %zu bytes, more than can be addressed", size);
    nft_file *file = NULL;
    nft_status status = new_file(&file, "memory");
    if (status)
        return status;
    file->bytes = bytes;
    file->size = (int64_t)size;
    status = read_file(file);
    if (status) {
        nft_fail_in(status, "%s", file->path);
        nft_file_free(file);
        return status;
    }
    *out = file;
    return NFT_OK;
}

void nft_file_close(nft_file *file)
{
    if (file->descriptor >= 0)
        close(file->descriptor);
    file->descriptor = -1;
    file->bytes = NULL;
}

void nft_file_free(nft_file *file)
{
    if (!file)
        return;
    nft_file_close(file);
    for (int64_t i = 0; i < file->entry_count; i++)
        nft_release(file->entries[i].name);
    for (int64_t i = 0; i < file->metadata_count; i++) {
        nft_release(file->metadata[i].key);
        nft_release(file->metadata[i].value);
    }
    nft_release(file->entries);
    nft_release(file->metadata);
    nft_release(file->path);
    nft_release(file);
}
