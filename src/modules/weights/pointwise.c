/* pointwise: a linear map of the effective channels of each tensor. */
#include "modules/weights/pointwise.h"

#include <string.h>

/* The published layers are convolutions: 1×1 ones of weights, and 1-dimensional ones of biases. */
static int ones_of(const nft_builder *builder, int64_t owner)
{
    if (builder->any_space || builder->whole->layer_count == 0)
        return 0;
    return nft_owner_is_bias(builder, owner) ? 1 : 2;
}

static nft_status add_owner(nft_builder *builder, nft_map *map, int64_t owner, int64_t in_channels,
                            int64_t out_channels, const char *prefix)
{
    char name[NFT_OWNER_NAME];
    nft_owner_name(name, builder, owner, "weight_maps", "bias_maps", "maps");
    int64_t inputs = nft_owner_width(builder, owner, in_channels);
    return nft_map_add(builder, map, nft_owner_width(builder, owner, out_channels), inputs,
                       ones_of(builder, owner), true, nft_init_fan(inputs), "%s%s", prefix, name);
}

/* A chain's published order has the maps of all biases behind those of all weights. */
nft_status nft_pointwise_add(nft_builder *builder, nft_map *maps, int64_t in_channels, int64_t out_channels,
                             const char *prefix)
{
    for (int bias = 0; bias < 2; bias++)
        for (int64_t owner = 0; owner < nft_owner_count(builder); owner++) {
            if (nft_owner_is_bias(builder, owner) != (bias == 1))
                continue;
            nft_map map;
            nft_status status = add_owner(builder, &map, owner, in_channels, out_channels, prefix);
            if (status)
                return status;
            for (int64_t t = 0; t < builder->space->tensor_count; t++)
                if (nft_owner_of(builder, t) == owner)
                    maps[t] = map;
        }
    return NFT_OK;
}

int64_t nft_pointwise_flops(const nft_space *space, const nft_map *maps)
{
    int64_t flops = 0;
    for (int64_t t = 0; t < space->tensor_count; t++)
        flops = nft_size_add(flops, nft_map_flops(&maps[t], space->tensors[t].tokens));
    return flops;
}

typedef struct state {
    nft_buffer gradient; /* of the output: features */
    nft_map maps[];      /* for each tensor */
} state;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_options_integer(options, "out_channels", true, 1, 1 << 24, &module->out.channels)) ||
        (status = nft_module_state(module,
                                   sizeof(state) + (size_t)builder->space->tensor_count * sizeof(nft_map))))
        return status;
    state *own = module->state;
    int64_t C = builder->value.channels, outputs = module->out.channels;
    if ((status = nft_pointwise_add(builder, own->maps, C, outputs, "")))
        return status;
    own->gradient = nft_reserve_features(builder, NFT_ARENA_BACKWARD, outputs);
    for (int64_t t = 0; t < builder->space->tensor_count; t++) {
        const nft_tensor *tensor = &builder->space->tensors[t];
        nft_buffer x = nft_features_of(&builder->arrives, tensor, C),
                   dy = nft_features_of(&own->gradient, tensor, outputs);
        if ((status = nft_gradient_of_map(builder, &own->maps[t], &x, &dy)))
            return status;
    }
    module->flops = nft_pointwise_flops(builder->space, own->maps);
    return NFT_OK;
}

typedef struct work {
    const nft_module *module;
    const nft_exec *exec;
    const float *in;
    float *out;
} work;

static void chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const work *w = argument;
    const nft_space *space = w->module->space;
    nft_rows rows = nft_rows_at(space, item);
    const nft_tensor *tensor = &space->tensors[rows.tensor];
    const nft_map *map = ((const state *)w->module->state)->maps + rows.tensor;
    const float *x = w->in + tensor->offset * w->module->in.channels + rows.first * map->inputs;
    float *y = w->out + tensor->offset * w->module->out.channels + rows.first * map->outputs;
    nft_map_rows(w->exec, map, rows.count, x, map->inputs, y, map->outputs, NFT_MAP_SET);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    work w = {module, exec, in, out};
    nft_exec_for(exec, nft_rows_count(module->space), chunk, &w);
}

static void chunk_back(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const work *w = argument;
    const nft_space *space = w->module->space;
    const state *own = w->module->state;
    nft_rows rows = nft_rows_at(space, item);
    const nft_tensor *tensor = &space->tensors[rows.tensor];
    const nft_map *map = &own->maps[rows.tensor];
    int64_t start = tensor->offset * w->module->out.channels + rows.first * map->outputs;
    float *dy = nft_at(w->exec, &own->gradient) + start;
    memcpy(dy, w->in + start, (size_t)(rows.count * map->outputs) * sizeof *dy);
    float *dx = w->out + tensor->offset * w->module->in.channels + rows.first * map->inputs;
    nft_map_rows_back(w->exec, map, rows.count, dy, map->outputs, dx, map->inputs, NFT_MAP_SET);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    work w = {module, exec, grad_out, grad_in};
    nft_exec_for(exec, nft_rows_count(module->space), chunk_back, &w);
}

const nft_module_class nft_module_pointwise = {.type = "pointwise",
                                               .any_space = NFT_ANY_SPACE_LIFTED,
                                               .configure = configure,
                                               .forward = forward,
                                               .backward = backward};
