/* The tile kernel of AMX on any machine with AVX512_BF16. C code that follows Intel's manual replaces the
 * tile instructions, so the kernel's layout, order and edges are tested where there are no tiles. Status 77:
 * skipped. */
#define _GNU_SOURCE
#include "math/bf16.h"
#include "math/tiles.h"

#include <stdbool.h>
#include <stdlib.h>

#if defined(__AMX_BF16__)
#include <immintrin.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define REGISTERS 8
#define HEIGHT_OF_REGISTER 16
#define ROW_BYTES 64

static unsigned char registers[REGISTERS][HEIGHT_OF_REGISTER][ROW_BYTES];
static bool configured;

static void configure(bool on)
{
    configured = on;
    memset(registers, 0xff, sizeof registers);
}

static void zero(int tile)
{
    memset(registers[tile], 0, sizeof registers[tile]);
}

static void load_tile(int tile, const void *from, int64_t stride)
{
    assert_true(configured);
    for (int64_t r = 0; r < HEIGHT_OF_REGISTER; r++)
        memcpy(registers[tile][r], (const char *)from + r * stride, ROW_BYTES);
}

static void store_tile(int tile, void *to, int64_t stride)
{
    for (int64_t r = 0; r < HEIGHT_OF_REGISTER; r++)
        memcpy((char *)to + r * stride, registers[tile][r], ROW_BYTES);
}

static float flushed(float x)
{
    uint32_t bits = nft_float_bits(x);
    return bits & NFT_BF16_EXPONENT ? x : nft_bits_float(bits & 0x80000000);
}

static float number_at(int tile, int row, int index)
{
    uint16_t x;
    memcpy(&x, &registers[tile][row][index * 2], sizeof x);
    return flushed(nft_bf16_float(x));
}

/* TDPBF16PS: the first numbers of all pairs have one sum, the second numbers have another. */
static void multiply_tiles(int to, int a, int b)
{
    for (int row = 0; row < HEIGHT_OF_REGISTER; row++)
        for (int column = 0; column < 16; column++) {
            float sums[2] = {0, 0}, sum;
            for (int i = 0; i < 32; i++)
                sums[i % 2] =
                    flushed(fmaf(number_at(a, row, i), number_at(b, i / 2, 2 * column + i % 2), sums[i % 2]));
            memcpy(&sum, &registers[to][row][column * 4], sizeof sum);
            sum = flushed(flushed(sum) + flushed(sums[0] + sums[1]));
            memcpy(&registers[to][row][column * 4], &sum, sizeof sum);
        }
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig(config) ((void)(config), configure(true))
#define _tile_release() configure(false)
#define _tile_zero(tile) zero(tile)
#define _tile_loadd(tile, from, stride) load_tile(tile, from, stride)
#define _tile_stored(tile, to, stride) store_tile(tile, to, stride)
#define _tile_dpbf16ps(to, a, b) multiply_tiles(to, a, b)
#include "math/tiles_amx.c"

#define MOST_ROWS 64
#define MOST_INPUTS 96
#define X_STRIDE (MOST_INPUTS + 32)
#define Y_STRIDE (NFT_TILE_WIDTH + 5)
#define X_PART (MOST_ROWS * X_STRIDE)

typedef struct numbers {
    float x[MOST_ROWS * X_STRIDE], bias[NFT_TILE_WIDTH], y[MOST_ROWS * Y_STRIDE];
    uint16_t split[NFT_MAX_PARTS * X_PART], panel[NFT_MAX_PARTS * MOST_INPUTS * NFT_TILE_WIDTH];
} numbers;

static uint32_t next_bits(void)
{
    static uint64_t seed = 1;
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(seed >> 32);
}

/* Some are denormal, infinite or NaN. */
static float any_number(void)
{
    uint32_t exponent = next_bits() % 64 ? 64 + next_bits() % 100 : next_bits() % 2 * 255;
    return nft_bits_float((next_bits() & 0x807fffff) | exponent << 23);
}

static void fill(numbers *n)
{
    memset(n, 0, sizeof *n);
    for (size_t i = 0; i < sizeof n->x / sizeof *n->x; i++)
        n->x[i] = any_number();
    for (size_t i = 0; i < sizeof n->panel / sizeof *n->panel; i++)
        n->panel[i] = nft_bf16_round(any_number());
    for (size_t i = 0; i < sizeof n->bias / sizeof *n->bias; i++)
        n->bias[i] = any_number();
    for (size_t i = 0; i < sizeof n->y / sizeof *n->y; i++)
        n->y[i] = any_number();
}

static void run(const nft_tiles *tiles, numbers *n, int64_t rows, int64_t inputs, int parts, int choice)
{
    nft_tile_map map = {.rows = rows,
                        .inputs = (inputs + STEP - 1) / STEP * STEP,
                        .columns = choice & 1 ? 16 : NFT_TILE_WIDTH,
                        .parts = parts,
                        .x = n->split,
                        .x_stride = X_STRIDE,
                        .x_part = X_PART,
                        .panel = n->panel,
                        .bias = choice & 2 ? n->bias : NULL,
                        .add = choice & 4,
                        .y = n->y,
                        .y_stride = Y_STRIDE};
    tiles->split(rows, inputs, parts, n->x, X_STRIDE, n->split, X_STRIDE, X_PART);
    if (tiles->begin)
        tiles->begin();
    tiles->map(&map);
    if (tiles->end)
        tiles->end();
}

static void the_kernel_has_the_bits_of_its_portable_version(void **state)
{
    (void)state;
    static const int64_t rows[] = {1, 2, 15, 16, 17, 31, 32, 33, 49, 64};
    numbers *tiled = malloc(sizeof *tiled), *portable = malloc(sizeof *portable);
    assert_true(tiled && portable);
    for (int i = 0; i < 10 * NFT_MAX_PARTS * 8; i++) {
        int parts = 1 + i / 10 % NFT_MAX_PARTS, choice = i / 10 / NFT_MAX_PARTS;
        int64_t inputs = 1 + next_bits() % MOST_INPUTS;
        fill(tiled);
        memcpy(portable, tiled, sizeof *portable);
        run(&nft_tiles_amx, tiled, rows[i % 10], inputs, parts, choice);
        run(&nft_tiles_portable_amx, portable, rows[i % 10], inputs, parts, choice);
        for (int64_t k = 0; k < MOST_ROWS * Y_STRIDE; k++)
            assert_true(nft_float_bits(tiled->y[k]) == nft_float_bits(portable->y[k]) ||
                        (isnan(tiled->y[k]) && isnan(portable->y[k])));
        assert_false(configured);
    }
    free(tiled);
    free(portable);
}

/* The file is compiled for AVX-512. This function must run where there is none. */
__attribute__((target("no-avx512f,no-avx"))) int main(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a >> 5 & 1) || !__builtin_cpu_supports("avx512bw"))
        return 77;
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_kernel_has_the_bits_of_its_portable_version)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 77;
}

#endif
