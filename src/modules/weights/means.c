#include "modules/weights/means.h"

#include <string.h>

#define BLOCK_ROWS 32    /* rows that are summed as floats */
#define SLICE_FLOATS 256 /* columns that are summed together: their sums stay on the stack */
#define ITEM_FLOATS 1024 /* columns, or rows of fewer columns, that a thread sums at a time */
#define ITEM_ROWS 16

nft_dims nft_all_dims(const nft_tensor *tensor)
{
    return NFT_DIM(tensor->rank) - 1;
}

nft_dims nft_ordered_dims(const nft_space *space, const nft_tensor *tensor)
{
    nft_dims ordered = 0;
    for (int64_t d = 0; d < tensor->rank; d++)
        if (nft_dimension_is_ordered(space, tensor, d))
            ordered |= NFT_DIM(d);
    return ordered;
}

int64_t nft_dims_tokens(const nft_tensor *tensor, nft_dims dims)
{
    int64_t tokens = 1;
    for (int64_t d = 0; d < tensor->rank; d++)
        if (dims & NFT_DIM(d))
            tokens = nft_size_multiply(tokens, tensor->sizes[d]);
    return tokens;
}

/* --- which margin is taken from which --- */

void nft_margins_open(nft_margins *margins, const nft_tensor *tensor, int64_t width)
{
    *margins = (nft_margins){.tensor = tensor, .width = width, .all = nft_all_dims(tensor)};
}

void nft_margins_need(nft_margins *margins, nft_dims kept)
{
    margins->of[kept].needed = margins->of[kept].planned = true;
}

/* Whether `kept` is a part of `from`, and what it lacks are neighbours in there: one reduction does it. */
static bool is_one_reduction(nft_dims from, nft_dims kept)
{
    if (kept == from || (kept & ~from))
        return false;
    int runs = 0;
    bool inside = false;
    for (int d = 0; d < NFT_TENSOR_MAX_AXES; d++) {
        if (!(from & NFT_DIM(d)))
            continue;
        bool lacks = !(kept & NFT_DIM(d));
        runs += lacks && !inside;
        inside = lacks;
    }
    return runs == 1;
}

static int dimensions_of(nft_dims dims)
{
    int count = 0;
    for (; dims; dims &= dims - 1)
        count++;
    return count;
}

/* Finds the smallest margin, or the tensor, that one reduction takes to `kept`. */
static bool find_parent(const nft_margins *margins, nft_dims kept, nft_dims *parent)
{
    bool found = kept == margins->all;
    *parent = margins->all;
    for (nft_dims from = 0; from <= margins->all; from++)
        if ((from == margins->all || margins->of[from].planned) && is_one_reduction(from, kept) &&
            (!found || dimensions_of(from) < dimensions_of(*parent))) {
            found = true;
            *parent = from;
        }
    return found;
}

/* Sets the shape of the margin's parent as the reduction sees it. */
static void set_parent(nft_margins *margins, nft_dims kept, nft_dims parent)
{
    nft_margin *margin = &margins->of[kept];
    margin->parent = parent;
    margin->outer = margin->averaged = margin->inner = 1;
    for (int64_t d = 0; d < margins->tensor->rank; d++) {
        if (!(parent & NFT_DIM(d)))
            continue;
        bool before = (parent & ~kept & (NFT_DIM(d) - 1)) == 0; /* nothing was averaged yet */
        int64_t *size = !(kept & NFT_DIM(d)) ? &margin->averaged : before ? &margin->outer : &margin->inner;
        *size = nft_size_multiply(*size, margins->tensor->sizes[d]);
    }
}

static void plan(nft_margins *margins)
{
    nft_dims parent;
    for (nft_dims kept = 0; kept < margins->all; kept++)
        if (margins->of[kept].planned && !find_parent(margins, kept, &parent)) {
            nft_dims lacking = margins->all & ~kept;
            margins->of[kept | (lacking & (~lacking + 1))].planned = true;
        }
    for (nft_dims kept = 0; kept <= margins->all; kept++)
        if (margins->of[kept].planned && find_parent(margins, kept, &parent))
            set_parent(margins, kept, parent);
}

