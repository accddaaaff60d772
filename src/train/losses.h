/* Losses of one sample's output. A batch's loss is the mean over its samples. */
#ifndef NFT_TRAIN_LOSSES_H
#define NFT_TRAIN_LOSSES_H

#include <stdbool.h>
#include <stdint.h>

#define NFT_LOSS_COUNT 5
#define NFT_LOSS_RECONSTRUCTION 3 /* its number */

/* The kind of the target of a sample's output. */
typedef enum nft_target {
    NFT_TARGET_NUMBERS, /* as many floats as the output has */
    NFT_TARGET_CLASS,   /* one int64_t */
    NFT_TARGET_IMAGE,   /* an image, with the rendering of the SIREN that the output is */
    NFT_TARGET_INPUT    /* the rendering of the SIREN that the input is */
} nft_target;

typedef struct nft_loss {
    const char *name;
    nft_target target;
    float least, most;  /* of float targets */
    const char *advice; /* when the loss of finite outputs is not finite; NULL where that cannot be */
    /* The loss of `output`, n numbers. Writes `scale` times its gradient unless `gradient` is NULL. Those of
     * images are image_loss.h's. */
    double (*sample)(int64_t n, const float *output, const void *target, double scale, float *gradient);
} nft_loss;

/* Σ (x - y)²; writes factor · (x - y) unless `gradient`, which may be x, is NULL. */
double nft_squares(int64_t n, const float *x, const float *y, double factor, float *gradient);

extern const nft_loss nft_losses[NFT_LOSS_COUNT];
extern const char *const nft_loss_names[NFT_LOSS_COUNT];

#endif
