#include "model/decoder.h"

#include "model/siren.h"
#include "modules/tokens.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { PER_TENSOR, JOINT };

typedef struct decoder {
    int style; /* PER_TENSOR: an MLP for each tensor; JOINT: one for all */
    int64_t hidden_size, hidden_layers;
    int64_t height, width;
    bool additive;
    float omega;

    int64_t side; /* m */
    int64_t mlp_count, map_count;
    nft_map *maps;                      /* map_count for each MLP, relu between them */
    int64_t *init_params, *scales;      /* offsets for each tensor, if additive */
    int64_t chunks;                     /* of the largest patch's pixels */
    int64_t weights;                    /* scratch: (M, numbers of the space) */
    int64_t hidden[2];                  /* thread scratch of an MLP */
    int64_t coordinates, pixels, siren; /* thread scratch of a chunk of pixels */
} decoder;

int64_t nft_decoder_patch(int64_t index, int64_t size, int64_t patches)
{
    if (size == 1)
        return 0;
    int64_t numerator = (patches - 1) * index, denominator = size - 1;
    int64_t quotient = numerator / denominator, twice = 2 * (numerator % denominator);
    return quotient + (twice > denominator || (twice == denominator && quotient % 2));
}

/* The first pixel whose patch is `patch` or a later one; patches come in order. */
static int64_t first_pixel(int64_t patch, int64_t size, int64_t patches)
{
    int64_t low = 0, high = size;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (nft_decoder_patch(middle, size, patches) < patch)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int64_t largest_patch(int64_t size, int64_t patches)
{
    int64_t largest = 0, first = 0;
    for (int64_t patch = 0; patch < patches; patch++) {
        int64_t end = first_pixel(patch + 1, size, patches);
        largest = end - first > largest ? end - first : largest;
        first = end;
    }
    return largest;
}

static nft_status check_space(const nft_builder *builder)
{
    const nft_space *space = builder->space;
    if (!space)
        return nft_fail(NFT_ERROR_CONFIG, "%s: needs the model's space, but this model has tokens as input",
                        builder->where);
    nft_status status = nft_siren_check_space(space);
    return status ? nft_fail_in(status, "%s", builder->where) : NFT_OK;
}

static nft_status check_tokens(decoder *state, const nft_builder *builder)
{
    int64_t tokens = builder->value.tokens, side = 0;
    nft_status status = nft_require_kind(builder, NFT_VALUE_TOKENS);
    if (status)
        return status;
    if (tokens <= NFT_MAX_WIDTH)
        side = (int64_t)sqrt((double)tokens);
    if (side == 0 || side * side != tokens)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: takes a square number of tokens up to %" PRId64
                        ", one for each patch of the image, but %" PRId64 " arrive",
                        builder->where, NFT_MAX_WIDTH, tokens);
    state->side = side;
    return NFT_OK;
}

static nft_status read_options(decoder *state, const nft_builder *builder, nft_options *options)
{
    static const char *const types[] = {"hypernetwork"}, *const styles[] = {"per_tensor", "joint"};
    int type = 0;
    double omega = 30;
    nft_status status = nft_options_choice(options, "type", true, types, 1, &type);
    if (status || (status = nft_options_choice(options, "style", true, styles, 2, &state->style)) ||
        (status = nft_options_integer(options, "hidden_size", true, 1, NFT_MAX_WIDTH, &state->hidden_size)) ||
        (status = nft_options_integer(options, "hidden_layers", true, state->style == JOINT, NFT_MAX_REPEATS,
                                      &state->hidden_layers)) ||
        (status = nft_options_boolean(options, "additive", false, &state->additive)) ||
        (status = nft_options_number(options, "omega", false, 1e-6, 1e6, &omega)) ||
        (status = nft_options_integer(options, "height", true, 1, NFT_MAX_WIDTH, &state->height)) ||
        (status = nft_options_integer(options, "width", true, 1, NFT_MAX_WIDTH, &state->width)))
        return status;
    state->omega = (float)omega;
    if (builder->value.channels > NFT_GEMM_MAX_SIZE || builder->space->numbers > NFT_GEMM_MAX_SIZE)
        return nft_fail(NFT_ERROR_LIMIT,
                        "%s: %" PRId64 " channels to %" PRId64 " weights and biases, at most %" PRId64
                        " of each are possible",
                        builder->where, builder->value.channels, builder->space->numbers, NFT_GEMM_MAX_SIZE);
    return NFT_OK;
}

/* The last linear map of the MLP for one tensor begins near 0: Kaiming-normal / 100, with a bias as the
 * tensor's own default. */
static nft_status add_tensor_map(const decoder *state, nft_builder *builder, nft_map *map, int64_t tensor,
                                 int64_t index)
{
    const nft_tensor *t = &builder->space->tensors[tensor];
    int64_t hidden = state->hidden_size;
    nft_init weight = nft_init_normal(sqrt(2 / (double)hidden) / 100);
    nft_status status = nft_map_add(builder, map, t->tokens, hidden, 0, false, weight,
                                    "decoder.hnets.%" PRId64 ".%" PRId64, tensor, index);
    if (status)
        return status;
    nft_init bias = nft_init_uniform(1 / (double)(t->bias ? hidden : t->columns));
    return nft_parameter_add(builder, &map->bias, true, bias, 1, NFT_SHAPE(t->tokens),
                             "decoder.hnets.%" PRId64 ".%" PRId64 ".bias", tensor, index);
}

