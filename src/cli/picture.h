/* PNG and JPEG files as bytes of grey or RGB pixels, row after row. Each function prints its failure and
 * returns the exit status. */
#ifndef NFT_CLI_PICTURE_H
#define NFT_CLI_PICTURE_H

#include <stdint.h>

typedef struct picture {
    int64_t height, width;
    int64_t colours; /* 1: grey, 3: red, green, blue */
} picture;

/* An image of 16,384 × 16,384: no larger one is read or drawn. */
#define PICTURE_MOST_PIXELS (INT64_C(1) << 28)

/* Size and colours of a file, from its header. A palette counts as colours.
 * How a camera was held is not looked at. */
int picture_measure(picture *about, const char *path);
/* Reads pixels in the format `wanted`, which has the size of the file. Grey becomes RGB if that is wanted, 16
 * bits become 8, and transparent pixels are laid over black. */
int picture_read(const picture *wanted, const char *path, unsigned char *pixels);
/* Writes a PNG file, replaced as a whole or not at all. */
int picture_save(const picture *about, const char *path, const unsigned char *pixels);

#endif
