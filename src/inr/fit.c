/* Fitting: threads take whole networks, and each is fitted from its first step to its last in memory of the
 * thread. */
#include "base/threads.h"
#include "inr/siren_set.h"
#include "math/kernel_set.h"
#include "math/schedule.h"
#include "siren/siren_tape.h"
#include "nft/inr.h"
#include "space/array.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define DEFAULT_STEPS 250
/* Steps between two calls of the callback while no network is finished. */
#define STEPS_BETWEEN 16

/* One thread's memory: the network as one piece, its moments, and a chunk of colours. */
typedef struct fitter {
    nft_siren_tape *tape;
    float *memory;
    float *weights, *gradient, *mean, *square; /* (numbers of the space) */
    float *error;                              /* (NFT_SIREN_CHUNK, colours) */
} fitter;

/* One call, as its threads see it. */
typedef struct call {
    nft_weights *weights;
    float *losses;
    const float *images;
    int64_t height, width, pixels, colours;
    nft_inr_fit_options options;
    nft_siren_form form;
    nft_pool *pool;
    fitter *fitters;
    float *start;  /* the weights that all begin with, or NULL */
    int64_t done;  /* atomic: networks finished */
    int cancelled; /* atomic */
} call;

static bool is_cancelled(call *c)
{
    return __atomic_load_n(&c->cancelled, __ATOMIC_RELAXED);
}

/* Only the caller's thread, worker 0, speaks to the callback. */
static void tell(call *c, int worker)
{
    int64_t done = __atomic_load_n(&c->done, __ATOMIC_RELAXED);
    if (worker == 0 && c->options.progress && c->options.progress(done, c->weights->count, c->options.user))
        __atomic_store_n(&c->cancelled, 1, __ATOMIC_RELAXED);
}

/* The sum of squared differences; each is left in `error`. */
static double subtract_target(int64_t count, const float *target, float *error)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        error[i] -= target[i];
        sum += (double)error[i] * (double)error[i];
    }
    return sum;
}

static int64_t chunk_rows(const call *c, int64_t first)
{
    return c->pixels - first < NFT_SIREN_CHUNK ? c->pixels - first : NFT_SIREN_CHUNK;
}

/* The mean squared error of the weights that the tape has. */
static double loss_of(const call *c, const fitter *f, const float *image)
{
    double sum = 0;
    for (int64_t first = 0; first < c->pixels; first += NFT_SIREN_CHUNK) {
        int64_t rows = chunk_rows(c, first);
        nft_siren_tape_forward_pixels(f->tape, first, rows, f->error);
        sum += subtract_target(rows * c->colours, image + first * c->colours, f->error);
    }
    return sum / (double)(c->pixels * c->colours);
}

static void follow_chunk(const call *c, const fitter *f, int64_t first, const float *target, float factor)
{
    int64_t rows = chunk_rows(c, first), count = rows * c->colours;
    nft_siren_tape_forward_pixels(f->tape, first, rows, f->error);
    for (int64_t i = 0; i < count; i++)
        f->error[i] = factor * (f->error[i] - target[i]);
    nft_siren_tape_backward(f->tape, rows, f->error);
}

/* The gradients of the mean squared error. */
static void follow(const call *c, const fitter *f, const float *image)
{
    float factor = (float)(2 / (double)(c->pixels * c->colours));
    bool together = nft_siren_tape_can_follow(f->tape);
    for (int64_t first = 0; first < c->pixels; first += NFT_SIREN_CHUNK) {
        const float *target = image + first * c->colours;
        if (together)
            nft_siren_tape_follow_pixels(f->tape, first, chunk_rows(c, first), target, factor);
        else
            follow_chunk(c, f, first, target, factor);
    }
}

static void update(const nft_inr_fit_options *options, int64_t step, int64_t numbers, fitter *f)
{
    const nft_schedule schedule = {.cosine = options->schedule == NFT_INR_SCHEDULE_COSINE,
                                   .total = options->steps};
    nft_adam adam = nft_adam_at(step + 1, options->lr * nft_schedule_factor(&schedule, step),
                                options->betas[0], options->betas[1], options->eps);
    nft_siren_tape_gradient(f->tape, f->gradient);
    nft_vector_gradients()->adam(&adam, numbers, f->gradient, f->mean, f->square, f->weights);
}

