#include "modules/weights/features.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int64_t nft_rows_count(const nft_space *space)
{
    int64_t items = 0;
    for (int64_t t = 0; t < space->tensor_count; t++)
        items += nft_chunk_count(space->tensors[t].tokens);
    return items;
}

nft_rows nft_rows_at(const nft_space *space, int64_t item)
{
    nft_rows rows = {0};
    int64_t chunks;
    while (item >= (chunks = nft_chunk_count(space->tensors[rows.tensor].tokens))) {
        item -= chunks;
        rows.tensor++;
    }
    nft_chunk(space->tensors[rows.tensor].tokens, item, &rows.first, &rows.count);
    return rows;
}

int64_t nft_tensor_width(const nft_tensor *tensor, int64_t channels)
{
    return nft_size_multiply(tensor->positions, channels);
}

int64_t nft_widest_tensor(const nft_space *space, int64_t channels)
{
    int64_t widest = 0;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        int64_t width = nft_tensor_width(&space->tensors[t], channels);
        widest = width > widest ? width : widest;
    }
    return widest;
}

int64_t nft_longest_chunk(const nft_space *space)
{
    int64_t longest = 0;
    for (int64_t t = 0; t < space->tensor_count; t++)
        longest = space->tensors[t].tokens > longest ? space->tensors[t].tokens : longest;
    return longest < NFT_CHUNK_ROWS ? longest : NFT_CHUNK_ROWS;
}

nft_buffer nft_features_of(const nft_buffer *features, const nft_tensor *tensor, int64_t channels)
{
    int64_t width = nft_tensor_width(tensor, channels);
    return nft_buffer_part(features, nft_size_multiply(tensor->offset, channels), tensor->tokens, width,
                           width);
}

nft_buffer nft_reserve_features(nft_builder *builder, nft_arena arena, int64_t channels)
{
    return nft_reserve(builder, arena, 1, nft_size_multiply(builder->space->numbers, channels));
}

int64_t nft_feature_shape(const nft_space *space, int64_t tensor, int64_t channels,
                          int64_t shape[NFT_ARRAY_MAX_RANK])
{
    const nft_tensor *t = &space->tensors[tensor];
    shape[0] = channels;
    for (int64_t d = 0; d < t->shape_rank; d++)
        shape[1 + d] = t->shape[d];
    return 1 + t->shape_rank;
}

int64_t nft_owner_count(const nft_builder *builder)
{
    return builder->any_space ? NFT_ROLE_COUNT : builder->space->tensor_count;
}

int64_t nft_owner_of(const nft_builder *builder, int64_t tensor)
{
    return builder->any_space ? builder->space->tensors[tensor].role : tensor;
}

int64_t nft_owner_width(const nft_builder *builder, int64_t owner, int64_t channels)
{
    return builder->any_space ? channels : nft_tensor_width(&builder->space->tensors[owner], channels);
}

bool nft_owner_is_bias(const nft_builder *builder, int64_t owner)
{
    return !builder->any_space && builder->whole->layer_count && owner % 2 == 1;
}

void nft_owner_name(char name[NFT_OWNER_NAME], const nft_builder *builder, int64_t owner, const char *weight,
                    const char *bias, const char *plain)
{
    if (builder->any_space)
        snprintf(name, NFT_OWNER_NAME, "%s.%s", plain, nft_role_name(owner));
    else if (builder->whole->layer_count)
        snprintf(name, NFT_OWNER_NAME, "%s.%" PRId64, nft_owner_is_bias(builder, owner) ? bias : weight,
                 owner / 2);
    else
        snprintf(name, NFT_OWNER_NAME, "%s.%" PRId64, plain, owner);
}
