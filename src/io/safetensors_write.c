/* Writing: a neighbour of the target gets the header, then the data, and is renamed over the target at the
 * end. */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include "io/convert.h"
#include "config/json.h"
#include "io/system.h"
#include "space/array.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_HEADER_BYTES 100000000
#define HEADER_ALIGNMENT 8
#define BUFFER_BYTES 16384

/* The size of one tensor, as the header has it. */
typedef struct promise {
    char *name;
    nft_type type;
    int64_t size;         /* bytes of an element */
    int64_t begin, bytes; /* behind the header */
    int64_t left;         /* bytes to come */
} promise;

/* Tensors by their names. */
typedef struct named {
    const char *name;
    int64_t tensor;
} named;

struct nft_file_writer {
    char *path;
    nft_replacement replacement;
    promise *promises;
    named *sorted; /* by name */
    int64_t count;
    int64_t current; /* the first tensor that is not complete */
    int64_t header;  /* bytes before the first tensor */
    int64_t written; /* bytes behind them, of a file that is written in order */
    bool damaged;    /* a write has failed: the content of the file is not known */
};

/* Appends a JSON string. jansson writes UTF-8 only, which is all that a header may hold. */
static nft_status append_string(nft_text *header, const char *string)
{
    json_t *value = json_string_nocheck(string);
    bool written = value && nft_json_append(header, value, JSON_ENCODE_ANY);
    bool memory = !value || header->failed;
    json_decref(value);
    if (memory)
        return nft_fail_memory("a header", (int64_t)strlen(string));
    return written ? NFT_OK : nft_fail(NFT_ERROR_ARGUMENT, "name or metadata '%s' is not UTF-8", string);
}

static nft_status append_metadata(nft_text *header, const char *const *metadata)
{
    nft_status status = NFT_OK;
    for (const char *const *key = metadata; *key && !status; key += 2) {
        nft_text_append(header, key > metadata ? "," : "\"__metadata__\":{");
        status = append_string(header, key[0]);
        nft_text_append(header, ":");
        if (!status)
            status = append_string(header, key[1]);
    }
    nft_text_append(header, *metadata ? "}" : "");
    return status;
}

static nft_status append_output(nft_text *header, const nft_output *output, int64_t begin, int64_t end)
{
    nft_status status = append_string(header, output->name);
    nft_text_append(header, ":{\"dtype\":\"%s\",\"shape\":[", nft_type_name(output->type));
    for (int64_t axis = 0; axis < output->rank; axis++)
        nft_text_append(header, "%s%" PRId64, axis ? "," : "", output->shape[axis]);
    nft_text_append(header, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", begin, end);
    return status;
}

static nft_status append_outputs(nft_text *header, const nft_output *outputs, int64_t count,
                                 bool after_metadata, promise *promises)
{
    int64_t begin = 0;
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < count && !status; i++) {
        int64_t size = nft_type_size(outputs[i].type);
        int64_t bytes = nft_size_multiply(nft_shape_count(outputs[i].shape, outputs[i].rank), size);
        int64_t end = nft_size_add(begin, bytes);
        if (end > INT64_MAX / 2)
            return nft_fail(NFT_ERROR_LIMIT, "tensor '%s': the file's size overflows 64 bits",
                            outputs[i].name);
        nft_text_append(header, i || after_metadata ? "," : "");
        status = append_output(header, &outputs[i], begin, end);
        promises[i] = (promise){nft_copy_text(outputs[i].name), outputs[i].type, size, begin, bytes, bytes};
        if (!promises[i].name)
            return nft_fail_memory("a tensor's name", (int64_t)strlen(outputs[i].name));
        begin = end;
    }
    return status;
}

static void free_promises(promise *promises, int64_t count)
{
    for (int64_t i = 0; promises && i < count; i++)
        nft_release(promises[i].name);
    nft_release(promises);
}

