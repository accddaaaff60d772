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

/* What the header has promised of one tensor. */
typedef struct promise {
    int64_t size; /* bytes of an element */
    int64_t left; /* bytes to come */
} promise;

struct nft_file_writer {
    char *path;
    nft_beside beside;
    promise *promises;
    int64_t count;
    int64_t current; /* the first tensor that is not complete */
    bool damaged;    /* a write has failed: what is in the file is not known */
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
        promises[i] = (promise){.size = size, .left = bytes};
        begin = end;
    }
    return status;
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
    nft_release(promises);
    return status;
}

static nft_status write_header(nft_file_writer *writer, const nft_output *outputs, int64_t count,
                               const char *const *metadata)
{
    nft_text header = {0};
    nft_status status = make_header(&header, outputs, count, metadata, writer->promises);
    if (status)
        nft_fail_in(status, "%s", writer->path);
    else if (!nft_write_fully(writer->beside.descriptor, header.data, (int64_t)header.length))
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
    writer->beside = (nft_beside)NFT_BESIDE_NONE;
    writer->count = count;
    writer->path = nft_copy_text(path);
    writer->promises = nft_allocate_array((size_t)count, sizeof *writer->promises);
    if (!writer->path || !writer->promises)
        status = nft_fail_memory("a file writer", nft_size_multiply(count, sizeof *writer->promises));
    if (!status)
        status = nft_beside_create(&writer->beside, path);
    if (!status)
        status = write_header(writer, outputs, count, metadata);
    if (status) {
        nft_file_cancel(writer);
        return status;
    }
    *out = writer;
    return NFT_OK;
}

static nft_status write_values(nft_file_writer *writer, const void *data, int64_t size, int64_t bytes)
{
    bool written = true;
    if (nft_little_endian()) {
        written = nft_write_fully(writer->beside.descriptor, data, bytes);
    } else {
        uint8_t buffer[BUFFER_BYTES];
        for (int64_t done = 0; done < bytes && written; done += BUFFER_BYTES) {
            int64_t now = bytes - done < BUFFER_BYTES ? bytes - done : BUFFER_BYTES;
            nft_convert_to_bytes((const char *)data + done, size, now / size, buffer);
            written = nft_write_fully(writer->beside.descriptor, buffer, now);
        }
    }
    return written ? NFT_OK : nft_fail_system(writer->path, "write");
}

/* Whether these bytes are what comes next, so that a call writes all of them or none. */
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
        status = write_values(writer, next, promised->size, now);
        if (status)
            writer->damaged = true;
        promised->left -= now;
        next += now;
        bytes -= now;
    }
    return status;
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
    if (!nft_sync(writer->beside.descriptor))
        return nft_fail_system(writer->path, "write");
    return nft_beside_commit(&writer->beside, &action) ? NFT_OK : nft_fail_system(writer->path, action);
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
    nft_beside_clear(&writer->beside);
    nft_release(writer->promises);
    nft_release(writer->path);
    nft_release(writer);
}
