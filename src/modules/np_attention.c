#include "modules/np_attention.h"
#include "modules/tokens.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

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

static void plan_scratch(nft_attention *a, nft_module *module)
{
    const nft_space *space = a->space;
    int64_t C = a->channels, width = nft_widest_tensor(space, C), rows = nft_longest_chunk(space),
            longest = 0, vectors = 0;
    for (int64_t i = 0; i < space->axis_count; i++) {
        const nft_axis *axis = &space->axes[i];
        a->axis_offsets[i] = vectors;
        if (a->cross)
            vectors =
                nft_size_add(vectors, nft_size_multiply(3 * C, nft_size_multiply(axis->tokens, axis->size)));
        longest = axis->tokens > longest ? axis->tokens : longest;
    }
    a->vectors = nft_reserve(&module->scratch, vectors);
    if (a->diagonal) {
        a->sums = nft_reserve(&module->scratch, nft_size_multiply(nft_rows_count(space), width));
        a->means = nft_reserve(&module->scratch, nft_size_multiply(space->tensor_count, width));
        a->diagonal_qkv = nft_reserve(&module->scratch, nft_size_multiply(space->tensor_count, 3 * C));
        a->diagonal_out = nft_reserve(&module->scratch, nft_size_multiply(space->tensor_count, C));
    }
    /* Three uses after each other: normed rows and their q, k, v; scores; summed terms. */
    int64_t project = 0, scores = 0, combine = 0, diagonal = 0;
    nft_reserve(&project, nft_size_multiply(rows, width));
    nft_reserve(&project, nft_size_multiply(rows, 3 * C));
    nft_reserve(&scores, nft_size_multiply(longest < NFT_CHUNK_ROWS ? longest : NFT_CHUNK_ROWS, longest));
    nft_reserve(&combine, nft_size_multiply(rows, C));
    nft_reserve(&diagonal, nft_size_multiply(space->tensor_count, space->tensor_count));
    int64_t sizes[] = {project, scores, combine, diagonal};
    for (int i = 0; i < 4; i++)
        module->thread_scratch = sizes[i] > module->thread_scratch ? sizes[i] : module->thread_scratch;
}

static int64_t count_flops(const nft_attention *a)
{
    const nft_space *space = a->space;
    int64_t flops = 0, C = a->channels;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        int64_t tokens = space->tensors[t].tokens;
        flops = nft_size_add(flops, nft_map_flops(&a->qkv[t], tokens));
        if (!a->shared && !space->tensors[t].bias)
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
                                   const nft_attention_options *values, const char *prefix)
{
    const nft_space *space = builder->space;
    int64_t C = builder->value.channels;
    nft_status status;
    if (C % values->num_heads)
        return nft_fail(NFT_ERROR_CONFIG, "%s: %" PRId64 " channels do not divide by num_heads, %" PRId64,
                        builder->where, C, values->num_heads);
    if (values->share_projections && (status = nft_require_one_position(builder)))
        return nft_fail_in(status, "share_projections is true; set it to false for layers with filters");
    size_t maps = (size_t)space->tensor_count * sizeof(nft_map);
    char *arrays = nft_allocate(2 * maps + (size_t)space->axis_count * sizeof(int64_t));
    if (!arrays)
        return nft_fail_memory(builder->where, (int64_t)(2 * maps));
    *a = (nft_attention){.space = space,
                         .channels = C,
                         .heads = values->num_heads,
                         .head_channels = C / values->num_heads,
                         .shared = values->share_projections,
                         .cross = !values->ablate_crossterm,
                         .diagonal = !values->ablate_diagonalterm,
                         .terms = (values->ablate_crossterm ? 0 : 2) + !values->ablate_diagonalterm,
                         .qkv = (nft_map *)arrays,
                         .unproject = (nft_map *)(arrays + maps),
                         .axis_offsets = (int64_t *)(arrays + 2 * maps)};
    status = add_projections(a, builder, prefix);
    plan_scratch(a, module);
    module->flops = nft_size_add(module->flops, count_flops(a));
    return status;
}

