/* The tile kernels of every processor in C, with the same splitting, order of sums and rounding. They are
 * slow, and right on any machine. */
#include "math/bf16.h"
#include "math/tiles.h"

#include <float.h>
#include <math.h>

static float flush(float x)
{
    uint32_t bits = nft_float_bits(x);
    return bits & NFT_BF16_EXPONENT ? x : nft_bits_float(bits & 0x80000000);
}

static float factor(uint16_t x)
{
    return flush(nft_bf16_float(x));
}

/* One number of each column, and the range of those that are not 0. */
typedef struct panel_row {
    float value[NFT_TILE_WIDTH], least, most;
} panel_row;

/* sums[c] = a b[c] + sums[c], rounded once to nearest even. The product of two bf16 numbers is exact unless
 * it leaves the range of floats. */
static void multiply_add(float a, const panel_row *b, float *restrict sums)
{
    float size = fabsf(a);
    bool exact = a == 0 || (size * b->least >= FLT_MIN && size * b->most <= FLT_MAX);
    for (int c = 0; c < NFT_TILE_WIDTH && exact; c++)
        sums[c] = flush(a * b->value[c] + sums[c]);
    for (int c = 0; c < NFT_TILE_WIDTH && !exact; c++)
        sums[c] = flush(fmaf(a, b->value[c], sums[c]));
}

/* Adds the products of one step of x and of each column, whose numbers are panel[i].value[column], to the
 * column's sum. */
typedef void dot_function(const uint16_t *x, const panel_row *panel, float *sums);

/* VDPBF16PS (Intel SDM; AMD's Zen 4 agrees): the second product of a pair is added first. */
static void dot_avx512_bf16(const uint16_t *x, const panel_row *panel, float *sums)
{
    multiply_add(factor(x[1]), &panel[1], sums);
    multiply_add(factor(x[0]), &panel[0], sums);
}

#define AMX_STEP 32

/* TDPBF16PS (Intel SDM): the first and the second products of all pairs are summed by themselves. */
static void dot_amx(const uint16_t *x, const panel_row *panel, float *sums)
{
    float first[NFT_TILE_WIDTH] = {0}, second[NFT_TILE_WIDTH] = {0};
    for (int i = 0; i < AMX_STEP; i += 2) {
        multiply_add(factor(x[i]), &panel[i], first);
        multiply_add(factor(x[i + 1]), &panel[i + 1], second);
    }
    for (int c = 0; c < NFT_TILE_WIDTH; c++)
        sums[c] = flush(sums[c] + flush(first[c] + second[c]));
}

/* a + b rounded to odd: an inexact sum gets the neighbour whose last bit is 1. */
static float add_to_odd(float a, float b)
{
    float sum = a + b;
    if (isinf(sum) && !isinf(a) && !isinf(b))
        return fabs((double)a + (double)b) < 0x1p128 ? copysignf(FLT_MAX, sum) : sum;
    float of_b = sum - a, error = (a - (sum - of_b)) + (b - of_b); /* exact (Knuth's two-sum) */
    uint32_t bits = nft_float_bits(sum);
    if (!(error > 0 || error < 0) || (bits & 1))
        return flush(sum);
    bool beyond = (error > 0) == (sum > 0);
    return flush(nft_bits_float(beyond ? bits + 1 : bits - 1));
}

/* BFMMLA (Arm ARM, FPCR.EBF = 0): two pairs, of which each product, each sum of two, and each sum of all is
 * rounded to odd; the products are exact or flushed. */
static void dot_neon_bf16(const uint16_t *x, const panel_row *panel, float *sums)
{
    for (int i = 0; i < 4; i += 2)
        for (int c = 0; c < NFT_TILE_WIDTH; c++) {
            float first = flush(factor(x[i]) * panel[i].value[c]),
                  second = flush(factor(x[i + 1]) * panel[i + 1].value[c]);
            sums[c] = add_to_odd(sums[c], add_to_odd(first, second));
        }
}

