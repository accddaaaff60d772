/* A small weight set whose numbers all differ. Included after cmocka.h and checks.h. */
#ifndef NFT_TESTS_NUMBERED_WEIGHTS_H
#define NFT_TESTS_NUMBERED_WEIGHTS_H

#include "space/weights.h"

/* A convolution, a linear layer that reads 4 positions of its 3 channels, a linear layer. */
static inline nft_space *cnn(void)
{
    const nft_layer layers[] = {NFT_LAYER_INIT_CONV2D(2, 3, 2, 1), NFT_LAYER_INIT_FLATTENED(3, 5, 4),
                                NFT_LAYER_INIT_LINEAR(5, 2)};
    nft_space *space = NULL;
    assert_ok(nft_space_create_chain(&space, layers, 3));
    return space;
}

/* Every number of a set is another one. */
static inline nft_weights *numbered(int64_t count, int64_t channels)
{
    nft_space *space = cnn();
    nft_weights *weights = NULL;
    assert_ok(nft_weights_create(&weights, space, count, channels, NULL));
    nft_space_free(space);
    float next = 1;
    for (int64_t t = 0; t < 6; t++)
        for (int64_t k = 0; k < nft_weights_data_count(weights, t); k++)
            nft_weights_edit(weights, t)[k] = next++;
    return weights;
}

static inline void assert_same_data(const nft_weights *a, const nft_weights *b)
{
    assert_true(nft_space_equal(a->space, b->space));
    assert_int_equal(nft_weights_count(a), nft_weights_count(b));
    assert_int_equal(nft_weights_channels(a), nft_weights_channels(b));
    for (int64_t t = 0; t < a->space->tensor_count; t++)
        assert_memory_equal(nft_weights_data(a, t), nft_weights_data(b, t),
                            (size_t)nft_weights_data_count(a, t) * sizeof(float));
}
#endif
