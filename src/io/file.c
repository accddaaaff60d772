/* Opening and closing: the format is found by the first bytes. */
#define _POSIX_C_SOURCE 200809L
#include "io/file.h"
#include "io/formats/format.h"
#include "io/system.h"
#include "io/views.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* Marks that cannot be mistaken come first. */
static const nft_format *const formats[] = {
    &nft_format_safetensors, &nft_format_zip,    &nft_format_torch_stream, &nft_format_numpy,
    &nft_format_gzip,        &nft_format_shards, &nft_format_onnx,         &nft_format_hdf5,
};

bool nft_start_is(const nft_start *start, const void *bytes, size_t length)
{
    return start->length >= (int64_t)length && !memcmp(start->bytes, bytes, length);
}

static nft_status read_start(const nft_file *file, nft_start *start)
{
    *start = (nft_start){.size = file->source.size};
    start->length = start->size < NFT_START_BYTES ? start->size : NFT_START_BYTES;
    return nft_source_read(&file->source, 0, start->length, start->bytes);
}

nft_status nft_file_list(nft_file *file)
{
    nft_start start;
    nft_status status = read_start(file, &start);
    if (!status)
        status = nft_refuse_pieces(file->path);
    const nft_format *found = NULL;
    for (size_t i = 0; i < sizeof formats / sizeof *formats && !found && !status; i++)
        if (formats[i]->matches(&start) && !(file->is_shard && formats[i] == &nft_format_shards))
            found = formats[i];
    if (!status && !found)
        status = nft_refuse_other_files(file->path, &start);
    if (status)
        return status;
    /* One that is nothing else is refused with the reader's message. */
    file->format = found ? found : &nft_format_safetensors;
    return file->format->open(file);
}

static nft_status new_file(nft_file **out, const char *path, int64_t limit)
{
    nft_file *file = nft_allocate(sizeof *file);
    if (!file)
        return nft_fail_memory("a file", sizeof *file);
    file->source.descriptor = -1;
    file->limit = limit > 0 ? limit : nft_machine_memory() / 2;
    file->path = nft_copy_text(path);
    if (!file->path) {
        nft_file_free(file);
        return nft_fail_memory("a file name", (int64_t)strlen(path));
    }
    *out = file;
    return NFT_OK;
}

static void tell_left_out(const nft_file *file)
{
    if (file->left_out_count)
        nft_log(NFT_LOG_WARNING, "%s: %" PRId64 " of its parts are not read; the first is '%s': %s",
                file->path, file->left_out_count, file->left_out[0].name, file->left_out[0].reason);
}

/* Expects path and source. Takes the file over if it fails. */
static nft_status finish_opening(nft_file **out, nft_file *file)
{
    nft_status status = nft_file_list(file);
    if (!status)
        status = nft_file_sort(file);
    if (status) {
        nft_fail_in(status, "%s", file->path);
        nft_file_free(file);
        return status;
    }
    *out = file;
    return NFT_OK;
}

static nft_status open_path(nft_file **out, const char *path, int64_t limit, bool is_shard)
{
    nft_file *file = NULL;
    nft_status status = new_file(&file, path, limit);
    if (!status)
        status = nft_open_regular(path, &file->source.descriptor, &file->source.size);
    if (status) {
        nft_file_free(file);
        return status;
    }
    file->is_shard = is_shard;
    return finish_opening(out, file);
}

nft_status nft_file_open_within(nft_file **out, const char *path, int64_t limit)
{
    nft_status status = open_path(out, path, limit, false);
    if (!status)
        tell_left_out(*out);
    return status;
}

nft_status nft_file_open_quietly(nft_file **out, const char *path)
{
    return open_path(out, path, 0, false);
}

nft_status nft_file_open_shard(nft_file **out, const char *path, int64_t limit)
{
    nft_status status = open_path(out, path, limit, true);
    if (!status)
        tell_left_out(*out);
    return status;
}

nft_status nft_file_open_memory_within(nft_file **out, const void *bytes, size_t size, int64_t limit)
{
    nft_file *file = NULL;
    nft_status status = new_file(&file, "memory", limit);
    if (status)
        return status;
    file->source.bytes = bytes;
    file->source.size = (int64_t)size;
    status = finish_opening(out, file);
    if (!status)
        tell_left_out(*out);
    return status;
}

static void close_source(nft_source *source)
{
    if (source->descriptor >= 0)
        close(source->descriptor);
    nft_release(source->owned);
    source->descriptor = -1;
    source->bytes = source->owned = NULL;
}

void nft_file_close(nft_file *file)
{
    if (file->state)
        file->close_state(file->state);
    file->state = NULL;
    close_source(&file->source);
    while (file->more) {
        nft_source *next = file->more->next;
        close_source(file->more);
        nft_release(file->more);
        file->more = next;
    }
    for (int64_t i = 0; i < file->shard_count; i++)
        nft_file_free(file->shards[i]);
    nft_release(file->shards);
    file->shards = NULL;
    file->shard_count = 0;
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
    for (int64_t i = 0; i < file->scalar_count; i++) {
        nft_release(file->scalars[i].name);
        nft_release(file->scalars[i].text);
    }
    for (int64_t i = 0; i < file->left_out_count; i++) {
        nft_release(file->left_out[i].name);
        nft_release(file->left_out[i].reason);
    }
    nft_views_clear(file);
    nft_release(file->entries);
    nft_release(file->metadata);
    nft_release(file->scalars);
    nft_release(file->left_out);
    nft_release(file->path);
    nft_release(file);
}