/* Map k of an MLP is the layer 2k of PyTorch's Sequential, whose odd layers are relu. */
static nft_status add_map(const decoder *state, nft_builder *builder, int64_t mlp, int64_t k)
{
    nft_map *map = &state->maps[mlp * state->map_count + k];
    int64_t inputs = k == 0 ? builder->value.channels : state->hidden_size;
    bool last = k + 1 == state->map_count;
    nft_init init = nft_init_fan(inputs);
    if (state->style == JOINT)
        return nft_map_add(builder, map, last ? builder->space->numbers : state->hidden_size, inputs, 0, true,
                           init, "decoder.hnet.%" PRId64, 2 * k);
    if (last)
        return add_tensor_map(state, builder, map, mlp, 2 * k);
    return nft_map_add(builder, map, state->hidden_size, inputs, 0, true, init,
                       "decoder.hnets.%" PRId64 ".%" PRId64, mlp, 2 * k);
}

static nft_status add_maps(decoder *state, nft_builder *builder)
{
    bool joint = state->style == JOINT;
    state->mlp_count = joint ? 1 : builder->space->tensor_count;
    state->map_count = 2 + state->hidden_layers - joint;
    size_t count = (size_t)(state->mlp_count * state->map_count);
    state->maps = nft_allocate_array(count, sizeof *state->maps);
    if (!state->maps)
        return nft_fail_memory(builder->where, (int64_t)(count * sizeof *state->maps));
    nft_status status = NFT_OK;
    for (int64_t mlp = 0; mlp < state->mlp_count && !status; mlp++)
        for (int64_t k = 0; k < state->map_count && !status; k++)
            status = add_map(state, builder, mlp, k);
    return status;
}

/* A learned network, begun as a fresh SIREN, to which the decoded tensors are added. */
static nft_status add_initial(decoder *state, nft_builder *builder, int64_t tensor)
{
    const nft_space *space = builder->space;
    const nft_tensor *t = &space->tensors[tensor];
    nft_init init = t->bias ? nft_init_fan(space->layers[t->layer].in)
                            : nft_init_uniform(nft_siren_bound(space, t->layer, state->omega));
    nft_status status = nft_parameter_add(builder, &state->init_params[tensor], true, init, t->bias ? 1 : 2,
                                          NFT_SHAPE(t->rows, t->columns), "init_params.%" PRId64, tensor);
    if (status)
        return status;
    return nft_parameter_add(builder, &state->scales[tensor], true, nft_init_constant(0), 0, NULL,
                             "additive_scales.%" PRId64, tensor);
}

static nft_status add_additive(decoder *state, nft_builder *builder)
{
    int64_t tensors = builder->space->tensor_count;
    if (!state->additive)
        return NFT_OK;
    state->init_params = nft_allocate_array((size_t)tensors, sizeof *state->init_params);
    state->scales = nft_allocate_array((size_t)tensors, sizeof *state->scales);
    if (!state->init_params || !state->scales)
        return nft_fail_memory(builder->where, 2 * tensors * (int64_t)sizeof *state->scales);
    nft_status status = NFT_OK;
    for (int64_t t = 0; t < tensors && !status; t++)
        status = add_initial(state, builder, t);
    return status;
}

static void plan(nft_module *module, decoder *state)
{
    const nft_space *space = module->space;
    int64_t latents = module->in.tokens, outputs = space->layers[space->layer_count - 1].out, decoding = 0,
            rendering = 0;
    int64_t hidden = nft_size_multiply(nft_chunk_rows(latents), state->hidden_size);
    int64_t patch = largest_patch(state->height, state->side) * largest_patch(state->width, state->side);
    int64_t rows = nft_chunk_rows(patch), image = state->height * state->width;
    state->chunks = nft_chunk_count(patch);
    state->weights = nft_reserve(&module->scratch, nft_size_multiply(latents, space->numbers));
    state->hidden[0] = nft_reserve(&decoding, hidden);
    state->hidden[1] = nft_reserve(&decoding, hidden);
    state->coordinates = nft_reserve(&rendering, 2 * rows);
    state->pixels = nft_reserve(&rendering, nft_size_multiply(rows, outputs));
    state->siren = nft_reserve(&rendering, nft_siren_scratch(space, rows));
    module->thread_scratch = decoding > rendering ? decoding : rendering;
    module->flops = nft_siren_flops(space, image);
    for (int64_t i = 0; i < state->mlp_count * state->map_count; i++)
        module->flops = nft_size_add(module->flops, nft_map_flops(&state->maps[i], latents));
    module->out = (nft_value){NFT_VALUE_VECTOR, 0, nft_size_multiply(image, outputs)};
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status = check_space(builder);
    if (status || (status = nft_module_state(module, sizeof(decoder))))
        return status;
    decoder *state = module->state;
    if ((status = check_tokens(state, builder)) || (status = read_options(state, builder, options)) ||
        (status = add_maps(state, builder)) || (status = add_additive(state, builder)))
        return status;
    plan(module, state);
    return NFT_OK;
}

