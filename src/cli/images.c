#include "images.h"

#include "jpeg.h"
#include "nft/file.h"
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Some kilobytes can announce and hold any number of zeros, compressed. Memory at a time therefore has
 * limits, among them 22 million pixels of three colours. */
#define IMAGE_MOST_NUMBERS (INT64_C(1) << 26)
#define LABELS_MOST (INT64_C(1) << 24)

typedef enum file_kind { FILE_IDX, FILE_PICTURE, FILE_SAFETENSORS } file_kind;

typedef struct head {
    unsigned char bytes[8];
    size_t count;
} head;

/* The first bytes of a file; false, with errno, if it cannot be opened. */
static bool read_head(head *first, const char *path)
{
    FILE *file = fopen(path, "rb");
    *first = (head){{0}, 0};
    if (!file)
        return false;
    first->count = fread(first->bytes, 1, sizeof first->bytes, file);
    fclose(file);
    return true;
}

/* By the first bytes. An IDX file is two zeros, a type, the rank and the first size, the highest byte first;
 * or it is gzipped, by deflate. A safetensors file begins with the length of its header, the lowest byte
 * first: below 16 MiB none looks like IDX, and only one of 559,903 bytes like gzip. */
static file_kind kind_of(const head *first)
{
    const unsigned char *bytes = first->bytes;
    if ((first->count >= 4 && !memcmp(bytes, "\x89PNG", 4)) || is_jpeg(bytes, first->count))
        return FILE_PICTURE;
    bool gzip = first->count >= 3 && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8 && bytes[3] < 32;
    return gzip || (first->count >= 4 && !bytes[0] && !bytes[1] && bytes[2] && bytes[3]) ? FILE_IDX
                                                                                         : FILE_SAFETENSORS;
}

static int find_kind(file_kind *kind, const char *path)
{
    struct stat about;
    head first;
    if (stat(path, &about))
        return fail("%s: cannot open: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return fail("%s: is %s, expected a file", path,
                    S_ISDIR(about.st_mode) ? "a folder" : "not a regular file");
    if (!read_head(&first, path))
        return fail("%s: cannot open: %s", path, strerror(errno));
    *kind = kind_of(&first);
    uint64_t header = 0;
    for (int i = 7; i >= 0; i--)
        header = header << 8 | first.bytes[i];
    if (*kind == FILE_SAFETENSORS && (first.count < sizeof first.bytes || header > (uint64_t)about.st_size))
        return fail("%s: is neither an IDX file, nor PNG, JPEG or safetensors", path);
    return EXIT_SUCCESS;
}

bool holds_pixels(const char *path)
{
    struct stat about;
    head first;
    return !stat(path, &about) && S_ISREG(about.st_mode) && read_head(&first, path) &&
           kind_of(&first) != FILE_SAFETENSORS;
}

static int open_idx(cli_images *images)
{
    if (!idx_open(&images->idx, images->paths[0]))
        return fail("%s", images->idx.message);
    const idx_file *idx = &images->idx;
    if (idx->type != IDX_U8 || idx->rank < 3)
        return fail(
            "%s: holds %s in %d dimension%s, expected bytes, (N, height, width) or (N, height, width, "
            "colours)",
            images->paths[0], idx->type == IDX_U8 ? "bytes" : "other numbers than bytes", idx->rank,
            idx->rank == 1 ? "" : "s");
    images->count = idx->shape[0];
    images->height = idx->shape[1];
    images->width = idx->shape[2];
    images->colours = idx->rank == 4 ? idx->shape[3] : 1;
    return EXIT_SUCCESS;
}

static int open_pictures(cli_images *images)
{
    int failed = EXIT_SUCCESS;
    images->count = images->path_count;
    images->sizes = calloc((size_t)images->path_count, sizeof *images->sizes);
    if (!images->sizes)
        return fail_memory();
    for (int i = 0; i < images->path_count && !failed; i++) {
        picture *about = &images->sizes[i];
        failed = picture_measure(about, images->paths[i]);
        int64_t pixels = about->height * about->width;
        images->largest = pixels > images->largest ? pixels : images->largest;
        images->colours = about->colours > images->colours ? about->colours : images->colours;
    }
    images->height = images->sizes[0].height;
    images->width = images->sizes[0].width;
    return failed;
}

