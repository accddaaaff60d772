/* One layer of PyTorch's TransformerEncoder with norm_first and gelu:
 * x ← x + attention(norm1(x)); x ← x + linear2(gelu(linear1(norm2(x)))). */
#include "base/random.h"
#include "math/gradients.h"
#include "modules/sequence/token_attention.h"
#include "modules/sequence/tokens.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Places of dropout; each draws other random numbers. */
enum { DROP_WEIGHTS, DROP_ATTENTION, DROP_HIDDEN, DROP_FEED_FORWARD };

typedef struct encoder_layer {
    double dropout;  /* in training only */
    uint64_t stream; /* of it */
    nft_norm norm1, norm2;
    nft_map in_proj; /* C → 3C: q, k, v */
    nft_map out_proj;
    nft_map linear1, linear2; /* C → dim_feedforward → C */
    nft_token_attention attention;
    nft_buffer qkv;                      /* KEPT: (T, 3C), then its gradient */
    nft_buffer attended;                 /* KEPT: (T, C) before out_proj */
    nft_buffer qkv_copy, rows;           /* CALL, in backward: (T, 3C) and (T, C) */
    nft_buffer normed, hidden;           /* ITEM: (chunk, C), (chunk, dim_feedforward) */
    nft_buffer kept_normed1;             /* FRAME: (T, C) */
    nft_buffer kept_normed2;             /* FRAME: (T, C) */
    nft_buffer kept_middle;              /* FRAME: (T, C), x between attention and feed-forward, then the
                                            gradient of out_proj's output */
    nft_buffer kept_hidden, kept_active; /* FRAME: (T, dim_feedforward), linear1's output, then its gradient;
                                            linear2's input */
    nft_buffer gradient;                 /* BACKWARD: (T, C), of linear2's output */
} encoder_layer;

static uint64_t drop_stream(const encoder_layer *state, int place)
{
    return state->stream + ((uint64_t)place << 32);
}

static nft_status read_options(encoder_layer *state, nft_builder *builder, nft_options *options)
{
    int64_t heads = 0, hidden = 0, channels = builder->value.channels;
    state->dropout = 0.1;
    state->stream = nft_random_stream(builder->path);
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
                                             .out_stride = channels,
                                             .dropout = state->dropout,
                                             .stream = drop_stream(state, DROP_WEIGHTS)};
    return NFT_OK;
}

