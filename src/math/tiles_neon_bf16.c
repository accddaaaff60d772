/* Tiles of BFMMLA, which multiplies two rows of four bf16 numbers with two columns of as many. */
#include "math/tiles.h"

#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#include "math/bf16.h"
#include "math/lanes.h"

#define MAX_ROWS 4 /* two pairs */
#define COLUMNS 16 /* eight pairs: 16 accumulators of 32 registers */
#define GROUP 4

static void split(int64_t rows, int64_t inputs, int parts, const float *x, int64_t x_stride, uint16_t *out,
                  int64_t out_stride, int64_t out_part)
{
    (void)parts, (void)out_part; /* always one */
    int64_t filled = (inputs + GROUP - 1) / GROUP * GROUP;
    for (int64_t r = 0; r < rows; r++, x += x_stride, out += out_stride) {
        for (int64_t i = 0; i < inputs; i++)
            out[i] = nft_bf16_round(x[i]);
        for (int64_t i = inputs; i < filled; i++)
            out[i] = 0;
    }
}

INLINE bfloat16x8_t numbers(const uint16_t *low, const uint16_t *high)
{
    return vreinterpretq_bf16_u16(vcombine_u16(vld1_u16(low), vld1_u16(high)));
}

/* Where result (row, column) of a tile stands: each register holds two rows of two columns. */
INLINE float32x2_t result_at(float32x4_t sums, int row)
{
    return row % 2 ? vget_high_f32(sums) : vget_low_f32(sums);
}

INLINE void finish(const nft_tile_map *m, int64_t row, int64_t column, float32x2_t sums)
{
    float *y = m->y + row * m->y_stride + column;
    if (m->bias)
        sums = vadd_f32(sums, vld1_f32(m->bias + column));
    if (m->add)
        sums = vadd_f32(sums, vld1_f32(y));
    vst1_f32(y, sums);
}

/* An odd row is paired with itself. */
INLINE void tile(const nft_tile_map *m, int64_t first, int64_t column, int rows)
{
    const uint16_t *x[MAX_ROWS], *panel = m->panel + column * GROUP;
    float32x4_t sum[MAX_ROWS / 2][COLUMNS / 2];
    int pairs = (rows + 1) / 2;
    UNROLLED (r, 2 * pairs)
        x[r] = m->x + (first + (r < rows ? r : rows - 1)) * m->x_stride;
    UNROLLED (r, pairs)
        UNROLLED (c, COLUMNS / 2)
            sum[r][c] = vdupq_n_f32(0);
    for (int64_t i = 0; i < m->inputs; i += GROUP, panel += GROUP * NFT_TILE_WIDTH)
        UNROLLED (c, COLUMNS / 2) {
            bfloat16x8_t columns = vreinterpretq_bf16_u16(vld1q_u16(panel + c * 2 * GROUP));
            UNROLLED (r, pairs)
                sum[r][c] = vbfmmlaq_f32(sum[r][c], numbers(x[2 * r] + i, x[2 * r + 1] + i), columns);
        }
    UNROLLED (r, rows)
        UNROLLED (c, COLUMNS / 2)
            finish(m, first + r, column + 2 * c, result_at(sum[r / 2][c], r));
}

static void map(const nft_tile_map *m)
{
    for (int64_t column = 0; column < m->columns; column += COLUMNS) {
        int64_t first = 0;
        for (; first + 4 <= m->rows; first += 4)
            tile(m, first, column, 4);
        for (; first + 2 <= m->rows; first += 2)
            tile(m, first, column, 2);
        if (first < m->rows)
            tile(m, first, column, 1);
    }
}

const nft_tiles nft_tiles_neon_bf16 = {
    .parts = {0, 0, 1}, .group = GROUP, .step = GROUP, .split = split, .map = map};

#endif
