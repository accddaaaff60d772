/* SIRENs with images that a loss compares them with. */
#ifndef NFT_TEST_IMAGE_NETWORKS_H
#define NFT_TEST_IMAGE_NETWORKS_H

#include "nft/inr.h"
#include "unit/training.h"

#define LOSS(name, more)                                                                                     \
    "{'loss': '" name "', " ADAMW ", 'batch_size': 4, 'steps': 4, 'validate_every': 2" more "}"
#define HEIGHT 9
#define WIDTH 7
#define PIXELS (HEIGHT * WIDTH)

/* SIRENs of the models' space, and images for them. */
static inline nft_weights *make_networks(const nft_model *model, int64_t count, uint64_t seed)
{
    nft_weights *set = NULL;
    assert_ok(nft_weights_create(&set, nft_model_describe(model)->space, count, 1, NULL));
    assert_ok(nft_inr_init(set, seed, 0, 0));
    return set;
}

static inline void set_images(nft_weights *set, int64_t rank, const int64_t *shape)
{
    nft_array *images = NULL;
    nft_random random = {4, 4};
    int64_t count = 1;
    for (int64_t i = 0; i < rank; i++)
        count *= shape[i];
    float *values = support_allocate((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = 2 * nft_random_uniform(&random, (uint64_t)i) - 1;
    assert_ok(nft_array_create(&images, NFT_ARRAY_F32, shape, rank, values));
    assert_ok(nft_weights_set_extra(set, "target", images));
    nft_array_free(images);
    free(values);
}

static inline void set_targets(nft_weights *set, int64_t height, int64_t width)
{
    set_images(set, 4, (int64_t[]){nft_weights_count(set), height, width, 1});
}

/* ---- one image ---- */

#endif
