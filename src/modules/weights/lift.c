/* lift and unlift: a linear map of the effective channels of each tensor, C·f to C' or back. Behind lift
 * every tensor has f = 1. */
#include "modules/weights/lift_roles.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define DEFAULT_PLACES 49 /* 7 × 7 */
#define MOST_PLACES 4096

typedef struct state {
    nft_lift_roles *roles; /* in a model of any space, which has no maps of single tensors */
    const nft_space *to;   /* the space of the features that leave */
    nft_buffer gradient;   /* BACKWARD: of the output, features */
    nft_map maps[];        /* for each tensor */
} state;

static nft_status add_maps(nft_module *module, nft_builder *builder)
{
    state *own = module->state;
    int64_t C = module->in.channels, outputs = module->out.channels;
    own->gradient = nft_reserve(builder, NFT_ARENA_BACKWARD, 1, nft_size_multiply(own->to->numbers, outputs));
    for (int64_t t = 0; t < builder->space->tensor_count; t++) {
        const nft_tensor *from = &builder->space->tensors[t], *to = &own->to->tensors[t];
        int64_t width = nft_tensor_width(from, C);
        nft_map *map = &own->maps[t];
        nft_status status = nft_map_add(builder, map, nft_tensor_width(to, outputs), width, 0, true,
                                        nft_init_fan(width), "maps.%" PRId64, t);
        if (status)
            return status;
        nft_buffer x = nft_features_of(&builder->arrives, from, C),
                   dy = nft_features_of(&own->gradient, to, outputs);
        if ((status = nft_gradient_of_map(builder, map, &x, &dy)))
            return status;
        module->flops = nft_size_add(module->flops, nft_map_flops(map, from->tokens));
    }
    return NFT_OK;
}

/* The common part of lift and unlift. */
static nft_status begin(nft_module *module, nft_builder *builder, nft_options *options, bool lifts)
{
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status)
        return status;
    if (builder->value.lifted == lifts)
        return nft_fail(NFT_ERROR_CONFIG,
                        lifts ? "%s: the features were lifted before; put unlift between"
                              : "%s: the features were not lifted; put lift before it",
                        builder->where);
    if (builder->depth > 0)
        return nft_fail(NFT_ERROR_CONFIG, "%s: cannot stand inside another module", builder->where);
    module->out.lifted = lifts;
    if ((status = nft_options_integer(options, "out_channels", true, 1, 1 << 24, &module->out.channels)))
        return status;
    int64_t maps = builder->any_space ? 0 : builder->space->tensor_count;
    if ((status = nft_module_state(module, sizeof(state) + (size_t)maps * sizeof(nft_map))))
        return status;
    ((state *)module->state)->to = lifts ? nft_space_lifted(builder->whole) : builder->whole;
    return NFT_OK;
}

static nft_status add_roles(nft_module *module, nft_builder *builder, nft_options *options)
{
    int64_t places = DEFAULT_PLACES;
    nft_status status = nft_options_integer(options, "positions", false, 1, MOST_PLACES, &places);
    if (status)
        return status;
    int64_t side = (int64_t)llround(sqrt((double)places));
    if (side * side != places)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: 'positions' must be a square, such as 9, 25 or 49; found %" PRId64,
                        builder->where, places);
    return nft_lift_roles_configure(&((state *)module->state)->roles, module, builder, places);
}

static nft_status configure_lift(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status = begin(module, builder, options, true);
    if (status)
        return status;
    return builder->any_space ? add_roles(module, builder, options) : add_maps(module, builder);
}

static nft_status configure_unlift(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status = begin(module, builder, options, false);
    return status ? status : add_maps(module, builder);
}

static void release(nft_module *module)
{
    nft_release(((state *)module->state)->roles);
}

typedef struct work {
    const nft_module *module;
    const nft_exec *exec;
    const float *in;
    float *out;
} work;

/* One chunk of rows of one tensor. */
typedef struct chunk {
    const nft_map *map;
    int64_t count;
    int64_t in, out; /* where its rows begin among the features that arrive, and among those that leave */
} chunk;

static chunk chunk_at(const nft_module *module, int64_t item)
{
    const state *own = module->state;
    nft_rows rows = nft_rows_at(module->space, item);
    const nft_map *map = &own->maps[rows.tensor];
    return (chunk){
        .map = map,
        .count = rows.count,
        .in = module->space->tensors[rows.tensor].offset * module->in.channels + rows.first * map->inputs,
        .out = own->to->tensors[rows.tensor].offset * module->out.channels + rows.first * map->outputs};
}

static void map_chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const work *w = argument;
    chunk c = chunk_at(w->module, item);
    nft_map_rows(w->exec, c.map, c.count, w->in + c.in, c.map->inputs, w->out + c.out, c.map->outputs,
                 NFT_MAP_SET);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    if (own->roles) {
        nft_lift_roles_forward(own->roles, exec, in, out);
        return;
    }
    work w = {module, exec, in, out};
    nft_exec_for(exec, nft_rows_count(module->space), map_chunk, &w);
}

static void map_chunk_back(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const work *w = argument;
    chunk c = chunk_at(w->module, item);
    float *dy = nft_at(w->exec, &((const state *)w->module->state)->gradient) + c.out;
    memcpy(dy, w->in + c.out, (size_t)(c.count * c.map->outputs) * sizeof *dy);
    nft_map_rows_back(w->exec, c.map, c.count, dy, c.map->outputs, w->out + c.in, c.map->inputs, NFT_MAP_SET);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const state *own = module->state;
    if (own->roles) {
        nft_lift_roles_backward(own->roles, exec, in, grad_out, grad_in);
        return;
    }
    work w = {module, exec, grad_out, grad_in};
    nft_exec_for(exec, nft_rows_count(module->space), map_chunk_back, &w);
}

const nft_module_class nft_module_lift = {.type = "lift",
                                          .any_space = NFT_ANY_SPACE_ALWAYS,
                                          .configure = configure_lift,
                                          .forward = forward,
                                          .backward = backward,
                                          .release = release};

const nft_module_class nft_module_unlift = {.type = "unlift",
                                            .configure = configure_unlift,
                                            .forward = forward,
                                            .backward = backward,
                                            .release = release};
