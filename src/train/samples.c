/* Data sets: inputs and targets, checked before any time is spent on them. */
#include "io/targets.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>

#define SKIP_ADVICE "; the recipe's \"skip\" leaves such samples out"

/* Index of the first number that is infinite or NaN, -1 if there is none. */
static int64_t first_not_finite(int64_t count, const float *values)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return i;
    return -1;
}

static nft_status check_network(const nft_sample *sample)
{
    const nft_weights *weights = sample->input.weights;
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const nft_tensor *tensor = &weights->space->tensors[t];
        int64_t numbers = weights->channels * tensor->tokens * tensor->own_positions;
        if (first_not_finite(numbers, weights->data[t] + sample->input.index * numbers) >= 0)
            return nft_fail(NFT_ERROR_NOT_FINITE,
                            "network %" PRId64 ": '%s' has a number that is not finite" SKIP_ADVICE,
                            sample->number, weights->names[t]);
    }
    return NFT_OK;
}

static nft_status check_tokens(const nft_sample *sample)
{
    const nft_array *tokens = sample->input.tokens;
    int64_t numbers = tokens->shape[1] * tokens->shape[2];
    const float *values = nft_array_f32(tokens);
    if (first_not_finite(numbers, values + sample->input.index * numbers) < 0)
        return NFT_OK;
    return nft_fail(NFT_ERROR_NOT_FINITE, "sample %" PRId64 " has a number that is not finite",
                    sample->number);
}

static nft_status check_class(const nft_sample *sample, int64_t classes)
{
    if (sample->label >= 0 && sample->label < classes)
        return NFT_OK;
    if (sample->label == NFT_CLASS_NOT_FINITE)
        return nft_fail(NFT_ERROR_NOT_FINITE, "label %" PRId64 " is not finite" SKIP_ADVICE, sample->number);
    return nft_fail(NFT_ERROR_MISMATCH,
                    "label %" PRId64 " is %" PRId64 ", expected 0 … %" PRId64 ": the model has %" PRId64
                    " outputs",
                    sample->number, sample->label, classes - 1, classes);
}

static nft_status check_target(const nft_sample *sample, int64_t numbers, const nft_loss *loss)
{
    for (int64_t i = 0; i < numbers; i++) {
        float target = sample->target[i];
        if (!isfinite(target))
            return nft_fail(NFT_ERROR_NOT_FINITE, "target %" PRId64 " is not finite" SKIP_ADVICE,
                            sample->number);
        if (target < loss->least || target > loss->most)
            return nft_fail(NFT_ERROR_MISMATCH, "target %" PRId64 " is %g, loss %s takes %g … %g",
                            sample->number, (double)target, loss->name, (double)loss->least,
                            (double)loss->most);
    }
    return NFT_OK;
}

nft_status nft_samples_check(const nft_trainer *trainer, const nft_sample *samples, int64_t count)
{
    int64_t numbers = nft_trainer_target_numbers(trainer);
    bool classes = trainer->recipe.loss->target == NFT_TARGET_CLASS;
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < count && !status; i++) {
        status = samples[i].input.weights ? check_network(&samples[i]) : check_tokens(&samples[i]);
        if (!status)
            status = classes ? check_class(&samples[i], trainer->outputs)
                             : check_target(&samples[i], numbers, trainer->recipe.loss);
    }
    return status;
}

/* (N) or (N, 1) classes, or (N, classes) of a 1 among zeros; (N, numbers of an output) or the output's own
 * shape. Images are images in any shape. A single number is that of one sample. */
