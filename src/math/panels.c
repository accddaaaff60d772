/* The inner product of the packed linear map, built once for each instruction set: a tile of rows times one
 * panel of outputs is held in registers while it runs over the inputs. What is there already is added last,
 * so that the products are rounded at their own size. A panel holds, for each input, the weights of `width`
 * neighbouring outputs. */
#include "math/packed.h"

#if defined(__AVX512F__)
#define LANES 16
#define TILE_ROWS 14 /* 28 accumulators of 32 registers */
#elif defined(__AVX2__)
#define LANES 8
#define TILE_ROWS 6 /* 12 of 16 */
#elif defined(__aarch64__)
#define LANES 4
#define TILE_ROWS 14
#else
#define LANES 4
#define TILE_ROWS 6
#endif
#define VECTORS 2
#define WIDTH (VECTORS * LANES)

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));
typedef float loose_vector
    __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

static inline vector load_vector(const float *p)
{
    return *(const loose_vector *)p;
}

static inline void store_vector(float *p, vector v)
{
    *(loose_vector *)p = v;
}

/* A function for each number of rows, so that the accumulators are registers. */
#define DEFINE_TILE(ROWS)                                                                                    \
    static void tile_##ROWS(int64_t inputs, const float *restrict panel, const float *restrict bias,         \
                            int load, const float *restrict x, int64_t x_stride, float *restrict y,          \
                            int64_t y_stride)                                                                \
    {                                                                                                        \
        vector sum[ROWS][VECTORS];                                                                           \
        for (int r = 0; r < ROWS; r++)                                                                       \
            for (int v = 0; v < VECTORS; v++)                                                                \
                sum[r][v] = (vector){0};                                                                     \
        for (int64_t i = 0; i < inputs; i++) {                                                               \
            vector weights[VECTORS];                                                                         \
            for (int v = 0; v < VECTORS; v++)                                                                \
                weights[v] = load_vector(panel + i * WIDTH + v * LANES);                                     \
            for (int r = 0; r < ROWS; r++)                                                                   \
                for (int v = 0; v < VECTORS; v++)                                                            \
                    sum[r][v] += x[r * x_stride + i] * weights[v];                                           \
        }                                                                                                    \
        for (int r = 0; r < ROWS; r++)                                                                       \
            for (int v = 0; v < VECTORS; v++) {                                                              \
                if (bias)                                                                                    \
                    sum[r][v] += load_vector(bias + v * LANES);                                              \
                if (load)                                                                                    \
                    sum[r][v] += load_vector(y + r * y_stride + v * LANES);                                  \
                store_vector(y + r * y_stride + v * LANES, sum[r][v]);                                       \
            }                                                                                                \
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

#define RUN_TILES(ROWS)                                                                                      \
    for (; rows >= ROWS; rows -= ROWS, x += ROWS * x_stride, y += ROWS * y_stride)                           \
        tile_##ROWS(inputs, panel, bias, load, x, x_stride, y, y_stride);

static void multiply(int64_t rows, int64_t inputs, const float *panel, const float *bias, int load,
                     const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
#if TILE_ROWS == 14
    RUN_TILES(14)
    RUN_TILES(8)
#else
    RUN_TILES(6)
#endif
    RUN_TILES(4)
    RUN_TILES(2)
    RUN_TILES(1)
}

#define JOIN_NAMES(a, b) a##b
#define JOIN(a, b) JOIN_NAMES(a, b)

extern const nft_panels JOIN(nft_panels_, NFT_KERNELS_SET);
const nft_panels JOIN(nft_panels_, NFT_KERNELS_SET) = {WIDTH, multiply};
