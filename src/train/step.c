/* One step of training: forward and backward of a batch group by group, clipping, update. */
#include "train/trainer.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

/* The losses of a group whose forward has run, and the gradients of its outputs. */
static nft_status group_loss(nft_trainer *trainer, const nft_sample *samples, int64_t count, double *loss)
{
    nft_weights *features = trainer->features_gradient;
    double scale = 1 / (double)trainer->recipe.batch_size;
    for (int64_t i = 0; i < count; i++) {
        const float *output = nft_trainer_output(trainer, trainer->context, i);
        float *gradient = features ? trainer->network_gradient
                                   : (float *)trainer->output_gradient->storage + i * trainer->outputs;
        double own = nft_sample_loss(trainer, &samples[i], output, scale, gradient);
        if (!isfinite(own))
            return nft_fail_in(nft_fail_loss(trainer,
                                             trainer->source.callback ? "callback's batch" : "training set",
                                             samples[i].number, output),
                               "step %" PRId64, trainer->step);
        if (features)
            nft_weights_scatter(features, i, gradient);
        *loss += own * scale;
    }
    return NFT_OK;
}

static nft_status group_backward(nft_trainer *trainer, int64_t count)
{
    nft_array *gradient = trainer->output_gradient;
    if (trainer->features_gradient) {
        trainer->features_gradient->count = count;
        return nft_backward(trainer->context, NFT_VIEW_WEIGHTS(trainer->features_gradient),
                            trainer->gradients);
    }
    gradient->shape[0] = count;
    gradient->count = count * trainer->outputs;
    return nft_backward(trainer->context, NFT_VIEW_ARRAY(gradient), trainer->gradients);
}

/* `first`: number of the first sample in the batch. */
static nft_status run_group(nft_trainer *trainer, int64_t first, int64_t count, double *loss)
{
    const nft_sample *samples = trainer->samples + first;
    for (int64_t i = 0; i < count; i++)
        trainer->dropout[i] = (nft_dropout_key){
            .seed = trainer->recipe.seed, .step = (uint64_t)trainer->step, .sample = (uint64_t)(first + i)};
    nft_status status = nft_samples_run(trainer->context, samples, count, 0);
    if (!status)
        status = group_loss(trainer, samples, count, loss);
    return status ? status : group_backward(trainer, count);
}

static nft_status batch_gradients(nft_trainer *trainer, int64_t first, int64_t count, double *loss)
{
    nft_status status = NFT_OK;
    nft_gradients_clear(trainer->gradients);
    nft_context_set_dropout(trainer->context, trainer->dropout);
    for (int64_t end = first + count, group; first < end && !status; first += group) {
        group = nft_trainer_next_group(trainer, trainer->samples + first, end - first);
        status = run_group(trainer, first, group, loss);
    }
    nft_context_set_dropout(trainer->context, NULL);
    return status;
}

/* Names a gradient that is not finite, or else the largest one: its square is not finite. */
static nft_status fail_gradients(const nft_trainer *trainer)
{
    const nft_parameters *table = &trainer->model->parameters;
    const char *largest = NULL;
    float most = 0;
    for (int64_t i = 0; i < table->count; i++)
        for (int64_t k = 0; k < table->items[i].count; k++) {
            float gradient = fabsf(trainer->gradients->values[table->items[i].offset + k]);
            if (!isfinite(gradient))
                return nft_fail(NFT_ERROR_NOT_FINITE,
                                "step %" PRId64 ": the gradient of '%s' is not finite; %s", trainer->step,
                                table->items[i].name, nft_divergence_advice(trainer));
            if (gradient > most)
                largest = table->items[i].name;
            most = fmaxf(most, gradient);
        }
    return nft_fail(NFT_ERROR_NOT_FINITE,
                    "step %" PRId64 ": the gradient of '%s' is as large as %g, too large for the optimizer's "
                    "squares; try grad_clip, and look for outliers in the data",
                    trainer->step, largest ? largest : "", (double)most);
}

/* Squares of gradients beyond these would stay in the moments as infinities. */
static nft_status update(nft_trainer *trainer, const nft_step_info *info)
{
    const nft_recipe *recipe = &trainer->recipe;
    double scale = recipe->grad_clip > 0 ? fmin(1, recipe->grad_clip / (info->grad_norm + 1e-6)) : 1;
    if (!(scale * info->grad_norm <= sqrt((double)FLT_MAX)))
        return fail_gradients(trainer);
    nft_optimizer_update(&recipe->optimizer, &trainer->moments, trainer->step + 1, info->lr, scale,
                         trainer->gradients->values, trainer->model->values,
                         nft_context_pool(trainer->context));
    nft_average_update(&trainer->average, &trainer->moments, trainer->step + 1, trainer->model->values,
                       nft_context_pool(trainer->context));
    nft_context_parameters_changed(trainer->context);
    return NFT_OK;
}

