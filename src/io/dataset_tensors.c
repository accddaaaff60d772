/* The data of a data set other than networks: tensors with a row for each sample, and metadata. */
#include "io/dataset.h"
#include "space/weights.h"

#include <inttypes.h>
#include <string.h>

#define LONGEST_NAME 512 /* bytes, with the 0 at the end, of a file in a message */

static bool is_extra(const nft_part *part, const nft_entry *entry, int64_t index)
{
    if (!part->tokens)
        return nft_network_has_extra(&part->network, entry, index);
    return entry != part->tokens && entry->rank > 0 && entry->shape[0] == part->count;
}

nft_status nft_dataset_list_extras(nft_dataset *dataset)
{
    const nft_part *part = &dataset->parts[0];
    dataset->extras = nft_allocate_array((size_t)part->file->entry_count, sizeof *dataset->extras);
    if (!dataset->extras)
        return nft_fail_memory("a table of tensors", part->file->entry_count * (int64_t)sizeof(void *));
    for (int64_t i = 0; i < part->file->entry_count; i++)
        if (is_extra(part, &part->file->entries[i], i))
            dataset->extras[dataset->extra_count++] = &part->file->entries[i];
    return NFT_OK;
}

const char *nft_dataset_extra_name(const nft_dataset *dataset, int64_t index)
{
    return dataset && index >= 0 && index < dataset->extra_count ? dataset->extras[index]->name : NULL;
}

const char *nft_dataset_metadata(const nft_dataset *dataset, int64_t part, const char *key)
{
    bool there = dataset && part >= 0 && part < dataset->part_count;
    return there ? nft_file_metadata(dataset->parts[part].file, key) : NULL;
}

static nft_status make_batch(nft_weights **weights, const nft_part *part, int64_t count)
{
    const nft_network *network = &part->network;
    nft_status status = nft_weights_allocate(weights, network->space, count, network->channels,
                                             (const char *const *)network->names, 0);
    if (status)
        return status;
    (*weights)->rank = network->rank;
    status = nft_weights_keep_metadata(*weights, part->file);
    if (!status)
        status = nft_weights_note_doubts(*weights, network);
    return status ? status : nft_weights_note_space(&(*weights)->metadata, *weights);
}

nft_status nft_dataset_batch(nft_weights **out, const nft_dataset *dataset, int64_t index, int64_t count)
{
    static const char function[] = "nft_dataset_batch";
    nft_weights *weights = NULL;
    if (!out)
        return nft_fail_null(function, "weights");
    *out = NULL;
    if (!dataset)
        return nft_fail_null(function, "dataset");
    if (index < 0 || index >= dataset->part_count || count < 0)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "%s: part %" PRId64 " and count %" PRId64 ", expected a part 0 … %" PRId64
                        " and no negative count",
                        function, index, count, dataset->part_count - 1);
    if (dataset->parts[index].tokens)
        return nft_fail(NFT_ERROR_MISMATCH, "%s: %s holds tokens, not networks", function, dataset->path);
    nft_status status = make_batch(&weights, &dataset->parts[index], count);
    if (status) {
        nft_weights_free(weights);
        return nft_fail_in(status, "%s", function);
    }
    *out = weights;
    return NFT_OK;
}

/* The tensor of that name in part `index`, which fits that of the first part. */
static nft_status find_rows(const nft_entry **entry, const nft_dataset *dataset, int64_t index,
                            const char *name)
{
    const nft_part *part = &dataset->parts[index];
    *entry = nft_file_find(part->file, name);
    if (!*entry || (*entry)->rank < 1 || (*entry)->shape[0] != part->count)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "%s: has no tensor '%s' with a row for each of its %" PRId64 " samples",
                        part->file->path, name, part->count);
    const nft_entry *first = nft_file_find(dataset->parts[0].file, name);
    if ((*entry)->rank == first->rank &&
        nft_type_is_float((*entry)->type) == nft_type_is_float(first->type) &&
        !memcmp((*entry)->shape + 1, first->shape + 1, (size_t)(first->rank - 1) * sizeof *first->shape))
        return NFT_OK;
    char found[160], expected[160];
    nft_shape_describe((*entry)->shape, (*entry)->rank, found, sizeof found);
    nft_shape_describe(first->shape, first->rank, expected, sizeof expected);
    return nft_fail(NFT_ERROR_MISMATCH, "%s: tensor '%s' is %s %s, that of the first part %s %s",
                    part->file->path, name, nft_type_name((*entry)->type), found, nft_type_name(first->type),
                    expected);
}

