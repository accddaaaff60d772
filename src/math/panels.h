/* The inner loops of packed.h and products.h, built once for each instruction set, see panels.c. */
#ifndef NFT_MATH_PANELS_H
#define NFT_MATH_PANELS_H

#include <stdint.h>

/* Inner length that is multiplied before the next: its share of a panel and a tile of rows then stay in the
 * cache. */
#define NFT_PANEL_BLOCK 512

/* c (m, n) = a b + [c if add]; n is lanes or width, b (k, n). */
typedef void nft_panel_product(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride,
                               const float *b, int64_t b_stride, int add, float *c, int64_t c_stride);

typedef struct nft_panels {
    int64_t width;     /* of a panel: two vectors */
    int64_t lanes;     /* floats of a vector */
    int64_t tile_rows; /* rows of a result that are held in registers at a time */
    /* y (rows, outputs) = x (rows, inputs) panel + [bias unless NULL] + [y if add]. The panel has a row of
     * `width` floats for each input. `outputs` is at most width; up to the next multiple of lanes, bias is
     * read and each row of y is written. */
    void (*map)(int64_t rows, int64_t inputs, int64_t outputs, const float *panel, const float *bias, int add,
                const float *x, int64_t x_stride, float *y, int64_t y_stride);
    nft_panel_product *nn, *tn; /* nn: a (m, k). tn: a (k, m), transposed */
} nft_panels;

/* Those of the set in use (kernel_set.h). */
const nft_panels *nft_vector_panels(void);

#endif
