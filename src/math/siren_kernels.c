/* The kernels of siren_kernels.h, compiled once for each instruction set with NFT_KERNELS_SET its name. A
 * tile of rows times one or two vectors of columns is held in registers while it runs over the inner axis. */
#include "math/siren_kernels.h"

#include "math/lanes.h"

#include <math.h>

#if LANES == 16 || defined(__aarch64__)
#define TILE_ROWS 8 /* 16 accumulators of 32 registers */
#else
#define TILE_ROWS 4 /* 8 of 16 */
#endif

/* What a tile begins with, and what becomes of it. */
typedef enum tile_mode { FORWARD, BACKWARD, GRADIENT, GRADIENT_AND_SUMS } tile_mode;

/* Rows first … first + rows - 1 and columns column … of a product. `rows`, `vectors` and `mode` are constants
 * where it is called, so that the sums are registers. */
INLINE void tile(const nft_product *p, const float *other, float *sums, int64_t first, int64_t column,
                 int rows, int vectors, tile_mode mode)
{
    floats sum[TILE_ROWS][2], column_sums[2] = {fill(0), fill(0)};
    bool transposed = mode == GRADIENT || mode == GRADIENT_AND_SUMS;
    const float *a = transposed ? p->a + first : p->a + first * p->a_stride;
    const float *b = p->b + column;
    float *y = p->y + first * p->y_stride + column;
    int64_t inner = p->inner, a_stride = p->a_stride, b_stride = p->b_stride, y_stride = p->y_stride;
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            sum[r][v] = mode == FORWARD ? load(other + column + v * LANES) : fill(0);
    for (int64_t k = 0; k < inner; k++) {
        floats row[2];
        for (int v = 0; v < vectors; v++)
            row[v] = load(b + k * b_stride + v * LANES);
        for (int v = 0; v < vectors && mode == GRADIENT_AND_SUMS; v++)
            column_sums[v] += row[v];
        for (int r = 0; r < rows; r++) {
            floats factor = fill(transposed ? a[k * a_stride + r] : a[r * a_stride + k]);
            for (int v = 0; v < vectors; v++)
                sum[r][v] = fused(factor, row[v], sum[r][v]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) {
            float *place = y + r * y_stride + v * LANES;
            if (mode == BACKWARD)
                sum[r][v] *= load(other + (first + r) * y_stride + column + v * LANES);
            if (transposed)
                sum[r][v] += load(place);
            store(place, sum[r][v]);
        }
    for (int v = 0; v < vectors && mode == GRADIENT_AND_SUMS; v++)
        store(sums + column + v * LANES, column_sums[v] + load(sums + column + v * LANES));
}

/* The first tile of rows sums b's columns on the way. */
INLINE int64_t first_rows(const nft_product *p, float *sums, int64_t column, int vectors)
{
    if (p->rows >= TILE_ROWS) {
        tile(p, NULL, sums, 0, column, TILE_ROWS, vectors, GRADIENT_AND_SUMS);
        return TILE_ROWS;
    }
    if (p->rows >= 2) {
        tile(p, NULL, sums, 0, column, 2, vectors, GRADIENT_AND_SUMS);
        return 2;
    }
    tile(p, NULL, sums, 0, column, 1, vectors, GRADIENT_AND_SUMS);
    return 1;
}

INLINE void tiles_of_columns(const nft_product *p, const float *other, float *sums, int64_t column,
                             int vectors, tile_mode mode)
{
    int64_t row = mode == GRADIENT && sums ? first_rows(p, sums, column, vectors) : 0;
    for (; row + TILE_ROWS <= p->rows; row += TILE_ROWS)
        tile(p, other, NULL, row, column, TILE_ROWS, vectors, mode);
    for (; row + 2 <= p->rows; row += 2)
        tile(p, other, NULL, row, column, 2, vectors, mode);
    for (; row < p->rows; row++)
        tile(p, other, NULL, row, column, 1, vectors, mode);
}

INLINE void multiply(const nft_product *p, const float *other, float *sums, tile_mode mode)
{
    int64_t column = 0;
    for (; column + 2 * LANES <= p->columns; column += 2 * LANES)
        tiles_of_columns(p, other, sums, column, 2, mode);
    if (column < p->columns)
        tiles_of_columns(p, other, sums, column, 1, mode);
}

static void forward(const nft_product *product, const float *bias)
{
    multiply(product, bias, NULL, FORWARD);
}

static void backward(const nft_product *product, const float *factor)
{
    multiply(product, factor, NULL, BACKWARD);
}

static void gradient(const nft_product *product, float *sums)
{
    multiply(product, NULL, sums, GRADIENT);
}

/* sin(a + b) = sin a cos b + cos a sin b, cos(a + b) = cos a cos b - sin a sin b */
static void waves(int64_t count, int64_t columns, const float *a_sine, const float *a_cosine,
                  const float *b_sine, const float *b_cosine, float *sine, float *cosine)
{
    for (int64_t c = 0; c < columns; c += LANES) {
        floats sa = load(a_sine + c), ca = load(a_cosine + c);
        for (int64_t i = c; i < count * columns; i += columns) {
            floats sb = load(b_sine + i), cb = load(b_cosine + i);
            store(sine + i, fused(sa, cb, ca * sb));
            store(cosine + i, fused(ca, cb, -(sa * sb)));
        }
    }
}

static void outputs(const nft_product *p, int64_t count, const float *bias)
{
    for (int64_t r = 0; r < p->rows; r++) {
        const float *a = p->a + r * p->a_stride;
        for (int64_t o = 0; o < count; o++) {
            const float *b = p->b + o * p->b_stride;
            floats sum = load(a) * load(b);
            for (int64_t i = LANES; i < p->columns; i += LANES)
                sum = fused(load(a + i), load(b + i), sum);
            p->y[r * p->y_stride + o] = sum_lanes(sum) + bias[o];
        }
    }
}

static void adam(const nft_adam *adam, int64_t n, const float *restrict gradient, float *restrict m,
                 float *restrict v, float *restrict parameters)
{
    float beta1 = adam->beta1, beta2 = adam->beta2, rest1 = adam->rest1, rest2 = adam->rest2;
    float step = adam->step, inverse = 1 / adam->root, epsilon = adam->epsilon;
    for (int64_t i = 0; i < n; i++) {
        float g = gradient[i];
        m[i] = beta1 * m[i] + rest1 * g;
        v[i] = beta2 * v[i] + rest2 * (g * g);
        parameters[i] -= step * m[i] / (sqrtf(v[i]) * inverse + epsilon);
    }
}

#define JOIN_NAMES(a, b) a##b
#define JOIN(a, b) JOIN_NAMES(a, b)

extern const nft_siren_kernels JOIN(nft_siren_kernels_, NFT_KERNELS_SET);
const nft_siren_kernels JOIN(nft_siren_kernels_, NFT_KERNELS_SET) = {
    .forward = forward,
    .backward = backward,
    .gradient = gradient,
    .waves = waves,
    .outputs = outputs,
    .adam = adam,
};
