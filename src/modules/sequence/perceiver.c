/* The Perceiver: learned latents attend to the tokens, then to themselves (Jaegle et al., "Perceiver: General
 * Perception with Iterative Attention", 2021); the last part of Inr2Array's encoder. */
#include "base/random.h"
#include "math/gradients.h"
#include "modules/sequence/token_attention.h"
#include "modules/sequence/tokens.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* x ← x + to_out(attention(to_q(norm(x)), to_kv(norm_context(context)))); a self-attention's context is x,
 * and its keys come from the same norm as its queries. */
typedef struct attention_layer {
    bool cross;
    nft_norm norm, norm_context;
    nft_map to_q, to_kv, to_out;
    nft_token_attention attention;
    nft_buffer normed, q, kv, attended;        /* KEPT: (M, D), (M, inner), (keys, 2 inner), (M, inner);
                                                  backward leaves their gradients in q and kv */
    nft_buffer q_copy, kv_copy, attended_copy; /* CALL, in backward */
    nft_buffer kept_x;                         /* FRAME: (M, D) */
    nft_buffer kept_context;                   /* FRAME: (keys, C), norm_context of the tokens */
    nft_buffer gradient;                       /* BACKWARD: (M, D), of to_out's output */
} attention_layer;

/* x ← x + net.2(a · gelu(g)) with [a, g] = net.0(norm(x)) */
typedef struct feed_forward {
    nft_norm norm;
    nft_map expand, contract;       /* D → 8D, 4D → D */
    uint64_t stream;                /* of the dropout after contract; that of chunk i is stream + i */
    nft_buffer kept_x, kept_normed; /* FRAME: (M, D) */
    nft_buffer kept_hidden;         /* FRAME: (M, 8D), then its gradient */
    nft_buffer kept_active;         /* FRAME: (M, 4D), the input of contract */
    nft_buffer gradient;            /* BACKWARD: (M, D), of contract's output */
} feed_forward;

typedef struct perceiver_layer {
    attention_layer attention;
    feed_forward ff;
} perceiver_layer;

typedef struct perceiver {
    int64_t latent_count, width; /* M, D */
    int64_t depth, self_per_cross;
    int64_t cross_heads, cross_head_size, latent_heads, latent_head_size;
    double dropout;    /* in training only */
    nft_param latents; /* (M, D) */
    nft_buffer latents_gradient;
    int64_t layer_count;
    perceiver_layer *layers;     /* of each depth one cross-attention, then its self-attentions */
    nft_buffer rows, hidden;     /* ITEM: (chunk, C or D), (chunk, 8D) */
    nft_buffer gradient;         /* TRAINING: of x, (M, D) */
    nft_buffer normed_gradient;  /* TRAINING: of norm(x), (M, D) */
    nft_buffer context_gradient; /* TRAINING: of norm_context's rows, (tokens, C) */
} perceiver;

static nft_status read_options(perceiver *p, const nft_builder *builder, nft_options *options)
{
    p->depth = p->cross_heads = 1;
    p->cross_head_size = p->latent_head_size = 64;
    p->latent_heads = 8;
    nft_status status = nft_options_integer(options, "num_latents", true, 1, NFT_MAX_WIDTH, &p->latent_count);
    if (status || (status = nft_options_integer(options, "latent_dim", true, 1, NFT_MAX_WIDTH, &p->width)) ||
        (status = nft_options_integer(options, "depth", false, 1, NFT_MAX_REPEATS, &p->depth)) ||
        (status = nft_options_integer(options, "cross_heads", false, 1, NFT_MAX_HEADS, &p->cross_heads)) ||
        (status = nft_options_integer(options, "cross_dim_head", false, 1, NFT_MAX_HEAD_SIZE,
                                      &p->cross_head_size)) ||
        (status = nft_options_integer(options, "latent_heads", false, 1, NFT_MAX_HEADS, &p->latent_heads)) ||
        (status = nft_options_integer(options, "latent_dim_head", false, 1, NFT_MAX_HEAD_SIZE,
                                      &p->latent_head_size)) ||
        (status = nft_options_integer(options, "self_per_cross_attn", false, 0, NFT_MAX_REPEATS,
                                      &p->self_per_cross)))
        return status;
    return nft_dropout_option(builder, options, &p->dropout);
}

