/* message_passing: every neuron of a chain gets a vector of K numbers, layer after layer in forward order,
 * and the vectors of the last layer are the output. With h_0 (n_0, K) learned, f the activation, E the
 * effective channels of a weight and n the size of the axis that a layer reads:
 *
 *   z_i = W_i (h_{i-1} edges_i) / √(n E) + biases_i(v_i),   h_i = f(update_i(f(z_i))),   i = 1 … L
 *
 * W_i stands as (n_i, n E), h_{i-1} edges_i as (n E, K). The last layer gives z_L without f. A message is a
 * vector times a weight, as in ScaleGMN (Kalogeropoulos et al., "Scale Equivariant Graph Metanetworks",
 * 2024). The first layer has no h_0 and
 * edges_1 but their product. */
#include "modules/shared/elementwise.h"
#include "modules/weights/features.h"

#include <math.h>
#include <string.h>

/* One layer reads the vectors of the axis before it and makes those of the next. */
typedef struct layer {
    int64_t in, out;                        /* messages that a neuron gets, n E; neurons */
    int64_t weight, bias;                   /* where they begin among features */
    int64_t bias_width;                     /* effective channels of a bias */
    float scale;                            /* 1/√in */
    nft_param inputs;                       /* of the first layer: (n_0 E, K) */
    nft_map edges;                          /* of the others: K → E K */
    nft_map biases;                         /* → K */
    nft_map update;                         /* of all but the last: K → K */
    nft_buffer messages;                    /* KEPT: h_{i-1} edges_i, (in, K); not of the first */
    nft_buffer z, active;                   /* KEPT: (out, K), and f of it; not of the last */
    nft_buffer u, h;                        /* KEPT: the update's output, and f of it; not of the last */
    nft_buffer inputs_gradient;             /* BACKWARD */
    nft_buffer message_gradient;            /* BACKWARD: of messages; not of the first */
    nft_buffer z_gradient, update_gradient; /* BACKWARD: of z and u */
} layer;

typedef struct state {
    int64_t channels; /* K */
    nft_function function;
    nft_buffer scratch; /* TRAINING: a gradient of the widest layer, (neurons, K) */
    int64_t count;
    layer layers[];
} state;

static nft_status add_parameters(nft_builder *builder, layer *l, int64_t i, bool last, int64_t K, int64_t E)
{
    nft_status status;
    if (i == 0) {
        status = nft_parameter_add(builder, &l->inputs, true, nft_init_normal(1), 2, NFT_SHAPE(l->in, K),
                                   "inputs");
        if (status || (status = nft_gradient_add(builder, &l->inputs, &l->inputs_gradient)))
            return status;
    } else if ((status = nft_map_add(builder, &l->edges, nft_size_multiply(E, K), K, 0, false,
                                     nft_init_fan(K), "edges.%lld", (long long)i)))
        return status;
    status = nft_map_add(builder, &l->biases, K, l->bias_width, 0, true, nft_init_fan(l->bias_width),
                         "biases.%lld", (long long)i);
    if (status || last)
        return status;
    return nft_map_add(builder, &l->update, K, K, 0, true, nft_init_fan(K), "updates.%lld", (long long)i);
}

static void reserve(nft_builder *builder, layer *l, int64_t i, bool last, int64_t K)
{
    l->z_gradient = nft_reserve(builder, NFT_ARENA_BACKWARD, l->out, K);
    if (i > 0) {
        l->messages = nft_reserve(builder, NFT_ARENA_KEPT, l->in, K);
        l->message_gradient = nft_reserve(builder, NFT_ARENA_BACKWARD, l->in, K);
    }
    if (last)
        return;
    l->z = nft_reserve(builder, NFT_ARENA_KEPT, l->out, K);
    l->active = nft_reserve(builder, NFT_ARENA_KEPT, l->out, K);
    l->u = nft_reserve(builder, NFT_ARENA_KEPT, l->out, K);
    l->h = nft_reserve(builder, NFT_ARENA_KEPT, l->out, K);
    l->update_gradient = nft_reserve(builder, NFT_ARENA_BACKWARD, l->out, K);
}

