/* Attention's options, parameters, scratch and what it keeps for backward. */
#include "modules/weights/np_attention.h"

#include "base/random.h"
#include "modules/sequence/tokens.h"

#include <inttypes.h>

nft_status nft_attention_read(nft_options *options, nft_attention_options *values)
{
    *values = (nft_attention_options){.num_heads = 8, .share_projections = true};
    nft_status status;
    if ((status = nft_options_integer(options, "num_heads", false, 1, 1 << 24, &values->num_heads)) ||
        (status = nft_options_boolean(options, "share_projections", false, &values->share_projections)) ||
        (status = nft_options_boolean(options, "ablate_crossterm", false, &values->ablate_crossterm)))
        return status;
    return nft_options_boolean(options, "ablate_diagonalterm", false, &values->ablate_diagonalterm);
}

static nft_status add_projections(nft_attention *a, nft_builder *builder, const char *prefix)
{
    const nft_space *space = a->space;
    int64_t C = a->channels;
    nft_status status = NFT_OK;
    if (a->shared) {
        status =
            nft_map_add(builder, &a->qkv[0], 3 * C, C, 0, true, nft_init_fan(C), "%sto_qkv.linear", prefix);
        for (int64_t t = 1; t < space->tensor_count; t++)
            a->qkv[t] = a->qkv[0];
        return status;
    }
    for (int64_t t = 0; t < space->tensor_count && !status; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        int64_t width = nft_tensor_width(tensor, C);
        status = nft_map_add(builder, &a->qkv[t], 3 * C, width, 0, true, nft_init_fan(width),
                             "%s%s_to_qkv.%" PRId64 ".linear", prefix, tensor->bias ? "bias" : "weight",
                             tensor->layer);
        if (!status && !tensor->bias)
            status = nft_map_add(builder, &a->unproject[t], width, C, 0, true, nft_init_fan(C),
                                 "%sunproject_weight.%" PRId64 ".linear", prefix, tensor->layer);
    }
    return status;
}

/* The larger of the thread scratch so far and that of another use, which comes after or before. */
static void share_thread_scratch(nft_module *module, int64_t floats)
{
    int64_t size = 0;
    nft_reserve(&size, floats);
    module->thread_scratch = size > module->thread_scratch ? size : module->thread_scratch;
}

/* Floats of the largest matrix of an axis in one head, and of its largest chunk of scores. */
static void measure_axes(const nft_attention *a, int64_t *matrix, int64_t *scores)
{
    *matrix = *scores = 0;
    for (int64_t i = 0; i < a->space->axis_count && a->cross; i++) {
        const nft_axis *axis = &a->space->axes[i];
        int64_t own = nft_axis_floats(axis, a->head_channels),
                own_scores = nft_size_multiply(axis->tokens < NFT_CHUNK_ROWS ? axis->tokens : NFT_CHUNK_ROWS,
                                               axis->tokens);
        *matrix = own > *matrix ? own : *matrix;
        *scores = own_scores > *scores ? own_scores : *scores;
    }
}

static void plan_scratch(nft_attention *a, nft_module *module)
{
    const nft_space *space = a->space;
    int64_t C = a->channels, width = nft_widest_tensor(space, C), rows = nft_longest_chunk(space),
            tensors = space->tensor_count, tokens = nft_size_multiply(space->tokens, C), matrix, scores;
    a->sums = nft_reserve(&module->scratch, nft_size_multiply(nft_rows_count(space), width));
    a->means = nft_reserve(&module->scratch, nft_size_multiply(tensors, width));
    a->diagonal_qkv = nft_reserve(&module->scratch, nft_size_multiply(tensors, 3 * C));
    a->diagonal_out = nft_reserve(&module->scratch, nft_size_multiply(tensors, C));
    a->terms = nft_reserve(&module->scratch, a->shared ? tokens : 0);
    module->training_scratch = module->scratch; /* which keeps the rest instead */
    if (!a->shared)
        a->terms = nft_reserve(&module->scratch, tokens);
    a->qkv_rows = nft_reserve(&module->scratch, a->cross ? nft_size_multiply(3, tokens) : 0);
    /* Uses after each other: normed rows; the matrices of an item, with one or two of scores; scores between
     * means. */
    share_thread_scratch(module, nft_size_multiply(rows, width));
    measure_axes(a, &matrix, &scores);
    share_thread_scratch(module, nft_size_add(nft_size_multiply(NFT_ATTENTION_MATRICES, matrix),
                                              nft_size_multiply(2, nft_size_add(scores, 16))));
    share_thread_scratch(module, nft_size_multiply(2, nft_size_multiply(tensors, tensors) + 16));
}

int64_t nft_attention_weights_before(const nft_attention *a, int64_t axis)
{
    int64_t floats = 0;
    for (int64_t i = 0; i < axis; i++) {
        int64_t tokens = a->space->axes[i].tokens;
        floats = nft_size_add(floats, nft_size_multiply(a->heads, nft_size_multiply(tokens, tokens)));
    }
    return floats;
}