static void fit_network(void *argument, int64_t network, int worker)
{
    call *c = argument;
    fitter *f = &c->fitters[worker];
    int64_t numbers = c->weights->space->numbers;
    const float *image = c->images + network * c->pixels * c->colours;
    if (c->start)
        memcpy(f->weights, c->start, (size_t)numbers * sizeof *f->weights);
    else
        nft_weights_gather(c->weights, network, f->weights);
    memset(f->mean, 0, (size_t)numbers * sizeof *f->mean);
    memset(f->square, 0, (size_t)numbers * sizeof *f->square);
    nft_siren_tape_set_precision(f->tape, c->options.precision);
    for (int64_t step = 0; step < c->options.steps && !is_cancelled(c); step++) {
        nft_siren_tape_load(f->tape, f->weights);
        follow(c, f, image);
        update(&c->options, step, numbers, f);
        if (step % STEPS_BETWEEN == STEPS_BETWEEN - 1)
            tell(c, worker);
    }
    if (is_cancelled(c))
        return;
    nft_siren_tape_set_precision(f->tape, NFT_PRECISION_FLOAT32);
    nft_siren_tape_load(f->tape, f->weights);
    double loss = loss_of(c, f, image);
    nft_weights_scatter(c->weights, network, f->weights);
    if (c->losses)
        c->losses[network] = (float)loss;
    __atomic_add_fetch(&c->done, 1, __ATOMIC_RELAXED);
    tell(c, worker);
}

static nft_status check_rate(const char *name, double *value, double fallback, double most, const char *range)
{
    if (!(*value >= 0 && *value <= most))
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_inr_fit: %s is %g, expected 0 (the default, %g) %s", name,
                        *value, fallback, range);
    if (*value == 0)
        *value = fallback;
    return NFT_OK;
}

static nft_status fill_options(nft_inr_fit_options *filled, const nft_inr_fit_options *options)
{
    const double below_one = 1 - 0x1p-24;
    const char *up = "or a number up to 1e6", *below = "or a number below 1";
    *filled = (nft_inr_fit_options)NFT_INR_FIT_OPTIONS_INIT;
    nft_status status = nft_fill_inr_options("nft_inr_fit", filled, options, sizeof *filled);
    if (status || (status = nft_kernel_set_check("nft_inr_fit")) ||
        (status = nft_fill_threads("nft_inr_fit", &filled->threads)) ||
        (status = nft_check_precision("nft_inr_fit", filled->precision)) ||
        (status = check_rate("lr", &filled->lr, 1e-3, 1e6, up)) ||
        (status = check_rate("betas[0]", &filled->betas[0], 0.9, below_one, below)) ||
        (status = check_rate("betas[1]", &filled->betas[1], 0.999, below_one, below)) ||
        (status = check_rate("eps", &filled->eps, 1e-8, 1e6, up)))
        return status;
    if (filled->steps < 0)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_inr_fit: steps is %" PRId64 ", expected 0 (the default, %d) or more",
                        filled->steps, DEFAULT_STEPS);
    if (filled->schedule != NFT_INR_SCHEDULE_CONSTANT && filled->schedule != NFT_INR_SCHEDULE_COSINE)
        return nft_fail(
            NFT_ERROR_ARGUMENT,
            "nft_inr_fit: schedule is %d, expected NFT_INR_SCHEDULE_CONSTANT or NFT_INR_SCHEDULE_COSINE",
            filled->schedule);
    if (filled->shared_init != 0 && filled->shared_init != 1)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_inr_fit: shared_init is %d, expected 0 or 1",
                        filled->shared_init);
    if (filled->steps == 0)
        filled->steps = DEFAULT_STEPS;
    return NFT_OK;
}

static nft_status check_images(const nft_weights *weights, const nft_array *images)
{
    if (!images)
        return nft_fail_null("nft_inr_fit", "images");
    if (images->type != NFT_ARRAY_F32 || images->rank != 4)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_inr_fit: the images are %s of rank %" PRId64
                        ", expected F32 (N, height, width, colours)",
                        images->type == NFT_ARRAY_F32 ? "F32" : "I64", images->rank);
    if (images->shape[0] != weights->count)
        return nft_fail(NFT_ERROR_MISMATCH, "nft_inr_fit: %" PRId64 " images for %" PRId64 " networks",
                        images->shape[0], weights->count);
    int64_t colours = weights->space->layers[weights->space->layer_count - 1].out;
    if (images->shape[3] != colours)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_inr_fit: the images have %" PRId64 " colours, the networks %" PRId64 " outputs",
                        images->shape[3], colours);
    if (images->shape[1] < 1 || images->shape[2] < 1)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_inr_fit: the images are %" PRId64 " × %" PRId64 ", without a pixel",
                        images->shape[1], images->shape[2]);
    const float *values = images->data;
    for (int64_t i = 0; i < images->count; i++)
        if (!isfinite(values[i]))
            return nft_fail(NFT_ERROR_NOT_FINITE,
                            "nft_inr_fit: image %" PRId64 " has a number that is not finite",
                            i / (images->count / images->shape[0]));
    return NFT_OK;
}

