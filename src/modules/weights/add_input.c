/* Adds the model's input features: the rest of the model then learns a change of the weights that it edits.
 * Of k times as many channels each group has the input added, so there are k edits. */
#include "modules/shared/module.h"

#include <inttypes.h>
#include <string.h>

typedef struct state {
    int64_t channels; /* of the input */
} state;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (!status && builder->value.lifted)
        return nft_fail(
            NFT_ERROR_CONFIG,
            "%s: lifted features arrive, with positions as channels, but the model's input is not "
            "lifted; put an unlift before it",
            builder->where);
    if (!status && builder->value.channels % builder->input.channels)
        return nft_fail(
            NFT_ERROR_CONFIG,
            "%s: %" PRId64 " channels arrive, but the model's input has %" PRId64
            ", and they are no multiple of it; a pointwise of %" PRId64 " channels before it would do",
            builder->where, builder->value.channels, builder->input.channels, builder->input.channels);
    if (!status && !(status = nft_module_state(module, sizeof(state))))
        ((state *)module->state)->channels = builder->input.channels;
    return status;
}

/* A token has C·f numbers, k groups like the C/k · f of the input. Adds the input to every group, or every
 * group to the input, of which `to` is. */
static void add_groups(const nft_module *module, const float *from, bool to_input, float *to)
{
    const nft_space *space = module->space;
    int64_t channels = module->in.channels, groups = channels / ((const state *)module->state)->channels;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        int64_t numbers = channels / groups * tensor->positions, first = channels * tensor->offset;
        for (int64_t i = 0; i < tensor->tokens * groups; i++) {
            int64_t at = first + i * numbers, input = first / groups + i / groups * numbers;
            nft_vector()->add(numbers, from + (to_input ? at : input), to + (to_input ? input : at));
        }
    }
}

static bool is_one_group(const nft_module *module)
{
    return module->in.channels == ((const state *)module->state)->channels;
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    int64_t floats = nft_value_floats(&module->in, module->space);
    if (out != in)
        memcpy(out, in, (size_t)floats * sizeof *out);
    if (is_one_group(module))
        nft_vector()->add(floats, exec->input, out);
    else
        add_groups(module, exec->input, false, out);
}

/* The gradient goes both ways. */
static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    int64_t floats = nft_value_floats(&module->in, module->space);
    memcpy(grad_in, grad_out, (size_t)floats * sizeof *grad_in);
    if (is_one_group(module))
        nft_vector()->add(floats, grad_out, exec->input_gradient);
    else
        add_groups(module, grad_out, true, exec->input_gradient);
}

const nft_module_class nft_module_add_input = {
    .type = "add_input", .in_place = true, .configure = configure, .forward = forward, .backward = backward};
