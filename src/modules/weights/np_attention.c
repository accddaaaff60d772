#include "modules/weights/np_attention.h"

#include "math/gradients.h"
#include "modules/sequence/tokens.h"

#include <math.h>
#include <string.h>

typedef struct work {
    const nft_attention *attention;
    const nft_exec *exec;
    bool residual;
    int odd;         /* 1: the axes 1, 3, … have their turn */
    const float *in; /* in backward the gradient of the output */
    float *out;
} work;

static float *qkv_rows(const work *w)
{
    return w->exec->kept ? w->exec->kept + w->attention->kept_qkv : w->exec->scratch + w->attention->qkv_rows;
}

/* The summed terms of all tokens, (tokens, C). */
static float *terms(const work *w)
{
    const nft_attention *a = w->attention;
    return w->exec->kept && !a->shared ? w->exec->kept + a->kept_terms : w->exec->scratch + a->terms;
}

/* One chunk of rows: norm, sum for the diagonal term, projection. */
static void project(void *argument, int64_t item, float *normed)
{
    const work *w = argument;
    const nft_attention *a = w->attention;
    nft_rows rows = nft_rows_at(a->space, item);
    const nft_tensor *tensor = &a->space->tensors[rows.tensor];
    const nft_map *map = &a->qkv[rows.tensor];
    int64_t width = map->inputs, start = tensor->offset * a->channels + rows.first * width,
            first = tensor->first_token + rows.first;
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
        memset(terms(w) + first * a->channels, 0, (size_t)(rows.count * a->channels) * sizeof(float));
    else
        nft_map_rows(w->exec, map, rows.count, x, width, qkv_rows(w) + first * map->outputs, map->outputs,
                     NFT_MAP_SET);
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
        nft_product_nn(n, ch, n, scores, n, q + 2 * ch, stride, false,
                       w->exec->scratch + a->diagonal_out + head * ch, a->channels);
    }
}

/* The cross terms of one axis in one head. An item adds to the tokens of its axis in the channels of its
 * head, which no other axis of as even a number has: those run beside each other, first the axes 0, 2, …,
 * then the others. */
typedef struct axis_item {
    int64_t axis, head;
    int64_t tokens, length, stride; /* the vectors, their floats, and from one to the next */
    float *q, *k, *v, *d, *dk, *dv; /* NFT_ATTENTION_MATRICES that follow each other */
    float *scores;
} axis_item;

static void cross_terms(work *w, nft_exec_work *run)
{
    for (w->odd = 0; w->odd < 2; w->odd++)
        nft_exec_for(w->exec, (w->attention->space->axis_count + 1 - w->odd) / 2 * w->attention->heads, run,
                     w);
}

static axis_item item_at(const work *w, int64_t item, float *thread_scratch)
{
    const nft_attention *a = w->attention;
    int64_t index = 2 * (item / a->heads) + w->odd;
    const nft_axis *axis = &a->space->axes[index];
    int64_t floats = nft_axis_floats(axis, a->head_channels);
    return (axis_item){.axis = index,
                       .head = item % a->heads,
                       .tokens = axis->tokens,
                       .length = axis->size * a->head_channels,
                       .stride = nft_axis_stride(axis, a->head_channels),
                       .q = thread_scratch,
                       .k = thread_scratch + floats,
                       .v = thread_scratch + 2 * floats,
                       .d = thread_scratch + 3 * floats,
                       .dk = thread_scratch + 4 * floats,
                       .dv = thread_scratch + 5 * floats,
                       .scores = thread_scratch + NFT_ATTENTION_MATRICES * floats};
}

/* Its q, k and v from those of all heads. */
static void take_qkv(const work *w, const axis_item *item, const float *rows)
{
    const nft_attention *a = w->attention;
    nft_axis_take(a->space, item->axis, a->head_channels, 3, rows + item->head * 3 * a->head_channels,
                  3 * a->channels, item->q);
}

/* The dropout of the weights of one chunk of queries. */
static uint64_t weights_stream(const nft_attention *a, const axis_item *item, int64_t chunk)
{
    return a->stream + (uint64_t)((item->axis * a->heads + item->head) * (1 << 20) + chunk + 1);
}

/* Where the weights of the chunk that begins with vector `first` are kept; NULL if they are not. */
static float *kept_weights(const work *w, const axis_item *item, int64_t first)
{
    const nft_attention *a = w->attention;
    if (!w->exec->kept || a->kept_weights < 0)
        return NULL;
    return w->exec->kept + a->kept_weights + nft_attention_weights_before(a, item->axis) +
           (item->head * item->tokens + first) * item->tokens;
}