/* PyTorch's MultiheadAttention: in_proj Xavier-uniform, out_proj a Linear, both biases 0. */
static nft_status add_attention(encoder_layer *state, nft_builder *builder)
{
    int64_t c = builder->value.channels;
    nft_init xavier = nft_init_uniform(sqrt(6 / (4 * (double)c))), zero = nft_init_constant(0);
    nft_status status = nft_map_add_as(builder, &state->in_proj, 3 * c, c, 0, xavier,
                                       "self_attn.in_proj_weight", zero, "self_attn.in_proj_bias");
    return status ? status
                  : nft_map_add_as(builder, &state->out_proj, c, c, 0, nft_init_fan(c),
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

static void reserve_buffers(encoder_layer *state, nft_builder *builder)
{
    int64_t tokens = state->attention.queries, rows = nft_chunk_rows(tokens), c = builder->value.channels,
            width = state->linear1.outputs;
    state->qkv = nft_reserve(builder, NFT_ARENA_KEPT, tokens, 3 * c);
    state->attended = nft_reserve(builder, NFT_ARENA_KEPT, tokens, c);
    state->qkv_copy = nft_call_place(&state->qkv);
    state->rows = nft_call_place(&state->attended);
    state->normed = nft_reserve(builder, NFT_ARENA_ITEM, rows, c);
    state->hidden = nft_reserve(builder, NFT_ARENA_ITEM, rows, width);
    nft_token_attention_reserve(builder, &state->attention);
    state->kept_normed1 = nft_reserve(builder, NFT_ARENA_FRAME, tokens, c);
    state->kept_middle = nft_reserve(builder, NFT_ARENA_FRAME, tokens, c);
    state->kept_normed2 = nft_reserve(builder, NFT_ARENA_FRAME, tokens, c);
    state->kept_hidden = nft_reserve(builder, NFT_ARENA_FRAME, tokens, width);
    state->kept_active = nft_reserve(builder, NFT_ARENA_FRAME, tokens, width);
    state->gradient = nft_reserve(builder, NFT_ARENA_BACKWARD, tokens, c);
}

static nft_status declare_gradients(encoder_layer *state, nft_builder *builder)
{
    nft_status status;
    if ((status = nft_gradient_of_map(builder, &state->in_proj, &state->kept_normed1, &state->qkv)) ||
        (status = nft_gradient_of_map(builder, &state->out_proj, &state->attended, &state->kept_middle)) ||
        (status = nft_gradient_of_map(builder, &state->linear1, &state->kept_normed2, &state->kept_hidden)))
        return status;
    return nft_gradient_of_map(builder, &state->linear2, &state->kept_active, &state->gradient);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status = nft_require_kind(builder, NFT_VALUE_TOKENS);
    if (status || (status = nft_module_state(module, sizeof(encoder_layer))))
        return status;
    encoder_layer *state = module->state;
    if ((status = read_options(state, builder, options)) || (status = add_parameters(state, builder)))
        return status;
    module->flops = count_flops(state);
    reserve_buffers(state, builder);
    return declare_gradients(state, builder);
}

typedef struct layer_call {
    const encoder_layer *state;
    const nft_exec *exec;
    int64_t tokens, channels;
    const float *in; /* in backward the gradient of the output */
    float *out;
} layer_call;

/* Rows of a buffer from row `first` on. */
static float *rows_of(const layer_call *call, const nft_buffer *buffer, int64_t first)
{
    return nft_at(call->exec, buffer) + first * buffer->stride;
}

/* qkv = in_proj(norm1(x)) */
static void project_rows(void *argument, int64_t item, float *memory)
{
    const layer_call *call = argument;
    const encoder_layer *state = call->state;
    int64_t c = call->channels, first, count;
    nft_chunk(call->tokens, item, &first, &count);
    float *normed = nft_keeps(call->exec) ? rows_of(call, &state->kept_normed1, first)
                                          : nft_in_item(memory, &state->normed);
    float *qkv = rows_of(call, &state->qkv, first);
    nft_norm_rows(call->exec, &state->norm1, count, call->in + first * c, normed);
    nft_map_rows(call->exec, &state->in_proj, count, normed, c, qkv, 3 * c, NFT_MAP_SET);
}

/* x = x + out_proj(attended); x = x + linear2(gelu(linear1(norm2(x)))) */
static void finish_rows(void *argument, int64_t item, float *memory)
{
    const layer_call *call = argument;
    const encoder_layer *state = call->state;
    const nft_exec *exec = call->exec;
    int64_t c = call->channels, width = state->linear1.outputs, first, count;
    nft_chunk(call->tokens, item, &first, &count);
    const float *attended = rows_of(call, &state->attended, first);
    float *normed = nft_in_item(memory, &state->normed), *hidden = nft_in_item(memory, &state->hidden),
          *out = call->out + first * c;
    if (call->out != call->in)
        memcpy(out, call->in + first * c, (size_t)(count * c) * sizeof *out);
    nft_map_rows(exec, &state->out_proj, count, attended, c, out, c, NFT_MAP_ADD);
    nft_norm_rows(exec, &state->norm2, count, out, normed);
    nft_map_rows(exec, &state->linear1, count, normed, c, hidden, width, NFT_MAP_GELU);
    nft_map_rows(exec, &state->linear2, count, hidden, width, out, c, NFT_MAP_ADD);
}

/* The same for training, with dropout; the values in between are kept. */
static void finish_rows_kept(void *argument, int64_t item, float *memory)
{
    const layer_call *call = argument;
    const encoder_layer *state = call->state;
    const nft_exec *exec = call->exec;
    int64_t c = call->channels, width = state->linear1.outputs, first, count;
    nft_chunk(call->tokens, item, &first, &count);
    const float *attended = rows_of(call, &state->attended, first);
    float *middle = rows_of(call, &state->kept_middle, first),
          *normed = rows_of(call, &state->kept_normed2, first),
          *hidden = rows_of(call, &state->kept_hidden, first),
          *active = rows_of(call, &state->kept_active, first);
    float *branch = nft_in_item(memory, &state->normed), *out = call->out + first * c;
    uint64_t chunk = (uint64_t)item;
    nft_map_rows(exec, &state->out_proj, count, attended, c, branch, c, NFT_MAP_SET);
    nft_add_dropped(exec, drop_stream(state, DROP_ATTENTION) + chunk, state->dropout, count * c,
                    call->in + first * c, branch, middle);
    nft_norm_rows(exec, &state->norm2, count, middle, normed);
    nft_map_rows(exec, &state->linear1, count, normed, c, hidden, width, NFT_MAP_SET);
    nft_vector()->gelu(count * width, hidden, active);
    nft_drop(exec, drop_stream(state, DROP_HIDDEN) + chunk, state->dropout, count * width, active, active);
    nft_map_rows(exec, &state->linear2, count, active, width, branch, c, NFT_MAP_SET);
    nft_add_dropped(exec, drop_stream(state, DROP_FEED_FORWARD) + chunk, state->dropout, count * c, middle,
                    branch, out);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const encoder_layer *state = module->state;
    layer_call call = {state, exec, module->in.tokens, module->in.channels, in, out};
    const float *qkv = nft_at(exec, &state->qkv);
    int64_t chunks = nft_chunk_count(call.tokens), c = call.channels;
    nft_exec_for(exec, chunks, project_rows, &call);
    nft_token_attention_forward(&state->attention, exec, qkv, qkv + c, qkv + 2 * c,
                                nft_at(exec, &state->attended));
    nft_exec_for(exec, chunks, nft_keeps(exec) ? finish_rows_kept : finish_rows, &call);
}

/* From the gradient of the output to that of norm2's rows, in out. */
static void feed_forward_back(void *argument, int64_t item, float *memory)
{
    const layer_call *call = argument;
    const encoder_layer *state = call->state;
    const nft_exec *exec = call->exec;
    int64_t c = call->channels, width = state->linear1.outputs, first, count;
    nft_chunk(call->tokens, item, &first, &count);
    float *gradient = rows_of(call, &state->gradient, first);
    float *hidden = rows_of(call, &state->kept_hidden, first), *active = nft_in_item(memory, &state->hidden);
    uint64_t chunk = (uint64_t)item;
    nft_drop(exec, drop_stream(state, DROP_FEED_FORWARD) + chunk, state->dropout, count * c,
             call->in + first * c, gradient);
    nft_map_rows_back(exec, &state->linear2, count, gradient, c, active, width, NFT_MAP_SET);
    nft_drop(exec, drop_stream(state, DROP_HIDDEN) + chunk, state->dropout, count * width, active, active);
    nft_vector_gradients()->gelu(count * width, hidden, active, hidden);
    nft_map_rows_back(exec, &state->linear1, count, hidden, width, call->out + first * c, c, NFT_MAP_SET);
}

/* From the gradient of the middle, in out, to that of the attended rows. */
static void out_proj_back(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const layer_call *call = argument;
    const encoder_layer *state = call->state;
    const nft_exec *exec = call->exec;
    int64_t c = call->channels, first, count;
    nft_chunk(call->tokens, item, &first, &count);
    float *gradient = rows_of(call, &state->kept_middle, first);
    nft_drop(exec, drop_stream(state, DROP_ATTENTION) + (uint64_t)item, state->dropout, count * c,
             call->out + first * c, gradient);
    nft_map_rows_back(exec, &state->out_proj, count, gradient, c, rows_of(call, &state->rows, first), c,
                      NFT_MAP_SET);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const encoder_layer *state = module->state;
    layer_call call = {state, exec, module->in.tokens, module->in.channels, grad_out, grad_in};
    int64_t tokens = call.tokens, c = call.channels, n = tokens * c, chunks = nft_chunk_count(tokens);
    float *qkv = nft_at(exec, &state->qkv_copy), *dqkv = nft_at(exec, &state->qkv),
          *rows = nft_at(exec, &state->rows);
    nft_exec_for(exec, chunks, feed_forward_back, &call);
    nft_norm_rows_back(exec, &state->norm2, tokens, nft_at(exec, &state->kept_middle), grad_in, grad_in);
    nft_vector()->add(n, grad_out, grad_in);
    nft_exec_for(exec, chunks, out_proj_back, &call);
    memcpy(qkv, dqkv, (size_t)(3 * n) * sizeof *qkv);
    nft_token_attention_backward(&state->attention, exec, qkv, qkv + c, qkv + 2 * c, rows, dqkv, dqkv + c,
                                 dqkv + 2 * c);
    nft_exec_linear_back(exec, &state->in_proj, tokens, dqkv, rows, NFT_MAP_SET);
    nft_norm_rows_back(exec, &state->norm1, tokens, in, rows, rows);
    nft_vector()->add(n, rows, grad_in);
}

const nft_module_class nft_module_transformer_encoder_layer = {.type = "transformer_encoder_layer",
                                                               .in_place = true,
                                                               .any_space = NFT_ANY_SPACE_ALWAYS,
                                                               .configure = configure,
                                                               .forward = forward,
                                                               .backward = backward};
