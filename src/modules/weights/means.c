#include "modules/weights/means.h"

#include <string.h>

#define BLOCK_ROWS 32    /* rows that are summed as floats */
#define SLICE_FLOATS 256 /* columns that are summed together: their sums stay on the stack */
#define ITEM_FLOATS 1024 /* columns and rows that a thread sums at a time */
#define ITEM_ROWS 16

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

static void sum_slices(int64_t rows, int64_t width, const float *x, int64_t stride, double divisor, float *y)
{
    for (int64_t first = 0; first < width; first += SLICE_FLOATS) {
        int64_t count = width - first < SLICE_FLOATS ? width - first : SLICE_FLOATS;
        sum_slice(rows, count, x + first, stride, divisor, y + first);
    }
}

void nft_mean_rows(int64_t rows, int64_t width, const float *x, int64_t stride, float *y)
{
    sum_slices(rows, width, x, stride, (double)rows, y);
}

typedef struct sums {
    int64_t rows, columns, width;
    const float *x;
    float *y;
} sums;

static void sum_rows_item(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const sums *s = argument;
    int64_t first = item * ITEM_FLOATS;
    int64_t count = s->width - first < ITEM_FLOATS ? s->width - first : ITEM_FLOATS;
    sum_slices(s->rows, count, s->x + first, s->width, 1, s->y + first);
}

void nft_sum_rows(const nft_exec *exec, int64_t rows, int64_t width, const float *x, float *y)
{
    sums s = {.rows = rows, .width = width, .x = x, .y = y};
    nft_exec_for(exec, (width + ITEM_FLOATS - 1) / ITEM_FLOATS, sum_rows_item, &s);
}

static void sum_columns_item(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const sums *s = argument;
    int64_t last = (item + 1) * ITEM_ROWS < s->rows ? (item + 1) * ITEM_ROWS : s->rows;
    for (int64_t row = item * ITEM_ROWS; row < last; row++)
        sum_slices(s->columns, s->width, s->x + row * s->columns * s->width, s->width, 1,
                   s->y + row * s->width);
}

void nft_sum_columns(const nft_exec *exec, int64_t rows, int64_t columns, int64_t width, const float *x,
                     float *y)
{
    sums s = {.rows = rows, .columns = columns, .width = width, .x = x, .y = y};
    nft_exec_for(exec, (rows + ITEM_ROWS - 1) / ITEM_ROWS, sum_columns_item, &s);
}

int64_t nft_means_global(const nft_space *space, int64_t channels)
{
    int64_t positions = 0;
    for (int64_t t = 0; t < space->tensor_count; t++)
        positions = nft_size_add(positions, space->tensors[t].positions);
    return nft_size_multiply(positions, channels);
}

