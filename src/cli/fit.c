/* nftool fit: a SIREN for each image. */
#define _POSIX_C_SOURCE 200809L
#include "commands.h"
#include "data_set.h"
#include "fit_batches.h"
#include "fit_widths.h"
#include "images.h"
#include "nft/inr.h"
#include "omega.h"
#include "outputs.h"
#include "partial.h"
#include "progress.h"
#include "report.h"
#include "sources.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define DEFAULT_STEPS 250
#define DEFAULT_RATE 1e-3
#define MAX_WIDTHS 64
#define MOST_OF_A_FRACTION ((1.0f / 255 - 0.5f) / 0.5f + 1e-6f) /* a colour of 1 among those of 0 … 255 */

static const char *const schedules[] = {"constant", "cosine", NULL};

static int64_t integer_of(const cli_options *given, const char *name, int64_t fallback)
{
    const char *text = option_text(given, name);
    return text ? strtoll(text, NULL, 10) : fallback;
}

static double number_of(const cli_options *given, const char *name, double fallback)
{
    return option_text(given, name) ? option_value(given, name)->number : fallback;
}

static void read_options(fit_job *j)
{
    const char *schedule = option_text(j->given, "schedule");
    j->options = (nft_inr_fit_options)NFT_INR_FIT_OPTIONS_INIT;
    j->options.threads = j->given->threads;
    j->options.steps = integer_of(j->given, "steps", DEFAULT_STEPS);
    j->options.schedule =
        schedule && !strcmp(schedule, "cosine") ? NFT_INR_SCHEDULE_COSINE : NFT_INR_SCHEDULE_CONSTANT;
    j->options.progress = progress_callback;
    j->options.user = &j->progress;
    j->canonical = option_text(j->given, "canonical") != NULL;
    j->views = integer_of(j->given, "views", 1);
    j->options.shared_init = option_text(j->given, "shared-init") != NULL;
    j->options.precision = given_precision(j->given);
    j->options.lr = number_of(j->given, "lr", DEFAULT_RATE);
}

static int read_widths(fit_job *j, int64_t *widths, int64_t *count)
{
    const char *text = option_text(j->given, "widths");
    const char *next = text;
    for (*count = 0; next && *count < MAX_WIDTHS;) {
        char *end = NULL;
        long long width = strtoll(next, &end, 10);
        if (*next < '0' || *next > '9' || width < 1 || width > INT32_MAX || (*end && *end != ','))
            break;
        widths[(*count)++] = width;
        if (!*end)
            return EXIT_SUCCESS;
        next = end + 1;
    }
    usage_error("fit",
                "--widths is '%s', expected 2 … %d numbers from 1 to %d with commas between, like 2,32,32,1",
                text, MAX_WIDTHS, INT32_MAX);
    return EXIT_USAGE;
}

/* --psnr chooses both hidden layers. */
static int choose_widths(const fit_job *j, int64_t widths[4])
{
    double reached = 0;
    const width_search search = {.paths = j->given->operands,
                                 .path_count = j->given->operand_count,
                                 .first = j->images.first,
                                 .count = j->images.count,
                                 .options = &j->options,
                                 .omega = j->omega,
                                 .offset = j->offset[0] ? j->offset : NULL,
                                 .seed = j->given->seed,
                                 .psnr = number_of(j->given, "psnr", 0)};
    if (!option_text(j->given, "psnr"))
        return EXIT_SUCCESS;
    if (option_text(j->given, "widths") || option_text(j->given, "init"))
        return fail("--psnr chooses the widths, which %s says too; give one of them",
                    option_text(j->given, "widths") ? "--widths" : "--init");
    int failed = find_width(&widths[1], &reached, &search);
    widths[2] = widths[1];
    if (!failed)
        note(j->given, "widths 2,%" PRId64 ",%" PRId64 ",%" PRId64 " reach %.2f dB on the first images",
             widths[1], widths[2], widths[3], reached);
    return failed;
}

static int make_space(fit_job *j)
{
    int64_t widths[MAX_WIDTHS] = {2, 32, 32, j->images.colours}, count = 4;
    int failed = option_text(j->given, "widths") ? read_widths(j, widths, &count) : EXIT_SUCCESS;
    if (!failed)
        failed = choose_widths(j, widths);
    if (failed)
        return failed;
    if (count < 2 || widths[0] != 2 || widths[count - 1] != j->images.colours)
        return fail("--widths is '%s', expected 2 first (y and x) and %" PRId64 " last (the images' colours)",
                    option_text(j->given, "widths"), j->images.colours);
    if (nft_space_create_mlp(&j->own_space, widths, count))
        return fail_library();
    j->space = j->own_space;
    return EXIT_SUCCESS;
}

