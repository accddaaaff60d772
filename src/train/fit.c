/* The statistics of the training data that modules keep as buffers (normalize). */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>

#define LEAST_DEVIATION 1e-5 /* below it 1 is stored */

/* Count, mean and sum of squared deviations of what was seen so far; parts are joined by the update of Chan,
 * Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983. */
typedef struct moments {
    double count, mean, squares;
} moments;

static void join(moments *all, double count, double mean, double squares)
{
    double total = all->count + count, difference = mean - all->mean;
    all->mean += difference * count / total;
    all->squares += squares + difference * difference * all->count * count / total;
    all->count = total;
}

/* The modules of parameters first … end - 1 read the same value, which step `step` was given. */
typedef struct fitting {
    nft_trainer *trainer;
    int64_t first, end, step;
    moments **moments;             /* for each parameter that declares statistics; else NULL */
    int64_t first_sample, samples; /* of the group that is kept: those that have a frame */
} fitting;

static int64_t moment_count(const nft_statistics *s)
{
    return s->per_weight ? s->channels * s->tokens * s->positions : s->channels;
}

/* x (tokens, channels * positions) of one sample, each number by itself. */
static void add_weights(const nft_statistics *s, const float *x, moments *all)
{
    for (int64_t token = 0; token < s->tokens; token++)
        for (int64_t c = 0; c < s->channels; c++)
            for (int64_t p = 0; p < s->positions; p++)
                join(&all[(c * s->tokens + token) * s->positions + p], 1,
                     (double)x[(token * s->channels + c) * s->positions + p], 0);
}

static void add_channel(const nft_statistics *s, const float *x, moments *all)
{
    int64_t stride = s->channels * s->positions;
    double count = (double)(s->tokens * s->positions), sum = 0, squares = 0;
    for (int64_t token = 0; token < s->tokens; token++)
        for (int64_t p = 0; p < s->positions; p++)
            sum += (double)x[token * stride + p];
    double mean = sum / count;
    for (int64_t token = 0; token < s->tokens; token++)
        for (int64_t p = 0; p < s->positions; p++)
            squares += ((double)x[token * stride + p] - mean) * ((double)x[token * stride + p] - mean);
    join(all, count, mean, squares);
}

/* One parameter, over the samples of a group in their order. */
static void add_group(void *argument, int64_t item, int worker)
{
    (void)worker;
    const fitting *f = argument;
    moments *all = f->moments[item];
    const nft_context *context = f->trainer->context;
    const nft_statistics *s = &f->trainer->model->parameters.items[f->first + item].statistics;
    for (int64_t sample = 0; all && sample < f->samples; sample++) {
        const float *frame = nft_context_frame(context, f->step, f->first_sample + sample, sample);
        const float *x = frame + s->value + s->first;
        if (s->per_weight)
            add_weights(s, x, all);
        for (int64_t c = 0; !s->per_weight && c < s->channels; c++)
            add_channel(s, x + c * s->positions, all + c);
    }
}

/* The samples of a group whose forward has run. */
static void add_samples(fitting *f, int64_t count)
{
    nft_context *context = f->trainer->context;
    int64_t frames = nft_context_frame_count(context);
    for (f->first_sample = 0; f->first_sample < count; f->first_sample += f->samples) {
        f->samples = count - f->first_sample < frames ? count - f->first_sample : frames;
        nft_context_restore_frames(context, f->step, f->first_sample, f->samples);
        nft_pool_run(context->pool, f->end - f->first, add_group, f);
    }
}

static nft_status read_data(fitting *f)
{
    nft_trainer *trainer = f->trainer;
    int64_t samples = trainer->train.count, group = trainer->group;
    nft_status status = NFT_OK;
    for (int64_t first = 0; first < samples && !status; first += group) {
        nft_samples piece;
        nft_forward_input input = {.count = samples - first < group ? samples - first : group,
                                   .steps = f->step + 1};
        status = nft_samples_fetch(trainer, &trainer->train, first, input.count, &piece, &input.first);
        input.weights = piece.weights;
        input.tokens = piece.tokens;
        if (!status)
            status = nft_context_run(trainer->context, &input);
        if (!status)
            add_samples(f, input.count);
    }
    return status;
}

