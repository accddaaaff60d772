/* place_embedding: tells tokens of any space apart. To each it adds a learned vector of its tensor's role, a
 * linear map of the tensor's place and sizes, and a linear map of its index along each ordered axis. */
#include "modules/weights/grid_rows.h"
#include "modules/weights/sinusoids.h"

#include <math.h>
#include <string.h>

#define MAX_FREQ 10
#define SIZES (NFT_TENSOR_MAX_AXES + 1) /* of the axes, and the positions */

typedef struct state {
    int64_t bands, tensors, indices; /* the grid's rows: of tensors, of indices along ordered axes */
    nft_param roles[NFT_ROLE_COUNT]; /* (C) each */
    nft_buffer role_gradients[NFT_ROLE_COUNT];
    nft_map place, index;
    float *places;             /* inputs of `place`: (tensors, 2 bands + 1 + SIZES) */
    float *encodings;          /* inputs of `index`: (indices, 2 bands + 1), in the block of places */
    nft_buffer table;          /* CALL: the grid's rows, (tensors + indices, C) */
    nft_buffer table_gradient; /* BACKWARD */
    nft_buffer place_inputs, index_inputs; /* BACKWARD: copies of places and encodings */
    nft_grid_scratch scratch;
} state;

static nft_status add_parameters(nft_builder *builder, state *own)
{
    int64_t C = builder->value.channels, width = nft_sinusoids_width(own->bands);
    nft_status status = NFT_OK;
    for (int role = 0; role < NFT_ROLE_COUNT && !status; role++)
        status = nft_parameter_add(builder, &own->roles[role], true, nft_init_normal(1), 1, NFT_SHAPE(C),
                                   "role_emb.%s", nft_role_name(role));
    if (status || (status = nft_map_add(builder, &own->place, C, width + SIZES, 0, true,
                                        nft_init_fan(width + SIZES), "place")))
        return status;
    return nft_map_add(builder, &own->index, C, width, 0, true, nft_init_fan(width), "index");
}

static void describe_tensor(const nft_space *space, int64_t t, int64_t bands, float *row)
{
    const nft_tensor *tensor = &space->tensors[t];
    float *sizes = row + nft_sinusoids_width(bands);
    nft_sinusoids(t, space->tensor_count, bands, MAX_FREQ, row);
    for (int64_t d = 0; d < tensor->rank; d++)
        sizes[d] = (float)(log2((double)tensor->sizes[d]) / 10);
    sizes[NFT_TENSOR_MAX_AXES] = (float)(log2((double)tensor->own_positions) / 10);
}

/* The inputs of both maps depend only on the space. */
static nft_status describe_places(nft_builder *builder, state *own)
{
    const nft_space *space = builder->space;
    int64_t width = nft_sinusoids_width(own->bands), place_width = width + SIZES;
    int64_t floats = nft_size_add(nft_size_multiply(own->tensors, place_width),
                                  nft_size_multiply(own->indices, width)),
            bytes = nft_size_multiply(floats, sizeof(float));
    nft_status status = nft_check_limit(builder->where, bytes, builder->memory_limit);
    if (status)
        return status;
    if (!(own->places = nft_allocate((size_t)bytes)))
        return nft_fail_memory(builder->where, bytes);
    own->encodings = own->places + own->tensors * place_width;
    for (int64_t t = 0; t < own->tensors; t++)
        describe_tensor(space, t, own->bands, own->places + t * place_width);
    for (int64_t a = 0; a < space->axis_count; a++) {
        int64_t first = nft_grid_rows_of_axis(space, a) - own->tensors;
        for (int64_t i = 0; i < space->axes[a].size && first >= 0; i++)
            nft_sinusoids(i, space->axes[a].size, own->bands, MAX_FREQ, own->encodings + (first + i) * width);
    }
    return NFT_OK;
}