static nft_status run_step(nft_trainer *trainer, nft_step_info *info)
{
    int64_t first, count;
    nft_status status;
    double sums[2] = {0}; /* the loss */
    *info = (nft_step_info)NFT_STEP_INFO_INIT;
    info->step = trainer->step;
    info->lr = trainer->recipe.optimizer.lr * nft_schedule_factor(&trainer->recipe.schedule, trainer->step);
    nft_trainer_part(trainer, trainer->recipe.batch_size, &first, &count);
    status = nft_trainer_next_batch(trainer, first, count);
    if (!status)
        status = batch_gradients(trainer, first, count, &sums[0]);
    if ((status = nft_trainer_reduce(trainer, status, sums, 2, trainer->gradients->values,
                                     trainer->model->parameters.total)))
        return status;
    info->loss = sums[0];
    info->grad_norm =
        nft_gradient_norm(&trainer->moments, trainer->gradients->values, nft_context_pool(trainer->context));
    status = isfinite(info->grad_norm) ? update(trainer, info) : fail_gradients(trainer);
    if (status)
        return status;
    trainer->step++;
    trainer->owed = *info;
    trainer->owes_validation =
        trainer->step % trainer->recipe.validate_every == 0 || trainer->step == trainer->recipe.steps;
    return NFT_OK;
}

nft_status nft_trainer_step(nft_step_info *info, nft_trainer *trainer)
{
    nft_status status = nft_trainer_check_call(trainer, "nft_trainer_step");
    if (status)
        return status;
    if (info && info->size < sizeof *info)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_trainer_step: info->size is %zu, expected %zu", info->size,
                        sizeof *info);
    nft_step_info own;
    if ((status = run_step(trainer, &own)))
        return nft_fail_in(status, "nft_trainer_step");
    if (info) {
        own.size = info->size;
        *info = own;
    }
    return NFT_OK;
}

/* A step's own loss does not show the effect of its update. The next step's loss does, except for the last
 * step. */
static nft_status check_end(const nft_trainer *trainer)
{
    nft_status status = nft_trainer_check_finite(trainer, trainer->model->values, "the update");
    return status ? nft_fail_in(status, "step %" PRId64, trainer->step - 1) : NFT_OK;
}

static nft_status tell(nft_trainer *trainer, const nft_step_info *info, nft_step_callback *callback,
                       void *user)
{
    if (!callback || !callback(info, user))
        return NFT_OK;
    if (trainer->step < nft_trainer_describe(trainer)->steps)
        nft_trainer_leave(trainer);
    return nft_fail(NFT_ERROR_CANCELLED,
                    "the step callback stopped it after %" PRId64 " of %" PRId64 " steps", trainer->step,
                    trainer->recipe.steps);
}

static bool owes_validation(const nft_trainer *trainer)
{
    return trainer->owes_validation && trainer->validation.count;
}

static nft_status run_validation(nft_trainer *trainer, double *loss)
{
    bool had_best = trainer->has_best;
    double before = trainer->best_loss;
    nft_status status = nft_trainer_run_validation(trainer, loss);
    if (!status)
        trainer->stale = !had_best || trainer->best_loss < before ? 0 : trainer->stale + 1;
    return status;
}

static nft_status check_patience(const nft_trainer *trainer)
{
    return !trainer->recipe.patience || trainer->validation.count
               ? NFT_OK
               : nft_fail(NFT_ERROR_CONFIG, "recipe: 'patience' needs a validation set, there is none");
}

/* A step, and the validation that is due after it. Only the validation, if it has failed or nobody has run
 * it. */
static nft_status run_or_validate(nft_trainer *trainer, nft_step_info *info)
{
    nft_status status = NFT_OK;
    if (owes_validation(trainer))
        *info = trainer->owed;
    else
        status = run_step(trainer, info);
    if (!trainer->validation.count) /* a set that comes later owes nothing for the past */
        trainer->owes_validation = false;
    if (!status && trainer->step == trainer->recipe.steps)
        status = check_end(trainer);
    if (status || !owes_validation(trainer))
        return status;
    info->validated = 1;
    return run_validation(trainer, &info->validation_loss);
}

nft_status nft_trainer_run(nft_trainer *trainer, nft_step_callback *callback, void *user)
{
    nft_status status = nft_trainer_check_call(trainer, "nft_trainer_run");
    if (status)
        return status;
    status = check_patience(trainer);
    while (!status && (trainer->step < nft_trainer_describe(trainer)->steps || owes_validation(trainer))) {
        nft_step_info info;
        status = run_or_validate(trainer, &info);
        if (!status)
            status = tell(trainer, &info, callback, user);
    }
    if (!status)
        status = check_end(trainer); /* also when the last step was taken before this call */
    return status ? nft_fail_in(status, "nft_trainer_run") : NFT_OK;
}
