/* One layer of PyTorch's TransformerEncoder with norm_first and gelu:
 * x ← x + attention(norm1(x)); x ← x + linear2(gelu(linear1(norm2(x)))). */
#include "modules/token_attention.h"
#include "modules/tokens.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct encoder_layer {
    double dropout; /* in training only */
    nft_norm norm1, norm2;
    nft_map in_proj; /* C → 3C: q, k, v */
    nft_map out_proj;
    nft_map linear1, linear2; /* C → dim_feedforward → C */
    nft_token_attention attention;
    int64_t qkv, attended;  /* scratch: (T, 3C), (T, C) */
    int64_t normed, hidden; /* thread scratch: (chunk, C), (chunk, dim_feedforward) */
} encoder_layer;

static nft_status read_options(encoder_layer *state, nft_builder *builder, nft_options *options)
{
    int64_t heads = 0, hidden = 0, channels = builder->value.channels;
    state->dropout = 0.1;
    nft_status status = nft_options_integer(options, "num_heads", true, 1, NFT_MAX_HEADS, &heads);
    if (status ||
        (status = nft_options_integer(options, "dim_feedforward", true, 1, NFT_MAX_WIDTH, &hidden)) ||
        (status = nft_dropout_option(builder, options, &state->dropout)))
        return status;
    if (channels > NFT_MAX_WIDTH)
        return nft_fail(NFT_ERROR_LIMIT, "%s: %" PRId64 " channels arrive, at most %" PRId64 " are possible",
                        builder->where, channels, NFT_MAX_WIDTH);
    if (channels % heads)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: 'num_heads' is %" PRId64 ", which does not divide the %" PRId64 " channels",
                        builder->where, heads, channels);
    state->linear1.outputs = hidden;
    state->attention = (nft_token_attention){.queries = builder->value.tokens,
                                             .keys = builder->value.tokens,
                                             .heads = heads,
                                             .head_size = channels / heads,
                                             .q_stride = 3 * channels,
                                             .kv_stride = 3 * channels,
                                             .out_stride = channels};
    return NFT_OK;
}

/* PyTorch's MultiheadAttention: in_proj Xavier-uniform, out_proj a Linear, both biases 0. */
static nft_status add_attention(encoder_layer *state, nft_builder *builder)
{
    int64_t c = builder->value.channels;
    nft_init xavier = nft_init_uniform(sqrt(6 / (4 * (double)c))), zero = nft_init_constant(0);
    nft_status status = nft_map_add_as(builder, &state->in_proj, 3 * c, c, xavier, "self_attn.in_proj_weight",
                                       zero, "self_attn.in_proj_bias");
    return status ? status
                  : nft_map_add_as(builder, &state->out_proj, c, c, nft_init_fan(c),
                                   "self_attn.out_proj.weight", zero, "self_attn.out_proj.bias");
}

static nft_status add_parameters(encoder_layer *state, nft_builder *builder)
{
    int64_t c = builder->value.channels, hidden = state->linear1.outputs;
    nft_status status = add_attention(state, builder);
    if (status ||
        (status = nft_map_add(builder, &state->linear1, hidden, c, 0, true, nft_init_fan(c), "linear1")) ||
        (status =
             nft_map_add(builder, &state->linear2, c, hidden, 0, true, nft_init_fan(hidden), "linear2")) ||
        (status = nft_norm_add(builder, &state->norm1, c, "", "norm1.")))
        return status;
    return nft_norm_add(builder, &state->norm2, c, "", "norm2.");
}

static int64_t count_flops(const encoder_layer *state)
{
    int64_t tokens = state->attention.queries, flops = nft_token_attention_flops(&state->attention);
    flops = nft_size_add(flops, nft_map_flops(&state->in_proj, tokens));
    flops = nft_size_add(flops, nft_map_flops(&state->out_proj, tokens));
    flops = nft_size_add(flops, nft_map_flops(&state->linear1, tokens));
    return nft_size_add(flops, nft_map_flops(&state->linear2, tokens));
}

