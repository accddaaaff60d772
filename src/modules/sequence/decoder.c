#include "modules/sequence/decoder.h"

#include "math/gradients.h"
#include "siren/patches.h"
#include "siren/siren.h"
#include "siren/siren_tape.h"
#include "modules/sequence/tokens.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { PER_TENSOR, JOINT };

/* A learned tensor, to which the decoded ones times a learned number are added. */
typedef struct learned_tensor {
    nft_param initial, scale;
    nft_buffer initial_gradient, scale_gradient;
} learned_tensor;

typedef struct decoder {
    int style; /* PER_TENSOR: an MLP for each tensor; JOINT: one for all */
    int64_t hidden_size, hidden_layers;
    nft_patches patches; /* height, width, m */
    bool additive;
    nft_siren_form form;

    int64_t mlp_count, map_count;
    nft_map *maps;           /* map_count for each MLP, relu between them */
    learned_tensor *learned; /* of each tensor, if additive */
    int64_t chunks;          /* of the largest patch's pixels */

    nft_buffer weights;                    /* CALL: (M, numbers of the space) */
    nft_buffer hidden[2];                  /* ITEM: of an MLP on a chunk of latents */
    nft_buffer coordinates, pixels, siren; /* ITEM: of a chunk of pixels */
    nft_buffer weights_gradient;           /* TRAINING: (M, numbers) */
    nft_buffer kept_decoded;               /* FRAME: (M, numbers), then the gradient of that */
    nft_buffer kept_hidden;                /* FRAME: (M, hidden_size) of each map but the last of each MLP */
    nft_buffer hidden_gradients;           /* BACKWARD: the same of their gradients */
} decoder;

static nft_status check_space(const nft_builder *builder)
{
    const nft_space *space = builder->whole;
    if (!space)
        return nft_fail(NFT_ERROR_CONFIG, "%s: needs the model's space, but this model has tokens as input",
                        builder->where);
    nft_status status = nft_require_layers(builder);
    if (status)
        return status;
    status = nft_siren_check_space(space);
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
    state->patches.side = side;
    return NFT_OK;
}

static nft_status read_options(decoder *state, const nft_builder *builder, nft_options *options)
{
    static const char *const types[] = {"hypernetwork"}, *const styles[] = {"per_tensor", "joint"};
    int type = 0;
    state->form = nft_siren_plain(NFT_DEFAULT_OMEGA);
    nft_status status = nft_options_choice(options, "type", true, types, 1, &type);
    if (status || (status = nft_options_choice(options, "style", true, styles, 2, &state->style)) ||
        (status = nft_options_integer(options, "hidden_size", true, 1, NFT_MAX_WIDTH, &state->hidden_size)) ||
        (status = nft_options_integer(options, "hidden_layers", true, state->style == JOINT, NFT_MAX_REPEATS,
                                      &state->hidden_layers)) ||
        (status = nft_options_boolean(options, "additive", false, &state->additive)) ||
        (status = nft_siren_form_option(&state->form, options)) ||
        (status = nft_siren_form_check(&state->form, builder->space)) ||
        (status = nft_options_integer(options, "height", true, 1, NFT_MAX_WIDTH, &state->patches.height)) ||
        (status = nft_options_integer(options, "width", true, 1, NFT_MAX_WIDTH, &state->patches.width)))
        return status;
    if (builder->value.channels > NFT_GEMM_MAX_SIZE || builder->space->numbers > NFT_GEMM_MAX_SIZE)
        return nft_fail(NFT_ERROR_LIMIT,
                        "%s: %" PRId64 " channels to %" PRId64 " weights and biases, at most %" PRId64
                        " of each are possible",
                        builder->where, builder->value.channels, builder->space->numbers, NFT_GEMM_MAX_SIZE);
    return NFT_OK;
}

/* Of a chain's tensors every second one is a bias. */
static bool is_bias(int64_t tensor)
{
    return tensor % 2 == 1;
}

/* The last linear map of the MLP for one tensor begins near 0: Kaiming-normal / 100. Its bias begins as the
 * tensor's default. */
