#include "train/loop.h"

#include "train/not_finite.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

/* How many samples are run at a time. The spaces of a model of any space come with the data. */
static void size_group(nft_loop *loop, const nft_model *model, const nft_recipe *recipe,
                       const nft_trainer_options *options)
{
    int64_t batch = recipe->batch_size;
    loop->group = batch < NFT_GROUP_MOST ? batch : NFT_GROUP_MOST;
    if (model->any_space)
        return;
    int64_t kept = nft_kept_floats(model->sequence, options->recompute);
    loop->group = nft_trainer_group_size(recipe, options, kept);
    loop->group_floats = nft_size_multiply(loop->group, kept);
}

nft_status nft_loop_create(nft_loop *loop, const nft_model *model, const nft_recipe *recipe,
                           const nft_trainer_options *options)
{
    size_group(loop, model, recipe, options);
    nft_context_options training = nft_training_options(options, loop->group);
    nft_status status = nft_context_create(&loop->context, model, &training);
    if (!status)
        status = nft_gradients_create(&loop->gradients, model);
    if (status)
        return status;
    loop->dropout = nft_allocate_array((size_t)loop->group, sizeof *loop->dropout);
    return loop->dropout ? NFT_OK
                         : nft_fail_memory("a group", nft_size_multiply(loop->group, sizeof *loop->dropout));
}

void nft_loop_clear(nft_loop *loop)
{
    nft_context_free(loop->context);
    nft_gradients_free(loop->gradients);
    nft_release(loop->dropout);
    *loop = (nft_loop){0};
}

void nft_trainer_values_changed(nft_trainer *trainer)
{
    nft_context_parameters_changed(trainer->loop.context);
    if (trainer->auxiliary.context)
        nft_context_parameters_changed(trainer->auxiliary.context);
}

/* The losses of a group whose forward has run, and the gradients of its outputs. */
static nft_status group_loss(nft_trainer *trainer, const nft_sample *samples, int64_t count, double *loss)
{
    nft_objective *objective = &trainer->objective;
    double scale = 1 / (double)trainer->recipe.batch_size;
    for (int64_t i = 0; i < count; i++) {
        const float *output = nft_objective_output(objective, trainer->loop.context, i);
        double own =
            nft_objective_loss(objective, &samples[i], output, scale, nft_objective_gradient(objective, i));
        if (!isfinite(own))
            return nft_fail_loss(trainer, trainer->source.callback.call ? "callback's batch" : "training set",
                                 samples[i].number, output);
        nft_objective_take_gradient(objective, i);
        *loss += own * scale;
    }
    return nft_auxiliary_run(&trainer->auxiliary, trainer->loop.context, samples, trainer->loop.dropout,
                             count, scale, loss);
}

/* `first`: number of the first sample in the batch. */
static nft_status run_group(nft_trainer *trainer, int64_t first, int64_t count, double *loss)
{
    const nft_sample *samples = trainer->source.samples + first;
    for (int64_t i = 0; i < count; i++)
        trainer->loop.dropout[i] = (nft_dropout_key){.seed = trainer->recipe.seed,
                                                     .step = (uint64_t)trainer->state.step,
                                                     .sample = (uint64_t)(first + i)};
    nft_status status = nft_samples_run(trainer->loop.context, samples, count, 0);
    if (status)
        return status;
    if ((status = group_loss(trainer, samples, count, loss)))
        return nft_fail_in(status, "step %" PRId64, trainer->state.step);
    return nft_objective_backward(&trainer->objective, trainer->loop.context, count, trainer->loop.gradients,
                                  trainer->auxiliary.value, nft_auxiliary_gradient(&trainer->auxiliary));
}

static nft_status batch_gradients(nft_trainer *trainer, int64_t first, int64_t count, double *loss)
{
    nft_status status = NFT_OK;
    nft_gradients_clear(trainer->loop.gradients);
    nft_auxiliary_begin(&trainer->auxiliary);
    nft_context_set_dropout(trainer->loop.context, trainer->loop.dropout);
    for (int64_t end = first + count, group; first < end && !status; first += group) {
        group = nft_trainer_next_group(trainer, trainer->source.samples + first, end - first);
        status = run_group(trainer, first, group, loss);
    }
    nft_context_set_dropout(trainer->loop.context, NULL);
    return status;
}

