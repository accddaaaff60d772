/* The batches of nftool fit: images are read, networks are fitted and kept in the partial file. */
#define _POSIX_C_SOURCE 200809L
#include "fit_batches.h"
#include "fit_shared.h"
#include "metrics.h"
#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_BATCH 32 /* networks, or for each thread: */
#define BATCH_PER_THREAD 4
/* Operations of each thread in a batch: some seconds. An interruption loses a batch. */
#define BATCH_OPERATIONS 2e11

void fit_size(const fit_job *j, int64_t network, int64_t size[2])
{
    image_size(&j->images, j->images.first + network / j->views, size);
}

/* Results of networks first … in order; the mean so far goes into the progress line. */
static int report_networks(fit_job *j, int64_t first, int64_t count, const float *losses)
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

static int report_finished(fit_job *j)
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

/* Networks first … of --init, or fresh ones: those of an image are the same whichever images are chosen. A
 * common start is the first that the seed gives. */
static int begin_networks(const fit_job *j, nft_weights *weights, int64_t first)
{
    if (nft_weights_set_metadata(weights, OMEGA_KEY, j->omega) ||
        nft_weights_set_metadata(weights, OFFSET_KEY, j->offset[0] ? j->offset : NULL))
        return fail_library();
    int64_t number = j->options.shared_init ? 0 : j->images.first * j->views + first;
    if (!j->init)
        return nft_inr_init(weights, j->given->seed, number, 0) ? fail_library() : EXIT_SUCCESS;
    int64_t count = nft_weights_count(weights), held = nft_weights_count(j->init);
    for (int64_t t = 0; t < nft_space_describe(j->space)->tensor_count; t++) {
        int64_t each = nft_weights_data_count(j->init, t) / held;
        const float *from = nft_weights_data(j->init, t);
        float *to = nft_weights_edit(weights, t);
        for (int64_t n = 0; n < count; n++)
            memcpy(to + n * each, from + (held == 1 ? 0 : first + n) * each, (size_t)each * sizeof *to);
    }
    return EXIT_SUCCESS;
}

/* How many networks from `first` on, `most` at most, have images of one size. */
static int64_t count_of_one_size(const fit_job *j, int64_t first, int64_t most)
{
    int64_t count = 1, size[2], other[2];
    fit_size(j, first, size);
    for (bool same = true; same && count < most; count += same) {
        fit_size(j, first + count, other);
        same = size[0] == other[0] && size[1] == other[1];
    }
    return count;
}

/* The images of networks first …. An image has its views in a row, which a batch may cut. */
static int read_batch(fit_job *j, int64_t first, int64_t count, int64_t numbers, float *values)
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

static int fit_networks(fit_job *j, nft_weights *weights, float *values, float *losses)
{
    int64_t count = nft_weights_count(weights), first = j->partial.finished;
    int64_t size[2];
    nft_array *images = NULL;
    fit_size(j, first, size);
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

static int fit_batch(fit_job *j, int64_t count)
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
static int64_t batch_of(const fit_job *j)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t threads = j->given->threads ? j->given->threads : cores;
    int64_t batch = BATCH_PER_THREAD * threads > DEFAULT_BATCH ? BATCH_PER_THREAD * threads : DEFAULT_BATCH;
    double operations = 6.0 * (double)nft_space_describe(j->space)->parameter_count *
                        (double)j->images.largest * (double)j->options.steps;
    double most = floor(BATCH_OPERATIONS / operations) * (double)threads;
    if (j->given->batch_size)
        return j->given->batch_size;
    return (double)batch <= most ? batch : most >= 1 ? (int64_t)most : threads;
}

int fit_all(fit_job *j)
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
