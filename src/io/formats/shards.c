/* One network in several files: `*.safetensors.index.json` or `*.bin.index.json` says which tensor is in
 * which. */
#include "io/formats/format.h"
#include "config/json.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define MAX_INDEX_BYTES INT64_C(100000000)

static bool matches(const nft_start *start)
{
    int64_t at = 0;
    while (at < start->length && isspace(start->bytes[at]))
        at++;
    return at < start->length && start->bytes[at] == '{' && start->size <= MAX_INDEX_BYTES;
}

/* The path of a file next to the index. Free with nft_release(). */
static nft_status path_of_shard(const nft_file *file, const char *name, char **path)
{
    nft_text text = {0};
    const char *end = strrchr(file->path, '/');
    if (!*name || strchr(name, '/') || strchr(name, '\\'))
        return nft_fail(NFT_ERROR_FORMAT, "the index names the file '%s', expected one in its own folder",
                        name);
    if (end)
        nft_text_append_bytes(&text, file->path, (size_t)(end + 1 - file->path));
    nft_text_append(&text, "%s", name);
    if (text.failed) {
        nft_text_clear(&text);
        return nft_fail_memory("a path", (int64_t)strlen(name));
    }
    *path = text.data;
    return NFT_OK;
}

/* The tensors of a shard become the file's. */
static nft_status take_entries(nft_file *file, nft_file *shard)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < shard->entry_count && !status; i++) {
        const nft_entry *entry = &shard->entries[i];
        if (!entry->source)
            return nft_fail(NFT_ERROR_FORMAT, "%s is a file of %s, which is not read as a part of a network",
                            shard->path, shard->format->name);
        status = nft_file_add_entry(file, entry->name, strlen(entry->name), entry, entry->source->size);
    }
    for (int64_t i = 0; i < shard->left_out_count && !status; i++) {
        const nft_left_out *left_out = &shard->left_out[i];
        status = nft_file_leave_out(file, left_out->name, strlen(left_out->name), "%s", left_out->reason);
    }
    return status;
}

static nft_status add_shard(nft_file *file, const char *name, int64_t capacity)
{
    char *path = NULL;
    nft_file *shard = NULL;
    if (file->shard_count == capacity)
        return nft_fail(NFT_ERROR_FORMAT, "the index names more files than tensors");
    nft_status status = path_of_shard(file, name, &path);
    if (!status)
        status = nft_file_open_shard(&shard, path, file->limit);
    nft_release(path);
    if (status)
        return status;
    file->shards[file->shard_count++] = shard;
    return take_entries(file, shard);
}

static bool is_open(const nft_file *file, const char *name)
{
    for (int64_t i = file->shard_count - 1; i >= 0; i--) {
        const char *path = file->shards[i]->path, *end = strrchr(path, '/');
        if (!strcmp(end ? end + 1 : path, name))
            return true;
    }
    return false;
}

static nft_status open_shards(nft_file *file, json_t *map)
{
    const char *tensor;
    json_t *name;
    nft_status status = NFT_OK;
    int64_t capacity = (int64_t)json_object_size(map);
    file->shards = nft_allocate_array((size_t)capacity, sizeof *file->shards);
    if (!file->shards)
        return nft_fail_memory("a list of files", capacity * (int64_t)sizeof *file->shards);
    json_object_foreach(map, tensor, name)
    {
        if (!json_is_string(name))
            return nft_fail(NFT_ERROR_FORMAT, "weight_map: '%s' is not the name of a file", tensor);
        if (!is_open(file, json_string_value(name)))
            status = add_shard(file, json_string_value(name), capacity);
        if (status)
            return status;
    }
    return nft_file_sort(file);
}

/* Each tensor must be where the index says. */
static nft_status check_map(const nft_file *file, json_t *map)
{
    const char *tensor;
    json_t *name;
    json_object_foreach(map, tensor, name)
    {
        if (!nft_file_find(file, tensor) && !nft_file_why_left_out(file, tensor))
            return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' is not in %s, where the index has it", tensor,
                            json_string_value(name));
    }
    return NFT_OK;
}

static nft_status fail_json(void)
{
    return nft_fail(
        NFT_ERROR_FORMAT,
        "not a file of tensors: it looks like JSON; a configuration is read by nft_model_create, and by "
        "the program where MODEL is asked for");
}

static nft_status open_index(nft_file *file)
{
    json_t *index = NULL;
    char *text = nft_allocate((size_t)file->source.size);
    if (!text)
        return nft_fail_memory("an index", file->source.size);
    nft_status status = nft_source_read(&file->source, 0, file->source.size, text);
    if (!status)
        status = nft_json_parse(&index, text, (size_t)file->source.size);
    nft_release(text);
    if (status)
        return status == NFT_ERROR_FORMAT ? fail_json() : status;
    json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map))
        status = fail_json();
    else if (file->source.bytes)
        status =
            nft_fail(NFT_ERROR_FORMAT, "it is an index of files, which can only be read from its folder");
    if (!status)
        status = open_shards(file, map);
    if (!status)
        status = check_map(file, map);
    json_decref(index);
    return status;
}

const nft_format nft_format_shards = {"an index", matches, open_index, NULL};
