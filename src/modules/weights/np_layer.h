/* One layer of a linear equivariant module between features (Zhou et al., "Permutation Equivariant Neural
 * Functionals", arXiv 2302.14040): W'_i = layer(W_i) + r(row input) + c(column input) + rc(g),
 * v'_i = bias(column input) + bias_rc(g). The row input has a row for each column of W_i and is broadcast
 * over its rows, the column input the other way round; g, one vector, is broadcast over both. np_linear
 * consists of such layers, hnp_linear has them between its first and last. */
#ifndef NFT_MODULES_NP_LAYER_H
#define NFT_MODULES_NP_LAYER_H

#include "modules/weights/means.h"
#include "modules/weights/neuron_rows.h"

/* How maps that are added together are drawn: by the sum of their inputs. */
typedef struct nft_np_init {
    nft_init weight, bias;
} nft_np_init;

nft_np_init nft_np_init_default(int64_t fan_in);
nft_np_init nft_np_init_kaiming(int64_t fan_in); /* N(0, √(2/fan_in)), biases 0 */

/* Declares NAME.weight, with `ones` axes of 1, and NAME.bias. A map that is too large for one matrix product
 * is an error. */
nft_status nft_np_map_add(nft_builder *builder, nft_map *map, int64_t outputs, int64_t inputs, int ones,
                          nft_np_init init, const char *name);

/* For the maps' gradients. */
typedef struct nft_np_kept {
    int64_t row_input, column_input; /* kept: gathered, as in the scratch */
} nft_np_kept;

typedef struct nft_np_sides {
    /* gradients: of W'_i (rows, columns, width) and of the terms: its sums over rows, over columns and over
     * both */
    int64_t weight, row_term, column_term, whole_term;
    int64_t layer_bias;       /* the gradient of layer's bias, the last of those sums once more */
    int64_t bias, whole_bias; /* of v'_i (rows, C'), and its sum over rows */
} nft_np_sides;

typedef struct nft_np_layer {
    int64_t rows, columns;
    nft_map layer, rc, r, c, bias, bias_rc;
    nft_np_kept kept;
    nft_np_sides sides;
} nft_np_layer;

typedef struct nft_np_widths {
    int64_t out_channels, global; /* C', |g| */
    int64_t row_input, column_input;
} nft_np_widths;

/* Row and column inputs of layer `index` as np_linear has them: [R_i, K_{i-1}, v_{i-1}] and [K_i, v_i,
 * R_{i+1}]. */
int64_t nft_np_row_width(const nft_space *space, int64_t channels, int64_t index);
int64_t nft_np_column_width(const nft_space *space, int64_t channels, int64_t index);

#define NFT_NP_MAX_PARTS 4 /* of an input: three here, hnp_linear appends one */
int nft_np_row_parts(const nft_layer_means *means, int64_t index, const float *scratch,
                     const float *previous_bias, nft_neuron_part *parts);
int nft_np_column_parts(const nft_layer_means *means, int64_t index, int64_t layer_count,
                        const float *scratch, const float *bias, nft_neuron_part *parts);

nft_status nft_np_layer_add(nft_builder *builder, nft_np_layer *layer, int64_t index,
                            const nft_np_widths *widths, bool kaiming);
/* Declares the gradients of the layer's maps; W_i and g are kept at `weight` and `global`. */
void nft_np_layer_keep(nft_builder *builder, nft_np_layer *layer, int64_t weight, int64_t global);
int64_t nft_np_layer_flops(const nft_np_layer *layer);

/* Scratch that the layers of a module use one after the other: first the largest sizes, then, once reserved,
 * offsets. */
typedef struct nft_np_scratch {
    int64_t row_input, column_input; /* gathered; in backward their gradients */
    int64_t row_term, column_term;   /* r(row input), c(column input) + rc(g) */
    int64_t whole_term;              /* rc(g), bias_rc(g) */
} nft_np_scratch;

void nft_np_scratch_grow(nft_np_scratch *sizes, const nft_np_layer *layer);
void nft_np_scratch_reserve(nft_np_scratch *scratch, int64_t *size);

/* Where the row and column inputs are gathered: in the scratch, in training in what is kept. */
float *nft_np_row_input(const nft_np_layer *layer, const nft_np_scratch *scratch, const nft_exec *exec);
float *nft_np_column_input(const nft_np_layer *layer, const nft_np_scratch *scratch, const nft_exec *exec);

/* The row and column inputs have been gathered. */
void nft_np_layer_forward(const nft_np_layer *layer, const nft_np_scratch *scratch, const nft_exec *exec,
                          const float *global, const float *weight, float *weight_out, float *bias_out);

/* From the gradients of W'_i and v'_i: leaves in the scratch those of the row and column inputs, and adds
 * that of g to `global_gradient`. */
void nft_np_layer_backward(const nft_np_layer *layer, const nft_np_scratch *scratch, const nft_exec *exec,
                           const float *weight_out_gradient, const float *bias_out_gradient,
                           float *global_gradient);
/* The gradient of W_i itself: through its own map, and what nft_means_backward has left of W_i's means. */
void nft_np_weight_backward(const nft_np_layer *layer, const nft_layer_means *means, const nft_exec *exec,
                            const float *weight_out_gradient, float *weight_gradient);

#endif