static int open_safetensors(cli_images *images)
{
    const char *path = images->paths[0];
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    if (nft_file_open(&images->file, path, NULL))
        return fail_library();
    int64_t tensors = nft_file_tensor_count(images->file), found = 0;
    while (found < tensors && !nft_file_tensor(&info, images->file, found) && strcmp(info.name, "images"))
        found++;
    if (found == tensors)
        return fail("%s: there is no tensor 'images'", path);
    if (info.rank != 4)
        return fail("%s: its 'images' have rank %" PRId64 ", expected (N, height, width, colours)", path,
                    info.rank);
    images->count = info.shape[0];
    images->height = info.shape[1];
    images->width = info.shape[2];
    images->colours = info.shape[3];
    return EXIT_SUCCESS;
}

static int open_all(cli_images *images)
{
    file_kind kind = FILE_PICTURE;
    int failed = EXIT_SUCCESS;
    for (int i = images->path_count - 1; i >= 0 && !failed; i--) {
        failed = find_kind(&kind, images->paths[i]);
        if (!failed && kind != FILE_PICTURE && images->path_count > 1)
            failed =
                fail("%s: is neither PNG nor JPEG; of other files only one can be given", images->paths[i]);
    }
    if (failed)
        return failed;
    return kind == FILE_PICTURE ? open_pictures(images)
           : kind == FILE_IDX   ? open_idx(images)
                                : open_safetensors(images);
}

void image_size(const cli_images *images, int64_t number, int64_t size[2])
{
    size[0] = images->sizes ? images->sizes[number].height : images->height;
    size[1] = images->sizes ? images->sizes[number].width : images->width;
}

int open_images(cli_images *images, char **paths, int path_count)
{
    *images = (cli_images){.paths = paths, .path_count = path_count};
    int failed = open_all(images);
    if (!failed && images->count == 0)
        failed = fail("%s: holds no images", paths[0]);
    if (!failed && (!images->height || !images->width || !images->colours))
        failed = fail("%s: its images have no pixels", paths[0]);
    for (int i = 0; i < path_count && !failed; i++) {
        int64_t size[2];
        image_size(images, i, size);
        if (size[0] > IMAGE_MOST_NUMBERS / size[1] / images->colours)
            failed = fail("%s: an image is %" PRId64 " × %" PRId64 " pixels of %" PRId64
                          " numbers, expected at most %" PRId64 " numbers in all",
                          paths[i], size[0], size[1], images->colours, IMAGE_MOST_NUMBERS);
    }
    if (!failed && !images->sizes)
        images->largest = images->height * images->width;
    return failed;
}

int choose_images(cli_images *images, int64_t first, int64_t count)
{
    images->first = first;
    images->count = count;
    images->several_sizes = false;
    for (int64_t i = first; images->sizes && i < first + count; i++)
        images->several_sizes = images->several_sizes ||
                                images->sizes[i].height != images->sizes[first].height ||
                                images->sizes[i].width != images->sizes[first].width;
    return skip_images(images, first);
}

/* After `next` has changed. */
static void set_size(cli_images *images)
{
    if (!images->sizes || images->next >= images->path_count)
        return;
    images->height = images->sizes[images->next].height;
    images->width = images->sizes[images->next].width;
}

static int64_t numbers_of(const cli_images *images)
{
    return images->height * images->width * images->colours;
}

/* Of a byte, (p / 255 - ½) / ½. */
static float colour(double byte)
{
    return (float)((byte / 255 - 0.5) / 0.5);
}

static int read_picture(cli_images *images, const char *path, float *values)
{
    picture wanted = {images->height, images->width, images->colours};
    int64_t numbers = numbers_of(images);
    unsigned char *pixels = malloc((size_t)numbers);
    if (!pixels)
        return fail_memory();
    int failed = picture_read(&wanted, path, pixels);
    for (int64_t i = 0; i < numbers && !failed; i++)
        values[i] = colour(pixels[i]);
    free(pixels);
    return failed;
}

static int convert_array(const cli_images *images, const nft_array *array, float *values)
{
    const float *floats = nft_array_f32(array);
    const int64_t *integers = nft_array_i64(array);
    for (int64_t i = 0; i < nft_array_count(array); i++) {
        double byte = floats ? (double)floats[i] : (double)integers[i];
        if (!(byte >= 0 && byte <= 255))
            return fail("%s: image %" PRId64 " has the value %g, expected 0 … 255", images->paths[0],
                        images->next + i / numbers_of(images), byte);
        values[i] = colour(byte);
    }
    return EXIT_SUCCESS;
}

