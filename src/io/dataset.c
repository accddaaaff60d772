#include "io/dataset.h"

#include "io/index.h"
#include "io/load_options.h"
#include "space/weights.h"

#include <inttypes.h>
#include <string.h>

/* A file of tokens has no layers, and a tensor as nftool forward writes it. */
static const nft_entry *find_tokens(const nft_file *file)
{
    const nft_entry *entry = nft_file_find(file, "output");
    return entry && entry->rank == 3 && nft_type_is_float(entry->type) ? entry : NULL;
}

/* A sample has numbers, or a count of samples would stand for no data at all. */
static nft_status check_sample(const nft_part *part)
{
    const nft_entry *tokens = part->tokens;
    if (!tokens && part->network.channels >= 1)
        return NFT_OK;
    if (!tokens)
        return nft_fail(NFT_ERROR_FORMAT, "its networks have 0 channels, expected at least 1");
    if (tokens->shape[1] >= 1 && tokens->shape[2] >= 1)
        return NFT_OK;
    char shape[160];
    nft_shape_describe(tokens->shape, tokens->rank, shape, sizeof shape);
    return nft_fail(NFT_ERROR_FORMAT, "tensor 'output' is %s, expected samples of at least one number",
                    shape);
}

static nft_status find_samples(nft_part *part, const nft_load_options *options)
{
    nft_status status = nft_network_find(&part->network, part->file, options);
    const nft_entry *tokens = status ? find_tokens(part->file) : NULL;
    if (tokens) {
        nft_network_clear(&part->network);
        part->tokens = tokens;
        part->count = tokens->shape[0];
        return check_sample(part);
    }
    part->count = part->network.count;
    nft_network_tell(&part->network, part->file);
    return status ? status : check_sample(part);
}

static int64_t channels_of(const nft_part *part)
{
    return part->tokens ? part->tokens->shape[2] : part->network.channels;
}

/* Models of any space tell tensors apart by name and role, which the text has. */
static void share_space(nft_dataset *dataset, int64_t index)
{
    nft_space **space = &dataset->parts[index].network.space;
    for (int64_t i = 0; i < index; i++) {
        nft_space *other = dataset->parts[i].network.space;
        if (other->hash == (*space)->hash && !strcmp(other->json, (*space)->json)) {
            nft_space_retain(other);
            nft_space_free(*space);
            *space = other;
            return;
        }
    }
}

static nft_status add_part(nft_dataset *dataset, int64_t index, const char *path,
                           const nft_load_options *options)
{
    nft_part *part = &dataset->parts[index];
    nft_status status = nft_file_open_within(&part->file, path, 0);
    if (status)
        return status;
    status = find_samples(part, options);
    if (status)
        return nft_fail_in(status, "%s", path);
    nft_open_files_add(dataset->files, part->file, index);
    part->first = dataset->count;
    dataset->count = nft_size_add(dataset->count, part->count);
    dataset->channels = index ? dataset->channels : channels_of(part);
    return NFT_OK;
}

static nft_status check_part(const nft_dataset *dataset, int64_t index, int64_t count)
{
    const nft_part *part = &dataset->parts[index];
    if (part->tokens)
        return nft_fail(NFT_ERROR_FORMAT, "%s: holds tokens, expected networks: an index has no other parts",
                        part->file->path);
    if (part->count != count)
        return nft_fail(NFT_ERROR_FORMAT, "%s: has %" PRId64 " networks, the index says %" PRId64,
                        part->file->path, part->count, count);
    if (channels_of(part) != dataset->channels)
        return nft_fail(NFT_ERROR_FORMAT, "%s: has %" PRId64 " channels, the parts before it have %" PRId64,
                        part->file->path, channels_of(part), dataset->channels);
    return dataset->count < INT64_MAX
               ? NFT_OK
               : nft_fail(NFT_ERROR_LIMIT, "%s: the parts have too many samples", part->file->path);
}

static nft_status allocate_parts(nft_dataset *dataset, int64_t count)
{
    dataset->parts = nft_allocate_array((size_t)count, sizeof *dataset->parts);
    if (!dataset->parts)
        return nft_fail_memory("a data set", nft_size_multiply(count, sizeof *dataset->parts));
    dataset->part_count = count;
    return NFT_OK;
}

