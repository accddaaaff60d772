#define _POSIX_C_SOURCE 200809L
#include "io/index.h"

#include "config/json.h"
#include "io/system.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_BYTES (INT64_C(64) << 20)
#define BEGINNING 8 /* bytes; the length at the beginning of a safetensors file has a 0 among them */

static bool begins_like_json(const char *text, size_t length)
{
    size_t blank = 0;
    while (blank < length && strchr(" \t\r\n", text[blank]) && text[blank])
        blank++;
    return length && !memchr(text, 0, length) && (blank == length || text[blank] == '{');
}

/* The text, or NULL if it is no JSON. */
static nft_status read_text(char **text, int64_t *length, const char *path)
{
    char beginning[BEGINNING];
    int descriptor = -1;
    int64_t size = 0;
    nft_status status = nft_open_regular(path, &descriptor, &size);
    if (status)
        return status;
    int64_t first = size < BEGINNING ? size : BEGINNING;
    status = nft_read_at(descriptor, 0, first, beginning);
    if (!status && begins_like_json(beginning, (size_t)first)) {
        status = nft_check_limit("an index", size, MAX_BYTES);
        if (!status && !(*text = nft_allocate((size_t)size + 1)))
            status = nft_fail_memory("an index", size);
        if (!status)
            status = nft_read_at(descriptor, 0, size, *text);
    }
    close(descriptor);
    *length = size;
    return status ? nft_fail_in(status, "%s", path) : NFT_OK;
}

/* Paths are relative to the index. */
static char *join_path(const char *index, const char *file)
{
    const char *slash = strrchr(index, '/');
    nft_text path = {0};
    if (slash && file[0] != '/')
        nft_text_append_bytes(&path, index, (size_t)(slash - index) + 1);
    nft_text_append(&path, "%s", file);
    if (!path.failed)
        return path.data;
    nft_text_clear(&path);
    return NULL;
}

static nft_status read_part(nft_index_part *part, const char *path, const json_t *value, size_t number)
{
    char where[48];
    nft_options options;
    const char *file = NULL;
    nft_status status;
    snprintf(where, sizeof where, "parts[%zu]", number);
    if ((status = nft_options_open(&options, value, where)) ||
        (status = nft_options_text(&options, "file", true, &file)) ||
        (status = nft_options_integer(&options, "count", true, 1, INT64_MAX, &part->count)) ||
        (status = nft_options_finish(&options)))
        return status;
    part->path = join_path(path, file);
    return part->path ? NFT_OK : nft_fail_memory("a path", (int64_t)strlen(file));
}

static nft_status read_parts(nft_index *index, const char *path, const json_t *value)
{
    nft_options options;
    const json_t *list = NULL;
    int64_t version = 0;
    nft_status status;
    if ((status = nft_options_open(&options, value, "index")) ||
        (status = nft_options_integer(&options, "format_version", true, 1, 1, &version)) ||
        (status = nft_options_value(&options, "parts", true, &list)) ||
        (status = nft_options_finish(&options)))
        return status;
    if (!json_is_array(list) || !json_array_size(list))
        return nft_fail(NFT_ERROR_CONFIG, "index: 'parts' is %s, expected a list of at least one part",
                        json_is_array(list) ? "an empty list" : "not a list");
    size_t count = json_array_size(list);
    index->parts = nft_allocate_array(count, sizeof *index->parts);
    if (!index->parts)
        return nft_fail_memory("an index", (int64_t)(count * sizeof *index->parts));
    index->count = (int64_t)count;
    for (size_t i = 0; i < count && !status; i++)
        status = read_part(&index->parts[i], path, json_array_get(list, i), i);
    return status;
}

/* Other JSON files list the shards of a checkpoint. */
static bool is_index(const json_t *value)
{
    return !json_is_object(value) || json_object_get(value, "parts") ||
           json_object_get(value, "format_version");
}

nft_status nft_index_read(nft_index *index, const char *path)
{
    char *text = NULL;
    int64_t length = 0;
    json_t *value = NULL;
    *index = (nft_index){0};
    nft_status status = read_text(&text, &length, path);
    if (status || !text) {
        nft_release(text);
        return status;
    }
    status = nft_json_parse(&value, text, (size_t)length);
    if (!status && is_index(value))
        status = read_parts(index, path, value);
    json_decref(value);
    nft_release(text);
    if (status == NFT_ERROR_CONFIG)
        status = NFT_ERROR_FORMAT;
    return status ? nft_fail_in(status, "%s", path) : NFT_OK;
}

void nft_index_clear(nft_index *index)
{
    for (int64_t i = 0; i < index->count; i++)
        nft_release(index->parts[i].path);
    nft_release(index->parts);
    *index = (nft_index){0};
}