/* Softmax attention between the vectors, scale 1/√(ch·n). The results take the place of the queries. */
static void attend(void *argument, int64_t index, float *thread_scratch)
{
    const work *w = argument;
    const nft_attention *a = w->attention;
    axis_item item = item_at(w, index, thread_scratch);
    take_qkv(w, &item, qkv_rows(w));
    for (int64_t chunk = 0; chunk < nft_chunk_count(item.tokens); chunk++) {
        int64_t first, count;
        nft_chunk(item.tokens, chunk, &first, &count);
        float *kept = kept_weights(w, &item, first), *weights = kept ? kept : item.scores,
              *queries = item.q + first * item.stride;
        attention_weights(count, item.tokens, item.length, queries, item.k, item.stride, weights);
        if (w->exec->dropout && a->options.dropout > 0) {
            nft_drop(w->exec, weights_stream(a, &item, chunk), a->options.dropout, count * item.tokens,
                     weights, item.scores);
            weights = item.scores;
        }
        nft_product_nn(count, item.length, item.tokens, weights, item.tokens, item.v, item.stride, false,
                       queries, item.stride);
    }
    nft_axis_give(a->space, item.axis, a->head_channels, 1, item.q, terms(w) + item.head * a->head_channels,
                  a->channels);
}

/* out = (in +) the terms; a weight's go through the unprojection unless projections are shared. */
static void combine(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const work *w = argument;
    const nft_attention *a = w->attention;
    nft_rows rows = nft_rows_at(a->space, item);
    const nft_tensor *tensor = &a->space->tensors[rows.tensor];
    int64_t width = nft_tensor_width(tensor, a->channels), n = rows.count * width,
            start = tensor->offset * a->channels + rows.first * width;
    float *out = w->out + start, *sum = terms(w) + (tensor->first_token + rows.first) * a->channels;
    if (a->diagonal)
        nft_vector()->add_bias(rows.count, a->channels,
                               w->exec->scratch + a->diagonal_out + rows.tensor * a->channels, sum,
                               a->channels);
    if (w->residual && w->in != w->out)
        memcpy(out, w->in + start, (size_t)n * sizeof *out);
    if (a->shared || tensor->bias) {
        if (w->residual)
            nft_vector()->add(n, sum, out);
        else
            memcpy(out, sum, (size_t)n * sizeof *out);
        return;
    }
    const nft_map *map = &a->unproject[rows.tensor];
    if (a->term_count > 0)
        nft_map_rows(w->exec, map, rows.count, sum, map->inputs, out, map->outputs,
                     w->residual ? NFT_MAP_ADD : NFT_MAP_SET);
    else if (!w->residual)
        memset(out, 0, (size_t)n * sizeof *out);
    for (int64_t term = 1; term < a->term_count; term++) /* the map has added its bias once */
        nft_vector()->add_bias(rows.count, map->outputs, w->exec->parameters + map->bias, out, map->outputs);
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
    return w->attention->shared ? w->in : w->exec->scratch + w->attention->terms_gradient;
}

/* One chunk: the gradient of the terms, back through the unprojection. */
static void spread(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const work *w = argument;
    const nft_attention *a = w->attention;
    nft_rows rows = nft_rows_at(a->space, item);
    const nft_tensor *tensor = &a->space->tensors[rows.tensor];
    int64_t C = a->channels, width = nft_tensor_width(tensor, C), first = tensor->first_token + rows.first,
            start = tensor->offset * C + rows.first * width;
    float *dqkv = w->exec->sides + a->qkv_gradient + first * 3 * C;
    if (!a->cross)
        memset(dqkv, 0, (size_t)(rows.count * 3 * C) * sizeof *dqkv);
    if (a->shared)
        return;
    float *dy = w->exec->sides + a->output_gradient + start,
          *gradient = w->exec->scratch + a->terms_gradient + first * C;
    memcpy(dy, w->in + start, (size_t)(rows.count * width) * sizeof *dy);
    if (tensor->bias)
        memcpy(gradient, dy, (size_t)(rows.count * C) * sizeof *gradient);
    else
        nft_map_rows_back(w->exec, &a->unproject[rows.tensor], rows.count, dy, width, gradient, C,
                          NFT_MAP_SET);
}

