#include "math/packed.h"

#include "base/memory.h"
#include "math/bf16.h"
#include "math/panels.h"
#include "math/tiles.h"
#include "math/vector.h"

#include <string.h>

#define MAX_WIDTH 32
#define FULL_ROWS 56 /* that are mapped to a partial panel at a time */

nft_pack_format nft_format_of(int32_t precision)
{
    const nft_tiles *tiles = nft_vector_tiles();
    return tiles ? (nft_pack_format)tiles->parts[precision] : NFT_FORMAT_FLOAT;
}

static int64_t round_up(int64_t n, int64_t multiple)
{
    return nft_size_multiply(nft_size_add(n, multiple - 1) / multiple, multiple);
}

int64_t nft_packed_bytes(nft_pack_format format, int64_t outputs, int64_t inputs)
{
    int64_t bytes;
    if (format == NFT_FORMAT_FLOAT)
        bytes = nft_size_multiply(nft_size_multiply(round_up(outputs, nft_vector_panels()->width), inputs),
                                  sizeof(float));
    else
        bytes = nft_size_multiply(
            nft_size_multiply(round_up(outputs, NFT_TILE_WIDTH), round_up(inputs, nft_vector_tiles()->step)),
            format * (int64_t)sizeof(uint16_t));
    return round_up(bytes, NFT_ALIGNMENT);
}

/* --- packing --- */

static void pack_floats(int64_t outputs, int64_t inputs, const float *weight, float *packed)
{
    int64_t width = nft_vector_panels()->width;
    for (int64_t first = 0; first < outputs; first += width) {
        float *panel = packed + first * inputs;
        int64_t count = outputs - first < width ? outputs - first : width;
        for (int64_t i = 0; i < inputs; i++) {
            float *row = panel + i * width;
            for (int64_t j = 0; j < count; j++)
                row[j] = weight[(first + j) * inputs + i];
            for (int64_t j = count; j < width; j++)
                row[j] = 0;
        }
    }
}

static void pack_transposed_floats(int64_t outputs, int64_t inputs, const float *weight, float *packed)
{
    int64_t width = nft_vector_panels()->width;
    for (int64_t first = 0; first < inputs; first += width) {
        float *panel = packed + first * outputs;
        int64_t count = inputs - first < width ? inputs - first : width;
        memset(panel, 0, (size_t)(width * outputs) * sizeof *panel);
        for (int64_t i = 0; i < outputs; i++)
            memcpy(panel + i * width, weight + i * inputs + first, (size_t)count * sizeof *panel);
    }
}

/* A matrix as it lies: number (output, input) is at output · out_step + input · in_step. */
typedef struct matrix {
    int64_t outputs, inputs;
    const float *values;
    int64_t out_step, in_step;
} matrix;

/* One group of neighbouring inputs of one panel: for each part, and each column, its numbers. */
static void pack_group(const matrix *m, int parts, int64_t group, int64_t output, int64_t input,
                       uint16_t *packed)
{
    for (int64_t c = 0; c < NFT_TILE_WIDTH; c++)
        for (int64_t e = 0; e < group; e++) {
            bool exists = output + c < m->outputs && input + e < m->inputs;
            float rest = exists ? m->values[(output + c) * m->out_step + (input + e) * m->in_step] : 0;
            for (int p = 0; p < parts; p++) {
                uint16_t part = nft_bf16_round(rest);
                packed[(p * NFT_TILE_WIDTH + c) * group + e] = part;
                rest = nft_bf16_rest(rest, part);
            }
        }
}

static void pack_tiles(const matrix *m, int parts, uint16_t *packed)
{
    const nft_tiles *tiles = nft_vector_tiles();
    int64_t filled = round_up(m->inputs, tiles->step);
    for (int64_t output = 0; output < m->outputs; output += NFT_TILE_WIDTH)
        for (int64_t input = 0; input < filled;
             input += tiles->group, packed += parts * NFT_TILE_WIDTH * tiles->group)
            pack_group(m, parts, tiles->group, output, input, packed);
}

