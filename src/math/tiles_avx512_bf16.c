/* Tiles of AVX512_BF16's dot products of pairs. A tile of rows times one panel is held in registers while it
 * runs over the inputs. */
#include "math/tiles.h"

#if defined(__AVX512BF16__)
#include "math/lanes.h"

#define MAX_ROWS 14 /* times 2 vectors: 28 accumulators of 32 registers */

static __mmask16 first_numbers(int64_t count)
{
    return (__mmask16)(count >= LANES ? 0xffffu : count <= 0 ? 0u : (1u << count) - 1u);
}

static void split(int64_t rows, int64_t inputs, int parts, const float *x, int64_t x_stride, uint16_t *out,
                  int64_t out_stride, int64_t out_part)
{
    (void)parts, (void)out_part; /* always one */
    for (int64_t r = 0; r < rows; r++, x += x_stride, out += out_stride) {
        int64_t i = 0;
        for (; i + 2 * LANES <= inputs; i += 2 * LANES)
            _mm512_storeu_si512(out + i, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + LANES),
                                                                      _mm512_loadu_ps(x + i)));
        for (; i < inputs; i += LANES) {
            __m512 rest = _mm512_maskz_loadu_ps(first_numbers(inputs - i), x + i);
            _mm256_mask_storeu_epi16(out + i, first_numbers((inputs - i + 1) / 2 * 2),
                                     (__m256i)_mm512_cvtneps_pbh(rest));
        }
    }
}

INLINE void tile(const nft_tile_map *m, int64_t first, int rows, int vectors)
{
    const uint16_t *x = m->x + first * m->x_stride, *panel = m->panel;
    __m512 sum[MAX_ROWS][2];
    UNROLLED (r, rows)
        UNROLLED (v, vectors)
            sum[r][v] = _mm512_setzero_ps();
    for (int64_t i = 0; i < m->inputs; i += 2, panel += 2 * NFT_TILE_WIDTH) {
        __m512bh weights[2];
        UNROLLED (v, vectors)
            weights[v] = (__m512bh)_mm512_loadu_si512(panel + 2 * LANES * v);
        UNROLLED (r, rows) {
            int32_t pair;
            memcpy(&pair, x + r * m->x_stride + i, sizeof pair);
            __m512bh factor = (__m512bh)_mm512_set1_epi32(pair);
            UNROLLED (v, vectors)
                sum[r][v] = _mm512_dpbf16_ps(sum[r][v], factor, weights[v]);
        }
    }
    UNROLLED (r, rows)
        UNROLLED (v, vectors) {
            float *y = m->y + (first + r) * m->y_stride + v * LANES;
            floats result = (floats)sum[r][v];
            if (m->bias)
                result += load(m->bias + v * LANES);
            if (m->add)
                result += load(y);
            store(y, result);
        }
}

/* A function for each number of rows and vectors, so that the accumulators are registers. */
#define DEFINE_TILES(ROWS)                                                                                   \
    static void tile_##ROWS##_1(const nft_tile_map *m, int64_t first)                                        \
    {                                                                                                        \
        tile(m, first, ROWS, 1);                                                                             \
    }                                                                                                        \
    static void tile_##ROWS##_2(const nft_tile_map *m, int64_t first)                                        \
    {                                                                                                        \
        tile(m, first, ROWS, 2);                                                                             \
    }
#define EACH_HEIGHT(DO)                                                                                      \
    DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14)

EACH_HEIGHT(DEFINE_TILES)

typedef void tile_function(const nft_tile_map *m, int64_t first);
#define TILES_OF(ROWS) {tile_##ROWS##_1, tile_##ROWS##_2},
static tile_function *const tiles[MAX_ROWS][2] = {EACH_HEIGHT(TILES_OF)};

/* Tiles of nearly the same height: few rows leave the units waiting for a sum. */
static void map(const nft_tile_map *m)
{
    int64_t count = (m->rows + MAX_ROWS - 1) / MAX_ROWS, first = 0;
    for (int64_t t = 0; t < count; t++) {
        int64_t height = (m->rows - first) / (count - t);
        tiles[height - 1][m->columns / LANES - 1](m, first);
        first += height;
    }
}

const nft_tiles nft_tiles_avx512_bf16 = {
    .parts = {0, 0, 1}, .group = 2, .step = 2, .split = split, .map = map};

#endif
