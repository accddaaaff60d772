/* A SIREN's gradients: a forward that keeps the values for backward, for up to NFT_SIREN_CHUNK coordinates at
 * a time, and a backward from a gradient of the output, which adds to the weights' gradients. The formula is
 * siren.h's. */
#ifndef NFT_MODEL_SIREN_TAPE_H
#define NFT_MODEL_SIREN_TAPE_H

#include "siren/form.h"

/* Rows of 32 neurons that fit, with their gradients, about in the first-level cache. */
#define NFT_SIREN_CHUNK 56

typedef struct nft_siren_tape nft_siren_tape;

/* For one network of linear layers, on one thread at a time. Keeps a pointer to the space, no reference. */
/* With NFT_PRECISION_BF16, where the processor is faster so, the products of the layers between the first and
 * the last have factors of bf16. */
nft_status nft_siren_tape_create(nft_siren_tape **tape, const nft_space *space, float omega,
                                 int32_t precision);
/* The same in memory of the caller's, aligned like all of the library's, which it is over with. */
nft_siren_tape *nft_siren_tape_place(void *memory, const nft_space *space, float omega);
int64_t nft_siren_tape_bytes(const nft_space *space); /* saturates */
/* For pixels of an image instead of any coordinates, which saves all sines of the first layer but those of
 * each row and each column. Before the weights are loaded. */
nft_status nft_siren_tape_set_image(nft_siren_tape *tape, int64_t height, int64_t width);
/* Bytes that nft_siren_tape_set_image() allocates; saturates. */
int64_t nft_siren_tape_image_bytes(const nft_space *space, int64_t height, int64_t width);
/* ω of each layer in place of one, and an offset added to the output. Before the weights are loaded. */
void nft_siren_tape_set_form(nft_siren_tape *tape, const nft_siren_form *form);
/* Another precision, at most that of its creation. Before the weights are loaded. */
void nft_siren_tape_set_precision(nft_siren_tape *tape, int32_t precision);
void nft_siren_tape_free(nft_siren_tape *tape);

/* Takes the weights, W_0 row-major, v_0, W_1, … in one piece, and clears the gradients. */
void nft_siren_tape_load(nft_siren_tape *tape, const float *weights);
/* out (rows, n_L) = the network at coordinates (rows, n_0); rows ≤ NFT_SIREN_CHUNK. */
void nft_siren_tape_forward(nft_siren_tape *tape, int64_t rows, const float *coordinates, float *out);
/* The same at pixels first … first + rows - 1 of the image. */
void nft_siren_tape_forward_pixels(nft_siren_tape *tape, int64_t first, int64_t rows, float *out);
/* Adds the gradients of Σ grad_out · out, grad_out (rows, n_L), of the forward before. */
void nft_siren_tape_backward(nft_siren_tape *tape, int64_t rows, const float *grad_out);
/* Networks of one output: nft_siren_tape_forward_pixels(), and backward from factor (out - target), in one
 * pass. */
bool nft_siren_tape_can_follow(const nft_siren_tape *tape);
void nft_siren_tape_follow_pixels(nft_siren_tape *tape, int64_t first, int64_t rows, const float *target,
                                  float factor);
/* All gradients since the weights were loaded, in the order of the weights. */
void nft_siren_tape_gradient(const nft_siren_tape *tape, float *gradient);

#endif
