#include "modules/weights/grid_rows.h"

#include <string.h>

/* Summed in floats one after the other, so that rounding errors stay small: tokens to a part, parts to a
 * group, groups to the row. */
#define MOST_TERMS 256

int64_t nft_grid_rows(const nft_space *space)
{
    int64_t rows = space->tensor_count;
    for (int64_t a = 0; a < space->axis_count; a++)
        rows = space->axes[a].permutable ? rows : nft_size_add(rows, space->axes[a].size);
    return rows;
}

int64_t nft_grid_rows_of_axis(const nft_space *space, int64_t axis)
{
    int64_t first = space->tensor_count;
    if (space->axes[axis].permutable)
        return -1;
    for (int64_t a = 0; a < axis; a++)
        first += space->axes[a].permutable ? 0 : space->axes[a].size;
    return first;
}

int64_t nft_grid_index(const nft_tensor *tensor, int64_t token, int64_t d)
{
    for (int64_t e = tensor->rank - 1; e > d; e--)
        token /= tensor->sizes[e];
    return token % tensor->sizes[d];
}

typedef struct add_call {
    const nft_space *space;
    int64_t channels;
    const float *table, *x;
    float *y;
} add_call;

static void add_row(int64_t channels, int64_t positions, const float *row, float *y)
{
    if (positions == 1) {
        nft_vector()->add(channels, row, y);
        return;
    }
    for (int64_t c = 0; c < channels; c++)
        for (int64_t p = 0; p < positions; p++)
            y[c * positions + p] += row[c];
}

static void add_chunk(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const add_call *call = argument;
    nft_rows rows = nft_rows_at(call->space, item);
    const nft_tensor *tensor = &call->space->tensors[rows.tensor];
    int64_t channels = call->channels, width = channels * tensor->positions,
            start = tensor->offset * channels + rows.first * width, first[NFT_TENSOR_MAX_AXES] = {0};
    for (int64_t d = 0; d < tensor->rank; d++)
        first[d] = nft_grid_rows_of_axis(call->space, tensor->axes[d]);
    for (int64_t i = 0; i < rows.count; i++) {
        float *y = call->y + start + i * width;
        nft_vector()->copy_scaled(width, 1, call->x + start + i * width, y);
        add_row(channels, tensor->positions, call->table + rows.tensor * channels, y);
        for (int64_t d = tensor->rank - 1; d >= 0; d--)
            if (first[d] >= 0) {
                int64_t row = first[d] + nft_grid_index(tensor, rows.first + i, d);
                add_row(channels, tensor->positions, call->table + row * channels, y);
            }
    }
}

void nft_grid_add(const nft_exec *exec, const nft_space *space, int64_t channels, const float *table,
                  const float *x, float *y)
{
    add_call call = {space, channels, table, x, y};
    nft_exec_for(exec, nft_rows_count(space), add_chunk, &call);
}

nft_grid_scratch nft_grid_reserve(nft_builder *builder)
{
    int64_t channels = builder->value.channels;
    nft_grid_scratch scratch = {.part = nft_reserve(builder, NFT_ARENA_ITEM, 1, channels),
                                .group = nft_reserve(builder, NFT_ARENA_ITEM, 1, channels)};
    return scratch;
}

typedef struct sum_call {
    const nft_space *space;
    int64_t channels;
    const nft_grid_scratch *scratch;
    const float *gradient;
    float *table;
} sum_call;

/* One row while it is summed. */
typedef struct row_sum {
    int64_t channels, terms; /* that the group has */
    bool apart;              /* the tokens do not follow each other */
    float *part, *group, *row;
} row_sum;

static void close_group(row_sum *sum)
{
    size_t bytes = (size_t)sum->channels * sizeof *sum->group;
    nft_vector()->add(sum->channels, sum->group, sum->row);
    memset(sum->group, 0, bytes);
    sum->terms = 0;
}

