/* The data set of a complete fit. */
#ifndef NFT_CLI_DATA_SET_H
#define NFT_CLI_DATA_SET_H

#include "images.h"
#include "partial.h"

/* The images that the networks are of, in order. */
typedef struct fitted_images {
    int64_t first;           /* the number of the first */
    int64_t views;           /* networks of each */
    const nft_array *labels; /* of all images from number 0 on; or NULL */
    const char *omega;       /* of the networks, as it is noted */
    const char *offset;      /* of their output; "": none */
    const cli_images *images;
    const char *size;     /* "height,width,colours" */
    const char *settings; /* JSON: steps, lr, schedule */
    bool canonical;       /* they are in canonical form */
    bool numbered;        /* each network is told the number of its image */
} fitted_images;

/* Writes the networks, `label` if there are labels, if they are numbered `image`, and of images of
 * several sizes `image_size`. In pieces: the data set need not fit in memory. Prints failures and returns the
 * exit status. */
int save_data_set(const char *path, const cli_partial *partial, const fitted_images *images);

#endif