void nft_attention_release(nft_attention *attention)
{
    nft_release(attention->qkv);
}

typedef struct work {
    const nft_attention *attention;
    const nft_exec *exec;
    const nft_channel_norm *norms;
    bool residual;
    const float *in;
    float *out;
} work;

/* The vectors (q: 0, k: 1, v: 2) of one head on one axis: a matrix (vectors of the axis, size ·
 * head_channels). */
static float *axis_vectors(const work *w, int64_t axis, int which, int64_t head)
{
    const nft_attention *a = w->attention;
    const nft_axis *x = &a->space->axes[axis];
    int64_t matrix = x->tokens * x->size * a->head_channels;
    return w->exec->scratch + a->vectors + a->axis_offsets[axis] + (which * a->heads + head) * matrix;
}

static const nft_axis_side *side_of(const nft_space *space, int64_t axis, int64_t tensor)
{
    const nft_axis_side *side = space->axes[axis].sides;
    while (side->tensor != tensor)
        side++;
    return side;
}

/* Where the tokens of a tensor stand among the vectors of one of its axes: token (row, column) begins at
 * first + row · row_step + column · column_step floats of that axis's matrices. */
typedef struct placement {
    int64_t axis, first, row_step, column_step;
} placement;

static placement place(const nft_attention *a, int64_t tensor, int64_t axis)
{
    const nft_axis_side *side = side_of(a->space, axis, tensor);
    int64_t vector = a->space->axes[axis].size * a->head_channels;
    return (placement){.axis = axis,
                       .first = side->first * vector,
                       .row_step = side->rows ? a->head_channels : vector,
                       .column_step = side->rows ? vector : a->head_channels};
}

/* The one or two axes of a tensor. */
static int placements(const nft_attention *a, int64_t tensor, placement places[2])
{
    const nft_tensor *t = &a->space->tensors[tensor];
    places[0] = place(a, tensor, t->row_axis);
    if (t->column_axis < 0)
        return 1;
    places[1] = place(a, tensor, t->column_axis);
    return 2;
}

/* Tokens of one row of their tensor follow each other at equal distances, on an axis too. */
typedef struct run {
    int64_t first, count; /* among the rows' tokens */
    int64_t offset;       /* of the first one in the axis's matrices; the next is column_step further */
} run;

static run next_run(const nft_rows *rows, int64_t columns, int64_t first, const placement *place)
{
    int64_t token = rows->first + first, column = token % columns, left = rows->count - first;
    return (run){.first = first,
                 .count = left < columns - column ? left : columns - column,
                 .offset = place->first + token / columns * place->row_step + column * place->column_step};
}

/* Copies q, k, v (count, 3C) of some tokens to their places on an axis. */
static void scatter_qkv(const work *w, const nft_rows *rows, const placement *to, const float *qkv)
{
    const nft_attention *a = w->attention;
    int64_t ch = a->head_channels, stride = 3 * a->channels,
            columns = a->space->tensors[rows->tensor].columns;
    for (int64_t head = 0; head < a->heads; head++)
        for (int which = 0; which < 3; which++) {
            float *vectors = axis_vectors(w, to->axis, which, head);
            const float *from = qkv + (head * 3 + which) * ch;
            for (run r = {0}; r.first < rows->count; r.first += r.count) {
                r = next_run(rows, columns, r.first, to);
                nft_vector()->copy_rows(r.count, ch, from + r.first * stride, stride, vectors + r.offset,
                                        to->column_step);
            }
        }
}

