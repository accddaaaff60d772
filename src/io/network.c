#include "io/network.h"
#include "base/nearest.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define SHAPE_CAPACITY 192
#define LISTED_LAYERS 12

static const char weight_suffix[] = ".weight", bias_suffix[] = ".bias";

static bool is_weight(const nft_entry *entry)
{
    size_t length = strlen(entry->name), suffix = strlen(weight_suffix);
    return length >= suffix && !strcmp(entry->name + length - suffix, weight_suffix);
}

static int compare_layers(const void *a, const void *b)
{
    return nft_compare_names(((const nft_network_layer *)a)->name, ((const nft_network_layer *)b)->name);
}

/* Pairs a weight with the bias of the same name. */
static nft_status add_layer(nft_network *network, const nft_file *file, const nft_entry *weight)
{
    char *name = nft_copy_text(weight->name);
    if (!name)
        return nft_fail_memory("a layer's name", (int64_t)strlen(weight->name));
    char *suffix = name + strlen(name) - strlen(weight_suffix);
    memcpy(suffix, bias_suffix, sizeof bias_suffix);
    const nft_entry *bias = nft_file_find(file, name);
    *suffix = 0;
    network->layers[network->layer_count++] =
        (nft_network_layer){.name = name, .weight = weight, .bias = bias};
    network->of_a_layer[weight - file->entries] = true;
    if (bias)
        network->of_a_layer[bias - file->entries] = true;
    return NFT_OK;
}

static nft_status collect(nft_network *network, const nft_file *file)
{
    int64_t count = 0;
    for (int64_t i = 0; i < file->entry_count; i++)
        count += is_weight(&file->entries[i]);
    if (!count)
        return nft_fail(NFT_ERROR_FORMAT,
                        "holds no layer: none of its %" PRId64 " tensors is named NAME.weight",
                        file->entry_count);
    network->layers = nft_allocate_array((size_t)count, sizeof *network->layers);
    network->of_a_layer = nft_allocate_array((size_t)file->entry_count, sizeof *network->of_a_layer);
    if (!network->layers || !network->of_a_layer)
        return nft_fail_memory("a table of layers", nft_size_multiply(count, sizeof *network->layers));
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < file->entry_count && !status; i++)
        if (is_weight(&file->entries[i]))
            status = add_layer(network, file, &file->entries[i]);
    if (!status)
        qsort(network->layers, (size_t)count, sizeof *network->layers, compare_layers);
    return status;
}

