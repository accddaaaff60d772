/* nftool fit: a SIREN for each image. */
#define _POSIX_C_SOURCE 200809L
#include "commands.h"
#include "data_set.h"
#include "fit_shared.h"
#include "fit_widths.h"
#include "images.h"
#include "metrics.h"
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
#include <unistd.h>
#include <zlib.h>

#define DEFAULT_STEPS 250
#define DEFAULT_RATE 1e-3
#define DEFAULT_BATCH 32 /* networks, or for each thread: */
#define BATCH_PER_THREAD 4
/* Operations of each thread in a batch: some seconds. An interruption loses a batch. */
#define BATCH_OPERATIONS 2e11
#define MAX_WIDTHS 64
#define MOST_OF_A_FRACTION ((1.0f / 255 - 0.5f) / 0.5f + 1e-6f) /* a colour of 1 among those of 0 … 255 */

static const char *const schedules[] = {"constant", "cosine", NULL};

/* A run of the command. */
typedef struct job {
    const cli_options *given; /* as rank 0 sees it: the others say nothing */
    cli_options own;
    cli_ranks ranks;
    const char *path;
    cli_images images;
    nft_array *labels;      /* of all images, or NULL */
    nft_space *own_space;   /* or NULL: the space is that of: */
    nft_weights *init;      /* or NULL */
    const nft_space *space; /* of the networks */
    cli_partial partial;
    cli_progress progress;
    char units[80]; /* of the progress */
    nft_inr_fit_options options;
    char omega[OMEGA_CAPACITY];   /* as it is noted */
    char offset[OFFSET_CAPACITY]; /* the same; "": none */
    bool canonical;               /* they are brought to one sign and phase */
    int64_t views;                /* networks for each image */
    int64_t networks;             /* in all */
    float *image;                 /* the one that was read last: */
    int64_t held;                 /* its number among those that are fitted, -1 before the first */
    double psnr_sum;              /* of the networks that are finite */
    int64_t diverged;             /* and how many are not */
    float brightest;              /* of all colours */
} job;

static int64_t integer_of(const cli_options *given, const char *name, int64_t fallback)
{
    const char *text = option_text(given, name);
    return text ? strtoll(text, NULL, 10) : fallback;
}

static double number_of(const cli_options *given, const char *name, double fallback)
{
    return option_text(given, name) ? option_value(given, name)->number : fallback;
}

static void read_options(job *j)
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
    j->options.lr = number_of(j->given, "lr", DEFAULT_RATE);
}

static int read_widths(job *j, int64_t *widths, int64_t *count)
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
static int choose_widths(const job *j, int64_t widths[4])
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

