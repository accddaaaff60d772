/* Attention's options, parameters and buffers. */
#include "modules/weights/np_attention.h"

#include "base/random.h"
#include "modules/sequence/tokens.h"

#include <inttypes.h>

/* Floats of an axis's matrix in one head from which on BLAS is faster than products of matrices as they lie.
 */
#define LARGE_MATRIX (INT64_C(1) << 20)
/* Chunks of rows in one chunk of queries of a large axis: BLAS packs keys and values once for each. */
#define LARGE_CHUNKS 4
/* More vectors than these have scores enough in a single chunk. */
#define LARGE_CHUNK_VECTORS 8192

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

/* One without axes has none. */
bool nft_attention_crosses(const nft_attention *a, const nft_tensor *tensor)
{
    bool crosses = a->axis == NFT_ALL_AXES && tensor->rank > 0;
    for (int64_t d = 0; d < tensor->rank && !crosses; d++)
        crosses = tensor->axes[d] == a->axis;
    return a->cross && crosses;
}

bool nft_attention_axis_is_large(const nft_axis *axis, int64_t head_channels)
{
    return nft_axis_floats(axis, head_channels) > LARGE_MATRIX;
}

static int64_t chunks_together(const nft_axis *axis, bool large)
{
    return large && axis->vectors <= LARGE_CHUNK_VECTORS ? LARGE_CHUNKS : 1;
}

int64_t nft_attention_chunk_count(const nft_axis *axis, bool large)
{
    int64_t together = chunks_together(axis, large);
    return (nft_chunk_count(axis->vectors) + together - 1) / together;
}

void nft_attention_chunk(const nft_axis *axis, bool large, int64_t index, int64_t *first, int64_t *count)
{
    int64_t together = chunks_together(axis, large), chunks = nft_chunk_count(axis->vectors),
            last = (index + 1) * together, last_first;
    last = (last < chunks ? last : chunks) - 1;
    nft_chunk(axis->vectors, last, &last_first, count);
    *count += last_first;
    nft_chunk(axis->vectors, index * together, first, &last_first);
    *count -= *first;
}

static nft_status add_shared_projection(nft_attention *a, nft_builder *builder, const char *prefix,
                                        const nft_attention *first)
{
    int64_t C = a->channels;
    nft_map map;
    nft_status status = NFT_OK;
    if (first)
        map = first->tensors[0].qkv;
    else
        status = nft_map_add(builder, &map, 3 * C, C, 0, true, nft_init_fan(C), "%sto_qkv.linear", prefix);
    for (int64_t t = 0; t < a->space->tensor_count && !status; t++)
        a->tensors[t].qkv = map;
    return status;
}

/* The published layers of a chain have no unprojection of biases. */
static nft_status add_projections(nft_attention *a, nft_builder *builder, const char *prefix)
{
    int64_t C = a->channels;
    nft_status status = NFT_OK;
    for (int64_t t = 0; t < a->space->tensor_count && !status; t++) {
        nft_attention_tensor *own = &a->tensors[t];
        int64_t width = nft_tensor_width(&a->space->tensors[t], C);
        char name[NFT_OWNER_NAME];
        nft_owner_name(name, builder, t, "weight_to_qkv", "bias_to_qkv", "to_qkv");
        status = nft_map_add(builder, &own->qkv, 3 * C, width, 0, true, nft_init_fan(width), "%s%s.linear",
                             prefix, name);
        own->unprojects = !nft_owner_is_bias(builder, t);
        nft_owner_name(name, builder, t, "unproject_weight", "unproject_bias", "unproject");
        if (!status && own->unprojects)
            status = nft_map_add(builder, &own->unproject, width, C, 0, true, nft_init_fan(C), "%s%s.linear",
                                 prefix, name);
    }
    return status;
}