static void write_buffers(const fitting *f, const nft_parameter *parameter, const moments *all)
{
    const nft_statistics *s = &parameter->statistics;
    float *values = f->trainer->model->values, *mean = values + s->mean,
          *deviation = values + parameter->offset;
    int64_t copies = s->per_weight ? 1 : s->tokens * s->positions;
    for (int64_t i = 0; i < parameter->count; i++) {
        const moments *own = &all[i / copies];
        double root = sqrt(own->squares / own->count);
        mean[i] = (float)own->mean;
        deviation[i] = root < LEAST_DEVIATION ? 1 : (float)root;
    }
}

static nft_status check_moments(const nft_parameter *parameter, const moments *all)
{
    for (int64_t i = 0; i < moment_count(&parameter->statistics); i++)
        if (!isfinite(all[i].mean) || !isfinite(all[i].squares))
            return nft_fail(NFT_ERROR_NOT_FINITE, "the data for '%s' are not finite", parameter->name);
    return NFT_OK;
}

int64_t nft_fit_bytes(const nft_model *model)
{
    int64_t numbers = 0;
    for (int64_t i = 0; i < model->parameters.count; i++)
        if (model->parameters.items[i].statistics.declared)
            numbers = nft_size_add(numbers, moment_count(&model->parameters.items[i].statistics));
    return nft_size_multiply(numbers, sizeof(moments));
}

static nft_status make_moments(fitting *f)
{
    for (int64_t i = f->first; i < f->end; i++) {
        const nft_statistics *s = &f->trainer->model->parameters.items[i].statistics;
        if (!s->declared)
            continue;
        f->moments[i - f->first] = nft_allocate_array((size_t)moment_count(s), sizeof(moments));
        if (!f->moments[i - f->first])
            return nft_fail_memory("statistics of the training data",
                                   moment_count(s) * (int64_t)sizeof(moments));
    }
    return NFT_OK;
}

/* One pass over the training set. */
static nft_status fit_module(fitting *f)
{
    int64_t count = f->end - f->first;
    const nft_parameter *items = f->trainer->model->parameters.items + f->first;
    f->moments = nft_allocate_array((size_t)count, sizeof *f->moments);
    nft_status status =
        f->moments ? make_moments(f)
                   : nft_fail_memory("statistics of the training data", count * (int64_t)sizeof *f->moments);
    if (!status)
        status = read_data(f);
    for (int64_t i = 0; i < count && !status; i++)
        if (f->moments[i])
            status = check_moments(&items[i], f->moments[i]);
    for (int64_t i = 0; i < count && !status; i++)
        if (f->moments[i])
            write_buffers(f, &items[i], f->moments[i]);
    for (int64_t i = 0; f->moments && i < count; i++)
        nft_release(f->moments[i]);
    nft_release(f->moments);
    return status;
}

/* The end of the parameters from `first` on whose modules read the value that the first of them reads: all of
 * one module's. Buffers without a declaration of their own belong to the deviations that follow them. */
static int64_t end_of_module(const nft_parameters *table, int64_t first, int64_t end)
{
    const nft_parameter *begin = NULL;
    for (int64_t i = first; i < end; i++) {
        const nft_parameter *parameter = &table->items[i];
        if (!parameter->statistics.declared)
            continue;
        if (begin && parameter->statistics.value != begin->statistics.value)
            return i;
        begin = parameter;
    }
    return end;
}

static bool has_statistics(const nft_parameters *table, int64_t first, int64_t end)
{
    for (int64_t i = first; i < end; i++)
        if (table->items[i].statistics.declared)
            return true;
    return false;
}

nft_status nft_trainer_fit_normalize(nft_trainer *trainer)
{
    static const char function[] = "nft_trainer_fit_normalize";
    nft_status status = nft_trainer_check_call(trainer, function);
    if (status)
        return status;
    if (trainer->step)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "%s: %" PRId64 " steps were taken already; call it before the first", function,
                        trainer->step);
    if (!trainer->train.count)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: there is no training set; call nft_trainer_set_%s first",
                        function, trainer->model->space ? "data" : "tokens");
    const nft_model *model = trainer->model;
    for (int64_t step = 0; step < nft_model_step_count(model) && !status; step++) {
        int64_t end = model->steps[step].end_parameter;
        for (int64_t first = model->steps[step].first_parameter; first < end && !status;) {
            fitting f = {.trainer = trainer, .first = first, .step = step};
            f.end = end_of_module(&model->parameters, first, end);
            if (has_statistics(&model->parameters, first, f.end))
                status = fit_module(&f);
            first = f.end;
        }
    }
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}