static int make_space(job *j)
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
static int check_init(const job *j, const char *path)
{
    nft_array *none = NULL;
    nft_layer last = {.size = sizeof last};
    const nft_space *space = nft_weights_space(j->init);
    int64_t layers = nft_space_layer_count(space), count = nft_weights_count(j->init);
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
static int choose_form(job *j, const char *path, const nft_weights *init)
{
    cli_omega omega;
    int failed = choose_omega(&omega, path, nft_weights_metadata(init, OMEGA_KEY), j->given);
    if (!failed)
        failed = choose_offset(j->offset, path, nft_weights_metadata(init, OFFSET_KEY), j->given);
    write_omega(j->omega, &omega, 17);
    return failed;
}

/* The networks to begin with: as many as will be fitted, or one for all. */
static int load_init(job *j, const char *path)
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

static int open_job(job *j)
{
    const char *labels = option_text(j->given, "labels"), *init = option_text(j->given, "init");
    int64_t first = 0, count = 0;
    int failed = open_images(&j->images, j->given->operands, j->given->operand_count);
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
static int describe_settings(const job *j, char *text, size_t capacity)
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
    for (int64_t i = 0; i < nft_space_layer_count(j->space) && !failed; i++) {
        failed = nft_space_layer(&layer, j->space, i) ? fail_library() : EXIT_SUCCESS;
        used += snprintf(text + used, capacity - (size_t)used, " %" PRId64, layer.out);
    }
    snprintf(text + used, capacity - (size_t)used, "%s", j->canonical ? "; canonical" : "");
    return failed;
}

/* Results of networks first … in order; the mean so far goes into the progress line. */
static int report_networks(job *j, int64_t first, int64_t count, const float *losses)
{
    int failed = EXIT_SUCCESS;
    for (int64_t n = 0; n < count && !failed; n++) {
        double loss = (double)losses[n], psnr = metrics_psnr(loss);
        j->psnr_sum += isfinite(loss) ? psnr : 0;
        j->diverged += !isfinite(loss);
        if (j->given->json)
            failed = print_json(json_pack("{s:I, s:o, s:o}", "index", (json_int_t)first + n, "loss",
                                          json_number(loss), "psnr", json_number(psnr)));
    }
    snprintf(j->units, sizeof j->units, "networks, mean PSNR %.2f dB",
             j->psnr_sum / (double)(first + count - j->diverged));
    return failed;
}

static int report_finished(job *j)
{
    float losses[1024];
    int failed = EXIT_SUCCESS;
    for (int64_t first = 0; first < j->partial.finished && !failed; first += 1024) {
        int64_t count = j->partial.finished - first < 1024 ? j->partial.finished - first : 1024;
        failed = partial_losses(&j->partial, first, count, losses);
        if (!failed)
            failed = report_networks(j, first, count, losses);
    }
    return failed;
}

/* Networks first … of --init, or fresh ones: those of an image are the same whichever images are chosen. */
static int begin_networks(const job *j, nft_weights *weights, int64_t first)
{
    if (nft_weights_set_metadata(weights, OMEGA_KEY, j->omega) ||
        nft_weights_set_metadata(weights, OFFSET_KEY, j->offset[0] ? j->offset : NULL))
        return fail_library();
    if (!j->init)
        return nft_inr_init(weights, j->given->seed, j->images.first * j->views + first, 0) ? fail_library()
                                                                                            : EXIT_SUCCESS;
    int64_t count = nft_weights_count(weights), held = nft_weights_count(j->init);
    for (int64_t t = 0; t < nft_space_tensor_count(j->space); t++) {
        int64_t each = nft_weights_data_count(j->init, t) / held;
        const float *from = nft_weights_data(j->init, t);
        float *to = nft_weights_edit(weights, t);
        for (int64_t n = 0; n < count; n++)
            memcpy(to + n * each, from + (held == 1 ? 0 : first + n) * each, (size_t)each * sizeof *to);
    }
    return EXIT_SUCCESS;
}

/* Height and width of the image of network `network`. */
static void size_of(const job *j, int64_t network, int64_t size[2])
{
    image_size(&j->images, j->images.first + network / j->views, size);
}

/* How many networks from `first` on, `most` at most, have images of one size. */
static int64_t count_of_one_size(const job *j, int64_t first, int64_t most)
{
    int64_t count = 1, size[2], other[2];
    size_of(j, first, size);
    for (bool same = true; same && count < most; count += same) {
        size_of(j, first + count, other);
        same = size[0] == other[0] && size[1] == other[1];
    }
    return count;
}

/* The images of networks first …. An image has its views in a row, which a batch may cut. */
static int read_batch(job *j, int64_t first, int64_t count, int64_t numbers, float *values)
{
    int failed = EXIT_SUCCESS;
    for (int64_t n = 0; n < count && !failed; n++) {
        int64_t image = (first + n) / j->views;
        if (image != j->held)
            failed = read_images(&j->images, 1, j->image);
        j->held = image;
        for (int64_t i = 0; i < numbers; i++)
            j->brightest = j->image[i] > j->brightest ? j->image[i] : j->brightest;
        memcpy(values + n * numbers, j->image, (size_t)numbers * sizeof *values);
    }
    return failed;
}

static int fit_networks(job *j, nft_weights *weights, float *values, float *losses)
{
    int64_t count = nft_weights_count(weights), first = j->partial.finished;
    int64_t size[2];
    nft_array *images = NULL;
    size_of(j, first, size);
    const int64_t shape[] = {count, size[0], size[1], j->images.colours};
    int failed = read_batch(j, first, count, size[0] * size[1] * j->images.colours, values);
    if (!failed)
        failed = begin_networks(j, weights, first);
    if (!failed && nft_array_borrow(&images, NFT_ARRAY_F32, shape, 4, values))
        failed = fail_library();
    if (!failed)
        failed = fit_shared(weights, losses, images, &j->options, j->canonical, &j->ranks);
    nft_array_free(images);
    if (j->ranks.rank)
        j->partial.finished += count; /* rank 0 keeps them */
    else if (!failed)
        failed = partial_add(&j->partial, weights, losses);
    return failed ? failed : report_networks(j, first, count, losses);
}

static int fit_batch(job *j, int64_t count)
{
    int64_t numbers = j->images.largest * j->images.colours;
    if (numbers > INT64_MAX / (int64_t)sizeof(float) / count)
        return fail("the images are too large");
    float *values = malloc((size_t)(count * numbers) * sizeof *values);
    float *losses = malloc((size_t)count * sizeof *losses);
    nft_weights *weights = NULL;
    int failed = values && losses
                     ? EXIT_SUCCESS
                     : fail("out of memory: %" PRId64 " images at a time; try a smaller --batch-size", count);
    if (!failed && nft_weights_create(&weights, j->space, count, 1, NULL))
        failed = fail_library();
    if (!failed)
        failed = fit_networks(j, weights, values, losses);
    nft_weights_free(weights);
    free(losses);
    free(values);
    return failed;
}

/* Networks at a time: few enough that an interruption loses no minutes of work. */
static int64_t batch_of(const job *j)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t threads = j->given->threads ? j->given->threads : cores;
    int64_t batch = BATCH_PER_THREAD * threads > DEFAULT_BATCH ? BATCH_PER_THREAD * threads : DEFAULT_BATCH;
    double operations = 6.0 * (double)nft_space_parameter_count(j->space) * (double)j->images.largest *
                        (double)j->options.steps;
    double most = floor(BATCH_OPERATIONS / operations) * (double)threads;
    if (j->given->batch_size)
        return j->given->batch_size;
    return (double)batch <= most ? batch : most >= 1 ? (int64_t)most : threads;
}