/* Floats of the largest matrix of an axis in one head, and of its largest chunk of scores. */
static void measure_axes(const nft_attention *a, int64_t *matrix, int64_t *scores)
{
    *matrix = *scores = 0;
    for (int64_t i = 0; i < a->space->axis_count && a->cross; i++) {
        const nft_axis *axis = &a->space->axes[i];
        bool large = nft_attention_axis_is_large(axis, a->head_channels);
        int64_t own = nft_axis_floats(axis, a->head_channels), first, count;
        nft_attention_chunk(axis, large, 0, &first, &count);
        int64_t own_scores = nft_size_multiply(count, axis->vectors);
        *matrix = own > *matrix ? own : *matrix;
        *scores = own_scores > *scores ? own_scores : *scores;
    }
}

/* Buffers of forward. The first chunk of an axis is one of its longest. */
static void plan_forward(nft_attention *a, nft_builder *builder)
{
    const nft_space *space = a->space;
    int64_t C = a->channels, width = nft_widest_tensor(space, C), tensors = space->tensor_count, matrix,
            scores;
    if (a->norms)
        a->normed_rows = nft_reserve(builder, NFT_ARENA_ITEM, nft_longest_chunk(space), width);
    nft_begin_items(builder);
    measure_axes(a, &matrix, &scores);
    a->scores = nft_reserve(builder, NFT_ARENA_ITEM, 1, scores);
    a->matrices = nft_reserve(builder, NFT_ARENA_ITEM, NFT_ATTENTION_MATRICES, matrix);
    a->scores_gradient = nft_reserve(builder, NFT_ARENA_ITEM, 1, scores);
    a->sums = nft_reserve(builder, NFT_ARENA_CALL, a->diagonal ? nft_rows_count(space) : 0, width);
    a->means = nft_reserve(builder, NFT_ARENA_CALL, tensors, width);
    a->diagonal_out = nft_reserve(builder, NFT_ARENA_CALL, tensors, C);
    a->diagonal_scores = nft_reserve(builder, NFT_ARENA_CALL, tensors, tensors);
    a->diagonal_qkv = nft_reserve(builder, NFT_ARENA_KEPT, tensors, 3 * C);
    a->terms = nft_reserve(builder, a->shared ? NFT_ARENA_CALL : NFT_ARENA_KEPT, space->tokens, C);
    a->qkv = nft_reserve(builder, NFT_ARENA_KEPT, a->cross ? space->tokens : 0, 3 * C);
}

int64_t nft_attention_weights_before(const nft_attention *a, int64_t axis)
{
    int64_t floats = 0;
    for (int64_t i = 0; i < axis; i++) {
        int64_t vectors = a->space->axes[i].vectors;
        floats = nft_size_add(floats, nft_size_multiply(a->heads, nft_size_multiply(vectors, vectors)));
    }
    return floats;
}

/* Attention weights of all its axes. */
static int64_t kept_floats(const nft_attention *a)
{
    if (!a->cross)
        return 0;
    if (a->axis == NFT_ALL_AXES)
        return nft_attention_weights_before(a, a->space->axis_count);
    int64_t vectors = a->space->axes[a->axis].vectors;
    return nft_size_multiply(a->heads, nft_size_multiply(vectors, vectors));
}

/* Of a projection that tensors share: all rows in one product, or those of the tensors on the only axis. */
static nft_status declare_shared_gradients(nft_attention *a, nft_builder *builder)
{
    const nft_space *space = a->space;
    int64_t C = a->channels;
    nft_buffer x = nft_buffer_part(&a->normed, 0, space->tokens, C, C);
    if (a->axis == NFT_ALL_AXES || a->diagonal)
        return nft_gradient_of_map(builder, &a->tensors[0].qkv, &x, &a->qkv_gradient);
    nft_status status = NFT_OK;
    for (int64_t t = 0; t < space->tensor_count && !status; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        nft_buffer rows = nft_features_of(&a->normed, tensor, C),
                   dqkv = nft_buffer_part(&a->qkv_gradient, nft_size_multiply(tensor->first_token, 3 * C),
                                          tensor->tokens, 3 * C, 3 * C);
        if (nft_attention_crosses(a, tensor))
            status = nft_gradient_of_map(builder, &a->tensors[t].qkv, &rows, &dqkv);
    }
    return status;
}

