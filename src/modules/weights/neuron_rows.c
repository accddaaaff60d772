#include "modules/weights/neuron_rows.h"

#include <string.h>

nft_neuron_rows nft_rows_dense(int64_t width)
{
    return (nft_neuron_rows){.stride = width, .inner = 1, .inner_stride = width, .width = width};
}

nft_neuron_rows nft_rows_by_row(int64_t columns, int64_t width)
{
    return (nft_neuron_rows){
        .stride = columns * width, .inner = columns, .inner_stride = width, .width = width};
}

nft_neuron_rows nft_rows_by_column(int64_t rows, int64_t columns, int64_t width)
{
    return (nft_neuron_rows){.stride = width, .inner = rows, .inner_stride = columns * width, .width = width};
}

nft_neuron_rows nft_rows_transposed(int64_t rows, int64_t channels)
{
    return (nft_neuron_rows){.stride = 1, .inner = channels, .inner_stride = rows, .width = 1};
}

/* All of them transpose (inner, width) in strips of one cache line of channels. */
#define STRIP 16

void nft_neuron_row_get(const nft_neuron_rows *layout, int64_t row, const float *tensor, float *entries)
{
    const float *x = tensor + row * layout->stride;
    int64_t inner = layout->inner, width = layout->width;
    if (inner == 1) {
        memcpy(entries, x, (size_t)width * sizeof *x);
        return;
    }
    for (int64_t first = 0; first < width; first += STRIP) {
        int64_t last = first + STRIP < width ? first + STRIP : width;
        for (int64_t k = 0; k < inner; k++)
            for (int64_t c = first; c < last; c++)
                entries[c * inner + k] = x[k * layout->inner_stride + c];
    }
}

void nft_neuron_row_put(const nft_neuron_rows *layout, int64_t row, const float *entries, float *tensor)
{
    float *y = tensor + row * layout->stride;
    int64_t inner = layout->inner, width = layout->width;
    if (inner == 1) {
        memcpy(y, entries, (size_t)width * sizeof *y);
        return;
    }
    for (int64_t first = 0; first < width; first += STRIP) {
        int64_t last = first + STRIP < width ? first + STRIP : width;
        for (int64_t k = 0; k < inner; k++)
            for (int64_t c = first; c < last; c++)
                y[k * layout->inner_stride + c] = entries[c * inner + k];
    }
}

void nft_neuron_row_add(const nft_neuron_rows *layout, int64_t row, const float *entries, float *tensor)
{
    float *y = tensor + row * layout->stride;
    int64_t inner = layout->inner, width = layout->width;
    if (inner == 1) {
        nft_vector()->add(width, entries, y);
        return;
    }
    for (int64_t first = 0; first < width; first += STRIP) {
        int64_t last = first + STRIP < width ? first + STRIP : width;
        for (int64_t k = 0; k < inner; k++)
            for (int64_t c = first; c < last; c++)
                y[k * layout->inner_stride + c] += entries[c * inner + k];
    }
}

typedef struct gather {
    int64_t rows, width;
    const nft_neuron_part *parts;
    int count;
    float *y;       /* of gather */
    const float *x; /* of scatter */
} gather;

static int64_t entries_of(const nft_neuron_rows *layout)
{
    return layout->width * layout->inner;
}

static gather gather_of(int64_t rows, const nft_neuron_part *parts, int count)
{
    gather g = {.rows = rows, .parts = parts, .count = count};
    for (int i = 0; i < count; i++)
        g.width += entries_of(&parts[i].layout);
    return g;
}

static void gather_chunk(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const gather *g = argument;
    int64_t first, count;
    nft_chunk(g->rows, item, &first, &count);
    for (int64_t row = first; row < first + count; row++) {
        float *y = g->y + row * g->width;
        for (int i = 0; i < g->count; i++) {
            const nft_neuron_rows *layout = &g->parts[i].layout;
            nft_neuron_row_get(layout, row, g->parts[i].tensor, y);
            y += entries_of(layout);
        }
    }
}

void nft_neuron_parts_gather(const nft_exec *exec, int64_t rows, const nft_neuron_part *parts, int count,
                             float *y)
{
    gather g = gather_of(rows, parts, count);
    g.y = y;
    nft_exec_for(exec, nft_chunk_count(rows), gather_chunk, &g);
}

static void scatter_chunk(void *argument, int64_t item, float *thread_scratch)
{
    (void)thread_scratch;
    const gather *g = argument;
    int64_t first, count;
    nft_chunk(g->rows, item, &first, &count);
    for (int64_t row = first; row < first + count; row++) {
        const float *x = g->x + row * g->width;
        for (int i = 0; i < g->count; i++) {
            const nft_neuron_rows *layout = &g->parts[i].layout;
            nft_neuron_row_add(layout, row, x, (float *)g->parts[i].tensor);
            x += entries_of(layout);
        }
    }
}

void nft_neuron_parts_scatter_add(const nft_exec *exec, int64_t rows, const nft_neuron_part *parts, int count,
                                  const float *x)
{
    gather g = gather_of(rows, parts, count);
    g.x = x;
    nft_exec_for(exec, nft_chunk_count(rows), scatter_chunk, &g);
}
