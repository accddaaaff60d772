/* A sequence: the modules of a model, configured for one space. A model of one space, or of tokens, has one
 * sequence. A model of any space makes one for each space that it meets; all of them name the same
 * parameters. */
#ifndef NFT_MODEL_SEQUENCE_H
#define NFT_MODEL_SEQUENCE_H

#include "modules/shared/module.h"

/* A module of the sequence and the rows of the parameter table that are its own. */
typedef struct nft_step {
    nft_module *module;
    int64_t first_parameter, end_parameter;
    int64_t frame;     /* floats of its frame (modules/shared/memory.h) */
    int64_t frame_out; /* where in the frame the value that leaves begins */
    int64_t backward;  /* floats of its backward block */
} nft_step;

/* Never changed after it was made. Value 0 is the input, value i + 1 leaves step i. */
typedef struct nft_sequence {
    nft_references references;
    nft_space *space; /* whole; NULL on tokens */
    nft_value input;
    nft_step *steps; /* the modules, then the decoder if there is one */
    int64_t step_count;
    nft_gradient_table gradients;
    nft_statistics_table statistics;
    int64_t flops; /* of all steps, for a sample */
} nft_sequence;

/* Without steps, with room for `steps`. Free it with nft_sequence_free, also after a failure. */
nft_status nft_sequence_allocate(nft_sequence **sequence, const nft_space *space, const nft_value *input,
                                 int64_t steps);
nft_sequence *nft_sequence_retain(const nft_sequence *sequence); /* one more reference */
void nft_sequence_free(nft_sequence *sequence);

const nft_value *nft_sequence_value(const nft_sequence *sequence, int64_t index);
/* The space of the features of value `index`, lifted or not; NULL on tokens. */
const nft_space *nft_sequence_space(const nft_sequence *sequence, int64_t index);
/* Floats of value `index`. */
int64_t nft_sequence_floats(const nft_sequence *sequence, int64_t index);

/* How the gradient of a parameter comes about; of kind NFT_GRADIENT_NONE if nothing was declared. */
const nft_gradient *nft_sequence_gradient(const nft_sequence *sequence, int64_t parameter);

#endif
