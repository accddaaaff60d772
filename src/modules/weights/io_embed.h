/* Learned embeddings that tell the neurons of axes without symmetry apart. np_linear adds them to its input,
 * so that its maps see inputs and outputs in their order. */
#ifndef NFT_MODULES_WEIGHTS_IO_EMBED_H
#define NFT_MODULES_WEIGHTS_IO_EMBED_H

#include "modules/weights/linear_terms.h"

/* One embedding: a column for each index of a dimension. */
typedef struct nft_embedding {
    int64_t tensor, dimension;
    nft_param parameter; /* (C · f, indices) */
    nft_buffer gradient;
} nft_embedding;

/* A tensor and all that is added to it. */
typedef struct nft_embedded {
    int64_t tensor, first, end; /* its embeddings */
    nft_margins added;          /* one for each embedding; in backward the sums of the gradient */
    nft_buffer features;        /* KEPT: the tensor with its embeddings */
} nft_embedded;

typedef struct nft_io_embed {
    nft_embedding *embeddings;
    nft_embedded *tensors;
    int64_t count, tensor_count;
} nft_io_embed;

/* Reserves the tensors that have such axes, and lets the terms see them there. */
nft_status nft_io_embed_plan(nft_io_embed *embed, nft_builder *builder, nft_linear_terms *terms);
/* Declares the parameters, N(0, 1). */
nft_status nft_io_embed_declare(nft_io_embed *embed, nft_builder *builder);
void nft_io_embed_release(nft_io_embed *embed);

void nft_io_embed_forward(const nft_io_embed *embed, const nft_exec *exec, int64_t channels, const float *in);
/* From the gradient of the embedded tensors, which is that of the input. */
void nft_io_embed_backward(const nft_io_embed *embed, const nft_exec *exec, int64_t channels,
                           const float *grad_in);

#endif