/* What only backward needs. */
static void plan_backward(nft_attention *a, nft_module *module, nft_builder *builder)
{
    const nft_space *space = a->space;
    int64_t C = a->channels, features = nft_size_multiply(space->numbers, C),
            tokens = nft_size_multiply(space->tokens, C);
    int64_t qkv = a->cross ? nft_size_multiply(3, tokens) : 0;
    int64_t weights = a->cross ? nft_attention_weights_before(a, space->axis_count) : 0;
    a->terms_gradient = nft_reserve(&module->training_scratch, a->shared ? 0 : tokens);
    a->normed_gradient = nft_reserve(&module->training_scratch, a->norms ? features : 0);
    a->kept_normed = a->norms ? nft_reserve(builder->kept, features) : builder->in_kept;
    a->kept_qkv = nft_reserve(builder->kept, qkv);
    a->kept_weights = weights <= nft_size_multiply(2, tokens) ? nft_reserve(builder->kept, weights) : -1;
    a->kept_diagonal_qkv = nft_reserve(builder->kept, nft_size_multiply(space->tensor_count, 3 * C));
    a->kept_terms = nft_reserve(builder->kept, a->shared ? 0 : tokens);
    a->qkv_gradient = nft_reserve(builder->sides, nft_size_multiply(3, tokens));
    a->output_gradient = nft_reserve(builder->sides, a->shared ? 0 : features);
    if (a->shared) {
        nft_gradient_of_map(builder, &a->qkv[0], space->tokens, a->kept_normed, C, nft_side(a->qkv_gradient),
                            3 * C);
        return;
    }
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        int64_t width = nft_tensor_width(tensor, C);
        nft_gradient_of_map(builder, &a->qkv[t], tensor->tokens,
                            nft_row_at(a->kept_normed, tensor->offset, C), width,
                            nft_row_at(nft_side(a->qkv_gradient), tensor->first_token, 3 * C), 3 * C);
        if (tensor->bias)
            continue;
        nft_gradient_of_map(builder, &a->unproject[t], tensor->tokens,
                            nft_row_at(a->kept_terms, tensor->first_token, C), C,
                            nft_row_at(nft_side(a->output_gradient), tensor->offset, C), width);
        nft_gradient_add_of(builder, a->unproject[t].index + 1, &a->unproject_bias[t]);
    }
}

static int64_t count_flops(const nft_attention *a)
{
    const nft_space *space = a->space;
    int64_t flops = 0, C = a->channels;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        int64_t tokens = space->tensors[t].tokens;
        int64_t projected = a->cross      ? tokens
                            : a->diagonal ? 1
                                          : 0; /* without cross terms the mean token alone */
        flops = nft_size_add(flops, nft_map_flops(&a->qkv[t], projected));
        if (!a->shared && !space->tensors[t].bias && a->term_count > 0)
            flops = nft_size_add(flops, nft_map_flops(&a->unproject[t], tokens));
    }
    if (a->diagonal) /* scores, then values; in all heads */
        flops = nft_size_add(flops, 2 * nft_product_flops(space->tensor_count, space->tensor_count, C));
    for (int64_t i = 0; i < space->axis_count && a->cross; i++) {
        const nft_axis *axis = &space->axes[i];
        int64_t scores = nft_product_flops(axis->tokens, axis->tokens, nft_size_multiply(axis->size, C));
        flops = nft_size_add(flops, nft_size_multiply(2, scores));
    }
    return flops;
}

nft_status nft_attention_configure(nft_attention *a, nft_module *module, nft_builder *builder,
                                   const nft_attention_options *values, const nft_channel_norm *norms,
                                   const char *prefix)
{
    const nft_space *space = builder->space;
    int64_t C = builder->value.channels;
    nft_status status;
    if (C % values->num_heads)
        return nft_fail(NFT_ERROR_CONFIG, "%s: %" PRId64 " channels do not divide by num_heads, %" PRId64,
                        builder->where, C, values->num_heads);
    for (int64_t i = 0; i < space->axis_count; i++) {
        int64_t length = nft_size_multiply(space->axes[i].size, C / values->num_heads);
        if (length > NFT_GEMM_MAX_SIZE - NFT_AXIS_PADDING)
            return nft_fail(NFT_ERROR_LIMIT,
                            "%s: %" PRId64 " channels of %" PRId64
                            " neurons in a head are more than a matrix "
                            "product takes",
                            builder->where, C / values->num_heads, space->axes[i].size);
    }
    if (values->share_projections && (status = nft_require_one_position(builder)))
        return nft_fail_in(status, "share_projections is true; set it to false for layers with filters");
    size_t maps = (size_t)space->tensor_count * sizeof(nft_map);
    char *arrays = nft_allocate(2 * maps + (size_t)space->tensor_count * sizeof(int64_t));
    if (!arrays)
        return nft_fail_memory(builder->where, (int64_t)(2 * maps));
    *a = (nft_attention){.space = space,
                         .options = *values,
                         .channels = C,
                         .heads = values->num_heads,
                         .head_channels = C / values->num_heads,
                         .shared = values->share_projections,
                         .cross = !values->ablate_crossterm,
                         .diagonal = !values->ablate_diagonalterm,
                         .term_count = (values->ablate_crossterm ? 0 : 2) + !values->ablate_diagonalterm,
                         .stream = nft_random_stream(builder->path) ^ nft_random_stream(prefix),
                         .norms = norms,
                         .qkv = (nft_map *)arrays,
                         .unproject = (nft_map *)(arrays + maps),
                         .unproject_bias = (int64_t *)(arrays + 2 * maps)};
    if ((status = add_projections(a, builder, prefix)))
        return status;
    plan_scratch(a, module);
    plan_backward(a, module, builder);
    module->flops = nft_size_add(module->flops, count_flops(a));
    return NFT_OK;
}

void nft_attention_release(nft_attention *attention)
{
    nft_release(attention->qkv);
}
