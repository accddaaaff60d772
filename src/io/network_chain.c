/* Networks of a file that are chains of layers: pairs of tensors NAME.weight and NAME.bias. */
#include "base/nearest.h"
#include "io/chain_doubts.h"
#include "io/chain_order.h"
#include "io/layer_chain.h"
#include "io/network.h"
#include "space/metadata.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define SHAPE_CAPACITY 192

static const char weight_suffix[] = ".weight", bias_suffix[] = ".bias";

static bool is_weight(const nft_entry *entry)
{
    size_t length = strlen(entry->name), suffix = strlen(weight_suffix);
    return length >= suffix && !strcmp(entry->name + length - suffix, weight_suffix);
}

static int compare_layers(const void *a, const void *b)
{
    return nft_compare_names(((const nft_chain_layer *)a)->name, ((const nft_chain_layer *)b)->name);
}

/* The bias of the same name as a weight, NULL if there is none, and the name of both; free it. */
static nft_status find_bias(const nft_entry **bias, char **layer, const nft_file *file,
                            const nft_entry *weight)
{
    char *name = *layer = nft_copy_text(weight->name);
    if (!name)
        return nft_fail_memory("a layer's name", (int64_t)strlen(weight->name));
    char *suffix = name + strlen(name) - strlen(weight_suffix);
    memcpy(suffix, bias_suffix, sizeof bias_suffix);
    *bias = nft_file_find(file, name);
    *suffix = 0;
    return NFT_OK;
}

nft_status nft_network_mark_layers(nft_network *network, const nft_file *file)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < file->entry_count && !status; i++) {
        const nft_entry *bias = NULL;
        char *name = NULL;
        if (!is_weight(&file->entries[i]))
            continue;
        network->used[i] = true;
        status = find_bias(&bias, &name, file, &file->entries[i]);
        if (bias)
            network->used[bias - file->entries] = true;
        nft_release(name);
    }
    return status;
}

static nft_status add_layer(nft_layer_chain *chain, const nft_file *file, const nft_entry *weight)
{
    nft_chain_layer *layer = &chain->layers[chain->layer_count];
    layer->weight = weight;
    nft_status status = find_bias(&layer->bias, &layer->name, file, weight);
    chain->layer_count += !status;
    return status;
}

static bool is_weight_of(const nft_layer_chain *chain, const nft_entry *entry)
{
    return is_weight(entry) && !strncmp(entry->name, chain->prefix, strlen(chain->prefix));
}

static nft_status collect(nft_layer_chain *chain, const nft_file *file)
{
    int64_t count = 0;
    for (int64_t i = 0; i < file->entry_count; i++)
        count += is_weight_of(chain, &file->entries[i]);
    if (!count && !file->entry_count && file->left_out_count)
        return nft_fail(
            NFT_ERROR_FORMAT,
            "holds no tensor that is read: '%s' is not, %s; collect the checkpoints of the networks, "
            "or save their tensors as state dicts",
            file->left_out[0].name, file->left_out[0].reason);
    if (!count && *chain->prefix)
        return nft_fail(NFT_ERROR_FORMAT,
                        "holds no layer: none of its %" PRId64 " tensors is named %s….weight",
                        file->entry_count, chain->prefix);
    if (!count)
        return nft_fail(NFT_ERROR_FORMAT,
                        "holds no layer: none of its %" PRId64 " tensors is named NAME.weight",
                        file->entry_count);
    chain->layers = nft_allocate_array((size_t)count, sizeof *chain->layers);
    if (!chain->layers)
        return nft_fail_memory("a table of layers", nft_size_multiply(count, sizeof *chain->layers));
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < file->entry_count && !status; i++)
        if (is_weight_of(chain, &file->entries[i]))
            status = add_layer(chain, file, &file->entries[i]);
    if (!status)
        qsort(chain->layers, (size_t)count, sizeof *chain->layers, compare_layers);
    return status;
}

