#include "modules/axis_vectors.h"

/* Vectors that were a multiple of 1 KiB apart would share few places of the first cache, and a row of tokens
 * is spread over as many vectors as it has columns. */
#define SHARING_FLOATS 256

int64_t nft_axis_stride(const nft_axis *axis, int64_t channels)
{
    int64_t length = nft_size_multiply(axis->size, channels);
    return length % SHARING_FLOATS ? length : nft_size_add(length, NFT_AXIS_PADDING);
}

/* Where token (row, column) of a side's tensor stands in the matrix: at row · row_step + column · column_step
 * from `start`. */
typedef struct placement {
    int64_t start, row_step, column_step;
} placement;

static placement place(const nft_axis *axis, const nft_axis_side *side, int64_t channels)
{
    int64_t vector = nft_axis_stride(axis, channels);
    return (placement){.start = side->first * vector,
                       .row_step = side->rows ? channels : vector,
                       .column_step = side->rows ? vector : channels};
}

void nft_axis_take(const nft_space *space, int64_t axis, int64_t channels, const float *x, int64_t x_stride,
                   float *matrix)
{
    const nft_axis *a = &space->axes[axis];
    for (const nft_axis_side *side = a->sides; side < a->sides + a->side_count; side++) {
        const nft_tensor *tensor = &space->tensors[side->tensor];
        placement p = place(a, side, channels);
        const float *tokens = x + tensor->first_token * x_stride;
        for (int64_t row = 0; row < tensor->rows; row++)
            nft_vector()->copy_rows(tensor->columns, channels, tokens + row * tensor->columns * x_stride,
                                    x_stride, matrix + p.start + row * p.row_step, p.column_step);
    }
}

void nft_axis_give(const nft_space *space, int64_t axis, int64_t channels, const float *matrix, float *x,
                   int64_t x_stride)
{
    const nft_axis *a = &space->axes[axis];
    for (const nft_axis_side *side = a->sides; side < a->sides + a->side_count; side++) {
        const nft_tensor *tensor = &space->tensors[side->tensor];
        placement p = place(a, side, channels);
        float *tokens = x + tensor->first_token * x_stride;
        for (int64_t row = 0; row < tensor->rows; row++)
            nft_vector()->add_rows(tensor->columns, channels, matrix + p.start + row * p.row_step,
                                   p.column_step, tokens + row * tensor->columns * x_stride, x_stride);
    }
}