static nft_status add_tensor_map(const decoder *state, nft_builder *builder, nft_map *map, int64_t tensor,
                                 int64_t index)
{
    const nft_space *space = builder->space;
    const nft_tensor *t = &space->tensors[tensor];
    int64_t hidden = state->hidden_size, inputs = is_bias(tensor) ? hidden : space->layers[tensor / 2].in;
    nft_init weight = nft_init_normal(sqrt(2 / (double)hidden) / 100);
    nft_status status = nft_map_add(builder, map, t->tokens, hidden, 0, false, weight,
                                    "decoder.hnets.%" PRId64 ".%" PRId64, tensor, index);
    if (status)
        return status;
    return nft_parameter_add(builder, &map->bias, true, nft_init_uniform(1 / (double)inputs), 1,
                             NFT_SHAPE(t->tokens), "decoder.hnets.%" PRId64 ".%" PRId64 ".bias", tensor,
                             index);
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
        for (int64_t k = 0; k < state->map_count && !status; k++) {
            status = add_map(state, builder, mlp, k);
            if (!status) /* sines of ω times the decoded weights enlarge errors */
                nft_map_exact(builder, &state->maps[mlp * state->map_count + k]);
        }
    return status;
}

/* A learned network, begun as a fresh SIREN, to which the decoded tensors are added. */
static nft_status add_initial(decoder *state, nft_builder *builder, int64_t tensor)
{
    const nft_space *space = builder->space;
    const nft_tensor *t = &space->tensors[tensor];
    int64_t layer = tensor / 2;
    nft_init init =
        is_bias(tensor)
            ? nft_init_fan(space->layers[layer].in)
            : nft_init_uniform(nft_siren_bound(space, layer, nft_siren_omega(&state->form, layer)));
    learned_tensor *learned = &state->learned[tensor];
    nft_status status;
    if ((status = nft_parameter_add(builder, &learned->initial, true, init, t->rank, t->sizes,
                                    "init_params.%" PRId64, tensor)) ||
        (status = nft_gradient_add(builder, &learned->initial, &learned->initial_gradient)) ||
        (status = nft_parameter_add(builder, &learned->scale, true, nft_init_constant(0), 0, NULL,
                                    "additive_scales.%" PRId64, tensor)))
        return status;
    return nft_gradient_add(builder, &learned->scale, &learned->scale_gradient);
}

