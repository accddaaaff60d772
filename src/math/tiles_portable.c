/* The tile kernels of every processor in C, with the same splitting, order of sums and rounding: slow, and
 * right on any machine. */
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

/* ab + c, rounded once to nearest even. The product of two bf16 numbers is exact unless it leaves the range
 * of floats. */
static float multiply_add(float a, float b, float c)
{
    float product = a * b, size = fabsf(product);
    return flush(size >= FLT_MIN && size <= FLT_MAX ? product + c : fmaf(a, b, c));
}

/* Adds the products of one step of x and of one column; column[i] is `apart` further for each group. */
typedef float dot_function(float sum, const uint16_t *x, const uint16_t *column, int64_t apart);

/* VDPBF16PS (Intel SDM; AMD's Zen 4 agrees): the second product of a pair is added first. */
static float dot_avx512_bf16(float sum, const uint16_t *x, const uint16_t *column, int64_t apart)
{
    (void)apart;
    sum = multiply_add(factor(x[1]), factor(column[1]), flush(sum));
    return multiply_add(factor(x[0]), factor(column[0]), sum);
}

#define AMX_PAIRS 16

/* TDPBF16PS (Intel SDM): the first and the second products of all pairs are summed by themselves. */
static float dot_amx(float sum, const uint16_t *x, const uint16_t *column, int64_t apart)
{
    float first = 0, second = 0;
    for (int64_t pair = 0; pair < AMX_PAIRS; pair++, x += 2, column += apart) {
        first = multiply_add(factor(x[0]), factor(column[0]), first);
        second = multiply_add(factor(x[1]), factor(column[1]), second);
    }
    return flush(flush(sum) + flush(first + second));
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
static float dot_neon_bf16(float sum, const uint16_t *x, const uint16_t *column, int64_t apart)
{
    (void)apart;
    sum = flush(sum);
    for (int pair = 0; pair < 4; pair += 2)
        sum = add_to_odd(sum, add_to_odd(flush(factor(x[pair]) * factor(column[pair])),
                                         flush(factor(x[pair + 1]) * factor(column[pair + 1]))));
    return sum;
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

static float dot_row(const nft_tile_map *m, int64_t row, int64_t column, int64_t group, int64_t step,
                     dot_function *dot)
{
    int64_t line = NFT_TILE_WIDTH * group; /* numbers of one group and part */
    float sum = 0;
    for (int64_t first = 0; first < m->inputs; first += step)
        for (int i = 0; i < m->parts; i++)
            for (int j = 0; i + j < m->parts; j++)
                sum = dot(sum, m->x + i * m->x_part + row * m->x_stride + first,
                          m->panel + (first / group * m->parts + j) * line + column * group, m->parts * line);
    return sum;
}

static void map(const nft_tile_map *m, int64_t group, int64_t step, dot_function *dot)
{
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t c = 0; c < m->columns; c++) {
            float *y = m->y + r * m->y_stride + c, sum = dot_row(m, r, c, group, step, dot);
            if (m->bias)
                sum += m->bias[c];
            *y = m->add ? sum + *y : sum;
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