static nft_status make_fitter(fitter *f, const call *c)
{
    const nft_space *space = c->weights->space;
    nft_status status = nft_siren_tape_create(&f->tape, space, (float)c->form.omega[0], c->options.precision);
    if (!status)
        nft_siren_tape_set_form(f->tape, &c->form);
    if (!status)
        status = nft_siren_tape_set_image(f->tape, c->height, c->width);
    if (status)
        return status;
    int64_t floats =
        nft_size_add(nft_size_multiply(4, space->numbers), nft_size_multiply(NFT_SIREN_CHUNK, c->colours));
    int64_t bytes = nft_size_multiply(floats, sizeof(float));
    if ((status = nft_check_limit("the state of a fit", bytes, 0)))
        return status;
    f->memory = nft_allocate((size_t)bytes);
    if (!f->memory)
        return nft_fail_memory("the state of a fit", bytes);
    f->weights = f->memory;
    f->gradient = f->weights + space->numbers;
    f->mean = f->gradient + space->numbers;
    f->square = f->mean + space->numbers;
    f->error = f->square + space->numbers;
    return NFT_OK;
}

static nft_status make_fitters(call *c)
{
    int threads = nft_pool_threads(c->pool);
    c->fitters = nft_allocate_array((size_t)threads, sizeof *c->fitters);
    if (!c->fitters)
        return nft_fail_memory("the state of a fit", threads * (int64_t)sizeof *c->fitters);
    nft_status status = NFT_OK;
    for (int i = 0; i < threads && !status; i++)
        status = make_fitter(&c->fitters[i], c);
    return status;
}

static void free_fitters(call *c)
{
    for (int i = 0; c->fitters && i < nft_pool_threads(c->pool); i++) {
        nft_siren_tape_free(c->fitters[i].tape);
        nft_release(c->fitters[i].memory);
    }
    nft_release(c->fitters);
}

/* A copy, because network 0 may be finished before another begins. */
static nft_status copy_start(call *c)
{
    int64_t numbers = c->weights->space->numbers;
    if (!c->options.shared_init)
        return NFT_OK;
    c->start = nft_allocate_array((size_t)numbers, sizeof *c->start);
    if (!c->start)
        return nft_fail_memory("the weights to begin with", numbers * (int64_t)sizeof *c->start);
    nft_weights_gather(c->weights, 0, c->start);
    return NFT_OK;
}

static nft_status run(call *c)
{
    int64_t count = c->weights->count;
    int threads = c->options.threads < count ? c->options.threads : (int)count;
    nft_status status = nft_pool_create(&c->pool, threads);
    if (!status)
        status = make_fitters(c);
    if (!status)
        status = copy_start(c);
    if (!status) {
        nft_pool_run(c->pool, count, fit_network, c);
        if (c->done == count)
            tell(c, 0); /* the last networks may have been other threads' */
        else
            status = nft_fail(NFT_ERROR_CANCELLED,
                              "nft_inr_fit: the progress callback stopped it after %" PRId64 " of %" PRId64
                              " networks",
                              c->done, count);
    }
    free_fitters(c);
    nft_release(c->start);
    nft_pool_free(c->pool);
    return status;
}

nft_status nft_inr_fit(nft_weights *weights, float *losses, const nft_array *images,
                       const nft_inr_fit_options *options)
{
    call c = {.weights = weights, .losses = losses};
    nft_status status = nft_check_own_siren_set("nft_inr_fit", weights);
    if (!status)
        status = check_images(weights, images);
    if (!status)
        status = fill_options(&c.options, options);
    if (!status)
        status = nft_fill_form("nft_inr_fit", &c.form, weights, c.options.omega);
    if (!status)
        status = nft_note_form(weights, c.options.omega);
    if (status)
        return status;
    for (int64_t n = 0; losses && n < weights->count; n++)
        losses[n] = NAN;
    if (weights->count == 0)
        return NFT_OK;
    c.images = images->data;
    c.height = images->shape[1];
    c.width = images->shape[2];
    c.pixels = c.height * c.width;
    c.colours = images->shape[3];
    return run(&c);
}
