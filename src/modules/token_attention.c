#include "modules/token_attention.h"
#include "modules/tokens.h"

#include <math.h>

typedef struct attention_call {
    const nft_token_attention *attention;
    const float *q, *k, *v;
    float *out;
} attention_call;

int64_t nft_token_attention_scratch(const nft_token_attention *attention)
{
    return nft_size_multiply(nft_chunk_rows(attention->queries), attention->keys);
}

int64_t nft_token_attention_flops(const nft_token_attention *attention)
{
    int64_t width = nft_size_multiply(attention->heads, attention->head_size);
    return nft_size_multiply(2, nft_product_flops(attention->queries, attention->keys, width));
}

static void attend(void *argument, int64_t item, float *scores)
{
    const attention_call *call = argument;
    const nft_token_attention *a = call->attention;
    int64_t chunks = nft_chunk_count(a->queries), column = item / chunks * a->head_size;
    int64_t first, count;
    nft_chunk(a->queries, item % chunks, &first, &count);
    nft_gemm_nt(count, a->keys, a->head_size, 1, call->q + first * a->q_stride + column, a->q_stride,
                call->k + column, a->kv_stride, 0, scores, a->keys);
    float scale = (float)(1 / sqrt((double)a->head_size));
    nft_vector()->softmax(count, a->keys, scale, scores, a->keys);
    nft_gemm_nn(count, a->head_size, a->keys, 1, scores, a->keys, call->v + column, a->kv_stride, 0,
                call->out + first * a->out_stride + column, a->out_stride);
}

void nft_token_attention_forward(const nft_token_attention *attention, const nft_exec *exec, const float *q,
                                 const float *k, const float *v, float *out)
{
    attention_call call = {attention, q, k, v, out};
    nft_exec_for(exec, attention->heads * nft_chunk_count(attention->queries), attend, &call);
}