static int read_file(const cli_images *images, int64_t count, float *values)
{
    nft_array *array = NULL;
    if (nft_file_read(&array, images->file, "images", images->next, count))
        return fail_library();
    int failed = convert_array(images, array, values);
    nft_array_free(array);
    return failed;
}

static int read_idx(cli_images *images, int64_t count, float *values)
{
    int64_t numbers = numbers_of(images);
    double *bytes = malloc((size_t)numbers * sizeof *bytes);
    bool read = bytes != NULL;
    for (int64_t n = 0; n < count && read; n++) {
        read = idx_read(&images->idx, 1, bytes);
        for (int64_t i = 0; i < numbers && read; i++)
            values[n * numbers + i] = colour(bytes[i]);
    }
    int failed = read ? EXIT_SUCCESS : bytes ? fail("%s", images->idx.message) : fail_memory();
    free(bytes);
    return failed;
}

int read_images(cli_images *images, int64_t count, float *values)
{
    int failed = EXIT_SUCCESS;
    int64_t numbers = numbers_of(images);
    if (images->file)
        failed = read_file(images, count, values);
    else if (images->idx.stream)
        failed = read_idx(images, count, values);
    else
        for (int64_t n = 0; n < count && !failed; n++)
            failed = read_picture(images, images->paths[images->next + n], values + n * numbers);
    images->next += count;
    set_size(images);
    return failed;
}

int skip_images(cli_images *images, int64_t count)
{
    images->next += count;
    set_size(images);
    return !images->idx.stream || idx_skip(&images->idx, count) ? EXIT_SUCCESS
                                                                : fail("%s", images->idx.message);
}

void close_images(cli_images *images)
{
    idx_close(&images->idx);
    nft_file_free(images->file);
    free(images->sizes);
    images->file = NULL;
    images->sizes = NULL;
}

static int make_labels(nft_array **labels, const idx_file *idx, const double *numbers)
{
    int64_t count = idx->shape[0];
    bool floats = idx->type == IDX_F32 || idx->type == IDX_F64;
    void *data = calloc((size_t)count, sizeof(int64_t));
    if (!data)
        return fail_memory();
    for (int64_t i = 0; i < count; i++) {
        if (floats)
            ((float *)data)[i] = (float)numbers[i];
        else
            ((int64_t *)data)[i] = (int64_t)numbers[i];
    }
    nft_status status = nft_array_create(labels, floats ? NFT_ARRAY_F32 : NFT_ARRAY_I64, &count, 1, data);
    free(data);
    return status ? fail_library() : EXIT_SUCCESS;
}

static int load_idx_labels(nft_array **labels, const char *path, int64_t count)
{
    idx_file idx;
    if (count > LABELS_MOST)
        return fail("%s: labels of %" PRId64 " images are asked for, expected at most %" PRId64, path, count,
                    LABELS_MOST);
    if (!idx_open(&idx, path))
        return fail("%s", idx.message);
    int failed = EXIT_SUCCESS;
    double *numbers = NULL;
    if (idx.rank != 1 || idx.shape[0] != count)
        failed = fail("%s: has %" PRId64 " entries in %d dimension%s, expected a label for each of %" PRId64
                      " images",
                      path, idx.shape[0], idx.rank, idx.rank == 1 ? "" : "s", count);
    else if (!(numbers = malloc((size_t)count * sizeof *numbers)))
        failed = fail_memory();
    else if (!idx_read(&idx, count, numbers))
        failed = fail("%s", idx.message);
    if (!failed)
        failed = make_labels(labels, &idx, numbers);
    free(numbers);
    idx_close(&idx);
    return failed;
}

int load_labels(nft_array **labels, const char *path, int64_t count)
{
    file_kind kind = FILE_PICTURE;
    nft_file *file = NULL;
    int failed = find_kind(&kind, path);
    if (failed)
        return failed;
    if (kind == FILE_IDX)
        return load_idx_labels(labels, path, count);
    nft_status status = nft_file_open(&file, path, NULL);
    if (!status)
        status = nft_file_read(labels, file, "label", 0, NFT_ALL);
    nft_file_free(file);
    if (status)
        return fail_library();
    if (nft_array_rank(*labels) < 1 || nft_array_size(*labels, 0) != count)
        return fail("%s: has %" PRId64 " labels for %" PRId64 " images", path, nft_array_size(*labels, 0),
                    count);
    return EXIT_SUCCESS;
}
