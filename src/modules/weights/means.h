/* Means of features over the neuron axes: what the linear equivariant layers exchange between tensors, and
 * what the pools keep. Sums are taken in a fixed order, in blocks of floats that are joined in double. */
#ifndef NFT_MODULES_MEANS_H
#define NFT_MODULES_MEANS_H

#include "modules/shared/module.h"

/* y (width) = mean of the rows of x (rows, width), `stride` floats apart; rows ≥ 1. */
void nft_mean_rows(int64_t rows, int64_t width, const float *x, int64_t stride, float *y);

/* y (width) = the sum of the rows of x (rows, width), on the team. */
void nft_sum_rows(const nft_exec *exec, int64_t rows, int64_t width, const float *x, float *y);
/* y (rows, width) = the sum over the columns of x (rows, columns, width), on the team. */
void nft_sum_columns(const nft_exec *exec, int64_t rows, int64_t columns, int64_t width, const float *x,
                     float *y);

/* The means of W_i (rows, columns, width), width its effective channels, and of v_i (rows, channels). The
 * last five are offsets in the module's scratch. In backward the gradients with respect to the means are
 * summed in the same places. */
typedef struct nft_layer_means {
    int64_t rows, columns, width, channels;
    int64_t over_rows;    /* R_i (columns, width): the mean over rows, one for each column */
    int64_t over_columns; /* K_i (rows, width): the mean over columns, one for each row */
    int64_t partial;      /* (blocks of rows, columns, width): sums that R_i is joined from */
    int64_t whole;        /* M_i (width) */
    int64_t bias;         /* m_i (channels) */
} nft_layer_means;

/* Floats of [M_0 … M_{L-1}, m_0 … m_{L-1}] for features of C channels. */
int64_t nft_means_global(const nft_space *space, int64_t channels);

/* Plans the means of all layers: M_i and m_i go to that vector, which begins at `global` in the scratch; the
 * others are reserved. */
void nft_means_plan(nft_layer_means *layers, const nft_space *space, int64_t channels, int64_t global,
                    int64_t *scratch);

/* All means of one layer, from W_i and v_i. */
void nft_means_forward(const nft_layer_means *means, const nft_exec *exec, const float *weight,
                       const float *bias);

/* Sets the gradients of R_i and K_i of all layers to 0; those of M_i and m_i belong to the vector at
 * `global`. */
void nft_means_clear(const nft_layer_means *layers, int64_t count, const nft_exec *exec);
/* From the gradients of one layer's means: adds that of m_i to that of v_i, and leaves in the places of R_i
 * and K_i what nft_broadcast_add is to add to the gradient of W_i. */
void nft_means_backward(const nft_layer_means *means, const nft_exec *exec, float *bias_gradient);

/* The way back from means to a matrix of vectors (rows, columns, width): each vector gets over_rows[its
 * column] and over_columns[its row] added, either of which may be NULL. `y` holds its vectors first … first +
 * count - 1, row-major. */
void nft_broadcast_add(int64_t columns, int64_t width, const float *over_rows, const float *over_columns,
                       int64_t first, int64_t count, float *y);
/* That of R_i's and K_i's places to the whole of y (rows, columns, width), on the team. */
void nft_means_broadcast_add(const nft_layer_means *means, const nft_exec *exec, float *y);

#endif
