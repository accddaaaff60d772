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

/* One group of a panel of pairs: the first and the second number of each column. */
static void read_pairs(int64_t columns, const uint16_t *panel, float *restrict first, float *restrict second)
{
    for (int64_t c = 0; c < columns; c++) {
        first[c] = factor(panel[2 * c]);
        second[c] = factor(panel[2 * c + 1]);
    }
}

/* sums[c] = a b[c] + sums[c], rounded once to nearest even. The product of two bf16 numbers is exact unless
 * it leaves the range of floats. */
static void multiply_add(int64_t columns, float a, const float *b, float *sums)
{
    float results[NFT_TILE_WIDTH];
    int inexact = 0;
    for (int64_t c = 0; c < columns; c++) {
        float product = a * b[c], size = fabsf(product);
        inexact |= !((size >= FLT_MIN) & (size <= FLT_MAX)) & (a != 0) & (b[c] != 0);
        results[c] = flush(product + sums[c]);
    }
    for (int64_t c = 0; c < columns && inexact; c++)
        results[c] = flush(fmaf(a, b[c], sums[c]));
    for (int64_t c = 0; c < columns; c++)
        sums[c] = results[c];
}

/* Adds the products of one step of x and of each column to the column's sum. Group by group, the columns'
 * numbers are `apart` further. */
typedef void dot_function(int64_t columns, const uint16_t *x, const uint16_t *panel, int64_t apart,
                          float *sums);

/* VDPBF16PS (Intel SDM; AMD's Zen 4 agrees): the second product of a pair is added first. */
static void dot_avx512_bf16(int64_t columns, const uint16_t *x, const uint16_t *panel, int64_t apart,
                            float *sums)
{
    (void)apart;
    float first[NFT_TILE_WIDTH], second[NFT_TILE_WIDTH];
    read_pairs(columns, panel, first, second);
    multiply_add(columns, factor(x[1]), second, sums);
    multiply_add(columns, factor(x[0]), first, sums);
}

#define AMX_PAIRS 16

/* TDPBF16PS (Intel SDM): the first and the second products of all pairs are summed by themselves. */
static void dot_amx(int64_t columns, const uint16_t *x, const uint16_t *panel, int64_t apart, float *sums)
{
    float first[NFT_TILE_WIDTH] = {0}, second[NFT_TILE_WIDTH] = {0}, b[2][NFT_TILE_WIDTH];
    for (int64_t pair = 0; pair < AMX_PAIRS; pair++, x += 2, panel += apart) {
        read_pairs(columns, panel, b[0], b[1]);
        multiply_add(columns, factor(x[0]), b[0], first);
        multiply_add(columns, factor(x[1]), b[1], second);
    }
    for (int64_t c = 0; c < columns; c++)
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
static void dot_neon_bf16(int64_t columns, const uint16_t *x, const uint16_t *panel, int64_t apart,
                          float *sums)
{
    (void)apart;
    for (int64_t c = 0; c < columns; c++, panel += 4)
        for (int i = 0; i < 4; i += 2) {
            float first = flush(factor(x[i]) * factor(panel[i])),
                  second = flush(factor(x[i + 1]) * factor(panel[i + 1]));
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

static void map(const nft_tile_map *m, int64_t group, int64_t step, dot_function *dot)
{
    int64_t line = NFT_TILE_WIDTH * group; /* numbers of one group and part */
    for (int64_t r = 0; r < m->rows; r++) {
        float sums[NFT_TILE_WIDTH] = {0}, *y = m->y + r * m->y_stride;
        const uint16_t *x = m->x + r * m->x_stride, *panel = m->panel;
        for (int64_t i = 0; i < m->inputs; i += step, panel += step / group * m->parts * line)
            for (int a = 0; a < m->parts; a++)
                for (int b = 0; a + b < m->parts; b++)
                    dot(m->columns, x + a * m->x_part + i, panel + b * line, m->parts * line, sums);
        for (int64_t c = 0; c < m->columns; c++) {
            float sum = m->bias ? sums[c] + m->bias[c] : sums[c];
            y[c] = m->add ? sum + y[c] : sum;
        }
    }
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
DEFINE(amx, 2, 32, 3, 2, 1)
DEFINE(neon_bf16, 4, 4, 0, 0, 1)