static nft_status add_additive(decoder *state, nft_builder *builder)
{
    int64_t tensors = builder->space->tensor_count;
    if (!state->additive)
        return NFT_OK;
    state->learned = nft_allocate_array((size_t)tensors, sizeof *state->learned);
    if (!state->learned)
        return nft_fail_memory(builder->where, tensors * (int64_t)sizeof *state->learned);
    nft_status status = NFT_OK;
    for (int64_t t = 0; t < tensors && !status; t++)
        status = add_initial(state, builder, t);
    return status;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Floats of (M, hidden_size) for every map but the last of every MLP; or where that of a map begins. */
static int64_t hidden_floats(const decoder *state, int64_t latents, int64_t mlp, int64_t map)
{
    int64_t index = mlp * (state->map_count - 1) + map;
    return nft_size_multiply(index, nft_size_multiply(latents, state->hidden_size));
}

static void reserve_items(decoder *state, nft_builder *builder)
{
    const nft_space *space = builder->space;
    int64_t outputs = space->layers[space->layer_count - 1].out;
    int64_t latents = nft_chunk_rows(builder->value.tokens);
    int64_t pixels = nft_chunk_rows(nft_patch_largest(&state->patches));
    int64_t tape = nft_siren_tape_bytes(space) / (int64_t)sizeof(float) + 1;
    nft_begin_items(builder);
    for (int i = 0; i < 2; i++)
        state->hidden[i] = nft_reserve(builder, NFT_ARENA_ITEM, latents, state->hidden_size);
    nft_begin_items(builder);
    state->coordinates = nft_reserve(builder, NFT_ARENA_ITEM, pixels, 2);
    state->pixels = nft_reserve(builder, NFT_ARENA_ITEM, pixels, outputs);
    state->siren = nft_reserve(builder, NFT_ARENA_ITEM, 1, larger(nft_siren_scratch(space, pixels), tape));
}

static void reserve_buffers(decoder *state, nft_builder *builder)
{
    int64_t latents = builder->value.tokens, numbers = builder->space->numbers,
            hidden = hidden_floats(state, latents, state->mlp_count, 0);
    state->chunks = nft_chunk_count(nft_patch_largest(&state->patches));
    state->weights = nft_reserve(builder, NFT_ARENA_CALL, latents, numbers);
    state->weights_gradient = nft_reserve(builder, NFT_ARENA_TRAINING, latents, numbers);
    state->kept_decoded = nft_reserve(builder, NFT_ARENA_FRAME, latents, numbers);
    state->kept_hidden = nft_reserve(builder, NFT_ARENA_FRAME, 1, hidden);
    state->hidden_gradients = nft_reserve(builder, NFT_ARENA_BACKWARD, 1, hidden);
    reserve_items(state, builder);
}

/* Rows (M, hidden_size) of one map among those of all maps. */
static nft_buffer hidden_part(const decoder *state, const nft_buffer *all, int64_t latents, int64_t mlp,
                              int64_t map)
{
    return nft_buffer_part(all, hidden_floats(state, latents, mlp, map), latents, state->hidden_size,
                           state->hidden_size);
}

static nft_status declare_gradient(const decoder *state, nft_builder *builder, int64_t mlp, int64_t k)
{
    const nft_map *map = &state->maps[mlp * state->map_count + k];
    int64_t latents = builder->value.tokens, channels = builder->value.channels;
    nft_buffer x = k ? hidden_part(state, &state->kept_hidden, latents, mlp, k - 1)
                     : nft_buffer_part(&builder->arrives, 0, latents, channels, channels);
    nft_buffer dy = k + 1 < state->map_count
                        ? hidden_part(state, &state->hidden_gradients, latents, mlp, k)
                        : nft_buffer_part(&state->kept_decoded, builder->space->tensors[mlp].offset, latents,
                                          map->outputs, builder->space->numbers);
    return nft_gradient_of_map(builder, map, &x, &dy);
}

static void count_flops(nft_module *module, const decoder *state)
{
    module->flops = nft_siren_flops(module->space, state->patches.height * state->patches.width);
    for (int64_t i = 0; i < state->mlp_count * state->map_count; i++)
        module->flops = nft_size_add(module->flops, nft_map_flops(&state->maps[i], module->in.tokens));
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
    const nft_space *space = builder->space;
    module->out.kind = NFT_VALUE_VECTOR;
    module->out.tokens = 0;
    module->out.channels = nft_size_multiply(state->patches.height * state->patches.width,
                                             space->layers[space->layer_count - 1].out);
    count_flops(module, state);
    reserve_buffers(state, builder);
    for (int64_t i = 0; i < state->mlp_count * state->map_count && !status; i++)
        status = declare_gradient(state, builder, i / state->map_count, i % state->map_count);
    return status;
}

static void release(nft_module *module)
{
    decoder *state = module->state;
    nft_release(state->maps);
    nft_release(state->learned);
}

void nft_decoder_image(const nft_module *module, int64_t *height, int64_t *width, nft_siren_form *form)
{
    const decoder *state = module->state;
    *height = state->patches.height;
    *width = state->patches.width;
    *form = state->form;
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
        parameters[state->learned[t].scale.offset] =
            deviation(module->space->tensors[t].tokens, parameters + state->learned[t].initial.offset);
}

typedef struct decoder_call {
    const nft_module *module;
    const nft_exec *exec;
    const float *in; /* the latents (M, D); in backward the gradient of the image */
    float *out;      /* the image; in backward the gradient of the latents */
} decoder_call;

/* Rows of a map from row `first` on, among those of all maps. */
static float *hidden_rows(const decoder_call *call, const nft_buffer *all, int64_t mlp, int64_t map,
                          int64_t first)
{
    const decoder *state = call->module->state;
    return nft_at(call->exec, all) + hidden_floats(state, call->module->in.tokens, mlp, map) +
           first * state->hidden_size;
}

/* tensor ← scale · tensor + init_params, in `count` networks */
static void add_learned(const decoder_call *call, int64_t tensor, int64_t count, float *networks)
{
    const decoder *state = call->module->state;
    const nft_space *space = call->module->space;
    const nft_tensor *t = &space->tensors[tensor];
    const learned_tensor *learned = &state->learned[tensor];
    const float *initial = nft_param_at(call->exec, &learned->initial),
                scale = *nft_param_at(call->exec, &learned->scale);
    for (int64_t n = 0; n < count; n++) {
        float *values = networks + n * space->numbers + t->offset;
        nft_vector()->copy_scaled(t->tokens, scale, values, values);
        nft_vector()->add(t->tokens, initial, values);
    }
}

/* One MLP on a chunk of latents: its outputs are columns of the matrix of networks. */
static void decode(void *argument, int64_t item, float *memory)
{
    const decoder_call *call = argument;
    const decoder *state = call->module->state;
    const nft_exec *exec = call->exec;
    const nft_space *space = call->module->space;
    int64_t latents = call->module->in.tokens, chunks = nft_chunk_count(latents), mlp = item / chunks;
    int64_t first, count;
    nft_chunk(latents, item % chunks, &first, &count);
    const float *x = call->in + first * call->module->in.channels;
    int64_t numbers = space->numbers, first_tensor = mlp;
    int64_t end_tensor = state->style == JOINT ? space->tensor_count : mlp + 1;
    float *networks = nft_at(exec, &state->weights) + first * numbers;
    float *decoded = networks + space->tensors[first_tensor].offset;
    const nft_map *maps = state->maps + mlp * state->map_count, *last = maps + state->map_count - 1;
    for (const nft_map *map = maps; map < last; map++) {
        float *y = nft_keeps(exec) ? hidden_rows(call, &state->kept_hidden, mlp, map - maps, first)
                                   : nft_in_item(memory, &state->hidden[(map - maps) % 2]);
        nft_map_rows(exec, map, count, x, map->inputs, y, map->outputs, NFT_MAP_RELU);
        x = y;
    }
    nft_map_rows(exec, last, count, x, last->inputs, decoded, numbers, NFT_MAP_SET);
    if (nft_keeps(exec))
        nft_vector()->copy_rows(count, last->outputs, decoded, numbers,
                                nft_at(exec, &state->kept_decoded) + first * numbers +
                                    space->tensors[first_tensor].offset,
                                numbers);
    for (int64_t t = first_tensor; state->additive && t < end_tensor; t++)
        add_learned(call, t, count, networks);
}

/* A chunk of the pixels of one patch. */
static void render(void *argument, int64_t item, float *memory)
{
    const decoder_call *call = argument;
    const decoder *state = call->module->state;
    const nft_space *space = call->module->space;
    int64_t index = item / state->chunks, outputs = space->layers[space->layer_count - 1].out, first, count;
    nft_patch patch = nft_patch_at(&state->patches, index);
    if (item % state->chunks >= nft_chunk_count(patch.pixels))
        return;
    nft_chunk(patch.pixels, item % state->chunks, &first, &count);
    float *coordinates = nft_in_item(memory, &state->coordinates),
          *colours = nft_in_item(memory, &state->pixels);
    nft_patch_coordinates(&state->patches, &patch, first, count, coordinates);
    nft_siren_forward_form(space, &state->form, nft_at(call->exec, &state->weights) + index * space->numbers,
                           count, coordinates, colours, nft_in_item(memory, &state->siren));
    nft_patch_scatter(&state->patches, &patch, first, count, outputs, colours, call->out);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const decoder *state = module->state;
    decoder_call call = {module, exec, in, out};
    nft_exec_for(exec, state->mlp_count * nft_chunk_count(module->in.tokens), decode, &call);
    nft_exec_for(exec, module->in.tokens * state->chunks, render, &call);
}

/* --- backward --- */

/* The networks again, from the decoded numbers. */
static void restore_networks(const decoder_call *call)
{
    const decoder *state = call->module->state;
    const nft_space *space = call->module->space;
    int64_t latents = call->module->in.tokens;
    float *networks = nft_at(call->exec, &state->weights);
    memcpy(networks, nft_at(call->exec, &state->kept_decoded),
           (size_t)(latents * space->numbers) * sizeof *networks);
    for (int64_t t = 0; state->additive && t < space->tensor_count; t++)
        add_learned(call, t, latents, networks);
}

/* The gradient of one patch's network. Pixels follow each other, so it is summed in their order. */
static void render_back(void *argument, int64_t index, float *memory)
{
    const decoder_call *call = argument;
    const decoder *state = call->module->state;
    const nft_space *space = call->module->space;
    int64_t outputs = space->layers[space->layer_count - 1].out, network = index * space->numbers;
    nft_patch patch = nft_patch_at(&state->patches, index);
    float *coordinates = nft_in_item(memory, &state->coordinates),
          *colours = nft_in_item(memory, &state->pixels);
    float *gradient = nft_at(call->exec, &state->weights_gradient) + network;
    nft_siren_tape *tape = nft_siren_tape_place(nft_in_item(memory, &state->siren), space, NFT_DEFAULT_OMEGA);
    nft_siren_tape_set_form(tape, &state->form);
    nft_siren_tape_load(tape, nft_at(call->exec, &state->weights) + network);
    for (int64_t first = 0; first < patch.pixels; first += NFT_SIREN_CHUNK) {
        int64_t left = patch.pixels - first, count = left < NFT_SIREN_CHUNK ? left : NFT_SIREN_CHUNK;
        nft_patch_coordinates(&state->patches, &patch, first, count, coordinates);
        nft_siren_tape_forward(tape, count, coordinates, colours);
        nft_patch_gather(&state->patches, &patch, first, count, outputs, call->in, colours);
        nft_siren_tape_backward(tape, count, colours);
    }
    nft_siren_tape_gradient(tape, gradient);
}

/* From the gradient of one tensor of every network to those of the decoded numbers and of the learned tensor.
 */
static void add_learned_back(void *argument, int64_t tensor, float *memory)
{
    (void)memory;
    const decoder_call *call = argument;
    const decoder *state = call->module->state;
    const nft_exec *exec = call->exec;
    const nft_tensor *t = &call->module->space->tensors[tensor];
    int64_t latents = call->module->in.tokens, numbers = call->module->space->numbers, n = t->tokens;
    const float *gradient = nft_at(exec, &state->weights_gradient) + t->offset;
    float *decoded = nft_at(exec, &state->kept_decoded) + t->offset;
    if (!state->additive) {
        nft_vector()->copy_rows(latents, n, gradient, numbers, decoded, numbers);
        return;
    }
    const learned_tensor *learned = &state->learned[tensor];
    float *initial = nft_at(exec, &learned->initial_gradient),
          *scale = nft_at(exec, &learned->scale_gradient);
    memset(initial, 0, (size_t)n * sizeof *initial);
    nft_vector()->sum_rows(latents, n, gradient, numbers, initial);
    *scale = 0;
    for (int64_t i = 0; i < latents * numbers; i += numbers) {
        *scale += nft_vector()->dot(n, gradient + i, decoded + i);
        nft_vector()->copy_scaled(n, *nft_param_at(exec, &learned->scale), gradient + i, decoded + i);
    }
}

/* One MLP on a chunk of latents, down to the gradient of its first map's output. */
static void decode_back(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const decoder_call *call = argument;
    const decoder *state = call->module->state;
    const nft_space *space = call->module->space;
    int64_t latents = call->module->in.tokens, chunks = nft_chunk_count(latents), mlp = item / chunks;
    int64_t first, count, size = state->hidden_size, stride = space->numbers;
    nft_chunk(latents, item % chunks, &first, &count);
    const float *dy = nft_at(call->exec, &state->kept_decoded) + first * stride + space->tensors[mlp].offset;
    for (int64_t k = state->map_count - 1; k > 0; k--) {
        const float *y = hidden_rows(call, &state->kept_hidden, mlp, k - 1, first);
        float *d = hidden_rows(call, &state->hidden_gradients, mlp, k - 1, first);
        nft_map_rows_back(call->exec, &state->maps[mlp * state->map_count + k], count, dy, stride, d, size,
                          NFT_MAP_SET);
        nft_vector_gradients()->relu(count * size, y, d, d);
        dy = d;
        stride = size;
    }
}

/* A chunk of the latents' gradient, the sum over the MLPs in their order. */
static void latents_back(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const decoder_call *call = argument;
    const decoder *state = call->module->state;
    int64_t channels = call->module->in.channels, first, count;
    nft_chunk(call->module->in.tokens, item, &first, &count);
    for (int64_t mlp = 0; mlp < state->mlp_count; mlp++)
        nft_map_rows_back(call->exec, &state->maps[mlp * state->map_count], count,
                          hidden_rows(call, &state->hidden_gradients, mlp, 0, first), state->hidden_size,
                          call->out + first * channels, channels, mlp ? NFT_MAP_ADD : NFT_MAP_SET);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    const decoder *state = module->state;
    decoder_call call = {module, exec, grad_out, grad_in};
    int64_t chunks = nft_chunk_count(module->in.tokens);
    restore_networks(&call);
    nft_exec_for(exec, module->in.tokens, render_back, &call);
    nft_exec_for(exec, module->space->tensor_count, add_learned_back, &call);
    nft_exec_for(exec, state->mlp_count * chunks, decode_back, &call);
    nft_exec_for(exec, chunks, latents_back, &call);
}

const nft_module_class nft_decoder = {.type = "hypernetwork",
                                      .configure = configure,
                                      .forward = forward,
                                      .backward = backward,
                                      .release = release};
