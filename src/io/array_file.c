/* What the public header says of files: a table of tensors, and arrays in and out. */
#include "io/safetensors.h"
#include "space/array.h"

#include <inttypes.h>
#include <string.h>

int64_t nft_file_tensor_count(const nft_file *file)
{
    return file ? file->entry_count : 0;
}

nft_status nft_file_tensor(const nft_file *file, int64_t index, nft_tensor_info *info)
{
    if (!file || !info)
        return nft_fail_null("nft_file_tensor", file ? "info" : "file");
    if (index < 0 || index >= file->entry_count)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_file_tensor: index is %" PRId64 ", the file has %" PRId64 " tensors", index,
                        file->entry_count);
    if (info->size < sizeof *info)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_file_tensor: info->size is %zu, expected %zu", info->size,
                        sizeof *info);
    const nft_entry *entry = &file->entries[index];
    info->name = entry->name;
    info->type = nft_type_name(entry->type);
    info->rank = entry->rank;
    memcpy(info->shape, entry->shape, sizeof info->shape);
    info->count = entry->count;
    info->data = NULL;
    info->trained = 0;
    return NFT_OK;
}

const char *nft_file_metadata(const nft_file *file, const char *key)
{
    for (int64_t i = 0; file && key && i < file->metadata_count; i++)
        if (!strcmp(file->metadata[i].key, key))
            return file->metadata[i].value;
    return NULL;
}

nft_status nft_file_read(const nft_file *file, const char *name, nft_array **out)
{
    if (!out)
        return nft_fail_null("nft_file_read", "array");
    *out = NULL;
    if (!file || !name)
        return nft_fail_null("nft_file_read", file ? "name" : "file");
    const nft_entry *entry = nft_file_find(file, name);
    if (!entry)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: there is no tensor '%s'", file->path, name);
    nft_array *array = NULL;
    bool is_float = nft_type_is_float(entry->type);
    nft_status status =
        nft_array_create(&array, is_float ? NFT_ARRAY_F32 : NFT_ARRAY_I64, entry->shape, entry->rank, NULL);
    if (status)
        return nft_fail_in(status, "%s: tensor '%s'", file->path, entry->name);
    if (is_float)
        status = nft_file_read_f32(file, entry, 0, entry->count, array->storage);
    else
        status = nft_file_read_i64(file, entry, 0, entry->count, array->storage);
    if (status) {
        nft_array_free(array);
        return nft_fail_in(status, "%s", file->path);
    }
    *out = array;
    return NFT_OK;
}

static nft_status check_arrays(const char *const *names, const nft_array *const *arrays, size_t count)
{
    if (count && (!names || !arrays))
        return nft_fail_null("nft_array_save", names ? "arrays" : "names");
    for (size_t i = 0; i < count; i++)
        if (!names[i] || !arrays[i])
            return nft_fail(NFT_ERROR_ARGUMENT, "nft_array_save: %s[%zu] is NULL",
                            names[i] ? "arrays" : "names", i);
    return NFT_OK;
}

static nft_status write_arrays(const char *path, const nft_output *outputs, const nft_array *const *arrays,
                               int64_t count)
{
    nft_file_writer *writer = NULL;
    nft_status status = nft_file_create(&writer, path, outputs, count, NULL, 0);
    for (int64_t i = 0; i < count && !status; i++)
        status = nft_file_append(writer, arrays[i]->data, arrays[i]->count * nft_type_size(outputs[i].type));
    if (!status)
        return nft_file_commit(writer);
    nft_file_cancel(writer);
    return status;
}

nft_status nft_array_save(const char *path, const char *const *names, const nft_array *const *arrays,
                          size_t count)
{
    if (!path)
        return nft_fail_null("nft_array_save", "path");
    nft_status status = check_arrays(names, arrays, count);
    if (status)
        return status;
    nft_output *outputs = nft_allocate_array(count, sizeof *outputs);
    if (!outputs)
        return nft_fail_memory("a table of tensors", (int64_t)count);
    for (size_t i = 0; i < count; i++)
        outputs[i] = (nft_output){.name = names[i],
                                  .type = arrays[i]->type == NFT_ARRAY_I64 ? NFT_TYPE_I64 : NFT_TYPE_F32,
                                  .rank = arrays[i]->rank,
                                  .shape = arrays[i]->shape};
    status = write_arrays(path, outputs, arrays, (int64_t)count);
    nft_release(outputs);
    return status;
}