void nft_margins_reserve(nft_margins *margins, nft_builder *builder, nft_arena needed, nft_arena others)
{
    plan(margins);
    for (nft_dims kept = 0; kept <= margins->all; kept++) {
        nft_margin *margin = &margins->of[kept];
        if (margin->planned)
            margin->values = nft_reserve(builder, margin->needed ? needed : others,
                                         nft_dims_tokens(margins->tensor, kept), margins->width);
    }
}

float *nft_margin_at(const nft_margins *margins, const nft_exec *exec, nft_dims kept)
{
    return nft_at(exec, &margins->of[kept].values);
}

/* --- from the tensor to its margins --- */

/* y = the sum of the rows / divisor, rounded once. */
static void sum_slice(int64_t rows, int64_t width, const float *x, int64_t stride, double divisor, float *y)
{
    double total[SLICE_FLOATS];
    float block[SLICE_FLOATS];
    memset(total, 0, (size_t)width * sizeof *total);
    for (int64_t first = 0; first < rows; first += BLOCK_ROWS) {
        int64_t count = rows - first < BLOCK_ROWS ? rows - first : BLOCK_ROWS;
        memset(block, 0, (size_t)width * sizeof *block);
        nft_vector()->sum_rows(count, width, x + first * stride, stride, block);
        for (int64_t i = 0; i < width; i++)
            total[i] += (double)block[i];
    }
    for (int64_t i = 0; i < width; i++)
        y[i] = (float)(total[i] / divisor);
}

typedef struct reduce_call {
    const nft_margin *margin;
    int64_t row;          /* floats of the parent's inner tokens */
    int64_t pieces;       /* of a row */
    int64_t rows_at_once; /* outer rows of an item */
    double divisor;
    const float *x;
    float *y;
} reduce_call;

static void reduce_item(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const reduce_call *call = argument;
    const nft_margin *margin = call->margin;
    int64_t begin = item % call->pieces * ITEM_FLOATS, outer = item / call->pieces * call->rows_at_once;
    int64_t end = call->row - begin < ITEM_FLOATS ? call->row : begin + ITEM_FLOATS;
    int64_t last = margin->outer - outer < call->rows_at_once ? margin->outer : outer + call->rows_at_once;
    for (; outer < last; outer++)
        for (int64_t first = begin; first < end; first += SLICE_FLOATS)
            sum_slice(margin->averaged, end - first < SLICE_FLOATS ? end - first : SLICE_FLOATS,
                      call->x + outer * margin->averaged * call->row + first, call->row, call->divisor,
                      call->y + outer * call->row + first);
}

static void reduce(const nft_margin *margin, int64_t width, const nft_exec *exec, nft_reduction reduction,
                   const float *x)
{
    reduce_call call = {.margin = margin,
                        .row = margin->inner * width,
                        .divisor = reduction == NFT_MEANS ? (double)margin->averaged : 1,
                        .x = x,
                        .y = nft_at(exec, &margin->values)};
    call.pieces = (call.row + ITEM_FLOATS - 1) / ITEM_FLOATS;
    call.rows_at_once = call.pieces > 1 ? 1 : ITEM_ROWS;
    int64_t groups = (margin->outer + call.rows_at_once - 1) / call.rows_at_once;
    nft_exec_for(exec, groups * call.pieces, reduce_item, &call);
}

/* A margin keeps fewer dimensions than its parent, so its set is the smaller number. */
void nft_margins_reduce(const nft_margins *margins, const nft_exec *exec, nft_reduction reduction,
                        const float *x)
{
    for (nft_dims kept = margins->all + 1; kept-- > 0;) {
        const nft_margin *margin = &margins->of[kept];
        if (margin->planned)
            reduce(margin, margins->width, exec, reduction,
                   margin->parent == margins->all ? x : nft_margin_at(margins, exec, margin->parent));
    }
}

/* --- from margins to the tensor --- */