static void split(int64_t step, int64_t rows, int64_t inputs, int parts, const float *x, int64_t x_stride,
                  uint16_t *out, int64_t out_stride, int64_t out_part)
{
    int64_t filled = (inputs + step - 1) / step * step;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < filled; i++) {
            float rest = i < inputs ? x[r * x_stride + i] : 0;
            for (int p = 0; p < parts; p++) {
                uint16_t part = nft_bf16_round(rest);
                out[p * out_part + r * out_stride + i] = part;
                rest = nft_bf16_rest(rest, part);
            }
        }
}

/* One step and part of a panel, which holds a group of each column's numbers after the other. */
static void read_panel(int64_t group, int64_t step, const uint16_t *panel, int64_t apart, panel_row *out)
{
    for (int64_t i = 0; i < step; i++) {
        out[i].least = INFINITY;
        out[i].most = 0;
        for (int64_t c = 0; c < NFT_TILE_WIDTH; c++) {
            float x = factor(panel[i / group * apart + c * group + i % group]), size = fabsf(x);
            out[i].value[c] = x;
            out[i].least = size > 0 && size < out[i].least ? size : out[i].least;
            out[i].most = size > out[i].most ? size : out[i].most;
        }
    }
}

static void end_row(const nft_tile_map *m, int64_t row, const float *sums)
{
    float *y = m->y + row * m->y_stride;
    for (int64_t c = 0; c < m->columns; c++) {
        float sum = m->bias ? sums[c] + m->bias[c] : sums[c];
        y[c] = m->add ? sum + y[c] : sum;
    }
}

#define BLOCK 64 /* rows that share the numbers which are read from the panel */

static void map_block(const nft_tile_map *m, int64_t first, int64_t rows, int64_t group, int64_t step,
                      dot_function *dot)
{
    float sums[BLOCK][NFT_TILE_WIDTH] = {0};
    panel_row numbers[NFT_MAX_PARTS][AMX_STEP];
    int64_t line = NFT_TILE_WIDTH * group; /* numbers of one group and part */
    const uint16_t *panel = m->panel;
    for (int64_t i = 0; i < m->inputs; i += step, panel += step / group * m->parts * line) {
        for (int p = 0; p < m->parts; p++)
            read_panel(group, step, panel + p * line, m->parts * line, numbers[p]);
        for (int64_t r = 0; r < rows; r++)
            for (int a = 0; a < m->parts; a++)
                for (int b = 0; a + b < m->parts; b++)
                    dot(m->x + a * m->x_part + (first + r) * m->x_stride + i, numbers[b], sums[r]);
    }
    for (int64_t r = 0; r < rows; r++)
        end_row(m, first + r, sums[r]);
}

static void map(const nft_tile_map *m, int64_t group, int64_t step, dot_function *dot)
{
    for (int64_t r = 0; r < m->rows; r += BLOCK)
        map_block(m, r, m->rows - r < BLOCK ? m->rows - r : BLOCK, group, step, dot);
}

#define DEFINE(SET, GROUP, STEP, FLOAT32, BF16X3, BF16)                                                      \
    static void split_##SET(int64_t rows, int64_t inputs, int parts, const float *x, int64_t x_stride,       \
                            uint16_t *out, int64_t out_stride, int64_t out_part)                             \
    {                                                                                                        \
        split(STEP, rows, inputs, parts, x, x_stride, out, out_stride, out_part);                            \
    }                                                                                                        \
    static void map_##SET(const nft_tile_map *m)                                                             \
    {                                                                                                        \
        map(m, GROUP, STEP, dot_##SET);                                                                      \
    }                                                                                                        \
    const nft_tiles nft_tiles_portable_##SET = {.parts = {FLOAT32, BF16X3, BF16},                            \
                                                .group = GROUP,                                              \
                                                .step = STEP,                                                \
                                                .split = split_##SET,                                        \
                                                .map = map_##SET};

DEFINE(avx512_bf16, 2, 2, 0, 0, 1)
DEFINE(amx, 2, AMX_STEP, 3, 2, 1)
DEFINE(neon_bf16, 4, 4, 0, 0, 1)
