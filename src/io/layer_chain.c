#include "io/layer_chain.h"

#include <inttypes.h>
#include <string.h>

#define SHAPE_CAPACITY 192
#define LISTED_LAYERS 12

/* Layers with their shapes, the leading axes left out: "conv1 (16, 1, 3, 3), fc (10, 400)". */
static void list_layers(const nft_layer_chain *chain, nft_text *text)
{
    int64_t leading = chain->rank - 1;
    for (int64_t i = 0; i < chain->layer_count && i < LISTED_LAYERS; i++) {
        const nft_entry *weight = chain->layers[i].weight;
        char shape[SHAPE_CAPACITY];
        nft_shape_describe(weight->shape + leading, weight->rank - leading, shape, sizeof shape);
        nft_text_append(text, "%s%s %s", i ? ", " : "", chain->layers[i].name, shape);
    }
    nft_text_append(text, chain->layer_count > LISTED_LAYERS ? ", …" : "");
}

static bool has_biases(const nft_layer_chain *chain)
{
    for (int64_t i = 0; i < chain->layer_count; i++)
        if (chain->layers[i].bias)
            return true;
    return false;
}

static nft_status fail_groups(const nft_layer_chain *chain, int64_t i)
{
    int64_t in = chain->shapes[i].in, given = chain->shapes[i - 1].out;
    return nft_fail(NFT_ERROR_FORMAT,
                    "layer '%s' takes %" PRId64 " of the %" PRId64
                    " outputs of '%s': it looks like a grouped convolution of %" PRId64
                    " groups, which a chain of layers does not have; give the network's space in "
                    "nft_load_options.space",
                    chain->layers[i].name, in, given, chain->layers[i - 1].name, given / in);
}

nft_status nft_chain_fail_order(const nft_layer_chain *chain, int64_t i, bool by_hand)
{
    nft_text list = {0};
    int64_t in = chain->shapes[i].in;
    if (chain->shapes[i].type == NFT_LAYER_CONV2D && in > 0 && in < chain->shapes[i - 1].out &&
        chain->shapes[i - 1].out % in == 0)
        return fail_groups(chain, i);
    list_layers(chain, &list);
    nft_status status = nft_fail(
        NFT_ERROR_FORMAT,
        "layer '%s' takes %" PRId64 " inputs, but '%s' before it gives %" PRId64
        " outputs; %s the layers are %s%s%s",
        chain->layers[i].name, chain->shapes[i].in, chain->layers[i - 1].name, chain->shapes[i - 1].out,
        by_hand ? "in the order given" : "in natural order", list.failed ? "too many to list" : list.data,
        by_hand ? ""
                : "; if that is not their order, give it in nft_load_options.layers; if they "
                  "are no chain, give the network's space in nft_load_options.space",
        chain->rank > 1 && !has_biases(chain)
            ? "; they are read as a stack, but without biases conv1d and conv3d look the same"
            : "");
    nft_text_clear(&list);
    return status;
}

/* Only a feature map has positions: else the layer before is not the one that feeds it. */
nft_status nft_chain_fail_positions(const nft_layer_chain *chain, int64_t i)
{
    const nft_layer *layer = &chain->shapes[i];
    return nft_fail(NFT_ERROR_FORMAT,
                    "layer '%s' takes %" PRId64 " inputs, but '%s' before it gives %" PRId64
                    " outputs and is no conv2d, whose map could be flattened: this is no chain of layers; "
                    "describe it by a space of tensors and axes in nft_load_options.space",
                    chain->layers[i].name, layer->in, chain->layers[i - 1].name, layer[-1].out);
}

static nft_status refuse_norm(const nft_layer_chain *chain, const char *name)
{
    nft_text mean = {0};
    nft_text_append(&mean, "%s.running_mean", name);
    if (mean.failed)
        return nft_fail_memory("a tensor's name", (int64_t)strlen(name));
    bool is_norm = nft_file_find(chain->file, mean.data) != NULL;
    nft_text_clear(&mean);
    if (!is_norm)
        return NFT_OK;
    return nft_fail(
        NFT_ERROR_FORMAT,
        "'%s' is a batch norm, so this is no chain of layers: 'nftool collect --fold-norms' folds "
        "it into the layer before it; or describe the network by a space of tensors and axes in "
        "nft_load_options.space, or name the layers to read in nft_load_options.layers",
        name);
}

nft_status nft_chain_refuse_norms(const nft_layer_chain *chain)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < chain->layer_count && !status; i++)
        status = refuse_norm(chain, chain->layers[i].name);
    return status;
}