void nft_pack(nft_pack_format format, int64_t outputs, int64_t inputs, const float *weight, void *packed)
{
    if (format == NFT_FORMAT_FLOAT)
        pack_floats(outputs, inputs, weight, packed);
    else
        pack_tiles(&(matrix){outputs, inputs, weight, inputs, 1}, (int)format, packed);
}

void nft_pack_transpose(nft_pack_format format, int64_t outputs, int64_t inputs, const float *weight,
                        void *packed)
{
    if (format == NFT_FORMAT_FLOAT)
        pack_transposed_floats(outputs, inputs, weight, packed);
    else
        pack_tiles(&(matrix){inputs, outputs, weight, 1, inputs}, (int)format, packed);
}

/* --- maps --- */

/* A call of nft_packed_linear, or a part of its rows and inputs. */
typedef struct linear_call {
    int64_t rows, inputs, outputs;
    const float *x;
    int64_t x_stride;
    const float *bias;
    bool add;
    float *y;
    int64_t y_stride;
} linear_call;

/* The outputs that do not fill a panel: rows go through rows of full width. */
static void partial_panel(const nft_panels *set, const linear_call *l, int64_t count, const float *panel)
{
    float full_bias[MAX_WIDTH] = {0}, full[FULL_ROWS * MAX_WIDTH];
    const nft_kernels *vector = nft_vector();
    int64_t width = set->width;
    if (l->bias)
        memcpy(full_bias, l->bias, (size_t)count * sizeof *l->bias);
    if (l->add) /* numbers behind `count` are added to, too */
        memset(full, 0, (size_t)((l->rows < FULL_ROWS ? l->rows : FULL_ROWS) * width) * sizeof *full);
    for (int64_t first = 0; first < l->rows; first += FULL_ROWS) {
        int64_t length = l->rows - first < FULL_ROWS ? l->rows - first : FULL_ROWS;
        float *part = l->y + first * l->y_stride;
        if (l->add)
            vector->copy_rows(length, count, part, l->y_stride, full, width);
        set->map(length, l->inputs, count, panel, l->bias ? full_bias : NULL, l->add,
                 l->x + first * l->x_stride, l->x_stride, full, width);
        vector->copy_rows(length, count, full, width, part, l->y_stride);
    }
}

static void map_floats(const linear_call *l, const float *packed)
{
    const nft_panels *set = nft_vector_panels();
    for (int64_t block = 0; block == 0 || block < l->inputs; block += NFT_PANEL_BLOCK) {
        linear_call part = *l;
        part.inputs = l->inputs - block < NFT_PANEL_BLOCK ? l->inputs - block : NFT_PANEL_BLOCK;
        part.add = block > 0 || l->add;
        part.x = l->x + block;
        for (int64_t first = 0; first < l->outputs; first += set->width) {
            const float *panel = packed + first * l->inputs + block * set->width;
            int64_t left = l->outputs - first, count = left < set->width ? left : set->width;
            part.bias = l->bias && block == 0 ? l->bias + first : NULL;
            part.y = l->y + first;
            if (count % set->lanes == 0)
                set->map(part.rows, part.inputs, count, panel, part.bias, part.add, part.x, part.x_stride,
                         part.y, part.y_stride);
            else
                partial_panel(set, &part, count, panel);
        }
    }
}

#define TILE_LANES 16                       /* that a tile kernel's columns are a multiple of */
#define SPLIT_ROWS 32                       /* that are split at a time; twice as many of one part */
#define SPLIT_STRIDE (NFT_PANEL_BLOCK + 32) /* rows would share a cache line's place otherwise */