static nft_status declare_gradients(nft_builder *builder, state *own, int64_t i, int64_t E)
{
    layer *l = &own->layers[i];
    int64_t K = own->channels;
    nft_buffer v = nft_buffer_part(&builder->arrives, l->bias, l->out, l->bias_width, l->bias_width);
    nft_status status = nft_gradient_of_map(builder, &l->biases, &v, &l->z_gradient);
    if (!status && i > 0) {
        const layer *before = &own->layers[i - 1];
        nft_buffer dm = nft_buffer_part(&l->message_gradient, 0, before->out, E * K, E * K);
        status = nft_gradient_of_weight(builder, &l->edges, &before->h, &dm);
    }
    if (!status && i + 1 < own->count)
        status = nft_gradient_of_map(builder, &l->update, &l->active, &l->update_gradient);
    return status;
}

static nft_status add_layer(nft_module *module, nft_builder *builder, int64_t i)
{
    state *own = module->state;
    layer *l = &own->layers[i];
    const nft_tensor *weight = &builder->space->tensors[NFT_WEIGHT_OF(i)],
                     *bias = &builder->space->tensors[NFT_BIAS_OF(i)];
    int64_t C = builder->value.channels, K = own->channels, E = nft_tensor_width(weight, C);
    bool last = i + 1 == own->count;
    l->in = nft_size_multiply(weight->sizes[1], E);
    l->out = weight->sizes[0];
    l->weight = weight->offset * C;
    l->bias = bias->offset * C;
    l->bias_width = nft_tensor_width(bias, C);
    l->scale = 1 / sqrtf((float)l->in);
    if (l->in > NFT_GEMM_MAX_SIZE)
        return nft_fail(NFT_ERROR_LIMIT,
                        "%s: a neuron of layer %lld gets %lld messages, at most %lld can be added",
                        builder->where, (long long)i, (long long)l->in, (long long)NFT_GEMM_MAX_SIZE);
    if (nft_size_multiply(E, K) > NFT_GEMM_MAX_SIZE)
        return nft_fail(
            NFT_ERROR_LIMIT,
            "%s: the messages of a neuron of layer %lld have %lld numbers, at most %lld can be mapped",
            builder->where, (long long)i, (long long)nft_size_multiply(E, K), (long long)NFT_GEMM_MAX_SIZE);
    nft_status status = add_parameters(builder, l, i, last, K, E);
    if (status)
        return status;
    reserve(builder, l, i, last, K);
    module->flops = nft_size_add(module->flops, nft_product_flops(l->out, K, l->in));
    module->flops = nft_size_add(module->flops, nft_map_flops(&l->biases, l->out));
    if (i > 0)
        module->flops = nft_size_add(module->flops, nft_map_flops(&l->edges, l->in / E));
    if (!last)
        module->flops = nft_size_add(module->flops, nft_map_flops(&l->update, l->out));
    return declare_gradients(builder, own, i, E);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    int64_t K = 0, widest = 0;
    int function = NFT_GELU;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) || (status = nft_require_layers(builder)) ||
        (status = nft_options_integer(options, "out_channels", true, 1, 1 << 24, &K)) ||
        (status = nft_options_choice(options, "activation", false, nft_function_names, NFT_FUNCTION_COUNT,
                                     &function)))
        return status;
    int64_t layers = builder->space->layer_count;
    if ((status = nft_module_state(module, sizeof(state) + (size_t)layers * sizeof(layer))))
        return status;
    state *own = module->state;
    own->channels = K;
    own->function = (nft_function)function;
    own->count = layers;
    for (int64_t i = 0; i < layers; i++) {
        if ((status = add_layer(module, builder, i)))
            return status;
        widest = own->layers[i].out > widest ? own->layers[i].out : widest;
    }
    own->scratch = nft_reserve(builder, NFT_ARENA_TRAINING, widest, K);
    int64_t outputs = own->layers[layers - 1].out;
    module->out = (nft_value){.kind = NFT_VALUE_VECTOR, .channels = nft_size_multiply(outputs, K)};
    return NFT_OK;
}