static nft_status declare_gradients(nft_builder *builder, state *own)
{
    int64_t C = builder->value.channels, width = nft_sinusoids_width(own->bands);
    own->table_gradient = nft_reserve(builder, NFT_ARENA_BACKWARD, own->tensors + own->indices, C);
    own->place_inputs = nft_reserve(builder, NFT_ARENA_BACKWARD, own->tensors, width + SIZES);
    own->index_inputs = nft_reserve(builder, NFT_ARENA_BACKWARD, own->indices, width);
    nft_buffer places = nft_buffer_part(&own->table_gradient, 0, own->tensors, C, C),
               indices = nft_buffer_part(&own->table_gradient, own->tensors * C, own->indices, C, C);
    nft_status status = nft_gradient_of_map(builder, &own->place, &own->place_inputs, &places);
    if (!status && own->indices)
        status = nft_gradient_of_map(builder, &own->index, &own->index_inputs, &indices);
    for (int64_t t = 0; t < own->tensors && !status; t++) {
        int32_t role = builder->space->tensors[t].role;
        status = nft_gradient_add(builder, &own->roles[role], &own->role_gradients[role]);
    }
    return status;
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    int64_t bands = 6;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_module_state(module, sizeof(state))) ||
        (status = nft_options_integer(options, "num_bands", false, 1, 1 << 16, &bands)))
        return status;
    state *own = module->state;
    own->bands = bands;
    own->tensors = builder->space->tensor_count;
    own->indices = nft_grid_rows(builder->space) - own->tensors;
    if ((status = add_parameters(builder, own)) || (status = describe_places(builder, own)))
        return status;
    module->flops =
        nft_size_add(nft_map_flops(&own->place, own->tensors), nft_map_flops(&own->index, own->indices));
    own->table = nft_reserve(builder, NFT_ARENA_CALL, own->tensors + own->indices, builder->value.channels);
    own->scratch = nft_grid_reserve(builder);
    return declare_gradients(builder, own);
}

static void release(nft_module *module)
{
    nft_release(((state *)module->state)->places);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    const nft_space *space = module->space;
    int64_t C = module->in.channels;
    float *table = nft_at(exec, &own->table);
    nft_exec_linear(exec, &own->place, own->tensors, own->places, table, NFT_MAP_SET);
    nft_exec_linear(exec, &own->index, own->indices, own->encodings, table + own->tensors * C, NFT_MAP_SET);
    for (int64_t t = 0; t < own->tensors; t++)
        nft_vector()->add(C, nft_param_at(exec, &own->roles[space->tensors[t].role]), table + t * C);
    nft_grid_add(exec, space, C, table, in, out);
}

/* The gradients of the grid's rows are those of the maps' outputs; a role has the sum over its tensors. */
static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    const state *own = module->state;
    const nft_space *space = module->space;
    int64_t C = module->in.channels;
    float *gradient = nft_at(exec, &own->table_gradient);
    memcpy(grad_in, grad_out, (size_t)(space->numbers * C) * sizeof *grad_in);
    memcpy(nft_at(exec, &own->place_inputs), own->places,
           (size_t)(own->tensors * own->place.inputs) * sizeof *own->places);
    memcpy(nft_at(exec, &own->index_inputs), own->encodings,
           (size_t)(own->indices * own->index.inputs) * sizeof *own->encodings);
    nft_grid_sum(exec, space, C, &own->scratch, grad_out, gradient);
    for (int64_t t = 0; t < own->tensors; t++)
        memset(nft_at(exec, &own->role_gradients[space->tensors[t].role]), 0, (size_t)C * sizeof *gradient);
    for (int64_t t = 0; t < own->tensors; t++)
        nft_vector()->add(C, gradient + t * C, nft_at(exec, &own->role_gradients[space->tensors[t].role]));
}

const nft_module_class nft_module_place_embedding = {.type = "place_embedding",
                                                     .in_place = true,
                                                     .any_space = NFT_ANY_SPACE_LIFTED,
                                                     .configure = configure,
                                                     .forward = forward,
                                                     .backward = backward,
                                                     .release = release};
