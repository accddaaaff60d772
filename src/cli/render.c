/* nftool render: the images that SIRENs are, next to other images. */
#include "answers.h"
#include "commands.h"
#include "escape.h"
#include "image_source.h"
#include "omega.h"
#include "files.h"
#include "nft/file.h"
#include "nft/inr.h"
#include "outputs.h"
#include "progress.h"
#include "report.h"
#include "sheet.h"
#include "sources.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_BATCH 32
#define MAX_SIZE 65536
#define MAX_ZOOM 1024
#define HEADING_CAPACITY 512

/* A run of the command. */
typedef struct job {
    const cli_options *given;
    const char *path;
    image_source *sources;
    int source_count;
    picture image; /* each of them */
    int64_t first, count;
    nft_inr_render_options options;
    float *rendered;     /* (count, height, width, colours), for a safetensors file; or */
    sheet sheet;         /* for a PNG file */
    cli_answers answers; /* of --answers; none without it */
} job;

static bool writes_floats(const job *j)
{
    return text_ends_with(j->path, ".safetensors");
}

/* Nobody shall find a PNG file under another format's name. */
static int check_format(const job *j)
{
    if (writes_floats(j) || text_ends_with(j->path, ".png") || is_written_in_place(j->path))
        return EXIT_SUCCESS;
    usage_error("render", "--output is '%s', expected a name that ends in .png or .safetensors", j->path);
    return EXIT_USAGE;
}

static int read_options(job *j)
{
    j->options = (nft_inr_render_options)NFT_INR_RENDER_OPTIONS_INIT;
    j->options.threads = j->given->threads;
    if (!writes_floats(j))
        return check_outputs(j->given);
    if (j->given->operand_count == 1 && !option_text(j->given, "answers") && !option_text(j->given, "zoom") &&
        !option_text(j->given, "heading"))
        return check_outputs(j->given);
    if (j->given->operand_count == 1)
        usage_error("render", "%s: --answers, --heading and --zoom are for a PNG file", j->path);
    else
        usage_error("render",
                    "%s: a .safetensors file takes the images of one operand, found %d; a PNG file "
                    "takes more",
                    j->path, j->given->operand_count);
    return EXIT_USAGE;
}

static int open_sources(job *j)
{
    int failed = EXIT_SUCCESS;
    j->sources = calloc((size_t)j->given->operand_count, sizeof *j->sources);
    if (!j->sources)
        return fail_memory();
    while (j->source_count < j->given->operand_count && !failed) {
        failed =
            open_image_source(&j->sources[j->source_count], &j->given->operands[j->source_count], j->given);
        j->source_count++;
    }
    bool weights = false;
    for (int i = 0; i < j->source_count; i++)
        weights = weights || j->sources[i].networks;
    if (!failed && !weights)
        failed = refuse_layers(j->given, j->sources[0].operand, "images");
    return failed ? failed
                  : settle_image_sizes(j->sources, j->source_count,
                                       (int64_t)option_value(j->given, "height")->integer,
                                       (int64_t)option_value(j->given, "width")->integer);
}

/* The limit of the number that is drawn: that of an operand, or of the answers. */
typedef struct holding {
    const char *path, *word; /* `word` is the kind of the things that it holds */
    int64_t count;
} holding;

static holding holding_of(const image_source *source)
{
    return (holding){source->operand, source->networks ? "network" : "image", source->count};
}

/* Takes the one that holds less; only --count lets them hold different numbers. */
static int join(holding *least, const holding *other, const cli_options *given)
{
    char held[TEXT_CAPACITY];
    int64_t fewer = other->count < least->count ? other->count : least->count;
    if (other->count != least->count && !option_text(given, "count"))
        return fail("%s: holds %s, %s holds %" PRId64 "; give --count %" PRId64 " to draw as many of each",
                    other->path, text_plural(held, other->count, other->word), least->path, least->count,
                    fewer);
    if (other->count < least->count)
        *least = *other;
    return EXIT_SUCCESS;
}

/* The answers are to these networks. */
static int compare_source(const job *j, const image_source *source)
{
    nft_array *labels = NULL;
    int failed = has_extra(source->networks, "label")
                     ? read_extra(&labels, source->networks, "label", 0, source->count)
                     : EXIT_SUCCESS;
    if (!failed)
        failed = compare_labels(&j->answers, option_text(j->given, "answers"), labels, source->operand,
                                j->first, j->count);
    nft_array_free(labels);
    return failed;
}

/* --first and --count, as far as all operands and the answers reach. */
static int choose_networks(job *j)
{
    const char *path = option_text(j->given, "answers");
    holding least = holding_of(&j->sources[0]), other;
    int failed = path ? load_answers(&j->answers, path) : EXIT_SUCCESS;
    for (int i = 1; i < j->source_count && !failed; i++) {
        other = holding_of(&j->sources[i]);
        failed = join(&least, &other, j->given);
    }
    if (path && !failed) {
        other = (holding){path, "answer", count_answers(&j->answers)};
        failed = join(&least, &other, j->given);
    }
    if (!failed)
        failed = choose_range(&j->first, &j->count, j->given, least.path, least.count, least.word);
    for (int i = 0; i < j->source_count && path && !failed; i++)
        if (j->sources[i].networks)
            failed = compare_source(j, &j->sources[i]);
    return failed;
}

