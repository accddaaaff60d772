/* normalize: (x - mean) / std with statistics of the training data, kept as buffers in PyTorch's layout (C,
 * *W_i.shape). */
#include "modules/weights/features.h"

typedef struct tensor_buffers {
    int64_t mean, deviation;
} tensor_buffers;

typedef struct state {
    int64_t count;
    tensor_buffers tensors[];
} state;

static nft_status add_buffer(nft_builder *builder, int64_t t, const char *name, double value, int64_t *offset)
{
    const nft_tensor *tensor = &builder->space->tensors[t];
    int64_t shape[NFT_ARRAY_MAX_RANK] = {0};
    int64_t rank = nft_feature_shape(builder->space, t, builder->value.channels, shape);
    return nft_parameter_add(builder, offset, false, nft_init_constant(value), rank, shape, "%s_%s_%lld",
                             name, tensor->bias ? "bias" : "weights", (long long)tensor->layer);
}

/* Of the deviation, which was added last. */
static void declare_statistics(nft_builder *builder, int64_t t, bool per_weight, int64_t mean)
{
    const nft_tensor *tensor = &builder->space->tensors[t];
    int64_t C = builder->value.channels;
    nft_statistics statistics = {.per_weight = per_weight,
                                 .value = builder->in_kept,
                                 .first = nft_size_multiply(tensor->offset, C),
                                 .tokens = tensor->tokens,
                                 .channels = C,
                                 .positions = tensor->positions,
                                 .mean = mean};
    nft_statistics_declare(builder, &statistics);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    static const char *const choices[] = {"tensor", "weight"};
    int per = 0;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_options_choice(options, "per", false, choices, 2, &per)) ||
        (status = nft_module_state(module, sizeof(state) + (size_t)builder->space->tensor_count *
                                                               sizeof(tensor_buffers))))
        return status;
    state *own = module->state;
    own->count = builder->space->tensor_count;
    for (int64_t t = 0; t < own->count; t++) {
        if ((status = add_buffer(builder, t, "mean", 0, &own->tensors[t].mean)) ||
            (status = add_buffer(builder, t, "std", 1, &own->tensors[t].deviation)))
            return status;
        declare_statistics(builder, t, per == 1, own->tensors[t].mean);
    }
    return NFT_OK;
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    int64_t C = module->in.channels;
    for (int64_t t = 0; t < own->count; t++) {
        const nft_tensor *tensor = &module->space->tensors[t];
        const float *mean = exec->parameters + own->tensors[t].mean,
                    *deviation = exec->parameters + own->tensors[t].deviation;
        int64_t f = tensor->positions, start = tensor->offset * C;
        for (int64_t token = 0; token < tensor->tokens; token++)
            for (int64_t c = 0; c < C; c++)
                for (int64_t p = 0; p < f; p++) {
                    int64_t i = start + (token * C + c) * f + p, b = (c * tensor->tokens + token) * f + p;
                    out[i] = (in[i] - mean[b]) / deviation[b];
                }
    }
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    const state *own = module->state;
    int64_t C = module->in.channels;
    for (int64_t t = 0; t < own->count; t++) {
        const nft_tensor *tensor = &module->space->tensors[t];
        const float *deviation = exec->parameters + own->tensors[t].deviation;
        int64_t f = tensor->positions, start = tensor->offset * C;
        for (int64_t token = 0; token < tensor->tokens; token++)
            for (int64_t c = 0; c < C; c++)
                for (int64_t p = 0; p < f; p++) {
                    int64_t i = start + (token * C + c) * f + p;
                    grad_in[i] = grad_out[i] / deviation[(c * tensor->tokens + token) * f + p];
                }
    }
}

const nft_module_class nft_module_normalize = {
    .type = "normalize", .in_place = true, .configure = configure, .forward = forward, .backward = backward};
