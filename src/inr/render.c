/* Rendering: threads take pieces of images, cut in the same way for every number of threads. */
#include "base/threads.h"
#include "inr/siren_set.h"
#include "math/blas.h"
#include "math/kernel_set.h"
#include "siren/siren.h"
#include "nft/inr.h"
#include "space/array.h"

#include <inttypes.h>

#define CHUNK_PIXELS 256

typedef struct call {
    const nft_weights *weights;
    nft_siren_form form;
    int64_t first, height, width, colours;
    int64_t chunks; /* of an image */
    float *images;
    float *memory; /* for each thread `stride` floats: weights, coordinates, scratch */
    int64_t stride;
} call;

/* One channel at coordinates behind `weights`, the memory of a thread. */
static void render_channel(const call *c, int64_t network, int64_t channel, int64_t rows, float *weights,
                           float *out)
{
    const nft_space *space = c->weights->space;
    float *coordinates = weights + space->numbers;
    nft_siren_gather(c->weights, c->first + network, channel, weights);
    nft_siren_forward_form(space, &c->form, weights, rows, coordinates, out, coordinates + 2 * CHUNK_PIXELS);
}

/* The mean of the renderings of all channels; `image` has that of the first. */
static void average_channels(const call *c, int64_t network, int64_t rows, float *weights, float *image)
{
    int64_t channels = c->weights->channels, numbers = rows * c->colours;
    float *other = weights + c->stride - CHUNK_PIXELS * c->colours;
    for (int64_t channel = 1; channel < channels; channel++) {
        render_channel(c, network, channel, rows, weights, other);
        for (int64_t i = 0; i < numbers; i++)
            image[i] += other[i];
    }
    for (int64_t i = 0; i < numbers; i++)
        image[i] /= (float)channels;
}

static void render_chunk(void *argument, int64_t item, int worker)
{
    const call *c = argument;
    int64_t network = item / c->chunks, pixel = item % c->chunks * CHUNK_PIXELS,
            pixels = c->height * c->width;
    int64_t rows = pixels - pixel < CHUNK_PIXELS ? pixels - pixel : CHUNK_PIXELS;
    float *weights = c->memory + worker * c->stride,
          *image = c->images + (network * pixels + pixel) * c->colours;
    nft_siren_grid(c->height, c->width, pixel, rows, weights + c->weights->space->numbers);
    render_channel(c, network, 0, rows, weights, image);
    if (c->weights->channels > 1)
        average_channels(c, network, rows, weights, image);
}

static nft_status check_arguments(const nft_weights *weights, int64_t first, int64_t count, int64_t height,
                                  int64_t width)
{
    if (height < 1 || width < 1)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_inr_render: the size is %" PRId64 " × %" PRId64 ", expected at least 1 × 1",
                        height, width);
    if (first < 0 || first > weights->count)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_inr_render: first is %" PRId64 ", expected 0 … %" PRId64,
                        first, weights->count);
    if (count < 0)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_inr_render: count is %" PRId64 ", expected 0 or more",
                        count);
    if (count > weights->count - first)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_inr_render: first %" PRId64 " and count %" PRId64 " reach past the %" PRId64
                        " networks that there are",
                        first, count, weights->count);
    return NFT_OK;
}

static nft_status make_images(nft_array **images, const int64_t *shape, int64_t memory_limit)
{
    int64_t bytes = nft_size_multiply(nft_shape_count(shape, 4), sizeof(float));
    nft_status status = nft_check_limit("the images", bytes, memory_limit);
    return status ? status : nft_array_create(images, NFT_ARRAY_F32, shape, 4, NULL);
}

static nft_status run(call *c, int64_t count, int32_t threads)
{
    const nft_space *space = c->weights->space;
    nft_pool *pool = NULL;
    c->chunks = (c->height * c->width + CHUNK_PIXELS - 1) / CHUNK_PIXELS;
    c->stride =
        nft_size_add(nft_size_add(space->numbers, 2 * CHUNK_PIXELS), nft_siren_scratch(space, CHUNK_PIXELS));
    if (c->weights->channels > 1)
        c->stride = nft_size_add(c->stride, nft_size_multiply(CHUNK_PIXELS, c->colours));
    int64_t items = count * c->chunks;
    threads = threads < items ? threads : (int32_t)items;
    nft_status status = nft_pool_create(&pool, threads);
    if (status)
        return status;
    int64_t bytes = nft_size_multiply(nft_size_multiply(nft_pool_threads(pool), c->stride), sizeof(float));
    status = nft_check_limit("the state of rendering", bytes, 0);
    if (!status && !(c->memory = nft_allocate((size_t)bytes)))
        status = nft_fail_memory("the state of rendering", bytes);
    if (!status) {
        nft_blas_enter();
        nft_pool_run(pool, items, render_chunk, c);
        nft_blas_leave();
    }
    nft_release(c->memory);
    nft_pool_free(pool);
    return status;
}

nft_status nft_inr_render(nft_array **images, const nft_weights *weights, int64_t first, int64_t count,
                          int64_t height, int64_t width, const nft_inr_render_options *options)
{
    nft_inr_render_options filled = NFT_INR_RENDER_OPTIONS_INIT;
    nft_siren_form form;
    if (!images)
        return nft_fail_null("nft_inr_render", "images");
    *images = NULL;
    nft_status status = nft_check_siren_features("nft_inr_render", weights);
    if (status || (status = nft_fill_inr_options("nft_inr_render", &filled, options, sizeof filled)) ||
        (status = nft_kernel_set_check("nft_inr_render")) ||
        (status = nft_fill_threads("nft_inr_render", &filled.threads)) ||
        (status = nft_fill_form("nft_inr_render", &form, weights, filled.omega)) ||
        (status = nft_check_memory_limit("nft_inr_render", filled.memory_limit)) ||
        (status = check_arguments(weights, first, count, height, width)))
        return status;
    int64_t colours = weights->space->layers[weights->space->layer_count - 1].out;
    nft_array *made = NULL;
    status = make_images(&made, (int64_t[]){count, height, width, colours}, filled.memory_limit);
    if (!status && count) {
        call c = {.weights = weights,
                  .form = form,
                  .first = first,
                  .height = height,
                  .width = width,
                  .colours = colours,
                  .images = made->storage};
        status = run(&c, count, filled.threads);
    }
    if (status)
        nft_array_free(made);
    else
        *images = made;
    return status;
}
