#include "fit_widths.h"

#include "metrics.h"
#include "omega.h"
#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define MOST_TRIED 4 /* images */

static const int64_t sizes[] = {8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256};
#define SIZES (int)(sizeof sizes / sizeof *sizes)

static int fit_image(double *psnr, const width_search *search, int64_t width, int64_t number,
                     nft_array *image)
{
    const int64_t widths[] = {2, width, width, nft_array_size(image, 3)};
    nft_inr_fit_options options = *search->options;
    nft_space *space = NULL;
    nft_weights *weights = NULL;
    float loss = 0;
    options.progress = NULL;
    nft_status status = nft_space_create_mlp(&space, widths, 4);
    if (!status)
        status = nft_weights_create(&weights, space, 1, 1, NULL);
    if (!status)
        status = nft_weights_set_metadata(weights, OMEGA_KEY, search->omega);
    if (!status)
        status = nft_weights_set_metadata(weights, OFFSET_KEY, search->offset);
    if (!status)
        status = nft_inr_init(weights, search->seed, number, 0);
    if (!status)
        status = nft_inr_fit(weights, &loss, image, &options);
    nft_weights_free(weights);
    nft_space_free(space);
    *psnr = isfinite((double)loss) ? metrics_psnr((double)loss) : 0;
    return status ? fail_library() : EXIT_SUCCESS;
}

/* The mean over the images. */
static int try_width(double *mean, const width_search *search, int64_t width, nft_array **images,
                     int64_t count)
{
    int failed = EXIT_SUCCESS;
    *mean = 0;
    for (int64_t i = 0; i < count && !failed; i++) {
        double psnr = 0;
        int64_t number = search->options->shared_init ? 0 : search->first + i;
        failed = fit_image(&psnr, search, width, number, images[i]);
        *mean += psnr / (double)count;
    }
    return failed;
}

static int read_image(nft_array **image, cli_images *images)
{
    const int64_t shape[] = {1, images->height, images->width, images->colours};
    float *values = malloc((size_t)(images->height * images->width * images->colours) * sizeof *values);
    if (!values)
        return fail_memory();
    int failed = read_images(images, 1, values);
    if (!failed && nft_array_create(image, NFT_ARRAY_F32, shape, 4, values))
        failed = fail_library();
    free(values);
    return failed;
}

static int read_first(nft_array **images, const width_search *search, int64_t count)
{
    cli_images source;
    int failed = open_images(&source, search->paths, search->path_count);
    if (!failed)
        failed = choose_images(&source, search->first, count);
    for (int64_t i = 0; i < count && !failed; i++)
        failed = read_image(&images[i], &source);
    close_images(&source);
    return failed;
}

int find_width(int64_t *width, double *reached, const width_search *search)
{
    nft_array *images[MOST_TRIED] = {NULL};
    int64_t count = search->count < MOST_TRIED ? search->count : MOST_TRIED;
    double best = 0;
    int failed = read_first(images, search, count);
    *reached = 0;
    for (int s = 0; s < SIZES && !failed && *reached < search->psnr; s++) {
        *width = sizes[s];
        failed = try_width(reached, search, *width, images, count);
        best = *reached > best ? *reached : best;
    }
    if (!failed && *reached < search->psnr)
        failed = fail("--psnr is %g, but networks of up to %" PRId64
                      " neurons a layer reach %.2f dB on the first images; more --steps may help",
                      search->psnr, sizes[SIZES - 1], best);
    for (int i = 0; i < MOST_TRIED; i++)
        nft_array_free(images[i]);
    return failed;
}
