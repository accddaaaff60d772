/* Products of bf16 numbers, which processors multiply several times as fast as floats. A float is split into
 * one, two or three bf16 parts (bf16.h), and the products of parts that matter are summed in float. A tile
 * kernel does that for a few rows and one panel; packed.c does the rest.
 *
 * Each kernel flushes denormal numbers to zero, among its factors and its sums, whatever the thread's
 * floating-point mode is. Its rounding and order of sums are its own: a portable version in C
 * (tiles_portable.c) gives the same bits on any machine. */
#ifndef NFT_MATH_TILES_H
#define NFT_MATH_TILES_H

#include <stdbool.h>
#include <stdint.h>

#define NFT_TILE_WIDTH 32 /* columns of a panel */
#define NFT_MAX_PARTS 3

/* y (rows, columns) = x (rows, inputs) panel + [bias unless NULL] + [y if add]. Part p of number i of row r
 * of x is at p · x_part + r · x_stride + i. The panel holds for each group of neighbouring inputs, and each
 * part, the group's numbers of every column: (inputs / group, parts, NFT_TILE_WIDTH, group). */
typedef struct nft_tile_map {
    int64_t rows;
    int64_t inputs;  /* a multiple of the kernel's step */
    int64_t columns; /* 16 or 32 */
    int parts;
    const uint16_t *x;
    int64_t x_stride, x_part;
    const uint16_t *panel;
    const float *bias;
    bool add;
    float *y;
    int64_t y_stride;
} nft_tile_map;

typedef struct nft_tiles {
    int parts[3];  /* for each NFT_PRECISION_…; 0: floats are as fast, or faster */
    int64_t group; /* inputs that stand together in a panel */
    int64_t step;  /* inputs are filled up to a multiple of it with zeros */
    /* Splits rows of `inputs` floats, and fills each part of a row up to a multiple of step. */
    void (*split)(int64_t rows, int64_t inputs, int parts, const float *x, int64_t x_stride, uint16_t *out,
                  int64_t out_stride, int64_t out_part);
    /* The products of a step are added part by part: those of x's first part with each part of the panel,
     * then those of its second with all but the last, … */
    void (*map)(const nft_tile_map *map);
    void (*begin)(void), (*end)(void); /* around the maps of one call, on its thread; may be NULL */
} nft_tiles;

/* Those of the set in use (kernel_set.h); NULL if it has none. */
const nft_tiles *nft_vector_tiles(void);

extern const nft_tiles nft_tiles_portable_avx512_bf16, nft_tiles_portable_amx, nft_tiles_portable_neon_bf16;
extern const nft_tiles nft_tiles_avx512_bf16, nft_tiles_amx, nft_tiles_neon_bf16;

/* Whether the processor has AMX for bf16, and Linux grants this process its tiles, for which it asks once. */
bool nft_amx_granted(void);

#endif
