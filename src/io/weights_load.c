/* Weight sets from safetensors files: one network, a stack, or features, and what travels with them. */
#include "io/load_options.h"
#include "io/network.h"
#include "space/array.h"
#include "space/weights.h"

#include <inttypes.h>
#include <string.h>

#define SHAPE_CAPACITY 192

/* An extra travels with the networks, one row each; one network without a leading axis has none. */
static bool is_extra(const nft_network *network, const nft_entry *entry, int64_t index)
{
    return network->rank > 1 && !network->of_a_layer[index] && entry->rank > 0 &&
           entry->shape[0] == network->count;
}

static int64_t extra_bytes(const nft_entry *entry)
{
    return nft_size_multiply(entry->count, nft_type_is_float(entry->type) ? sizeof(float) : sizeof(int64_t));
}

static nft_status check_memory(const nft_file *file, const nft_network *network, const nft_space *space,
                               int64_t limit)
{
    int64_t floats = nft_size_multiply(nft_size_multiply(network->count, network->channels),
                                       nft_space_parameter_count(space));
    int64_t bytes = nft_size_multiply(floats, sizeof(float));
    for (int64_t i = 0; i < file->entry_count; i++)
        if (is_extra(network, &file->entries[i], i))
            bytes = nft_size_add(bytes, extra_bytes(&file->entries[i]));
    return nft_check_limit("a weight set", bytes, limit);
}

static nft_status allocate(nft_weights **weights, const nft_network *network, const nft_space *space,
                           int64_t limit)
{
    const char **names = nft_allocate_array((size_t)network->layer_count, sizeof *names);
    if (!names)
        return nft_fail_memory("a table of names", network->layer_count * (int64_t)sizeof *names);
    for (int64_t i = 0; i < network->layer_count; i++)
        names[i] = network->layers[i].name;
    nft_status status = nft_weights_allocate(weights, space, network->count, network->channels, names, limit);
    nft_release(names);
    if (!status)
        (*weights)->rank = network->rank;
    return status;
}

static nft_status read_layers(nft_weights *weights, const nft_file *file, const nft_network *network)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < network->layer_count && !status; i++) {
        const nft_network_layer *layer = &network->layers[i];
        status = nft_file_read_f32(file, layer->weight, 0, layer->weight->count,
                                   nft_weights_edit(weights, i, NFT_WEIGHTS_WEIGHT));
        if (!status && layer->bias)
            status = nft_file_read_f32(file, layer->bias, 0, layer->bias->count,
                                       nft_weights_edit(weights, i, NFT_WEIGHTS_BIAS));
    }
    return status;
}

static nft_status read_extra(nft_weights *weights, const nft_file *file, const nft_entry *entry)
{
    nft_extra *extra = &weights->extras[weights->extra_count++];
    extra->name = nft_copy_text(entry->name);
    if (!extra->name)
        return nft_fail_memory("a tensor's name", (int64_t)strlen(entry->name));
    return nft_file_read(&extra->array, file, entry->name);
}

static nft_status read_extras(nft_weights *weights, const nft_file *file, const nft_network *network)
{
    int64_t count = 0;
    for (int64_t i = 0; i < file->entry_count; i++)
        count += is_extra(network, &file->entries[i], i);
    weights->extras = nft_allocate_array((size_t)count, sizeof *weights->extras);
    if (!weights->extras)
        return nft_fail_memory("a table of tensors", count * (int64_t)sizeof *weights->extras);
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < file->entry_count && !status; i++)
        if (is_extra(network, &file->entries[i], i))
            status = read_extra(weights, file, &file->entries[i]);
    return status;
}

static bool is_chosen(const nft_network *network, const nft_entry *entry)
{
    for (int64_t i = 0; i < network->layer_count; i++)
        if (network->layers[i].weight == entry || network->layers[i].bias == entry)
            return true;
    return false;
}

static void tell_ignored(const nft_file *file, const nft_network *network, bool by_hand)
{
    for (int64_t i = 0; i < file->entry_count; i++) {
        const nft_entry *entry = &file->entries[i];
        bool used =
            network->of_a_layer[i] ? !by_hand || is_chosen(network, entry) : is_extra(network, entry, i);
        if (used)
            continue;
        char shape[SHAPE_CAPACITY];
        nft_shape_describe(entry->shape, entry->rank, shape, sizeof shape);
        nft_log(NFT_LOG_INFO, "%s: tensor '%s' %s of %s belongs to no layer and is not read", file->path,
                entry->name, shape, nft_type_name(entry->type));
    }
}

static nft_status read_weights(nft_weights **weights, const nft_file *file, const nft_network *network,
                               int64_t limit)
{
    nft_space *space = NULL;
    nft_status status = nft_space_create(&space, network->shapes, network->layer_count);
    if (!status)
        status = check_memory(file, network, space, limit);
    if (!status)
        status = allocate(weights, network, space, limit);
    nft_space_free(space);
    if (status)
        return nft_fail_in(status, "%s", file->path);
    status = read_layers(*weights, file, network);
    if (status)
        return nft_fail_in(status, "%s", file->path);
    return read_extras(*weights, file, network);
}

/* Takes the file over. */
static nft_status load(nft_weights **out, nft_file *file, const nft_load_options *options)
{
    nft_network network = {0};
    nft_weights *weights = NULL;
    nft_status status = nft_network_find(&network, file, options->layers, options->layer_count);
    if (status)
        nft_fail_in(status, "%s", file->path);
    else
        status = read_weights(&weights, file, &network, options->memory_limit);
    if (!status)
        tell_ignored(file, &network, options->layers != NULL);
    nft_network_clear(&network);
    nft_file_free(file);
    if (status) {
        nft_weights_free(weights);
        return status;
    }
    *out = weights;
    return NFT_OK;
}

nft_status nft_weights_load(nft_weights **weights, const char *path)
{
    return nft_weights_load_with(weights, path, NULL);
}

nft_status nft_weights_load_with(nft_weights **weights, const char *path, const nft_load_options *options)
{
    if (!weights)
        return nft_fail_null("nft_weights_load", "weights");
    *weights = NULL;
    if (!path)
        return nft_fail_null("nft_weights_load", "path");
    nft_file *file = NULL;
    nft_load_options filled;
    nft_status status = nft_fill_load_options("nft_weights_load", &filled, options);
    if (!status)
        status = nft_file_open(&file, path);
    return status ? status : load(weights, file, &filled);
}

nft_status nft_weights_load_memory(nft_weights **weights, const void *bytes, size_t size,
                                   const nft_load_options *options)
{
    if (!weights)
        return nft_fail_null("nft_weights_load_memory", "weights");
    *weights = NULL;
    if (!bytes)
        return nft_fail_null("nft_weights_load_memory", "bytes");
    nft_file *file = NULL;
    nft_load_options filled;
    nft_status status = nft_fill_load_options("nft_weights_load_memory", &filled, options);
    if (!status)
        status = nft_file_open_memory(&file, bytes, size);
    return status ? status : load(weights, file, &filled);
}