/* Nothing is rendered, but the networks are checked. */
static int check_init(const fit_job *j, const char *path)
{
    nft_array *none = NULL;
    nft_layer last = {.size = sizeof last};
    const nft_space *space = nft_weights_space(j->init);
    int64_t layers = nft_space_describe(space)->layer_count, count = nft_weights_count(j->init);
    if (nft_inr_render(&none, j->init, 0, 0, 1, 1, NULL))
        return fail("--init %s: %s", path, library_message());
    nft_array_free(none);
    if (nft_space_layer(&last, space, layers - 1))
        return fail_library();
    if (layers >= MAX_WIDTHS)
        return fail("%s: the networks have %" PRId64 " layers, at most %d are possible", path, layers,
                    MAX_WIDTHS - 1);
    if (last.out != j->images.colours)
        return fail("%s: the networks have %" PRId64 " outputs, the images %" PRId64 " colours", path,
                    last.out, j->images.colours);
    if (count != j->networks && count != 1)
        return fail("%s: holds %" PRId64 " networks, expected one, or %" PRId64
                    ", one for each that is fitted",
                    path, count, j->networks);
    return EXIT_SUCCESS;
}

/* ω and the offset: those that are given, those of the networks to begin with, or the defaults. */
static int choose_form(fit_job *j, const char *path, const nft_weights *init)
{
    cli_omega omega;
    int failed = choose_omega(&omega, path, nft_weights_metadata(init, OMEGA_KEY), j->given);
    if (!failed)
        failed = choose_offset(j->offset, path, nft_weights_metadata(init, OFFSET_KEY), j->given);
    write_omega(j->omega, &omega, 17);
    return failed;
}

/* The networks to begin with: as many as will be fitted, or one for all. */
static int load_init(fit_job *j, const char *path)
{
    report_chains_known(true); /* SIRENs have no residual connections */
    nft_status status = nft_weights_load(&j->init, path, NULL);
    report_chains_known(false);
    if (status)
        return fail_library();
    if (option_text(j->given, "widths") && !nft_space_equal(j->space, nft_weights_space(j->init)))
        return fail("%s: the networks have other layers than --widths says", path);
    j->space = nft_weights_space(j->init);
    int failed = choose_form(j, path, j->init);
    return failed ? failed : check_init(j, path);
}

static int check_start(const fit_job *j)
{
    if (j->options.shared_init && option_text(j->given, "init"))
        return fail(
            "--shared-init draws the network that all begin with, and --init gives it; give one of them");
    if (j->options.shared_init && j->views > 1)
        return fail("--shared-init makes the %" PRId64
                    " views of an image equal, because they begin with one network; leave out --views",
                    j->views);
    return EXIT_SUCCESS;
}

static int open_job(fit_job *j)
{
    const char *labels = option_text(j->given, "labels"), *init = option_text(j->given, "init");
    int64_t first = 0, count = 0;
    int failed = check_start(j);
    if (!failed)
        failed = open_images(&j->images, j->given->operands, j->given->operand_count);
    if (!failed && labels)
        failed = load_labels(&j->labels, labels, j->images.count);
    if (!failed)
        failed = choose_range(&first, &count, j->given, j->given->operands[0], j->images.count, "image");
    if (!failed)
        failed = choose_images(&j->images, first, count);
    if (failed)
        return failed;
    if (j->images.first + j->images.count > INT64_MAX / j->views)
        return fail("%" PRId64 " views of %" PRId64 " images are too many", j->views, j->images.count);
    j->networks = j->images.count * j->views;
    failed = init ? EXIT_SUCCESS : choose_form(j, NULL, NULL);
    if (!failed)
        failed = make_space(j);
    return failed || !init ? failed : load_init(j, init);
}

static int add_checksum(unsigned long *sum, const char *path)
{
    unsigned char bytes[65536];
    FILE *file = fopen(path, "rb");
    if (!file)
        return fail("%s: cannot open: %s", path, strerror(errno));
    for (size_t found; (found = fread(bytes, 1, sizeof bytes, file));)
        *sum = crc32(*sum, bytes, (unsigned)found);
    int failed = ferror(file) ? fail("%s: cannot read: %s", path, strerror(errno)) : EXIT_SUCCESS;
    fclose(file);
    return failed;
}

