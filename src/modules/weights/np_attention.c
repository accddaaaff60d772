#include "modules/weights/np_attention.h"

#include "math/gradients.h"
#include "modules/sequence/tokens.h"

#include <math.h>
#include <string.h>

typedef struct work {
    const nft_attention *attention;
    const nft_exec *exec;
    bool residual;
    const int64_t *axes; /* those that have their turn: all of one colour */
    const float *in;     /* in backward the gradient of the output */
    float *out;
} work;

/* One chunk of rows as an item sees it. */
typedef struct chunk {
    nft_rows rows;
    const nft_tensor *tensor;
    const nft_attention_tensor *own;
    int64_t width;    /* effective channels */
    int64_t features; /* where its rows begin among features */
    int64_t token;    /* its first token among those of the space */
} chunk;

static chunk chunk_at(const nft_attention *a, int64_t item)
{
    nft_rows rows = nft_rows_at(a->space, item);
    const nft_tensor *tensor = &a->space->tensors[rows.tensor];
    int64_t width = nft_tensor_width(tensor, a->channels);
    return (chunk){.rows = rows,
                   .tensor = tensor,
                   .own = &a->tensors[rows.tensor],
                   .width = width,
                   .features = tensor->offset * a->channels + rows.first * width,
                   .token = tensor->first_token + rows.first};
}

/* One chunk of rows: norm, sum for the diagonal term, projection. */
static void project(void *argument, int64_t item, float *item_memory)
{
    const work *w = argument;
    const nft_attention *a = w->attention;
    chunk c = chunk_at(a, item);
    const float *x = w->in + c.features;
    if (a->norms) {
        float *normed = nft_keeps(w->exec) ? nft_at(w->exec, &a->normed) + c.features
                                           : nft_in_item(item_memory, &a->normed_rows);
        nft_channel_norm_rows(&a->norms->items[c.rows.tensor], w->exec, c.rows.count, x, normed);
        x = normed;
    }
    if (a->diagonal) {
        float *sum = nft_at(w->exec, &a->sums) + item * a->sums.stride;
        memset(sum, 0, (size_t)c.width * sizeof *sum);
        nft_vector()->sum_rows(c.rows.count, c.width, x, c.width, sum);
    }
    if (nft_attention_crosses(a, c.tensor))
        nft_map_rows(w->exec, &c.own->qkv, c.rows.count, x, c.width,
                     nft_at(w->exec, &a->qkv) + c.token * a->qkv.stride, a->qkv.stride, NFT_MAP_SET);
    else
        memset(nft_at(w->exec, &a->terms) + c.token * a->channels, 0,
               (size_t)(c.rows.count * a->channels) * sizeof(float));
}

/* The mean of q, k, v over a tensor is the projection of the mean token. */
static void project_means(const work *w, float *qkv)
{
    const nft_attention *a = w->attention;
    const nft_space *space = a->space;
    int64_t widest = a->means.stride;
    const float *sums = nft_at(w->exec, &a->sums);
    float *means = nft_at(w->exec, &a->means);
    memset(means, 0, (size_t)(space->tensor_count * widest) * sizeof *means);
    for (int64_t t = 0, item = 0; t < space->tensor_count; t++) {
        const nft_map *map = &a->tensors[t].qkv;
        float *mean = means + t * widest;
        for (int64_t end = item + nft_chunk_count(space->tensors[t].tokens); item < end; item++)
            nft_vector()->add(map->inputs, sums + item * widest, mean);
        nft_vector()->copy_scaled(map->inputs, 1 / (float)space->tensors[t].tokens, mean, mean);
        nft_map_rows(w->exec, map, 1, mean, map->inputs, qkv + t * map->outputs, map->outputs, NFT_MAP_SET);
    }
}

/* softmax(q kᵀ / √length) of `count` queries against `keys` keys. */
static void attention_weights(int64_t count, int64_t keys, int64_t length, const float *q, const float *k,
                              int64_t stride, float *scores)
{
    nft_multiply(NFT_NT, count, keys, length, q, stride, k, stride, false, scores, keys);
    nft_vector()->softmax(count, keys, 1 / sqrtf((float)length), scores, keys);
}

/* Diagonal term: attention between the mean tokens of all tensors, scale 1/√ch; result j goes to every entry
 * of tensor j. */
