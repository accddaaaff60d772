/* The inside of gradients. */
#ifndef NFT_MODEL_BACKWARD_H
#define NFT_MODEL_BACKWARD_H

#include "model/context.h"

/* Some rows of a weight's gradient, or some numbers of another's. Tiles depend only on the model. */
typedef struct nft_gradient_tile {
    int64_t parameter, first, count;
} nft_gradient_tile;

struct nft_gradients {
    nft_model *model;
    float *values; /* model->parameters.total, at the parameters' offsets */
    nft_gradient_tile *tiles;
    int64_t *first_tiles; /* of each step of the model; behind the last one the number of tiles */
};

/* nft_backward(), with `added` added to the gradient of value `index`, 1 … the last, of the sequence: floats
 * of each sample one after the other. NULL: nothing is added. */
nft_status nft_backward_adding(nft_context *context, const nft_view *output_gradient,
                               nft_gradients *gradients, int64_t index, const float *added);

#endif