/* The messages of a layer: of the first they are parameters. */
static const float *messages_of(const layer *l, int64_t i, const nft_exec *exec)
{
    return i ? nft_at(exec, &l->messages) : nft_param_at(exec, &l->inputs);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    int64_t K = own->channels;
    for (int64_t i = 0; i < own->count; i++) {
        const layer *l = &own->layers[i];
        bool last = i + 1 == own->count;
        float *z = last ? out : nft_at(exec, &l->z);
        if (i > 0)
            nft_exec_linear(exec, &l->edges, l[-1].out, nft_at(exec, &l[-1].h), nft_at(exec, &l->messages),
                            NFT_MAP_SET);
        nft_exec_linear(exec, &l->biases, l->out, in + l->bias, z, NFT_MAP_SET);
        nft_gemm(NFT_NN, l->out, K, l->in, l->scale, in + l->weight, l->in, messages_of(l, i, exec), K, 1, z,
                 K);
        if (last)
            return;
        float *active = nft_at(exec, &l->active), *u = nft_at(exec, &l->u);
        nft_exec_elementwise(exec, own->function, l->out * K, z, NULL, active);
        nft_exec_linear(exec, &l->update, l->out, active, u, NFT_MAP_SET);
        nft_exec_elementwise(exec, own->function, l->out * K, u, NULL, nft_at(exec, &l->h));
    }
}

/* dx = f'(x) dy, with y = f(x). */
static void derive(const state *own, const nft_exec *exec, int64_t rows, const nft_buffer *x,
                   const nft_buffer *y, const float *dy, float *dx)
{
    nft_exec_elementwise_back(exec, own->function, rows * own->channels,
                              nft_at(exec, nft_function_keeps_output(own->function) ? y : x), dy, dx);
}

/* From the gradient of z to those of the weights, the biases and the messages. */
static void messages_back(const layer *l, int64_t i, int64_t K, const nft_exec *exec, const float *in,
                          float *grad_in)
{
    const float *dz = nft_at(exec, &l->z_gradient);
    float *dm = nft_at(exec, i ? &l->message_gradient : &l->inputs_gradient);
    nft_exec_linear_back(exec, &l->biases, l->out, dz, grad_in + l->bias, NFT_MAP_SET);
    nft_gemm(NFT_NT, l->out, l->in, K, l->scale, dz, K, messages_of(l, i, exec), K, 0, grad_in + l->weight,
             l->in);
    nft_gemm(NFT_TN, l->in, K, l->out, l->scale, in + l->weight, l->in, dz, K, 0, dm, K);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const state *own = module->state;
    int64_t K = own->channels, end = own->count - 1;
    float *d = nft_at(exec, &own->scratch);
    memcpy(nft_at(exec, &own->layers[end].z_gradient), grad_out,
           (size_t)module->out.channels * sizeof *grad_out);
    for (int64_t i = end; i >= 0; i--) {
        const layer *l = &own->layers[i];
        messages_back(l, i, K, exec, in, grad_in);
        if (i == 0)
            return;
        const layer *before = l - 1;
        float *du = nft_at(exec, &before->update_gradient);
        nft_exec_linear_back(exec, &l->edges, before->out, nft_at(exec, &l->message_gradient), d,
                             NFT_MAP_SET);
        derive(own, exec, before->out, &before->u, &before->h, d, du);
        nft_exec_linear_back(exec, &before->update, before->out, du, d, NFT_MAP_SET);
        derive(own, exec, before->out, &before->z, &before->active, d, nft_at(exec, &before->z_gradient));
    }
}

const nft_module_class nft_module_message_passing = {.type = "message_passing",
                                                     .any_space = NFT_ANY_SPACE_NEVER,
                                                     .configure = configure,
                                                     .forward = forward,
                                                     .backward = backward};
