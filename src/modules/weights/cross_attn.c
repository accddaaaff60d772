/* One attention from learned embeddings to all weights and biases of a network, which are both keys and
 * values, and from one embedding for each weight and bias back to the latents (Neural Functional
 * Transformers). */
#include "modules/sequence/token_attention.h"
#include "modules/sequence/tokens.h"

typedef struct cross_attn {
    nft_param embeddings; /* (queries, C) */
    nft_buffer gradient;
    nft_token_attention attention;
} cross_attn;

/* softmax(E Xᵀ/√C) X for `queries` embeddings E and `keys` tokens X. */
static nft_status add_attention(nft_module *module, nft_builder *builder, int64_t queries, int64_t keys)
{
    nft_status status = nft_module_state(module, sizeof(cross_attn));
    if (status)
        return status;
    cross_attn *state = module->state;
    int64_t channels = builder->value.channels;
    state->attention = (nft_token_attention){.queries = queries,
                                             .keys = keys,
                                             .heads = 1,
                                             .head_size = channels,
                                             .q_stride = channels,
                                             .kv_stride = channels,
                                             .out_stride = channels};
    nft_token_attention_reserve(builder, &state->attention);
    module->flops = nft_token_attention_flops(&state->attention);
    status = nft_parameter_add(builder, &state->embeddings, true, nft_init_normal(1), 2,
                               NFT_SHAPE(queries, channels), "embeddings");
    return status ? status : nft_gradient_add(builder, &state->embeddings, &state->gradient);
}

static nft_status encoder_configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    int64_t latents = 0;
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status || (status = nft_require_flat_space(builder)) ||
        (status = nft_require_product_rows(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_options_integer(options, "num_latents", true, 1, NFT_MAX_WIDTH, &latents)))
        return status;
    module->out.kind = NFT_VALUE_TOKENS;
    module->out.tokens = latents;
    return add_attention(module, builder, latents, builder->space->tokens);
}

static nft_status decoder_configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    nft_status status = nft_require_kind(builder, NFT_VALUE_TOKENS);
    if (status || (status = nft_require_flat_space(builder)) ||
        (status = nft_require_product_rows(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_require_product_rows(builder, NFT_VALUE_TOKENS)))
        return status;
    module->out.kind = NFT_VALUE_FEATURES;
    module->out.tokens = 0;
    return add_attention(module, builder, builder->space->tokens, builder->value.tokens);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const cross_attn *state = module->state;
    nft_token_attention_forward(&state->attention, exec, nft_param_at(exec, &state->embeddings), in, in, out);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const cross_attn *state = module->state;
    nft_token_attention_backward(&state->attention, exec, nft_param_at(exec, &state->embeddings), in, in,
                                 grad_out, nft_at(exec, &state->gradient), grad_in, grad_in);
}

const nft_module_class nft_module_cross_attn_encoder = {.type = "cross_attn_encoder",
                                                        .any_space = NFT_ANY_SPACE_LIFTED,
                                                        .configure = encoder_configure,
                                                        .forward = forward,
                                                        .backward = backward};

const nft_module_class nft_module_cross_attn_decoder = {
    .type = "cross_attn_decoder", .configure = decoder_configure, .forward = forward, .backward = backward};
