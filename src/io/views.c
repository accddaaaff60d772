#include "io/views.h"

#include "io/formats/format.h"
#include "io/convert.h"
#include "space/array.h"

#include <string.h>

/* What a file keeps for its views. */
typedef struct nft_kept {
    nft_entry entry;         /* the name is its own */
    const nft_entry **parts; /* of a stack, else NULL */
    struct nft_kept *next;
} nft_kept;

static nft_status keep(nft_kept **kept, nft_file *file)
{
    *kept = nft_allocate(sizeof **kept);
    if (!*kept)
        return nft_fail_memory("a table of tensors", sizeof **kept);
    (*kept)->next = file->kept;
    file->kept = *kept;
    return NFT_OK;
}

nft_status nft_views_keep(const nft_entry **out, nft_file *file, const nft_entry *entry)
{
    nft_kept *kept = NULL;
    nft_status status = keep(&kept, file);
    if (status)
        return status;
    kept->entry = *entry;
    kept->entry.name = nft_copy_text(entry->name);
    *out = &kept->entry;
    return kept->entry.name ? NFT_OK : nft_fail_memory("a tensor's name", (int64_t)strlen(entry->name));
}

/* The format's own check is of places in its source, which views do not have. */
static nft_status add(nft_file *file, const char *name, const nft_entry *entry)
{
    return nft_file_add_entry(file, name, strlen(name), entry, 0);
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
    nft_status status = keep(&kept, file);
    if (status)
        return status;
    kept->parts = nft_allocate_array((size_t)count, sizeof *kept->parts);
    if (!kept->parts)
        return nft_fail_memory("a table of tensors", count * (int64_t)sizeof *kept->parts);
    memcpy(kept->parts, parts, (size_t)count * sizeof *parts);
    nft_entry entry = {.type = parts[0]->type, .rank = parts[0]->rank + 1, .parts = kept->parts};
    entry.shape[0] = count;
    memcpy(entry.shape + 1, parts[0]->shape, (size_t)parts[0]->rank * sizeof *entry.shape);
    return add(file, name, &entry);
}

nft_status nft_views_add_numbers(nft_file *file, const char *name, const int64_t *shape, int64_t rank,
                                 float *numbers)
{
    nft_entry entry = {.type = NFT_TYPE_F32, .rank = rank, .is_big_endian = !nft_little_endian()};
    int64_t bytes = nft_size_multiply(nft_shape_count(shape, rank), sizeof *numbers);
    memcpy(entry.shape, shape, (size_t)rank * sizeof *shape);
    nft_status status = nft_file_add_source(file, &entry.source, (uint8_t *)numbers, bytes);
    return status ? status : nft_file_add_entry(file, name, strlen(name), &entry, bytes);
}

nft_status nft_views_finish(nft_file *file, const bool *removed, int64_t count)
{
    int64_t left = 0;
    for (int64_t i = 0; i < file->entry_count; i++)
        if (i < count && removed[i])
            nft_release(file->entries[i].name);
        else
            file->entries[left++] = file->entries[i];
    file->entry_count = left;
    return nft_file_sort(file);
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
