/* Rows of numbers, one for each neuron of an axis, gathered from tensors and means. The symmetric axis of a
 * tensor runs over the rows, everything else that a neuron owns counts as channels. */
#ifndef NFT_MODULES_NEURON_ROWS_H
#define NFT_MODULES_NEURON_ROWS_H

#include "modules/shared/module.h"

/* Where row r's entry c * inner + k stands in a tensor: at r * stride + k * inner_stride + c, with c < width,
 * k < inner. */
typedef struct nft_neuron_rows {
    int64_t stride, inner, inner_stride, width;
} nft_neuron_rows;

nft_neuron_rows nft_rows_dense(int64_t width); /* rows as they are */
/* Of a matrix of vectors (rows, columns, width): a row for each of its rows, index c * columns + column. */
nft_neuron_rows nft_rows_by_row(int64_t columns, int64_t width);
/* The same, but a row for each of its columns, index c * rows + row. */
nft_neuron_rows nft_rows_by_column(int64_t rows, int64_t columns, int64_t width);
/* Of a matrix (channels, rows), PyTorch's order of an embedding: its transpose. */
nft_neuron_rows nft_rows_transposed(int64_t rows, int64_t channels);

void nft_neuron_row_get(const nft_neuron_rows *layout, int64_t row, const float *tensor, float *entries);
void nft_neuron_row_put(const nft_neuron_rows *layout, int64_t row, const float *entries, float *tensor);
void nft_neuron_row_add(const nft_neuron_rows *layout, int64_t row, const float *entries, float *tensor);

/* A part of a concatenation. */
typedef struct nft_neuron_part {
    nft_neuron_rows layout;
    const float *tensor;
} nft_neuron_part;

/* y (rows, all parts' entries): the parts beside each other. */
void nft_neuron_parts_gather(const nft_exec *exec, int64_t rows, const nft_neuron_part *parts, int count,
                             float *y);
/* Its transpose: adds each row of x to the places that gather would read, in tensors that the caller may
 * write to. No place occurs twice. */
void nft_neuron_parts_scatter_add(const nft_exec *exec, int64_t rows, const nft_neuron_part *parts, int count,
                                  const float *x);

#endif
