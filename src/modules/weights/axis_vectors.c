#include "modules/weights/axis_vectors.h"

/* Vectors that were a multiple of 1 KiB apart would share few places of the first cache, and a line of tokens
 * is spread over as many vectors as it has tokens. */
#define SHARING_FLOATS 256

int64_t nft_axis_stride(const nft_axis *axis, int64_t channels)
{
    int64_t length = nft_size_multiply(axis->size, channels);
    return length % SHARING_FLOATS ? length : nft_size_add(length, NFT_AXIS_PADDING);
}

int64_t nft_axis_floats(const nft_axis *axis, int64_t channels)
{
    int64_t size = 0;
    nft_take(&size, nft_size_multiply(axis->vectors, nft_axis_stride(axis, channels)));
    return size;
}

/* Lines of tokens of a side's tensor: tokens that are neighbours in memory and stand at one distance in the
 * matrix. Along the tensor's last axis a line is one vector; otherwise it is the same neuron of `inner`
 * vectors. */
typedef struct lines {
    int64_t outer, count; /* lines: `count` for each index of the axes before */
    int64_t length;       /* tokens of a line */
    int64_t start;        /* of the first in the matrix */
    int64_t outer_step, line_step, token_step;
} lines;

static lines lines_of(const nft_axis *axis, const nft_axis_side *side, int64_t channels)
{
    int64_t vector = nft_axis_stride(axis, channels);
    lines l = {.outer = side->outer, .start = side->first * vector, .outer_step = side->inner * vector};
    if (side->inner == 1) {
        l.count = 1;
        l.length = axis->size;
        l.token_step = channels;
    } else {
        l.count = axis->size;
        l.length = side->inner;
        l.line_step = channels;
        l.token_step = vector;
    }
    return l;
}

/* The groups of a line follow each other, as they are neighbours in memory. */
static void take_side(const lines *l, int64_t channels, int groups, const float *tokens, int64_t x_stride,
                      float *matrices, int64_t floats)
{
    for (int64_t outer = 0; outer < l->outer; outer++) {
        float *to = matrices + l->start + outer * l->outer_step;
        for (int64_t line = 0; line < l->count; line++, tokens += l->length * x_stride, to += l->line_step)
            nft_vector()->copy_groups(l->length, channels, groups, tokens, x_stride, channels, to,
                                      l->token_step, floats);
    }
}

void nft_axis_take(const nft_space *space, int64_t axis, int64_t channels, int groups, const float *x,
                   int64_t x_stride, float *matrices)
{
    const nft_axis *a = &space->axes[axis];
    for (const nft_axis_side *side = a->sides; side < a->sides + a->side_count; side++) {
        lines l = lines_of(a, side, channels);
        take_side(&l, channels, groups, x + space->tensors[side->tensor].first_token * x_stride, x_stride,
                  matrices, nft_axis_floats(a, channels));
    }
}

static void give_side(const lines *l, bool sets, int64_t channels, int groups, const float *matrices,
                      int64_t floats, float *tokens, int64_t x_stride)
{
    for (int64_t outer = 0; outer < l->outer; outer++) {
        const float *from = matrices + l->start + outer * l->outer_step;
        for (int64_t line = 0; line < l->count; line++, tokens += l->length * x_stride, from += l->line_step)
            (sets ? nft_vector()->copy_groups : nft_vector()->add_groups)(
                l->length, channels, groups, from, l->token_step, floats, tokens, x_stride, channels);
    }
}

/* Sides of one tensor follow each other. */
static bool is_first(const nft_axis *axis, const nft_axis_side *side)
{
    return side == axis->sides || side[-1].tensor != side->tensor;
}

void nft_axis_give(const nft_space *space, int64_t axis, bool alone, int64_t channels, int groups,
                   const float *matrices, float *x, int64_t x_stride)
{
    const nft_axis *a = &space->axes[axis];
    for (const nft_axis_side *side = a->sides; side < a->sides + a->side_count; side++) {
        lines l = lines_of(a, side, channels);
        give_side(&l, alone ? is_first(a, side) : side->sets, channels, groups, matrices,
                  nft_axis_floats(a, channels), x + space->tensors[side->tensor].first_token * x_stride,
                  x_stride);
    }
}