static int lay_out(job *j)
{
    int64_t zoom = (int64_t)option_value(j->given, "zoom")->integer;
    const sheet_layout layout = {.groups = j->count,
                                 .members = j->source_count,
                                 .zoom = zoom ? zoom : 1,
                                 .captions = j->answers.scores != NULL,
                                 .heading = option_text(j->given, "heading") != NULL};
    return make_sheet(&j->sheet, &j->image, &layout, j->path);
}

/* Memory for the images. */
static int reserve(job *j)
{
    const image_source *source = &j->sources[0];
    j->image = (picture){source->height, source->width, source->colours};
    if (!writes_floats(j) && source->colours != 1 && source->colours != 3)
        return fail("%s: the %s %" PRId64 " %s, a PNG file takes 1 (grey) or 3 (RGB); any number can be "
                    "written to a .safetensors file",
                    source->operand, source->networks ? "networks have" : "images have", source->colours,
                    source->networks ? "outputs" : "colours");
    if (!writes_floats(j))
        return lay_out(j);
    if (j->count > INT64_MAX / 16 / j->image.height / j->image.width / j->image.colours)
        return fail("%s: %" PRId64 " images of %" PRId64 " × %" PRId64 " are too large", j->path, j->count,
                    j->image.height, j->image.width);
    int64_t numbers = j->count * j->image.height * j->image.width * j->image.colours;
    j->rendered = malloc((size_t)numbers * sizeof *j->rendered);
    return j->rendered ? EXIT_SUCCESS : fail_memory();
}

/* Images of networks `at` …, counted from the first that is drawn. */
static void keep(job *j, int source, int64_t at, int64_t count, const nft_array *images)
{
    int64_t numbers = j->image.height * j->image.width * j->image.colours;
    const float *values = nft_array_f32(images);
    if (j->rendered)
        memcpy(j->rendered + at * numbers, values, (size_t)(count * numbers) * sizeof *values);
    for (int64_t n = 0; n < count && !j->rendered; n++)
        place_on_sheet(&j->sheet, at + n, source, values + n * numbers);
}

static int render_piece(job *j, int64_t at, int64_t count)
{
    int failed = EXIT_SUCCESS;
    for (int i = 0; i < j->source_count && !failed; i++) {
        nft_array *images = NULL;
        failed = read_image_source(&j->sources[i], j->first + at, count, &j->options, &images);
        if (!failed)
            keep(j, i, at, count, images);
        nft_array_free(images);
    }
    return failed;
}

static int render_all(job *j)
{
    int64_t batch = j->given->batch_size ? j->given->batch_size : DEFAULT_BATCH;
    cli_progress progress;
    int failed = EXIT_SUCCESS;
    progress_start(&progress, j->given, "render", "networks", j->count);
    for (int64_t at = 0; at < j->count && !failed; at += batch) {
        int64_t count = j->count - at < batch ? j->count - at : batch;
        failed = render_piece(j, at, count);
        progress_show(&progress, at + count);
    }
    progress_end(&progress);
    return failed;
}

static int write_captions(job *j)
{
    int failed = EXIT_SUCCESS;
    char text[ANSWER_CAPACITY];
    for (int64_t n = 0; n < j->count && j->answers.scores && !failed; n++) {
        bool wrong = describe_answer(text, &j->answers, j->first + n);
        failed = caption_on_sheet(&j->sheet, n, text, wrong);
    }
    return failed;
}

/* The names of the operands, in the order of the pictures. */
static int write_heading(job *j)
{
    char names[HEADING_CAPACITY] = "", text[HEADING_CAPACITY];
    for (int i = 0; i < j->source_count; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? " | " : "",
                 text_file_name(j->sources[i].operand));
    }
    escape_text(text, sizeof text, names);
    return j->sheet.heading ? heading_on_sheet(&j->sheet, text) : EXIT_SUCCESS;
}

static int save_floats(const job *j)
{
    const int64_t shape[] = {j->count, j->image.height, j->image.width, j->image.colours};
    const char *name = "rendered";
    nft_array *images = NULL;
    nft_status status = nft_array_borrow(&images, NFT_ARRAY_F32, shape, 4, j->rendered);
    if (!status)
        status = nft_array_save(j->path, &name, (const nft_array *const *)&images, 1, NULL);
    nft_array_free(images);
    return status ? fail_library() : EXIT_SUCCESS;
}

