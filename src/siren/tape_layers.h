/* The memory of a SIREN's tape, shared by the files of siren_tape.h. */
#ifndef NFT_SIREN_TAPE_LAYERS_H
#define NFT_SIREN_TAPE_LAYERS_H

#include "math/siren_bf16.h"
#include "siren/siren_tape.h"

/* Angles are counted in turns: h = sin(2π (ω/2π) (W x + v)), and the factors are multiplied into copies of
 * the weights. Gradients are those with respect to angles in radians, so backward has a copy of ω W, and the
 * gradients of W and v get their factor ω at the end. Rows are padded with zeros to whole vectors. A hidden
 * layer's gradient is kept transposed, as its forward product has the weights; the last layer has few
 * outputs, and its gradient has the weights' own order.
 *
 * With products of bf16, the layers between the first and the last, the inner ones, have their factors as
 * pairs. */
typedef struct nft_tape_layer {
    int64_t in, out;
    int64_t in_stride, out_stride; /* padded */
    float scale;                   /* ω, 1 for the last */
    float *weight;                 /* times ω: (out, in_stride) */
    float *transposed;             /* hidden, times ω/2π: (in, out_stride) */
    float *bias;                   /* times ω/2π if hidden: (out_stride) */
    float *gradient;               /* hidden: (in, out_stride), last: (out, in_stride) */
    float *bias_gradient;          /* (out_stride) */
    float *sine, *cosine;          /* hidden: (chunk, out_stride), of the angles; the way back leaves the
                                      angles' gradients where the cosines were */
    nft_pairs sine_pairs;          /* before an inner layer */
    nft_pairs angle_gradient;      /* inner */
    nft_pairs weight_pairs;        /* inner, weight: down only */
    nft_pairs transposed_pairs;    /* inner, transposed: down only */
} nft_tape_layer;

struct nft_siren_tape {
    const nft_siren_kernels *kernels;
    const nft_siren_bf16 *placed_for; /* NULL: there is no memory for pairs */
    const nft_siren_bf16 *bf16;       /* NULL: products of floats */
    int64_t layer_count;
    const nft_space *space;
    float offset; /* added to the output */
    nft_tape_layer *layers;
    float *input;          /* (chunk, n_0 padded) */
    int64_t height, width; /* of the image, if set */
    float *image_memory;   /* the four below, each (size, out_stride of layer 0), and the coordinates */
    float *row_sine, *row_cosine;       /* of the angles' parts that depend on y, with the bias */
    float *column_sine, *column_cosine; /* of those that depend on x */
    float *y, *x;                       /* (height), (width) */
    float *gradients;                   /* all layers' gradients in one piece */
    int64_t gradient_floats;
};

/* The kernels of a tape in this precision; NULL for products of floats. */
const nft_siren_bf16 *nft_tape_kernels_bf16(const nft_space *space, int32_t precision);
int64_t nft_tape_padded(int64_t columns, const nft_siren_bf16 *bf16);       /* to whole vectors; saturates */
int64_t nft_tape_bytes(const nft_space *space, const nft_siren_bf16 *bf16); /* saturates */
nft_siren_tape *nft_tape_place(void *memory, const nft_space *space, float omega, const nft_siren_bf16 *bf16);

#endif
