/* The functions of the public header for files: a table of tensors, and arrays in and out. */
#include "io/file.h"
#include "space/array.h"

#include <inttypes.h>
#include <string.h>

int64_t nft_file_tensor_count(const nft_file *file)
{
    return file ? file->entry_count : 0;
}

nft_status nft_file_tensor(nft_tensor_info *info, const nft_file *file, int64_t index)
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

const char *nft_file_metadata_at(const char **text, const nft_file *file, int64_t index)
{
    bool there = file && index >= 0 && index < file->metadata_count;
    if (text)
        *text = there ? file->metadata[index].value : NULL;
    return there ? file->metadata[index].key : NULL;
}

const char *nft_file_left_out_at(const char **reason, const nft_file *file, int64_t index)
{
    bool there = file && index >= 0 && index < file->left_out_count;
    if (reason)
        *reason = there ? file->left_out[index].reason : NULL;
    return there ? file->left_out[index].name : NULL;
}

/* Rows first … first + count - 1 of an entry. */
static nft_status read_rows(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                            nft_array **out)
{
    nft_array *array = NULL;
    bool is_float = nft_type_is_float(entry->type);
    int64_t shape[NFT_ARRAY_MAX_RANK], row = 1;
    memcpy(shape, entry->shape, sizeof shape);
    if (entry->rank)
        shape[0] = count;
    for (int64_t axis = 1; axis < entry->rank; axis++)
        row = nft_size_multiply(row, shape[axis]);
    nft_status status =
        nft_array_create(&array, is_float ? NFT_ARRAY_F32 : NFT_ARRAY_I64, shape, entry->rank, NULL);
    if (status)
        return nft_fail_in(status, "%s: tensor '%s'", file->path, entry->name);
    if (is_float)
        status = nft_file_read_f32(file, entry, first * row, count * row, array->storage);
    else
        status = nft_file_read_i64(file, entry, first * row, count * row, array->storage);
    if (status) {
        nft_array_free(array);
        return nft_fail_in(status, "%s", file->path);
    }
    *out = array;
    return NFT_OK;
}

static nft_status find_entry(const char *function, const nft_entry **entry, const nft_file *file,
                             const char *name)
{
    if (!file || !name)
        return nft_fail_null(function, file ? "name" : "file");
    *entry = nft_file_find(file, name);
    if (*entry)
        return NFT_OK;
    const char *reason = nft_file_why_left_out(file, name);
    if (reason)
        return nft_fail(NFT_ERROR_FORMAT, "%s: tensor '%s' is not read: %s", file->path, name, reason);
    return nft_fail(NFT_ERROR_ARGUMENT, "%s: there is no tensor '%s'", file->path, name);
}

static nft_status check_rows(const nft_file *file, const nft_entry *entry, int64_t first, int64_t *count)
{
    int64_t rows = entry->rank ? entry->shape[0] : 1;
    if (!entry->rank && (first || *count != NFT_ALL))
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: tensor '%s' is a single number and has no rows", file->path,
                        entry->name);
    if (*count == NFT_ALL && first >= 0 && first <= rows)
        *count = rows - first;
    if (first < 0 || *count < 0 || first > rows || *count > rows - first)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "%s: %" PRId64 " rows from row %" PRId64
                        " of tensor '%s' were asked for, it has %" PRId64,
                        file->path, *count, first, entry->name, rows);
    return NFT_OK;
}

nft_status nft_file_read(nft_array **out, const nft_file *file, const char *name, int64_t first,
                         int64_t count)
{
    static const char function[] = "nft_file_read";
    const nft_entry *entry = NULL;
    if (!out)
        return nft_fail_null(function, "array");
    *out = NULL;
    nft_status status = find_entry(function, &entry, file, name);
    if (!status)
        status = check_rows(file, entry, first, &count);
    return status ? status : read_rows(file, entry, first, count, out);
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
                               int64_t count, const char *const *metadata)
{
    nft_file_writer *writer = NULL;
    nft_status status = nft_file_create(&writer, path, outputs, count, metadata);
    for (int64_t i = 0; i < count && !status; i++)
        status = nft_file_append(writer, arrays[i]->data, arrays[i]->count * nft_type_size(outputs[i].type));
    if (!status)
        return nft_file_commit(writer);
    nft_file_cancel(writer);
    return status;
}

