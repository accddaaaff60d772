/* Adds a learned vector to each token by its position. */
#include "modules/sequence/tokens.h"

#include <inttypes.h>
#include <string.h>

typedef struct token_embedding {
    int64_t max_tokens;
    nft_param weight; /* (max_tokens, C) */
    nft_buffer gradient;
} token_embedding;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    int64_t most = 0;
    nft_status status = nft_require_kind(builder, NFT_VALUE_TOKENS);
    if (status || (status = nft_options_integer(options, "max_tokens", true, 1, NFT_MAX_WIDTH, &most)))
        return status;
    if (builder->value.tokens > most)
        return nft_fail(NFT_ERROR_CONFIG, "%s: 'max_tokens' is %" PRId64 ", but %" PRId64 " tokens arrive",
                        builder->where, most, builder->value.tokens);
    status = nft_module_state(module, sizeof(token_embedding));
    if (status)
        return status;
    token_embedding *state = module->state;
    state->max_tokens = most;
    status = nft_parameter_add(builder, &state->weight, true, nft_init_normal(1), 2,
                               NFT_SHAPE(most, builder->value.channels), "weight");
    return status ? status : nft_gradient_add(builder, &state->weight, &state->gradient);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const token_embedding *state = module->state;
    int64_t count = module->in.tokens * module->in.channels;
    if (out != in)
        memcpy(out, in, (size_t)count * sizeof *out);
    nft_vector()->add(count, nft_param_at(exec, &state->weight), out);
}

/* Positions that no token has get 0. */
static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    const token_embedding *state = module->state;
    int64_t count = module->in.tokens * module->in.channels, all = state->max_tokens * module->in.channels;
    float *gradient = nft_at(exec, &state->gradient);
    memcpy(gradient, grad_out, (size_t)count * sizeof *gradient);
    memset(gradient + count, 0, (size_t)(all - count) * sizeof *gradient);
    memcpy(grad_in, grad_out, (size_t)count * sizeof *grad_in);
}

const nft_module_class nft_module_token_embedding = {.type = "token_embedding",
                                                     .in_place = true,
                                                     .any_space = NFT_ANY_SPACE_ALWAYS,
                                                     .configure = configure,
                                                     .forward = forward,
                                                     .backward = backward};
