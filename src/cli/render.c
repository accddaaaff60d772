/* nft render: the images that SIRENs are. */
#include "commands.h"
#include "picture.h"
#include "progress.h"
#include "report.h"
#include "results.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SIZE 28
#define DEFAULT_BATCH 32
#define MAX_SIZE 65536

/* A run of the command. */
typedef struct job {
    const cli_options *given;
    const char *path;
    nft_weights *weights;
    int64_t count, height, width, colours;
    nft_inr_render_options options;
    float *rendered;       /* (count, height, width, colours), for a safetensors file; or */
    unsigned char *pixels; /* of the whole sheet, for a PNG file */
    int64_t columns, rows; /* of the sheet, in images */
} job;

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && !strcmp(text + length - wanted, end);
}

static int64_t size_of(const cli_options *given, const char *name, int64_t fallback)
{
    const char *text = option_text(given, name);
    return text ? strtoll(text, NULL, 10) : fallback;
}

static int read_options(job *j)
{
    const char *omega = option_text(j->given, "omega");
    char *end = NULL;
    j->height = size_of(j->given, "height", size_of(j->given, "width", DEFAULT_SIZE));
    j->width = size_of(j->given, "width", j->height);
    j->options = (nft_inr_render_options)NFT_INR_RENDER_OPTIONS_INIT;
    j->options.threads = j->given->threads;
    if (!omega)
        return EXIT_SUCCESS;
    j->options.omega = strtod(omega, &end);
    if (!*end && isfinite(j->options.omega) && j->options.omega > 0)
        return EXIT_SUCCESS;
    usage_error("render", "--omega is '%s', expected a number above 0", omega);
    return EXIT_USAGE;
}

/* Memory for what comes out. */
static int reserve(job *j)
{
    const nft_space *space = nft_weights_space(j->weights);
    nft_layer last = {.size = sizeof last};
    if (nft_space_layer(space, nft_space_layer_count(space) - 1, &last))
        return fail_library();
    bool floats = ends_with(j->path, ".safetensors");
    j->colours = last.out;
    if (j->count == 0)
        return fail("%s: holds no networks", j->given->operands[0]);
    if (!floats && j->colours != 1 && j->colours != 3)
        return fail("%s: the networks have %" PRId64
                    " outputs, a PNG file takes 1 (grey) or 3 (RGB); any number can be "
                    "written to a .safetensors file",
                    j->given->operands[0], j->colours);
    for (j->columns = 1; j->columns * j->columns < j->count;)
        j->columns++;
    j->rows = (j->count + j->columns - 1) / j->columns;
    int64_t images = floats ? j->count : j->columns * j->rows;
    if (images > INT64_MAX / 16 / j->height / j->width / j->colours)
        return fail("%s: %" PRId64 " images of %" PRId64 " × %" PRId64 " are too large", j->path, j->count,
                    j->height, j->width);
    size_t numbers = (size_t)(images * j->height * j->width * j->colours);
    if (floats)
        j->rendered = malloc(numbers * sizeof *j->rendered);
    else
        j->pixels = calloc(numbers, 1);
    return j->rendered || j->pixels ? EXIT_SUCCESS : fail_memory();
}

/* round(255 (x/2 + ½)), clamped; what is not a number is black. */
static unsigned char pixel_of(float value)
{
    double level = 255 * ((double)value / 2 + 0.5);
    if (!(level > 0))
        return 0;
    return level >= 255 ? 255 : (unsigned char)lround(level);
}

static void place_on_sheet(const job *j, int64_t index, const float *values)
{
    int64_t line = j->width * j->colours, sheet_line = j->columns * line;
    unsigned char *corner =
        j->pixels + index / j->columns * j->height * sheet_line + index % j->columns * line;
    for (int64_t y = 0; y < j->height; y++)
        for (int64_t i = 0; i < line; i++)
            corner[y * sheet_line + i] = pixel_of(values[y * line + i]);
}

