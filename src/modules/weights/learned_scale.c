/* learned_scale: multiplies each tensor by a learned number. */
#include "modules/weights/features.h"

#define BLOCK 8192 /* products that are summed in floats; blocks are summed in double */

typedef struct tensor_scale {
    nft_param scale;
    nft_buffer gradient;
} tensor_scale;

typedef struct state {
    int64_t count; /* of tensors */
    tensor_scale tensors[];
} state;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    double scale = 1;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_options_number(options, "init_scale", true, -1e30, 1e30, &scale)) ||
        (status = nft_module_state(module, sizeof(state) +
                                               (size_t)builder->space->tensor_count * sizeof(tensor_scale))))
        return status;
    state *own = module->state;
    own->count = builder->space->tensor_count;
    for (int64_t t = 0; t < own->count && !status; t++) {
        tensor_scale *tensor = &own->tensors[t];
        char name[NFT_OWNER_NAME];
        nft_owner_name(name, builder, t, "weight_scales", "bias_scales", "scales");
        status =
            nft_parameter_add(builder, &tensor->scale, true, nft_init_constant(scale), 0, NULL, "%s", name);
        if (!status)
            status = nft_gradient_add(builder, &tensor->scale, &tensor->gradient);
    }
    return status;
}

/* Numbers of one tensor's features. */
static int64_t tensor_floats(const nft_module *module, int64_t t)
{
    const nft_tensor *tensor = &module->space->tensors[t];
    return tensor->tokens * nft_tensor_width(tensor, module->in.channels);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    for (int64_t t = 0; t < own->count; t++) {
        int64_t start = module->space->tensors[t].offset * module->in.channels;
        nft_vector()->copy_scaled(tensor_floats(module, t), *nft_param_at(exec, &own->tensors[t].scale),
                                  in + start, out + start);
    }
}

static float sum_products(int64_t count, const float *x, const float *y)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i += BLOCK)
        sum += (double)nft_vector()->dot(count - i < BLOCK ? count - i : BLOCK, x + i, y + i);
    return (float)sum;
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const state *own = module->state;
    for (int64_t t = 0; t < own->count; t++) {
        const tensor_scale *tensor = &own->tensors[t];
        int64_t start = module->space->tensors[t].offset * module->in.channels,
                count = tensor_floats(module, t);
        *nft_at(exec, &tensor->gradient) = sum_products(count, in + start, grad_out + start);
        nft_vector()->copy_scaled(count, *nft_param_at(exec, &tensor->scale), grad_out + start,
                                  grad_in + start);
    }
}

const nft_module_class nft_module_learned_scale = {.type = "learned_scale",
                                                   .in_place = true,
                                                   .configure = configure,
                                                   .forward = forward,
                                                   .backward = backward};