/* One file, or the parts of an index. */
static nft_status open_parts(nft_dataset *dataset, const nft_load_options *options)
{
    nft_index index = {0};
    nft_status status = nft_index_read(&index, dataset->path);
    if (!status)
        status = allocate_parts(dataset, index.count ? index.count : 1);
    if (!status && !index.count)
        status = add_part(dataset, 0, dataset->path, options);
    for (int64_t i = 0; i < index.count && !status; i++) {
        status = add_part(dataset, i, index.parts[i].path, options);
        if (!status)
            status = check_part(dataset, i, index.parts[i].count);
        if (!status)
            share_space(dataset, i);
        else
            nft_fail_in(status, "%s: parts[%" PRId64 "]", dataset->path, i);
    }
    nft_index_clear(&index);
    return status;
}

static void note_description(nft_dataset *dataset)
{
    const nft_space *space = dataset->parts[0].network.space;
    for (int64_t i = 1; i < dataset->part_count; i++)
        if (dataset->parts[i].network.space != space)
            space = NULL;
    dataset->description = (nft_dataset_description){.size = sizeof dataset->description,
                                                     .count = dataset->count,
                                                     .part_count = dataset->part_count,
                                                     .space = space};
}

nft_status nft_dataset_open(nft_dataset **out, const char *path, const nft_load_options *given)
{
    if (!out)
        return nft_fail_null("nft_dataset_open", "dataset");
    *out = NULL;
    if (!path)
        return nft_fail_null("nft_dataset_open", "path");
    nft_load_options options;
    nft_status status = nft_fill_load_options("nft_dataset_open", &options, given);
    if (!status && options.bytes)
        status = nft_fail(NFT_ERROR_ARGUMENT,
                          "nft_dataset_open: options->bytes is set, but a data set is read from files");
    if (status)
        return status;
    nft_dataset *dataset = nft_allocate(sizeof *dataset);
    if (!dataset)
        return nft_fail_memory("a data set", sizeof *dataset);
    nft_references_init(&dataset->references);
    dataset->path = nft_copy_text(path);
    status = dataset->path ? nft_open_files_create(&dataset->files)
                           : nft_fail_memory("a path", (int64_t)strlen(path));
    if (!status)
        status = open_parts(dataset, &options);
    if (!status)
        status = nft_dataset_list_extras(dataset);
    if (status) {
        nft_dataset_free(dataset);
        return status;
    }
    note_description(dataset);
    *out = dataset;
    return NFT_OK;
}

nft_dataset *nft_dataset_retain(nft_dataset *dataset)
{
    nft_references_add(&dataset->references);
    return dataset;
}

void nft_dataset_free(nft_dataset *dataset)
{
    if (!dataset || !nft_references_drop(&dataset->references))
        return;
    nft_open_files_free(dataset->files);
    for (int64_t i = 0; i < dataset->part_count; i++) {
        nft_network_clear(&dataset->parts[i].network);
        nft_file_free(dataset->parts[i].file);
    }
    nft_release(dataset->extras);
    nft_release(dataset->parts);
    nft_release(dataset->path);
    nft_release(dataset);
}

const nft_dataset_description *nft_dataset_describe(const nft_dataset *dataset)
{
    static const nft_dataset_description none = {sizeof none, 0, 0, NULL};
    return dataset ? &dataset->description : &none;
}

nft_status nft_dataset_get_part(nft_dataset_part *out, const nft_dataset *dataset, int64_t index)
{
    static const char function[] = "nft_dataset_get_part";
    if (!out || !dataset)
        return nft_fail_null(function, out ? "dataset" : "part");
    if (out->size < sizeof *out)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: part->size is %zu, expected %zu", function, out->size,
                        sizeof *out);
    if (index < 0 || index >= dataset->part_count)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: index is %" PRId64 ", expected 0 … %" PRId64, function,
                        index, dataset->part_count - 1);
    const nft_part *part = &dataset->parts[index];
    out->path = part->file->path;
    out->space = part->network.space;
    out->first = part->first;
    out->count = part->count;
    out->tokens = part->tokens ? part->tokens->shape[1] : 0;
    out->channels = channels_of(part);
    return NFT_OK;
}

