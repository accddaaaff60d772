/* Adds the model's input features: the rest of the model then learns a change of the weights that it edits.
 */
#include "modules/shared/module.h"

#include <inttypes.h>
#include <string.h>

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)module;
    (void)options;
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (!status && builder->value.lifted)
        return nft_fail(
            NFT_ERROR_CONFIG,
            "%s: lifted features arrive, with positions as channels, but the model's input is not "
            "lifted; put an unlift before it",
            builder->where);
    if (!status && builder->value.channels != builder->input.channels)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: %" PRId64 " channels arrive, but the model's input has %" PRId64
                        "; a pointwise of %" PRId64 " channels before it would do",
                        builder->where, builder->value.channels, builder->input.channels,
                        builder->input.channels);
    return status;
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    int64_t floats = nft_value_floats(&module->in, module->space);
    if (out != in)
        memcpy(out, in, (size_t)floats * sizeof *out);
    nft_vector()->add(floats, exec->input, out);
}

/* The gradient goes both ways. */
static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    int64_t floats = nft_value_floats(&module->in, module->space);
    memcpy(grad_in, grad_out, (size_t)floats * sizeof *grad_in);
    nft_vector()->add(floats, grad_out, exec->input_gradient);
}

const nft_module_class nft_module_add_input = {
    .type = "add_input", .in_place = true, .configure = configure, .forward = forward, .backward = backward};
