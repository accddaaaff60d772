#define _XOPEN_SOURCE 700
#include "picture.h"

#include "jpeg.h"
#include "neighbour.h"
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Opens a file and reads its header. On success png_image_free() is due. */
static int begin(png_image *image, const char *path)
{
    *image = (png_image){.version = PNG_IMAGE_VERSION};
    struct stat about;
    if (stat(path, &about))
        return fail("%s: cannot open: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return fail("%s: is not a regular file", path);
    if (!png_image_begin_read_from_file(image, path))
        return fail("%s: is no PNG file that can be read: %s", path, image->message);
    if ((int64_t)image->width * (int64_t)image->height <= PICTURE_MOST_PIXELS)
        return EXIT_SUCCESS;
    png_image_free(image);
    return fail("%s: has more than %" PRId64 " pixels", path, PICTURE_MOST_PIXELS);
}

static bool holds_jpeg(const char *path)
{
    unsigned char bytes[3];
    struct stat about;
    FILE *file = stat(path, &about) || !S_ISREG(about.st_mode) ? NULL : fopen(path, "rb");
    size_t count = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (file)
        fclose(file);
    return is_jpeg(bytes, count);
}

static int measure_jpeg(picture *about, const char *path)
{
    int failed = jpeg_measure(about, path);
    if (!failed && about->height * about->width > PICTURE_MOST_PIXELS)
        failed = fail("%s: has more than %" PRId64 " pixels", path, PICTURE_MOST_PIXELS);
    return failed;
}

int picture_measure(picture *about, const char *path)
{
    png_image image;
    if (holds_jpeg(path))
        return measure_jpeg(about, path);
    int failed = begin(&image, path);
    if (failed)
        return failed;
    *about = (picture){.height = image.height,
                       .width = image.width,
                       .colours = image.format & PNG_FORMAT_FLAG_COLOR ? 3 : 1};
    png_image_free(&image);
    return EXIT_SUCCESS;
}

int picture_read(const picture *wanted, const char *path, unsigned char *pixels)
{
    const png_color black = {0, 0, 0};
    png_image image;
    if (holds_jpeg(path))
        return jpeg_read(wanted, path, pixels);
    int failed = begin(&image, path);
    if (failed)
        return failed;
    if (image.height != wanted->height || image.width != wanted->width)
        failed = fail("%s: is %u × %u pixels, the images before it are %" PRId64 " × %" PRId64, path,
                      image.height, image.width, wanted->height, wanted->width);
    image.flags |=
        PNG_IMAGE_FLAG_16BIT_sRGB; /* without a gamma in the file, 16 bits are sRGB as 8 bits are */
    image.format = wanted->colours == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    if (!failed && !png_image_finish_read(&image, &black, pixels, 0, NULL))
        failed = fail("%s: is damaged: %s", path, image.message);
    png_image_free(&image);
    return failed;
}

int picture_save(const picture *about, const char *path, const unsigned char *pixels)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)about->width,
                       .height = (png_uint_32)about->height,
                       .format = about->colours == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    cli_neighbour file;
    int failed = neighbour_begin(&file, path);
    if (!failed && !png_image_write_to_stdio(&image, file.stream, 0, pixels, 0, NULL))
        failed = fail("%s: cannot write: %s", path, image.message);
    return neighbour_finish(&file, failed);
}
