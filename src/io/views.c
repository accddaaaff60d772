#include "io/views.h"

#include "io/formats/format.h"
#include "io/convert.h"
#include "space/array.h"

#include <string.h>

/* The memory of a file for its views. */
typedef struct nft_kept {
    nft_entry entry;         /* the name is its own */
    bool is_new;             /* it is to be in the table */
    const nft_entry **parts; /* of a stack, else NULL */
    struct nft_kept *next;
} nft_kept;

static nft_status keep(nft_kept **out, nft_file *file, const char *name, const nft_entry *entry)
{
    nft_kept *kept = *out = nft_allocate(sizeof *kept);
    if (!kept)
        return nft_fail_memory("a table of tensors", sizeof *kept);
    kept->next = file->kept;
    file->kept = kept;
    kept->entry = *entry;
    kept->entry.name = nft_copy_text(name);
    return kept->entry.name ? NFT_OK : nft_fail_memory("a tensor's name", (int64_t)strlen(name));
}

nft_status nft_views_keep(const nft_entry **out, nft_file *file, const nft_entry *entry)
{
    nft_kept *kept = NULL;
    nft_status status = keep(&kept, file, entry->name, entry);
    *out = status ? NULL : &kept->entry;
    return status;
}

/* A tensor that joins the table when that is finished. */
static nft_status add(nft_file *file, const char *name, const nft_entry *entry)
{
    nft_kept *kept = NULL;
    nft_status status = keep(&kept, file, name, entry);
    if (!status)
        kept->is_new = true;
    return status;
}

nft_status nft_views_add(nft_file *file, const char *name, const nft_entry *base, const nft_entry *view)
{
    nft_entry entry = *view;
    entry.type = base->type;
    entry.base = base;
    entry.source = NULL;
    entry.parts = NULL;
    entry.is_big_endian = false;
    entry.offset = view->offset * nft_type_size(base->type);
    return add(file, name, &entry);
}

nft_status nft_views_stack(nft_file *file, const char *name, const nft_entry *const *parts, int64_t count)
{
    nft_kept *kept = NULL;
    nft_entry entry = {.type = parts[0]->type, .rank = parts[0]->rank + 1};
    entry.shape[0] = count;
    memcpy(entry.shape + 1, parts[0]->shape, (size_t)parts[0]->rank * sizeof *entry.shape);
    nft_status status = keep(&kept, file, name, &entry);
    if (status)
        return status;
    kept->parts = nft_allocate_array((size_t)count, sizeof *kept->parts);
    if (!kept->parts)
        return nft_fail_memory("a table of tensors", count * (int64_t)sizeof *kept->parts);
    memcpy(kept->parts, parts, (size_t)count * sizeof *parts);
    kept->entry.parts = kept->parts;
    kept->is_new = true;
    return NFT_OK;
}

nft_status nft_views_add_numbers(nft_file *file, const char *name, const int64_t *shape, int64_t rank,
                                 float *numbers)
{
    nft_entry entry = {.type = NFT_TYPE_F32, .rank = rank, .is_big_endian = !nft_little_endian()};
    int64_t bytes = nft_size_multiply(nft_shape_count(shape, rank), sizeof *numbers);
    memcpy(entry.shape, shape, (size_t)rank * sizeof *shape);
    nft_status status = nft_file_add_source(file, &entry.source, (uint8_t *)numbers, bytes);
    return status ? status : add(file, name, &entry);
}

/* The format's check of places is of sources: views have none, and numbers fill theirs. */
static nft_status add_new(nft_file *file)
{
    nft_status status = NFT_OK;
    for (nft_kept *kept = file->kept; kept && !status; kept = kept->next) {
        const nft_entry *entry = &kept->entry;
        if (kept->is_new)
            status = nft_file_add_entry(file, entry->name, strlen(entry->name), entry,
                                        entry->source ? entry->source->size : 0);
        kept->is_new = false;
    }
    return status;
}

nft_status nft_views_finish(nft_file *file, const bool *removed)
{
    int64_t left = 0;
    for (int64_t i = 0; i < file->entry_count; i++)
        if (removed[i])
            nft_release(file->entries[i].name);
        else
            file->entries[left++] = file->entries[i];
    file->entry_count = left;
    nft_status status = add_new(file);
    nft_status sorted = nft_file_sort(file);
    return status ? status : sorted;
}

void nft_views_clear(nft_file *file)
{
    while (file->kept) {
        nft_kept *next = file->kept->next;
        nft_release(file->kept->entry.name);
        nft_release(file->kept->parts);
        nft_release(file->kept);
        file->kept = next;
    }
}

nft_status nft_file_add_metadata(nft_file *file, const char *key, const char *value)
{
    for (int64_t i = 0; i < file->metadata_count; i++) {
        if (strcmp(file->metadata[i].key, key) != 0)
            continue;
        nft_release(file->metadata[i].value);
        file->metadata[i].value = nft_copy_text(value);
        return file->metadata[i].value ? NFT_OK : nft_fail_memory("metadata", (int64_t)strlen(value));
    }
    size_t count = (size_t)file->metadata_count;
    struct nft_text_pair *pairs = nft_allocate_array(count + 1, sizeof *pairs);
    if (!pairs)
        return nft_fail_memory("metadata", (int64_t)((count + 1) * sizeof *pairs));
    if (count)
        memcpy(pairs, file->metadata, count * sizeof *pairs);
    nft_release(file->metadata);
    file->metadata = pairs;
    pairs[count] = (struct nft_text_pair){nft_copy_text(key), nft_copy_text(value)};
    file->metadata_count++;
    return pairs[count].key && pairs[count].value ? NFT_OK
                                                  : nft_fail_memory("metadata", (int64_t)strlen(value));
}
