/* Weight sets from files: one network, a stack, or features, with their extras and metadata. */
#include "io/incomplete.h"
#include "io/load_options.h"
#include "io/network.h"
#include "space/array.h"
#include "space/weights.h"

#include <string.h>

/* An extra travels with the networks, one row each; one network without a leading axis has none. */
bool nft_network_has_extra(const nft_network *network, const nft_entry *entry, int64_t index)
{
    return network->rank > 1 && !network->used[index] && entry->rank > 0 && entry->shape[0] == network->count;
}

static int64_t extra_bytes(const nft_entry *entry)
{
    return nft_size_multiply(entry->count, nft_type_is_float(entry->type) ? sizeof(float) : sizeof(int64_t));
}

static nft_status check_memory(const nft_file *file, const nft_network *network, int64_t limit)
{
    int64_t floats =
        nft_size_multiply(nft_size_multiply(network->count, network->channels), network->space->numbers);
    int64_t bytes = nft_size_multiply(floats, sizeof(float));
    for (int64_t i = 0; i < file->entry_count; i++)
        if (nft_network_has_extra(network, &file->entries[i], i))
            bytes = nft_size_add(bytes, extra_bytes(&file->entries[i]));
    return nft_check_limit("a weight set", bytes, limit);
}

static nft_status read_tensors(nft_weights *weights, const nft_file *file, const nft_network *network)
{
    nft_status status = NFT_OK;
    for (int64_t t = 0; t < network->space->tensor_count && !status; t++)
        status = nft_network_read(network, file, t, 0, network->count, nft_weights_edit(weights, t));
    return status;
}

static nft_status read_extra(nft_weights *weights, const nft_file *file, const nft_entry *entry)
{
    nft_extra *extra = &weights->extras[weights->extra_count++];
    extra->name = nft_copy_text(entry->name);
    if (!extra->name)
        return nft_fail_memory("a tensor's name", (int64_t)strlen(entry->name));
    return nft_file_read(&extra->array, file, entry->name, 0, NFT_ALL);
}

static nft_status read_extras(nft_weights *weights, const nft_file *file, const nft_network *network)
{
    int64_t count = 0;
    for (int64_t i = 0; i < file->entry_count; i++)
        count += nft_network_has_extra(network, &file->entries[i], i);
    weights->extras = nft_allocate_array((size_t)count, sizeof *weights->extras);
    if (!weights->extras)
        return nft_fail_memory("a table of tensors", count * (int64_t)sizeof *weights->extras);
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < file->entry_count && !status; i++)
        if (nft_network_has_extra(network, &file->entries[i], i))
            status = read_extra(weights, file, &file->entries[i]);
    return status;
}

/* A tensor that is saved with one network, because nothing about it depends on the network's neurons. */
static bool is_other(const nft_network *network, const nft_entry *entry, int64_t index,
                     const nft_load_options *options)
{
    return network->rank == 1 && !options->layers && !options->prefix && !network->used[index] &&
           !(nft_type_is_float(entry->type) && entry->rank && strrchr(entry->name, '.'));
}

static nft_status read_others(nft_weights *weights, const nft_file *file, const nft_network *network,
                              const nft_load_options *options)
{
    nft_status status = NFT_OK;
    weights->others = nft_allocate_array((size_t)file->entry_count, sizeof *weights->others);
    if (!weights->others)
        return nft_fail_memory("a table of tensors", file->entry_count);
    for (int64_t i = 0; i < file->entry_count && !status; i++) {
        if (!is_other(network, &file->entries[i], i, options))
            continue;
        nft_extra *other = &weights->others[weights->other_count++];
        other->name = nft_copy_text(file->entries[i].name);
        status = other->name ? nft_file_read(&other->array, file, other->name, 0, NFT_ALL)
                             : nft_fail_memory("a tensor's name", (int64_t)strlen(file->entries[i].name));
    }
    return status;
}

nft_status nft_weights_keep_metadata(nft_weights *weights, const nft_file *file)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < file->metadata_count && !status; i++)
        status = nft_metadata_set(&weights->metadata, file->metadata[i].key, file->metadata[i].value);
    return status;
}

/* Marks the entries that are read; layers that were not named are in `used` as well. */
static nft_status find_chosen(bool **chosen, const nft_file *file, const nft_network *network)
{
    *chosen = nft_allocate_array((size_t)file->entry_count, sizeof **chosen);
    if (!*chosen)
        return nft_fail_memory("a table of tensors", file->entry_count);
    for (int64_t t = 0; t < network->space->tensor_count; t++)
        if (network->entries[t])
            (*chosen)[network->entries[t] - file->entries] = true;
    return NFT_OK;
}

/* Tells once of everything that is not read. */
static nft_status tell_ignored(const nft_file *file, const nft_network *network,
                               const nft_load_options *options)
{
    bool *unread = NULL;
    nft_status status = find_chosen(&unread, file, network);
    for (int64_t i = 0; i < file->entry_count && !status; i++)
        unread[i] = !unread[i] && !nft_network_has_extra(network, &file->entries[i], i) &&
                    !is_other(network, &file->entries[i], i, options);
    if (!status)
        status = nft_tell_unread(file, unread);
    nft_network_tell(network, file);
    nft_release(unread);
    return status;
}

static nft_status read_weights(nft_weights **weights, const nft_file *file, const nft_network *network,
                               int64_t limit)
{
    nft_status status = check_memory(file, network, limit);
    if (!status)
        status = nft_weights_allocate(weights, network->space, network->count, network->channels,
                                      (const char *const *)network->names, limit);
    if (status)
        return status;
    (*weights)->rank = network->rank;
    status = read_tensors(*weights, file, network);
    if (!status)
        status = read_extras(*weights, file, network);
    return status ? status : nft_weights_keep_metadata(*weights, file);
}

/* Takes the file over. */
static nft_status load(nft_weights **out, nft_file *file, const nft_load_options *options)
{
    nft_network network = {0};
    nft_weights *weights = NULL;
    nft_status status = nft_network_find(&network, file, options);
    if (!status)
        status = read_weights(&weights, file, &network, options->memory_limit);
    if (!status)
        status = nft_weights_note_doubts(weights, &network);
    if (!status)
        status = read_others(weights, file, &network, options);
    if (!status)
        status = tell_ignored(file, &network, options);
    if (status)
        nft_fail_in(status, "%s", file->path);
    nft_network_clear(&network);
    nft_file_free(file);
    if (status) {
        nft_weights_free(weights);
        return status;
    }
    *out = weights;
    return NFT_OK;
}

nft_status nft_weights_load(nft_weights **weights, const char *path, const nft_load_options *options)
{
    static const char function[] = "nft_weights_load";
    if (!weights)
        return nft_fail_null(function, "weights");
    *weights = NULL;
    nft_file *file = NULL;
    nft_load_options filled;
    nft_status status = nft_open_to_load(function, &file, path, &filled, options);
    return status ? status : load(weights, file, &filled);
}
