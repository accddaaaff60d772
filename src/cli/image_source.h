/* The pictures that nftool render draws: SIRENs, which have no size, or images. Each function prints its
 * failure and returns the exit status. */
#ifndef NFT_CLI_IMAGE_SOURCE_H
#define NFT_CLI_IMAGE_SOURCE_H

#include "images.h"
#include "input.h"
#include "nft/file.h"
#include "nft/inr.h"

/* Metadata of a file of images as vectors: "HEIGHT WIDTH". */
#define IMAGE_SIZE_KEY "nft.image_size"

typedef struct image_source {
    const char *operand;                 /* as the user wrote it */
    cli_input *networks;                 /* SIRENs; or */
    nft_file *file;                      /* with images in a tensor: */
    char *tensor;                        /* its name; or */
    cli_images *pixels;                  /* of an IDX file or a PNG file */
    int64_t count;                       /* N */
    int64_t numbers;                     /* of each image, 0 of SIRENs */
    int64_t height, width;               /* 0 unless the tensor says so, until settle_image_sizes() */
    int64_t fitted_height, fitted_width; /* of the images that SIRENs were fitted to; 0: not known */
    int64_t colours;                     /* 0 of images as vectors, until then */
} image_source;

/* An operand: a weights file; a file whose tensor `output` holds images as vectors, (N, height · width ·
 * colours), as nftool forward --decode writes them; FILE:NAME, a tensor of such vectors or of images (N,
 * height, width, colours), -1 … 1; an IDX file of images, or a PNG file. */
int open_image_source(image_source *source, char **operand, const cli_options *given);
/* Gives all the same size: the given height and width (0: not given), or the images' own, or those that
 * SIRENs were fitted to, or of vectors the square that they can be, or the default. Fails unless all can have
 * it and have as many colours. */
int settle_image_sizes(image_source *sources, int source_count, int64_t height, int64_t width);
/* Images first … first + count - 1, rendered or read, of the settled size: F32, row-major (count, height,
 * width, colours). No image is read twice: `first` never goes back. */
int read_image_source(image_source *source, int64_t first, int64_t count,
                      const nft_inr_render_options *options, nft_array **images);
void close_image_source(image_source *source);

#endif
