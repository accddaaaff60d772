/* Linear equivariant layers between features (Zhou et al., "Permutation Equivariant Neural Functionals",
 * arXiv 2302.14040): each tensor that leaves is a sum of terms,
 *
 *     y_t = Σ broadcast(map(input)),
 *
 * where an input is the tensor itself, or means that are concatenated: those of everything that an axis
 * indexes, with a row for each neuron of the axis, or g, those of all tensors, with a single row. A term has
 * rows for some dimensions of its tensor and is broadcast over the others.
 *
 * A module lists its terms and their names. This file runs any such list. */
#ifndef NFT_MODULES_WEIGHTS_LINEAR_TERMS_H
#define NFT_MODULES_WEIGHTS_LINEAR_TERMS_H

#include "modules/weights/views.h"

/* A concatenation of views that have the same number of rows. */
typedef struct nft_term_input {
    int64_t rows, width;
    int64_t first_view, view_count;
    int64_t first_term, last_term; /* that read it, -1 for none */
    nft_buffer x;                  /* KEPT: (rows, width) */
} nft_term_input;

/* A view of a tensor that arrives. */
typedef struct nft_term_view {
    nft_tensor_view view;
    nft_view_layout layout;
} nft_term_view;

/* Inputs have indices; two are named. */
#define NFT_INPUT_SELF (-1)   /* the term's own tensor */
#define NFT_INPUT_GLOBAL (-2) /* g, the input that was listed last */

#define NFT_TERM_NAME 48

typedef struct nft_term {
    int64_t tensor, input;
    nft_dims rows;
    int ones;     /* dimensions of 1 that end the weight's shape */
    bool own_fan; /* nft_terms_own_fan */
    char name[NFT_TERM_NAME];
    int64_t next; /* of its input, -1 behind the last */
    nft_map map;
    nft_view_layout layout; /* of the term: the margin of its rows and the tensor's channels */
    nft_buffer dy;          /* BACKWARD: (rows, outputs) */
} nft_term;

typedef struct nft_term_tensor {
    nft_dims channels; /* dimensions that count as channels */
    bool dense;        /* they hold one token, so the terms' rows are tokens */
    int64_t first_term, term_count;
    int64_t whole;       /* its term that has all dimensions, which sets y_t; the others add to it */
    int64_t sum;         /* its term without rows: dy is the sum over all rows of dy of each other term */
    int64_t fan;         /* inputs of all its terms */
    bool embedded;       /* an embedding was added to the input */
    nft_buffer features; /* FRAME, embedded KEPT: input of the terms, (tokens, C · f) */
    nft_margins means;   /* of that; in backward their gradients */
    nft_margins terms;   /* in forward the sums of the terms, broadcast */
    nft_margins sums;    /* in backward its transpose: the gradient of y_t, summed */
} nft_term_tensor;

typedef struct nft_linear_terms {
    const nft_space *space;
    int64_t channels, out_channels;
    bool positions_first; /* in channels; nft_view_layout_of */
    nft_status status;    /* the first failure of a list; further calls do nothing */
    int64_t memory_limit;
    nft_term_tensor *tensors;
    nft_term_input *inputs;
    nft_term_view *views;
    nft_term *terms;
    int64_t input_count, input_capacity, view_count, view_capacity, term_count, term_capacity;
    int64_t global;    /* index of g */
    nft_buffer dx;     /* TRAINING: the gradient of one input */
    nft_buffer mapped; /* ITEM: a chunk of a term, before it is put in place */
} nft_linear_terms;

/* Begins a list. `hidden`: dimensions whose axes have no symmetry count as channels. */
nft_status nft_terms_open(nft_linear_terms *terms, const nft_module *module, const nft_builder *builder,
                          bool hidden);
void nft_terms_release(nft_linear_terms *terms);

/* Begins an input and returns its index; then its views are listed. */
int64_t nft_terms_input(nft_linear_terms *terms);
void nft_terms_view(nft_linear_terms *terms, int64_t tensor, nft_dims rows, nft_dims channels);
/* Lists a term. The terms of one tensor stand together, and exactly one of them has all its dimensions.
 * Parameters have the order of the terms. */
void nft_terms_add(nft_linear_terms *terms, int64_t tensor, nft_dims rows, int64_t input, int ones,
                   const char *name_format, ...) NFT_PRINTF(6, 7);
/* The last listed term is initialised by the number of its inputs only. */
void nft_terms_own_fan(nft_linear_terms *terms);

/* Maps that are added together are drawn by the sum of their inputs: uniform in ±√(1/fan), or weights
 * N(0, √(2/fan)) and biases 0. */
typedef enum nft_terms_init { NFT_TERMS_DEFAULT, NFT_TERMS_KAIMING } nft_terms_init;

/* Ends the list: declares parameters, buffers and gradients. */
nft_status nft_terms_plan(nft_linear_terms *terms, nft_module *module, nft_builder *builder,
                          nft_terms_init init);

/* Tensors that are embedded have been set. */
void nft_terms_forward(const nft_linear_terms *terms, const nft_exec *exec, const float *in, float *out);
/* grad_in is the gradient of the terms' input. */
void nft_terms_backward(const nft_linear_terms *terms, const nft_exec *exec, const float *grad_out,
                        float *grad_in);

#endif