int64_t nft_dataset_find_part(const nft_dataset *dataset, int64_t number)
{
    int64_t low = 0, high = dataset->part_count - 1;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (dataset->parts[middle].first <= number)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

nft_status nft_dataset_read_networks(const nft_dataset *dataset, int64_t part, int64_t first, int64_t count,
                                     float *const *arrays)
{
    const nft_part *own = &dataset->parts[part];
    nft_file *file = NULL;
    nft_status status = nft_open_files_take(&file, dataset->files, own->file, part);
    if (status)
        return status;
    for (int64_t t = 0; t < own->network.space->tensor_count && !status; t++)
        status = nft_network_read(&own->network, file, t, first, count, arrays[t]);
    nft_open_files_give(dataset->files, file);
    return status ? nft_fail_in(status, "%s", own->file->path) : NFT_OK;
}

nft_status nft_part_read_rows(const nft_dataset *dataset, int64_t part, const nft_entry *entry, int64_t first,
                              int64_t count, float *floats, int64_t *integers)
{
    const nft_part *own = &dataset->parts[part];
    int64_t row = own->count ? entry->count / own->count : 0;
    nft_file *file = NULL;
    const nft_entry *again = NULL;
    nft_status status = nft_open_files_take(&file, dataset->files, own->file, part);
    if (status)
        return status;
    status = nft_entry_again(&again, file, entry);
    if (!status && floats)
        status = nft_file_read_f32(file, again, first * row, count * row, floats);
    else if (!status && integers)
        status = nft_file_read_i64(file, again, first * row, count * row, integers);
    nft_open_files_give(dataset->files, file);
    return status ? nft_fail_in(status, "%s", own->file->path) : NFT_OK;
}

/* `count` samples that follow each other, all of one part, to the networks of `weights` from `to` on. */
static nft_status read_run(nft_weights *weights, int64_t to, const nft_dataset *dataset, int64_t number,
                           int64_t count, float **arrays)
{
    int64_t index = nft_dataset_find_part(dataset, number);
    const nft_part *part = &dataset->parts[index];
    nft_status status = nft_space_check_equal(part->network.space, weights->space);
    if (status)
        return nft_fail_in(status, "sample %" PRId64, number);
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const nft_tensor *tensor = &weights->space->tensors[t];
        arrays[t] =
            nft_weights_edit(weights, t) + to * weights->channels * tensor->tokens * tensor->own_positions;
    }
    return nft_dataset_read_networks(dataset, index, number - part->first, count, arrays);
}

static nft_status read_all(nft_weights *weights, const nft_dataset *dataset, const int64_t *indices,
                           int64_t count)
{
    nft_status status = NFT_OK;
    float **arrays = nft_allocate_array((size_t)weights->space->tensor_count, sizeof *arrays);
    if (!arrays)
        return nft_fail_memory("a table of tensors", weights->space->tensor_count * (int64_t)sizeof *arrays);
    for (int64_t at = 0, run; at < count && !status; at += run) {
        const nft_part *part = &dataset->parts[nft_dataset_find_part(dataset, indices[at])];
        for (run = 1; at + run < count && indices[at + run] == indices[at] + run; run++)
            if (indices[at + run] >= part->first + part->count)
                break;
        status = read_run(weights, at, dataset, indices[at], run, arrays);
    }
    nft_release(arrays);
    return status;
}

nft_status nft_dataset_read(nft_weights *weights, const nft_dataset *dataset, const int64_t *indices,
                            int64_t count)
{
    static const char function[] = "nft_dataset_read";
    if (!dataset || !weights || (!indices && count > 0))
        return nft_fail_null(function, !dataset ? "dataset" : !weights ? "weights" : "indices");
    if (dataset->parts[0].tokens)
        return nft_fail(NFT_ERROR_MISMATCH, "%s: %s holds tokens, not networks", function, dataset->path);
    if (weights->borrowed || weights->channels != dataset->channels || count < 0 || count > weights->count)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "%s: weights has room for %" PRId64 " networks of %" PRId64
                        " channels, expected %" PRId64 " of %" PRId64,
                        function, weights->borrowed ? 0 : weights->count, weights->channels, count,
                        dataset->channels);
    for (int64_t i = 0; i < count; i++)
        if (indices[i] < 0 || indices[i] >= dataset->count)
            return nft_fail(NFT_ERROR_ARGUMENT, "%s: index %" PRId64 " is %" PRId64 ", expected 0 … %" PRId64,
                            function, i, indices[i], dataset->count - 1);
    nft_status status = read_all(weights, dataset, indices, count);
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}