static int fit_all(job *j)
{
    int64_t begun = j->partial.finished, batch = batch_of(j), least;
    ranks_agree(&j->ranks, batch, &least, &batch);
    int failed = begun ? skip_images(&j->images, begun / j->views) : EXIT_SUCCESS;
    j->held = -1;
    j->brightest = begun ? 1 : -1; /* colours before an interruption are not known */
    j->image = malloc((size_t)(j->images.largest * j->images.colours) * sizeof *j->image);
    if (!failed && !j->image)
        failed = fail_memory();
    if (!failed && !j->ranks.rank)
        failed = report_finished(j);
    while (j->partial.finished < j->networks && !failed) {
        int64_t left = j->networks - j->partial.finished;
        if (!j->progress.visible)
            progress_start(&j->progress, j->given, "fit", j->units, j->networks - begun);
        j->progress.base = j->partial.finished - begun;
        failed = fit_batch(j, count_of_one_size(j, j->partial.finished, left < batch ? left : batch));
    }
    progress_end(&j->progress);
    return failed;
}

/* "28,28,1", or of several sizes "*,*,1". */
static void describe_size(const job *j, char *text, size_t capacity)
{
    int64_t size[2];
    size_of(j, 0, size);
    if (j->images.several_sizes)
        snprintf(text, capacity, "*,*,%" PRId64, j->images.colours);
    else
        snprintf(text, capacity, "%" PRId64 ",%" PRId64 ",%" PRId64, size[0], size[1], j->images.colours);
}

/* The complete data set, from the partial file. */
static int save(job *j)
{
    char size[64], settings[128];
    bool cosine = j->options.schedule == NFT_INR_SCHEDULE_COSINE;
    describe_size(j, size, sizeof size);
    snprintf(settings, sizeof settings, "{\"steps\":%" PRId64 ",\"lr\":%.17g,\"schedule\":\"%s\"}",
             j->options.steps, j->options.lr, schedules[cosine]);
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

static int describe(const job *j)
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
    size_of(j, 0, size);
    text_plural(text, j->networks, "network");
    if (j->images.several_sizes)
        say("%s: %s of several sizes, mean PSNR %.2f dB", j->path, text, mean);
    else
        say("%s: %s of %" PRId64 " × %" PRId64 " pixels, mean PSNR %.2f dB", j->path, text, size[0], size[1],
            mean);
    return EXIT_SUCCESS;
}

/* The networks that are fitted already. */
static void note_finished(const job *j)
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
    job *j = argument;
    char settings[PARTIAL_SETTINGS];
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
static int fit_and_save(job *j)
{
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
    job j = {.own = *given, .path = option_text(given, "output"), .partial = {.descriptor = -1}};
    bool together = true;
    int failed = ranks_open_if_launched(&j.ranks);
    j.given = &j.own;
    if (j.ranks.rank) {
        j.own.quiet = true;
        j.own.json = false;
    }
    if (!failed)
        failed = ranks_in_turn(&j.ranks, prepare, &j, &together);
    if (!failed) {
        failed = fit_and_save(&j);
        together = !failed;
    }
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
