#include "math/packed.h"

#include "base/memory.h"
#include "math/panels.h"
#include "math/vector.h"

#include <string.h>

#define MAX_WIDTH 32
#define FULL_ROWS 56 /* that are mapped to a partial panel at a time */

#define DECLARE(set) extern const nft_panels nft_panels_##set
DECLARE(baseline);
DECLARE(avx2);
DECLARE(avx512);
DECLARE(neon);

const nft_panels *nft_vector_panels(void)
{
    const char *name = nft_vector()->name;
#if defined(__x86_64__)
    if (!strcmp(name, "avx512"))
        return &nft_panels_avx512;
    if (!strcmp(name, "avx2"))
        return &nft_panels_avx2;
    return &nft_panels_baseline;
#elif defined(__aarch64__)
    (void)name;
    return &nft_panels_neon;
#else
    (void)name;
    return &nft_panels_baseline;
#endif
}

int64_t nft_packed_floats(int64_t outputs, int64_t inputs)
{
    int64_t width = nft_vector_panels()->width;
    return nft_size_multiply(nft_size_add(outputs, width - 1) / width * width, inputs);
}

void nft_pack(int64_t outputs, int64_t inputs, const float *weight, float *packed)
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

void nft_pack_transpose(int64_t outputs, int64_t inputs, const float *weight, float *packed)
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

/* The outputs that do not fill a panel: rows go through rows of full width. */
static void partial_panel(const nft_panels *set, int64_t rows, int64_t inputs, int64_t count,
                          const float *panel, const float *bias, int add, const float *x, int64_t x_stride,
                          float *y, int64_t y_stride)
{
    float full_bias[MAX_WIDTH] = {0}, full[FULL_ROWS * MAX_WIDTH];
    const nft_kernels *vector = nft_vector();
    int64_t width = set->width;
    if (bias)
        memcpy(full_bias, bias, (size_t)count * sizeof *bias);
    if (add) /* what is behind `count` is added to, too */
        memset(full, 0, (size_t)((rows < FULL_ROWS ? rows : FULL_ROWS) * width) * sizeof *full);
    for (int64_t first = 0; first < rows; first += FULL_ROWS) {
        int64_t length = rows - first < FULL_ROWS ? rows - first : FULL_ROWS;
        float *part = y + first * y_stride;
        if (add)
            vector->copy_rows(length, count, part, y_stride, full, width);
        set->map(length, inputs, count, panel, bias ? full_bias : NULL, add, x + first * x_stride, x_stride,
                 full, width);
        vector->copy_rows(length, count, full, width, part, y_stride);
    }
}

static void activate(int64_t rows, int64_t outputs, float *y, int64_t y_stride, nft_map_mode mode)
{
    const nft_kernels *vector = nft_vector();
    for (int64_t r = 0; r < rows; r++)
        (mode == NFT_MAP_GELU ? vector->gelu : vector->relu)(outputs, y + r * y_stride, y + r * y_stride);
}

void nft_packed_linear(int64_t rows, int64_t inputs, int64_t outputs, const float *packed, const float *bias,
                       const float *x, int64_t x_stride, float *y, int64_t y_stride, nft_map_mode mode)
{
    const nft_panels *set = nft_vector_panels();
    for (int64_t block = 0; block == 0 || block < inputs; block += NFT_PANEL_BLOCK) {
        int64_t length = inputs - block < NFT_PANEL_BLOCK ? inputs - block : NFT_PANEL_BLOCK;
        int add = block > 0 || mode == NFT_MAP_ADD;
        const float *x_block = x + block;
        for (int64_t first = 0; first < outputs; first += set->width) {
            const float *panel = packed + first * inputs + block * set->width;
            const float *panel_bias = bias && block == 0 ? bias + first : NULL;
            int64_t left = outputs - first, count = left < set->width ? left : set->width;
            if (count % set->lanes == 0)
                set->map(rows, length, count, panel, panel_bias, add, x_block, x_stride, y + first, y_stride);
            else
                partial_panel(set, rows, length, count, panel, panel_bias, add, x_block, x_stride, y + first,
                              y_stride);
        }
    }
    if (mode == NFT_MAP_RELU || mode == NFT_MAP_GELU)
        activate(rows, outputs, y, y_stride, mode);
}
