/* Dropout of whole effective channels of tensors with two axes or more, all their tokens, and of single
 * entries of the others. */
#include "modules/shared/dropout.h"
#include "modules/weights/features.h"

#include <string.h>

typedef struct channel_dropout {
    nft_dropout dropout;
    nft_buffer factors; /* ITEM: one for each effective channel of a tensor */
} channel_dropout;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status || (status = nft_module_state(module, sizeof(channel_dropout))))
        return status;
    channel_dropout *state = module->state;
    state->factors =
        nft_reserve(builder, NFT_ARENA_ITEM, 1, nft_widest_tensor(builder->space, builder->value.channels));
    return nft_dropout_read(&state->dropout, builder, options);
}

typedef struct call {
    const nft_module *module;
    const nft_exec *exec;
    const float *x;
    float *y;
} call;

/* y (tokens, width) = x times one factor, 0 or 1/(1 - p), for each effective channel. */
static void drop_tensor(void *argument, int64_t item, float *item_memory)
{
    const call *c = argument;
    const channel_dropout *state = c->module->state;
    int64_t channels = c->module->in.channels;
    const nft_tensor *tensor = &c->module->space->tensors[item];
    int64_t width = nft_tensor_width(tensor, channels);
    uint64_t stream = state->dropout.stream + 1 + (uint64_t)item;
    double p = state->dropout.p;
    const float *x = c->x + tensor->offset * channels;
    float *y = c->y + tensor->offset * channels, *factors = nft_in_item(item_memory, &state->factors);
    if (tensor->rank < 2) {
        nft_drop(c->exec, stream, p, tensor->tokens * width, x, y);
        return;
    }
    for (int64_t i = 0; i < width; i++)
        factors[i] = 1;
    nft_drop(c->exec, stream, p, width, factors, factors);
    for (int64_t token = 0; token < tensor->tokens; token++) {
        if (x != y)
            memcpy(y + token * width, x + token * width, (size_t)width * sizeof *y);
        nft_vector()->multiply(width, factors, y + token * width);
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
