#define _POSIX_C_SOURCE 200809L
#include "image_source.h"

#include "nft/file.h"
#include "nft/inr.h"
#include "nft/train.h"
#include "omega.h"
#include "report.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_SIZE 28

/* The colon of FILE:NAME; NULL if the whole is a file's name, with or without a colon in it. */
static const char *find_colon(const char *operand)
{
    struct stat about;
    const char *colon = strrchr(operand, ':');
    return colon && colon > operand && colon[1] && stat(operand, &about) ? colon : NULL;
}

/* A tensor `output`, and no layers. */
static bool has_images(const char *path)
{
    nft_file *file = NULL;
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    bool output = false, layers = false;
    if (nft_file_open(&file, path, NULL))
        return false;
    for (int64_t i = 0; i < nft_file_tensor_count(file); i++)
        if (!nft_file_tensor(&info, file, i)) {
            output = output || !strcmp(info.name, "output");
            layers = layers || text_ends_with(info.name, ".weight");
        }
    nft_file_free(file);
    return output && !layers;
}

/* ω and the offset of all networks. */
static int choose_form(cli_input *input, const cli_options *given)
{
    cli_omega omega;
    const char *noted = nft_dataset_metadata(input->dataset, 0, OMEGA_KEY);
    int failed = choose_omega(&omega, input->path, noted, given);
    if (!failed)
        failed = check_omega(input->path, input->dataset, &omega, "its other parts have");
    if (!failed)
        failed = choose_offset(input->offset, input->path,
                               nft_dataset_metadata(input->dataset, 0, OFFSET_KEY), given);
    write_omega(input->omega, &omega, 17);
    return failed;
}

/* With --prepare: the networks of every part are brought to one ω and offset, those that are given or the
 * first part's. A part that does not note its ω has the default. */
static int prepare_form(cli_input *input, const cli_options *given)
{
    const char *noted = nft_dataset_metadata(input->dataset, 0, OMEGA_KEY), *own;
    const char *omega = option_text(given, "omega") ? NULL : noted;
    const char *offset =
        option_text(given, "offset") ? NULL : nft_dataset_metadata(input->dataset, 0, OFFSET_KEY);
    cli_omega to;
    int failed = choose_omega(&to, input->path, omega, given);
    if (!failed)
        failed = choose_offset(input->offset, input->path, offset, given);
    write_omega(input->omega, &to, 17);
    for (int64_t part = 0; part < nft_dataset_describe(input->dataset)->part_count && !failed; part++) {
        cli_omega from = plain_omega(DEFAULT_OMEGA);
        own = nft_dataset_metadata(input->dataset, part, OMEGA_KEY);
        failed = own ? parse_omega(&from, input->path, own) : EXIT_SUCCESS;
        input->scale = input->scale || !same_omega(&from, &to);
    }
    input->shift = true;
    if (!failed && !input->offset[0])
        snprintf(input->offset, sizeof input->offset, "0");
    return failed;
}

/* "HEIGHT,WIDTH,COLOURS", as nftool fit notes it. */
static void read_fitted_size(image_source *source, const char *text)
{
    char *comma = NULL, *end = NULL;
    int64_t height = text ? strtoll(text, &comma, 10) : 0;
    int64_t width = height > 0 && *comma == ',' ? strtoll(comma + 1, &end, 10) : 0;
    if (width < 1 || *end != ',' || height > PICTURE_MOST_PIXELS / width)
        return;
    source->fitted_height = height;
    source->fitted_width = width;
}

/* For several sizes, the greatest height and the greatest width of the networks that are drawn. */
static int find_largest_size(image_source *source, const cli_options *given)
{
    int64_t first = 0, count = 0;
    nft_array *sizes = NULL;
    int failed = choose_range(&first, &count, given, source->operand, source->networks->count, "network");
    if (!failed)
        failed = read_extra(&sizes, source->networks, "image_size", first, count);
    const int64_t *pairs =
        failed || nft_array_rank(sizes) != 2 || nft_array_size(sizes, 1) != 2 ? NULL : nft_array_i64(sizes);
    for (int64_t n = 0; pairs && n < count; n++) {
        bool valid = pairs[2 * n] > 0 && pairs[2 * n + 1] > 0 &&
                     pairs[2 * n] <= PICTURE_MOST_PIXELS / pairs[2 * n + 1];
        int64_t height = valid ? pairs[2 * n] : 0, width = valid ? pairs[2 * n + 1] : 0;
        source->fitted_height = height > source->fitted_height ? height : source->fitted_height;
        source->fitted_width = width > source->fitted_width ? width : source->fitted_width;
    }
    nft_array_free(sizes);
    return failed;
}