static nft_status add_attention(const perceiver *p, attention_layer *layer, nft_builder *builder, bool cross,
                                const char *prefix)
{
    int64_t heads = cross ? p->cross_heads : p->latent_heads;
    int64_t head_size = cross ? p->cross_head_size : p->latent_head_size;
    int64_t context = cross ? builder->value.channels : p->width, inner = heads * head_size;
    layer->cross = cross;
    layer->attention = (nft_token_attention){.queries = p->latent_count,
                                             .keys = cross ? builder->value.tokens : p->latent_count,
                                             .heads = heads,
                                             .head_size = head_size,
                                             .q_stride = inner,
                                             .kv_stride = 2 * inner,
                                             .out_stride = inner,
                                             .dropout = p->dropout};
    nft_status status = nft_norm_add(builder, &layer->norm, p->width, prefix, "norm.");
    if (status ||
        (cross && (status = nft_norm_add(builder, &layer->norm_context, context, prefix, "norm_context."))) ||
        (status = nft_map_add(builder, &layer->to_q, inner, p->width, 0, false, nft_init_fan(p->width),
                              "%sfn.to_q", prefix)) ||
        (status = nft_map_add(builder, &layer->to_kv, 2 * inner, context, 0, false, nft_init_fan(context),
                              "%sfn.to_kv", prefix)))
        return status;
    return nft_map_add(builder, &layer->to_out, p->width, inner, 0, true, nft_init_fan(inner), "%sfn.to_out",
                       prefix);
}

static nft_status add_feed_forward(const perceiver *p, feed_forward *ff, nft_builder *builder,
                                   const char *prefix)
{
    int64_t d = p->width;
    nft_status status = nft_norm_add(builder, &ff->norm, d, prefix, "norm.");
    if (status || (status = nft_map_add(builder, &ff->expand, 8 * d, d, 0, true, nft_init_fan(d),
                                        "%sfn.net.0", prefix)))
        return status;
    return nft_map_add(builder, &ff->contract, d, 4 * d, 0, true, nft_init_fan(4 * d), "%sfn.net.2", prefix);
}

/* Layer `index`: of each depth number 0 is the cross-attention, number j + 1 the self-attention j. */
static nft_status add_layer(const perceiver *p, perceiver_layer *layer, nft_builder *builder, int64_t index)
{
    int64_t depth = index / (1 + p->self_per_cross), number = index % (1 + p->self_per_cross);
    char attention[64], ff[64];
    if (number) {
        snprintf(attention, sizeof attention, "self_attns.%" PRId64 ".%" PRId64 ".0.", depth, number - 1);
        snprintf(ff, sizeof ff, "self_attns.%" PRId64 ".%" PRId64 ".1.", depth, number - 1);
    } else {
        snprintf(attention, sizeof attention, "cross_attns.%" PRId64 ".", depth);
        snprintf(ff, sizeof ff, "cross_ffs.%" PRId64 ".", depth);
    }
    nft_status status = add_attention(p, &layer->attention, builder, number == 0, attention);
    if (status || (status = add_feed_forward(p, &layer->ff, builder, ff)))
        return status;
    uint64_t stream = nft_random_stream(builder->path);
    layer->attention.attention.stream = stream + ((uint64_t)(2 * index) << 32);
    layer->ff.stream = stream + ((uint64_t)(2 * index + 1) << 32);
    return NFT_OK;
}

