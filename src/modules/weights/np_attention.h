/* Attention over neuron axes (arXiv 2305.13546, section 3.1), as np_attention and inside nft_block. */
#ifndef NFT_MODULES_NP_ATTENTION_H
#define NFT_MODULES_NP_ATTENTION_H

#include "modules/weights/axis_vectors.h"
#include "modules/weights/simple_layer_norm.h"

/* Attention of all axes, whose results are summed. */
#define NFT_ALL_AXES (-1)

typedef struct nft_attention_options {
    int64_t num_heads;
    double dropout; /* on the attention weights of the cross terms */
    bool share_projections, ablate_crossterm, ablate_diagonalterm;
} nft_attention_options;

/* The parameters and buffers of attention for one tensor. */
typedef struct nft_attention_tensor {
    nft_map qkv;              /* (3C, width); all the same when shared */
    bool unprojects;          /* else results are added as they are */
    nft_map unproject;        /* (width, C) */
    nft_buffer bias_gradient; /* of the unprojection */
    int64_t terms;            /* that are added to it: the unprojection's bias counts once for each */
} nft_attention_tensor;

typedef struct nft_attention {
    const nft_space *space;
    nft_attention_options options;
    int64_t channels, heads, head_channels;
    bool shared, cross, diagonal;
    int64_t axis;                   /* the only one that has cross terms, or NFT_ALL_AXES */
    uint64_t stream;                /* of its dropout */
    nft_attention_tensor *tensors;  /* one allocation, which nft_attention_release frees */
    const nft_channel_norms *norms; /* of the input; NULL: none */

    nft_buffer normed_rows;             /* ITEM: one chunk of normed rows */
    nft_buffer scores, scores_gradient; /* ITEM: one chunk of queries against all vectors of an axis */
    nft_buffer matrices;                /* ITEM: NFT_ATTENTION_MATRICES of one axis and head */

    nft_buffer qkv;   /* KEPT: (tokens, 3C), of each head q, k and v */
    int64_t reserved; /* floats of its memory in the CALL arena that training uses for something else */
    nft_buffer terms; /* CALL when shared, else KEPT: summed, (tokens, C) */
    nft_buffer sums;  /* CALL: for each chunk of rows the sum of its rows */
    nft_buffer means; /* CALL: the mean token of each tensor */
    nft_buffer diagonal_qkv, diagonal_out; /* KEPT, CALL: (tensors, 3C), (tensors, C) */
    nft_buffer diagonal_scores;            /* CALL: (tensors, tensors) */

    nft_buffer normed;          /* FRAME: the features that are projected */
    bool keeps_weights;         /* else they would be more floats than q and k, and are computed again */
    nft_buffer kept_weights;    /* FRAME: of the cross terms, before dropout: for each axis and head (vectors,
                                   vectors) */
    nft_buffer terms_gradient;  /* TRAINING: (tokens, C) unless shared */
    nft_buffer normed_gradient; /* in training: features */
    nft_buffer diagonal_gradient, diagonal_scores_gradient; /* TRAINING: of diagonal_qkv, of the scores */
    nft_buffer qkv_gradient;                                /* BACKWARD: (tokens, 3C) */
    nft_buffer output_gradient;                             /* BACKWARD: features, unless shared */
} nft_attention;

/* Matrices of one axis and head that an item of the cross terms works on: q, k, v, and in backward the
 * gradients of the results and of k and v. */
#define NFT_ATTENTION_MATRICES 6

/* Reads the options of attention except dropout, which has several defaults. */
nft_status nft_attention_read(nft_options *options, nft_attention_options *values);
/* Declares its parameters under `prefix` and its buffers, and adds to the module's flops. `norms`, unless
 * NULL, are applied to the input. */
nft_status nft_attention_configure(nft_attention *attention, nft_module *module, nft_builder *builder,
                                   const nft_attention_options *values, const nft_channel_norms *norms,
                                   const char *prefix);
/* The same of one axis, with projections that are shared by tensors, and by the axes if `first` is another
 * one's attention; NULL: it declares them. The diagonal term is that of the first. */
nft_status nft_attention_configure_axis(nft_attention *attention, nft_module *module, nft_builder *builder,
                                        const nft_attention_options *values, const nft_channel_norms *norms,
                                        const char *prefix, int64_t axis, const nft_attention *first);
/* Whether a tensor has cross terms. */
bool nft_attention_crosses(const nft_attention *attention, const nft_tensor *tensor);
void nft_attention_release(nft_attention *attention);
/* Reserves features of the space only for training, like a TRAINING buffer. Training keeps q, k and v in the
 * frame, so this buffer takes the memory that they have in inference. */
nft_buffer nft_attention_reserve_training(nft_attention *attention, nft_builder *builder);
/* How many attention weights all heads of axes 0 … axis - 1 have. */
int64_t nft_attention_weights_before(const nft_attention *attention, int64_t axis);

/* Queries of an axis are cut into chunks that depend only on the space and the channels. An axis is large
 * when its matrices exceed the caches: BLAS then multiplies, in longer chunks. */
bool nft_attention_axis_is_large(const nft_axis *axis, int64_t head_channels);
int64_t nft_attention_chunk_count(const nft_axis *axis, bool large);
void nft_attention_chunk(const nft_axis *axis, bool large, int64_t index, int64_t *first, int64_t *count);

/* out = attention(norm(in)), plus in itself if `residual`. out may be in. */
void nft_attention_forward(const nft_attention *attention, const nft_exec *exec, bool residual,
                           const float *in, float *out);
/* grad_in = the gradient through attention and norm, plus `added` unless NULL; without norms `added` is NULL.
 * added may be grad_out. */
void nft_attention_backward(const nft_attention *attention, const nft_exec *exec, const float *in,
                            const float *grad_out, const float *added, float *grad_in);

#endif
