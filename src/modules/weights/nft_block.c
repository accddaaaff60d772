/* nft_block: x ← x + drop(attn(ln1(x))); x ← x + drop(ff(ln2(x))) with a feed-forward of two pointwise maps
 * around a gelu (arXiv 2305.13546, section 3.2). In forward order the first half is done axis by axis: each
 * axis sees the changes of the axes before it. */
#include "base/random.h"
#include "math/gradients.h"
#include "modules/weights/np_attention.h"
#include "modules/weights/pointwise.h"
#include "modules/sequence/tokens.h"

#include <string.h>

typedef struct state {
    int64_t turns;             /* 1: all axes at once; else one for each axis */
    nft_attention *attentions; /* of each turn */
    nft_channel_norms *ln1;    /* the same for each turn */
    nft_buffer *middles;       /* of each turn, FRAME: x after it, features; the last is the input of ln2 */
    nft_channel_norms ln2;
    nft_channel_norm *norms; /* of ln1, then of ln2, for each tensor */
    nft_map *widen, *narrow; /* ff.0 and ff.2, for each tensor */
    int64_t *wide_offsets;   /* for each tensor: where its wide rows begin among those of all */
    double dropout;
    uint64_t stream; /* turn i has stream - i for its dropout, chunk i of the feed-forward stream + 1 + i */
    nft_buffer rows, wide_rows;         /* ITEM: one chunk of rows, and of wide rows */
    nft_buffer branch, middle_gradient; /* in training: the output of attention, or a gradient; features */

    nft_buffer normed;                /* FRAME: ln2 of it */
    nft_buffer wide;                  /* FRAME: wide rows before gelu */
    nft_buffer wide_gradient, active; /* BACKWARD: of those, and of the output of gelu */
    nft_buffer narrow_gradient;       /* BACKWARD: of ff.2's output, features */
} state;

static nft_status allocate_arrays(nft_module *module, int64_t tensors, int64_t turns)
{
    nft_status status = nft_module_state(module, sizeof(state));
    if (status)
        return status;
    state *own = module->state;
    own->attentions = nft_allocate_array((size_t)turns, sizeof *own->attentions);
    own->ln1 = nft_allocate_array((size_t)turns, sizeof *own->ln1);
    own->middles = nft_allocate_array((size_t)turns, sizeof *own->middles);
    if (!own->attentions || !own->ln1 || !own->middles)
        return nft_fail_memory(module->class->type,
                               nft_size_multiply(turns, sizeof *own->attentions + sizeof *own->ln1));
    own->turns = turns;
    int64_t bytes = tensors * (int64_t)(2 * sizeof(nft_channel_norm) + 2 * sizeof(nft_map) + sizeof(int64_t));
    own->norms = nft_allocate((size_t)bytes);
    if (!own->norms)
        return nft_fail_memory(module->class->type, bytes);
    own->widen = (nft_map *)(own->norms + 2 * tensors);
    own->narrow = own->widen + tensors;
    own->wide_offsets = (int64_t *)(own->narrow + tensors);
    return NFT_OK;
}

static void release(nft_module *module)
{
    state *own = module->state;
    for (int64_t i = 0; i < own->turns; i++)
        nft_attention_release(&own->attentions[i]);
    nft_release(own->attentions);
    nft_release(own->ln1);
    nft_release(own->middles);
    nft_release(own->norms);
}

/* Rows a little longer than a power of two do not compete for the same places in the cache. */
static int64_t wide_stride(int64_t outputs)
{
    return nft_size_add(outputs, 16);
}

static void plan_forward(state *own, nft_builder *builder, int64_t factor)
{
    int64_t rows = nft_longest_chunk(builder->space),
            width = nft_widest_tensor(builder->space, builder->value.channels),
            wide = nft_size_multiply(factor, width);
    nft_begin_items(builder);
    own->rows = nft_reserve(builder, NFT_ARENA_ITEM, rows, width);
    own->wide_rows = nft_reserve_strided(builder, NFT_ARENA_ITEM, rows, wide, wide_stride(wide));
}