/* One chunk of rows: norm, sum for the diagonal term, projection, and q, k, v to the axes. */
static void project(void *argument, int64_t item, float *thread_scratch)
{
    const work *w = argument;
    const nft_attention *a = w->attention;
    const float *parameters = w->exec->parameters;
    nft_rows rows = nft_rows_at(a->space, item);
    const nft_map *map = &a->qkv[rows.tensor];
    int64_t width = map->inputs, next = 0;
    float *normed = thread_scratch + nft_reserve(&next, rows.count * width),
          *qkv = thread_scratch + nft_reserve(&next, 0);
    const float *x = w->in + a->space->tensors[rows.tensor].offset * a->channels + rows.first * width;
    if (w->norms) {
        nft_channel_norm_rows(&w->norms[rows.tensor], parameters, rows.count, x, normed);
        x = normed;
    }
    if (a->diagonal) {
        float *sum = w->exec->scratch + a->sums + item * nft_widest_tensor(a->space, a->channels);
        memset(sum, 0, (size_t)width * sizeof *sum);
        nft_vector()->sum_rows(rows.count, width, x, width, sum);
    }
    if (!a->cross)
        return;
    nft_map_rows(w->exec, map, rows.count, x, width, qkv, map->outputs, NFT_MAP_SET);
    placement places[2];
    int count = placements(a, rows.tensor, places);
    for (int i = 0; i < count; i++)
        scatter_qkv(w, &rows, &places[i], qkv);
}

/* The mean of q, k, v over a tensor is the projection of the mean token. */
static void project_means(const work *w)
{
    const nft_attention *a = w->attention;
    const nft_space *space = a->space;
    int64_t widest = nft_widest_tensor(space, a->channels), items = nft_rows_count(space);
    const float *sums = w->exec->scratch + a->sums;
    float *means = w->exec->scratch + a->means, *qkv = w->exec->scratch + a->diagonal_qkv;
    memset(means, 0, (size_t)(space->tensor_count * widest) * sizeof *means);
    for (int64_t item = 0; item < items; item++) {
        nft_rows rows = nft_rows_at(space, item);
        nft_vector()->add(a->qkv[rows.tensor].inputs, sums + item * widest, means + rows.tensor * widest);
    }
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_map *map = &a->qkv[t];
        float *mean = means + t * widest;
        nft_vector()->copy_scaled(map->inputs, 1 / (float)space->tensors[t].tokens, mean, mean);
        nft_map_rows(w->exec, map, 1, mean, map->inputs, qkv + t * map->outputs, map->outputs, NFT_MAP_SET);
    }
}

/* Diagonal term: attention between the mean tokens of all tensors, scale 1/√ch; result j goes to every entry
 * of tensor j. */
static void diagonal_term(const work *w)
{
    const nft_attention *a = w->attention;
    int64_t n = a->space->tensor_count, ch = a->head_channels, stride = 3 * a->channels;
    float *scores = w->exec->thread_scratch;
    project_means(w);
    for (int64_t head = 0; head < a->heads; head++) {
        const float *q = w->exec->scratch + a->diagonal_qkv + head * 3 * ch;
        nft_gemm_nt(n, n, ch, 1, q, stride, q + ch, stride, 0, scores, n);
        nft_vector()->softmax(n, n, 1 / sqrtf((float)ch), scores, n);
        nft_gemm_nn(n, ch, n, 1, scores, n, q + 2 * ch, stride, 0,
                    w->exec->scratch + a->diagonal_out + head * ch, a->channels);
    }
}

/* Items of the cross terms: (axis, head, chunk of queries). */
static int64_t axis_items(const nft_attention *a, int64_t axis)
{
    return a->heads * nft_chunk_count(a->space->axes[axis].tokens);
}

/* Softmax attention between the vectors of one axis in one head, scale 1/√(ch·n); results take the place of
 * the queries. */
static void attend(void *argument, int64_t item, float *scores)
{
    const work *w = argument;
    const nft_attention *a = w->attention;
    int64_t axis = 0, first, count;
    while (item >= axis_items(a, axis))
        item -= axis_items(a, axis++);
    int64_t tokens = a->space->axes[axis].tokens, length = a->space->axes[axis].size * a->head_channels;
    int64_t chunks = nft_chunk_count(tokens), head = item / chunks;
    nft_chunk(tokens, item % chunks, &first, &count);
    float *q = axis_vectors(w, axis, 0, head) + first * length;
    const float *k = axis_vectors(w, axis, 1, head), *v = axis_vectors(w, axis, 2, head);
    nft_gemm_nt(count, tokens, length, 1, q, length, k, length, 0, scores, tokens);
    nft_vector()->softmax(count, tokens, 1 / sqrtf((float)length), scores, tokens);
    nft_gemm_nn(count, length, tokens, 1, scores, tokens, v, length, 0, q, length);
}

