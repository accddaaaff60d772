/* Softmax attention of queries over keys and values, each head on its own columns ("Attention Is All You
 * Need", section 3.2.1). */
#ifndef NFT_MODULES_TOKEN_ATTENTION_H
#define NFT_MODULES_TOKEN_ATTENTION_H

#include "modules/shared/module.h"

/* Head h takes columns h * head_size … of each matrix; strides are floats between rows. */
typedef struct nft_token_attention {
    int64_t queries, keys;    /* rows of q and out; rows of k and v */
    int64_t heads, head_size; /* scores are scaled by 1/√head_size */
    int64_t q_stride, kv_stride, out_stride;
    double dropout;                     /* on the attention weights, in training only */
    uint64_t stream;                    /* of their dropout; that of item i is stream + i */
    nft_buffer scores, score_gradients; /* ITEM: (chunk of queries, keys) */
} nft_token_attention;

/* Reserves the ITEM buffers, as another kind of item than the caller's. */
void nft_token_attention_reserve(nft_builder *builder, nft_token_attention *attention);
int64_t nft_token_attention_flops(const nft_token_attention *attention);

/* out (queries, heads * head_size) = softmax(q kᵀ / √head_size) v in every head. The items are heads times
 * chunks of queries. */
void nft_token_attention_forward(const nft_token_attention *attention, const nft_exec *exec, const float *q,
                                 const float *k, const float *v, float *out);

/* The gradients of q, k and v, laid out like them, from that of out. dk may be dv, where keys are the values:
 * then it gets the sum of both. The items are heads. */
void nft_token_attention_backward(const nft_token_attention *attention, const nft_exec *exec, const float *q,
                                  const float *k, const float *v, const float *grad_out, float *dq, float *dk,
                                  float *dv);

#endif
