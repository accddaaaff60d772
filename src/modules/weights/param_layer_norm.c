/* param_layer_norm: PyTorch's LayerNorm over whatever a permutation of hidden neurons keeps together: the
 * input neurons of W_0, the output neurons of W_{L-1} and v_{L-1}, else the channels of one entry. */
#include "modules/weights/features.h"

#include "math/gradients.h"

#include <string.h>

/* Groups whose gradients are summed by themselves, so that rounding errors of many groups stay small. */
#define BLOCK_GROUPS 256

/* A group of values that are normed together: `outer` rows of `inner` channels or the other way round. */
typedef struct tensor_norm {
    nft_param weight, bias; /* in PyTorch's order of the axes */
    nft_buffer weight_gradient, bias_gradient;
    int64_t neurons;    /* that count as channels; 1 for none */
    bool channel_major; /* the parameter's order is (C, neurons), else (neurons, C) */
} tensor_norm;

typedef struct state {
    int64_t count;
    nft_buffer x, d;             /* CALL: one group, and in backward its gradient */
    nft_buffer d_weight, d_bias; /* TRAINING: the sums over a block of groups */
    tensor_norm tensors[];
} state;

/* W_0: (C, n_0) for each row. W_{L-1}: (n_L, C) for each column. v_{L-1}: (C, n_L). Others: (C). */
static nft_status add_norm(nft_builder *builder, int64_t t, tensor_norm *norm)
{
    const nft_tensor *tensor = &builder->space->tensors[t];
    int64_t C = builder->value.channels, layer = t / 2;
    bool bias = t == NFT_BIAS_OF(layer), first = t == 0, last = layer == builder->space->layer_count - 1;
    int64_t rank = first || last ? 2 : 1;
    norm->neurons = first ? tensor->sizes[1] : last ? tensor->sizes[0] : 1;
    norm->channel_major = bias || !last;
    int64_t shape[2] = {norm->channel_major ? C : norm->neurons, norm->channel_major ? norm->neurons : C};
    char part = bias ? 'v' : 'w';
    nft_status status = nft_parameter_add(builder, &norm->weight, true, nft_init_constant(1), rank, shape,
                                          "norm%lld_%c.weight", (long long)layer, part);
    if (status || (status = nft_gradient_add(builder, &norm->weight, &norm->weight_gradient)))
        return status;
    status = nft_parameter_add(builder, &norm->bias, true, nft_init_constant(0), rank, shape,
                               "norm%lld_%c.bias", (long long)layer, part);
    return status ? status : nft_gradient_add(builder, &norm->bias, &norm->bias_gradient);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) || (status = nft_require_layers(builder)) ||
        (status = nft_require_one_position(builder)))
        return status;
    const nft_space *space = builder->space;
    if (space->layer_count < 2)
        return nft_fail(NFT_ERROR_CONFIG, "%s: the space has 1 layer, expected at least 2", builder->where);
    if ((status =
             nft_module_state(module, sizeof(state) + (size_t)space->tensor_count * sizeof(tensor_norm))))
        return status;
    state *own = module->state;
    own->count = space->tensor_count;
    int64_t widest = 0;
    for (int64_t t = 0; t < own->count; t++) {
        if ((status = add_norm(builder, t, &own->tensors[t])))
            return status;
        widest = own->tensors[t].neurons > widest ? own->tensors[t].neurons : widest;
    }
    own->x = nft_reserve(builder, NFT_ARENA_CALL, widest, builder->value.channels);
    own->d = nft_reserve(builder, NFT_ARENA_CALL, widest, builder->value.channels);
    own->d_weight = nft_reserve(builder, NFT_ARENA_TRAINING, widest, builder->value.channels);
    own->d_bias = nft_reserve(builder, NFT_ARENA_TRAINING, widest, builder->value.channels);
    return NFT_OK;
}

/* Where a group's values stand in features: entry (neuron, channel) at first + neuron · step + channel. */
typedef struct group {
    const tensor_norm *norm;
    int64_t channels, first, step;
} group;

static int64_t group_size(const group *g)
{
    return g->norm->neurons * g->channels;
}

/* To the order of the parameters, and back. */
static void gather(const group *g, const float *features, float *values)
{
    int64_t n = g->norm->neurons, C = g->channels, across = g->norm->channel_major ? 1 : C,
            along = g->norm->channel_major ? n : 1;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < C; c++)
            values[i * across + c * along] = features[g->first + i * g->step + c];
}