/* Maps of one tensor: the projection's gradient comes from its rows, that of the unprojection's bias from
 * backward. */
static nft_status declare_gradients(nft_attention *a, nft_builder *builder, int64_t t)
{
    const nft_tensor *tensor = &a->space->tensors[t];
    nft_attention_tensor *own = &a->tensors[t];
    int64_t C = a->channels;
    nft_buffer x = nft_features_of(&a->normed, tensor, C),
               dqkv = nft_buffer_part(&a->qkv_gradient, nft_size_multiply(tensor->first_token, 3 * C),
                                      tensor->tokens, 3 * C, 3 * C);
    nft_status status = nft_gradient_of_map(builder, &own->qkv, &x, &dqkv);
    if (status || !own->unprojects)
        return status;
    nft_buffer terms = nft_buffer_part(&a->terms, nft_size_multiply(tensor->first_token, C), tensor->tokens,
                                       C, C),
               dy = nft_features_of(&a->output_gradient, tensor, C);
    if ((status = nft_gradient_of_weight(builder, &own->unproject, &terms, &dy)))
        return status;
    return nft_gradient_add(builder, &own->unproject.bias, &own->bias_gradient);
}

nft_buffer nft_attention_reserve_training(nft_attention *a, nft_builder *builder)
{
    int64_t floats = nft_size_multiply(a->space->numbers, a->channels), end = a->reserved,
            start = nft_take(&end, floats);
    if (end > nft_size_multiply(a->qkv.rows, a->qkv.stride))
        return nft_reserve_features(builder, NFT_ARENA_TRAINING, a->channels);
    a->reserved = end;
    nft_buffer place = nft_call_place(&a->qkv);
    return nft_buffer_part(&place, start, 1, floats, floats);
}

/* Buffers of backward only. */
static nft_status plan_backward(nft_attention *a, nft_builder *builder)
{
    const nft_space *space = a->space;
    int64_t C = a->channels, tensors = space->tensor_count;
    a->normed = a->norms ? nft_reserve_features(builder, NFT_ARENA_FRAME, C) : builder->arrives;
    int64_t weights = kept_floats(a);
    a->keeps_weights = weights <= nft_size_multiply(2, nft_size_multiply(space->tokens, C));
    a->kept_weights = nft_reserve(builder, NFT_ARENA_FRAME, 1, a->keeps_weights ? weights : 0);
    a->terms_gradient = nft_reserve(builder, NFT_ARENA_TRAINING, a->shared ? 0 : space->tokens, C);
    if (a->norms)
        a->normed_gradient = nft_attention_reserve_training(a, builder);
    a->diagonal_gradient = nft_reserve(builder, NFT_ARENA_TRAINING, tensors, 3 * C);
    a->diagonal_scores_gradient = nft_reserve(builder, NFT_ARENA_TRAINING, tensors, tensors);
    a->qkv_gradient = nft_reserve(builder, NFT_ARENA_BACKWARD, space->tokens, 3 * C);
    if (a->shared)
        return declare_shared_gradients(a, builder);
    a->output_gradient = nft_reserve_features(builder, NFT_ARENA_BACKWARD, C);
    nft_status status = NFT_OK;
    for (int64_t t = 0; t < tensors && !status; t++)
        status = declare_gradients(a, builder, t);
    return status;
}

static int64_t count_flops(const nft_attention *a)
{
    const nft_space *space = a->space;
    int64_t flops = 0, C = a->channels;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_attention_tensor *own = &a->tensors[t];
        int64_t tokens = space->tensors[t].tokens;
        int64_t projected = nft_attention_crosses(a, &space->tensors[t]) ? tokens
                            : a->diagonal                                ? 1
                                          : 0; /* without cross terms only the mean token */
        flops = nft_size_add(flops, nft_map_flops(&own->qkv, projected));
        if (own->unprojects && own->terms > 0)
            flops = nft_size_add(flops, nft_map_flops(&own->unproject, tokens));
    }
    if (a->diagonal) /* scores, then values; in all heads */
        flops = nft_size_add(flops, 2 * nft_product_flops(space->tensor_count, space->tensor_count, C));
    for (int64_t i = 0; i < space->axis_count && a->cross; i++) {
        const nft_axis *axis = &space->axes[i];
        if (a->axis != NFT_ALL_AXES && a->axis != i)
            continue;
        int64_t scores = nft_product_flops(axis->vectors, axis->vectors, nft_size_multiply(axis->size, C));
        flops = nft_size_add(flops, nft_size_multiply(2, scores));
    }
    return flops;
}

