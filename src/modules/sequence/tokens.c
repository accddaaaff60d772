#include "modules/sequence/tokens.h"

#include "math/gradients.h"

#include <inttypes.h>
#include <string.h>

nft_status nft_require_rows(const nft_builder *builder, int64_t *rows)
{
    if (builder->value.kind == NFT_VALUE_FEATURES)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: takes tokens or a vector, but features arrive; put flatten_weights or a pooling "
                        "module before it",
                        builder->where);
    *rows = builder->value.kind == NFT_VALUE_TOKENS ? builder->value.tokens : 1;
    return NFT_OK;
}

nft_status nft_require_flat_space(const nft_builder *builder)
{
    if (!builder->space)
        return nft_fail(NFT_ERROR_CONFIG, "%s: needs the model's space, but this model has tokens as input",
                        builder->where);
    return nft_require_one_position(builder);
}

nft_status nft_dropout_option(const nft_builder *builder, nft_options *options, double *dropout)
{
    nft_status status = nft_options_number(options, "dropout", false, 0, 1, dropout);
    if (!status && *dropout >= 1)
        return nft_fail(NFT_ERROR_CONFIG, "%s: 'dropout' must be below 1, found %g", builder->where,
                        *dropout);
    return status;
}

int64_t nft_chunk_rows(int64_t rows)
{
    return rows < NFT_CHUNK_ROWS ? rows : NFT_CHUNK_ROWS;
}

nft_buffer nft_call_place(const nft_buffer *kept)
{
    nft_buffer place = *kept;
    place.arena = NFT_ARENA_CALL;
    place.offset = kept->call_offset;
    return place;
}

nft_status nft_norm_add(nft_builder *builder, nft_norm *norm, int64_t channels, const char *prefix,
                        const char *name)
{
    norm->channels = channels;
    const int64_t *shape = NFT_SHAPE(channels);
    nft_status status;
    if ((status = nft_parameter_add(builder, &norm->weight, true, nft_init_constant(1), 1, shape,
                                    "%s%sweight", prefix, name)) ||
        (status = nft_gradient_add(builder, &norm->weight, &norm->weight_gradient)) ||
        (status = nft_parameter_add(builder, &norm->bias, true, nft_init_constant(0), 1, shape, "%s%sbias",
                                    prefix, name)))
        return status;
    return nft_gradient_add(builder, &norm->bias, &norm->bias_gradient);
}

void nft_norm_rows(const nft_exec *exec, const nft_norm *norm, int64_t rows, const float *x, float *y)
{
    nft_vector()->layer_norm(rows, norm->channels, nft_param_at(exec, &norm->weight),
                             nft_param_at(exec, &norm->bias), x, norm->channels, y, norm->channels);
}

void nft_norm_rows_back(const nft_exec *exec, const nft_norm *norm, int64_t rows, const float *x,
                        const float *dy, float *dx)
{
    int64_t n = norm->channels;
    float *weight = nft_at(exec, &norm->weight_gradient), *bias = nft_at(exec, &norm->bias_gradient);
    memset(weight, 0, (size_t)n * sizeof *weight);
    memset(bias, 0, (size_t)n * sizeof *bias);
    nft_vector_gradients()->layer_norm(rows, n, nft_param_at(exec, &norm->weight), x, n, dy, n, dx, n, weight,
                                       bias);
}