/* Squares of gradients beyond these would stay in the moments as infinities. */
static nft_status update(nft_trainer *trainer, const nft_step_info *info)
{
    const nft_recipe *recipe = &trainer->recipe;
    double scale = recipe->grad_clip > 0 ? fmin(1, recipe->grad_clip / (info->grad_norm + 1e-6)) : 1;
    if (!(scale * info->grad_norm <= sqrt((double)FLT_MAX)))
        return nft_fail_gradients(trainer);
    nft_state_update(&trainer->state, &recipe->optimizer, info->lr, scale, trainer->loop.gradients->values,
                     nft_auxiliary_gradients(&trainer->auxiliary), nft_context_pool(trainer->loop.context));
    nft_trainer_values_changed(trainer);
    return NFT_OK;
}

static nft_status run_step(nft_trainer *trainer, nft_step_info *info)
{
    int64_t first, count;
    nft_status status;
    double sums[2] = {0}; /* the loss */
    *info = (nft_step_info)NFT_STEP_INFO_INIT;
    info->step = trainer->state.step;
    info->lr =
        trainer->recipe.optimizer.lr * nft_schedule_factor(&trainer->recipe.schedule, trainer->state.step);
    nft_trainer_note_statistics(trainer);
    nft_trainer_part(trainer, trainer->recipe.batch_size, &first, &count);
    status = nft_trainer_next_batch(trainer, first, count);
    if (!status)
        status = batch_gradients(trainer, first, count, &sums[0]);
    if ((status = nft_trainer_reduce_gradients(trainer, status, sums, 2)))
        return status;
    info->loss = sums[0];
    info->grad_norm = nft_state_gradient_norm(&trainer->state, trainer->loop.gradients->values,
                                              nft_auxiliary_gradients(&trainer->auxiliary),
                                              nft_context_pool(trainer->loop.context));
    status = isfinite(info->grad_norm) ? update(trainer, info) : nft_fail_gradients(trainer);
    if (status)
        return status;
    trainer->state.step++;
    trainer->state.owed = *info;
    trainer->state.owes_validation = trainer->state.step % trainer->recipe.validate_every == 0 ||
                                     trainer->state.step == trainer->recipe.steps;
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
    const nft_model *auxiliary = trainer->auxiliary.model;
    nft_status status = nft_check_values_finite(trainer->model, trainer->model->values, "the update");
    if (!status && auxiliary)
        status = nft_check_values_finite(auxiliary, auxiliary->values, "the update");
    return status ? nft_fail_in(status, "step %" PRId64, trainer->state.step - 1) : NFT_OK;
}

static nft_status tell(nft_trainer *trainer, const nft_step_info *info, nft_step_callback *callback,
                       void *user)
{
    if (!callback || !callback(info, user))
        return NFT_OK;
    if (trainer->state.step < nft_trainer_describe(trainer)->steps)
        nft_trainer_leave(trainer);
    return nft_fail(NFT_ERROR_CANCELLED,
                    "the step callback stopped it after %" PRId64 " of %" PRId64 " steps",
                    trainer->state.step, trainer->recipe.steps);
}

static bool owes_validation(const nft_trainer *trainer)
{
    return trainer->state.owes_validation && trainer->validation.set.count;
}

static nft_status run_validation(nft_trainer *trainer, double *loss)
{
    bool had_best = trainer->state.has_best;
    double before = trainer->state.best_loss;
    nft_status status = nft_trainer_run_validation(trainer, loss);
    if (!status)
        trainer->state.stale = !had_best || trainer->state.best_loss < before ? 0 : trainer->state.stale + 1;
    return status;
}

static nft_status check_patience(const nft_trainer *trainer)
{
    return !trainer->recipe.patience || trainer->validation.set.count
               ? NFT_OK
               : nft_fail(NFT_ERROR_CONFIG, "recipe: 'patience' needs a validation set, there is none");
}

/* A step, and the validation that is due after it. Only the validation, if it has failed or nobody has run
 * it. */
static nft_status run_or_validate(nft_trainer *trainer, nft_step_info *info)
{
    nft_status status = NFT_OK;
    if (owes_validation(trainer))
        *info = trainer->state.owed;
    else
        status = run_step(trainer, info);
    if (!trainer->validation.set.count) /* a set that comes later owes nothing for the past */
        trainer->state.owes_validation = false;
    if (!status && trainer->state.step == trainer->recipe.steps)
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
    while (!status &&
           (trainer->state.step < nft_trainer_describe(trainer)->steps || owes_validation(trainer))) {
        nft_step_info info;
        status = run_or_validate(trainer, &info);
        if (!status)
            status = tell(trainer, &info, callback, user);
    }
    if (!status)
        status = check_end(trainer); /* also when the last step was taken before this call */
    return status ? nft_fail_in(status, "nft_trainer_run") : NFT_OK;
}