static void plan(nft_module *module, encoder_layer *state)
{
    int64_t tokens = state->attention.queries, rows = nft_chunk_rows(tokens), c = module->in.channels;
    state->qkv = nft_reserve(&module->scratch, nft_size_multiply(tokens, 3 * c));
    state->attended = nft_reserve(&module->scratch, nft_size_multiply(tokens, c));
    int64_t layer = 0, attention = 0;
    state->normed = nft_reserve(&layer, nft_size_multiply(rows, c));
    state->hidden = nft_reserve(&layer, nft_size_multiply(rows, state->linear1.outputs));
    nft_reserve(&attention, nft_token_attention_scratch(&state->attention));
    module->thread_scratch = layer > attention ? layer : attention;
    module->flops = count_flops(state);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status = nft_require_kind(builder, NFT_VALUE_TOKENS);
    if (status || (status = nft_module_state(module, sizeof(encoder_layer))))
        return status;
    encoder_layer *state = module->state;
    if ((status = read_options(state, builder, options)) || (status = add_parameters(state, builder)))
        return status;
    plan(module, state);
    return NFT_OK;
}

typedef struct layer_call {
    const encoder_layer *state;
    const nft_exec *exec;
    int64_t tokens, channels;
    const float *in;
    float *out;
} layer_call;

/* qkv = in_proj(norm1(x)) */
static void project_rows(void *argument, int64_t item, float *thread_scratch)
{
    const layer_call *call = argument;
    const encoder_layer *state = call->state;
    int64_t c = call->channels, first, count;
    nft_chunk(call->tokens, item, &first, &count);
    float *normed = thread_scratch + state->normed, *qkv = call->exec->scratch + state->qkv + first * 3 * c;
    nft_norm_rows(call->exec, &state->norm1, count, call->in + first * c, normed);
    nft_map_rows(call->exec, &state->in_proj, count, normed, c, qkv, 3 * c, NFT_MAP_SET);
}

/* x = x + out_proj(attended); x = x + linear2(gelu(linear1(norm2(x)))) */
static void finish_rows(void *argument, int64_t item, float *thread_scratch)
{
    const layer_call *call = argument;
    const encoder_layer *state = call->state;
    const nft_exec *exec = call->exec;
    int64_t c = call->channels, width = state->linear1.outputs, first, count;
    nft_chunk(call->tokens, item, &first, &count);
    const float *attended = exec->scratch + state->attended + first * c;
    float *normed = thread_scratch + state->normed, *hidden = thread_scratch + state->hidden,
          *out = call->out + first * c;
    if (call->out != call->in)
        memcpy(out, call->in + first * c, (size_t)(count * c) * sizeof *out);
    nft_map_rows(exec, &state->out_proj, count, attended, c, out, c, NFT_MAP_ADD);
    nft_norm_rows(exec, &state->norm2, count, out, normed);
    nft_map_rows(exec, &state->linear1, count, normed, c, hidden, width, NFT_MAP_GELU);
    nft_map_rows(exec, &state->linear2, count, hidden, width, out, c, NFT_MAP_ADD);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const encoder_layer *state = module->state;
    layer_call call = {state, exec, module->in.tokens, module->in.channels, in, out};
    const float *qkv = exec->scratch + state->qkv;
    int64_t chunks = nft_chunk_count(call.tokens), c = call.channels;
    nft_exec_for(exec, chunks, project_rows, &call);
    nft_token_attention_forward(&state->attention, exec, qkv, qkv + c, qkv + 2 * c,
                                exec->scratch + state->attended);
    nft_exec_for(exec, chunks, finish_rows, &call);
}

const nft_module_class nft_module_transformer_encoder_layer = {
    .type = "transformer_encoder_layer", .in_place = true, .configure = configure, .forward = forward};
