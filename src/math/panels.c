/* The inner product of the packed linear map, built once for each instruction set: a tile of rows times one
 * panel of outputs is held in registers while it runs over the inputs. What is there already is added last,
 * so that the products are rounded at their own size. A panel holds, for each input, the weights of `width`
 * neighbouring outputs. */
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
#define VECTORS 2
#define WIDTH (VECTORS * LANES)

/* Numbers that are multiplied with vectors of a panel: number i of row r is at r · row + i · step. */
typedef struct factors {
    const float *values;
    int64_t row, step;
} factors;

/* A function for each number of rows, so that the accumulators are registers. It is made twice, for the two
 * uses of packed.h with their strides of 1 and WIDTH known. */
#define DEFINE_TILE(ROWS)                                                                                    \
    INLINE void tile_##ROWS(int64_t inner, factors x, const float *restrict panel, int64_t panel_step,       \
                            const float *restrict bias, int add, float *restrict y, int64_t y_stride)        \
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
    static void map_##ROWS(int64_t inputs, const float *panel, const float *bias, int add, const float *x,   \
                           int64_t x_stride, float *y, int64_t y_stride)                                     \
    {                                                                                                        \
        tile_##ROWS(inputs, (factors){x, x_stride, 1}, panel, WIDTH, bias, add, y, y_stride);                \
    }                                                                                                        \
    static void outer_##ROWS(int64_t rows, const float *dy, int64_t dy_stride, const float *x,               \
                             int64_t x_stride, float *dw, int64_t dw_stride)                                 \
    {                                                                                                        \
        tile_##ROWS(rows, (factors){dy, 1, dy_stride}, x, x_stride, NULL, 1, dw, dw_stride);                 \
    }

#if TILE_ROWS == 14
DEFINE_TILE(14)
DEFINE_TILE(8)
#else
DEFINE_TILE(6)
#endif
DEFINE_TILE(4)
DEFINE_TILE(2)
DEFINE_TILE(1)

#define MAP_TILES(ROWS)                                                                                      \
    for (; rows >= ROWS; rows -= ROWS, x += ROWS * x_stride, y += ROWS * y_stride)                           \
        map_##ROWS(inputs, panel, bias, add, x, x_stride, y, y_stride);

static void map(int64_t rows, int64_t inputs, const float *panel, const float *bias, int add, const float *x,
                int64_t x_stride, float *y, int64_t y_stride)
{
#if TILE_ROWS == 14
    MAP_TILES(14)
    MAP_TILES(8)
#else
    MAP_TILES(6)
#endif
    MAP_TILES(4)
    MAP_TILES(2)
    MAP_TILES(1)
}

#define OUTER_TILES(OUTPUTS)                                                                                 \
    for (; outputs >= OUTPUTS; outputs -= OUTPUTS, dy += OUTPUTS, dw += OUTPUTS * dw_stride)                 \
        outer_##OUTPUTS(rows, dy, dy_stride, x, x_stride, dw, dw_stride);

static void outer(int64_t rows, int64_t outputs, const float *dy, int64_t dy_stride, const float *x,
                  int64_t x_stride, float *dw, int64_t dw_stride)
{
#if TILE_ROWS == 14
    OUTER_TILES(14)
    OUTER_TILES(8)
#else
    OUTER_TILES(6)
#endif
    OUTER_TILES(4)
    OUTER_TILES(2)
    OUTER_TILES(1)
}

#define JOIN_NAMES(a, b) a##b
#define JOIN(a, b) JOIN_NAMES(a, b)

extern const nft_panels JOIN(nft_panels_, NFT_KERNELS_SET);
const nft_panels JOIN(nft_panels_, NFT_KERNELS_SET) = {WIDTH, map, outer};
