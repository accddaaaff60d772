/* Data sets: inputs and targets, checked before any time is spent on them. */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>

/* Index of the first number that is infinite or NaN, -1 if there is none. */
static int64_t first_not_finite(int64_t count, const float *values)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return i;
    return -1;
}

/* A sample's index in its set. */
static int64_t number_of(const nft_samples *samples, int64_t index)
{
    return samples->numbers ? samples->numbers[index] : samples->number + index;
}

static const char *layer_name(const nft_samples *samples, int64_t layer)
{
    return samples->layers ? samples->layers[layer].name : samples->weights->layer_names[layer];
}

static nft_status check_weights(const nft_samples *samples)
{
    const nft_weights *weights = samples->weights;
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const nft_tensor *tensor = &weights->space->tensors[t];
        int64_t numbers = weights->channels * tensor->tokens * tensor->positions,
                at = first_not_finite(samples->count * numbers, weights->data[t]);
        if (at >= 0)
            return nft_fail(NFT_ERROR_NOT_FINITE,
                            "network %" PRId64 ": '%s.%s' has a number that is not finite",
                            number_of(samples, at / numbers), layer_name(samples, tensor->layer),
                            tensor->bias ? "bias" : "weight");
    }
    return NFT_OK;
}

static nft_status check_tokens(const nft_samples *samples)
{
    const nft_array *tokens = samples->tokens;
    int64_t numbers = tokens->shape[1] * tokens->shape[2],
            at = first_not_finite(samples->count * numbers, tokens->data);
    if (at < 0)
        return NFT_OK;
    return nft_fail(NFT_ERROR_NOT_FINITE, "sample %" PRId64 " has a number that is not finite",
                    number_of(samples, at / numbers));
}

nft_status nft_samples_check_class(const nft_trainer *trainer, const nft_samples *samples, int64_t index)
{
    int64_t classes = trainer->outputs;
    if (!samples->classes || (samples->classes[index] >= 0 && samples->classes[index] < classes))
        return NFT_OK;
    return nft_fail(NFT_ERROR_MISMATCH,
                    "label %" PRId64 " is %" PRId64 ", expected 0 … %" PRId64 ": the model has %" PRId64
                    " outputs",
                    number_of(samples, index), samples->classes[index], classes - 1, classes);
}

static nft_status check_classes(const nft_trainer *trainer, const nft_samples *samples)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < samples->count && !status; i++)
        status = nft_samples_check_class(trainer, samples, i);
    return status;
}

static nft_status check_targets(const nft_samples *samples, int64_t numbers, const nft_loss *loss)
{
    for (int64_t i = 0; i < samples->count * numbers; i++) {
        float target = samples->targets[i];
        if (!isfinite(target))
            return nft_fail(NFT_ERROR_NOT_FINITE, "target %" PRId64 " is not finite",
                            number_of(samples, i / numbers));
        if (target < loss->least || target > loss->most)
            return nft_fail(NFT_ERROR_MISMATCH, "target %" PRId64 " is %g, loss %s takes %g … %g",
                            number_of(samples, i / numbers), (double)target, loss->name, (double)loss->least,
                            (double)loss->most);
    }
    return NFT_OK;
}

nft_status nft_samples_check(const nft_trainer *trainer, const nft_samples *samples, const char *what)
{
    nft_status status = NFT_OK;
    if (samples->weights)
        status = check_weights(samples);
    else if (samples->tokens)
        status = check_tokens(samples);
    if (!status && samples->classes)
        status = check_classes(trainer, samples);
    else if (!status && samples->targets)
        status = check_targets(samples, nft_trainer_target_numbers(trainer), trainer->recipe.loss);
    return status ? nft_fail_in(status, "%s", what) : NFT_OK;
}

/* (N) or (N, 1) classes; (N, numbers of an output) or the output's own shape. Images are images in any shape.
 */
static bool has_shape(const nft_trainer *trainer, const nft_array *targets, int64_t samples)
{
    const nft_array *output = trainer->output_gradient;
    int64_t numbers = trainer->recipe.loss->target == NFT_TARGET_CLASS ? 1 : trainer->outputs;
    if (targets->rank < 1 || targets->shape[0] != samples ||
        targets->count != nft_size_multiply(samples, numbers))
        return false;
    return targets->rank <= 2 || trainer->model->has_decoder ||
           (targets->rank == 3 && output->rank == 3 && targets->shape[1] == output->shape[1]);
}

static nft_status fail_shape(const nft_trainer *trainer, const nft_array *targets, const char *name,
                             int64_t samples)
{
    const nft_array *output = trainer->output_gradient;
    bool single = trainer->recipe.loss->target == NFT_TARGET_CLASS || trainer->outputs == 1;
    int64_t shape[NFT_ARRAY_MAX_RANK] = {samples, output->shape[1], output->shape[2]};
    char found[160], expected[160];
    nft_shape_describe(targets->shape, targets->rank, found, sizeof found);
    nft_shape_describe(shape, single ? 1 : output->rank, expected, sizeof expected);
    return nft_fail(NFT_ERROR_MISMATCH, "'%s' is %s, loss %s takes %s with this model", name, found,
                    trainer->recipe.loss->name, expected);
}

