/* Tokens to a vector: their mean, one of them, or all one after the other; and the way back from the last. */
#include "modules/sequence/tokens.h"

#include <inttypes.h>
#include <string.h>

static void become_vector(nft_module *module, int64_t channels)
{
    module->out.kind = NFT_VALUE_VECTOR;
    module->out.tokens = 0;
    module->out.channels = channels;
}

static nft_status mean_configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    become_vector(module, builder->value.channels);
    return nft_require_kind(builder, NFT_VALUE_TOKENS);
}

static void mean_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    (void)exec;
    int64_t tokens = module->in.tokens, channels = module->in.channels;
    memset(out, 0, (size_t)channels * sizeof *out);
    nft_vector()->sum_rows(tokens, channels, in, channels, out);
    nft_vector()->copy_scaled(channels, 1 / (float)tokens, out, out);
}

static void mean_backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                          const float *grad_out, float *grad_in)
{
    (void)exec;
    (void)in;
    (void)out;
    int64_t tokens = module->in.tokens, channels = module->in.channels;
    for (int64_t token = 0; token < tokens; token++)
        nft_vector()->copy_scaled(channels, 1 / (float)tokens, grad_out, grad_in + token * channels);
}

typedef struct select_token {
    int64_t index;
} select_token;

static nft_status select_configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    int64_t index = 0;
    nft_status status = nft_require_kind(builder, NFT_VALUE_TOKENS);
    if (status || (status = nft_options_integer(options, "index", true, 0, INT64_MAX, &index)))
        return status;
    if (index >= builder->value.tokens)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: 'index' is %" PRId64 ", but the tokens that arrive are 0 … %" PRId64,
                        builder->where, index, builder->value.tokens - 1);
    status = nft_module_state(module, sizeof(select_token));
    if (status)
        return status;
    ((select_token *)module->state)->index = index;
    become_vector(module, builder->value.channels);
    return NFT_OK;
}

static void select_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    (void)exec;
    const select_token *state = module->state;
    int64_t channels = module->in.channels;
    memcpy(out, in + state->index * channels, (size_t)channels * sizeof *out);
}

static void select_backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                            const float *grad_out, float *grad_in)
{
    (void)exec;
    (void)in;
    (void)out;
    const select_token *state = module->state;
    int64_t tokens = module->in.tokens, channels = module->in.channels;
    memset(grad_in, 0, (size_t)(tokens * channels) * sizeof *grad_in);
    memcpy(grad_in + state->index * channels, grad_out, (size_t)channels * sizeof *grad_in);
}

static nft_status flatten_configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    become_vector(module, nft_size_multiply(builder->value.tokens, builder->value.channels));
    return nft_require_kind(builder, NFT_VALUE_TOKENS);
}

static nft_status unflatten_configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    int64_t tokens = 0, numbers = builder->value.channels;
    nft_status status = nft_require_kind(builder, NFT_VALUE_VECTOR);
    if (status || (status = nft_options_integer(options, "tokens", true, 1, INT64_MAX, &tokens)))
        return status;
    if (numbers % tokens)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: 'tokens' is %" PRId64 ", expected a divisor of the %" PRId64
                        " numbers of the vector that arrives",
                        builder->where, tokens, numbers);
    module->out.kind = NFT_VALUE_TOKENS;
    module->out.tokens = tokens;
    module->out.channels = numbers / tokens;
    return NFT_OK;
}

static void copy_forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    (void)exec;
    if (out != in)
        memcpy(out, in, (size_t)nft_value_floats(&module->in, module->space) * sizeof *out);
}

static void copy_backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                          const float *grad_out, float *grad_in)
{
    (void)exec;
    (void)in;
    (void)out;
    memcpy(grad_in, grad_out, (size_t)nft_value_floats(&module->in, module->space) * sizeof *grad_in);
}

const nft_module_class nft_module_mean_tokens = {.type = "mean_tokens",
                                                 .any_space = NFT_ANY_SPACE_ALWAYS,
                                                 .configure = mean_configure,
                                                 .forward = mean_forward,
                                                 .backward = mean_backward};

const nft_module_class nft_module_select_token = {.type = "select_token",
                                                  .any_space = NFT_ANY_SPACE_ALWAYS,
                                                  .configure = select_configure,
                                                  .forward = select_forward,
                                                  .backward = select_backward};

const nft_module_class nft_module_flatten_tokens = {.type = "flatten_tokens",
                                                    .in_place = true,
                                                    .any_space = NFT_ANY_SPACE_ALWAYS,
                                                    .configure = flatten_configure,
                                                    .forward = copy_forward,
                                                    .backward = copy_backward};

const nft_module_class nft_module_unflatten_tokens = {.type = "unflatten_tokens",
                                                      .in_place = true,
                                                      .any_space = NFT_ANY_SPACE_ALWAYS,
                                                      .configure = unflatten_configure,
                                                      .forward = copy_forward,
                                                      .backward = copy_backward};
