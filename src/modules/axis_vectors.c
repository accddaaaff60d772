#include "modules/axis_vectors.h"

/* Vectors that were a multiple of 1 KiB apart would share few places of the first cache, and a row of tokens
 * is spread over as many vectors as it has columns. */
#define SHARING_FLOATS 256

static int64_t stride_of(const nft_axis *axis, int64_t head_channels)
{
    int64_t length = nft_size_multiply(axis->size, head_channels);
    return length % SHARING_FLOATS ? length : nft_size_add(length, NFT_AXIS_PADDING);
}

int64_t nft_axis_offsets(const nft_space *space, int64_t heads, int64_t head_channels, int64_t *offsets)
{
    int64_t floats = 0;
    for (int64_t i = 0; i < space->axis_count; i++) {
        const nft_axis *axis = &space->axes[i];
        int64_t matrix = nft_size_multiply(axis->tokens, stride_of(axis, head_channels));
        offsets[i] = floats;
        floats = nft_size_add(floats, nft_size_multiply(heads, matrix));
    }
    return floats;
}

int64_t nft_axis_stride(const nft_axis_layout *layout, int64_t axis)
{
    return stride_of(&layout->space->axes[axis], layout->head_channels);
}

float *nft_axis_matrix(const nft_axis_layout *layout, float *vectors, int64_t axis, int64_t group,
                       int64_t head)
{
    int64_t matrix = layout->space->axes[axis].tokens * nft_axis_stride(layout, axis);
    return vectors + layout->groups * layout->offsets[axis] + (group * layout->heads + head) * matrix;
}

/* Where the tokens of a tensor stand in the matrices of an axis: of head h, (row, column) is at
 * vectors + h · head_step + row · row_step + column · column_step. */
typedef struct placement {
    float *vectors;
    int64_t head_step, row_step, column_step;
} placement;

static placement place(const nft_axis_layout *layout, float *vectors, int64_t group, int64_t tensor,
                       int64_t index)
{
    const nft_axis *axis = &layout->space->axes[index];
    const nft_axis_side *side = axis->sides;
    while (side->tensor != tensor)
        side++;
    int64_t vector = nft_axis_stride(layout, index);
    return (placement){.vectors = nft_axis_matrix(layout, vectors, index, group, 0) + side->first * vector,
                       .head_step = axis->tokens * vector,
                       .row_step = side->rows ? layout->head_channels : vector,
                       .column_step = side->rows ? vector : layout->head_channels};
}

/* The placements of a tensor on its one or two axes; returns how many. */
static int placements(const nft_axis_layout *layout, float *vectors, int64_t group, int64_t tensor,
                      placement places[2])
{
    const nft_tensor *t = &layout->space->tensors[tensor];
    places[0] = place(layout, vectors, group, tensor, t->row_axis);
    if (t->column_axis < 0)
        return 1;
    places[1] = place(layout, vectors, group, tensor, t->column_axis);
    return 2;
}

/* Tokens that follow each other in one row of their tensor: at equal distances on an axis too. */
typedef struct run {
    int64_t first, count; /* among the rows' tokens */
    int64_t row, column;  /* of the first one */
} run;

static run next_run(const nft_rows *rows, int64_t columns, int64_t first)
{
    int64_t token = rows->first + first, column = token % columns, left = rows->count - first;
    return (run){.first = first,
                 .count = left < columns - column ? left : columns - column,
                 .row = token / columns,
                 .column = column};
}

static float *run_vectors(const run *r, const placement *place, int64_t head)
{
    return place->vectors + head * place->head_step + r->row * place->row_step +
           r->column * place->column_step;
}

/* Run by run, so that its tokens are in the first cache for all heads and both axes. */
void nft_axis_put(const nft_axis_layout *layout, float *vectors, int64_t group, const nft_rows *rows,
                  const float *x, int64_t stride, int64_t head_stride)
{
    placement places[2];
    const nft_kernels *kernels = nft_vector();
    int64_t columns = layout->space->tensors[rows->tensor].columns;
    int count = placements(layout, vectors, group, rows->tensor, places);
    for (run r = {0}; r.first < rows->count; r.first += r.count) {
        r = next_run(rows, columns, r.first);
        for (int p = 0; p < count; p++)
            for (int64_t head = 0; head < layout->heads; head++)
                kernels->copy_rows(r.count, layout->head_channels, x + r.first * stride + head * head_stride,
                                   stride, run_vectors(&r, &places[p], head), places[p].column_step);
    }
}

void nft_axis_add(const nft_axis_layout *layout, float *vectors, int64_t group, const nft_rows *rows,
                  float *y, int64_t stride, int64_t head_stride)
{
    placement places[2];
    const nft_kernels *kernels = nft_vector();
    int64_t columns = layout->space->tensors[rows->tensor].columns;
    int count = placements(layout, vectors, group, rows->tensor, places);
    for (run r = {0}; r.first < rows->count; r.first += r.count) {
        r = next_run(rows, columns, r.first);
        for (int p = 0; p < count; p++)
            for (int64_t head = 0; head < layout->heads; head++)
                kernels->add_rows(r.count, layout->head_channels, run_vectors(&r, &places[p], head),
                                  places[p].column_step, y + r.first * stride + head * head_stride, stride);
    }
}