static int open_sirens(image_source *source, const cli_options *given)
{
    cli_input *input = malloc(sizeof *input);
    if (!input)
        return fail_memory();
    source->networks = input;
    int failed = open_input(input, NULL, source->operand, given);
    if (!failed && !input->space)
        failed = fail("%s: has networks of several spaces, expected SIRENs of one", source->operand);
    if (!failed)
        failed = option_text(given, "prepare") ? prepare_form(input, given) : choose_form(input, given);
    nft_layer last = {.size = sizeof last};
    if (!failed && nft_space_layer(&last, input->space, nft_space_describe(input->space)->layer_count - 1))
        failed = fail("%s: %s", source->operand, library_message());
    if (!failed)
        read_fitted_size(source, nft_dataset_metadata(input->dataset, 0, "nft.image"));
    if (!failed && has_extra(input, "image_size"))
        failed = find_largest_size(source, given);
    source->count = input->count;
    source->colours = last.out;
    return failed;
}

/* "HEIGHT WIDTH". A number that is too large becomes the largest. */
static bool read_size(const char *text, int64_t *height, int64_t *width)
{
    char *blank = NULL, *end = NULL;
    *height = strtoll(text, &blank, 10);
    if (blank == text || *blank != ' ')
        return false;
    *width = strtoll(blank + 1, &end, 10);
    return end != blank + 1 && !*end;
}

/* The size of a decoder's images, which nftool forward notes. */
static int take_noted_size(image_source *source, const char *tensor)
{
    const char *text = nft_file_metadata(source->file, IMAGE_SIZE_KEY);
    int64_t height = 0, width = 0;
    if (!text || strcmp(tensor, "output"))
        return EXIT_SUCCESS;
    if (!read_size(text, &height, &width) || height < 1 || width < 1 || height > source->numbers / width ||
        source->numbers % (height * width))
        return fail("%s: '" IMAGE_SIZE_KEY
                    "' of its metadata is '%.80s', expected height and width of images "
                    "of %" PRId64 " numbers",
                    source->operand, text, source->numbers);
    source->height = height;
    source->width = width;
    source->colours = source->numbers / (height * width);
    return EXIT_SUCCESS;
}

static int take_shape(image_source *source, const nft_tensor_info *info)
{
    const char *operand = source->operand, *name = source->tensor;
    if (info->rank != 4 && info->rank != 2)
        return fail("%s: tensor '%s' has %" PRId64 " axes, expected images, (N, height, width, colours) or "
                    "as vectors (N, numbers), which 'nftool forward --decode' writes",
                    operand, name, info->rank);
    if (strcmp(info->type, "F32") && strcmp(info->type, "F16") && strcmp(info->type, "F64") &&
        strcmp(info->type, "BF16"))
        return fail("%s: tensor '%s' is %s, expected F32, F16, BF16 or F64 in -1 … 1", operand, name,
                    info->type);
    if (!info->count)
        return fail("%s: tensor '%s' holds no images", operand, name);
    source->count = info->shape[0];
    source->numbers = info->count / info->shape[0];
    if (info->rank == 4) {
        source->height = info->shape[1];
        source->width = info->shape[2];
        source->colours = info->shape[3];
    }
    return info->rank == 2 ? take_noted_size(source, name) : EXIT_SUCCESS;
}

static int open_tensor(image_source *source, const char *path)
{
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    int64_t i = 0;
    if (nft_file_open(&source->file, path, NULL))
        return fail_library();
    while (i < nft_file_tensor_count(source->file) &&
           (nft_file_tensor(&info, source->file, i) || strcmp(info.name, source->tensor)))
        i++;
    if (i == nft_file_tensor_count(source->file))
        return fail("%s: there is no tensor '%s'", path, source->tensor);
    return take_shape(source, &info);
}

/* An IDX or PNG file. */
static int open_pixels(image_source *source, char **operand)
{
    source->pixels = malloc(sizeof *source->pixels);
    if (!source->pixels)
        return fail_memory();
    int failed = open_images(source->pixels, operand, 1);
    source->count = source->pixels->count;
    source->height = source->pixels->height;
    source->width = source->pixels->width;
    source->colours = source->pixels->colours;
    source->numbers = source->height * source->width * source->colours;
    return failed;
}

int open_image_source(image_source *source, char **given_operand, const cli_options *given)
{
    const char *operand = *given_operand;
    *source = (image_source){.operand = operand};
    const char *colon = find_colon(operand);
    bool pixels = holds_pixels(operand);
    if (!pixels && !colon && !has_images(operand))
        return open_sirens(source, given);
    if (pixels)
        return open_pixels(source, given_operand);
    char *path = strdup(operand);
    source->tensor = strdup(colon ? colon + 1 : "output");
    int failed = path && source->tensor ? EXIT_SUCCESS : fail_memory();
    if (!failed && colon)
        path[colon - operand] = 0;
    if (!failed)
        failed = open_tensor(source, path);
    free(path);
    return failed;
}

/* The side of a square image with this number of numbers and colours; 0 if there is none. */
static int64_t square_side(int64_t numbers, int64_t colours)
{
    int64_t side = 1;
    while (side <= numbers / colours / side)
        side++;
    side--;
    return side * side * colours == numbers ? side : 0;
}

/* The colours of vectors. With SIRENs they are the SIRENs', otherwise grey, or red, green and blue. */
static int64_t vector_side(const image_source *vectors, const image_source *sources, int source_count)
{
    for (int i = 0; i < source_count; i++)
        if (sources[i].colours)
            return square_side(vectors->numbers, sources[i].colours);
    int64_t grey = square_side(vectors->numbers, 1);
    return grey ? grey : square_side(vectors->numbers, 3);
}