static int print_as_json(const job *j)
{
    const int64_t shape[] = {j->count, j->image.height, j->image.width, j->image.colours};
    json_t *object = json_pack("{s:o, s:o}", "output", json_text(j->path), "shape", json_shape(shape, 4));
    if (j->source_count > 1)
        json_object_set_new(object, "side_by_side", json_integer(j->source_count));
    return print_json(object);
}

static int describe(const job *j)
{
    char networks[TEXT_CAPACITY], sides[TEXT_CAPACITY] = "";
    if (j->given->json)
        return print_as_json(j);
    text_plural(networks, j->count, j->sources[0].networks ? "network" : "image");
    if (j->source_count > 1)
        snprintf(sides, sizeof sides, ", %d side by side", j->source_count);
    say("%s: %s at %" PRId64 " × %" PRId64 "%s", j->path, networks, j->image.height, j->image.width, sides);
    return EXIT_SUCCESS;
}

static int run(const cli_options *given)
{
    job j = {.given = given, .path = option_text(given, "output")};
    int failed = check_format(&j);
    if (!failed)
        failed = read_options(&j);
    report_chains_known(true); /* SIRENs have no residual connections */
    if (!failed)
        failed = open_sources(&j);
    report_chains_known(false);
    if (!failed)
        failed = choose_networks(&j);
    if (!failed)
        failed = reserve(&j);
    if (!failed)
        failed = render_all(&j);
    if (!failed)
        failed = write_captions(&j);
    if (!failed)
        failed = write_heading(&j);
    if (!failed)
        failed = j.rendered ? save_floats(&j) : picture_save(&j.sheet.whole, j.path, j.sheet.pixels);
    if (!failed)
        failed = describe(&j);
    for (int i = 0; i < j.source_count; i++)
        close_image_source(&j.sources[i]);
    free_answers(&j.answers);
    free(j.sources);
    free(j.rendered);
    free(j.sheet.pixels);
    return failed;
}

static const cli_option own_options[] = {
    {"output", 'o', OPTION_RESULT, "OUT",
     "file to write, PNG or .safetensors, replaced if it exists; - is standard output, PNG", 0, 0, NULL},
    {"height", 0, OPTION_INTEGER, "H",
     "pixels from top to bottom (default: the images', --width, the fitted images' or 28)", 1, MAX_SIZE,
     NULL},
    {"width", 0, OPTION_INTEGER, "W",
     "pixels from left to right (default: the images', --height, the fitted images' or 28)", 1, MAX_SIZE,
     NULL},
    {"first", 0, OPTION_INTEGER, "I", "number of the first network that is drawn (default: 0)", 0, INT64_MAX,
     NULL},
    {"count", 0, OPTION_INTEGER, "N", "how many are drawn at most (default: all)", 1, INT64_MAX, NULL},
    {"answers", 0, OPTION_INPUT, "FILE", "write a classifier's answers below the networks", 0, 0, NULL},
    {"heading", 0, OPTION_FLAG, NULL, "write the names of the operands above a picture", 0, 0, NULL},
    {"zoom", 0, OPTION_INTEGER, "K", "pixels of OUT for each of an image, in each direction (default: 1)", 1,
     MAX_ZOOM, NULL},
    OMEGA_OPTION("that of WEIGHTS, or 30"),
    {"offset", 0, OPTION_REAL, "X", "number added to the output (default: that of WEIGHTS, or 0)", 0, 0,
     NULL},
    {"prepare", 0, OPTION_FLAG, NULL,
     "bring networks to --omega and --offset, or those of the first part of an index", 0, 0, NULL},
    LAYERS_OPTION,
    {0},
};

const cli_command render_command = {
    .name = "render",
    .operands = "WEIGHTS… -o OUT",
    .summary = "render SIRENs as images, alone or side by side",
    .description =
        "Evaluates the SIRENs of WEIGHTS on a grid of any size. OUT is a PNG file: one image, or for\n"
        "many networks a contact sheet with as many columns as rows, or one more. An OUT that ends in\n"
        ".safetensors gets the tensor 'rendered' (N, height, width, colours) as it is, about -1 … 1.\n\n"
        "With several operands the images of each network are drawn side by side, in the operands' order,\n"
        "with a gap to the next network's: SIRENs and a model's edits of them, for example. Instead of\n"
        "SIRENs an operand may hold images of the same size: an IDX file (also gzipped) or a PNG file; a\n"
        "file with the tensor 'output', which 'nftool forward --decode' writes; or FILE:NAME, a tensor of\n"
        "that file with images (N, height, width, colours). Tensors are in -1 … 1. Without --count all\n"
        "operands must hold equally many images.\n\n"
        "--answers takes the output of a classifier, as 'nftool forward' writes it. Below each network\n"
        "stands the class with the highest score. It is red, with the label behind it, if the file's\n"
        "'label' is another class.",
    .least_operands = 1,
    .most_operands = INT32_MAX,
    .options = own_options,
    .required = "output",
    .idle = "seed",
    .run = run,
};