static void cross_terms(const work *w)
{
    const nft_attention *a = w->attention;
    int64_t items = 0;
    for (int64_t axis = 0; axis < a->space->axis_count; axis++)
        items += axis_items(a, axis);
    nft_exec_for(w->exec, items, attend, (void *)w);
}

/* Sums the terms of some tokens into (count, C). `sum` holds what they are added to. */
static void add_terms(const work *w, const nft_rows *rows, float *sum)
{
    const nft_attention *a = w->attention;
    int64_t C = a->channels, ch = a->head_channels, columns = a->space->tensors[rows->tensor].columns;
    if (a->diagonal)
        nft_vector()->add_bias(rows->count, C, w->exec->scratch + a->diagonal_out + rows->tensor * C, sum, C);
    if (!a->cross)
        return;
    placement places[2];
    int count = placements(a, rows->tensor, places);
    for (int p = 0; p < count; p++)
        for (int64_t head = 0; head < a->heads; head++) {
            const float *results = axis_vectors(w, places[p].axis, 0, head);
            for (run r = {0}; r.first < rows->count; r.first += r.count) {
                r = next_run(rows, columns, r.first, &places[p]);
                nft_vector()->add_rows(r.count, ch, results + r.offset, places[p].column_step,
                                       sum + r.first * C + head * ch, C);
            }
        }
}

/* out = (in +) the terms; a weight's go through the unprojection unless projections are shared. */
static void combine(void *argument, int64_t item, float *sum)
{
    const work *w = argument;
    const nft_attention *a = w->attention;
    nft_rows rows = nft_rows_at(a->space, item);
    const nft_tensor *tensor = &a->space->tensors[rows.tensor];
    int64_t width = nft_tensor_width(tensor, a->channels),
            start = tensor->offset * a->channels + rows.first * width;
    float *out = w->out + start;
    if (!w->residual)
        memset(out, 0, (size_t)(rows.count * width) * sizeof *out);
    else if (w->in != w->out)
        memcpy(out, w->in + start, (size_t)(rows.count * width) * sizeof *out);
    if (a->shared || tensor->bias || a->terms == 0) {
        add_terms(w, &rows, out);
        return;
    }
    const nft_map *map = &a->unproject[rows.tensor];
    const float *bias = w->exec->parameters + map->bias;
    memset(sum, 0, (size_t)(rows.count * a->channels) * sizeof *sum);
    add_terms(w, &rows, sum);
    nft_map_rows(w->exec, map, rows.count, sum, map->inputs, out, map->outputs, NFT_MAP_ADD);
    for (int64_t term = 1; term < a->terms; term++) /* the map has added its bias once */
        nft_vector()->add_bias(rows.count, map->outputs, bias, out, map->outputs);
}

void nft_attention_forward(const nft_attention *attention, const nft_exec *exec,
                           const nft_channel_norm *norms, bool residual, const float *in, float *out)
{
    work w = {attention, exec, norms, residual, in, out};
    int64_t items = nft_rows_count(attention->space);
    nft_exec_for(exec, items, project, &w);
    if (attention->diagonal)
        diagonal_term(&w);
    if (attention->cross)
        cross_terms(&w);
    nft_exec_for(exec, items, combine, &w);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_attention_options values;
    double dropout = 0;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_attention_read(options, &values)) ||
        (status = nft_dropout_option(builder, options, &dropout)) ||
        (status = nft_module_state(module, sizeof(nft_attention))))
        return status;
    return nft_attention_configure(module->state, module, builder, &values, "");
}

static void release(nft_module *module)
{
    nft_attention_release(module->state);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    nft_attention_forward(module->state, exec, NULL, false, in, out);
}

const nft_module_class nft_module_np_attention = {
    .type = "np_attention", .in_place = true, .configure = configure, .forward = forward, .release = release};
