/* param_layer_norm: PyTorch's LayerNorm over whatever a permutation of hidden neurons keeps together: the
 * input neurons of W_0, the output neurons of W_{L-1} and v_{L-1}, else the channels of one entry. */
#include "modules/features.h"

/* A group of values that are normed together: `outer` rows of `inner` channels or the other way round. */
typedef struct tensor_norm {
    int64_t weight, bias; /* parameters, in PyTorch's order of the axes */
    int64_t neurons;      /* that count as channels; 1 for none */
    bool channel_major;   /* the parameter's order is (C, neurons), else (neurons, C) */
} tensor_norm;

typedef struct state {
    int64_t count;
    tensor_norm tensors[];
} state;

/* W_0: (C, n_0) for each row. W_{L-1}: (n_L, C) for each column. v_{L-1}: (C, n_L). Others: (C). */
static nft_status add_norm(nft_builder *builder, const nft_tensor *tensor, tensor_norm *norm)
{
    bool first = tensor->layer == 0 && !tensor->bias, last = tensor->layer == builder->space->layer_count - 1;
    int64_t C = builder->value.channels, rank = first || last ? 2 : 1;
    norm->neurons = first ? tensor->columns : last ? tensor->rows : 1;
    norm->channel_major = tensor->bias || !last;
    int64_t shape[2] = {norm->channel_major ? C : norm->neurons, norm->channel_major ? norm->neurons : C};
    char part = tensor->bias ? 'v' : 'w';
    nft_status status = nft_parameter_add(builder, &norm->weight, true, nft_init_constant(1), rank, shape,
                                          "norm%lld_%c.weight", (long long)tensor->layer, part);
    return status ? status
                  : nft_parameter_add(builder, &norm->bias, true, nft_init_constant(0), rank, shape,
                                      "norm%lld_%c.bias", (long long)tensor->layer, part);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
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
        if ((status = add_norm(builder, &space->tensors[t], &own->tensors[t])))
            return status;
        widest = own->tensors[t].neurons > widest ? own->tensors[t].neurons : widest;
    }
    nft_reserve(&module->scratch, nft_size_multiply(widest, builder->value.channels));
    return NFT_OK;
}

/* Norms one group: entry (neuron, channel) is at first + neuron · step + channel. */
static void norm_group(const tensor_norm *norm, const float *parameters, int64_t C, int64_t first,
                       int64_t step, const float *in, float *out, float *group)
{
    int64_t n = norm->neurons, across = norm->channel_major ? 1 : C, along = norm->channel_major ? n : 1;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < C; c++)
            group[i * across + c * along] = in[first + i * step + c];
    nft_vector()->layer_norm(1, n * C, parameters + norm->weight, parameters + norm->bias, group, n * C,
                             group, n * C);
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < C; c++)
            out[first + i * step + c] = group[i * across + c * along];
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    int64_t C = module->in.channels;
    for (int64_t t = 0; t < own->count; t++) {
        const nft_tensor *tensor = &module->space->tensors[t];
        const tensor_norm *norm = &own->tensors[t];
        int64_t groups = tensor->tokens / norm->neurons, start = tensor->offset * C;
        bool columns = !tensor->bias && tensor->layer == 0; /* the group runs along a row */
        int64_t step = columns || tensor->bias ? C : tensor->columns * C;
        for (int64_t g = 0; g < groups; g++) {
            int64_t first = start + (columns ? g * norm->neurons * C : g * C);
            norm_group(norm, exec->parameters, C, first, step, in, out, exec->scratch);
        }
    }
}

const nft_module_class nft_module_param_layer_norm = {
    .type = "param_layer_norm", .in_place = true, .configure = configure, .forward = forward};
