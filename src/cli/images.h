/* The images that SIRENs are fitted to: an IDX file, PNG files, or a safetensors file; and labels for them.
 * Each function prints its failure and returns the exit status. */
#ifndef NFT_CLI_IMAGES_H
#define NFT_CLI_IMAGES_H

#include "idx.h"
#include "picture.h"

#include <nft/file.h>
#include <nft/nft.h>
#include <stdbool.h>

/* Images, read in order; of one size unless they are pictures. */
typedef struct cli_images {
    int64_t first, count;  /* of all that are there: those that are read */
    int64_t height, width; /* of the image that comes next */
    int64_t largest;       /* pixels of an image at most */
    bool several_sizes;    /* among those that were chosen */
    picture *sizes;        /* of each picture; NULL: all images have one size */
    int64_t colours;       /* of PNG files 1 if all are grey, else 3 */
    char **paths;
    int path_count;
    int64_t next;   /* the image that comes next */
    idx_file idx;   /* open unless stream is NULL; or */
    nft_file *file; /* a safetensors file, NULL: the paths are PNG files */
} cli_images;

/* Whether a file is IDX or PNG, by its first bytes; one that cannot be read is neither. */
bool holds_pixels(const char *path);
int open_images(cli_images *images, char **paths, int path_count);
/* Leaves images first … first + count - 1 of those that are there. */
int choose_images(cli_images *images, int64_t first, int64_t count);
/* The next images, of one size, colours in -1 … 1: (count, height, width, colours). */
int read_images(cli_images *images, int64_t count, float *values);
int skip_images(cli_images *images, int64_t count);
/* Height and width of an image, counted among all that are there. */
void image_size(const cli_images *images, int64_t number, int64_t size[2]);
void close_images(cli_images *images);

/* One label for each of `count` images: an IDX file, or the tensor `label` of a safetensors file. */
int load_labels(nft_array **labels, const char *path, int64_t count);

#endif