/* All settings that decide the networks, in one line. */
static int describe_settings(const fit_job *j, char *text, size_t capacity)
{
    const char *init = option_text(j->given, "init");
    unsigned long sum = crc32(0, NULL, 0), init_sum = sum;
    int failed = EXIT_SUCCESS;
    for (int i = 0; i < j->given->operand_count && !failed; i++)
        failed = add_checksum(&sum, j->given->operands[i]);
    if (!failed && init)
        failed = add_checksum(&init_sum, init);
    int used = snprintf(text, capacity,
                        "images %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
                        " %08lx; views %" PRId64 "; init %08lx; seed "
                        "%" PRIu64 "; steps %" PRId64 "; lr %a; schedule %d; omega %s; offset %s; widths 2",
                        j->images.first, j->images.count, j->images.height, j->images.width,
                        j->images.colours, sum, j->views, init_sum, j->given->seed, j->options.steps,
                        j->options.lr, j->options.schedule, j->omega, j->offset);
    nft_layer layer = {.size = sizeof layer};
    for (int64_t i = 0; i < nft_space_describe(j->space)->layer_count && !failed; i++) {
        failed = nft_space_layer(&layer, j->space, i) ? fail_library() : EXIT_SUCCESS;
        used += snprintf(text + used, capacity - (size_t)used, " %" PRId64, layer.out);
    }
    snprintf(text + used, capacity - (size_t)used, "%s%s; precision %d", j->canonical ? "; canonical" : "",
             j->options.shared_init ? "; shared init" : "", j->options.precision);
    return failed;
}

/* "28,28,1", or of several sizes "*,*,1". */
static void describe_size(const fit_job *j, char *text, size_t capacity)
{
    int64_t size[2];
    fit_size(j, 0, size);
    if (j->images.several_sizes)
        snprintf(text, capacity, "*,*,%" PRId64, j->images.colours);
    else
        snprintf(text, capacity, "%" PRId64 ",%" PRId64 ",%" PRId64, size[0], size[1], j->images.colours);
}

/* As JSON. Networks of one start depend on its seed; other networks have the same distribution for each. */
static void write_settings(const fit_job *j, char *text, size_t capacity)
{
    char start[64] = "";
    bool cosine = j->options.schedule == NFT_INR_SCHEDULE_COSINE;
    if (j->options.shared_init)
        snprintf(start, sizeof start, ",\"shared_init\":true,\"seed\":%" PRIu64, j->given->seed);
    snprintf(text, capacity, "{\"steps\":%" PRId64 ",\"lr\":%.17g,\"schedule\":\"%s\"%s}", j->options.steps,
             j->options.lr, schedules[cosine], start);
}

/* The complete data set, from the partial file. */
static int save(fit_job *j)
{
    char size[64], settings[192];
    describe_size(j, size, sizeof size);
    write_settings(j, settings, sizeof settings);
    const fitted_images images = {.first = j->images.first,
                                  .views = j->views,
                                  .labels = j->labels,
                                  .omega = j->omega,
                                  .offset = j->offset,
                                  .images = &j->images,
                                  .size = size,
                                  .settings = settings,
                                  .canonical = j->canonical,
                                  .numbered = option_text(j->given, "views") != NULL};
    int failed = save_data_set(j->path, &j->partial, &images);
    if (!failed)
        partial_remove(&j->partial);
    return failed;
}

static int describe(const fit_job *j)
{
    char text[TEXT_CAPACITY];
    int64_t finite = j->networks - j->diverged;
    if (j->held >= 0 && j->brightest <= MOST_OF_A_FRACTION)
        note(j->given,
             "warning: no colour is more than 1 of 255; if they are of 0 … 1, multiply them by 255");
    double mean = finite ? j->psnr_sum / (double)finite : (double)NAN;
    if (j->diverged)
        note(j->given,
             "warning: %" PRId64 " of %s diverged to weights that are not finite; try a smaller --lr",
             j->diverged, text_plural(text, j->networks, "network"));
    if (j->given->json)
        return print_json(json_pack("{s:o}", "mean_psnr", json_number(mean)));
    int64_t size[2];
    fit_size(j, 0, size);
    text_plural(text, j->networks, "network");
    if (j->images.several_sizes)
        say("%s: %s of several sizes, mean PSNR %.2f dB", j->path, text, mean);
    else
        say("%s: %s of %" PRId64 " × %" PRId64 " pixels, mean PSNR %.2f dB", j->path, text, size[0], size[1],
            mean);
    return EXIT_SUCCESS;
}

/* The networks that are fitted already. */
static void note_finished(const fit_job *j)
{
    const cli_partial *partial = &j->partial;
    if (partial->damaged)
        note(j->given, "%s: is damaged from network %" PRId64 " on, which are fitted again", partial->path,
             partial->finished);
    if (partial->finished)
        note(j->given, "%s: %" PRId64 " of %" PRId64 " networks are finished already", partial->path,
             partial->finished, j->networks);
}