static int64_t block_count(int64_t rows)
{
    return (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
}

void nft_means_plan(nft_layer_means *layers, const nft_space *space, int64_t channels, int64_t global,
                    int64_t *scratch)
{
    for (int64_t i = 0; i < space->layer_count; i++) {
        const nft_tensor *weight = &space->tensors[NFT_WEIGHT_OF(i)];
        nft_layer_means *means = &layers[i];
        means->rows = weight->rows;
        means->columns = weight->columns;
        means->width = nft_size_multiply(weight->positions, channels);
        means->channels = channels;
        int64_t row = nft_size_multiply(means->columns, means->width);
        means->over_rows = nft_reserve(scratch, row);
        means->over_columns = nft_reserve(scratch, nft_size_multiply(means->rows, means->width));
        means->partial = nft_reserve(scratch, nft_size_multiply(block_count(means->rows), row));
        means->whole = global;
        global = nft_size_add(global, means->width);
    }
    for (int64_t i = 0; i < space->layer_count; i++) {
        layers[i].bias = global;
        global = nft_size_add(global, channels);
    }
}

typedef struct weight_means {
    const nft_layer_means *means;
    const float *weight;
    float *over_columns, *partial;
} weight_means;

/* A block of rows, read once: the mean of each, and their sum. */
static void mean_block(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const weight_means *w = argument;
    const nft_layer_means *means = w->means;
    int64_t row_floats = means->columns * means->width, first = item * BLOCK_ROWS;
    int64_t count = means->rows - first < BLOCK_ROWS ? means->rows - first : BLOCK_ROWS;
    float *sum = w->partial + item * row_floats;
    memset(sum, 0, (size_t)row_floats * sizeof *sum);
    for (int64_t row = first; row < first + count; row++) {
        const float *x = w->weight + row * row_floats;
        nft_mean_rows(means->columns, means->width, x, means->width, w->over_columns + row * means->width);
        nft_vector()->add(row_floats, x, sum);
    }
}

void nft_means_forward(const nft_layer_means *means, const nft_exec *exec, const float *weight,
                       const float *bias)
{
    const nft_kernels *vector = nft_vector();
    int64_t blocks = block_count(means->rows), row_floats = means->columns * means->width;
    float *over_rows = exec->scratch + means->over_rows, *over_columns = exec->scratch + means->over_columns;
    float *partial = exec->scratch + means->partial;
    weight_means w = {.means = means, .weight = weight, .over_columns = over_columns, .partial = partial};
    nft_exec_for(exec, blocks, mean_block, &w);
    nft_mean_rows(blocks, row_floats, partial, row_floats, over_rows);
    vector->copy_scaled(row_floats, (float)((double)blocks / (double)means->rows), over_rows, over_rows);
    nft_mean_rows(means->rows, means->width, over_columns, means->width, exec->scratch + means->whole);
    nft_mean_rows(means->rows, means->channels, bias, means->channels, exec->scratch + means->bias);
}

void nft_means_clear(const nft_layer_means *layers, int64_t count, const nft_exec *exec)
{
    for (int64_t i = 0; i < count; i++) {
        const nft_layer_means *means = &layers[i];
        float *over_rows = exec->scratch + means->over_rows,
              *over_columns = exec->scratch + means->over_columns;
        memset(over_rows, 0, (size_t)(means->columns * means->width) * sizeof *over_rows);
        memset(over_columns, 0, (size_t)(means->rows * means->width) * sizeof *over_columns);
    }
}

/* A mean over n entries gives each of them 1/n of its gradient. The whole mean's goes with the rows'. */
void nft_means_backward(const nft_layer_means *means, const nft_exec *exec, float *bias_gradient)
{
    const nft_kernels *vector = nft_vector();
    int64_t width = means->width, channels = means->channels;
    float *over_rows = exec->scratch + means->over_rows, *over_columns = exec->scratch + means->over_columns;
    float *whole = exec->scratch + means->whole, *bias = exec->scratch + means->bias;
    double rows = (double)means->rows, columns = (double)means->columns;
    vector->copy_scaled(means->columns * width, (float)(1 / rows), over_rows, over_rows);
    vector->copy_scaled(means->rows * width, (float)(1 / columns), over_columns, over_columns);
    vector->copy_scaled(width, (float)(1 / (rows * columns)), whole, whole);
    vector->add_bias(means->rows, width, whole, over_columns, width);
    vector->copy_scaled(channels, (float)(1 / rows), bias, bias);
    vector->add_bias(means->rows, channels, bias, bias_gradient, channels);
}

void nft_broadcast_add(int64_t columns, int64_t width, const float *over_rows, const float *over_columns,
                       int64_t first, int64_t count, float *y)
{
    const nft_kernels *vector = nft_vector();
    int64_t last = first + count, segment;
    for (int64_t at = first; at < last; at += segment, y += segment * width) {
        int64_t row = at / columns, column = at % columns;
        segment = columns - column < last - at ? columns - column : last - at;
        if (over_rows)
            vector->add(segment * width, over_rows + column * width, y);
        if (over_columns)
            vector->add_bias(segment, width, over_columns + row * width, y, width);
    }
}

typedef struct broadcast {
    const nft_layer_means *means;
    const nft_exec *exec;
    float *y;
} broadcast;

static void broadcast_chunk(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const broadcast *b = argument;
    const nft_layer_means *means = b->means;
    int64_t first, count;
    nft_chunk(means->rows * means->columns, item, &first, &count);
    nft_broadcast_add(means->columns, means->width, b->exec->scratch + means->over_rows,
                      b->exec->scratch + means->over_columns, first, count, b->y + first * means->width);
}

void nft_means_broadcast_add(const nft_layer_means *means, const nft_exec *exec, float *y)
{
    broadcast b = {means, exec, y};
    nft_exec_for(exec, nft_chunk_count(means->rows * means->columns), broadcast_chunk, &b);
}
