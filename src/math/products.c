#include "math/products.h"

#include "math/panels.h"
#include "math/vector.h"

#define MANY_INPUTS 256      /* from here on a gradient's factors do not fit into the first cache anyway */
#define PREFETCHED_FLOATS 16 /* of a cache line */

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Numbers of a row that fill whole vectors. BLAS multiplies the rest. */
static int64_t whole_vectors(const nft_panels *set, int64_t n)
{
    return n / set->lanes * set->lanes;
}

static int64_t panel_width(const nft_panels *set, int64_t left)
{
    return left < set->width ? set->lanes : set->width;
}

/* The columns that fill whole vectors. */
static void multiply_whole(nft_layout layout, int64_t m, int64_t whole, int64_t k, const float *a,
                           int64_t a_stride, const float *b, int64_t b_stride, bool add, float *c,
                           int64_t c_stride)
{
    const nft_panels *set = nft_vector_panels();
    nft_panel_product *product = layout == NFT_TN ? set->tn : set->nn;
    int64_t a_step = layout == NFT_TN ? a_stride : 1; /* to a's next inner number */
    for (int64_t block = 0; block == 0 || block < k; block += NFT_PANEL_BLOCK)
        for (int64_t first = 0; first < whole; first += set->width)
            product(m, panel_width(set, whole - first), smaller(k - block, NFT_PANEL_BLOCK),
                    a + block * a_step, a_stride, b + block * b_stride + first, b_stride, add || block > 0,
                    c + first, c_stride);
}

void nft_multiply(nft_layout layout, int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride,
                  const float *b, int64_t b_stride, bool add, float *c, int64_t c_stride)
{
    if (layout == NFT_NT) {
        nft_vector()->row_products(m, n, k, a, a_stride, b, b_stride, add, c, c_stride);
        return;
    }
    int64_t whole = whole_vectors(nft_vector_panels(), n);
    multiply_whole(layout, m, whole, k, a, a_stride, b, b_stride, add, c, c_stride);
    nft_gemm(layout, m, n - whole, k, 1, a, a_stride, b + whole, b_stride, add, c + whole, c_stride);
}

static void prefetch(int64_t first, int64_t end, int64_t width, const float *x, int64_t stride)
{
    for (int64_t r = first; r < end; r++)
        for (int64_t i = 0; i < width; i += PREFETCHED_FLOATS)
            __builtin_prefetch(x + r * stride + i);
}

/* A module's backward has gone over all rows since it wrote dy and x, so they are no longer in a near cache.
 * While a block of rows is multiplied, the next one is asked for, with each tile its share: more at a time
 * than the processor keeps track of would hold up the products. */
void nft_weight_gradient(int64_t rows, int64_t inputs, int64_t outputs, const float *dy, int64_t dy_stride,
                         const float *x, int64_t x_stride, bool add, float *dw)
{
    const nft_panels *set = nft_vector_panels();
    int64_t whole = whole_vectors(set, inputs), height = set->tile_rows;
    int64_t tiles = (outputs + height - 1) / height * ((whole + set->width - 1) / set->width);
    int64_t most = inputs < MANY_INPUTS ? 32 : 64;
    for (int64_t block = 0; whole && (block == 0 || block < rows); block += most) {
        int64_t length = smaller(rows - block, most), next = block + length,
                ahead = smaller(rows - next, most), tile = 0;
        for (int64_t first = 0; first < whole; first += set->width)
            for (int64_t top = 0; top < outputs; top += height, tile++) {
                int64_t from = next + ahead * tile / tiles, to = next + ahead * (tile + 1) / tiles;
                prefetch(from, to, outputs, dy, dy_stride);
                prefetch(from, to, whole, x, x_stride);
                set->tn(smaller(outputs - top, height), panel_width(set, whole - first), length,
                        dy + block * dy_stride + top, dy_stride, x + block * x_stride + first, x_stride,
                        add || block > 0, dw + top * inputs + first, inputs);
            }
    }
    nft_gemm(NFT_TN, outputs, inputs - whole, rows, 1, dy, dy_stride, x + whole, x_stride, add, dw + whole,
             inputs);
}