static void diagonal_term(const work *w)
{
    const nft_attention *a = w->attention;
    int64_t n = a->space->tensor_count, ch = a->head_channels, stride = 3 * a->channels;
    float *scores = nft_at(w->exec, &a->diagonal_scores), *all = nft_at(w->exec, &a->diagonal_qkv);
    project_means(w, all);
    for (int64_t head = 0; head < a->heads; head++) {
        const float *q = all + head * 3 * ch;
        attention_weights(n, n, ch, q, q + ch, stride, scores);
        nft_multiply(NFT_NN, n, ch, n, scores, n, q + 2 * ch, stride, false,
                     nft_at(w->exec, &a->diagonal_out) + head * ch, a->channels);
    }
}

/* The cross terms of one axis in one head. An item adds to the tokens of its axis in the channels of its
 * head, which no other axis of its colour has, so those run at the same time. */
typedef struct axis_item {
    const nft_axis *axis;
    int64_t index, head;
    int64_t vectors, length, stride; /* the vectors, their floats, and from one to the next */
    bool large;
    float *q, *k, *v, *d, *dk, *dv; /* NFT_ATTENTION_MATRICES that follow each other */
} axis_item;

static void cross_terms(work *w, nft_exec_work *run)
{
    const nft_attention *a = w->attention;
    const nft_space *space = a->space;
    if (a->axis != NFT_ALL_AXES) {
        w->axes = &a->axis;
        nft_exec_for(w->exec, a->heads, run, w);
        return;
    }
    for (int64_t colour = 0; colour < space->colour_count; colour++) {
        w->axes = space->colour_axes + space->colour_starts[colour];
        int64_t axes = space->colour_starts[colour + 1] - space->colour_starts[colour];
        nft_exec_for(w->exec, axes * a->heads, run, w);
    }
}

static axis_item item_at(const work *w, int64_t item, float *item_memory)
{
    const nft_attention *a = w->attention;
    int64_t index = w->axes[item / a->heads], ch = a->head_channels;
    const nft_axis *axis = &a->space->axes[index];
    int64_t floats = nft_axis_floats(axis, ch);
    float *matrices = nft_in_item(item_memory, &a->matrices);
    return (axis_item){.axis = axis,
                       .index = index,
                       .head = item % a->heads,
                       .vectors = axis->vectors,
                       .length = axis->size * ch,
                       .stride = nft_axis_stride(axis, ch),
                       .large = nft_attention_axis_is_large(axis, ch),
                       .q = matrices,
                       .k = matrices + floats,
                       .v = matrices + 2 * floats,
                       .d = matrices + 3 * floats,
                       .dk = matrices + 4 * floats,
                       .dv = matrices + 5 * floats};
}

/* Its q, k and v from those of all heads. */
static void take_qkv(const work *w, const axis_item *item)
{
    const nft_attention *a = w->attention;
    nft_axis_take(a->space, item->index, a->head_channels, 3,
                  nft_at(w->exec, &a->qkv) + item->head * 3 * a->head_channels, 3 * a->channels, item->q);
}

/* The dropout of the weights of one chunk of queries. */
static uint64_t weights_stream(const nft_attention *a, const axis_item *item, int64_t part)
{
    return a->stream + (uint64_t)((item->index * a->heads + item->head) * (1 << 20) + part + 1);
}

/* Where the weights of the chunk that begins with vector `first` are kept; NULL if they are not. */
static float *kept_weights(const work *w, const axis_item *item, int64_t first)
{
    const nft_attention *a = w->attention;
    if (!nft_keeps(w->exec) || !a->keeps_weights)
        return NULL;
    int64_t before = a->axis == NFT_ALL_AXES ? nft_attention_weights_before(a, item->index) : 0;
    return nft_at(w->exec, &a->kept_weights) + before + (item->head * item->vectors + first) * item->vectors;
}

/* c (m, n) = or += a b: of large matrices BLAS is faster. */
static void multiply(const axis_item *item, nft_layout layout, int64_t m, int64_t n, int64_t k,
                     const float *a, int64_t a_stride, const float *b, bool add, float *c, int64_t c_stride)
{
    if (item->large)
        nft_gemm(layout, m, n, k, 1, a, a_stride, b, item->stride, add, c, c_stride);
    else
        nft_multiply(layout, m, n, k, a, a_stride, b, item->stride, add, c, c_stride);
}