/* The same as partial_panel. */
static void partial_tile(const nft_tiles *tiles, const nft_tile_map *map, int64_t count)
{
    float full_bias[NFT_TILE_WIDTH] = {0}, full[2 * SPLIT_ROWS * NFT_TILE_WIDTH] = {0};
    nft_tile_map whole = *map;
    whole.y = full;
    whole.y_stride = NFT_TILE_WIDTH;
    if (map->bias) {
        memcpy(full_bias, map->bias, (size_t)count * sizeof *full_bias);
        whole.bias = full_bias;
    }
    if (map->add)
        nft_vector()->copy_rows(map->rows, count, map->y, map->y_stride, full, NFT_TILE_WIDTH);
    tiles->map(&whole);
    nft_vector()->copy_rows(map->rows, count, full, NFT_TILE_WIDTH, map->y, map->y_stride);
}

/* A few rows, one block of inputs: its share of a panel and of the split rows stay in the cache. */
static void map_block(const linear_call *l, const uint16_t *packed, int parts, int64_t block)
{
    uint16_t split[NFT_MAX_PARTS * SPLIT_ROWS * SPLIT_STRIDE];
    const nft_tiles *tiles = nft_vector_tiles();
    int64_t left = l->inputs - block, length = left < NFT_PANEL_BLOCK ? left : NFT_PANEL_BLOCK,
            filled = round_up(l->inputs, tiles->step), x_part = SPLIT_ROWS * SPLIT_STRIDE;
    tiles->split(l->rows, length, parts, l->x + block, l->x_stride, split, SPLIT_STRIDE, x_part);
    for (int64_t first = 0; first < l->outputs; first += NFT_TILE_WIDTH) {
        int64_t count = l->outputs - first < NFT_TILE_WIDTH ? l->outputs - first : NFT_TILE_WIDTH;
        nft_tile_map map = {.rows = l->rows,
                            .inputs = round_up(length, tiles->step),
                            .columns = round_up(count, TILE_LANES),
                            .parts = parts,
                            .x = split,
                            .x_stride = SPLIT_STRIDE,
                            .x_part = x_part,
                            .panel = packed + (first * filled + block * NFT_TILE_WIDTH) * parts,
                            .bias = l->bias && block == 0 ? l->bias + first : NULL,
                            .add = l->add || block > 0,
                            .y = l->y + first,
                            .y_stride = l->y_stride};
        if (count % TILE_LANES == 0)
            tiles->map(&map);
        else
            partial_tile(tiles, &map, count);
    }
}

static void map_tiles(const linear_call *l, const uint16_t *packed, int parts)
{
    const nft_tiles *tiles = nft_vector_tiles();
    int64_t most = parts == 1 ? 2 * SPLIT_ROWS : SPLIT_ROWS;
    if (tiles->begin)
        tiles->begin();
    for (int64_t first = 0; first < l->rows; first += most) {
        linear_call part = *l;
        part.rows = l->rows - first < most ? l->rows - first : most;
        part.x = l->x + first * l->x_stride;
        part.y = l->y + first * l->y_stride;
        for (int64_t block = 0; block == 0 || block < l->inputs; block += NFT_PANEL_BLOCK)
            map_block(&part, packed, parts, block);
    }
    if (tiles->end)
        tiles->end();
}

static void activate(int64_t rows, int64_t outputs, float *y, int64_t y_stride, nft_map_mode mode)
{
    const nft_kernels *vector = nft_vector();
    for (int64_t r = 0; r < rows; r++)
        (mode == NFT_MAP_GELU ? vector->gelu : vector->relu)(outputs, y + r * y_stride, y + r * y_stride);
}

void nft_packed_linear(nft_pack_format format, int64_t rows, int64_t inputs, int64_t outputs,
                       const void *packed, const float *bias, const float *x, int64_t x_stride, float *y,
                       int64_t y_stride, nft_map_mode mode)
{
    linear_call call = {rows, inputs, outputs, x, x_stride, bias, mode == NFT_MAP_ADD, y, y_stride};
    if (format == NFT_FORMAT_FLOAT)
        map_floats(&call, packed);
    else
        map_tiles(&call, packed, (int)format);
    if (mode == NFT_MAP_RELU || mode == NFT_MAP_GELU)
        activate(rows, outputs, y, y_stride, mode);
}
