#include "modules/sequence/token_attention.h"

#include "math/gradients.h"
#include "modules/sequence/tokens.h"

#include <math.h>

typedef struct attention_call {
    const nft_token_attention *attention;
    const nft_exec *exec;
    const float *q, *k, *v;
    float *out;
} attention_call;

void nft_token_attention_reserve(nft_builder *builder, nft_token_attention *attention)
{
    int64_t rows = nft_chunk_rows(attention->queries);
    nft_begin_items(builder);
    attention->scores = nft_reserve(builder, NFT_ARENA_ITEM, rows, attention->keys);
    attention->score_gradients = nft_reserve(builder, NFT_ARENA_ITEM, rows, attention->keys);
}

int64_t nft_token_attention_flops(const nft_token_attention *attention)
{
    int64_t width = nft_size_multiply(attention->heads, attention->head_size);
    return nft_size_multiply(2, nft_product_flops(attention->queries, attention->keys, width));
}

static float score_scale(const nft_token_attention *attention)
{
    return (float)(1 / sqrt((double)attention->head_size));
}

/* softmax(q kᵀ / √head_size) of `count` queries of one head. */
static void attention_weights(const nft_token_attention *a, int64_t count, const float *q, const float *k,
                              float *scores)
{
    nft_multiply(NFT_NT, count, a->keys, a->head_size, q, a->q_stride, k, a->kv_stride, false, scores,
                 a->keys);
    nft_vector()->softmax(count, a->keys, score_scale(a), scores, a->keys);
}

static void attend(void *argument, int64_t item, float *memory)
{
    const attention_call *call = argument;
    const nft_token_attention *a = call->attention;
    float *scores = nft_in_item(memory, &a->scores);
    int64_t chunks = nft_chunk_count(a->queries), column = item / chunks * a->head_size;
    int64_t first, count;
    nft_chunk(a->queries, item % chunks, &first, &count);
    attention_weights(a, count, call->q + first * a->q_stride + column, call->k + column, scores);
    nft_drop(call->exec, a->stream + (uint64_t)item, a->dropout, count * a->keys, scores, scores);
    nft_multiply(NFT_NN, count, a->head_size, a->keys, scores, a->keys, call->v + column, a->kv_stride, false,
                 call->out + first * a->out_stride + column, a->out_stride);
}

void nft_token_attention_forward(const nft_token_attention *attention, const nft_exec *exec, const float *q,
                                 const float *k, const float *v, float *out)
{
    attention_call call = {attention, exec, q, k, v, out};
    nft_exec_for(exec, attention->heads * nft_chunk_count(attention->queries), attend, &call);
}

typedef struct gradient_call {
    const nft_token_attention *attention;
    const nft_exec *exec;
    const float *q, *k, *v, *grad_out;
    float *dq, *dk, *dv;
} gradient_call;

/* One head. With P the weights before dropout and P' after, dV = P'ᵀ dO, dP' = dO Vᵀ, and dQ, dK through the
 * softmax. Chunks of queries follow each other, so dK and dV are summed in their order. */
static void attend_back(void *argument, int64_t head, float *memory)
{
    const gradient_call *call = argument;
    const nft_token_attention *a = call->attention;
    int64_t n = a->keys, size = a->head_size, column = head * size, chunks = nft_chunk_count(a->queries);
    const float *k = call->k + column, *v = call->v + column;
    float *dk = call->dk + column, *dv = call->dv + column;
    float *p = nft_in_item(memory, &a->scores), *dp = nft_in_item(memory, &a->score_gradients);
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        int64_t first, count;
        nft_chunk(a->queries, chunk, &first, &count);
        const float *q = call->q + first * a->q_stride + column;
        const float *d = call->grad_out + first * a->out_stride + column;
        float *dq = call->dq + first * a->q_stride + column;
        bool after = chunk > 0;
        uint64_t stream = a->stream + (uint64_t)(head * chunks + chunk);
        attention_weights(a, count, q, k, p);
        nft_drop(call->exec, stream, a->dropout, count * n, p, dp);
        nft_multiply(NFT_TN, n, size, count, dp, n, d, a->out_stride, after, dv, a->kv_stride);
        nft_multiply(NFT_NT, count, n, size, d, a->out_stride, v, a->kv_stride, false, dp, n);
        nft_drop(call->exec, stream, a->dropout, count * n, dp, dp);
        nft_vector_gradients()->softmax(count, n, score_scale(a), p, n, dp, n, dp, n);
        nft_multiply(NFT_NN, count, size, n, dp, n, k, a->kv_stride, false, dq, a->q_stride);
        nft_multiply(NFT_TN, n, size, count, dp, n, q, a->q_stride, after || dk == dv, dk, a->kv_stride);
    }
}

void nft_token_attention_backward(const nft_token_attention *attention, const nft_exec *exec, const float *q,
                                  const float *k, const float *v, const float *grad_out, float *dq, float *dk,
                                  float *dv)
{
    gradient_call call = {attention, exec, q, k, v, grad_out, dq, dk, dv};
    nft_exec_for(exec, attention->heads, attend_back, &call);
}
