#include "train/image_loss.h"

#include "siren/siren.h"
#include "train/losses.h"

#include <string.h>

static int64_t pixel_bytes(const nft_space *space)
{
    return nft_size_multiply(NFT_SIREN_CHUNK * (int64_t)sizeof(float),
                             space->layers[space->layer_count - 1].out);
}

static int64_t mean_bytes(const nft_space *space, int64_t networks, int64_t height, int64_t width)
{
    int64_t numbers = nft_size_multiply(height, width);
    numbers = nft_size_multiply(numbers, space->layers[space->layer_count - 1].out);
    return networks > 1 ? nft_size_multiply(numbers, sizeof(float)) : 0;
}

int64_t nft_image_loss_bytes(const nft_space *space, int64_t networks, int64_t height, int64_t width)
{
    int64_t tape =
        nft_size_add(nft_siren_tape_bytes(space), nft_siren_tape_image_bytes(space, height, width));
    tape = nft_size_add(tape, mean_bytes(space, networks, height, width));
    return nft_size_add(sizeof(nft_image_loss), nft_size_add(pixel_bytes(space), tape));
}

nft_status nft_image_loss_create(nft_image_loss **out, const nft_space *space, int64_t networks, float omega,
                                 int64_t height, int64_t width)
{
    *out = NULL;
    nft_status status = nft_siren_check_space(space);
    if (status)
        return status;
    nft_image_loss *loss = nft_allocate(sizeof *loss);
    if (!loss)
        return nft_fail_memory("the loss between images", sizeof *loss);
    loss->space = space;
    loss->height = height;
    loss->width = width;
    loss->colours = space->layers[space->layer_count - 1].out;
    loss->numbers = nft_size_multiply(nft_size_multiply(height, width), loss->colours);
    int64_t bytes = pixel_bytes(space);
    if (!(loss->pixels = nft_allocate((size_t)bytes)))
        status = nft_fail_memory("the loss between images", bytes);
    bytes = mean_bytes(space, networks, height, width);
    if (!status && bytes && !(loss->mean = nft_allocate((size_t)bytes)))
        status = nft_fail_memory("the loss between images", bytes);
    if (!status)
        status = nft_siren_tape_create(&loss->tape, space, omega, NFT_PRECISION_FLOAT32);
    if (!status)
        status = nft_siren_tape_set_image(loss->tape, height, width);
    if (status) {
        nft_image_loss_free(loss);
        return status;
    }
    *out = loss;
    return NFT_OK;
}

void nft_image_loss_free(nft_image_loss *loss)
{
    if (!loss)
        return;
    nft_siren_tape_free(loss->tape);
    nft_release(loss->pixels);
    nft_release(loss->mean);
    nft_release(loss);
}

static int64_t rows_of_chunk(const nft_image_loss *loss, int64_t first)
{
    int64_t left = loss->height * loss->width - first;
    return left < NFT_SIREN_CHUNK ? left : NFT_SIREN_CHUNK;
}

double nft_image_loss_of_network(nft_image_loss *loss, const float *network, const float *target,
                                 double scale, float *gradient)
{
    double sum = 0, factor = 2 * scale / (double)loss->numbers;
    nft_siren_tape_load(loss->tape, network);
    for (int64_t first = 0; first < loss->height * loss->width; first += NFT_SIREN_CHUNK) {
        int64_t rows = rows_of_chunk(loss, first);
        nft_siren_tape_forward_pixels(loss->tape, first, rows, loss->pixels);
        sum += nft_squares(rows * loss->colours, loss->pixels, target + first * loss->colours, factor,
                           gradient ? loss->pixels : NULL);
        if (gradient)
            nft_siren_tape_backward(loss->tape, rows, loss->pixels);
    }
    if (gradient)
        nft_siren_tape_gradient(loss->tape, gradient);
    return sum / (double)loss->numbers;
}

/* mean ← mean + rendering / count */
static void add_rendering(nft_image_loss *loss, const float *network, int64_t count)
{
    nft_siren_tape_load(loss->tape, network);
    for (int64_t first = 0; first < loss->height * loss->width; first += NFT_SIREN_CHUNK) {
        int64_t rows = rows_of_chunk(loss, first);
        float *mean = loss->mean + first * loss->colours;
        nft_siren_tape_forward_pixels(loss->tape, first, rows, loss->pixels);
        for (int64_t i = 0; i < rows * loss->colours; i++)
            mean[i] += loss->pixels[i] / (float)count;
    }
}

/* Renders once more, because the tape holds one network. `loss->mean` has the gradient of each rendering. */
static void rendering_back(nft_image_loss *loss, const float *network, float *gradient)
{
    nft_siren_tape_load(loss->tape, network);
    for (int64_t first = 0; first < loss->height * loss->width; first += NFT_SIREN_CHUNK) {
        int64_t rows = rows_of_chunk(loss, first);
        nft_siren_tape_forward_pixels(loss->tape, first, rows, loss->pixels);
        memcpy(loss->pixels, loss->mean + first * loss->colours,
               (size_t)(rows * loss->colours) * sizeof *loss->pixels);
        nft_siren_tape_backward(loss->tape, rows, loss->pixels);
    }
    nft_siren_tape_gradient(loss->tape, gradient);
}

double nft_image_loss_of_networks(nft_image_loss *loss, int64_t count, const float *networks,
                                  const float *target, double scale, float *gradients)
{
    int64_t numbers = loss->space->numbers;
    if (count == 1)
        return nft_image_loss_of_network(loss, networks, target, scale, gradients);
    memset(loss->mean, 0, (size_t)loss->numbers * sizeof *loss->mean);
    for (int64_t i = 0; i < count; i++)
        add_rendering(loss, networks + i * numbers, count);
    double sum = nft_squares(loss->numbers, loss->mean, target,
                             2 * scale / (double)loss->numbers / (double)count, loss->mean);
    for (int64_t i = 0; i < count && gradients; i++)
        rendering_back(loss, networks + i * numbers, gradients + i * numbers);
    return sum / (double)loss->numbers;
}

double nft_image_loss_of_image(nft_image_loss *loss, const float *image, const float *network, double scale,
                               float *gradient)
{
    double sum = 0, factor = 2 * scale / (double)loss->numbers;
    nft_siren_tape_load(loss->tape, network);
    for (int64_t first = 0; first < loss->height * loss->width; first += NFT_SIREN_CHUNK) {
        int64_t rows = rows_of_chunk(loss, first), at = first * loss->colours;
        nft_siren_tape_forward_pixels(loss->tape, first, rows, loss->pixels);
        sum += nft_squares(rows * loss->colours, image + at, loss->pixels, factor,
                           gradient ? gradient + at : NULL);
    }
    return sum / (double)loss->numbers;
}
