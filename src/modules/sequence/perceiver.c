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
    struct {               /* for backward */
        int64_t x, normed; /* (M, D) */
        int64_t context;   /* (keys, C), norm_context of the tokens; a self-attention's is `normed` */
        int64_t q, kv;     /* (M, inner), (keys, 2 inner), then their gradients */
        int64_t attended;  /* (M, inner) */
    } kept;
    int64_t gradient; /* sides: (M, D), of to_out's output */
} attention_layer;

/* x ← x + net.2(a · gelu(g)) with [a, g] = net.0(norm(x)) */
typedef struct feed_forward {
    nft_norm norm;
    nft_map expand, contract; /* D → 8D, 4D → D */
    uint64_t stream;          /* of the dropout after contract; that of chunk i is stream + i */
    struct {                  /* for backward */
        int64_t x, normed;    /* (M, D) */
        int64_t hidden;       /* (M, 8D), then its gradient */
        int64_t active;       /* (M, 4D), what arrives at contract */
    } kept;
    int64_t gradient; /* sides: (M, D), of contract's output */
} feed_forward;

typedef struct perceiver_layer {
    attention_layer attention;
    feed_forward ff;
} perceiver_layer;

typedef struct perceiver {
    int64_t latent_count, width; /* M, D */
    int64_t depth, self_per_cross;
    int64_t cross_heads, cross_head_size, latent_heads, latent_head_size;
    double dropout;                    /* in training only */
    int64_t latents, latents_gradient; /* (M, D): the parameter; sides: its gradient */
    int64_t layer_count;
    perceiver_layer *layers;         /* of each depth one cross-attention, then its self-attentions */
    int64_t normed, q, kv, attended; /* scratch: (M, D), (M, inner), (keys, 2 inner), (M, inner) */
    int64_t rows, hidden;            /* thread scratch: (chunk, C or D), (chunk, 8D) */
    int64_t gradient;                /* training scratch: of x, (M, D) */
    int64_t context_gradient;        /* training scratch: of norm_context's rows, (tokens, C) */
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

/* The layers come one after the other, so the largest of them decides what is needed. */
static void plan(nft_module *module, perceiver *p)
{
    int64_t inner = 0, kv = 0, row_floats = 0, scores = 0;
    for (int64_t i = 0; i < p->layer_count; i++) {
        const attention_layer *layer = &p->layers[i].attention;
        int64_t keys = layer->attention.keys;
        inner = larger(inner, layer->attention.q_stride);
        kv = larger(kv, nft_size_multiply(keys, layer->attention.kv_stride));
        row_floats = larger(row_floats, nft_size_multiply(nft_chunk_rows(keys), layer->to_kv.inputs));
        scores = larger(scores, nft_token_attention_scratch(&layer->attention));
        module->flops = nft_size_add(module->flops, layer_flops(&p->layers[i]));
    }
    int64_t rows = nft_chunk_rows(p->latent_count);
    row_floats = larger(row_floats, nft_size_multiply(rows, p->width));
    p->normed = nft_reserve(&module->scratch, nft_size_multiply(p->latent_count, p->width));
    p->q = nft_reserve(&module->scratch, nft_size_multiply(p->latent_count, inner));
    p->kv = nft_reserve(&module->scratch, kv);
    p->attended = nft_reserve(&module->scratch, nft_size_multiply(p->latent_count, inner));
    p->rows = nft_reserve(&module->thread_scratch, row_floats);
    p->hidden = nft_reserve(&module->thread_scratch, nft_size_multiply(rows, 8 * p->width));
    int64_t attention = 0;
    nft_reserve(&attention, scores);
    module->thread_scratch = larger(module->thread_scratch, attention);
}

static void keep_attention(attention_layer *layer, nft_builder *builder)
{
    const nft_token_attention *a = &layer->attention;
    int64_t *kept = builder->kept, width = layer->to_q.inputs, inner = a->q_stride, m = a->queries;
    layer->kept.x = nft_reserve(kept, nft_size_multiply(m, width));
    layer->kept.normed = nft_reserve(kept, nft_size_multiply(m, width));
    layer->kept.context = layer->kept.normed;
    if (layer->cross)
        layer->kept.context = nft_reserve(kept, nft_size_multiply(a->keys, layer->to_kv.inputs));
    layer->kept.q = nft_reserve(kept, nft_size_multiply(m, inner));
    layer->kept.kv = nft_reserve(kept, nft_size_multiply(a->keys, a->kv_stride));
    layer->kept.attended = nft_reserve(kept, nft_size_multiply(m, inner));
    layer->gradient = nft_reserve(builder->sides, nft_size_multiply(m, width));
    nft_gradient_of_map(builder, &layer->to_q, m, layer->kept.normed, width, layer->kept.q, inner);
    nft_gradient_of_map(builder, &layer->to_kv, a->keys, layer->kept.context, layer->to_kv.inputs,
                        layer->kept.kv, a->kv_stride);
    nft_gradient_of_map(builder, &layer->to_out, m, layer->kept.attended, inner, nft_side(layer->gradient),
                        width);
}

static void keep_feed_forward(feed_forward *ff, nft_builder *builder, int64_t m)
{
    int64_t *kept = builder->kept, width = ff->expand.inputs, wide = ff->expand.outputs;
    ff->kept.x = nft_reserve(kept, nft_size_multiply(m, width));
    ff->kept.normed = nft_reserve(kept, nft_size_multiply(m, width));
    ff->kept.hidden = nft_reserve(kept, nft_size_multiply(m, wide));
    ff->kept.active = nft_reserve(kept, nft_size_multiply(m, wide / 2));
    ff->gradient = nft_reserve(builder->sides, nft_size_multiply(m, width));
    nft_gradient_of_map(builder, &ff->expand, m, ff->kept.normed, width, ff->kept.hidden, wide);
    nft_gradient_of_map(builder, &ff->contract, m, ff->kept.active, wide / 2, nft_side(ff->gradient), width);
}

static void plan_backward(nft_module *module, perceiver *p, nft_builder *builder)
{
    for (int64_t i = 0; i < p->layer_count; i++) {
        keep_attention(&p->layers[i].attention, builder);
        keep_feed_forward(&p->layers[i].ff, builder, p->latent_count);
    }
    int64_t *scratch = &module->training_scratch;
    *scratch = module->scratch;
    p->gradient = nft_reserve(scratch, nft_size_multiply(p->latent_count, p->width));
    p->context_gradient = nft_reserve(scratch, nft_value_floats(&module->in, NULL));
}

static nft_status add_layers(perceiver *p, nft_builder *builder)
{
    nft_status status = nft_parameter_add(builder, &p->latents, true, nft_init_normal(1), 2,
                                          NFT_SHAPE(p->latent_count, p->width), "latents");
    if (status)
        return status;
    nft_gradient_add(builder, &p->latents_gradient);
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
    module->out = (nft_value){NFT_VALUE_TOKENS, p->latent_count, p->width};
    plan(module, p);
    plan_backward(module, p, builder);
    return NFT_OK;
}

static void release(nft_module *module)
{
    nft_release(((perceiver *)module->state)->layers);
}

/* What the items of one layer see. */
typedef struct layer_call {
    const perceiver *p;
    const perceiver_layer *layer;
    const nft_exec *exec;
    const float *context; /* (keys, C or D) */
    float *x;             /* (M, D); in backward its gradient */
} layer_call;

/* What stands between the maps of an attention: in the kept memory in training, else in scratch. */
typedef struct attention_values {
    float *normed, *q, *kv, *attended;
} attention_values;

static attention_values scratch_values(const perceiver *p, const nft_exec *exec)
{
    float *scratch = exec->scratch;
    return (attention_values){scratch + p->normed, scratch + p->q, scratch + p->kv, scratch + p->attended};
}

static attention_values values_of(const layer_call *call)
{
    const attention_layer *layer = &call->layer->attention;
    float *kept = call->exec->kept;
    return kept ? (attention_values){kept + layer->kept.normed, kept + layer->kept.q, kept + layer->kept.kv,
                                     kept + layer->kept.attended}
                : scratch_values(call->p, call->exec);
}

/* kv = to_kv(norm_context(context)): except for backward, the normalised context exists a chunk at a time. */
static void project_context(void *argument, int64_t item, float *thread_scratch)
{
    const layer_call *call = argument;
    const attention_layer *layer = &call->layer->attention;
    int64_t channels = layer->to_kv.inputs, stride = layer->attention.kv_stride, first, count;
    nft_chunk(layer->attention.keys, item, &first, &count);
    const float *rows = call->context + first * channels;
    if (layer->cross) {
        float *normed = call->exec->kept ? call->exec->kept + layer->kept.context + first * channels
                                         : thread_scratch + call->p->rows;
        nft_norm_rows(call->exec, &layer->norm_context, count, rows, normed);
        rows = normed;
    }
    nft_map_rows(call->exec, &layer->to_kv, count, rows, channels, values_of(call).kv + first * stride,
                 stride, NFT_MAP_SET);
}

/* x ← x + to_out(attended) */
static void add_attended(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const layer_call *call = argument;
    const nft_map *map = &call->layer->attention.to_out;
    int64_t first, count;
    nft_chunk(call->p->latent_count, item, &first, &count);
    nft_map_rows(call->exec, map, count, values_of(call).attended + first * map->inputs, map->inputs,
                 call->x + first * map->outputs, map->outputs, NFT_MAP_ADD);
}

static void attention_forward(layer_call *call, const float *tokens)
{
    const perceiver *p = call->p;
    const attention_layer *layer = &call->layer->attention;
    const nft_exec *exec = call->exec;
    attention_values v = values_of(call);
    if (exec->kept)
        memcpy(exec->kept + layer->kept.x, call->x, (size_t)(p->latent_count * p->width) * sizeof *call->x);
    nft_norm_rows(exec, &layer->norm, p->latent_count, call->x, v.normed);
    nft_exec_linear(exec, &layer->to_q, p->latent_count, v.normed, v.q, NFT_MAP_SET);
    call->context = layer->cross ? tokens : v.normed;
    nft_exec_for(exec, nft_chunk_count(layer->attention.keys), project_context, call);
    nft_token_attention_forward(&layer->attention, exec, v.q, v.kv, v.kv + layer->attention.q_stride,
                                v.attended);
    nft_exec_for(exec, nft_chunk_count(p->latent_count), add_attended, call);
}

static void feed_forward_rows(void *argument, int64_t item, float *thread_scratch)
{
    const layer_call *call = argument;
    const feed_forward *ff = &call->layer->ff;
    const nft_exec *exec = call->exec;
    const nft_kernels *vector = nft_vector();
    int64_t d = ff->norm.channels, wide = ff->expand.outputs, half = wide / 2, first, count;
    nft_chunk(call->p->latent_count, item, &first, &count);
    float *normed = thread_scratch + call->p->rows, *hidden = thread_scratch + call->p->hidden;
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

/* The same for training, with dropout; what stands between is kept. */
static void feed_forward_rows_kept(void *argument, int64_t item, float *thread_scratch)
{
    const layer_call *call = argument;
    const feed_forward *ff = &call->layer->ff;
    const nft_exec *exec = call->exec;
    int64_t d = ff->norm.channels, wide = ff->expand.outputs, half = wide / 2, first, count;
    nft_chunk(call->p->latent_count, item, &first, &count);
    float *kept_x = exec->kept + ff->kept.x + first * d, *normed = exec->kept + ff->kept.normed + first * d;
    float *hidden = exec->kept + ff->kept.hidden + first * wide;
    float *active = exec->kept + ff->kept.active + first * half;
    float *x = call->x + first * d, *branch = thread_scratch + call->p->rows;
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
    memcpy(out, exec->parameters + p->latents, (size_t)(p->latent_count * p->width) * sizeof *out);
    for (int64_t i = 0; i < p->layer_count; i++) {
        layer_call call = {.p = p, .layer = &p->layers[i], .exec = exec, .x = out};
        attention_forward(&call, in);
        nft_exec_for(exec, nft_chunk_count(p->latent_count),
                     exec->kept ? feed_forward_rows_kept : feed_forward_rows, &call);
    }
}

/* --- backward: x's gradient, (M, D), grows from the last layer to the latents --- */

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

/* From x's gradient to that of the normed rows, in scratch. */
static void feed_forward_rows_back(void *argument, int64_t item, float *thread_scratch)
{
    const layer_call *call = argument;
    const feed_forward *ff = &call->layer->ff;
    const nft_exec *exec = call->exec;
    int64_t d = ff->norm.channels, wide = ff->expand.outputs, half = wide / 2, first, count;
    nft_chunk(call->p->latent_count, item, &first, &count);
    float *gradient = exec->sides + ff->gradient + first * d;
    float *hidden = exec->kept + ff->kept.hidden + first * wide, *active = thread_scratch + call->p->hidden;
    nft_drop(exec, ff->stream + (uint64_t)item, call->p->dropout, count * d, call->x + first * d, gradient);
    nft_map_rows_back(exec, &ff->contract, count, gradient, d, active, wide, NFT_MAP_SET);
    for (int64_t row = 0; row < count; row++)
        gate_back(half, hidden + row * wide, active + row * wide, active + row * wide + half);
    nft_map_rows_back(exec, &ff->expand, count, hidden, wide, exec->scratch + call->p->normed + first * d, d,
                      NFT_MAP_SET);
}

/* What came through a norm of kept x is added to x's gradient. */
static void add_normed_gradient(const layer_call *call, const nft_norm *norm, int64_t kept_x)
{
    const nft_exec *exec = call->exec;
    int64_t m = call->p->latent_count;
    float *normed = exec->scratch + call->p->normed;
    nft_norm_rows_back(exec, norm, m, exec->kept + kept_x, normed, normed);
    nft_vector()->add(m * norm->channels, normed, call->x);
}

/* Adds what goes through the keys and values to the tokens' gradient. */
static void context_back(const layer_call *call, const float *dkv, float *tokens_gradient)
{
    const attention_layer *layer = &call->layer->attention;
    const nft_exec *exec = call->exec;
    int64_t keys = layer->attention.keys;
    float *rows = exec->scratch + call->p->context_gradient;
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
    attention_values scratch = scratch_values(p, exec), kept = values_of(call);
    memcpy(exec->sides + layer->gradient, call->x, (size_t)(m * p->width) * sizeof *call->x);
    nft_exec_linear_back(exec, &layer->to_out, m, call->x, scratch.attended, NFT_MAP_SET);
    memcpy(scratch.q, kept.q, (size_t)(m * inner) * sizeof *kept.q);
    memcpy(scratch.kv, kept.kv, (size_t)(a->keys * a->kv_stride) * sizeof *kept.kv);
    nft_token_attention_backward(a, exec, scratch.q, scratch.kv, scratch.kv + inner, scratch.attended, kept.q,
                                 kept.kv, kept.kv + inner);
    nft_exec_linear_back(exec, &layer->to_q, m, kept.q, scratch.normed, NFT_MAP_SET);
    if (layer->cross)
        context_back(call, kept.kv, tokens_gradient);
    else
        nft_exec_linear_back(exec, &layer->to_kv, m, kept.kv, scratch.normed, NFT_MAP_ADD);
    add_normed_gradient(call, &layer->norm, layer->kept.x);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const perceiver *p = module->state;
    size_t bytes = (size_t)(p->latent_count * p->width) * sizeof(float);
    float *gradient = exec->scratch + p->gradient;
    memcpy(gradient, grad_out, bytes);
    memset(grad_in, 0, (size_t)nft_value_floats(&module->in, NULL) * sizeof *grad_in);
    for (int64_t i = p->layer_count - 1; i >= 0; i--) {
        layer_call call = {.p = p, .layer = &p->layers[i], .exec = exec, .context = in, .x = gradient};
        nft_exec_for(exec, nft_chunk_count(p->latent_count), feed_forward_rows_back, &call);
        add_normed_gradient(&call, &call.layer->ff.norm, call.layer->ff.kept.x);
        attention_backward(&call, grad_in);
    }
    memcpy(exec->sides + p->latents_gradient, gradient, bytes);
}

const nft_module_class nft_module_perceiver = {.type = "perceiver",
                                               .configure = configure,
                                               .forward = forward,
                                               .backward = backward,
                                               .release = release};