static void keep(const job *j, int64_t first, const nft_array *images)
{
    int64_t numbers = j->height * j->width * j->colours;
    const float *values = nft_array_f32(images);
    if (j->rendered) {
        memcpy(j->rendered + first * numbers, values, (size_t)nft_array_count(images) * sizeof *values);
        return;
    }
    for (int64_t n = 0; n < nft_array_size(images, 0); n++)
        place_on_sheet(j, first + n, values + n * numbers);
}

static int render_all(job *j)
{
    int64_t batch = j->given->batch_size ? j->given->batch_size : DEFAULT_BATCH;
    cli_progress progress;
    int failed = EXIT_SUCCESS;
    progress_start(&progress, j->given, "render", "networks", j->count);
    for (int64_t first = 0; first < j->count && !failed; first += batch) {
        int64_t count = j->count - first < batch ? j->count - first : batch;
        nft_array *images = NULL;
        if (nft_inr_render(&images, j->weights, first, count, j->height, j->width, &j->options))
            failed = fail("%s: %s", j->given->operands[0], nft_error_message());
        else
            keep(j, first, images);
        nft_array_free(images);
        progress_show(&progress, first + count);
    }
    progress_end(&progress);
    return failed;
}

static int save_floats(const job *j)
{
    const int64_t shape[] = {j->count, j->height, j->width, j->colours};
    const char *name = "rendered";
    nft_array *images = NULL;
    nft_status status = nft_array_borrow(&images, NFT_ARRAY_F32, shape, 4, j->rendered);
    if (!status)
        status = nft_array_save(j->path, &name, (const nft_array *const *)&images, 1);
    nft_array_free(images);
    return status ? fail_library() : EXIT_SUCCESS;
}

static int save_and_describe(const job *j)
{
    char networks[TEXT_CAPACITY];
    picture sheet = {j->rows * j->height, j->columns * j->width, j->colours};
    int failed = j->rendered ? save_floats(j) : picture_save(&sheet, j->path, j->pixels);
    if (failed)
        return failed;
    if (j->given->json) {
        const int64_t shape[] = {j->count, j->height, j->width, j->colours};
        return print_json(
            json_pack("{s:o, s:o}", "output", json_text(j->path), "shape", json_shape(shape, 4)));
    }
    printf("%s: %s at %" PRId64 " × %" PRId64 "\n", j->path, text_plural(networks, j->count, "network"),
           j->height, j->width);
    return EXIT_SUCCESS;
}

static int run(const cli_options *given)
{
    job j = {.given = given, .path = option_text(given, "output")};
    int failed = read_options(&j);
    if (!failed)
        failed = check_output_path(j.path);
    if (!failed)
        failed = load_weights(&j.weights, given->operands[0], given);
    if (!failed) {
        j.count = nft_weights_count(j.weights);
        failed = reserve(&j);
    }
    if (!failed)
        failed = render_all(&j);
    if (!failed)
        failed = save_and_describe(&j);
    free(j.rendered);
    free(j.pixels);
    nft_weights_free(j.weights);
    return failed;
}

static const cli_option own_options[] = {
    {"output", 'o', OPTION_TEXT, "OUT", "file to write, PNG or .safetensors, replaced if it exists", 0, 0,
     NULL},
    {"height", 0, OPTION_INTEGER, "H", "pixels from top to bottom (default: as --width, or 28)", 1, MAX_SIZE,
     NULL},
    {"width", 0, OPTION_INTEGER, "W", "pixels from left to right (default: as --height, or 28)", 1, MAX_SIZE,
     NULL},
    {"omega", 0, OPTION_TEXT, "W", "frequency of the sines (default: 30)", 0, 0, NULL},
    LAYERS_OPTION,
    {0},
};

const cli_command render_command = {
    .name = "render",
    .operands = "WEIGHTS -o OUT",
    .summary = "render SIRENs as images",
    .description =
        "Evaluates the SIRENs of WEIGHTS on a grid of any size. OUT is a PNG file: one image, or for\n"
        "many networks a contact sheet with as many columns as rows, or one more. An OUT that ends in\n"
        ".safetensors gets the tensor 'rendered' (N, height, width, colours) as it is, about -1 … 1.",
    .least_operands = 1,
    .most_operands = 1,
    .options = own_options,
    .required = "output",
    .run = run,
};
