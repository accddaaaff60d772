#include "train/validation.h"

#include "train/not_finite.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* The results of a validation: a loss of each sample, and its output. Images, and networks that render them,
 * are too large to be kept. */
static nft_status make_output(nft_validation *validation, const nft_objective *objective, int64_t count)
{
    double *losses = nft_allocate_array((size_t)count + 1, sizeof *losses);
    if (!losses)
        return nft_fail_memory("the losses of a validation", nft_size_multiply(count, sizeof *losses));
    const nft_array *like = objective->loss->sample ? objective->gradient : NULL;
    int64_t shape[NFT_ARRAY_MAX_RANK] = {count};
    for (int64_t i = 1; like && i < like->rank; i++)
        shape[i] = like->shape[i];
    nft_array *output = NULL;
    nft_status status = NFT_OK;
    if (like)
        status = nft_array_create(&output, NFT_ARRAY_F32, shape, like->rank, NULL);
    if (status) {
        nft_release(losses);
        return status;
    }
    nft_release(validation->losses);
    nft_array_free(validation->output);
    validation->losses = losses;
    validation->output = output;
    return NFT_OK;
}

nft_status nft_validation_prepare(nft_validation *validation, const nft_objective *objective, int64_t count,
                                  const nft_context_options *options)
{
    nft_status status = NFT_OK;
    if (!validation->context)
        status = nft_context_create(&validation->context, objective->model, options);
    return status ? status : make_output(validation, objective, count);
}

void nft_validation_clear(nft_validation *validation)
{
    nft_set_clear(&validation->set, true);
    nft_context_free(validation->context);
    nft_array_free(validation->output);
    nft_release(validation->losses);
    *validation = (nft_validation){0};
}

/* The loss and output of a sample whose forward has run. */
static nft_status take_sample(nft_trainer *trainer, const nft_sample *sample, const float *output)
{
    if (trainer->validation.output)
        memcpy((float *)trainer->validation.output->storage + sample->number * trainer->objective.outputs,
               output, (size_t)trainer->objective.outputs * sizeof *output);
    double own = nft_objective_loss(&trainer->objective, sample, output, 0, NULL);
    trainer->validation.losses[sample->number] = own;
    if (isfinite(own))
        return NFT_OK;
    return nft_fail_in(nft_fail_loss(trainer, "validation set", sample->number, output),
                       "after %" PRId64 " steps", trainer->state.step);
}

/* The losses and outputs of samples first … first + count - 1. */
static nft_status run_piece(nft_trainer *trainer, int64_t first, int64_t count)
{
    nft_sample samples[NFT_PIECE_SAMPLES];
    nft_context *context = trainer->validation.context;
    nft_status status = nft_set_fetch(&trainer->objective, &trainer->validation.set, NULL, first, count,
                                      &trainer->pieces, samples);
    if (status)
        return nft_fail_in(status, "validation set");
    status = nft_samples_run(context, samples, count, 0);
    for (int64_t i = 0; i < count && !status; i++)
        status = take_sample(trainer, &samples[i], nft_objective_output(&trainer->objective, context, i));
    return status;
}

/* The parameters of a validation, and back again, are their average if there is one. */
static void swap_average(nft_trainer *trainer)
{
    if (!trainer->state.average.values)
        return;
    nft_average_swap(&trainer->state.average, trainer->model);
    nft_context_parameters_changed(trainer->loop.context);
}

/* This rank's samples, then those of the others from them. Everything is 0 except on one rank, so the sums
 * are the numbers of that rank. */
static nft_status run_samples(nft_trainer *trainer)
{
    int64_t samples = trainer->validation.set.total, first, count;
    nft_array *output = trainer->validation.output;
    nft_status status = NFT_OK;
    memset(trainer->validation.losses, 0, (size_t)samples * sizeof *trainer->validation.losses);
    if (output)
        memset(output->storage, 0, (size_t)output->count * sizeof(float));
    nft_trainer_part(trainer, trainer->validation.set.count, &first, &count);
    swap_average(trainer);
    for (int64_t end = first + count; first < end && !status; first += NFT_PIECE_SAMPLES)
        status = run_piece(trainer, first, end - first < NFT_PIECE_SAMPLES ? end - first : NFT_PIECE_SAMPLES);
    swap_average(trainer);
    return nft_trainer_reduce(trainer, status, trainer->validation.losses, samples + 1,
                              output ? output->storage : NULL, output ? output->count : 0);
}

/* Samples that are left out have no output. */
static void clear_left_out(nft_validation *validation, int64_t outputs)
{
    const nft_set *set = &validation->set;
    for (int64_t number = 0, at = 0; set->chosen && validation->output && number < set->total; number++) {
        float *row = (float *)validation->output->storage + number * outputs;
        bool used = at < set->count && set->chosen[at] == number;
        at += used;
        for (int64_t i = 0; i < outputs && !used; i++)
            row[i] = NAN;
    }
}

/* In the order of the samples. */
static double mean_loss(const nft_validation *validation)
{
    int64_t samples = validation->set.count;
    double sum = 0;
    for (int64_t i = 0; i < samples; i++)
        sum += validation->losses[nft_set_number(&validation->set, i)];
    return sum / (double)samples;
}

nft_status nft_trainer_run_validation(nft_trainer *trainer, double *loss)
{
    nft_status status = run_samples(trainer);
    clear_left_out(&trainer->validation, trainer->objective.outputs);
    trainer->validation.has_run = !status;
    if (status)
        return status;
    *loss = mean_loss(&trainer->validation);
    nft_state_take_loss(&trainer->state, *loss);
    return NFT_OK;
}

nft_status nft_trainer_validate(double *loss, nft_trainer *trainer)
{
    static const char function[] = "nft_trainer_validate";
    nft_status status = nft_trainer_check_call(trainer, function);
    if (status)
        return status;
    if (!loss)
        return nft_fail_null(function, "loss");
    if (!trainer->validation.set.count)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: there is no validation set; call nft_trainer_set_data first",
                        function);
    status = nft_trainer_run_validation(trainer, loss);
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}
