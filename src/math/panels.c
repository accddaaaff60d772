/* A tile of rows times one panel stays in registers during the loop over the inner length. The old value of
 * the output is added last, so that the products are rounded at their own size. */
#include "math/panels.h"

#include "math/lanes.h"

#include <stddef.h>

#if LANES == 16
#define TILE_ROWS 14 /* 28 accumulators of 32 registers */
#elif defined(__aarch64__)
#define TILE_ROWS 14
#else
#define TILE_ROWS 6 /* 12 of 16 */
#endif
#define WIDTH (2 * LANES)

/* Numbers that are multiplied with vectors of a panel: number i of row r is at r · row + i · step. */
typedef struct factors {
    const float *values;
    int64_t row, step;
} factors;

/* A function for each number of rows and vectors, so that the accumulators are registers. Each is made for
 * the three uses of panels.h, with the strides known that are constants there. */
#define DEFINE_TILE(ROWS, VECTORS)                                                                           \
    INLINE void tile_##ROWS##_##VECTORS(int64_t inner, factors x, const float *restrict panel,               \
                                        int64_t panel_stride, const float *restrict bias, int add,           \
                                        float *restrict y, int64_t y_stride)                                 \
    {                                                                                                        \
        floats sum[ROWS][VECTORS];                                                                           \
        UNROLLED (r, ROWS)                                                                                   \
            UNROLLED (v, VECTORS)                                                                            \
                sum[r][v] = fill(0);                                                                         \
        for (int64_t i = 0; i < inner; i++) {                                                                \
            floats weights[VECTORS];                                                                         \
            UNROLLED (v, VECTORS)                                                                            \
                weights[v] = load(panel + i * panel_stride + v * LANES);                                     \
            UNROLLED (r, ROWS)                                                                               \
                UNROLLED (v, VECTORS)                                                                        \
                    sum[r][v] += x.values[r * x.row + i * x.step] * weights[v];                              \
        }                                                                                                    \
        UNROLLED (r, ROWS)                                                                                   \
            UNROLLED (v, VECTORS) {                                                                          \
                if (bias)                                                                                    \
                    sum[r][v] += load(bias + v * LANES);                                                     \
                if (add)                                                                                     \
                    sum[r][v] += load(y + r * y_stride + v * LANES);                                         \
                store(y + r * y_stride + v * LANES, sum[r][v]);                                              \
            }                                                                                                \
    }                                                                                                        \
    static void map_##ROWS##_##VECTORS(int64_t inputs, const float *panel, const float *bias, int add,       \
                                       const float *x, int64_t x_stride, float *y, int64_t y_stride)         \
    {                                                                                                        \
        tile_##ROWS##_##VECTORS(inputs, (factors){x, x_stride, 1}, panel, WIDTH, bias, add, y, y_stride);    \
    }                                                                                                        \
    static void nn_##ROWS##_##VECTORS(int64_t k, const float *a, int64_t a_stride, const float *b,           \
                                      int64_t b_stride, int add, float *c, int64_t c_stride)                 \
    {                                                                                                        \
        tile_##ROWS##_##VECTORS(k, (factors){a, a_stride, 1}, b, b_stride, NULL, add, c, c_stride);          \
    }                                                                                                        \
    static void tn_##ROWS##_##VECTORS(int64_t k, const float *a, int64_t a_stride, const float *b,           \
                                      int64_t b_stride, int add, float *c, int64_t c_stride)                 \
    {                                                                                                        \
        tile_##ROWS##_##VECTORS(k, (factors){a, 1, a_stride}, b, b_stride, NULL, add, c, c_stride);          \
    }

/* Rows of a largest tile and two more make two equal tiles: a tile of two rows has too few sums to be fast.
 */
#define FITS(rows, ROWS) ((rows) >= ROWS && (ROWS < TILE_ROWS || (rows) != TILE_ROWS + 2))

#define MAP_TILES(ROWS, VECTORS)                                                                             \
    for (; FITS(rows, ROWS); rows -= ROWS, x += ROWS * x_stride, y += ROWS * y_stride)                       \
        map_##ROWS##_##VECTORS(inputs, panel, bias, add, x, x_stride, y, y_stride);

#define NN_TILES(ROWS, VECTORS)                                                                              \
    for (; FITS(m, ROWS); m -= ROWS, a += ROWS * a_stride, c += ROWS * c_stride)                             \
        nn_##ROWS##_##VECTORS(k, a, a_stride, b, b_stride, add, c, c_stride);

#define TN_TILES(ROWS, VECTORS)                                                                              \
    for (; FITS(m, ROWS); m -= ROWS, a += ROWS, c += ROWS * c_stride)                                        \
        tn_##ROWS##_##VECTORS(k, a, a_stride, b, b_stride, add, c, c_stride);

/* All sizes of tiles, the largest first. */
#if TILE_ROWS == 14
#define EACH_TILE(DO, VECTORS) DO(14, VECTORS) DO(8, VECTORS) DO(4, VECTORS) DO(2, VECTORS) DO(1, VECTORS)
#else
#define EACH_TILE(DO, VECTORS) DO(6, VECTORS) DO(4, VECTORS) DO(2, VECTORS) DO(1, VECTORS)
#endif

EACH_TILE(DEFINE_TILE, 1)
EACH_TILE(DEFINE_TILE, 2)

static void map(int64_t rows, int64_t inputs, int64_t outputs, const float *panel, const float *bias, int add,
                const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
    if (outputs <= LANES) {
        EACH_TILE(MAP_TILES, 1)
    } else {
        EACH_TILE(MAP_TILES, 2)
    }
}

static void nn(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride, const float *b,
               int64_t b_stride, int add, float *c, int64_t c_stride)
{
    if (n <= LANES) {
        EACH_TILE(NN_TILES, 1)
    } else {
        EACH_TILE(NN_TILES, 2)
    }
}

static void tn(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride, const float *b,
               int64_t b_stride, int add, float *c, int64_t c_stride)
{
    if (n <= LANES) {
        EACH_TILE(TN_TILES, 1)
    } else {
        EACH_TILE(TN_TILES, 2)
    }
}

#define JOIN_NAMES(a, b) a##b
#define JOIN(a, b) JOIN_NAMES(a, b)

extern const nft_panels JOIN(nft_panels_, NFT_KERNELS_SET);
const nft_panels JOIN(nft_panels_, NFT_KERNELS_SET) = {WIDTH, LANES, TILE_ROWS, map, nn, tn};