/* scores (count, vectors) = rows · matrixᵀ */
static void multiply_vectors(const axis_item *item, int64_t count, const float *rows, const float *matrix,
                             float *scores)
{
    multiply(item, NFT_NT, count, item->vectors, item->length, rows, item->stride, matrix, false, scores,
             item->vectors);
}

/* rows (count, length) = scores · matrix */
static void sum_vectors(const axis_item *item, int64_t count, const float *scores, const float *matrix,
                        float *rows)
{
    multiply(item, NFT_NN, count, item->length, item->vectors, scores, item->vectors, matrix, false, rows,
             item->stride);
}

/* matrix (vectors, length) = or += scoresᵀ · rows */
static void sum_queries(const axis_item *item, int64_t count, const float *scores, const float *rows,
                        bool add, float *matrix)
{
    multiply(item, NFT_TN, item->vectors, item->length, count, scores, item->vectors, rows, add, matrix,
             item->stride);
}

/* The weights of one chunk of queries. */
static void weigh(const axis_item *item, int64_t count, const float *queries, float *weights)
{
    multiply_vectors(item, count, queries, item->k, weights);
    nft_vector()->softmax(count, item->vectors, 1 / sqrtf((float)item->length), weights, item->vectors);
}

/* Softmax attention between the vectors, scale 1/√(ch·n). The results take the place of the queries. */
static void attend(void *argument, int64_t index, float *item_memory)
{
    const work *w = argument;
    const nft_attention *a = w->attention;
    axis_item item = item_at(w, index, item_memory);
    float *scores = nft_in_item(item_memory, &a->scores);
    take_qkv(w, &item);
    for (int64_t i = 0; i < nft_attention_chunk_count(item.axis, item.large); i++) {
        int64_t first, count;
        nft_attention_chunk(item.axis, item.large, i, &first, &count);
        float *kept = kept_weights(w, &item, first), *weights = kept ? kept : scores,
              *queries = item.q + first * item.stride;
        weigh(&item, count, queries, weights);
        if (w->exec->dropout && a->options.dropout > 0) {
            nft_drop(w->exec, weights_stream(a, &item, i), a->options.dropout, count * item.vectors, weights,
                     scores);
            weights = scores;
        }
        sum_vectors(&item, count, weights, item.v, queries);
    }
    nft_axis_give(a->space, item.index, a->axis != NFT_ALL_AXES, a->head_channels, 1, item.q,
                  nft_at(w->exec, &a->terms) + item.head * a->head_channels, a->channels);
}

/* out = or += the unprojection of the summed terms. */
static void unproject(const work *w, const chunk *c, const float *sum, float *out)
{
    const nft_map *map = &c->own->unproject;
    int64_t count = c->rows.count;
    if (c->own->terms > 0)
        nft_map_rows(w->exec, map, count, sum, map->inputs, out, map->outputs,
                     w->residual ? NFT_MAP_ADD : NFT_MAP_SET);
    else if (!w->residual)
        memset(out, 0, (size_t)(count * c->width) * sizeof *out);
    for (int64_t term = 1; term < c->own->terms; term++) /* the map has added its bias once */
        nft_vector()->add_bias(count, map->outputs, nft_param_at(w->exec, &map->bias), out, map->outputs);
}

/* out = (in +) the terms, through the unprojection unless projections are shared. */
static void combine(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const work *w = argument;
    const nft_attention *a = w->attention;
    chunk c = chunk_at(a, item);
    int64_t n = c.rows.count * c.width;
    float *out = w->out + c.features, *sum = nft_at(w->exec, &a->terms) + c.token * a->channels;
    if (a->diagonal)
        nft_vector()->add_bias(c.rows.count, a->channels,
                               nft_at(w->exec, &a->diagonal_out) + c.rows.tensor * a->channels, sum,
                               a->channels);
    if (!c.own->unprojects && w->residual) {
        nft_vector()->add_two(n, w->in + c.features, sum, out);
        return;
    }
    if (w->residual && w->in != w->out)
        memcpy(out, w->in + c.features, (size_t)n * sizeof *out);
    if (c.own->unprojects)
        unproject(w, &c, sum, out);
    else
        memcpy(out, sum, (size_t)n * sizeof *out);
}

void nft_attention_forward(const nft_attention *attention, const nft_exec *exec, bool residual,
                           const float *in, float *out)
{
    work w = {.attention = attention, .exec = exec, .residual = residual, .in = in, .out = out};
    int64_t items = nft_rows_count(attention->space);
    nft_exec_for(exec, items, project, &w);
    if (attention->diagonal)
        diagonal_term(&w);
    if (attention->cross)
        cross_terms(&w, attend);
    nft_exec_for(exec, items, combine, &w);
}

