#include "train/not_finite.h"

#include <inttypes.h>
#include <math.h>

/* The largest magnitude of all trained numbers, and the name of its tensor. NaN counts as the largest. */
static double largest_parameter(const nft_trainer *trainer, const char **name)
{
    const nft_parameters *table = &trainer->model->parameters;
    double most = 0;
    for (int64_t i = 0; i < table->count; i++)
        for (int64_t k = 0; k < table->items[i].count && table->items[i].trained && !isnan(most); k++) {
            double size = fabs((double)trainer->model->values[table->items[i].offset + k]);
            if (!(size <= most)) {
                most = size;
                *name = table->items[i].name;
            }
        }
    return most;
}

static const char *divergence_advice(const nft_trainer *trainer)
{
    return trainer->recipe.grad_clip > 0 ? "try a smaller lr" : "try a smaller lr, or grad_clip";
}

/* Either the model diverged, or the loss cannot take such an output. */
static const char *advise(const nft_trainer *trainer, const float *output)
{
    const char *advice = trainer->objective.loss->advice;
    for (int64_t i = 0; i < trainer->objective.outputs && advice; i++)
        if (!isfinite(output[i]))
            advice = NULL;
    if (!advice && trainer->state.step == 0)
        return "no step was taken yet, so look at the numbers of that sample";
    return advice ? advice : divergence_advice(trainer);
}

nft_status nft_fail_loss(const nft_trainer *trainer, const char *set, int64_t number, const float *output)
{
    const char *name = "";
    double most = largest_parameter(trainer, &name);
    return nft_fail(NFT_ERROR_NOT_FINITE,
                    "the loss of sample %" PRId64
                    " of the %s is not finite, the largest parameter is %.3g in "
                    "'%s'; %s",
                    number, set, most, name, advise(trainer, output));
}

/* The largest gradient of a model's, and its tensor; infinite where one is not finite. */
static float largest_gradient(const nft_model *model, const float *gradients, const char **name)
{
    const nft_parameters *table = &model->parameters;
    float most = 0;
    for (int64_t i = 0; i < table->count; i++)
        for (int64_t k = 0; k < table->items[i].count; k++) {
            float gradient = fabsf(gradients[table->items[i].offset + k]);
            if (gradient <= most)
                continue;
            *name = table->items[i].name;
            most = isnan(gradient) ? INFINITY : gradient;
            if (!isfinite(most))
                return most;
        }
    return most;
}

nft_status nft_fail_gradients(const nft_trainer *trainer)
{
    const nft_auxiliary *auxiliary = &trainer->auxiliary;
    const char *name = "", *other = "";
    float most = largest_gradient(trainer->model, trainer->loop.gradients->values, &name), more = 0;
    if (auxiliary->model)
        more = largest_gradient(auxiliary->model, nft_auxiliary_gradients(auxiliary), &other);
    if (more > most) {
        most = more;
        name = other;
    }
    if (!isfinite(most))
        return nft_fail(NFT_ERROR_NOT_FINITE, "step %" PRId64 ": the gradient of '%s' is not finite; %s",
                        trainer->state.step, name, divergence_advice(trainer));
    return nft_fail(NFT_ERROR_NOT_FINITE,
                    "step %" PRId64 ": the gradient of '%s' is as large as %g, too large for the optimizer's "
                    "squares; try grad_clip, and look for outliers in the data",
                    trainer->state.step, name, (double)most);
}
