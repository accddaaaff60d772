#include "io/space_json.h"

#include <inttypes.h>
#include <stdio.h>

#define LARGEST INT64_C(0x7fffffff)

static nft_status read_kernel(nft_options *options, nft_layer *layer)
{
    const json_t *kernel = NULL;
    nft_status status = nft_options_value(options, "kernel", true, &kernel);
    if (status)
        return status;
    if (!json_is_array(kernel) || json_array_size(kernel) != 2 ||
        !json_is_integer(json_array_get(kernel, 0)) || !json_is_integer(json_array_get(kernel, 1)))
        return nft_fail(NFT_ERROR_CONFIG, "%s: 'kernel' is not two integers, expected [height, width]",
                        options->where);
    layer->kernel_height = json_integer_value(json_array_get(kernel, 0));
    layer->kernel_width = json_integer_value(json_array_get(kernel, 1));
    return NFT_OK;
}

static nft_status read_layer(nft_layer *layer, const json_t *value, int64_t index)
{
    static const char *const types[] = {"linear", "conv2d"};
    char where[64];
    snprintf(where, sizeof where, "space: layers[%" PRId64 "]", index);
    nft_options options;
    int type = 0;
    nft_status status;
    *layer = (nft_layer)NFT_LAYER_INIT_LINEAR(0, 0);
    if ((status = nft_options_open(&options, value, where)) ||
        (status = nft_options_choice(&options, "type", true, types, 2, &type)) ||
        (status = nft_options_integer(&options, "in", true, 1, LARGEST, &layer->in)) ||
        (status = nft_options_integer(&options, "out", true, 1, LARGEST, &layer->out)))
        return status;
    layer->type = type == 1 ? NFT_LAYER_CONV2D : NFT_LAYER_LINEAR;
    status = layer->type == NFT_LAYER_CONV2D
                 ? read_kernel(&options, layer)
                 : nft_options_integer(&options, "positions", false, 1, LARGEST, &layer->positions);
    return status ? status : nft_options_finish(&options);
}

nft_status nft_space_from_json(nft_space **space, const json_t *value)
{
    *space = NULL;
    nft_options options;
    const json_t *list = NULL;
    nft_layer *layers = NULL;
    nft_status status;
    if ((status = nft_options_open(&options, value, "space")) ||
        (status = nft_options_value(&options, "layers", true, &list)) ||
        (status = nft_options_finish(&options)))
        return status;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return nft_fail(NFT_ERROR_CONFIG, "space: 'layers' is %s, expected a list of at least one layer",
                        json_is_array(list) ? "an empty list" : "not a list");
    size_t count = json_array_size(list);
    layers = nft_allocate_array(count, sizeof *layers);
    if (!layers)
        return nft_fail_memory("a space", (int64_t)(count * sizeof *layers));
    for (size_t i = 0; i < count && !status; i++)
        status = read_layer(&layers[i], json_array_get(list, i), (int64_t)i);
    if (!status)
        status = nft_space_create(space, layers, (int64_t)count);
    nft_release(layers);
    return status;
}

nft_status nft_space_parse(nft_space **space, const char *json, size_t length)
{
    if (!space)
        return nft_fail_null("nft_space_parse", "space");
    *space = NULL;
    if (!json)
        return nft_fail_null("nft_space_parse", "json");
    json_t *value = NULL;
    nft_status status = nft_json_parse(&value, json, length);
    if (!status)
        status = nft_space_from_json(space, value);
    json_decref(value);
    return status;
}