static nft_status fail_unknown(const nft_network *network, const char *name)
{
    int count = network->layer_count < INT_MAX ? (int)network->layer_count : INT_MAX;
    const char **names = nft_allocate_array((size_t)count, sizeof *names);
    if (!names)
        return nft_fail_memory("a table of names", count * (int64_t)sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = network->layers[i].name;
    int nearest = nft_nearest(name, names, count);
    nft_status status = nft_fail(NFT_ERROR_ARGUMENT, "there is no layer '%s' (tensor '%s%s')%s%s%s", name,
                                 name, weight_suffix, nearest < 0 ? "" : "; did you mean '",
                                 nearest < 0 ? "" : names[nearest], nearest < 0 ? "" : "'?");
    nft_release(names);
    return status;
}

/* Finds the layers that were named; `chosen` receives them, `taken` marks them. */
static nft_status choose(const nft_network *network, const char *const *order, int64_t count,
                         nft_network_layer *chosen, bool *taken)
{
    for (int64_t i = 0; i < count; i++) {
        if (!order[i])
            return nft_fail(NFT_ERROR_ARGUMENT, "the name of layer %" PRId64 " is NULL", i);
        nft_network_layer wanted = {.name = (char *)order[i]};
        const nft_network_layer *found =
            bsearch(&wanted, network->layers, (size_t)network->layer_count, sizeof wanted, compare_layers);
        if (!found)
            return fail_unknown(network, order[i]);
        if (taken[found - network->layers])
            return nft_fail(NFT_ERROR_ARGUMENT, "layer '%s' is named twice", order[i]);
        taken[found - network->layers] = true;
        chosen[i] = *found;
    }
    return NFT_OK;
}

/* Keeps the named layers, in the order of the names. */
static nft_status reorder(nft_network *network, const char *const *order, int64_t count)
{
    if (count < 1 || count > network->layer_count)
        return nft_fail(NFT_ERROR_ARGUMENT, "%" PRId64 " layers are named, expected 1 … %" PRId64, count,
                        network->layer_count);
    nft_network_layer *chosen = nft_allocate_array((size_t)count, sizeof *chosen);
    bool *taken = nft_allocate_array((size_t)network->layer_count, sizeof *taken);
    nft_status status = chosen && taken
                            ? choose(network, order, count, chosen, taken)
                            : nft_fail_memory("a table of layers", count * (int64_t)sizeof *chosen);
    if (!status) {
        for (int64_t i = 0; i < network->layer_count; i++)
            if (!taken[i])
                nft_release(network->layers[i].name);
        memcpy(network->layers, chosen, (size_t)count * sizeof *chosen);
        network->layer_count = count;
    }
    nft_release(chosen);
    nft_release(taken);
    return status;
}

/* The first rank of biases, 1 … 3, with which every weight has r + 1 or r + 3 axes; 0 if there is none. */
static int64_t rank_of_weights(const nft_network *network)
{
    for (int64_t rank = 1; rank <= 3; rank++) {
        bool fits = true;
        for (int64_t i = 0; i < network->layer_count; i++) {
            int64_t axes = network->layers[i].weight->rank - rank;
            fits = fits && (axes == 1 || axes == 3);
        }
        if (fits)
            return rank;
    }
    return 0;
}

static nft_status find_rank(nft_network *network)
{
    const nft_entry *first = NULL;
    char shape[SHAPE_CAPACITY], other[SHAPE_CAPACITY];
    for (int64_t i = 0; i < network->layer_count; i++) {
        const nft_entry *bias = network->layers[i].bias;
        if (!bias)
            continue;
        nft_shape_describe(bias->shape, bias->rank, shape, sizeof shape);
        if (bias->rank < 1 || bias->rank > 3)
            return nft_fail(NFT_ERROR_FORMAT,
                            "tensor '%s' has shape %s, expected (out), (N, out) or (N, C, out) for a bias",
                            bias->name, shape);
        first = first ? first : bias;
        if (first->rank == bias->rank)
            continue;
        nft_shape_describe(first->shape, first->rank, other, sizeof other);
        return nft_fail(NFT_ERROR_FORMAT,
                        "tensor '%s' has shape %s, but '%s' %s; all biases have the same number of axes",
                        bias->name, shape, first->name, other);
    }
    network->rank = first ? first->rank : rank_of_weights(network);
    if (network->rank)
        return NFT_OK;
    const nft_entry *weight = network->layers[0].weight;
    nft_shape_describe(weight->shape, weight->rank, shape, sizeof shape);
    return nft_fail(
        NFT_ERROR_FORMAT,
        "there is no bias, and the weights' numbers of axes do not tell what the file holds ('%s' is %s)",
        weight->name, shape);
}

static nft_status check_leading(const nft_network *network, const nft_entry *entry)
{
    const nft_entry *first = network->layers[0].weight;
    for (int64_t axis = 0; axis < network->rank - 1; axis++) {
        if (entry->shape[axis] == first->shape[axis])
            continue;
        char shape[SHAPE_CAPACITY], expected[SHAPE_CAPACITY];
        nft_shape_describe(entry->shape, entry->rank, shape, sizeof shape);
        nft_shape_describe(first->shape, first->rank, expected, sizeof expected);
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' has shape %s, but '%s' %s says %" PRId64 " %s",
                        entry->name, shape, first->name, expected, first->shape[axis],
                        axis ? "channels" : "networks");
    }
    return NFT_OK;
}

static nft_status check_float(const nft_entry *entry)
{
    if (nft_type_is_float(entry->type))
        return NFT_OK;
    return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' is %s, expected F32, F16, BF16 or F64", entry->name,
                    nft_type_name(entry->type));
}

static nft_status check_weight(const nft_network *network, const nft_entry *weight)
{
    int64_t axes = weight->rank - network->rank;
    if (axes == 1 || axes == 3) {
        nft_status status = check_float(weight);
        return status ? status : check_leading(network, weight);
    }
    char shape[SHAPE_CAPACITY];
    nft_shape_describe(weight->shape, weight->rank, shape, sizeof shape);
    return nft_fail(NFT_ERROR_FORMAT,
                    "tensor '%s' has shape %s: beside biases of %" PRId64
                    " %s a linear layer's weight has %" PRId64 " and a conv2d's %" PRId64
                    "; if it is another layer's (a norm's), name the layers to read in "
                    "nft_load_options.layers",
                    weight->name, shape, network->rank, network->rank == 1 ? "axis" : "axes",
                    network->rank + 1, network->rank + 3);
}

