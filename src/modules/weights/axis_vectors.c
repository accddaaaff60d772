#include "modules/weights/axis_vectors.h"

/* Vectors that were a multiple of 1 KiB apart would share few places of the first cache, and a row of tokens
 * is spread over as many vectors as it has columns. */
#define SHARING_FLOATS 256

int64_t nft_axis_stride(const nft_axis *axis, int64_t channels)
{
    int64_t length = nft_size_multiply(axis->size, channels);
    return length % SHARING_FLOATS ? length : nft_size_add(length, NFT_AXIS_PADDING);
}

int64_t nft_axis_floats(const nft_axis *axis, int64_t channels)
{
    int64_t size = 0;
    nft_reserve(&size, nft_size_multiply(axis->tokens, nft_axis_stride(axis, channels)));
    return size;
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

/* The groups of a row of tokens follow each other, as they are neighbours in memory. */
void nft_axis_take(const nft_space *space, int64_t axis, int64_t channels, int groups, const float *x,
                   int64_t x_stride, float *matrices)
{
    const nft_axis *a = &space->axes[axis];
    int64_t floats = nft_axis_floats(a, channels);
    for (const nft_axis_side *side = a->sides; side < a->sides + a->side_count; side++) {
        const nft_tensor *tensor = &space->tensors[side->tensor];
        placement p = place(a, side, channels);
        for (int64_t row = 0; row < tensor->rows; row++) {
            const float *tokens = x + (tensor->first_token + row * tensor->columns) * x_stride;
            float *to = matrices + p.start + row * p.row_step;
            for (int g = 0; g < groups; g++)
                nft_vector()->copy_rows(tensor->columns, channels, tokens + g * channels, x_stride,
                                        to + g * floats, p.column_step);
        }
    }
}

static bool sets(const nft_tensor *tensor, int64_t axis)
{
    return tensor->bias || axis % 2 == 0;
}

void nft_axis_give(const nft_space *space, int64_t axis, int64_t channels, int groups, const float *matrices,
                   float *x, int64_t x_stride)
{
    const nft_axis *a = &space->axes[axis];
    int64_t floats = nft_axis_floats(a, channels);
    for (const nft_axis_side *side = a->sides; side < a->sides + a->side_count; side++) {
        const nft_tensor *tensor = &space->tensors[side->tensor];
        placement p = place(a, side, channels);
        for (int64_t row = 0; row < tensor->rows; row++) {
            float *tokens = x + (tensor->first_token + row * tensor->columns) * x_stride;
            const float *from = matrices + p.start + row * p.row_step;
            for (int g = 0; g < groups; g++)
                (sets(tensor, axis) ? nft_vector()->copy_rows
                                    : nft_vector()->add_rows)(tensor->columns, channels, from + g * floats,
                                                              p.column_step, tokens + g * channels, x_stride);
        }
    }
}