static void add_tokens(int64_t channels, int64_t positions, int64_t tokens, const float *gradient, float *sum)
{
    for (int64_t i = 0; i < tokens; i++, gradient += channels * positions) {
        if (positions == 1)
            nft_vector()->add(channels, gradient, sum);
        else
            for (int64_t c = 0; c < channels; c++)
                for (int64_t p = 0; p < positions; p++)
                    sum[c] += gradient[c * positions + p];
    }
}

/* Tokens that follow each other become one part, unless every token stands apart. */
static void add_part(row_sum *sum, int64_t tokens, int64_t positions, const float *gradient)
{
    if (sum->apart) {
        add_tokens(sum->channels, positions, tokens, gradient, sum->group);
        sum->terms += tokens * positions;
    } else {
        memset(sum->part, 0, (size_t)sum->channels * sizeof *sum->part);
        add_tokens(sum->channels, positions, tokens, gradient, sum->part);
        nft_vector()->add(sum->channels, sum->part, sum->group);
        sum->terms++;
    }
    if (sum->terms >= MOST_TERMS)
        close_group(sum);
}

/* `count` runs of `length` tokens, `step` tokens apart. */
static void add_runs(row_sum *sum, const nft_tensor *tensor, int64_t count, int64_t length, int64_t step,
                     const float *gradient)
{
    int64_t width = sum->channels * tensor->positions;
    for (int64_t run = 0; run < count; run++, gradient += step * width)
        for (int64_t i = 0; i < length; i += MOST_TERMS)
            add_part(sum, length - i < MOST_TERMS ? length - i : MOST_TERMS, tensor->positions,
                     gradient + i * width);
}

static void add_tensor(row_sum *sum, const sum_call *call, int64_t t)
{
    const nft_tensor *tensor = &call->space->tensors[t];
    int64_t length = tensor->rank ? tensor->sizes[tensor->rank - 1] : 1;
    add_runs(sum, tensor, tensor->tokens / length, length, length,
             call->gradient + tensor->offset * sum->channels);
}

/* Index `index` of an axis, in all tensors that it indexes. */
static void add_axis(row_sum *sum, const sum_call *call, const nft_axis *axis, int64_t index)
{
    for (int64_t s = 0; s < axis->side_count; s++) {
        const nft_axis_side *side = &axis->sides[s];
        const nft_tensor *tensor = &call->space->tensors[side->tensor];
        int64_t first = tensor->offset + index * side->inner * tensor->positions;
        sum->apart = side->dimension == tensor->rank - 1;
        add_runs(sum, tensor, side->outer, side->inner, axis->size * side->inner,
                 call->gradient + first * sum->channels);
    }
}

static void sum_row(void *argument, int64_t item, float *memory)
{
    const sum_call *call = argument;
    const nft_space *space = call->space;
    row_sum sum = {.channels = call->channels,
                   .part = nft_in_item(memory, &call->scratch->part),
                   .group = nft_in_item(memory, &call->scratch->group),
                   .row = call->table + item * call->channels};
    memset(sum.group, 0, (size_t)call->channels * sizeof *sum.group);
    memset(sum.row, 0, (size_t)call->channels * sizeof *sum.row);
    if (item < space->tensor_count)
        add_tensor(&sum, call, item);
    for (int64_t a = 0, first = space->tensor_count; a < space->axis_count; a++) {
        const nft_axis *axis = &space->axes[a];
        if (axis->permutable)
            continue;
        if (item >= first && item < first + axis->size)
            add_axis(&sum, call, axis, item - first);
        first += axis->size;
    }
    close_group(&sum);
}

void nft_grid_sum(const nft_exec *exec, const nft_space *space, int64_t channels,
                  const nft_grid_scratch *scratch, const float *gradient, float *table)
{
    sum_call call = {space, channels, scratch, gradient, table};
    nft_exec_for(exec, nft_grid_rows(space), sum_row, &call);
}
