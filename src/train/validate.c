/* Validation: the loss without dropout over a set that the model is not trained on, and the best parameters
 * so far. */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* The results of a validation: a loss of each sample, and its output. Images, and networks that render them,
 * are too large to be kept. */
static nft_status make_output(nft_trainer *trainer, int64_t count)
{
    double *losses = nft_allocate_array((size_t)count + 1, sizeof *losses);
    if (!losses)
        return nft_fail_memory("the losses of a validation", nft_size_multiply(count, sizeof *losses));
    const nft_array *like = trainer->recipe.loss->sample ? trainer->output_gradient : NULL;
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
    nft_release(trainer->validation_losses);
    nft_array_free(trainer->validation_output);
    trainer->validation_losses = losses;
    trainer->validation_output = output;
    return NFT_OK;
}

nft_status nft_trainer_prepare_validation(nft_trainer *trainer, int64_t count)
{
    int64_t bytes = trainer->model->parameters.total * (int64_t)sizeof *trainer->best;
    if (!trainer->best && !(trainer->best = nft_allocate((size_t)bytes)))
        return nft_fail_memory("the best parameters", bytes);
    nft_context_options options = nft_validation_options(&trainer->options);
    nft_status status = NFT_OK;
    if (!trainer->validation_context)
        status = nft_context_create(&trainer->validation_context, trainer->model, &options);
    return status ? status : make_output(trainer, count);
}

/* The loss and output of a sample whose forward has run. */
static nft_status take_sample(nft_trainer *trainer, const nft_sample *sample, const float *output)
{
    if (trainer->validation_output)
        memcpy((float *)trainer->validation_output->storage + sample->number * trainer->outputs, output,
               (size_t)trainer->outputs * sizeof *output);
    double own = nft_sample_loss(trainer, sample, output, 0, NULL);
    trainer->validation_losses[sample->number] = own;
    if (isfinite(own))
        return NFT_OK;
    return nft_fail_in(nft_fail_loss(trainer, "validation set", sample->number, output),
                       "after %" PRId64 " steps", trainer->step);
}

/* The losses and outputs of samples first … first + count - 1. */
static nft_status run_piece(nft_trainer *trainer, int64_t first, int64_t count)
{
    nft_sample samples[NFT_PIECE_SAMPLES];
    nft_context *context = trainer->validation_context;
    nft_status status =
        nft_set_fetch(trainer, &trainer->validation, NULL, first, count, &trainer->pieces, samples);
    if (status)
        return nft_fail_in(status, "validation set");
    status = nft_samples_run(context, samples, count, 0);
    for (int64_t i = 0; i < count && !status; i++)
        status = take_sample(trainer, &samples[i], nft_trainer_output(trainer, context, i));
    return status;
}

/* The parameters of a validation, and back again, are their average if there is one. */
static void swap_average(nft_trainer *trainer)
{
    if (!trainer->average.values)
        return;
    nft_average_swap(&trainer->average, trainer->model);
    nft_context_parameters_changed(trainer->context);
}

/* This rank's samples, then those of the others from them. Everything is 0 except on one rank, so the sums
 * are the numbers of that rank. */
static nft_status run_samples(nft_trainer *trainer)
{
    int64_t samples = trainer->validation.total, first, count;
    nft_array *output = trainer->validation_output;
    nft_status status = NFT_OK;
    memset(trainer->validation_losses, 0, (size_t)samples * sizeof *trainer->validation_losses);
    if (output)
        memset(output->storage, 0, (size_t)output->count * sizeof(float));
    nft_trainer_part(trainer, trainer->validation.count, &first, &count);
    swap_average(trainer);
    for (int64_t end = first + count; first < end && !status; first += NFT_PIECE_SAMPLES)
        status = run_piece(trainer, first, end - first < NFT_PIECE_SAMPLES ? end - first : NFT_PIECE_SAMPLES);
    swap_average(trainer);
    return nft_trainer_reduce(trainer, status, trainer->validation_losses, samples + 1,
                              output ? output->storage : NULL, output ? output->count : 0);
}

/* Samples that are left out have no output. */
static void clear_left_out(nft_trainer *trainer)
{
    const nft_set *set = &trainer->validation;
    nft_array *output = trainer->validation_output;
    for (int64_t number = 0, at = 0; set->chosen && output && number < set->total; number++) {
        float *row = (float *)output->storage + number * trainer->outputs;
        bool used = at < set->count && set->chosen[at] == number;
        at += used;
        for (int64_t i = 0; i < trainer->outputs && !used; i++)
            row[i] = NAN;
    }
}

nft_status nft_trainer_run_validation(nft_trainer *trainer, double *loss)
{
    int64_t samples = trainer->validation.count;
    double sum = 0;
    nft_status status = run_samples(trainer);
    clear_left_out(trainer);
    trainer->has_validated = !status;
    if (status)
        return status;
    trainer->owes_validation = false;
    for (int64_t i = 0; i < samples; i++)
        sum += trainer->validation_losses[nft_set_number(&trainer->validation, i)];
    *loss = sum / (double)samples;
    if (trainer->has_best && *loss >= trainer->best_loss)
        return NFT_OK;
    memcpy(trainer->best, nft_average_values(&trainer->average, trainer->model),
           (size_t)trainer->model->parameters.total * sizeof *trainer->best);
    trainer->best_loss = *loss;
    trainer->has_best = true;
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
    if (!trainer->validation.count)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: there is no validation set; call nft_trainer_set_data first",
                        function);
    status = nft_trainer_run_validation(trainer, loss);
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}