static bool has_shape(const nft_trainer *trainer, const nft_array *targets, int64_t samples)
{
    const nft_array *output = trainer->output_gradient;
    bool classes = trainer->recipe.loss->target == NFT_TARGET_CLASS;
    bool one_hot = classes && targets->count == nft_size_multiply(samples, trainer->outputs);
    int64_t numbers = classes && !one_hot ? 1 : trainer->outputs;
    if (targets->rank < 1)
        return samples == 1 && numbers == 1;
    if (targets->shape[0] != samples || targets->count != nft_size_multiply(samples, numbers))
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
static nft_status check_images(const nft_trainer *trainer, const nft_array *targets, const char *name,
                               int64_t samples, nft_set *set)
{
    const nft_space *space = trainer->model->space;
    int64_t colours = space->layers[space->layer_count - 1].out;
    if (targets->rank != 4 || targets->shape[0] != samples || targets->shape[1] < 1 ||
        targets->shape[2] < 1 || targets->shape[3] != colours) {
        char found[160];
        nft_shape_describe(targets->shape, targets->rank, found, sizeof found);
        return nft_fail(NFT_ERROR_MISMATCH,
                        "'%s' is %s, loss render takes images, (%" PRId64 ", height, width, %" PRId64 ")",
                        name, found, samples, colours);
    }
    if (set->height && (set->height != targets->shape[1] || set->width != targets->shape[2]))
        return nft_fail(NFT_ERROR_MISMATCH,
                        "the images of '%s' are %" PRId64 " × %" PRId64 ", those before it %" PRId64
                        " × %" PRId64,
                        name, targets->shape[1], targets->shape[2], set->height, set->width);
    set->height = targets->shape[1];
    set->width = targets->shape[2];
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

int64_t nft_trainer_classes(const nft_trainer *trainer)
{
    return trainer->recipe.loss->target == NFT_TARGET_CLASS ? trainer->outputs : 0;
}

nft_status nft_check_targets(const nft_trainer *trainer, const nft_array *targets, const char *name,
                             int64_t samples, nft_set *set)
{
    const nft_loss *loss = trainer->recipe.loss;
    if (loss->target == NFT_TARGET_IMAGE && targets->type == NFT_ARRAY_I64)
        return nft_fail(NFT_ERROR_MISMATCH, "'%s' holds integers, loss %s takes floats", name, loss->name);
    if (loss->target == NFT_TARGET_IMAGE)
        return check_images(trainer, targets, name, samples, set);
    return has_shape(trainer, targets, samples) ? NFT_OK : fail_shape(trainer, targets, name, samples);
}

nft_status nft_samples_run(nft_context *context, const nft_sample *samples, int64_t count, int64_t steps)
{
    nft_forward_sample inputs[NFT_PIECE_SAMPLES];
    for (int64_t i = 0; i < count; i++)
        inputs[i] = samples[i].input;
    return nft_context_run(context, inputs, count, steps);
}

double nft_sample_loss(const nft_trainer *trainer, const nft_sample *sample, const float *output,
                       double scale, float *gradient)
{
    const nft_loss *loss = trainer->recipe.loss;
    nft_image_loss *images = trainer->images;
    switch (loss->target) {
    case NFT_TARGET_IMAGE:
        return nft_image_loss_of_network(images, output, sample->target, scale, gradient);
    case NFT_TARGET_INPUT:
        nft_weights_gather(sample->input.weights, sample->input.index, trainer->network);
        return nft_image_loss_of_image(images, output, trainer->network, scale, gradient);
    case NFT_TARGET_CLASS:
        return loss->sample(trainer->outputs, output, &sample->label, scale, gradient);
    case NFT_TARGET_NUMBERS:
        break;
    }
    return loss->sample(trainer->outputs, output, sample->target, scale, gradient);
}

const float *nft_trainer_output(const nft_trainer *trainer, const nft_context *context, int64_t index)
{
    const nft_weights *features = nft_context_output(context, NFT_OUTPUT)->weights;
    if (!features)
        return nft_array_f32(nft_context_output(context, NFT_OUTPUT)->array) + index * trainer->outputs;
    nft_weights_gather(features, index, trainer->network);
    return trainer->network;
}

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

const char *nft_divergence_advice(const nft_trainer *trainer)
{
    return trainer->recipe.grad_clip > 0 ? "try a smaller lr" : "try a smaller lr, or grad_clip";
}

/* Either the model diverged, or the loss cannot take such an output. */
static const char *advise(const nft_trainer *trainer, const float *output)
{
    const char *advice = trainer->recipe.loss->advice;
    for (int64_t i = 0; i < trainer->outputs && advice; i++)
        if (!isfinite(output[i]))
            advice = NULL;
    if (!advice && trainer->step == 0)
        return "no step was taken yet, so look at the numbers of that sample";
    return advice ? advice : nft_divergence_advice(trainer);
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