static void clear(const nft_margins *margins, const nft_exec *exec, bool needed)
{
    for (nft_dims kept = 0; kept <= margins->all; kept++) {
        const nft_margin *margin = &margins->of[kept];
        if (margin->planned && (needed || !margin->needed))
            memset(nft_at(exec, &margin->values), 0,
                   (size_t)(margin->values.rows * margin->values.width) * sizeof(float));
    }
}

void nft_margins_clear_all(const nft_margins *margins, const nft_exec *exec)
{
    clear(margins, exec, true);
}

void nft_margins_clear_others(const nft_margins *margins, const nft_exec *exec)
{
    clear(margins, exec, false);
}

void nft_margins_share(const nft_margins *margins, const nft_exec *exec)
{
    for (nft_dims kept = 0; kept <= margins->all; kept++) {
        const nft_margin *margin = &margins->of[kept];
        if (!margin->planned)
            continue;
        double entries = (double)(margins->tensor->tokens / margin->values.rows);
        float *values = nft_at(exec, &margin->values);
        nft_vector()->copy_scaled(margin->values.rows * margins->width, (float)(1 / entries), values, values);
    }
}

/* Adds to tokens first … first + count - 1 of the parent, which y holds, the margin's token that they were
 * reduced to. */
static void broadcast(const nft_margin *margin, int64_t width, const float *values, int64_t first,
                      int64_t count, float *y)
{
    const nft_kernels *vector = nft_vector();
    int64_t inner = margin->inner, averaged = margin->averaged, last = first + count, segment;
    for (int64_t at = first; at < last; at += segment, y += segment * width) {
        const float *from = values + (at / (averaged * inner) * inner + at % inner) * width;
        segment = inner == 1 ? averaged - at % averaged : inner - at % inner;
        segment = segment < last - at ? segment : last - at;
        if (inner == 1)
            vector->add_bias(segment, width, from, y, width);
        else
            vector->add(segment * width, from, y);
    }
}

typedef struct broadcast_call {
    const nft_margin *margin;
    int64_t width, tokens; /* of the parent */
    const float *values;
    float *y;
} broadcast_call;

static void broadcast_chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const broadcast_call *call = argument;
    int64_t first, count;
    nft_chunk(call->tokens, item, &first, &count);
    broadcast(call->margin, call->width, call->values, first, count, call->y + first * call->width);
}

/* A margin's set is a smaller number than its parent's, so each is complete when its turn comes. */
void nft_margins_join(const nft_margins *margins, const nft_exec *exec)
{
    for (nft_dims kept = 0; kept < margins->all; kept++) {
        const nft_margin *margin = &margins->of[kept];
        if (!margin->planned || margin->parent == margins->all)
            continue;
        broadcast_call call = {.margin = margin,
                               .width = margins->width,
                               .tokens = margins->of[margin->parent].values.rows,
                               .values = nft_at(exec, &margin->values),
                               .y = nft_margin_at(margins, exec, margin->parent)};
        nft_exec_for(exec, nft_chunk_count(call.tokens), broadcast_chunk, &call);
    }
}

void nft_margins_spread_rows(const nft_margins *margins, const nft_exec *exec, int64_t first, int64_t count,
                             float *y)
{
    for (nft_dims kept = margins->all + 1; kept-- > 0;) {
        const nft_margin *margin = &margins->of[kept];
        if (margin->planned && margin->parent == margins->all)
            broadcast(margin, margins->width, nft_at(exec, &margin->values), first, count, y);
    }
}

typedef struct spread_call {
    const nft_margins *margins;
    const nft_exec *exec;
    float *y;
} spread_call;

static void spread_chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const spread_call *call = argument;
    int64_t first, count;
    nft_chunk(call->margins->tensor->tokens, item, &first, &count);
    nft_margins_spread_rows(call->margins, call->exec, first, count, call->y + first * call->margins->width);
}

void nft_margins_spread(const nft_margins *margins, const nft_exec *exec, float *y)
{
    spread_call call = {margins, exec, y};
    nft_exec_for(exec, nft_chunk_count(margins->tensor->tokens), spread_chunk, &call);
}