/* The size that the sources have, 0 if none has one. */
static int find_own_size(const image_source *sources, int source_count, int64_t *height, int64_t *width)
{
    const image_source *vectors = NULL;
    *height = *width = 0;
    for (int i = 0; i < source_count; i++) {
        if (sources[i].height) {
            *height = sources[i].height;
            *width = sources[i].width;
            return EXIT_SUCCESS;
        }
        if (sources[i].numbers && !vectors)
            vectors = &sources[i];
    }
    if (!vectors)
        return EXIT_SUCCESS;
    *height = *width = vector_side(vectors, sources, source_count);
    return *height ? EXIT_SUCCESS
                   : fail("%s: %" PRId64 " numbers are no square image: give --height and --width",
                          vectors->operand, vectors->numbers);
}

/* SIRENs take any size, vectors one of as many pixels, images their own. */
static int set_size(image_source *source, int64_t height, int64_t width)
{
    if (source->height && (source->height != height || source->width != width))
        return fail("%s: its images are %" PRId64 " × %" PRId64 " pixels, not %" PRId64 " × %" PRId64,
                    source->operand, source->height, source->width, height, width);
    if (source->numbers && (height > source->numbers / width || source->numbers % (height * width)))
        return fail("%s: its images have %" PRId64 " numbers, which are not %" PRId64 " × %" PRId64 " pixels",
                    source->operand, source->numbers, height, width);
    source->height = height;
    source->width = width;
    if (source->numbers)
        source->colours = source->numbers / (height * width);
    return EXIT_SUCCESS;
}

static int compare(const image_source *source, const image_source *first)
{
    if (source->colours != first->colours)
        return fail("%s: has %" PRId64 " colours, %s has %" PRId64, source->operand, source->colours,
                    first->operand, first->colours);
    return EXIT_SUCCESS;
}

int settle_image_sizes(image_source *sources, int source_count, int64_t height, int64_t width)
{
    int64_t own_height = 0, own_width = 0;
    int failed = EXIT_SUCCESS;
    if (!height || !width)
        failed = find_own_size(sources, source_count, &own_height, &own_width);
    for (int i = 0; i < source_count && !own_height && !height && !width; i++) {
        own_height = sources[i].fitted_height;
        own_width = sources[i].fitted_width;
    }
    if (!own_height)
        own_height = own_width = height ? height : width ? width : DEFAULT_SIZE;
    for (int i = 0; i < source_count && !failed; i++) {
        failed = set_size(&sources[i], height ? height : own_height, width ? width : own_width);
        if (!failed)
            failed = compare(&sources[i], &sources[0]);
    }
    return failed;
}

static int read_pixels(image_source *source, int64_t first, int64_t count, nft_array **images)
{
    const int64_t shape[] = {count, source->height, source->width, source->colours};
    float *values = malloc((size_t)(count * source->numbers) * sizeof *values);
    if (!values)
        return fail_memory();
    int failed = skip_images(source->pixels, first - source->pixels->next);
    if (!failed)
        failed = read_images(source->pixels, count, values);
    if (!failed && nft_array_create(images, NFT_ARRAY_F32, shape, 4, values))
        failed = fail_library();
    free(values);
    return failed;
}

/* In pieces that end where a part does. */
static int render_networks(image_source *source, int64_t first, int64_t count,
                           const nft_inr_render_options *options, nft_array **images)
{
    const int64_t shape[] = {count, source->height, source->width, source->colours};
    int64_t numbers = source->height * source->width * source->colours;
    float *values = malloc((size_t)(count * numbers) * sizeof *values + 1);
    int failed = values ? EXIT_SUCCESS : fail_memory();
    for (int64_t done = 0; done < count && !failed;) {
        nft_array *piece = NULL;
        int64_t now = count_together(source->networks, first + done, count - done);
        failed = read_input(source->networks, first + done, now);
        if (!failed &&
            nft_inr_render(&piece, source->networks->weights, 0, now, source->height, source->width, options))
            failed = fail("%s: %s", source->operand, library_message());
        if (!failed)
            memcpy(values + done * numbers, nft_array_f32(piece), (size_t)(now * numbers) * sizeof *values);
        nft_array_free(piece);
        done += now;
    }
    if (!failed && nft_array_create(images, NFT_ARRAY_F32, shape, 4, values))
        failed = fail_library();
    free(values);
    return failed;
}

int read_image_source(image_source *source, int64_t first, int64_t count,
                      const nft_inr_render_options *options, nft_array **images)
{
    if (source->pixels)
        return read_pixels(source, first, count, images);
    if (source->file) /* whose messages name it */
        return nft_file_read(images, source->file, source->tensor, first, count) ? fail_library()
                                                                                 : EXIT_SUCCESS;
    return render_networks(source, first, count, options, images);
}

void close_image_source(image_source *source)
{
    if (source->networks)
        close_input(source->networks);
    free(source->networks);
    nft_file_free(source->file);
    free(source->tensor);
    if (source->pixels)
        close_images(source->pixels);
    free(source->pixels);
}
