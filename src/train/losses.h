/* Losses of one sample's output. A batch's loss is the mean over its samples. */
#ifndef NFT_TRAIN_LOSSES_H
#define NFT_TRAIN_LOSSES_H

#include <stdbool.h>
#include <stdint.h>

#define NFT_LOSS_COUNT 3

typedef struct nft_loss {
    const char *name;
    bool classes;       /* the target is one int64_t, a class; else as many floats as the output has */
    float least, most;  /* of float targets */
    const char *advice; /* when a loss is not finite */
    /* The loss of `output`, n numbers. Writes `scale` times its gradient unless `gradient` is NULL. */
    double (*sample)(int64_t n, const float *output, const void *target, double scale, float *gradient);
} nft_loss;

extern const nft_loss nft_losses[NFT_LOSS_COUNT];
extern const char *const nft_loss_names[NFT_LOSS_COUNT];

#endif