static nft_status make_header(nft_text *header, const nft_output *outputs, int64_t count,
                              const char *const *metadata, promise *promises)
{
    nft_text_append(header, "        {");
    nft_status status = append_metadata(header, metadata);
    if (!status)
        status = append_outputs(header, outputs, count, *metadata != NULL, promises);
    nft_text_append(header, "}");
    while (header->length % HEADER_ALIGNMENT && !header->failed)
        nft_text_append(header, " ");
    if (status)
        return status;
    if (header->failed)
        return nft_fail_memory("a header", (int64_t)header->length);
    if (header->length - HEADER_ALIGNMENT > MAX_HEADER_BYTES)
        return nft_fail(NFT_ERROR_LIMIT, "the header is %zu bytes long, the format's limit is %d",
                        header->length, MAX_HEADER_BYTES);
    uint64_t length = header->length - HEADER_ALIGNMENT;
    nft_convert_to_bytes(&length, sizeof length, 1, (uint8_t *)header->data);
    return NFT_OK;
}

nft_status nft_file_header(nft_text *header, const nft_output *outputs, int64_t count,
                           const char *const *metadata)
{
    promise *promises = nft_allocate_array((size_t)count, sizeof *promises);
    nft_status status = promises ? make_header(header, outputs, count, metadata, promises)
                                 : nft_fail_memory("a header", count * (int64_t)sizeof *promises);
    free_promises(promises, count);
    return status;
}

static nft_status write_header(nft_file_writer *writer, const nft_output *outputs, int64_t count,
                               const char *const *metadata)
{
    nft_text header = {0};
    nft_status status = make_header(&header, outputs, count, metadata, writer->promises);
    writer->header = (int64_t)header.length;
    if (status)
        nft_fail_in(status, "%s", writer->path);
    else if (!nft_write_fully(writer->replacement.descriptor, header.data, (int64_t)header.length))
        status = nft_fail_system(writer->path, "write");
    nft_text_clear(&header);
    return status;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A text that is there twice, or NULL. Sorts them. */
static const char *find_twin(const char **texts, int64_t count)
{
    qsort(texts, (size_t)count, sizeof *texts, compare_texts);
    for (int64_t i = 1; i < count; i++)
        if (!strcmp(texts[i - 1], texts[i]))
            return texts[i];
    return NULL;
}

static nft_status check_names(const char *path, const nft_output *outputs, int64_t count)
{
    const char **names = nft_allocate_array((size_t)count, sizeof *names), *twin;
    if (!names)
        return nft_fail_memory("a table of tensors", count * (int64_t)sizeof *names);
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < count; i++) {
        names[i] = outputs[i].name;
        if (!strcmp(names[i], "__metadata__"))
            status = nft_fail(NFT_ERROR_ARGUMENT, "%s: a tensor cannot be named __metadata__", path);
    }
    if (!status && (twin = find_twin(names, count)))
        status = nft_fail(NFT_ERROR_ARGUMENT, "%s: two tensors are named '%s'", path, twin);
    nft_release(names);
    return status;
}

static nft_status check_metadata(const char *path, const char *const *metadata)
{
    int64_t count = 0;
    for (; metadata[2 * count]; count++)
        if (!metadata[2 * count + 1])
            return nft_fail(NFT_ERROR_ARGUMENT, "%s: metadata '%s' has no text", path, metadata[2 * count]);
    const char **keys = nft_allocate_array((size_t)count, sizeof *keys), *twin;
    if (!keys)
        return nft_fail_memory("a table of metadata", count * (int64_t)sizeof *keys);
    for (int64_t i = 0; i < count; i++)
        keys[i] = metadata[2 * i];
    twin = find_twin(keys, count);
    nft_status status =
        twin ? nft_fail(NFT_ERROR_ARGUMENT, "%s: metadata has two texts for '%s'", path, twin) : NFT_OK;
    nft_release(keys);
    return status;
}

