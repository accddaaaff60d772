/* nft_block: x ← x + attn(ln1(x)); x ← x + ff(ln2(x)) with a feed-forward of two pointwise maps around a gelu
 * (arXiv 2305.13546, section 3.2). */
#include "modules/np_attention.h"
#include "modules/pointwise.h"
#include "modules/tokens.h"

typedef struct state {
    nft_attention attention;
    nft_channel_norm *ln1, *ln2; /* for each tensor */
    nft_map *widen, *narrow;     /* ff.0 and ff.2 */
} state;

static nft_status allocate_arrays(nft_module *module, int64_t tensors)
{
    nft_status status = nft_module_state(module, sizeof(state));
    if (status)
        return status;
    state *own = module->state;
    int64_t bytes = 2 * tensors * (int64_t)(sizeof(nft_channel_norm) + sizeof(nft_map));
    own->ln1 = nft_allocate((size_t)bytes);
    if (!own->ln1)
        return nft_fail_memory(module->class->type, bytes);
    own->ln2 = own->ln1 + tensors;
    own->widen = (nft_map *)(own->ln2 + tensors);
    own->narrow = own->widen + tensors;
    return NFT_OK;
}

static void release(nft_module *module)
{
    state *own = module->state;
    nft_attention_release(&own->attention);
    nft_release(own->ln1);
}

/* Rows a little longer than a power of two do not compete for the same places in the cache. */
static int64_t wide_stride(int64_t outputs)
{
    return nft_size_add(outputs, 16);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_attention_options values;
    double dropout = 0.1;
    int64_t factor = 2;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_attention_read(options, &values)) ||
        (status = nft_options_integer(options, "ff_factor", false, 1, 1 << 16, &factor)) ||
        (status = nft_dropout_option(builder, options, &dropout)) ||
        (status = allocate_arrays(module, builder->space->tensor_count)))
        return status;
    state *own = module->state;
    int64_t C = builder->value.channels, wide = factor * C;
    if ((status = nft_channel_norms_add(builder, own->ln1, "ln1.")) ||
        (status = nft_channel_norms_add(builder, own->ln2, "ln2.")) ||
        (status = nft_attention_configure(&own->attention, module, builder, &values, "attn.")) ||
        (status = nft_pointwise_add(builder, own->widen, C, wide, "ff.0.")) ||
        (status = nft_pointwise_add(builder, own->narrow, wide, C, "ff.2.")))
        return status;
    module->flops = nft_size_add(module->flops, nft_pointwise_flops(builder->space, own->widen));
    module->flops = nft_size_add(module->flops, nft_pointwise_flops(builder->space, own->narrow));
    int64_t rows = nft_longest_chunk(builder->space), feed_forward = 0;
    nft_reserve(&feed_forward, nft_size_multiply(rows, nft_widest_tensor(builder->space, C)));
    nft_reserve(&feed_forward, nft_size_multiply(rows, wide_stride(nft_widest_tensor(builder->space, wide))));
    module->thread_scratch = feed_forward > module->thread_scratch ? feed_forward : module->thread_scratch;
    return NFT_OK;
}

typedef struct work {
    const nft_module *module;
    const nft_exec *exec;
    float *x;
} work;

/* One chunk of rows through the feed-forward while it is in the cache. */
static void feed_forward(void *argument, int64_t item, float *thread_scratch)
{
    const work *w = argument;
    const state *own = w->module->state;
    nft_rows rows = nft_rows_at(w->module->space, item);
    const nft_map *widen = &own->widen[rows.tensor], *narrow = &own->narrow[rows.tensor];
    int64_t next = 0, stride = wide_stride(widen->outputs);
    float *normed = thread_scratch + nft_reserve(&next, rows.count * widen->inputs),
          *wide = thread_scratch + nft_reserve(&next, 0);
    float *x = w->x + w->module->space->tensors[rows.tensor].offset * w->module->in.channels +
               rows.first * widen->inputs;
    nft_channel_norm_rows(&own->ln2[rows.tensor], w->exec->parameters, rows.count, x, normed);
    nft_map_rows(w->exec, widen, rows.count, normed, widen->inputs, wide, stride, NFT_MAP_GELU);
    nft_map_rows(w->exec, narrow, rows.count, wide, stride, x, narrow->outputs, NFT_MAP_ADD);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    nft_attention_forward(&own->attention, exec, own->ln1, true, in, out);
    work w = {module, exec, out};
    nft_exec_for(exec, nft_rows_count(module->space), feed_forward, &w);
}

const nft_module_class nft_module_nft_block = {
    .type = "nft_block", .in_place = true, .configure = configure, .forward = forward, .release = release};