/* Whatever can be wrong is found before the first network. */
static int prepare(void *argument)
{
    fit_job *j = argument;
    char settings[PARTIAL_SETTINGS];
    j->own.json = j->own.json && !j->ranks.rank;
    read_options(j);
    int failed = check_outputs(j->given);
    if (!failed)
        failed = check_safetensors_name(j->given, "output", false);
    if (!failed)
        failed = open_job(j);
    if (!failed)
        failed = describe_settings(j, settings, sizeof settings);
    if (j->ranks.rank)
        return failed;
    if (!failed)
        failed = partial_open(&j->partial, j->path, settings, j->space, j->networks);
    if (!failed)
        note_finished(j);
    return failed;
}

/* Rank 0 knows how many networks are finished, and keeps those of all ranks. */
static int fit_and_save(void *argument)
{
    fit_job *j = argument;
    int64_t least;
    ranks_agree(&j->ranks, j->partial.finished, &least, &j->partial.finished);
    int failed = fit_all(j);
    if (!failed && !j->ranks.rank)
        failed = save(j);
    if (!failed && !j->ranks.rank)
        failed = describe(j);
    return failed;
}

static int run(const cli_options *given)
{
    fit_job j = {.own = *given, .path = option_text(given, "output"), .partial = {.descriptor = -1}};
    bool together;
    j.given = &j.own;
    int failed = ranks_share(&j.ranks, &j.own, prepare, fit_and_save, &j, &together);
    if (failed && !j.partial.finished && !j.ranks.rank)
        partial_remove(&j.partial);
    partial_close(&j.partial);
    free(j.image);
    nft_weights_free(j.init);
    nft_space_free(j.own_space);
    nft_array_free(j.labels);
    close_images(&j.images);
    ranks_close(&j.ranks, together);
    return failed;
}

static const cli_option own_options[] = {
    {"output", 'o', OPTION_OUTPUT, "OUT", "data set to write (safetensors), replaced if it exists", 0, 0,
     NULL},
    {"init", 0, OPTION_INPUT, "WEIGHTS",
     "networks to begin with, one for each or one for all (default: fresh)", 0, 0, NULL},
    {"shared-init", 0, OPTION_FLAG, NULL,
     "begin all networks with one fresh network, which the seed gives (default: each with its own)", 0, 0,
     NULL},
    {"widths", 0, OPTION_TEXT, "2,32,32,1", "neurons of each layer, inputs first (default: 2,32,32,colours)",
     0, 0, NULL},
    {"psnr", 0, OPTION_POSITIVE, "DB",
     "choose the widths: the fewest neurons that reach it on the first images", 0, 1000, NULL},
    {"steps", 0, OPTION_INTEGER, "N", "updates of each network (default: 250)", 1, INT32_MAX, NULL},
    {"lr", 0, OPTION_POSITIVE, "R", "learning rate of Adam (default: 0.001)", 0, 1000000, NULL},
    {"schedule", 0, OPTION_CHOICE, "NAME", "of the learning rate: constant (default) or cosine", 0, 0,
     schedules},
    OMEGA_OPTION("that of --init, or 30"),
    {"offset", 0, OPTION_REAL, "X", "number added to the output (default: that of --init, or 0)", 0, 0, NULL},
    {"first", 0, OPTION_INTEGER, "I", "number of the first image that is fitted (default: 0)", 0, INT64_MAX,
     NULL},
    {"count", 0, OPTION_INTEGER, "N", "how many images are fitted at most (default: all)", 1, INT64_MAX,
     NULL},
    {"labels", 0, OPTION_INPUT, "FILE", "a label for each image: IDX, or safetensors with 'label'", 0, 0,
     NULL},
    {"precision", 0, OPTION_CHOICE, "NAME",
     "of products between hidden layers: float32 (default), bf16x3 or bf16", 0, 0, precision_names},
    {"views", 0, OPTION_INTEGER, "K", "networks for each image, from different starts (default: 1)", 1,
     1000000, NULL},
    {"canonical", 0, OPTION_FLAG, NULL,
     "bring each network to one sign and phase, as nftool canonicalize does", 0, 0, NULL},
    {0},
};

const cli_command fit_command = {
    .name = "fit",
    .operands = "IMAGES… -o OUT",
    .summary = "fit a SIREN to each image",
    .description =
        "Fits one SIREN to each image, and writes the weights of all to OUT. A SIREN is a small network\n"
        "that maps the place of a pixel to its colour. Adam minimises the mean squared error over pixels.\n\n"
        "IMAGES is an IDX file (MNIST's format, also gzipped), PNG or JPEG files, or a safetensors\n"
        "file with 'images' (N, height, width, colours) of 0 … 255.\n"
        "Each finished batch of networks is kept in OUT.partial, with checksums. After an interruption the\n"
        "same command continues there, and fits damaged networks again. With --views the tensor 'image'\n"
        "has the number of the image of each network.",
    .least_operands = 1,
    .most_operands = INT32_MAX,
    .options = own_options,
    .required = "output",
    .run = run,
};
