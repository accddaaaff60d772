/* A run of nftool fit, and the fitting of its networks batch by batch. */
#ifndef NFT_CLI_FIT_BATCHES_H
#define NFT_CLI_FIT_BATCHES_H

#include "images.h"
#include "nft/inr.h"
#include "omega.h"
#include "options.h"
#include "partial.h"
#include "progress.h"
#include "ranks.h"

/* A run of the command. */
typedef struct fit_job {
    const cli_options *given; /* as rank 0 sees it: the others say nothing */
    cli_options own;
    cli_ranks ranks;
    const char *path;
    cli_images images;
    nft_array *labels;      /* of all images, or NULL */
    nft_space *own_space;   /* or NULL: the space is that of: */
    nft_weights *init;      /* or NULL */
    const nft_space *space; /* of the networks */
    cli_partial partial;
    cli_progress progress;
    char units[80]; /* of the progress */
    nft_inr_fit_options options;
    char omega[OMEGA_CAPACITY];   /* as it is noted */
    char offset[OFFSET_CAPACITY]; /* the same; "": none */
    bool canonical;               /* they are brought to one sign and phase */
    int64_t views;                /* networks for each image */
    int64_t networks;             /* in all */
    float *image;                 /* the one that was read last: */
    int64_t held;                 /* its number among those that are fitted, -1 before the first */
    double psnr_sum;              /* of the networks that are finite */
    int64_t diverged;             /* and how many are not */
    float brightest;              /* of all colours */
} fit_job;

/* Height and width of the image of network `network`. */
void fit_size(const fit_job *j, int64_t network, int64_t size[2]);

/* Fits the networks that are not finished, and keeps them in the partial file. Prints their results, or its
 * failure, and returns the exit status. */
int fit_all(fit_job *j);

#endif