nft_status nft_array_save(const char *path, const char *const *names, const nft_array *const *arrays,
                          size_t count, const char *const *metadata)
{
    if (!path)
        return nft_fail_null("nft_array_save", "path");
    nft_status status = check_arrays(names, arrays, count);
    if (status)
        return status;
    nft_output *outputs = nft_allocate_array(count, sizeof *outputs);
    if (!outputs)
        return nft_fail_memory("a table of tensors", (int64_t)(count * sizeof *outputs));
    for (size_t i = 0; i < count; i++)
        outputs[i] = (nft_output){.name = names[i],
                                  .type = arrays[i]->type == NFT_ARRAY_I64 ? NFT_TYPE_I64 : NFT_TYPE_F32,
                                  .rank = arrays[i]->rank,
                                  .shape = arrays[i]->shape};
    status = write_arrays(path, outputs, arrays, (int64_t)count, metadata);
    nft_release(outputs);
    return status;
}

static nft_status describe_output(nft_output *output, const nft_tensor_info *tensor, int64_t index)
{
    bool integers = tensor->type && !strcmp(tensor->type, nft_type_name(NFT_TYPE_I64));
    if (!tensor->name || !tensor->type)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_file_writer_create: tensors[%" PRId64 "] has no %s", index,
                        tensor->name ? "type" : "name");
    if (!integers && strcmp(tensor->type, nft_type_name(NFT_TYPE_F32)))
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_file_writer_create: tensor '%s' is %s, expected F32 or I64",
                        tensor->name, tensor->type);
    if (tensor->rank < 0 || tensor->rank > NFT_ARRAY_MAX_RANK)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_file_writer_create: tensor '%s' has %" PRId64 " axes, expected 0 … %d",
                        tensor->name, tensor->rank, NFT_ARRAY_MAX_RANK);
    for (int64_t axis = 0; axis < tensor->rank; axis++)
        if (tensor->shape[axis] < 0)
            return nft_fail(NFT_ERROR_ARGUMENT,
                            "nft_file_writer_create: tensor '%s' has size %" PRId64 " in axis %" PRId64,
                            tensor->name, tensor->shape[axis], axis);
    *output = (nft_output){tensor->name, integers ? NFT_TYPE_I64 : NFT_TYPE_F32, tensor->rank, tensor->shape};
    return NFT_OK;
}

/* The struct of a later header may be longer. A size of 0 means this header's. */
static const nft_tensor_info *tensor_at(const nft_tensor_info *tensors, int64_t index)
{
    size_t stride = tensors->size ? tensors->size : sizeof *tensors;
    return (const void *)((const char *)tensors + (size_t)index * stride);
}

nft_status nft_file_writer_create(nft_file_writer **writer, const char *path, const nft_tensor_info *tensors,
                                  int64_t count, const char *const *metadata)
{
    if (!writer)
        return nft_fail_null("nft_file_writer_create", "writer");
    *writer = NULL;
    if (!path || (count && !tensors))
        return nft_fail_null("nft_file_writer_create", path ? "tensors" : "path");
    if (count < 0)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_file_writer_create: count is %" PRId64, count);
    if (count && tensors->size && tensors->size < sizeof *tensors)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_file_writer_create: tensors[0].size is %zu, expected %zu",
                        tensors->size, sizeof *tensors);
    nft_output *outputs = nft_allocate_array((size_t)count, sizeof *outputs);
    if (!outputs)
        return nft_fail_memory("a table of tensors", nft_size_multiply(count, sizeof *outputs));
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < count && !status; i++)
        status = describe_output(&outputs[i], tensor_at(tensors, i), i);
    if (!status)
        status = nft_file_create(writer, path, outputs, count, metadata);
    nft_release(outputs);
    return status;
}

nft_status nft_file_writer_append(nft_file_writer *writer, const void *data, int64_t bytes)
{
    if (!writer || (bytes && !data))
        return nft_fail_null("nft_file_writer_append", writer ? "data" : "writer");
    if (bytes < 0)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_file_writer_append: bytes is %" PRId64, bytes);
    return nft_file_append(writer, data, bytes);
}

nft_status nft_file_writer_write(nft_file_writer *writer, int64_t tensor, int64_t first, const void *data,
                                 int64_t count)
{
    static const char function[] = "nft_file_writer_write";
    if (!writer || (count && !data))
        return nft_fail_null(function, writer ? "data" : "writer");
    if (first < 0 || count < 0 || !nft_file_has_output(writer, tensor))
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: tensor is %" PRId64 ", first %" PRId64 ", count %" PRId64,
                        function, tensor, first, count);
    return nft_file_write(writer, tensor, first, data, count);
}

nft_status nft_file_writer_commit(nft_file_writer *writer)
{
    return writer ? nft_file_commit(writer) : nft_fail_null("nft_file_writer_commit", "writer");
}

void nft_file_writer_free(nft_file_writer *writer)
{
    nft_file_cancel(writer);
}
