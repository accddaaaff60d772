/* The lists that a format fills: tensors, scalars and the parts that are left out. */
#include "base/utf8.h"
#include "io/formats/format.h"
#include "io/system.h"
#include "space/array.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t nft_load_le(const uint8_t *bytes, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

nft_status nft_source_read(const nft_source *source, int64_t offset, int64_t bytes, void *out)
{
    if (offset < 0 || bytes < 0 || offset > source->size || bytes > source->size - offset)
        return nft_fail(NFT_ERROR_FORMAT,
                        "the file ends at byte %" PRId64 ", expected at least %" PRId64 "; is it cut short?",
                        source->size, nft_size_add(offset < 0 ? 0 : offset, bytes < 0 ? 0 : bytes));
    if (!source->bytes)
        return nft_read_at(source->descriptor, offset, bytes, out);
    if (bytes)
        memcpy(out, source->bytes + offset, (size_t)bytes);
    return NFT_OK;
}

/* A copy that is valid UTF-8: wrong bytes become question marks. */
static char *copy_name(const char *name, size_t length, bool *is_text)
{
    char *copy = nft_copy_text_range(name, length);
    if (!copy)
        return NULL;
    *is_text = strlen(copy) == length && nft_is_utf8(copy);
    for (size_t i = 0; i < length && !*is_text; i++)
        if (!copy[i] || (unsigned char)copy[i] >= 0x80)
            copy[i] = '?';
    return copy;
}

static nft_status leave_out(nft_file *file, const char *name, size_t length, const char *format,
                            va_list arguments)
{
    bool is_text;
    char reason[256];
    vsnprintf(reason, sizeof reason, format, arguments);
    nft_status status = nft_grow(&file->left_out, file->left_out_count + 1, &file->left_out_capacity,
                                 sizeof *file->left_out, "a list", 0);
    if (status)
        return status;
    nft_left_out *left_out = &file->left_out[file->left_out_count++];
    left_out->name = copy_name(name, length, &is_text);
    left_out->reason = nft_copy_text(reason);
    return left_out->name && left_out->reason ? NFT_OK : nft_fail_memory("a name", (int64_t)length);
}

nft_status nft_file_leave_out(nft_file *file, const char *name, size_t length, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    nft_status status = leave_out(file, name, length, format, arguments);
    va_end(arguments);
    return status;
}

/* Bytes from the first element to the end of the last. */
static int64_t span(const nft_entry *entry)
{
    int64_t size = nft_type_size(entry->type), last = 0;
    if (!entry->count)
        return 0;
    if (!entry->is_strided)
        return nft_size_multiply(entry->count, size);
    for (int64_t axis = 0; axis < entry->rank; axis++)
        last = nft_size_add(last, nft_size_multiply(entry->shape[axis] - 1, entry->strides[axis]));
    return nft_size_multiply(nft_size_add(last, 1), size);
}

static nft_status check_place(const nft_entry *entry, const char *name, int64_t end)
{
    char shape[192];
    nft_shape_describe(entry->shape, entry->rank, shape, sizeof shape);
    if (entry->count == INT64_MAX)
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': shape %s is not possible", name, shape);
    int64_t bytes = span(entry);
    if (!entry->source || (entry->offset >= 0 && bytes <= end - entry->offset))
        return NFT_OK;
    return nft_fail(NFT_ERROR_FORMAT,
                    "tensor '%s': shape %s of %s needs %" PRId64 " bytes, but its data has %" PRId64
                    "; is the file cut short?",
                    name, shape, nft_type_name(entry->type), bytes,
                    end > entry->offset ? end - entry->offset : 0);
}

/* Row-major strides say nothing more than none. Where a size is 1 any stride is. */
static bool is_strided(const nft_entry *entry)
{
    int64_t expected = 1;
    bool strided = false;
    for (int64_t axis = entry->rank - 1; axis >= 0 && entry->is_strided; axis--) {
        strided |= entry->shape[axis] != 1 && entry->strides[axis] != expected;
        expected = nft_size_multiply(expected, entry->shape[axis]);
    }
    return strided;
}

