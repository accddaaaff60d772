#include "modules/np_attention.h"

#include "math/gradients.h"
#include "modules/tokens.h"

#include <math.h>
#include <string.h>

typedef struct work {
    const nft_attention *attention;
    const nft_exec *exec;
    bool residual;
    const float *in; /* in backward the gradient of the output */
    float *out;
} work;

/* q, k, v along the axes. */
static nft_axis_layout qkv_layout(const nft_attention *a)
{
    return (nft_axis_layout){a->space, a->heads, a->head_channels, 3, a->axis_offsets};
}

static float *qkv_vectors(const work *w)
{
    return w->exec->kept ? w->exec->kept + w->attention->kept_vectors
                         : w->exec->scratch + w->attention->vectors;
}

/* Results take the place of the queries, unless these are kept. */
static nft_axis_layout result_layout(const work *w)
{
    nft_axis_layout layout = qkv_layout(w->attention);
    layout.groups = w->exec->kept ? 1 : 3;
    return layout;
}

static float *result_vectors(const work *w)
{
    return w->exec->scratch + (w->exec->kept ? w->attention->results : w->attention->vectors);
}

/* One chunk of rows: norm, sum for the diagonal term, projection, and q, k, v to the axes. */
static void project(void *argument, int64_t item, float *thread_scratch)
{
    const work *w = argument;
    const nft_attention *a = w->attention;
    nft_rows rows = nft_rows_at(a->space, item);
    const nft_map *map = &a->qkv[rows.tensor];
    int64_t width = map->inputs, next = 0,
            start = a->space->tensors[rows.tensor].offset * a->channels + rows.first * width;
    float *normed = thread_scratch + nft_reserve(&next, rows.count * width),
          *qkv = thread_scratch + nft_reserve(&next, 0);
    const float *x = w->in + start;
    if (a->norms) {
        if (w->exec->kept)
            normed = w->exec->kept + a->kept_normed + start;
        nft_channel_norm_rows(&a->norms[rows.tensor], w->exec->parameters, rows.count, x, normed);
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
    nft_axis_layout layout = qkv_layout(a);
    for (int group = 0; group < 3; group++)
        nft_axis_put(&layout, qkv_vectors(w), group, &rows, qkv + group * a->head_channels, 3 * a->channels,
                     3 * a->head_channels);
}

/* The mean of q, k, v over a tensor is the projection of the mean token. */
static void project_means(const work *w, float *qkv)
{
    const nft_attention *a = w->attention;
    const nft_space *space = a->space;
    int64_t widest = nft_widest_tensor(space, a->channels), items = nft_rows_count(space);
    const float *sums = w->exec->scratch + a->sums;
    float *means = w->exec->scratch + a->means;
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

/* softmax(q kᵀ / √length) of `count` queries against `tokens` keys. */
static void attention_weights(int64_t count, int64_t tokens, int64_t length, const float *q, const float *k,
                              int64_t stride, float *scores)
{
    nft_vector()->row_products(count, tokens, length, q, stride, k, stride, scores, tokens);
    nft_vector()->softmax(count, tokens, 1 / sqrtf((float)length), scores, tokens);
}

/* Diagonal term: attention between the mean tokens of all tensors, scale 1/√ch; result j goes to every entry
 * of tensor j. */
static void diagonal_term(const work *w)
{
    const nft_attention *a = w->attention;
    int64_t n = a->space->tensor_count, ch = a->head_channels, stride = 3 * a->channels;
    float *scores = w->exec->thread_scratch;
    float *all = w->exec->kept ? w->exec->kept + a->kept_diagonal_qkv : w->exec->scratch + a->diagonal_qkv;
    project_means(w, all);
    for (int64_t head = 0; head < a->heads; head++) {
        const float *q = all + head * 3 * ch;
        attention_weights(n, n, ch, q, q + ch, stride, scores);
        nft_gemm_nn(n, ch, n, 1, scores, n, q + 2 * ch, stride, 0,
                    w->exec->scratch + a->diagonal_out + head * ch, a->channels);
    }
}

/* Items of the cross terms: (axis, head, chunk of queries). */
static int64_t axis_items(const nft_attention *a, int64_t axis)
{
    return a->heads * nft_chunk_count(a->space->axes[axis].tokens);
}

/* The dropout of one item's weights. */
static uint64_t item_stream(const nft_attention *a, int64_t axis, int64_t head, int64_t chunk)
{
    return a->stream + (uint64_t)((axis * a->heads + head) * (1 << 20) + chunk + 1);
}

/* Where the weights of the chunk that begins with vector `first` are kept; NULL if they are not. */
static float *kept_weights(const work *w, int64_t axis, int64_t head, int64_t first)
{
    const nft_attention *a = w->attention;
    int64_t tokens = a->space->axes[axis].tokens;
    if (!w->exec->kept || a->kept_weights < 0)
        return NULL;
    return w->exec->kept + a->kept_weights + nft_attention_weights_before(a, axis) +
           (head * tokens + first) * tokens;
}

/* Softmax attention between the vectors of one axis in one head, scale 1/√(ch·n). */
static void attend(void *argument, int64_t item, float *scores)
{
    const work *w = argument;
    const nft_attention *a = w->attention;
    int64_t axis = 0, first, count;
    while (item >= axis_items(a, axis))
        item -= axis_items(a, axis++);
    int64_t tokens = a->space->axes[axis].tokens, length = a->space->axes[axis].size * a->head_channels;
    int64_t chunks = nft_chunk_count(tokens), head = item / chunks, chunk = item % chunks;
    nft_chunk(tokens, chunk, &first, &count);
    nft_axis_layout layout = qkv_layout(a), results = result_layout(w);
    float *q = nft_axis_matrix(&layout, qkv_vectors(w), axis, 0, head),
          *k = nft_axis_matrix(&layout, qkv_vectors(w), axis, 1, head);
    const float *v = nft_axis_matrix(&layout, qkv_vectors(w), axis, 2, head);
    float *result = nft_axis_matrix(&results, result_vectors(w), axis, 0, head);
    int64_t stride = nft_axis_stride(&layout, axis);
    float *kept = kept_weights(w, axis, head, first), *weights = kept ? kept : scores;
    attention_weights(count, tokens, length, q + first * stride, k, stride, weights);
    if (w->exec->dropout && a->options.dropout > 0) {
        nft_drop(w->exec, item_stream(a, axis, head, chunk), a->options.dropout, count * tokens, weights,
                 scores);
        weights = scores;
    }
    nft_gemm_nn(count, length, tokens, 1, weights, tokens, v, stride, 0, result + first * stride, stride);
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
    if (a->diagonal)
        nft_vector()->add_bias(rows->count, a->channels,
                               w->exec->scratch + a->diagonal_out + rows->tensor * a->channels, sum,
                               a->channels);
    if (!a->cross)
        return;
    nft_axis_layout layout = result_layout(w);
    nft_axis_add(&layout, result_vectors(w), 0, rows, sum, a->channels, a->head_channels);
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
    if (a->shared || tensor->bias) {
        add_terms(w, &rows, out);
        return;
    }
    const nft_map *map = &a->unproject[rows.tensor];
    if (w->exec->kept)
        sum = w->exec->kept + a->kept_terms + (tensor->first_token + rows.first) * a->channels;
    memset(sum, 0, (size_t)(rows.count * a->channels) * sizeof *sum);
    add_terms(w, &rows, sum);
    if (a->terms == 0)
        return;
    nft_map_rows(w->exec, map, rows.count, sum, map->inputs, out, map->outputs, NFT_MAP_ADD);
    for (int64_t term = 1; term < a->terms; term++) /* the map has added its bias once */
        nft_vector()->add_bias(rows.count, map->outputs, w->exec->parameters + map->bias, out, map->outputs);
}

void nft_attention_forward(const nft_attention *attention, const nft_exec *exec, bool residual,
                           const float *in, float *out)
{
    work w = {attention, exec, residual, in, out};
    int64_t items = nft_rows_count(attention->space);
    nft_exec_for(exec, items, project, &w);
    if (attention->diagonal)
        diagonal_term(&w);
    if (attention->cross)
        cross_terms(&w);
    nft_exec_for(exec, items, combine, &w);
}

/* --- backward --- */

/* The gradient of the summed terms of all tokens, (tokens, C). */
static const float *terms_gradient(const work *w)
{
    return w->attention->shared ? w->in : w->exec->scratch + w->attention->terms_gradient;
}

/* One chunk: the gradient of the terms, back through the unprojection; and that of the results to their
 * places on the axes. */
static void spread(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const work *w = argument;
    const nft_attention *a = w->attention;
    nft_rows rows = nft_rows_at(a->space, item);
    const nft_tensor *tensor = &a->space->tensors[rows.tensor];
    int64_t C = a->channels, width = nft_tensor_width(tensor, C),
            start = tensor->offset * C + rows.first * width;
    if (!a->shared) {
        float *kept = w->exec->kept + a->kept_output_gradient + start;
        float *terms = w->exec->scratch + a->terms_gradient + (tensor->first_token + rows.first) * C;
        memcpy(kept, w->in + start, (size_t)(rows.count * width) * sizeof *kept);
        if (tensor->bias)
            memcpy(terms, kept, (size_t)(rows.count * C) * sizeof *terms);
        else
            nft_map_rows_back(w->exec, &a->unproject[rows.tensor], rows.count, kept, width, terms, C,
                              NFT_MAP_SET);
    }
    if (!a->cross)
        return;
    nft_axis_layout layout = result_layout(w);
    nft_axis_put(&layout, result_vectors(w), 0, &rows,
                 terms_gradient(w) + (tensor->first_token + rows.first) * C, C, a->head_channels);
}

/* Each term has added the unprojection's bias to every entry. */
static void unproject_bias_gradients(const work *w)
{
    const nft_attention *a = w->attention;
    for (int64_t t = 0; t < a->space->tensor_count; t += 2) {
        const nft_tensor *tensor = &a->space->tensors[t];
        int64_t width = nft_tensor_width(tensor, a->channels);
        float *gradient = w->exec->kept + a->unproject_bias[t];
        memset(gradient, 0, (size_t)width * sizeof *gradient);
        nft_vector()->sum_rows(tensor->tokens, width, w->in + tensor->offset * a->channels, width, gradient);
        nft_vector()->copy_scaled(width, (float)a->terms, gradient, gradient);
    }
}

/* From dO, in the results' place: with P the weights before dropout and P' after, dV = P'ᵀ dO, dP' = dO Vᵀ,
 * and dQ, dK through the softmax. Chunks of queries follow each other, so dK and dV are summed in their
 * order. */
static void attend_backward(void *argument, int64_t item, float *scores)
{
    const work *w = argument;
    const nft_attention *a = w->attention;
    int64_t axis = item / a->heads, head = item % a->heads;
    int64_t tokens = a->space->axes[axis].tokens, length = a->space->axes[axis].size * a->head_channels;
    int64_t chunks = nft_chunk_count(tokens), first, count;
    nft_axis_layout layout = qkv_layout(a), results = result_layout(w);
    float *vectors = w->exec->kept + a->kept_vectors, *gradients = w->exec->scratch + a->vectors;
    const float *q = nft_axis_matrix(&layout, vectors, axis, 0, head),
                *k = nft_axis_matrix(&layout, vectors, axis, 1, head);
    const float *v = nft_axis_matrix(&layout, vectors, axis, 2, head);
    float *dq = nft_axis_matrix(&layout, gradients, axis, 0, head),
          *dk = nft_axis_matrix(&layout, gradients, axis, 1, head);
    float *dv = nft_axis_matrix(&layout, gradients, axis, 2, head);
    const float *d = nft_axis_matrix(&results, result_vectors(w), axis, 0, head);
    int64_t stride = nft_axis_stride(&layout, axis);
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        nft_chunk(tokens, chunk, &first, &count);
        int64_t start = first * stride, weights = count * tokens;
        uint64_t stream = item_stream(a, axis, head, chunk);
        float *kept = kept_weights(w, axis, head, first), *p = kept ? kept : scores;
        float *dp = scores + (weights + 15) / 16 * 16, after = chunk > 0;
        if (!kept)
            attention_weights(count, tokens, length, q + start, k, stride, p);
        nft_drop(w->exec, stream, a->options.dropout, weights, p, dp);
        nft_gemm_tn(tokens, length, count, 1, dp, tokens, d + start, stride, after, dv, stride);
        nft_vector()->row_products(count, tokens, length, d + start, stride, v, stride, dp, tokens);
        nft_drop(w->exec, stream, a->options.dropout, weights, dp, dp);
        nft_vector_gradients()->softmax(count, tokens, 1 / sqrtf((float)length), p, tokens, dp, tokens, dp,
                                        tokens);
        nft_gemm_nn(count, length, tokens, 1, dp, tokens, k, stride, 0, dq + start, stride);
        nft_gemm_tn(tokens, length, count, 1, dp, tokens, q + start, stride, after, dk, stride);
    }
}

/* The same for the diagonal term: leaves in diagonal_qkv the gradient of every entry's q, k, v, that of the
 * mean over the number of entries. */
static void diagonal_backward(const work *w)
{
    const nft_attention *a = w->attention;
    const nft_space *space = a->space;
    int64_t n = space->tensor_count, C = a->channels, ch = a->head_channels;
    float *p = w->exec->thread_scratch, *dp = p + (n * n + 15) / 16 * 16;
    float *d_out = w->exec->scratch + a->diagonal_out, *gradients = w->exec->scratch + a->diagonal_qkv;
    memset(d_out, 0, (size_t)(n * C) * sizeof *d_out);
    for (int64_t t = 0; t < n; t++)
        nft_vector()->sum_rows(space->tensors[t].tokens, C,
                               terms_gradient(w) + space->tensors[t].first_token * C, C, d_out + t * C);
    for (int64_t head = 0; head < a->heads; head++) {
        const float *q = w->exec->kept + a->kept_diagonal_qkv + head * 3 * ch, *k = q + ch, *v = k + ch,
                    *d = d_out + head * ch;
        float *dq = gradients + head * 3 * ch;
        attention_weights(n, n, ch, q, k, 3 * C, p);
        nft_gemm_tn(n, ch, n, 1, p, n, d, C, 0, dq + 2 * ch, 3 * C);
        nft_vector()->row_products(n, n, ch, d, C, v, 3 * C, dp, n);
        nft_vector_gradients()->softmax(n, n, 1 / sqrtf((float)ch), p, n, dp, n, dp, n);
        nft_gemm_nn(n, ch, n, 1, dp, n, k, 3 * C, 0, dq, 3 * C);
        nft_gemm_tn(n, ch, n, 1, dp, n, q, 3 * C, 0, dq + ch, 3 * C);
    }
    for (int64_t t = 0; t < n; t++)
        nft_vector()->copy_scaled(3 * C, 1 / (float)space->tensors[t].tokens, gradients + t * 3 * C,
                                  gradients + t * 3 * C);
}

/* One chunk: the gradients of its q, k, v from the axes and the diagonal term, then back through the
 * projection. */
static void collect(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const work *w = argument;
    const nft_attention *a = w->attention;
    nft_rows rows = nft_rows_at(a->space, item);
    const nft_tensor *tensor = &a->space->tensors[rows.tensor];
    int64_t C = a->channels, width = nft_tensor_width(tensor, C),
            start = tensor->offset * C + rows.first * width;
    float *dqkv = w->exec->kept + a->kept_qkv_gradient + (tensor->first_token + rows.first) * 3 * C;
    memset(dqkv, 0, (size_t)(rows.count * 3 * C) * sizeof *dqkv);
    if (a->diagonal)
        nft_vector()->add_bias(rows.count, 3 * C, w->exec->scratch + a->diagonal_qkv + rows.tensor * 3 * C,
                               dqkv, 3 * C);
    nft_axis_layout layout = qkv_layout(a);
    for (int group = 0; group < 3 && a->cross; group++)
        nft_axis_add(&layout, w->exec->scratch + a->vectors, group, &rows, dqkv + group * a->head_channels,
                     3 * C, 3 * a->head_channels);
    float *dx = (a->norms ? w->exec->scratch + a->normed_gradient : w->out) + start;
    nft_map_rows_back(w->exec, &a->qkv[rows.tensor], rows.count, dqkv, 3 * C, dx, width, NFT_MAP_SET);
}

void nft_attention_backward(const nft_attention *attention, const nft_exec *exec, const float *in,
                            const float *grad_out, float *grad_in)
{
    work w = {attention, exec, false, grad_out, grad_in};
    int64_t items = nft_rows_count(attention->space);
    nft_exec_for(exec, items, spread, &w);
    if (!attention->shared)
        unproject_bias_gradients(&w);
    if (attention->cross)
        nft_exec_for(exec, attention->space->axis_count * attention->heads, attend_backward, &w);
    if (attention->diagonal)
        diagonal_backward(&w);
    nft_exec_for(exec, items, collect, &w);
    if (attention->norms)
        nft_channel_norms_back(attention->norms, exec, attention->space, attention->channels, in,
                               exec->scratch + attention->normed_gradient, grad_in);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_attention_options values;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_attention_read(options, &values)) ||
        (status = nft_dropout_option(builder, options, &values.dropout)) ||
        (status = nft_module_state(module, sizeof(nft_attention))))
        return status;
    return nft_attention_configure(module->state, module, builder, &values, NULL, "");
}

static void release(nft_module *module)
{
    nft_attention_release(module->state);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    nft_attention_forward(module->state, exec, false, in, out);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    nft_attention_backward(module->state, exec, in, grad_out, grad_in);
}

const nft_module_class nft_module_np_attention = {.type = "np_attention",
                                                  .in_place = true,
                                                  .configure = configure,
                                                  .forward = forward,
                                                  .backward = backward,
                                                  .release = release};