static int64_t layer_flops(const perceiver_layer *layer)
{
    const nft_token_attention *attention = &layer->attention.attention;
    int64_t flops = nft_token_attention_flops(attention);
    flops = nft_size_add(flops, nft_map_flops(&layer->attention.to_q, attention->queries));
    flops = nft_size_add(flops, nft_map_flops(&layer->attention.to_kv, attention->keys));
    flops = nft_size_add(flops, nft_map_flops(&layer->attention.to_out, attention->queries));
    flops = nft_size_add(flops, nft_map_flops(&layer->ff.expand, attention->queries));
    return nft_size_add(flops, nft_map_flops(&layer->ff.contract, attention->queries));
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void reserve_attention(attention_layer *layer, nft_builder *builder)
{
    const nft_token_attention *a = &layer->attention;
    int64_t width = layer->to_q.inputs, inner = a->q_stride, m = a->queries;
    layer->normed = nft_reserve(builder, NFT_ARENA_KEPT, m, width);
    layer->q = nft_reserve(builder, NFT_ARENA_KEPT, m, inner);
    layer->kv = nft_reserve(builder, NFT_ARENA_KEPT, a->keys, a->kv_stride);
    layer->attended = nft_reserve(builder, NFT_ARENA_KEPT, m, inner);
    layer->q_copy = nft_call_place(&layer->q);
    layer->kv_copy = nft_call_place(&layer->kv);
    layer->attended_copy = nft_call_place(&layer->attended);
    nft_token_attention_reserve(builder, &layer->attention);
    layer->kept_x = nft_reserve(builder, NFT_ARENA_FRAME, m, width);
    if (layer->cross)
        layer->kept_context = nft_reserve(builder, NFT_ARENA_FRAME, a->keys, layer->to_kv.inputs);
    layer->gradient = nft_reserve(builder, NFT_ARENA_BACKWARD, m, width);
}

static void reserve_feed_forward(feed_forward *ff, nft_builder *builder, int64_t m)
{
    int64_t width = ff->expand.inputs, wide = ff->expand.outputs;
    ff->kept_x = nft_reserve(builder, NFT_ARENA_FRAME, m, width);
    ff->kept_normed = nft_reserve(builder, NFT_ARENA_FRAME, m, width);
    ff->kept_hidden = nft_reserve(builder, NFT_ARENA_FRAME, m, wide);
    ff->kept_active = nft_reserve(builder, NFT_ARENA_FRAME, m, wide / 2);
    ff->gradient = nft_reserve(builder, NFT_ARENA_BACKWARD, m, width);
}

/* The layers run one after the other, so in inference they share the memory of the call. */
static void reserve_layers(perceiver *p, nft_builder *builder)
{
    int64_t *call = &builder->memory->call, start = *call, end = start, rows = 0;
    for (int64_t i = 0; i < p->layer_count; i++) {
        attention_layer *layer = &p->layers[i].attention;
        int64_t chunk = nft_chunk_rows(layer->attention.keys);
        *call = start;
        reserve_attention(layer, builder);
        reserve_feed_forward(&p->layers[i].ff, builder, p->latent_count);
        end = larger(end, *call);
        rows = larger(rows, nft_size_multiply(chunk, layer->to_kv.inputs));
    }
    *call = end;
    int64_t chunk = nft_chunk_rows(p->latent_count);
    nft_begin_items(builder);
    p->rows = nft_reserve(builder, NFT_ARENA_ITEM, 1, larger(rows, nft_size_multiply(chunk, p->width)));
    p->hidden = nft_reserve(builder, NFT_ARENA_ITEM, chunk, 8 * p->width);
    p->gradient = nft_reserve(builder, NFT_ARENA_TRAINING, p->latent_count, p->width);
    p->normed_gradient = nft_reserve(builder, NFT_ARENA_TRAINING, p->latent_count, p->width);
    p->context_gradient =
        nft_reserve(builder, NFT_ARENA_TRAINING, builder->value.tokens, builder->value.channels);
}

static nft_status declare_gradients(const perceiver_layer *layer, nft_builder *builder)
{
    const attention_layer *a = &layer->attention;
    const feed_forward *ff = &layer->ff;
    nft_status status;
    if ((status = nft_gradient_of_map(builder, &a->to_q, &a->normed, &a->q)) ||
        (status =
             nft_gradient_of_map(builder, &a->to_kv, a->cross ? &a->kept_context : &a->normed, &a->kv)) ||
        (status = nft_gradient_of_map(builder, &a->to_out, &a->attended, &a->gradient)) ||
        (status = nft_gradient_of_map(builder, &ff->expand, &ff->kept_normed, &ff->kept_hidden)))
        return status;
    return nft_gradient_of_map(builder, &ff->contract, &ff->kept_active, &ff->gradient);
}

static nft_status add_layers(perceiver *p, nft_builder *builder)
{
    nft_status status = nft_parameter_add(builder, &p->latents, true, nft_init_normal(1), 2,
                                          NFT_SHAPE(p->latent_count, p->width), "latents");
    if (status || (status = nft_gradient_add(builder, &p->latents, &p->latents_gradient)))
        return status;
    int64_t count = p->depth * (1 + p->self_per_cross);
    p->layers = nft_allocate_array((size_t)count, sizeof *p->layers);
    if (!p->layers)
        return nft_fail_memory(builder->where, count * (int64_t)sizeof *p->layers);
    p->layer_count = count;
    for (int64_t i = 0; i < count; i++)
        if ((status = add_layer(p, &p->layers[i], builder, i)))
            return status;
    return NFT_OK;
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status = nft_require_kind(builder, NFT_VALUE_TOKENS);
    if (status || (status = nft_module_state(module, sizeof(perceiver))))
        return status;
    perceiver *p = module->state;
    if ((status = read_options(p, builder, options)) || (status = add_layers(p, builder)))
        return status;
    module->out.tokens = p->latent_count;
    module->out.channels = p->width;
    reserve_layers(p, builder);
    for (int64_t i = 0; i < p->layer_count && !status; i++) {
        module->flops = nft_size_add(module->flops, layer_flops(&p->layers[i]));
        status = declare_gradients(&p->layers[i], builder);
    }
    return status;
}

static void release(nft_module *module)
{
    nft_release(((perceiver *)module->state)->layers);
}

/* Arguments of the items of one layer. */
typedef struct layer_call {
    const perceiver *p;
    const perceiver_layer *layer;
    const nft_exec *exec;
    const float *context; /* (keys, C or D) */
    float *x;             /* (M, D); in backward its gradient */
} layer_call;

/* Rows of a buffer from row `first` on. */
static float *rows_of(const layer_call *call, const nft_buffer *buffer, int64_t first)
{
    return nft_at(call->exec, buffer) + first * buffer->stride;
}

/* kv = to_kv(norm_context(context)): except for backward, the normalised context exists a chunk at a time. */
static void project_context(void *argument, int64_t item, float *memory)
{
    const layer_call *call = argument;
    const attention_layer *layer = &call->layer->attention;
    int64_t channels = layer->to_kv.inputs, stride = layer->attention.kv_stride, first, count;
    nft_chunk(layer->attention.keys, item, &first, &count);
    const float *rows = call->context + first * channels;
    if (layer->cross) {
        float *normed = nft_keeps(call->exec) ? rows_of(call, &layer->kept_context, first)
                                              : nft_in_item(memory, &call->p->rows);
        nft_norm_rows(call->exec, &layer->norm_context, count, rows, normed);
        rows = normed;
    }
    nft_map_rows(call->exec, &layer->to_kv, count, rows, channels, rows_of(call, &layer->kv, first), stride,
                 NFT_MAP_SET);
}

/* x ← x + to_out(attended) */
static void add_attended(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const layer_call *call = argument;
    const attention_layer *layer = &call->layer->attention;
    const nft_map *map = &layer->to_out;
    int64_t first, count;
    nft_chunk(call->p->latent_count, item, &first, &count);
    nft_map_rows(call->exec, map, count, rows_of(call, &layer->attended, first), map->inputs,
                 call->x + first * map->outputs, map->outputs, NFT_MAP_ADD);
}

static void attention_forward(layer_call *call, const float *tokens)
{
    const perceiver *p = call->p;
    const attention_layer *layer = &call->layer->attention;
    const nft_exec *exec = call->exec;
    float *normed = nft_at(exec, &layer->normed), *q = nft_at(exec, &layer->q),
          *kv = nft_at(exec, &layer->kv);
    if (nft_keeps(exec))
        memcpy(nft_at(exec, &layer->kept_x), call->x, (size_t)(p->latent_count * p->width) * sizeof *call->x);
    nft_norm_rows(exec, &layer->norm, p->latent_count, call->x, normed);
    nft_exec_linear(exec, &layer->to_q, p->latent_count, normed, q, NFT_MAP_SET);
    call->context = layer->cross ? tokens : normed;
    nft_exec_for(exec, nft_chunk_count(layer->attention.keys), project_context, call);
    nft_token_attention_forward(&layer->attention, exec, q, kv, kv + layer->attention.q_stride,
                                nft_at(exec, &layer->attended));
    nft_exec_for(exec, nft_chunk_count(p->latent_count), add_attended, call);
}

static void feed_forward_rows(void *argument, int64_t item, float *memory)
{
    const layer_call *call = argument;
    const feed_forward *ff = &call->layer->ff;
    const nft_exec *exec = call->exec;
    const nft_kernels *vector = nft_vector();
    int64_t d = ff->norm.channels, wide = ff->expand.outputs, half = wide / 2, first, count;
    nft_chunk(call->p->latent_count, item, &first, &count);
    float *normed = nft_in_item(memory, &call->p->rows), *hidden = nft_in_item(memory, &call->p->hidden);
    float *x = call->x + first * d;
    nft_norm_rows(exec, &ff->norm, count, x, normed);
    nft_map_rows(exec, &ff->expand, count, normed, d, hidden, wide, NFT_MAP_SET);
    for (int64_t row = 0; row < count; row++) {
        float *a = hidden + row * wide, *gate = a + half;
        vector->gelu(half, gate, gate);
        vector->multiply(half, gate, a);
    }
    nft_map_rows(exec, &ff->contract, count, hidden, wide, x, d, NFT_MAP_ADD);
}

/* The same for training, with dropout; the values in between are kept. */
static void feed_forward_rows_kept(void *argument, int64_t item, float *memory)
{
    const layer_call *call = argument;
    const feed_forward *ff = &call->layer->ff;
    const nft_exec *exec = call->exec;
    int64_t d = ff->norm.channels, wide = ff->expand.outputs, half = wide / 2, first, count;
    nft_chunk(call->p->latent_count, item, &first, &count);
    float *kept_x = rows_of(call, &ff->kept_x, first), *normed = rows_of(call, &ff->kept_normed, first);
    float *hidden = rows_of(call, &ff->kept_hidden, first), *active = rows_of(call, &ff->kept_active, first);
    float *x = call->x + first * d, *branch = nft_in_item(memory, &call->p->rows);
    memcpy(kept_x, x, (size_t)(count * d) * sizeof *x);
    nft_norm_rows(exec, &ff->norm, count, x, normed);
    nft_map_rows(exec, &ff->expand, count, normed, d, hidden, wide, NFT_MAP_SET);
    for (int64_t row = 0; row < count; row++) {
        nft_vector()->gelu(half, hidden + row * wide + half, active + row * half);
        nft_vector()->multiply(half, hidden + row * wide, active + row * half);
    }
    nft_map_rows(exec, &ff->contract, count, active, half, branch, d, NFT_MAP_SET);
    nft_drop(exec, ff->stream + (uint64_t)item, call->p->dropout, count * d, branch, branch);
    nft_vector()->add(count * d, branch, x);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const perceiver *p = module->state;
    memcpy(out, nft_param_at(exec, &p->latents), (size_t)(p->latent_count * p->width) * sizeof *out);
    for (int64_t i = 0; i < p->layer_count; i++) {
        layer_call call = {.p = p, .layer = &p->layers[i], .exec = exec, .x = out};
        attention_forward(&call, in);
        nft_exec_for(exec, nft_chunk_count(p->latent_count),
                     nft_keeps(exec) ? feed_forward_rows_kept : feed_forward_rows, &call);
    }
}

/* --- backward: x's gradient, (M, D), is summed from the last layer to the latents --- */

/* From [a, g] and the gradient d of a · gelu(g) to [d gelu(g), d a gelu'(g)]. */
static void gate_back(int64_t half, float *hidden, float *d, float *gelu)
{
    float *a = hidden, *gate = hidden + half;
    nft_vector()->gelu(half, gate, gelu);
    nft_vector()->multiply(half, d, gelu);
    nft_vector()->multiply(half, a, d);
    nft_vector_gradients()->gelu(half, gate, d, gate);
    memcpy(a, gelu, (size_t)half * sizeof *a);
}

/* From x's gradient to that of the normed rows. */
static void feed_forward_rows_back(void *argument, int64_t item, float *memory)
{
    const layer_call *call = argument;
    const feed_forward *ff = &call->layer->ff;
    const nft_exec *exec = call->exec;
    int64_t d = ff->norm.channels, wide = ff->expand.outputs, half = wide / 2, first, count;
    nft_chunk(call->p->latent_count, item, &first, &count);
    float *gradient = rows_of(call, &ff->gradient, first);
    float *hidden = rows_of(call, &ff->kept_hidden, first), *active = nft_in_item(memory, &call->p->hidden);
    nft_drop(exec, ff->stream + (uint64_t)item, call->p->dropout, count * d, call->x + first * d, gradient);
    nft_map_rows_back(exec, &ff->contract, count, gradient, d, active, wide, NFT_MAP_SET);
    for (int64_t row = 0; row < count; row++)
        gate_back(half, hidden + row * wide, active + row * wide, active + row * wide + half);
    nft_map_rows_back(exec, &ff->expand, count, hidden, wide, rows_of(call, &call->p->normed_gradient, first),
                      d, NFT_MAP_SET);
}

/* Adds the gradient through a norm of the kept x to x's gradient. */
static void add_normed_gradient(const layer_call *call, const nft_norm *norm, const nft_buffer *kept_x)
{
    const nft_exec *exec = call->exec;
    int64_t m = call->p->latent_count;
    float *normed = nft_at(exec, &call->p->normed_gradient);
    nft_norm_rows_back(exec, norm, m, nft_at(exec, kept_x), normed, normed);
    nft_vector()->add(m * norm->channels, normed, call->x);
}

/* Adds the gradient through the keys and values to the tokens' gradient. */
static void context_back(const layer_call *call, const float *dkv, float *tokens_gradient)
{
    const attention_layer *layer = &call->layer->attention;
    const nft_exec *exec = call->exec;
    int64_t keys = layer->attention.keys;
    float *rows = nft_at(exec, &call->p->context_gradient);
    nft_exec_linear_back(exec, &layer->to_kv, keys, dkv, rows, NFT_MAP_SET);
    nft_norm_rows_back(exec, &layer->norm_context, keys, call->context, rows, rows);
    nft_vector()->add(keys * layer->to_kv.inputs, rows, tokens_gradient);
}

static void attention_backward(const layer_call *call, float *tokens_gradient)
{
    const perceiver *p = call->p;
    const attention_layer *layer = &call->layer->attention;
    const nft_token_attention *a = &layer->attention;
    const nft_exec *exec = call->exec;
    int64_t m = p->latent_count, inner = a->q_stride;
    float *q = nft_at(exec, &layer->q_copy), *kv = nft_at(exec, &layer->kv_copy),
          *attended = nft_at(exec, &layer->attended_copy), *dq = nft_at(exec, &layer->q),
          *dkv = nft_at(exec, &layer->kv), *normed = nft_at(exec, &p->normed_gradient);
    memcpy(nft_at(exec, &layer->gradient), call->x, (size_t)(m * p->width) * sizeof *call->x);
    nft_exec_linear_back(exec, &layer->to_out, m, call->x, attended, NFT_MAP_SET);
    memcpy(q, dq, (size_t)(m * inner) * sizeof *q);
    memcpy(kv, dkv, (size_t)(a->keys * a->kv_stride) * sizeof *kv);
    nft_token_attention_backward(a, exec, q, kv, kv + inner, attended, dq, dkv, dkv + inner);
    nft_exec_linear_back(exec, &layer->to_q, m, dq, normed, NFT_MAP_SET);
    if (layer->cross)
        context_back(call, dkv, tokens_gradient);
    else
        nft_exec_linear_back(exec, &layer->to_kv, m, dkv, normed, NFT_MAP_ADD);
    add_normed_gradient(call, &layer->norm, &layer->kept_x);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const perceiver *p = module->state;
    size_t bytes = (size_t)(p->latent_count * p->width) * sizeof(float);
    float *gradient = nft_at(exec, &p->gradient);
    memcpy(gradient, grad_out, bytes);
    memset(grad_in, 0, (size_t)nft_value_floats(&module->in, NULL) * sizeof *grad_in);
    for (int64_t i = p->layer_count - 1; i >= 0; i--) {
        layer_call call = {.p = p, .layer = &p->layers[i], .exec = exec, .context = in, .x = gradient};
        nft_exec_for(exec, nft_chunk_count(p->latent_count), feed_forward_rows_back, &call);
        add_normed_gradient(&call, &call.layer->ff.norm, &call.layer->ff.kept_x);
        attention_backward(&call, grad_in);
    }
    memcpy(nft_at(exec, &p->latents_gradient), gradient, bytes);
}

const nft_module_class nft_module_perceiver = {.type = "perceiver",
                                               .any_space = NFT_ANY_SPACE_ALWAYS,
                                               .configure = configure,
                                               .forward = forward,
                                               .backward = backward,
                                               .release = release};
