/* learned_scale: multiplies each weight and bias tensor by a learned number. */
#include "modules/weights/features.h"

typedef struct state {
    int64_t count; /* of tensors */
    struct {
        int64_t scale, gradient; /* the parameter; sides: its gradient */
    } tensors[];
} state;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    double scale = 1;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_options_number(options, "init_scale", true, -1e30, 1e30, &scale)) ||
        (status = nft_module_state(module, sizeof(state) + (size_t)builder->space->tensor_count *
                                                               sizeof(((state *)0)->tensors[0]))))
        return status;
    state *own = module->state;
    own->count = builder->space->tensor_count;
    for (int64_t t = 0; t < own->count; t++) {
        const nft_tensor *tensor = &builder->space->tensors[t];
        status =
            nft_parameter_add(builder, &own->tensors[t].scale, true, nft_init_constant(scale), 0, NULL,
                              "%s_scales.%lld", tensor->bias ? "bias" : "weight", (long long)tensor->layer);
        if (status)
            return status;
        nft_gradient_add(builder, &own->tensors[t].gradient);
    }
    return NFT_OK;
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    int64_t C = module->in.channels;
    for (int64_t t = 0; t < own->count; t++) {
        const nft_tensor *tensor = &module->space->tensors[t];
        int64_t start = tensor->offset * C;
        nft_vector()->copy_scaled(tensor->tokens * tensor->positions * C,
                                  exec->parameters[own->tensors[t].scale], in + start, out + start);
    }
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const state *own = module->state;
    int64_t C = module->in.channels;
    for (int64_t t = 0; t < own->count; t++) {
        const nft_tensor *tensor = &module->space->tensors[t];
        int64_t start = tensor->offset * C, n = tensor->tokens * tensor->positions * C;
        exec->sides[own->tensors[t].gradient] = nft_vector()->dot(n, in + start, grad_out + start);
        nft_vector()->copy_scaled(n, exec->parameters[own->tensors[t].scale], grad_out + start,
                                  grad_in + start);
    }
}

const nft_module_class nft_module_learned_scale = {.type = "learned_scale",
                                                   .in_place = true,
                                                   .configure = configure,
                                                   .forward = forward,
                                                   .backward = backward};