static nft_status declare_gradients(state *own, nft_builder *builder)
{
    int64_t C = builder->value.channels;
    nft_status status = NFT_OK;
    for (int64_t t = 0; t < builder->space->tensor_count && !status; t++) {
        const nft_tensor *tensor = &builder->space->tensors[t];
        const nft_map *widen = &own->widen[t];
        int64_t start = own->wide_offsets[t], outputs = widen->outputs, stride = wide_stride(outputs);
        nft_buffer normed = nft_features_of(&own->normed, tensor, C),
                   wide = nft_buffer_part(&own->wide_gradient, start, tensor->tokens, outputs, stride),
                   active = nft_buffer_part(&own->active, start, tensor->tokens, outputs, stride),
                   narrow = nft_features_of(&own->narrow_gradient, tensor, C);
        status = nft_gradient_of_map(builder, widen, &normed, &wide);
        if (!status)
            status = nft_gradient_of_map(builder, &own->narrow[t], &active, &narrow);
    }
    return status;
}

static nft_status plan_backward(state *own, nft_builder *builder)
{
    const nft_space *space = builder->space;
    int64_t C = builder->value.channels, wide = 0;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        own->wide_offsets[t] = wide;
        wide = nft_size_add(wide,
                            nft_size_multiply(space->tensors[t].tokens, wide_stride(own->widen[t].outputs)));
    }
    own->branch = nft_attention_reserve_training(&own->attentions[0], builder);
    own->middle_gradient = nft_attention_reserve_training(&own->attentions[0], builder);
    for (int64_t i = 0; i < own->turns; i++)
        own->middles[i] = nft_reserve_features(builder, NFT_ARENA_FRAME, C);
    own->normed = nft_reserve_features(builder, NFT_ARENA_FRAME, C);
    own->wide = nft_reserve(builder, NFT_ARENA_FRAME, 1, wide);
    own->wide_gradient = nft_reserve(builder, NFT_ARENA_BACKWARD, 1, wide);
    own->active = nft_reserve(builder, NFT_ARENA_BACKWARD, 1, wide);
    own->narrow_gradient = nft_reserve_features(builder, NFT_ARENA_BACKWARD, C);
    return declare_gradients(own, builder);
}

static nft_status read_order(bool *forward_order, const nft_builder *builder, nft_options *options,
                             const nft_attention_options *values)
{
    static const char *const orders[] = {"together", "forward"};
    int order = 0;
    nft_status status = nft_options_choice(options, "order", false, orders, 2, &order);
    *forward_order = order == 1 && builder->space->axis_count > 0;
    if (!status && order == 1 && (!values->share_projections || values->ablate_crossterm))
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: 'order' is \"forward\", which takes 'share_projections' true and "
                        "'ablate_crossterm' false",
                        builder->where);
    return status;
}

/* Turns have the same parameters. The last one is the first in backward. */
static nft_status add_attention(state *own, nft_module *module, nft_builder *builder,
                                const nft_attention_options *values, bool forward_order)
{
    nft_channel_norms norms;
    nft_status status = nft_channel_norms_add(builder, &norms, own->norms, "ln1.");
    if (!status)
        status = nft_channel_norms_add(builder, &own->ln2, own->norms + builder->space->tensor_count, "ln2.");
    for (int64_t i = 0; i < own->turns && !status; i++) {
        own->ln1[i] = norms;
        own->ln1[i].adds = i + 1 < own->turns;
        status =
            nft_attention_configure_axis(&own->attentions[i], module, builder, values, &own->ln1[i], "attn.",
                                         forward_order ? i : NFT_ALL_AXES, i ? own->attentions : NULL);
    }
    return status;
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_attention_options values;
    double dropout = 0.1;
    int64_t factor = 2;
    bool forward_order = false;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_attention_read(options, &values)) ||
        (status = nft_options_integer(options, "ff_factor", false, 1, 1 << 16, &factor)) ||
        (status = nft_dropout_option(builder, options, &dropout)) ||
        (status = read_order(&forward_order, builder, options, &values)) ||
        (status = allocate_arrays(module, builder->space->tensor_count,
                                  forward_order ? builder->space->axis_count : 1)))
        return status;
    state *own = module->state;
    int64_t C = builder->value.channels;
    own->dropout = values.dropout = dropout;
    own->stream = nft_random_stream(builder->path);
    if ((status = add_attention(own, module, builder, &values, forward_order)) ||
        (status = nft_pointwise_add(builder, own->widen, C, factor * C, "ff.0.")) ||
        (status = nft_pointwise_add(builder, own->narrow, factor * C, C, "ff.2.")))
        return status;
    module->flops = nft_size_add(module->flops, nft_pointwise_flops(builder->space, own->widen));
    module->flops = nft_size_add(module->flops, nft_pointwise_flops(builder->space, own->narrow));
    plan_forward(own, builder, factor);
    return plan_backward(own, builder);
}

