/* Losses between images: the mean squared error over pixels and channels, one of the images rendered by a
 * SIREN. */
#ifndef NFT_TRAIN_IMAGE_LOSS_H
#define NFT_TRAIN_IMAGE_LOSS_H

#include "siren/siren_tape.h"

/* For images of one size, on one thread at a time. */
typedef struct nft_image_loss {
    const nft_space *space; /* borrowed */
    int64_t height, width, colours;
    int64_t numbers; /* of an image: (height, width, colours) */
    nft_siren_tape *tape;
    float *pixels; /* of a chunk */
    float *mean;   /* image of several networks; NULL: there is one */
} nft_image_loss;

/* For networks of the space, whose n_L is the number of colours, `networks` of them for an image.
 * NFT_ERROR_CONFIG unless they are SIRENs. */
nft_status nft_image_loss_create(nft_image_loss **loss, const nft_space *space, int64_t networks, float omega,
                                 int64_t height, int64_t width);
void nft_image_loss_free(nft_image_loss *loss);
/* How much that takes; saturates. */
int64_t nft_image_loss_bytes(const nft_space *space, int64_t networks, int64_t height, int64_t width);

/* The loss "render": of the rendering of `network`, its weights in one piece, against the image `target`.
 * Writes `scale` times the gradient with respect to the weights unless `gradient` is NULL. */
double nft_image_loss_of_network(nft_image_loss *loss, const float *network, const float *target,
                                 double scale, float *gradient);
/* The same of the mean of the renderings of `count` networks that follow each other, and their gradients. */
double nft_image_loss_of_networks(nft_image_loss *loss, int64_t count, const float *networks,
                                  const float *target, double scale, float *gradients);
/* The loss "reconstruction": of `image` against the rendering of `network`; the gradient is the image's. */
double nft_image_loss_of_image(nft_image_loss *loss, const float *image, const float *network, double scale,
                               float *gradient);

#endif