static nft_status check_bias(const nft_network *network, const nft_entry *bias, const nft_entry *weight)
{
    nft_status status = check_float(bias);
    if (!status)
        status = check_leading(network, bias);
    int64_t outputs = weight->shape[network->rank - 1];
    if (status || bias->shape[network->rank - 1] == outputs)
        return status;
    char shape[SHAPE_CAPACITY], expected[SHAPE_CAPACITY];
    nft_shape_describe(bias->shape, bias->rank, shape, sizeof shape);
    nft_shape_describe(weight->shape, weight->rank, expected, sizeof expected);
    return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' has shape %s, but '%s' %s has %" PRId64 " outputs",
                    bias->name, shape, weight->name, expected, outputs);
}

/* Layers with their shapes, the leading axes left out: "conv1 (16, 1, 3, 3), fc (10, 400)". */
static void list_layers(const nft_network *network, nft_text *text)
{
    int64_t leading = network->rank - 1;
    for (int64_t i = 0; i < network->layer_count && i < LISTED_LAYERS; i++) {
        const nft_entry *weight = network->layers[i].weight;
        char shape[SHAPE_CAPACITY];
        nft_shape_describe(weight->shape + leading, weight->rank - leading, shape, sizeof shape);
        nft_text_append(text, "%s%s %s", i ? ", " : "", network->layers[i].name, shape);
    }
    nft_text_append(text, network->layer_count > LISTED_LAYERS ? ", …" : "");
}

static nft_status fail_chain(const nft_network *network, int64_t i, bool by_hand)
{
    nft_text list = {0};
    list_layers(network, &list);
    nft_status status =
        nft_fail(NFT_ERROR_FORMAT,
                 "layer '%s' takes %" PRId64 " inputs, but '%s' before it gives %" PRId64
                 " outputs; %s the layers are %s%s",
                 network->layers[i].name, network->shapes[i].in, network->layers[i - 1].name,
                 network->shapes[i - 1].out, by_hand ? "in the order given" : "in natural order",
                 list.failed ? "too many to list" : list.data,
                 by_hand ? "" : "; if that is not their order, give it in nft_load_options.layers");
    nft_text_clear(&list);
    return status;
}

static nft_layer shape_of(const nft_entry *weight, int64_t rank)
{
    const int64_t *shape = weight->shape + rank - 1;
    if (weight->rank == rank + 3)
        return (nft_layer)NFT_LAYER_INIT_CONV2D(shape[1], shape[0], shape[2], shape[3]);
    return (nft_layer)NFT_LAYER_INIT_LINEAR(shape[1], shape[0]);
}

/* Each layer feeds the next; a linear layer may read several positions of each channel. */
static nft_status chain(nft_network *network, bool by_hand)
{
    for (int64_t i = 0; i < network->layer_count; i++) {
        nft_layer *layer = &network->shapes[i];
        *layer = shape_of(network->layers[i].weight, network->rank);
        int64_t given = i > 0 ? layer[-1].out : layer->in;
        if (layer->in == given)
            continue;
        if (layer->type != NFT_LAYER_LINEAR || given < 1 || layer->in < 1 || layer->in % given)
            return fail_chain(network, i, by_hand);
        layer->positions = layer->in / given;
        layer->in = given;
    }
    return NFT_OK;
}

static nft_status check_layers(nft_network *network)
{
    nft_status status = find_rank(network);
    for (int64_t i = 0; i < network->layer_count && !status; i++) {
        const nft_network_layer *layer = &network->layers[i];
        status = check_weight(network, layer->weight);
        if (!status && layer->bias)
            status = check_bias(network, layer->bias, layer->weight);
    }
    if (status)
        return status;
    const int64_t *leading = network->layers[0].weight->shape;
    network->count = network->rank > 1 ? leading[0] : 1;
    network->channels = network->rank > 2 ? leading[1] : 1;
    return NFT_OK;
}

nft_status nft_network_find(nft_network *network, const nft_file *file, const char *const *order,
                            int64_t order_count)
{
    *network = (nft_network){0};
    nft_status status = collect(network, file);
    if (!status && order)
        status = reorder(network, order, order_count);
    if (!status)
        status = check_layers(network);
    if (!status) {
        network->shapes = nft_allocate_array((size_t)network->layer_count, sizeof *network->shapes);
        status = network->shapes ? chain(network, order != NULL)
                                 : nft_fail_memory("a table of layers",
                                                   network->layer_count * (int64_t)sizeof *network->shapes);
    }
    if (status && status != NFT_ERROR_MEMORY && nft_file_metadata(file, NFT_CONFIG_KEY))
        return nft_fail_in(status, "this is a model file, expected networks");
    return status;
}

void nft_network_clear(nft_network *network)
{
    for (int64_t i = 0; i < network->layer_count; i++)
        nft_release(network->layers[i].name);
    nft_release(network->layers);
    nft_release(network->shapes);
    nft_release(network->of_a_layer);
    *network = (nft_network){0};
}