/* Rows first … end - 1 of the whole. */
static nft_status read_parts(nft_array **tensor, const nft_dataset *dataset, const char *name, int64_t first,
                             int64_t end)
{
    const nft_entry *entry = NULL;
    nft_status status = find_rows(&entry, dataset, 0, name);
    if (status)
        return status;
    int64_t shape[NFT_ARRAY_MAX_RANK], row = 1;
    bool floats = nft_type_is_float(entry->type);
    memcpy(shape, entry->shape, sizeof shape);
    shape[0] = end - first;
    for (int64_t axis = 1; axis < entry->rank; axis++)
        row = nft_size_multiply(row, shape[axis]);
    status = nft_array_create(tensor, floats ? NFT_ARRAY_F32 : NFT_ARRAY_I64, shape, entry->rank, NULL);
    for (int64_t i = 0; i < dataset->part_count && !status; i++) {
        const nft_part *part = &dataset->parts[i];
        int64_t from = part->first > first ? part->first : first,
                to = part->first + part->count < end ? part->first + part->count : end;
        status = find_rows(&entry, dataset, i, name);
        if (status || from >= to)
            continue;
        float *to_floats = floats ? (float *)(*tensor)->storage + (from - first) * row : NULL;
        int64_t *to_integers = floats ? NULL : (int64_t *)(*tensor)->storage + (from - first) * row;
        status = nft_part_read_rows(dataset, i, entry, from - part->first, to - from, to_floats, to_integers);
    }
    return status;
}

nft_status nft_dataset_read_tensor(nft_array **tensor, const nft_dataset *dataset, const char *name,
                                   int64_t first, int64_t count)
{
    static const char function[] = "nft_dataset_read_tensor";
    if (!tensor)
        return nft_fail_null(function, "tensor");
    *tensor = NULL;
    if (!dataset || !name)
        return nft_fail_null(function, dataset ? "name" : "dataset");
    if (count == NFT_ALL && first >= 0 && first <= dataset->count)
        count = dataset->count - first;
    if (first < 0 || count < 0 || first > dataset->count - count)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "%s: samples %" PRId64 " … %" PRId64 " of %" PRId64 " that there are", function,
                        first, nft_size_add(first, count) - 1, dataset->count);
    nft_status status = read_parts(tensor, dataset, name, first, first + count);
    if (!status)
        return NFT_OK;
    nft_array_free(*tensor);
    *tensor = NULL;
    return nft_fail_in(status, "%s", function);
}

static bool has_names(const nft_dataset *dataset)
{
    const nft_entry *entry = nft_file_find(dataset->parts[0].file, NFT_FILE_NAMES);
    return entry && entry->rank == 2 && nft_type_is_integer(entry->type);
}

nft_status nft_dataset_fail_sample(const nft_dataset *dataset, int64_t number, nft_status status)
{
    nft_array *row = NULL;
    char name[LONGEST_NAME] = "";
    if (!has_names(dataset) || read_parts(&row, dataset, NFT_FILE_NAMES, number, number + 1)) {
        nft_array_free(row);
        return status;
    }
    for (int64_t i = 0; i < nft_array_count(row) && i < LONGEST_NAME - 1; i++)
        name[i] = (char)nft_array_i64(row)[i];
    nft_array_free(row);
    return name[0] ? nft_fail_in(status, "%s", name) : status;
}
