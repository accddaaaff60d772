/* Evaluates a SIREN: an MLP of coordinates, h ← sin(ω (W h + v)) in every layer but the last, which is linear
 * (Sitzmann et al., "Implicit Neural Representations with Periodic Activation Functions", 2020). */
#ifndef NFT_MODEL_SIREN_H
#define NFT_MODEL_SIREN_H

#include "siren/form.h"
#include "space/weights.h"

/* Where pixel `index` of `size` in one direction lies: linearly spaced in [-1, 1], a single one at -1. */
float nft_grid_coordinate(int64_t index, int64_t size);
/* The places (y, x) of pixels first … first + count - 1 of an image, row after row. */
void nft_siren_grid(int64_t height, int64_t width, int64_t first, int64_t count, float *coordinates);

/* An error that names the layer, unless the networks are MLPs of 2 coordinates. */
nft_status nft_siren_check_space(const nft_space *space);

/* Fresh weights of layer i are uniform in ± this: 1/in in the first layer, √(6/in)/ω in the others. */
double nft_siren_bound(const nft_space *space, int64_t layer, double omega);

int64_t nft_siren_flops(const nft_space *space, int64_t rows);
int64_t nft_siren_scratch(const nft_space *space, int64_t rows);

/* Channel `channel` of sample `index` of a set of SIRENs, a network in one piece: to `network`, or from it.
 */
void nft_siren_gather(const nft_weights *weights, int64_t index, int64_t channel, float *network);
void nft_siren_scatter(nft_weights *weights, int64_t index, int64_t channel, const float *network);

/* out (rows, n_L) = the network at coordinates (rows, n_0), plus the form's offset. `weights` is W_0
 * row-major, v_0, W_1, … in one piece: all layers are linear. One sgemm a layer, so callers cut the rows in a
 * fixed way. */
void nft_siren_forward_form(const nft_space *space, const nft_siren_form *form, const float *weights,
                            int64_t rows, const float *coordinates, float *out, float *scratch);

#endif
