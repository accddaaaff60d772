/* A value: features, tokens or a vector, as it flows from module to module for one sample.
 *
 * Features stand in memory as [tensor][token][channel · positions + position], tensors in the order of the
 * space: tensor t of C-channel features begins at C · space->tensors[t].offset and is a row-major matrix
 * (tokens, C · positions). Tokens are a matrix (tokens, channels), a vector is (channels). */
#ifndef NFT_MODULES_SHARED_VALUE_H
#define NFT_MODULES_SHARED_VALUE_H

#include "nft/model.h"
#include "space/space.h"

typedef struct nft_value {
    int32_t kind;     /* NFT_VALUE_… */
    bool lifted;      /* of features: positions have become channels, so every tensor has f = 1 */
    int64_t tokens;   /* of tokens; else 0 */
    int64_t channels; /* of features C, of tokens and vectors the width */
} nft_value;

/* Floats of one sample's value. `space`: the model's, or the lifted one of lifted features. Saturates. */
int64_t nft_value_floats(const nft_value *value, const nft_space *space);

/* The space that the features of a value have, given the model's. */
const nft_space *nft_value_space(const nft_value *value, const nft_space *space);

#endif
