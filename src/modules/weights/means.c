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

/* Whether `kept` is a part of `from`, and the dimensions that it lacks are neighbours in `from`: one
 * reduction does it. */
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

/* Margins for each row and for each column of the tensor as a matrix. */
static bool are_pair(const nft_margins *margins, const nft_margin *by_row, const nft_margin *by_column)
{
    return by_row->planned && by_column->planned && by_row->parent == margins->all &&
           by_column->parent == margins->all && by_row->inner == 1 && by_column->outer == 1 &&
           by_row->outer == by_column->averaged && by_row->averaged == by_column->inner;
}

static int64_t block_count(int64_t rows)
{
    return (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
}

void nft_margins_pair(nft_margins *margins, nft_builder *builder)
{
    for (nft_dims kept = 1; kept < margins->all && !margins->paired; kept++) {
        const nft_margin *by_row = &margins->of[kept], *by_column = &margins->of[margins->all & ~kept];
        if (!are_pair(margins, by_row, by_column))
            continue;
        margins->paired = true;
        margins->by_row = kept;
        margins->by_column = margins->all & ~kept;
        margins->blocks = nft_reserve(builder, NFT_ARENA_CALL, block_count(by_row->outer),
                                      nft_size_multiply(by_row->averaged, margins->width));
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
    double total[SLICE_FLOATS] = {0};
    float block[SLICE_FLOATS];
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

static void sum_slices(int64_t rows, int64_t width, const float *x, int64_t stride, double divisor, float *y)
{
    for (int64_t first = 0; first < width; first += SLICE_FLOATS) {
        int64_t count = width - first < SLICE_FLOATS ? width - first : SLICE_FLOATS;
        sum_slice(rows, count, x + first, stride, divisor, y + first);
    }
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
        sum_slices(margin->averaged, end - begin, call->x + outer * margin->averaged * call->row + begin,
                   call->row, call->divisor, call->y + outer * call->row + begin);
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

typedef struct pair_call {
    const nft_margin *by_row;
    int64_t width;
    const float *x;
    float *row_means, *blocks;
} pair_call;

/* A block of rows, read once: the mean of each, and their sum. */
static void pair_block(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const pair_call *call = argument;
    int64_t rows = call->by_row->outer, columns = call->by_row->averaged, width = call->width;
    int64_t first = item * BLOCK_ROWS, last = rows - first < BLOCK_ROWS ? rows : first + BLOCK_ROWS;
    float *sum = call->blocks + item * columns * width;
    memset(sum, 0, (size_t)(columns * width) * sizeof *sum);
    for (int64_t row = first; row < last; row++) {
        const float *x = call->x + row * columns * width;
        sum_slices(columns, width, x, width, (double)columns, call->row_means + row * width);
        nft_vector()->add(columns * width, x, sum);
    }
}

static void pair_means(const nft_margins *margins, const nft_exec *exec, const float *x)
{
    const nft_margin *by_row = &margins->of[margins->by_row];
    int64_t floats = margins->blocks.width, blocks = margins->blocks.rows;
    float *column_means = nft_margin_at(margins, exec, margins->by_column);
    pair_call call = {.by_row = by_row,
                      .width = margins->width,
                      .x = x,
                      .row_means = nft_at(exec, &by_row->values),
                      .blocks = nft_at(exec, &margins->blocks)};
    nft_exec_for(exec, blocks, pair_block, &call);
    sum_slices(blocks, floats, call.blocks, floats, (double)blocks, column_means);
    nft_vector()->copy_scaled(floats, (float)((double)blocks / (double)by_row->outer), column_means,
                              column_means);
}

/* A margin keeps fewer dimensions than its parent, so its set is the smaller number. */
void nft_margins_reduce(const nft_margins *margins, const nft_exec *exec, nft_reduction reduction,
                        const float *x)
{
    bool paired = margins->paired && reduction == NFT_MEANS;
    if (paired)
        pair_means(margins, exec, x);
    for (nft_dims kept = margins->all + 1; kept-- > 0;) {
        const nft_margin *margin = &margins->of[kept];
        bool is_done = paired && (kept == margins->by_row || kept == margins->by_column);
        if (margin->planned && !is_done)
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
        int64_t entries = margins->tensor->tokens / margin->values.rows;
        float *values = nft_at(exec, &margin->values);
        nft_vector()->copy_scaled(margin->values.rows * margins->width, (float)(1 / (double)entries), values,
                                  values);
    }
}

/* Adds to tokens first … first + count - 1 of the parent, which y holds, the margin's token that they were
 * reduced to; or sets them to it. */
static void broadcast(const nft_margin *margin, int64_t width, const float *values, int64_t first,
                      int64_t count, bool adds, float *y)
{
    const nft_kernels *vector = nft_vector();
    int64_t inner = margin->inner, averaged = margin->averaged;
    int64_t i = first % inner, k = first / inner % averaged, outer = first / inner / averaged, segment;
    for (; count > 0; count -= segment, y += segment * width) {
        const float *from = values + (outer * inner + i) * width;
        int64_t run = inner == 1 ? averaged - k : inner - i;
        segment = run < count ? run : count;
        if (!adds && inner == 1)
            for (int64_t row = 0; row < segment; row++)
                vector->copy_scaled(width, 1, from, y + row * width);
        else if (!adds)
            memcpy(y, from, (size_t)(segment * width) * sizeof *y);
        else if (inner == 1)
            vector->add_bias(segment, width, from, y, width);
        else
            vector->add(segment * width, from, y);
        k = inner == 1 ? averaged : k + 1;
        i = 0;
        outer += k == averaged;
        k = k == averaged ? 0 : k;
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
    broadcast(call->margin, call->width, call->values, first, count, true, call->y + first * call->width);
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

static void spread_rows(const nft_margins *margins, const nft_exec *exec, int64_t first, int64_t count,
                        bool adds, float *y)
{
    for (nft_dims kept = margins->all + 1; kept-- > 0;) {
        const nft_margin *margin = &margins->of[kept];
        if (!margin->planned || margin->parent != margins->all)
            continue;
        broadcast(margin, margins->width, nft_at(exec, &margin->values), first, count, adds, y);
        adds = true;
    }
}

void nft_margins_spread_rows(const nft_margins *margins, const nft_exec *exec, int64_t first, int64_t count,
                             float *y)
{
    spread_rows(margins, exec, first, count, true, y);
}

typedef struct spread_call {
    const nft_margins *margins;
    const nft_exec *exec;
    bool adds;
    float *y;
} spread_call;

static void spread_chunk(void *argument, int64_t item, float *item_memory)
{
    (void)item_memory;
    const spread_call *call = argument;
    int64_t first, count, width = call->margins->width;
    nft_chunk(call->margins->tensor->tokens, item, &first, &count);
    spread_rows(call->margins, call->exec, first, count, call->adds, call->y + first * width);
}

void nft_margins_spread(const nft_margins *margins, const nft_exec *exec, float *y)
{
    spread_call call = {margins, exec, true, y};
    nft_exec_for(exec, nft_chunk_count(margins->tensor->tokens), spread_chunk, &call);
}

void nft_margins_fill(const nft_margins *margins, const nft_exec *exec, float *y)
{
    spread_call call = {margins, exec, false, y};
    nft_exec_for(exec, nft_chunk_count(margins->tensor->tokens), spread_chunk, &call);
}
