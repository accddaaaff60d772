#include "modules/weights/io_embed.h"
#include "modules/weights/features.h"

#include <inttypes.h>
#include <string.h>

static bool is_embedded(const nft_space *space, int64_t tensor)
{
    return nft_ordered_dims(space, &space->tensors[tensor]) != 0;
}

static nft_status allocate(nft_io_embed *embed, const nft_builder *builder)
{
    const nft_space *space = builder->space;
    int64_t count = 0, tensors = 0, capacity = 0, tensor_capacity = 0;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        tensors += is_embedded(space, t);
        for (int64_t d = 0; d < space->tensors[t].rank; d++)
            count += nft_dimension_is_ordered(space, &space->tensors[t], d);
    }
    nft_status status = nft_grow(&embed->embeddings, count, &capacity, sizeof *embed->embeddings,
                                 builder->where, builder->memory_limit);
    if (!status)
        status = nft_grow(&embed->tensors, tensors, &tensor_capacity, sizeof *embed->tensors, builder->where,
                          builder->memory_limit);
    return status;
}

/* The published parameters of a chain begin with that of the columns. */
static int64_t dimension_at(const nft_space *space, const nft_tensor *tensor, int64_t index)
{
    return space->layer_count > 0 ? tensor->rank - 1 - index : index;
}

static void plan_tensor(nft_io_embed *embed, nft_builder *builder, int64_t t, int64_t channels)
{
    const nft_space *space = builder->space;
    const nft_tensor *tensor = &space->tensors[t];
    nft_embedded *of = &embed->tensors[embed->tensor_count++];
    int64_t width = nft_tensor_width(tensor, channels);
    of->tensor = t;
    of->first = embed->count;
    nft_margins_open(&of->added, tensor, width);
    for (int64_t i = 0; i < tensor->rank; i++) {
        int64_t d = dimension_at(space, tensor, i);
        if (!nft_dimension_is_ordered(space, tensor, d))
            continue;
        embed->embeddings[embed->count++] = (nft_embedding){.tensor = t, .dimension = d};
        nft_margins_need(&of->added, NFT_DIM(d));
    }
    of->end = embed->count;
    nft_margins_reserve(&of->added, builder, NFT_ARENA_CALL, NFT_ARENA_CALL);
    of->features = nft_reserve(builder, NFT_ARENA_KEPT, tensor->tokens, width);
}

nft_status nft_io_embed_plan(nft_io_embed *embed, nft_builder *builder, nft_linear_terms *terms)
{
    nft_status status = allocate(embed, builder);
    for (int64_t t = 0; t < builder->space->tensor_count && !status; t++)
        if (is_embedded(builder->space, t)) {
            plan_tensor(embed, builder, t, builder->value.channels);
            terms->tensors[t].embedded = true;
            terms->tensors[t].features = embed->tensors[embed->tensor_count - 1].features;
        }
    return status;
}

/* A chain has the published names and shapes. */
static nft_status declare(nft_embedding *embedding, nft_builder *builder)
{
    const nft_tensor *tensor = &builder->space->tensors[embedding->tensor];
    int64_t width = nft_tensor_width(tensor, builder->value.channels), d = embedding->dimension;
    int64_t size = tensor->sizes[d];
    nft_param *parameter = &embedding->parameter;
    nft_init normal = nft_init_normal(1);
    if (builder->space->layer_count == 0)
        return nft_parameter_add(builder, parameter, true, normal, 2, NFT_SHAPE(width, size),
                                 "embed.%" PRId64 ".%" PRId64, embedding->tensor, d);
    if (tensor->rank == 1)
        return nft_parameter_add(builder, parameter, true, normal, 3, NFT_SHAPE(1, width, size),
                                 "out_bias_embed");
    if (d == 0)
        return nft_parameter_add(builder, parameter, true, normal, 4, NFT_SHAPE(1, width, size, 1),
                                 "out_embed");
    return nft_parameter_add(builder, parameter, true, normal, 4, NFT_SHAPE(1, width, 1, size), "in_embed");
}

nft_status nft_io_embed_declare(nft_io_embed *embed, nft_builder *builder)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < embed->count && !status; i++) {
        nft_embedding *embedding = &embed->embeddings[i];
        status = declare(embedding, builder);
        if (!status)
            status = nft_gradient_add(builder, &embedding->parameter, &embedding->gradient);
    }
    return status;
}

void nft_io_embed_release(nft_io_embed *embed)
{
    nft_release(embed->embeddings);
    nft_release(embed->tensors);
}

/* y (columns, rows) = x (rows, columns) transposed */
static void transpose(int64_t rows, int64_t columns, const float *x, float *y)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++)
            y[column * rows + row] = x[row * columns + column];
}

void nft_io_embed_forward(const nft_io_embed *embed, const nft_exec *exec, int64_t channels, const float *in)
{
    for (int64_t t = 0; t < embed->tensor_count; t++) {
        const nft_embedded *of = &embed->tensors[t];
        const nft_tensor *tensor = of->added.tensor;
        float *y = nft_at(exec, &of->features);
        for (int64_t i = of->first; i < of->end; i++) {
            const nft_embedding *embedding = &embed->embeddings[i];
            transpose(of->added.width, tensor->sizes[embedding->dimension],
                      nft_param_at(exec, &embedding->parameter),
                      nft_margin_at(&of->added, exec, NFT_DIM(embedding->dimension)));
        }
        nft_margins_clear_others(&of->added, exec);
        nft_margins_join(&of->added, exec);
        memcpy(y, in + tensor->offset * channels, (size_t)(tensor->tokens * of->added.width) * sizeof *y);
        nft_margins_spread(&of->added, exec, y);
    }
}

/* An embedding gets the sum over where it was added. */
void nft_io_embed_backward(const nft_io_embed *embed, const nft_exec *exec, int64_t channels,
                           const float *grad_in)
{
    for (int64_t t = 0; t < embed->tensor_count; t++) {
        const nft_embedded *of = &embed->tensors[t];
        const nft_tensor *tensor = of->added.tensor;
        nft_margins_reduce(&of->added, exec, NFT_SUMS, grad_in + tensor->offset * channels);
        for (int64_t i = of->first; i < of->end; i++) {
            const nft_embedding *embedding = &embed->embeddings[i];
            transpose(tensor->sizes[embedding->dimension], of->added.width,
                      nft_margin_at(&of->added, exec, NFT_DIM(embedding->dimension)),
                      nft_at(exec, &embedding->gradient));
        }
    }
}