/* x is features: in forward the input of the feed-forward, to which it adds; in backward the gradient of the
 * block's output. */
typedef struct work {
    const nft_module *module;
    const nft_exec *exec;
    const float *x;
    float *out;
} work;

/* One chunk of rows, as an item of the feed-forward sees it. */
typedef struct chunk {
    nft_rows rows;
    const nft_map *widen, *narrow;
    int64_t features;     /* where its rows begin among features */
    int64_t wide, stride; /* and among wide rows, which are `stride` apart */
} chunk;

static chunk chunk_at(const nft_module *module, int64_t item)
{
    const state *own = module->state;
    nft_rows rows = nft_rows_at(module->space, item);
    const nft_map *widen = &own->widen[rows.tensor];
    int64_t stride = wide_stride(widen->outputs);
    return (chunk){.rows = rows,
                   .widen = widen,
                   .narrow = &own->narrow[rows.tensor],
                   .features = module->space->tensors[rows.tensor].offset * module->in.channels +
                               rows.first * widen->inputs,
                   .wide = own->wide_offsets[rows.tensor] + rows.first * stride,
                   .stride = stride};
}

/* out += ff(ln2(x)) for one chunk of rows while it is in the cache; x is out. */
static void feed_forward(void *argument, int64_t item, float *item_memory)
{
    const work *w = argument;
    const state *own = w->module->state;
    chunk c = chunk_at(w->module, item);
    float *normed = nft_in_item(item_memory, &own->rows), *wide = nft_in_item(item_memory, &own->wide_rows);
    nft_channel_norm_rows(&own->ln2.items[c.rows.tensor], w->exec, c.rows.count, w->x + c.features, normed);
    nft_map_rows(w->exec, c.widen, c.rows.count, normed, c.widen->inputs, wide, c.stride, NFT_MAP_GELU);
    nft_map_rows(w->exec, c.narrow, c.rows.count, wide, c.stride, w->out + c.features, c.narrow->outputs,
                 NFT_MAP_ADD);
}

/* The same for training: out = x + drop(ff(ln2(x))). The values between are kept. */
static void feed_forward_kept(void *argument, int64_t item, float *item_memory)
{
    const work *w = argument;
    const state *own = w->module->state;
    chunk c = chunk_at(w->module, item);
    int64_t count = c.rows.count, n = count * c.widen->inputs, outputs = c.widen->outputs;
    float *normed = nft_at(w->exec, &own->normed) + c.features, *wide = nft_at(w->exec, &own->wide) + c.wide;
    float *branch = nft_in_item(item_memory, &own->rows), *active = nft_in_item(item_memory, &own->wide_rows);
    nft_channel_norm_rows(&own->ln2.items[c.rows.tensor], w->exec, count, w->x + c.features, normed);
    nft_map_rows(w->exec, c.widen, count, normed, c.widen->inputs, wide, c.stride, NFT_MAP_SET);
    for (int64_t row = 0; row < count; row++)
        nft_vector()->gelu(outputs, wide + row * c.stride, active + row * c.stride);
    nft_map_rows(w->exec, c.narrow, count, active, c.stride, branch, c.narrow->outputs, NFT_MAP_SET);
    nft_add_dropped(w->exec, own->stream + 1 + (uint64_t)item, own->dropout, n, w->x + c.features, branch,
                    w->out + c.features);
}