static nft_status check_target(const char *path)
{
    struct stat about;
    if (stat(path, &about) || !(S_ISDIR(about.st_mode) || S_ISBLK(about.st_mode)))
        return NFT_OK;
    return nft_fail(NFT_ERROR_FILE, "%s: cannot write: it is %s", path,
                    S_ISDIR(about.st_mode) ? "a folder" : "a block device");
}

static int compare_named(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

/* Once the header is written the promises have their names. */
static void sort_names(nft_file_writer *writer)
{
    for (int64_t i = 0; i < writer->count; i++)
        writer->sorted[i] = (named){writer->promises[i].name, i};
    if (writer->count)
        qsort(writer->sorted, (size_t)writer->count, sizeof *writer->sorted, compare_named);
}

nft_status nft_file_create(nft_file_writer **out, const char *path, const nft_output *outputs, int64_t count,
                           const char *const *metadata)
{
    static const char *const none[] = {NULL};
    *out = NULL;
    metadata = metadata ? metadata : none;
    nft_status status = check_names(path, outputs, count);
    if (!status)
        status = check_metadata(path, metadata);
    if (!status)
        status = check_target(path);
    if (status)
        return status;
    nft_file_writer *writer = nft_allocate(sizeof *writer);
    if (!writer)
        return nft_fail_memory("a file writer", sizeof *writer);
    writer->replacement = (nft_replacement)NFT_REPLACEMENT_NONE;
    writer->count = count;
    writer->path = nft_copy_text(path);
    writer->promises = nft_allocate_array((size_t)count, sizeof *writer->promises);
    writer->sorted = nft_allocate_array((size_t)count, sizeof *writer->sorted);
    if (!writer->path || !writer->promises || !writer->sorted)
        status = nft_fail_memory("a file writer", nft_size_multiply(count, sizeof *writer->promises));
    if (!status)
        status = nft_replacement_create(&writer->replacement, path);
    if (!status)
        status = write_header(writer, outputs, count, metadata);
    if (status) {
        nft_file_cancel(writer);
        return status;
    }
    sort_names(writer);
    *out = writer;
    return NFT_OK;
}

/* `offset` of a file that is written in any order; -1: behind all that was written. */
static bool write_bytes(const nft_file_writer *writer, const void *data, int64_t bytes, int64_t offset)
{
    return offset < 0 ? nft_write_fully(writer->replacement.descriptor, data, bytes)
                      : nft_write_at(writer->replacement.descriptor, offset, data, bytes);
}

static nft_status write_values(nft_file_writer *writer, const void *data, int64_t size, int64_t bytes,
                               int64_t offset)
{
    bool written = true;
    if (nft_little_endian()) {
        written = write_bytes(writer, data, bytes, offset);
    } else {
        uint8_t buffer[BUFFER_BYTES];
        for (int64_t done = 0; done < bytes && written; done += BUFFER_BYTES) {
            int64_t now = bytes - done < BUFFER_BYTES ? bytes - done : BUFFER_BYTES;
            nft_convert_to_bytes((const char *)data + done, size, now / size, buffer);
            written = write_bytes(writer, buffer, now, offset < 0 ? -1 : offset + done);
        }
    }
    writer->damaged = writer->damaged || !written;
    return written ? NFT_OK : nft_fail_system(writer->path, "write");
}

/* Whether these bytes may come next, so that a call writes all of them or none. */
static nft_status check_bytes(const nft_file_writer *writer, int64_t bytes)
{
    for (int64_t i = writer->current; i < writer->count && bytes > 0; i++) {
        const promise *promised = &writer->promises[i];
        int64_t now = bytes < promised->left ? bytes : promised->left;
        if (now % promised->size)
            return nft_fail(NFT_ERROR_ARGUMENT, "%s: a part of a number cannot be written", writer->path);
        bytes -= now;
    }
    return bytes <= 0 ? NFT_OK
                      : nft_fail(NFT_ERROR_ARGUMENT, "%s: %" PRId64 " bytes more than its header says",
                                 writer->path, bytes);
}

nft_status nft_file_append(nft_file_writer *writer, const void *data, int64_t bytes)
{
    const char *next = data;
    nft_status status = check_bytes(writer, bytes);
    while (bytes > 0 && !status) {
        while (!writer->promises[writer->current].left)
            writer->current++;
        promise *promised = &writer->promises[writer->current];
        int64_t now = bytes < promised->left ? bytes : promised->left;
        status = write_values(writer, next, promised->size, now, -1);
        promised->left -= now;
        next += now;
        bytes -= now;
    }
    return status;
}

static const named *find_named(const nft_file_writer *writer, const char *name)
{
    const named wanted = {name, 0};
    return writer->count
               ? bsearch(&wanted, writer->sorted, (size_t)writer->count, sizeof wanted, compare_named)
               : NULL;
}

bool nft_file_has_name(const nft_file_writer *writer, const char *name)
{
    return find_named(writer, name) != NULL;
}

nft_status nft_file_find_output(int64_t *tensor, const nft_file_writer *writer, const char *name, int64_t row)
{
    const named *found = find_named(writer, name);
    if (!found)
        return nft_fail(NFT_ERROR_MISMATCH, "%s: has no tensor '%s'", writer->path, name);
    const promise *promised = &writer->promises[found->tensor];
    int64_t numbers = promised->bytes / promised->size;
    *tensor = found->tensor;
    if (promised->type == NFT_TYPE_F32 && (row ? numbers % row == 0 : numbers == 0))
        return NFT_OK;
    return nft_fail(NFT_ERROR_MISMATCH, "%s: tensor '%s' has no rows of %" PRId64 " floats", writer->path,
                    name, row);
}

bool nft_file_has_output(const nft_file_writer *writer, int64_t tensor)
{
    return tensor >= 0 && tensor < writer->count;
}

/* A device or a pipe cannot be written to in any order. */
static bool has_places(const nft_file_writer *writer)
{
    return writer->replacement.name != NULL;
}

nft_status nft_file_write(nft_file_writer *writer, int64_t tensor, int64_t first, const void *data,
                          int64_t count)
{
    promise *promised = &writer->promises[tensor];
    int64_t bytes = nft_size_multiply(count, promised->size);
    int64_t begin = nft_size_add(promised->begin, nft_size_multiply(first, promised->size));
    if (first > promised->bytes / promised->size - count || bytes > promised->left)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: tensor '%s' has no %" PRId64 " elements from %" PRId64 " on",
                        writer->path, promised->name, count, first);
    if (!has_places(writer) && begin != writer->written)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: can only be written in the order of its tensors",
                        writer->path);
    nft_status status =
        write_values(writer, data, promised->size, bytes, has_places(writer) ? writer->header + begin : -1);
    if (status)
        return status;
    promised->left -= bytes;
    writer->written += bytes;
    return NFT_OK;
}

static nft_status finish(nft_file_writer *writer)
{
    if (writer->damaged)
        return nft_fail(NFT_ERROR_FILE, "%s: a write has failed before", writer->path);
    for (int64_t i = 0; i < writer->count; i++)
        if (writer->promises[i].left)
            return nft_fail(NFT_ERROR_ARGUMENT, "%s: %" PRId64 " bytes fewer than its header says",
                            writer->path, writer->promises[i].left);
    const char *action = NULL;
    if (!nft_sync(writer->replacement.descriptor))
        return nft_fail_system(writer->path, "write");
    return nft_replacement_commit(&writer->replacement, &action) ? NFT_OK
                                                                 : nft_fail_system(writer->path, action);
}

nft_status nft_file_commit(nft_file_writer *writer)
{
    nft_status status = finish(writer);
    nft_file_cancel(writer);
    return status;
}

void nft_file_cancel(nft_file_writer *writer)
{
    if (!writer)
        return;
    nft_replacement_clear(&writer->replacement);
    free_promises(writer->promises, writer->count);
    nft_release(writer->sorted);
    nft_release(writer->path);
    nft_release(writer);
}
