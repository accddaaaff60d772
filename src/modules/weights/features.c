#include "modules/weights/features.h"

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

int64_t nft_feature_shape(const nft_space *space, int64_t tensor, int64_t channels,
                          int64_t shape[NFT_ARRAY_MAX_RANK])
{
    const nft_tensor *t = &space->tensors[tensor];
    const nft_layer *layer = &space->layers[t->layer];
    shape[0] = channels;
    shape[1] = t->rows;
    if (t->bias)
        return 2;
    bool conv = layer->type == NFT_LAYER_CONV2D;
    shape[2] = conv ? t->columns : nft_size_multiply(t->columns, t->positions);
    shape[3] = layer->kernel_height;
    shape[4] = layer->kernel_width;
    return conv ? 5 : 3;
}