/* Each term has added the unprojection's bias to every entry. */
static void unproject_bias_gradients(const work *w)
{
    const nft_attention *a = w->attention;
    for (int64_t t = 0; t < a->space->tensor_count; t += 2) {
        const nft_tensor *tensor = &a->space->tensors[t];
        int64_t width = nft_tensor_width(tensor, a->channels);
        float *gradient = w->exec->sides + a->unproject_bias[t];
        memset(gradient, 0, (size_t)width * sizeof *gradient);
        nft_vector()->sum_rows(tensor->tokens, width, w->in + tensor->offset * a->channels, width, gradient);
        nft_vector()->copy_scaled(width, (float)a->term_count, gradient, gradient);
    }
}

/* From dO: with P the weights before dropout and P' after, dV = P'ᵀ dO, dP' = dO Vᵀ, and dQ, dK through the
 * softmax. dQ takes the place of dO. Chunks of queries follow each other, so dK and dV are summed in their
 * order. */
static void attend_backward(void *argument, int64_t index, float *thread_scratch)
{
    const work *w = argument;
    const nft_attention *a = w->attention;
    axis_item item = item_at(w, index, thread_scratch);
    int64_t ch = a->head_channels, C = a->channels, tokens = item.tokens, length = item.length,
            stride = item.stride;
    take_qkv(w, &item, w->exec->kept + a->kept_qkv);
    nft_axis_take(a->space, item.axis, ch, 1, terms_gradient(w) + item.head * ch, C, item.d);
    for (int64_t chunk = 0; chunk < nft_chunk_count(tokens); chunk++) {
        int64_t first, count;
        nft_chunk(tokens, chunk, &first, &count);
        int64_t start = first * stride, weights = count * tokens;
        uint64_t stream = weights_stream(a, &item, chunk);
        float *kept = kept_weights(w, &item, first), *p = kept ? kept : item.scores,
              *dp = item.scores + (weights + 15) / 16 * 16;
        bool after = chunk > 0;
        if (!kept)
            attention_weights(count, tokens, length, item.q + start, item.k, stride, p);
        nft_drop(w->exec, stream, a->options.dropout, weights, p, dp);
        nft_product_tn(tokens, length, count, dp, tokens, item.d + start, stride, after, item.dv, stride);
        nft_vector()->row_products(count, tokens, length, item.d + start, stride, item.v, stride, dp, tokens);
        nft_drop(w->exec, stream, a->options.dropout, weights, dp, dp);
        nft_vector_gradients()->softmax(count, tokens, 1 / sqrtf((float)length), p, tokens, dp, tokens, dp,
                                        tokens);
        nft_product_nn(count, length, tokens, dp, tokens, item.k, stride, false, item.d + start, stride);
        nft_product_tn(tokens, length, count, dp, tokens, item.q + start, stride, after, item.dk, stride);
    }
    nft_axis_give(a->space, item.axis, ch, 3, item.d, w->exec->sides + a->qkv_gradient + item.head * 3 * ch,
                  3 * C);
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
        nft_product_tn(n, ch, n, p, n, d, C, false, dq + 2 * ch, 3 * C);
        nft_vector()->row_products(n, n, ch, d, C, v, 3 * C, dp, n);
        nft_vector_gradients()->softmax(n, n, 1 / sqrtf((float)ch), p, n, dp, n, dp, n);
        nft_product_nn(n, ch, n, dp, n, k, 3 * C, false, dq, 3 * C);
        nft_product_tn(n, ch, n, dp, n, q, 3 * C, false, dq + ch, 3 * C);
    }
    for (int64_t t = 0; t < n; t++)
        nft_vector()->copy_scaled(3 * C, 1 / (float)space->tensors[t].tokens, gradients + t * 3 * C,
                                  gradients + t * 3 * C);
}

/* One chunk: the gradients of its q, k, v get the diagonal term's, then back through the projection. */
static void collect(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const work *w = argument;
    const nft_attention *a = w->attention;
    nft_rows rows = nft_rows_at(a->space, item);
    const nft_tensor *tensor = &a->space->tensors[rows.tensor];
    int64_t C = a->channels, width = nft_tensor_width(tensor, C),
            start = tensor->offset * C + rows.first * width;
    float *dqkv = w->exec->sides + a->qkv_gradient + (tensor->first_token + rows.first) * 3 * C;
    if (a->diagonal)
        nft_vector()->add_bias(rows.count, 3 * C, w->exec->scratch + a->diagonal_qkv + rows.tensor * 3 * C,
                               dqkv, 3 * C);
    float *dx = (a->norms ? w->exec->scratch + a->normed_gradient : w->out) + start;
    nft_map_rows_back(w->exec, &a->qkv[rows.tensor], rows.count, dqkv, 3 * C, dx, width, NFT_MAP_SET);
}

void nft_attention_backward(const nft_attention *attention, const nft_exec *exec, const float *in,
                            const float *grad_out, float *grad_in)
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
