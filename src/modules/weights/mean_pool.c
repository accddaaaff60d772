/* Pools that keep means of each tensor: a vector with index c · K + k, K numbers for each channel c (Zhou et
 * al., "Permutation Equivariant Neural Functionals", arXiv 2302.14040). np_pool is invariant to permutations
 * of every axis: it keeps the mean of each tensor, for each position. hnp_pool is invariant to those of axes
 * with a symmetry: it keeps a mean for each index of the others. */
#include "modules/weights/views.h"

#include <string.h>

typedef struct pooled {
    nft_dims kept;
    nft_margins means;
    nft_view_layout layout; /* of the mean, a single row */
    nft_buffer entries;     /* CALL: that row, (C, F) */
    int64_t first, numbers; /* its F numbers among a channel's K */
} pooled;

typedef struct mean_pool {
    int64_t numbers; /* K */
    pooled *tensors;
} mean_pool;

static void pool_tensor(pooled *p, nft_builder *builder, int64_t t, bool hidden)
{
    const nft_space *space = builder->space;
    const nft_tensor *tensor = &space->tensors[t];
    int64_t channels = builder->value.channels;
    p->kept = hidden ? nft_ordered_dims(space, tensor) : 0;
    nft_tensor_view view = {.tensor = t, .channels = p->kept};
    p->layout = nft_view_layout_of(space, &view, channels, false);
    p->numbers = nft_size_multiply(tensor->positions, nft_dims_tokens(tensor, p->kept));
    nft_margins_open(&p->means, tensor, nft_size_multiply(tensor->positions, channels));
    if (p->kept != p->means.all)
        nft_margins_need(&p->means, p->kept);
    nft_margins_reserve(&p->means, builder, NFT_ARENA_CALL, NFT_ARENA_CALL);
    p->entries = nft_reserve(builder, NFT_ARENA_CALL, channels, p->numbers);
}

static nft_status configure(nft_module *module, nft_builder *builder, bool hidden)
{
    const nft_space *space = builder->space;
    int64_t capacity = 0;
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status || (status = nft_module_state(module, sizeof(mean_pool))))
        return status;
    mean_pool *pool = module->state;
    if ((status = nft_grow(&pool->tensors, space->tensor_count, &capacity, sizeof *pool->tensors,
                           builder->where, builder->memory_limit)))
        return status;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        pool_tensor(&pool->tensors[t], builder, t, hidden);
        pool->tensors[t].first = pool->numbers;
        pool->numbers = nft_size_add(pool->numbers, pool->tensors[t].numbers);
    }
    module->out = (nft_value){.kind = NFT_VALUE_VECTOR,
                              .channels = nft_size_multiply(pool->numbers, module->in.channels)};
    return NFT_OK;
}

static nft_status configure_np(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    return configure(module, builder, false);
}

static nft_status configure_hnp(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    return configure(module, builder, true);
}

static void release(nft_module *module)
{
    mean_pool *pool = module->state;
    nft_release(pool->tensors);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const mean_pool *pool = module->state;
    int64_t channels = module->in.channels;
    for (int64_t t = 0; t < module->space->tensor_count; t++) {
        const pooled *p = &pool->tensors[t];
        const float *x = in + p->means.tensor->offset * channels;
        float *entries = nft_at(exec, &p->entries);
        nft_margins_reduce(&p->means, exec, NFT_MEANS, x);
        nft_view_get(&p->layout, 0, 1, p->kept == p->means.all ? x : nft_margin_at(&p->means, exec, p->kept),
                     entries, p->layout.entries);
        for (int64_t c = 0; c < channels; c++)
            memcpy(out + c * pool->numbers + p->first, entries + c * p->numbers,
                   (size_t)p->numbers * sizeof *out);
    }
}

/* Each mean gives its entries their share. */
static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    const mean_pool *pool = module->state;
    int64_t channels = module->in.channels;
    for (int64_t t = 0; t < module->space->tensor_count; t++) {
        const pooled *p = &pool->tensors[t];
        float *x = grad_in + p->means.tensor->offset * channels, *entries = nft_at(exec, &p->entries);
        for (int64_t c = 0; c < channels; c++)
            memcpy(entries + c * p->numbers, grad_out + c * pool->numbers + p->first,
                   (size_t)p->numbers * sizeof *entries);
        if (p->kept == p->means.all) {
            nft_view_put(&p->layout, 0, 1, entries, p->layout.entries, x);
            continue;
        }
        nft_margins_clear_others(&p->means, exec);
        nft_view_put(&p->layout, 0, 1, entries, p->layout.entries, nft_margin_at(&p->means, exec, p->kept));
        nft_margins_share(&p->means, exec);
        nft_margins_join(&p->means, exec);
        nft_margins_fill(&p->means, exec, x);
    }
}

const nft_module_class nft_module_np_pool = {.type = "np_pool",
                                             .any_space = NFT_ANY_SPACE_SIZED,
                                             .configure = configure_np,
                                             .forward = forward,
                                             .backward = backward,
                                             .release = release};
const nft_module_class nft_module_hnp_pool = {.type = "hnp_pool",
                                              .any_space = NFT_ANY_SPACE_SIZED,
                                              .configure = configure_hnp,
                                              .forward = forward,
                                              .backward = backward,
                                              .release = release};