/* --- backward --- */

/* The gradient of the summed terms of all tokens, (tokens, C). */
static const float *terms_gradient(const work *w)
{
    return w->attention->shared ? w->in : nft_at(w->exec, &w->attention->terms_gradient);
}

/* One chunk: the gradient of the terms, back through the unprojection. */
static void spread(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const work *w = argument;
    const nft_attention *a = w->attention;
    chunk c = chunk_at(a, item);
    int64_t C = a->channels, count = c.rows.count;
    float *dqkv = nft_at(w->exec, &a->qkv_gradient) + c.token * 3 * C;
    if (!nft_attention_crosses(a, c.tensor))
        memset(dqkv, 0, (size_t)(count * 3 * C) * sizeof *dqkv);
    if (a->shared)
        return;
    float *dy = nft_at(w->exec, &a->output_gradient) + c.features,
          *gradient = nft_at(w->exec, &a->terms_gradient) + c.token * C;
    memcpy(dy, w->in + c.features, (size_t)(count * c.width) * sizeof *dy);
    if (c.own->unprojects)
        nft_map_rows_back(w->exec, &c.own->unproject, count, dy, c.width, gradient, C, NFT_MAP_SET);
    else
        memcpy(gradient, dy, (size_t)(count * C) * sizeof *gradient);
}

/* Each term has added the unprojection's bias to every entry. */
static void unproject_bias_gradients(const work *w)
{
    const nft_attention *a = w->attention;
    for (int64_t t = 0; t < a->space->tensor_count; t++) {
        const nft_tensor *tensor = &a->space->tensors[t];
        const nft_attention_tensor *own = &a->tensors[t];
        if (!own->unprojects)
            continue;
        int64_t width = nft_tensor_width(tensor, a->channels);
        float *gradient = nft_at(w->exec, &own->bias_gradient);
        memset(gradient, 0, (size_t)width * sizeof *gradient);
        nft_vector()->sum_rows(tensor->tokens, width, w->in + tensor->offset * a->channels, width, gradient);
        nft_vector()->copy_scaled(width, (float)own->terms, gradient, gradient);
    }
}

/* From dO: with P the weights before dropout and P' after, dV = P'ᵀ dO, dP' = dO Vᵀ, and dQ, dK through the
 * softmax. dQ takes the place of dO. Chunks of queries follow each other, so dK and dV are summed in their
 * order. */
static void attend_backward(void *argument, int64_t index, float *item_memory)
{
    const work *w = argument;
    const nft_attention *a = w->attention;
    axis_item item = item_at(w, index, item_memory);
    int64_t ch = a->head_channels, C = a->channels, vectors = item.vectors;
    float *scores = nft_in_item(item_memory, &a->scores), *dp = nft_in_item(item_memory, &a->scores_gradient);
    take_qkv(w, &item);
    nft_axis_take(a->space, item.index, ch, 1, terms_gradient(w) + item.head * ch, C, item.d);
    for (int64_t i = 0; i < nft_attention_chunk_count(item.axis, item.large); i++) {
        int64_t first, count;
        nft_attention_chunk(item.axis, item.large, i, &first, &count);
        int64_t start = first * item.stride, weights = count * vectors;
        uint64_t stream = weights_stream(a, &item, i);
        float *kept = kept_weights(w, &item, first), *p = kept ? kept : scores;
        if (!kept)
            weigh(&item, count, item.q + start, p);
        nft_drop(w->exec, stream, a->options.dropout, weights, p, dp);
        sum_queries(&item, count, dp, item.d + start, i > 0, item.dv);
        multiply_vectors(&item, count, item.d + start, item.v, dp);
        nft_drop(w->exec, stream, a->options.dropout, weights, dp, dp);
        nft_vector_gradients()->softmax(count, vectors, 1 / sqrtf((float)item.length), p, vectors, dp,
                                        vectors, dp, vectors);
        sum_vectors(&item, count, dp, item.k, item.d + start);
        sum_queries(&item, count, dp, item.q + start, i > 0, item.dk);
    }
    nft_axis_give(a->space, item.index, a->axis != NFT_ALL_AXES, ch, 3, item.d,
                  nft_at(w->exec, &a->qkv_gradient) + item.head * 3 * ch, 3 * C);
}

