/* JPEG files, as picture.h has PNG files. Each function prints its failure and returns the exit status. A
 * program without libjpeg refuses them. */
#ifndef NFT_CLI_JPEG_H
#define NFT_CLI_JPEG_H

#include "picture.h"

#include <stdbool.h>
#include <stddef.h>

/* By its first bytes. */
bool is_jpeg(const unsigned char *bytes, size_t count);
int jpeg_measure(picture *about, const char *path);
/* `wanted` has the size of the file. */
int jpeg_read(const picture *wanted, const char *path, unsigned char *pixels);

#endif