/* (N, height, width, colours) */
static nft_status set_images(const nft_trainer *trainer, nft_samples *samples, const nft_array *targets,
                             const char *name)
{
    const nft_space *space = trainer->model->space;
    int64_t colours = space->layers[space->layer_count - 1].out;
    if (targets->rank != 4 || targets->shape[0] != samples->count || targets->shape[1] < 1 ||
        targets->shape[2] < 1 || targets->shape[3] != colours) {
        char found[160];
        nft_shape_describe(targets->shape, targets->rank, found, sizeof found);
        return nft_fail(NFT_ERROR_MISMATCH,
                        "'%s' is %s, loss render takes images, (%" PRId64 ", height, width, %" PRId64 ")",
                        name, found, samples->count, colours);
    }
    samples->height = targets->shape[1];
    samples->width = targets->shape[2];
    samples->targets = nft_array_f32(targets);
    return NFT_OK;
}

int64_t nft_trainer_target_numbers(const nft_trainer *trainer)
{
    switch (trainer->recipe.loss->target) {
    case NFT_TARGET_NUMBERS:
        return trainer->outputs;
    case NFT_TARGET_IMAGE:
        return trainer->images ? trainer->images->numbers : 0;
    case NFT_TARGET_CLASS:
    case NFT_TARGET_INPUT:
        break;
    }
    return 0;
}

nft_status nft_samples_set_targets(const nft_trainer *trainer, nft_samples *samples, const nft_array *targets,
                                   const char *name)
{
    const nft_loss *loss = trainer->recipe.loss;
    bool classes = loss->target == NFT_TARGET_CLASS;
    if (classes != (targets->type == NFT_ARRAY_I64))
        return nft_fail(NFT_ERROR_MISMATCH, "'%s' holds %s, loss %s takes %s", name,
                        classes ? "floats" : "integers", loss->name,
                        classes ? "integers, the classes (mse and bce take floats)"
                                : "floats (cross_entropy takes integers)");
    if (loss->target == NFT_TARGET_IMAGE)
        return set_images(trainer, samples, targets, name);
    if (!has_shape(trainer, targets, samples->count))
        return fail_shape(trainer, targets, name, samples->count);
    samples->classes = nft_array_i64(targets);
    samples->targets = nft_array_f32(targets);
    return NFT_OK;
}

double nft_samples_loss(const nft_trainer *trainer, const nft_samples *samples, int64_t index,
                        const float *output, double scale, float *gradient)
{
    const nft_loss *loss = trainer->recipe.loss;
    nft_image_loss *images = trainer->images;
    switch (loss->target) {
    case NFT_TARGET_IMAGE:
        return nft_image_loss_of_network(images, output, samples->targets + index * images->numbers, scale,
                                         gradient);
    case NFT_TARGET_INPUT:
        nft_weights_gather(samples->weights, index, trainer->network);
        return nft_image_loss_of_image(images, output, trainer->network, scale, gradient);
    case NFT_TARGET_CLASS:
        return loss->sample(trainer->outputs, output, samples->classes + index, scale, gradient);
    case NFT_TARGET_NUMBERS:
        break;
    }
    return loss->sample(trainer->outputs, output, samples->targets + index * trainer->outputs, scale,
                        gradient);
}

const float *nft_trainer_output(const nft_trainer *trainer, const nft_context *context, int64_t index)
{
    if (!context->features)
        return (const float *)context->output->data + index * trainer->outputs;
    nft_weights_gather(context->features, index, trainer->network);
    return trainer->network;
}

/* The largest magnitude of all that is trained, and whose it is; not-a-number counts as the largest. */
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

const char *nft_divergence_advice(const nft_trainer *trainer)
{
    return trainer->recipe.grad_clip > 0 ? "try a smaller lr" : "try a smaller lr, or grad_clip";
}

/* Either the output is of a model that diverged, or it is nothing that the loss takes. */
static const char *advise(const nft_trainer *trainer, const float *output)
{
    const char *advice = trainer->recipe.loss->advice;
    for (int64_t i = 0; i < trainer->outputs && advice; i++)
        if (!isfinite(output[i]))
            advice = NULL;
    return advice ? advice : nft_divergence_advice(trainer);
}

nft_status nft_fail_loss(const nft_trainer *trainer, const char *set, int64_t index, const float *output)
{
    const char *name = "";
    double most = largest_parameter(trainer, &name);
    return nft_fail(NFT_ERROR_NOT_FINITE,
                    "the loss of sample %" PRId64
                    " of the %s is not finite, the largest parameter is %.3g in "
                    "'%s'; %s",
                    index, set, most, name, advise(trainer, output));
}