static nft_status fail_unknown(const nft_layer_chain *chain, const char *name)
{
    int count = chain->layer_count < INT_MAX ? (int)chain->layer_count : INT_MAX;
    const char **names = nft_allocate_array((size_t)count, sizeof *names);
    if (!names)
        return nft_fail_memory("a table of names", count * (int64_t)sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = chain->layers[i].name;
    int nearest = nft_nearest(name, names, count);
    nft_status status = nft_fail(NFT_ERROR_ARGUMENT, "there is no layer '%s' (tensor '%s%s')%s%s%s", name,
                                 name, weight_suffix, nearest < 0 ? "" : "; did you mean '",
                                 nearest < 0 ? "" : names[nearest], nearest < 0 ? "" : "'?");
    nft_release(names);
    return status;
}

/* Finds the layers that were named; `chosen` receives them, `taken` marks them. */
static nft_status choose(const nft_layer_chain *chain, const char *const *order, int64_t count,
                         nft_chain_layer *chosen, bool *taken)
{
    for (int64_t i = 0; i < count; i++) {
        if (!order[i])
            return nft_fail(NFT_ERROR_ARGUMENT, "the name of layer %" PRId64 " is NULL", i);
        nft_chain_layer wanted = {.name = (char *)order[i]};
        const nft_chain_layer *found =
            bsearch(&wanted, chain->layers, (size_t)chain->layer_count, sizeof wanted, compare_layers);
        if (!found)
            return fail_unknown(chain, order[i]);
        if (taken[found - chain->layers])
            return nft_fail(NFT_ERROR_ARGUMENT, "layer '%s' is named twice", order[i]);
        taken[found - chain->layers] = true;
        chosen[i] = *found;
    }
    return NFT_OK;
}

/* Keeps the named layers, in the order of the names. */
static nft_status reorder(nft_layer_chain *chain, const char *const *order, int64_t count)
{
    if (count < 1 || count > chain->layer_count)
        return nft_fail(NFT_ERROR_ARGUMENT, "%" PRId64 " layers are named, expected 1 … %" PRId64, count,
                        chain->layer_count);
    nft_chain_layer *chosen = nft_allocate_array((size_t)count, sizeof *chosen);
    bool *taken = nft_allocate_array((size_t)chain->layer_count, sizeof *taken);
    nft_status status = chosen && taken
                            ? choose(chain, order, count, chosen, taken)
                            : nft_fail_memory("a table of layers", count * (int64_t)sizeof *chosen);
    if (!status) {
        for (int64_t i = 0; i < chain->layer_count; i++)
            if (!taken[i])
                nft_release(chain->layers[i].name);
        memcpy(chain->layers, chosen, (size_t)count * sizeof *chosen);
        chain->layer_count = count;
    }
    nft_release(chosen);
    nft_release(taken);
    return status;
}

/* The first rank of biases, 1 … 3, with which every weight has r + 1 or r + 3 axes; 0 if there is none. */
static int64_t rank_of_weights(const nft_layer_chain *chain)
{
    for (int64_t rank = 1; rank <= 3; rank++) {
        bool fits = true;
        for (int64_t i = 0; i < chain->layer_count; i++) {
            int64_t axes = chain->layers[i].weight->rank - rank;
            fits = fits && (axes == 1 || axes == 3);
        }
        if (fits)
            return rank;
    }
    return 0;
}

static nft_status find_rank(nft_layer_chain *chain)
{
    const nft_entry *first = NULL;
    char shape[SHAPE_CAPACITY], other[SHAPE_CAPACITY];
    for (int64_t i = 0; i < chain->layer_count; i++) {
        const nft_entry *bias = chain->layers[i].bias;
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
    chain->rank = first ? first->rank : rank_of_weights(chain);
    if (chain->rank)
        return NFT_OK;
    const nft_entry *weight = chain->layers[0].weight;
    nft_shape_describe(weight->shape, weight->rank, shape, sizeof shape);
    return nft_fail(NFT_ERROR_FORMAT,
                    "there is no bias, and the weights' numbers of axes are those of no network, stack or "
                    "features ('%s' is %s)",
                    weight->name, shape);
}

static nft_status check_leading(const nft_layer_chain *chain, const nft_entry *entry)
{
    const nft_entry *first = chain->layers[0].weight;
    for (int64_t axis = 0; axis < chain->rank - 1; axis++) {
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

static nft_status check_weight(const nft_layer_chain *chain, const nft_entry *weight)
{
    int64_t axes = weight->rank - chain->rank;
    if (axes == 1 || axes == 3) {
        nft_status status = nft_check_float_entry(weight);
        return status ? status : check_leading(chain, weight);
    }
    char shape[SHAPE_CAPACITY];
    nft_shape_describe(weight->shape, weight->rank, shape, sizeof shape);
    return nft_fail(
        NFT_ERROR_FORMAT,
        "tensor '%s' has shape %s: with biases of %" PRId64 " %s a linear layer's weight has %" PRId64
        " and a conv2d's %" PRId64
        "; if it belongs to a norm, this is no chain of layers: describe it by a space of tensors "
        "and axes in nft_load_options.space, or name the layers to read in nft_load_options.layers",
        weight->name, shape, chain->rank, chain->rank == 1 ? "axis" : "axes", chain->rank + 1,
        chain->rank + 3);
}

static nft_status check_bias(const nft_layer_chain *chain, const nft_entry *bias, const nft_entry *weight)
{
    nft_status status = nft_check_float_entry(bias);
    if (!status)
        status = check_leading(chain, bias);
    int64_t outputs = weight->shape[chain->rank - 1];
    if (status || bias->shape[chain->rank - 1] == outputs)
        return status;
    char shape[SHAPE_CAPACITY], expected[SHAPE_CAPACITY];
    nft_shape_describe(bias->shape, bias->rank, shape, sizeof shape);
    nft_shape_describe(weight->shape, weight->rank, expected, sizeof expected);
    int64_t other = weight->shape[weight->rank == chain->rank + 1 ? chain->rank : weight->rank - 1];
    bool transposed =
        bias->shape[chain->rank - 1] == other || bias->shape[chain->rank - 1] == weight->shape[chain->rank];
    return nft_fail(
        NFT_ERROR_FORMAT, "tensor '%s' has shape %s, but '%s' %s has %" PRId64 " outputs%s", bias->name,
        shape, weight->name, expected, outputs,
        transposed ? "; the weight looks transposed (inputs first, as in Keras or ConvTranspose2d), expected "
                     "(out, in) or (out, in, height, width)"
                   : "");
}

static nft_layer shape_of(const nft_entry *weight, int64_t rank)
{
    const int64_t *shape = weight->shape + rank - 1;
    if (weight->rank == rank + 3)
        return (nft_layer)NFT_LAYER_INIT_CONV2D(shape[1], shape[0], shape[2], shape[3]);
    return (nft_layer)NFT_LAYER_INIT_LINEAR(shape[1], shape[0]);
}

/* Each layer feeds the next; a linear layer may read several positions of each channel. */
static nft_status link_layers(nft_layer_chain *chain, bool by_hand)
{
    for (int64_t i = 0; i < chain->layer_count; i++) {
        nft_layer *layer = &chain->shapes[i];
        *layer = shape_of(chain->layers[i].weight, chain->rank);
        int64_t given = i > 0 ? layer[-1].out : layer->in;
        if (layer->in == given)
            continue;
        if (layer->type != NFT_LAYER_LINEAR || given < 1 || layer->in < 1 || layer->in % given)
            return nft_chain_fail_order(chain, i, by_hand);
        if (layer[-1].type != NFT_LAYER_CONV2D)
            return nft_chain_fail_positions(chain, i);
        layer->positions = layer->in / given;
        layer->in = given;
    }
    return NFT_OK;
}

static nft_status check_layers(nft_layer_chain *chain)
{
    nft_status status = nft_chain_refuse_norms(chain);
    if (!status)
        status = find_rank(chain);
    for (int64_t i = 0; i < chain->layer_count && !status; i++) {
        const nft_chain_layer *layer = &chain->layers[i];
        status = check_weight(chain, layer->weight);
        if (!status && layer->bias)
            status = check_bias(chain, layer->bias, layer->weight);
    }
    return status;
}

/* Puts the layers into the order in which they feed each other, if their names tell one. */
static nft_status order_layers(nft_layer_chain *chain, char **note)
{
    size_t count = (size_t)chain->layer_count;
    nft_ordered_layer *layers = nft_allocate_array(count, sizeof *layers);
    nft_chain_layer *sorted = nft_allocate_array(count, sizeof *sorted);
    int64_t *order = nft_allocate_array(count, sizeof *order);
    nft_status status = layers && sorted && order
                            ? NFT_OK
                            : nft_fail_memory("a table of layers", (int64_t)(count * sizeof *layers));
    for (size_t i = 0; i < count && !status; i++) {
        nft_layer shape = shape_of(chain->layers[i].weight, chain->rank);
        layers[i] = (nft_ordered_layer){.name = chain->layers[i].name,
                                        .in = shape.in,
                                        .out = shape.out,
                                        .is_conv = shape.type == NFT_LAYER_CONV2D};
    }
    if (!status)
        status = nft_find_layer_order(order, note, layers, chain->layer_count);
    for (size_t i = 0; i < count && !status; i++)
        sorted[i] = chain->layers[order[i]];
    if (!status)
        memcpy(chain->layers, sorted, count * sizeof *sorted);
    nft_release(layers);
    nft_release(sorted);
    nft_release(order);
    return status;
}

/* The number that a name ends in, or -1; the length of all before it. */
static int64_t number_of(const char *name, size_t *before)
{
    size_t length = strlen(name);
    *before = length;
    while (*before && name[*before - 1] >= '0' && name[*before - 1] <= '9')
        (*before)--;
    return *before < length && length - *before < 10 ? strtol(name + *before, NULL, 10) : -1;
}

/* torchvision's AlexNet and VGG are two of nn.Sequential. */
static bool is_classifier_behind_features(const char *features, size_t features_length,
                                          const char *classifier, size_t classifier_length)
{
    static const char first[] = "features.", second[] = "classifier.";
    size_t common = features_length - strlen(first);
    return features_length >= strlen(first) && classifier_length == common + strlen(second) &&
           !strncmp(features, classifier, common) && !strncmp(features + common, first, strlen(first)) &&
           !strncmp(classifier + common, second, strlen(second));
}

/* The layers of an nn.Sequential have an activation between each two, which takes a number. */
static bool is_sequential(const nft_layer_chain *chain)
{
    size_t before = 0, previous = 0;
    int64_t last = number_of(chain->layers[0].name, &previous);
    bool sequential = last >= 0;
    for (int64_t i = 1; i < chain->layer_count && sequential; i++) {
        const char *name = chain->layers[i].name, *name_before = chain->layers[i - 1].name;
        int64_t number = number_of(name, &before);
        bool same = before == previous && !strncmp(name, name_before, before);
        sequential = same ? number >= last + 2
                          : number >= 0 && is_classifier_behind_features(name_before, previous, name, before);
        last = number;
        previous = before;
    }
    return sequential;
}

/* Whether the output of a layer could be added to the input of another: both are maps of equally many
 * channels, or both are vectors of equal length. */
static bool fits(const nft_layer *output, const nft_layer *input)
{
    int64_t positions = input->positions > 1 ? input->positions : 1;
    return output->type == input->type && output->out == input->in * positions;
}

/* Whether the outputs of two layers, or the input and an output, could be added. */
static bool has_equal_widths(const nft_layer_chain *chain)
{
    const nft_layer *shapes = chain->shapes;
    for (int64_t i = 0; i < chain->layer_count; i++)
        for (int64_t j = 0; j <= i; j++)
            if (fits(&shapes[i], &shapes[j]) && (j > 0 || i + 1 < chain->layer_count))
                return true;
    return false;
}

/* A sum of outputs has no tensor, so a file cannot show it. Whoever stacks networks knows them, and whoever
 * notes a frequency knows SIRENs. */
static bool may_have_sums(const nft_layer_chain *chain)
{
    return chain->rank == 1 && !nft_file_metadata(chain->file, "nft.omega") && !is_sequential(chain) &&
           has_equal_widths(chain);
}

/* Of the layers' names and shapes: errors, or the first that nothing decides. */
static nft_status doubt_layers(char **doubt, const nft_layer_chain *chain)
{
    nft_text text = {0};
    nft_status status = NFT_OK;
    int64_t leading = chain->rank - 1;
    for (int64_t i = 0; i < chain->layer_count && !status; i++) {
        const nft_chain_layer *layer = &chain->layers[i];
        status = nft_doubt_layer(&text, layer->name, layer->weight->shape + leading,
                                 layer->weight->rank - leading, layer->bias != NULL);
    }
    *doubt = text.data; /* NULL without a doubt */
    return status;
}

static nft_status doubt_sums(char **doubt, const nft_layer_chain *chain)
{
    static const char sums[] =
        "the network is read as a chain of layers, but a file does not show residual connections, which "
        "layers of equal width may have: if there are any, give the network's space";
    if (*doubt || !may_have_sums(chain))
        return NFT_OK;
    *doubt = nft_copy_text(sums);
    return *doubt ? NFT_OK : nft_fail_memory("a note", (int64_t)sizeof sums);
}

/* The space that the shapes tell. */
static nft_status make_space(nft_space **space, nft_layer_chain *chain, bool by_hand, nft_network *network)
{
    nft_status status = check_layers(chain);
    if (!status && !by_hand)
        status = order_layers(chain, &network->note);
    if (!status && !by_hand)
        status = doubt_layers(&network->doubt, chain);
    if (status)
        return status;
    chain->shapes = nft_allocate_array((size_t)chain->layer_count, sizeof *chain->shapes);
    if (!chain->shapes)
        return nft_fail_memory("a table of layers", chain->layer_count * (int64_t)sizeof *chain->shapes);
    status = link_layers(chain, by_hand);
    if (!status && !by_hand)
        status = doubt_sums(&network->doubt, chain);
    return status ? status : nft_space_create_chain(space, chain->shapes, chain->layer_count);
}

static nft_status fail_layer_count(const nft_layer_chain *chain, const nft_space *space)
{
    return nft_fail(NFT_ERROR_FORMAT,
                    "there are %" PRId64 " layers NAME.weight, but the space has %" PRId64
                    "; name its layers in order in nft_load_options.layers",
                    chain->layer_count, space->layer_count);
}

static nft_status name_tensors(nft_network *network, const nft_layer_chain *chain)
{
    for (int64_t i = 0; i < chain->layer_count; i++)
        for (int bias = 0; bias < 2; bias++) {
            nft_text name = {0};
            nft_text_append(&name, "%s%s", chain->layers[i].name, bias ? bias_suffix : weight_suffix);
            if (name.failed)
                return nft_fail_memory("a tensor's name", (int64_t)strlen(chain->layers[i].name));
            network->names[2 * i + bias] = name.data;
        }
    return NFT_OK;
}

static void clear_chain(nft_layer_chain *chain)
{
    for (int64_t i = 0; i < chain->layer_count; i++)
        nft_release(chain->layers[i].name);
    nft_release(chain->layers);
    nft_release(chain->shapes);
}

nft_status nft_network_find_chain(nft_network *network, const nft_file *file, const nft_space *space,
                                  const nft_load_options *options)
{
    const char *const *order = options->layers;
    nft_layer_chain chain = {.prefix = options->prefix ? options->prefix : "", .file = file};
    nft_space *made = NULL;
    nft_status status = NFT_OK;
    network->used = nft_allocate_array((size_t)file->entry_count, sizeof *network->used);
    if (!network->used)
        return nft_fail_memory("a table of tensors", file->entry_count);
    status = nft_network_mark_layers(network, file);
    if (!status)
        status = collect(&chain, file);
    if (!status && order)
        status = reorder(&chain, order, options->layer_count);
    if (!status && !space)
        status = make_space(&made, &chain, order != NULL, network);
    if (!status && space && chain.layer_count != space->layer_count)
        status = fail_layer_count(&chain, space);
    if (!status)
        status = nft_network_allocate(network, space ? space : made, file);
    if (!status)
        status = name_tensors(network, &chain);
    if (!status)
        status = nft_network_match(network, file);
    nft_space_free(made);
    clear_chain(&chain);
    return status;
}