static void scatter(const group *g, const float *values, float *features)
{
    int64_t n = g->norm->neurons, C = g->channels, across = g->norm->channel_major ? 1 : C,
            along = g->norm->channel_major ? n : 1;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < C; c++)
            features[g->first + i * g->step + c] = values[i * across + c * along];
}

/* The groups of a tensor: for layer 0's weights its rows, else its columns, or the whole of v_{L-1}, or
 * single entries. */
static int64_t group_count(const nft_tensor *tensor, const tensor_norm *norm)
{
    return tensor->tokens / norm->neurons;
}

static group group_at(const nft_space *space, int64_t t, const tensor_norm *norm, int64_t channels,
                      int64_t index)
{
    const nft_tensor *tensor = &space->tensors[t];
    bool along_row = t == 0, bias = tensor->rank == 1;
    return (group){.norm = norm,
                   .channels = channels,
                   .first = tensor->offset * channels + index * channels * (along_row ? norm->neurons : 1),
                   .step = along_row || bias ? channels : tensor->sizes[1] * channels};
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    float *x = nft_at(exec, &own->x);
    for (int64_t t = 0; t < own->count; t++) {
        const nft_tensor *tensor = &module->space->tensors[t];
        const tensor_norm *norm = &own->tensors[t];
        for (int64_t i = 0; i < group_count(tensor, norm); i++) {
            group g = group_at(module->space, t, norm, module->in.channels, i);
            int64_t n = group_size(&g);
            gather(&g, in, x);
            nft_vector()->layer_norm(1, n, nft_param_at(exec, &norm->weight), nft_param_at(exec, &norm->bias),
                                     x, n, x, n);
            scatter(&g, x, out);
        }
    }
}

typedef struct back_call {
    const nft_module *module;
    const nft_exec *exec;
    const float *in, *grad_out;
    float *grad_in;
} back_call;

/* Groups first … end - 1 of tensor t: sets the sums of their gradients of weight and bias. */
static void block_back(const back_call *call, int64_t t, int64_t first, int64_t end)
{
    const state *own = call->module->state;
    const tensor_norm *norm = &own->tensors[t];
    float *x = nft_at(call->exec, &own->x), *d = nft_at(call->exec, &own->d),
          *weight = nft_at(call->exec, &own->d_weight), *bias = nft_at(call->exec, &own->d_bias);
    int64_t n = norm->neurons * call->module->in.channels;
    memset(weight, 0, (size_t)n * sizeof *weight);
    memset(bias, 0, (size_t)n * sizeof *bias);
    for (int64_t i = first; i < end; i++) {
        group g = group_at(call->module->space, t, norm, call->module->in.channels, i);
        gather(&g, call->in, x);
        gather(&g, call->grad_out, d);
        nft_vector_gradients()->layer_norm(1, n, nft_param_at(call->exec, &norm->weight), x, n, d, n, d, n,
                                           weight, bias);
        scatter(&g, d, call->grad_in);
    }
}

static void tensor_back(const back_call *call, int64_t t)
{
    const state *own = call->module->state;
    const tensor_norm *norm = &own->tensors[t];
    float *weight = nft_at(call->exec, &norm->weight_gradient),
          *bias = nft_at(call->exec, &norm->bias_gradient);
    int64_t n = norm->neurons * call->module->in.channels,
            groups = group_count(&call->module->space->tensors[t], norm);
    memset(weight, 0, (size_t)n * sizeof *weight);
    memset(bias, 0, (size_t)n * sizeof *bias);
    for (int64_t first = 0; first < groups; first += BLOCK_GROUPS) {
        block_back(call, t, first, groups - first < BLOCK_GROUPS ? groups : first + BLOCK_GROUPS);
        nft_vector()->add(n, nft_at(call->exec, &own->d_weight), weight);
        nft_vector()->add(n, nft_at(call->exec, &own->d_bias), bias);
    }
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    back_call call = {module, exec, in, grad_out, grad_in};
    for (int64_t t = 0; t < ((const state *)module->state)->count; t++)
        tensor_back(&call, t);
}

const nft_module_class nft_module_param_layer_norm = {.type = "param_layer_norm",
                                                      .in_place = true,
                                                      .configure = configure,
                                                      .forward = forward,
                                                      .backward = backward};