static void release(nft_module *module)
{
    decoder *state = module->state;
    nft_release(state->maps);
    nft_release(state->init_params);
    nft_release(state->scales);
}

static float deviation(int64_t count, const float *x)
{
    if (count == 1)
        return fabsf(x[0]);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i];
    double mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++)
        squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    return (float)sqrt(squares / (double)(count - 1));
}

void nft_decoder_initialize(const nft_module *module, float *parameters)
{
    const decoder *state = module->state;
    for (int64_t t = 0; state->additive && t < module->space->tensor_count; t++)
        parameters[state->scales[t]] =
            deviation(module->space->tensors[t].tokens, parameters + state->init_params[t]);
}

typedef struct decoder_call {
    const nft_module *module;
    const nft_exec *exec;
    const float *latents; /* (M, D) */
    float *image;
} decoder_call;

/* tensor ← scale · tensor + init_params, in `count` networks */
static void add_learned(const decoder_call *call, int64_t tensor, int64_t count, float *networks)
{
    const decoder *state = call->module->state;
    const nft_space *space = call->module->space;
    const nft_tensor *t = &space->tensors[tensor];
    const float *parameters = call->exec->parameters, *initial = parameters + state->init_params[tensor];
    for (int64_t n = 0; n < count; n++) {
        float *values = networks + n * space->numbers + t->offset;
        nft_vector()->copy_scaled(t->tokens, parameters[state->scales[tensor]], values, values);
        nft_vector()->add(t->tokens, initial, values);
    }
}

/* One MLP on a chunk of latents: its outputs are columns of the matrix of networks. */
static void decode(void *argument, int64_t item, float *thread_scratch)
{
    const decoder_call *call = argument;
    const decoder *state = call->module->state;
    const nft_exec *exec = call->exec;
    const nft_space *space = call->module->space;
    int64_t latents = call->module->in.tokens, chunks = nft_chunk_count(latents), mlp = item / chunks;
    int64_t first, count;
    nft_chunk(latents, item % chunks, &first, &count);
    const float *x = call->latents + first * call->module->in.channels;
    float *networks = exec->scratch + state->weights + first * space->numbers;
    const nft_map *maps = state->maps + mlp * state->map_count, *last = maps + state->map_count - 1;
    for (const nft_map *map = maps; map < last; map++) {
        float *y = thread_scratch + state->hidden[(map - maps) % 2];
        nft_map_rows(exec, map, count, x, map->inputs, y, map->outputs, NFT_MAP_RELU);
        x = y;
    }
    int64_t first_tensor = mlp, end_tensor = state->style == JOINT ? space->tensor_count : mlp + 1;
    nft_map_rows(exec, last, count, x, last->inputs, networks + space->tensors[first_tensor].offset,
                 space->numbers, NFT_MAP_SET);
    for (int64_t t = first_tensor; state->additive && t < end_tensor; t++)
        add_learned(call, t, count, networks);
}

/* A chunk of the pixels of one patch. */
static void render(void *argument, int64_t item, float *thread_scratch)
{
    const decoder_call *call = argument;
    const decoder *state = call->module->state;
    const nft_space *space = call->module->space;
    int64_t patch = item / state->chunks, outputs = space->layers[space->layer_count - 1].out, first, count;
    int64_t row = patch / state->side, column = patch % state->side;
    int64_t top = first_pixel(row, state->height, state->side),
            bottom = first_pixel(row + 1, state->height, state->side);
    int64_t left = first_pixel(column, state->width, state->side),
            right = first_pixel(column + 1, state->width, state->side);
    int64_t wide = right - left, pixels = (bottom - top) * wide;
    if (item % state->chunks >= nft_chunk_count(pixels))
        return;
    nft_chunk(pixels, item % state->chunks, &first, &count);
    float *coordinates = thread_scratch + state->coordinates, *colours = thread_scratch + state->pixels;
    for (int64_t i = 0; i < count; i++) {
        coordinates[2 * i] = nft_grid_coordinate(top + (first + i) / wide, state->height);
        coordinates[2 * i + 1] = nft_grid_coordinate(left + (first + i) % wide, state->width);
    }
    nft_siren_forward(space, state->omega, call->exec->scratch + state->weights + patch * space->numbers,
                      count, coordinates, colours, thread_scratch + state->siren);
    for (int64_t i = 0; i < count; i++) {
        int64_t pixel = (top + (first + i) / wide) * state->width + left + (first + i) % wide;
        memcpy(call->image + pixel * outputs, colours + i * outputs, (size_t)outputs * sizeof *colours);
    }
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const decoder *state = module->state;
    decoder_call call = {module, exec, in, out};
    nft_exec_for(exec, state->mlp_count * nft_chunk_count(module->in.tokens), decode, &call);
    nft_exec_for(exec, module->in.tokens * state->chunks, render, &call);
}

const nft_module_class nft_decoder = {
    .type = "hypernetwork", .configure = configure, .forward = forward, .release = release};