/* The same for the diagonal term. diagonal_gradient becomes the gradient of q, k and v of every entry: that
 * of the mean, divided by the number of entries. */
static void diagonal_backward(const work *w)
{
    const nft_attention *a = w->attention;
    const nft_space *space = a->space;
    int64_t n = space->tensor_count, C = a->channels, ch = a->head_channels;
    float *p = nft_at(w->exec, &a->diagonal_scores), *dp = nft_at(w->exec, &a->diagonal_scores_gradient);
    float *d_out = nft_at(w->exec, &a->diagonal_out), *gradients = nft_at(w->exec, &a->diagonal_gradient);
    memset(d_out, 0, (size_t)(n * C) * sizeof *d_out);
    for (int64_t t = 0; t < n; t++)
        nft_vector()->sum_rows(space->tensors[t].tokens, C,
                               terms_gradient(w) + space->tensors[t].first_token * C, C, d_out + t * C);
    for (int64_t head = 0; head < a->heads; head++) {
        const float *q = nft_at(w->exec, &a->diagonal_qkv) + head * 3 * ch, *k = q + ch, *v = k + ch,
                    *d = d_out + head * ch;
        float *dq = gradients + head * 3 * ch;
        attention_weights(n, n, ch, q, k, 3 * C, p);
        nft_multiply(NFT_TN, n, ch, n, p, n, d, C, false, dq + 2 * ch, 3 * C);
        nft_multiply(NFT_NT, n, n, ch, d, C, v, 3 * C, false, dp, n);
        nft_vector_gradients()->softmax(n, n, 1 / sqrtf((float)ch), p, n, dp, n, dp, n);
        nft_multiply(NFT_NN, n, ch, n, dp, n, k, 3 * C, false, dq, 3 * C);
        nft_multiply(NFT_TN, n, ch, n, dp, n, q, 3 * C, false, dq + ch, 3 * C);
    }
    for (int64_t t = 0; t < n; t++)
        nft_vector()->copy_scaled(3 * C, 1 / (float)space->tensors[t].tokens, gradients + t * 3 * C,
                                  gradients + t * 3 * C);
}

/* One chunk: the gradients of its q, k, v get the diagonal term's, then back through the projection. */
static void collect(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const work *w = argument;
    const nft_attention *a = w->attention;
    chunk c = chunk_at(a, item);
    int64_t C = a->channels, count = c.rows.count;
    float *dqkv = nft_at(w->exec, &a->qkv_gradient) + c.token * 3 * C;
    if (a->diagonal)
        nft_vector()->add_bias(count, 3 * C, nft_at(w->exec, &a->diagonal_gradient) + c.rows.tensor * 3 * C,
                               dqkv, 3 * C);
    float *dx = (a->norms ? nft_at(w->exec, &a->normed_gradient) : w->out) + c.features;
    if (a->diagonal || nft_attention_crosses(a, c.tensor))
        nft_map_rows_back(w->exec, &c.own->qkv, count, dqkv, 3 * C, dx, c.width, NFT_MAP_SET);
    else
        memset(dx, 0, (size_t)(count * c.width) * sizeof *dx);
}

void nft_attention_backward(const nft_attention *attention, const nft_exec *exec, const float *in,
                            const float *grad_out, const float *added, float *grad_in)
{
    work w = {.attention = attention, .exec = exec, .in = grad_out, .out = grad_in};
    int64_t items = nft_rows_count(attention->space);
    nft_exec_for(exec, items, spread, &w);
    if (!attention->shared)
        unproject_bias_gradients(&w);
    if (attention->cross)
        cross_terms(&w, attend_backward);
    if (attention->diagonal)
        diagonal_backward(&w);
    nft_exec_for(exec, items, collect, &w);
    if (attention->norms)
        nft_channel_norms_back(attention->norms, exec, in, nft_at(exec, &attention->normed_gradient), added,
                               grad_in);
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
    nft_attention_backward(module->state, exec, in, grad_out, NULL, grad_in);
}

const nft_module_class nft_module_np_attention = {.type = "np_attention",
                                                  .in_place = true,
                                                  .any_space = NFT_ANY_SPACE_LIFTED,
                                                  .configure = configure,
                                                  .forward = forward,
                                                  .backward = backward,
                                                  .release = release};
