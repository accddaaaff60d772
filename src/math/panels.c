/* The products of packed linear maps and of their weights' gradients, built once for each instruction set. Of
 * a map, a tile of rows times one panel of outputs is held in registers while it runs over the inputs. What
 * is there already is added last, so that the products are rounded at their own size. A panel holds, for each
 * input, the weights of `width` neighbouring outputs. Of a gradient, rows of x stand where a panel's do. */
#include "math/packed.h"

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

/* A function for each number of rows and vectors, so that the accumulators are registers. Each is made twice,
 * for the two uses of packed.h with their strides of 1 and WIDTH known. */
#define DEFINE_TILE(ROWS, VECTORS)                                                                           \
    INLINE void tile_##ROWS##_##VECTORS(int64_t inner, factors x, const float *restrict panel,               \
                                        int64_t panel_step, const float *restrict bias, int add,             \
                                        float *restrict y, int64_t y_stride)                                 \
    {                                                                                                        \
        floats sum[ROWS][VECTORS];                                                                           \
        UNROLLED (r, ROWS)                                                                                   \
            UNROLLED (v, VECTORS)                                                                            \
                sum[r][v] = fill(0);                                                                         \
        for (int64_t i = 0; i < inner; i++) {                                                                \
            floats weights[VECTORS];                                                                         \
            UNROLLED (v, VECTORS)                                                                            \
                weights[v] = load(panel + i * panel_step + v * LANES);                                       \
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
    static void outer_##ROWS##_##VECTORS(int64_t rows, const float *dy, int64_t dy_stride, const float *x,   \
                                         int64_t x_stride, float *dw, int64_t dw_stride)                     \
    {                                                                                                        \
        tile_##ROWS##_##VECTORS(rows, (factors){dy, 1, dy_stride}, x, x_stride, NULL, 1, dw, dw_stride);     \
    }

#define MAP_TILES(ROWS, VECTORS)                                                                             \
    for (; rows >= ROWS; rows -= ROWS, x += ROWS * x_stride, y += ROWS * y_stride)                           \
        map_##ROWS##_##VECTORS(inputs, panel, bias, add, x, x_stride, y, y_stride);

#define OUTER_TILES(OUTPUTS, VECTORS)                                                                        \
    for (; outputs >= OUTPUTS; outputs -= OUTPUTS, dy += OUTPUTS, dw += OUTPUTS * dw_stride)                 \
        outer_##OUTPUTS##_##VECTORS(rows, dy, dy_stride, x, x_stride, dw, dw_stride);

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

static void outer(int64_t rows, int64_t inputs, int64_t outputs, const float *dy, int64_t dy_stride,
                  const float *x, int64_t x_stride, float *dw, int64_t dw_stride)
{
    if (inputs <= LANES) {
        EACH_TILE(OUTER_TILES, 1)
    } else {
        EACH_TILE(OUTER_TILES, 2)
    }
}

#define JOIN_NAMES(a, b) a##b
#define JOIN(a, b) JOIN_NAMES(a, b)

extern const nft_panels JOIN(nft_panels_, NFT_KERNELS_SET);
const nft_panels JOIN(nft_panels_, NFT_KERNELS_SET) = {WIDTH, LANES, map, outer};
