/* Dropout of whole effective channels of a weight matrix, all its rows and columns, and of single entries of
 * biases. */
#include "modules/shared/dropout.h"
#include "modules/weights/features.h"

#include <string.h>

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status)
        return status;
    module->thread_scratch = nft_widest_tensor(builder->space, builder->value.channels);
    return nft_dropout_configure(module, builder, options);
}

typedef struct call {
    const nft_module *module;
    const nft_exec *exec;
    const float *x;
    float *y;
} call;

/* y (tokens, width) = x times one factor, 0 or 1/(1 - p), for each effective channel. */
static void drop_tensor(void *argument, int64_t item, float *thread_scratch)
{
    const call *c = argument;
    const nft_dropout *state = c->module->state;
    int64_t channels = c->module->in.channels;
    const nft_tensor *tensor = &c->module->space->tensors[item];
    int64_t width = nft_tensor_width(tensor, channels);
    uint64_t stream = state->stream + 1 + (uint64_t)item;
    const float *x = c->x + tensor->offset * channels;
    float *y = c->y + tensor->offset * channels;
    if (tensor->bias) {
        nft_drop(c->exec, stream, state->p, tensor->tokens * width, x, y);
        return;
    }
    for (int64_t i = 0; i < width; i++)
        thread_scratch[i] = 1;
    nft_drop(c->exec, stream, state->p, width, thread_scratch, thread_scratch);
    for (int64_t token = 0; token < tensor->tokens; token++) {
        if (x != y)
            memcpy(y + token * width, x + token * width, (size_t)width * sizeof *y);
        nft_vector()->multiply(width, thread_scratch, y + token * width);
    }
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    if (!exec->dropout && in == out)
        return;
    call c = {.module = module, .exec = exec, .x = in, .y = out};
    nft_exec_for(exec, module->space->tensor_count, drop_tensor, &c);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    forward(module, exec, grad_out, grad_in);
}

const nft_module_class nft_module_channel_dropout = {.type = "channel_dropout",
                                                     .in_place = true,
                                                     .configure = configure,
                                                     .forward = forward,
                                                     .backward = backward};
