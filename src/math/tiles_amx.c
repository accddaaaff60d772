/* Tiles of AMX: 16 rows of 32 numbers times 32 rows of 16 numbers. Two by two results stay in tile registers
 * while they run over the inputs. */
#define _GNU_SOURCE /* syscall */
#include "math/tiles.h"

#if defined(__AMX_BF16__) || defined(__AMXBF16__) /* older clang writes it so */
#include "math/bf16.h"

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STEP 32
#define HEIGHT 16                 /* rows, or columns, of a tile register */
#define REQUEST_PERMISSION 0x1023 /* ARCH_REQ_XCOMP_PERM of arch_prctl(2) */
#define TILE_DATA 18              /* the state component of the tiles */

bool nft_amx_granted(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return false;
    bool has_tiles = d >> 24 & 1, has_bf16 = d >> 22 & 1; /* Intel SDM, CPUID */
    return has_tiles && has_bf16 && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

/* LDTILECFG's operand (Intel SDM). */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; /* of a row of each register */
    uint8_t rows[16];
} tile_config;

static void begin(void)
{
    tile_config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.bytes[i] = STEP * sizeof(uint16_t);
        config.rows[i] = HEIGHT;
    }
    _tile_loadconfig(&config);
}

static void end(void)
{
    _tile_release();
}

static __mmask16 first_numbers(int64_t count)
{
    return (__mmask16)(count >= 16 ? 0xffffu : count <= 0 ? 0u : (1u << count) - 1u);
}

/* x minus its bf16 part; 0 where that is infinite. */
static __m512 rest_of(__m512 x, __m256i part)
{
    __m512 value = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(part), 16));
    __mmask16 finite = (__mmask16)~_mm512_fpclass_ps_mask(value, 0x99); /* NaN, ±∞ */
    return _mm512_maskz_sub_ps(finite, x, value);
}

static void split(int64_t rows, int64_t inputs, int parts, const float *x, int64_t x_stride, uint16_t *out,
                  int64_t out_stride, int64_t out_part)
{
    int64_t filled = (inputs + STEP - 1) / STEP * STEP;
    for (int64_t r = 0; r < rows; r++, x += x_stride, out += out_stride)
        for (int64_t i = 0; i < filled; i += 16) {
            __m512 rest = _mm512_maskz_loadu_ps(first_numbers(inputs - i), x + i);
            for (int p = 0; p < parts; p++) {
                __m256i part = (__m256i)_mm512_cvtneps_pbh(rest);
                _mm256_storeu_si256((__m256i *)(out + p * out_part + i), part);
                rest = rest_of(rest, part);
            }
        }
}

/* Where the tiles of one step begin. */
typedef struct step_tiles {
    const uint16_t *x, *panel;
} step_tiles;

/* Tile registers 0 to 3 += 32 rows times 32 columns; 4 and 5 hold rows of x, 6 and 7 columns. */
static void add_step(const nft_tile_map *m, step_tiles at)
{
    int x_bytes = (int)(m->x_stride * 2), panel_bytes = m->parts * NFT_TILE_WIDTH * 4;
    for (int i = 0; i < m->parts; i++) {
        const uint16_t *x = at.x + i * m->x_part;
        _tile_loadd(4, x, x_bytes);
        _tile_loadd(5, x + HEIGHT * m->x_stride, x_bytes);
        for (int j = 0; i + j < m->parts; j++) {
            const uint16_t *panel = at.panel + j * NFT_TILE_WIDTH * 2;
            _tile_loadd(6, panel, panel_bytes);
            _tile_loadd(7, panel + HEIGHT * 2, panel_bytes);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
}

/* The same for 16 rows or fewer. */
static void add_low_step(const nft_tile_map *m, step_tiles at)
{
    int x_bytes = (int)(m->x_stride * 2), panel_bytes = m->parts * NFT_TILE_WIDTH * 4;
    for (int i = 0; i < m->parts; i++) {
        _tile_loadd(4, at.x + i * m->x_part, x_bytes);
        for (int j = 0; i + j < m->parts; j++) {
            const uint16_t *panel = at.panel + j * NFT_TILE_WIDTH * 2;
            _tile_loadd(6, panel, panel_bytes);
            _tile_loadd(7, panel + HEIGHT * 2, panel_bytes);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
        }
    }
}

static void add_bias_and_rows(const nft_tile_map *m, int64_t first, int64_t rows, const float *sums)
{
    for (int64_t r = 0; r < rows; r++, sums += NFT_TILE_WIDTH)
        for (int64_t c = 0; c < m->columns; c += 16) {
            float *y = m->y + (first + r) * m->y_stride + c;
            __m512 result = _mm512_loadu_ps(sums + c);
            if (m->bias)
                result = _mm512_add_ps(result, _mm512_loadu_ps(m->bias + c));
            if (m->add)
                result = _mm512_add_ps(result, _mm512_loadu_ps(y));
            _mm512_storeu_ps(y, result);
        }
}

/* Rows that a tile holds and `rows` does not count are multiplied and left out; x has room for them. */
static void map(const nft_tile_map *m)
{
    float sums[2 * HEIGHT * NFT_TILE_WIDTH];
    int bytes = NFT_TILE_WIDTH * sizeof *sums;
    for (int64_t first = 0; first < m->rows; first += 2 * HEIGHT) {
        int64_t rows = m->rows - first < 2 * HEIGHT ? m->rows - first : 2 * HEIGHT;
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (int64_t i = 0; i < m->inputs; i += STEP) {
            step_tiles at = {m->x + first * m->x_stride + i, m->panel + i * m->parts * NFT_TILE_WIDTH};
            if (rows > HEIGHT)
                add_step(m, at);
            else
                add_low_step(m, at);
        }
        _tile_stored(0, sums, bytes);
        _tile_stored(1, sums + HEIGHT, bytes);
        _tile_stored(2, sums + HEIGHT * NFT_TILE_WIDTH, bytes);
        _tile_stored(3, sums + HEIGHT * NFT_TILE_WIDTH + HEIGHT, bytes);
        add_bias_and_rows(m, first, rows, sums);
    }
}

const nft_tiles nft_tiles_amx = {
    .parts = {3, 2, 1}, .group = 2, .step = STEP, .split = split, .map = map, .begin = begin, .end = end};

#endif