/* From the gradient of drop(ff(ln2(x))) to that of ln2(x), in out. */
static void feed_forward_back(void *argument, int64_t item, float *item_memory)
{
    const work *w = argument;
    const state *own = w->module->state;
    chunk c = chunk_at(w->module, item);
    int64_t count = c.rows.count, outputs = c.widen->outputs;
    const float *wide = nft_at(w->exec, &own->wide) + c.wide;
    float *narrow = nft_at(w->exec, &own->narrow_gradient) + c.features,
          *dwide = nft_at(w->exec, &own->wide_gradient) + c.wide,
          *active = nft_at(w->exec, &own->active) + c.wide,
          *active_gradient = nft_in_item(item_memory, &own->wide_rows);
    nft_drop(w->exec, own->stream + 1 + (uint64_t)item, own->dropout, count * c.narrow->outputs,
             w->x + c.features, narrow);
    nft_map_rows_back(w->exec, c.narrow, count, narrow, c.narrow->outputs, active_gradient, c.stride,
                      NFT_MAP_SET);
    for (int64_t start = 0; start < count * c.stride; start += c.stride)
        nft_vector_gradients()->gelu_again(outputs, wide + start, active_gradient + start, active + start,
                                           dwide + start);
    nft_map_rows_back(w->exec, c.widen, count, dwide, c.stride, w->out + c.features, c.widen->inputs,
                      NFT_MAP_SET);
}

static void forward_kept(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    int64_t n = module->space->numbers * module->in.channels;
    bool drops = nft_drops(exec, own->dropout);
    float *branch = nft_at(exec, &own->branch);
    for (int64_t i = 0; i < own->turns; i++) {
        float *middle = nft_at(exec, &own->middles[i]);
        nft_attention_forward(&own->attentions[i], exec, !drops, in, drops ? branch : middle);
        if (drops)
            nft_add_dropped(exec, own->stream - (uint64_t)i, own->dropout, n, in, branch, middle);
        in = middle;
    }
    work w = {module, exec, in, out};
    nft_exec_for(exec, nft_rows_count(module->space), feed_forward_kept, &w);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    if (nft_keeps(exec)) {
        forward_kept(module, exec, in, out);
        return;
    }
    for (int64_t i = 0; i < own->turns; i++)
        nft_attention_forward(&own->attentions[i], exec, true, i ? out : in, out);
    work w = {module, exec, out, out};
    nft_exec_for(exec, nft_rows_count(module->space), feed_forward, &w);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    const state *own = module->state;
    int64_t n = module->space->numbers * module->in.channels;
    bool drops = nft_drops(exec, own->dropout);
    float *branch = nft_at(exec, &own->branch);
    float *gradients[] = {grad_in,
                          nft_at(exec, &own->middle_gradient)}; /* of what leaves odd turns, and even */
    work w = {module, exec, grad_out, branch};
    nft_exec_for(exec, nft_rows_count(module->space), feed_forward_back, &w);
    nft_channel_norms_back(&own->ln2, exec, nft_at(exec, &own->middles[own->turns - 1]), branch, grad_out,
                           gradients[own->turns % 2]);
    for (int64_t i = own->turns - 1; i >= 0; i--) {
        const float *x = i ? nft_at(exec, &own->middles[i - 1]) : in, *dy = gradients[(i + 1) % 2];
        if (drops)
            nft_drop(exec, own->stream - (uint64_t)i, own->dropout, n, dy, branch);
        nft_attention_backward(&own->attentions[i], exec, x, drops ? branch : dy, dy, gradients[i % 2]);
    }
}

const nft_module_class nft_module_nft_block = {.type = "nft_block",
                                               .in_place = true,
                                               .any_space = NFT_ANY_SPACE_LIFTED,
                                               .configure = configure,
                                               .forward = forward,
                                               .backward = backward,
                                               .release = release};