nft_status nft_file_add_entry(nft_file *file, const char *name, size_t length, const nft_entry *entry,
                              int64_t end)
{
    bool is_text;
    nft_status status = nft_grow(&file->entries, file->entry_count + 1, &file->entry_capacity,
                                 sizeof *file->entries, "a list", 0);
    if (status)
        return status;
    nft_entry *added = &file->entries[file->entry_count];
    *added = *entry;
    added->position = file->entry_count;
    added->name = copy_name(name, length, &is_text);
    if (!added->name)
        return nft_fail_memory("a tensor's name", (int64_t)length);
    file->entry_count++;
    added->count = nft_shape_count(added->shape, added->rank);
    added->is_strided = added->count && is_strided(entry);
    status = check_place(added, added->name, end);
    if (status || is_text)
        return status;
    file->entry_count--;
    status = nft_file_leave_out(file, added->name, length, "its name is not a text");
    nft_release(added->name);
    return status;
}

nft_status nft_file_add_scalar(nft_file *file, const char *name, size_t length, const nft_scalar *scalar)
{
    bool is_text;
    nft_status status = nft_grow(&file->scalars, file->scalar_count + 1, &file->scalar_capacity,
                                 sizeof *file->scalars, "a list", 0);
    if (status)
        return status;
    nft_scalar *added = &file->scalars[file->scalar_count++];
    *added = *scalar;
    added->name = copy_name(name, length, &is_text);
    added->text = scalar->text ? nft_copy_text(scalar->text) : NULL;
    if (!added->name || (scalar->text && !added->text))
        return nft_fail_memory("a scalar", (int64_t)length);
    return NFT_OK;
}

nft_status nft_file_count_unpacked(nft_file *file, int64_t bytes)
{
    int64_t total = nft_size_add(file->unpacked, bytes);
    if (total > file->limit)
        return nft_fail(NFT_ERROR_LIMIT,
                        "its parts are more than %" PRId64
                        " bytes when they are unpacked, the limit is %" PRId64,
                        total - 1, file->limit);
    file->unpacked = total;
    return NFT_OK;
}

nft_status nft_file_add_source(nft_file *file, const nft_source **source, uint8_t *owned, int64_t size)
{
    nft_source *added = nft_allocate(sizeof *added);
    if (!added) {
        nft_release(owned);
        return nft_fail_memory("a part of a file", sizeof *added);
    }
    *added = (nft_source){.descriptor = -1, .bytes = owned, .size = size, .owned = owned, .next = file->more};
    file->more = added;
    *source = added;
    return NFT_OK;
}

static int compare_entries(const void *a, const void *b)
{
    const nft_entry *x = a, *y = b;
    int order = nft_compare_names(x->name, y->name);
    return order ? order : (x->position > y->position) - (x->position < y->position);
}

static int compare_scalars(const void *a, const void *b)
{
    return nft_compare_names(((const nft_scalar *)a)->name, ((const nft_scalar *)b)->name);
}

static int compare_left_out(const void *a, const void *b)
{
    return nft_compare_names(((const nft_left_out *)a)->name, ((const nft_left_out *)b)->name);
}

static void sort(void *items, int64_t count, size_t size, int (*compare)(const void *, const void *))
{
    if (count > 1)
        qsort(items, (size_t)count, size, compare);
}

nft_status nft_file_sort(nft_file *file)
{
    int64_t kept = 0;
    nft_status status = NFT_OK;
    sort(file->entries, file->entry_count, sizeof *file->entries, compare_entries);
    sort(file->scalars, file->scalar_count, sizeof *file->scalars, compare_scalars);
    for (int64_t i = 0; i < file->entry_count; i++) {
        nft_entry *entry = &file->entries[i];
        if (!kept || strcmp(file->entries[kept - 1].name, entry->name)) {
            file->entries[kept++] = *entry;
            continue;
        }
        if (!status)
            status =
                nft_file_leave_out(file, entry->name, strlen(entry->name), "another tensor has this name");
        nft_release(entry->name);
    }
    file->entry_count = kept;
    sort(file->left_out, file->left_out_count, sizeof *file->left_out, compare_left_out);
    return status;
}

const nft_scalar *nft_file_scalar(const nft_file *file, const char *name)
{
    const nft_scalar wanted = {.name = (char *)name};
    return file->scalar_count
               ? bsearch(&wanted, file->scalars, (size_t)file->scalar_count, sizeof wanted, compare_scalars)
               : NULL;
}

const char *nft_file_why_left_out(const nft_file *file, const char *name)
{
    const nft_left_out wanted = {.name = (char *)name};
    const nft_left_out *found =
        file->left_out_count
            ? bsearch(&wanted, file->left_out, (size_t)file->left_out_count, sizeof wanted, compare_left_out)
            : NULL;
    return found ? found->reason : NULL;
}