static nft_status check_sizes(const nft_builder *builder, const nft_attention_options *values)
{
    int64_t C = builder->value.channels, heads = values->num_heads;
    if (C % heads)
        return nft_fail(NFT_ERROR_CONFIG, "%s: %" PRId64 " channels do not divide by num_heads, %" PRId64,
                        builder->where, C, heads);
    for (int64_t i = 0; i < builder->space->axis_count; i++) {
        const nft_axis *axis = &builder->space->axes[i];
        int64_t length = nft_size_multiply(axis->size, C / heads),
                most = NFT_GEMM_MAX_SIZE - NFT_AXIS_PADDING;
        if (length > most || axis->vectors > most)
            return nft_fail(NFT_ERROR_LIMIT,
                            "%s: axis '%s' has %" PRId64 " vectors of %" PRId64 " neurons with %" PRId64
                            " channels in a head, more than a matrix product takes",
                            builder->where, axis->name, axis->vectors, axis->size, C / heads);
    }
    return NFT_OK;
}

static nft_status check_projections(const nft_builder *builder, const nft_attention_options *values)
{
    if (values->share_projections) {
        nft_status status = nft_require_one_position(builder);
        return status ? nft_fail_in(status, "share_projections is true; set it to false for tensors with "
                                            "positions, or put lift before it")
                      : NFT_OK;
    }
    if (builder->any_space)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: 'share_projections' is false, but a model of any space has one projection for "
                        "all tensors",
                        builder->where);
    return NFT_OK;
}

nft_status nft_attention_configure(nft_attention *a, nft_module *module, nft_builder *builder,
                                   const nft_attention_options *values, const nft_channel_norms *norms,
                                   const char *prefix)
{
    return nft_attention_configure_axis(a, module, builder, values, norms, prefix, NFT_ALL_AXES, NULL);
}

nft_status nft_attention_configure_axis(nft_attention *a, nft_module *module, nft_builder *builder,
                                        const nft_attention_options *values, const nft_channel_norms *norms,
                                        const char *prefix, int64_t axis, const nft_attention *first)
{
    const nft_space *space = builder->space;
    nft_status status;
    if ((status = check_sizes(builder, values)) || (status = check_projections(builder, values)))
        return status;
    *a = (nft_attention){.space = space,
                         .options = *values,
                         .channels = builder->value.channels,
                         .heads = values->num_heads,
                         .head_channels = builder->value.channels / values->num_heads,
                         .shared = values->share_projections,
                         .cross = !values->ablate_crossterm,
                         .diagonal = !values->ablate_diagonalterm && !first,
                         .axis = axis,
                         .stream = nft_random_stream(builder->path) ^ nft_random_stream(prefix),
                         .norms = norms};
    int64_t bytes = nft_size_multiply(space->tensor_count, (int64_t)sizeof *a->tensors);
    a->tensors = nft_allocate_array((size_t)space->tensor_count, sizeof *a->tensors);
    if (!a->tensors)
        return nft_fail_memory(builder->where, bytes);
    for (int64_t t = 0; t < space->tensor_count; t++)
        a->tensors[t] =
            (nft_attention_tensor){.terms = (a->cross ? space->tensors[t].rank : 0) + a->diagonal};
    if ((status = a->shared ? add_shared_projection(a, builder, prefix, first)
                            : add_projections(a, builder, prefix)))
        return status;
    plan_forward(a, builder);
    if ((status = plan_backward(a, builder)))
        return status;
    module->flops = nft_size_add(module->flops, count_flops(a));
    return NFT_OK;
}

void nft_attention_release(nft_attention *attention)
{
    nft_release(attention->tensors);
}
