#include "train/objective.h"

#include "io/targets.h"
#include "modules/sequence/decoder.h"
#include "siren/siren.h"

#include <inttypes.h>

/* Networks whose renderings' mean is compared. */
static int64_t networks_of(const nft_model *model, const nft_loss *loss)
{
    return loss->target == NFT_TARGET_IMAGE ? nft_model_last_value(model)->channels : 1;
}

int64_t nft_objective_networks(const nft_objective *objective)
{
    return networks_of(objective->model, objective->loss);
}

/* The objects that a loss between images needs before there is data. */
static nft_status create_images(nft_objective *objective)
{
    const nft_model *model = objective->model;
    if (objective->loss->sample)
        return NFT_OK;
    size_t numbers = (size_t)model->space->numbers * (size_t)networks_of(model, objective->loss);
    objective->network = nft_allocate_array(numbers, sizeof *objective->network);
    objective->network_gradient = nft_allocate_array(numbers, sizeof *objective->network_gradient);
    if (!objective->network || !objective->network_gradient)
        return nft_fail_memory("a network", 2 * (int64_t)(numbers * sizeof *objective->network));
    if (objective->loss->target != NFT_TARGET_INPUT)
        return NFT_OK;
    int64_t height = 0, width = 0;
    nft_siren_form form;
    nft_decoder_image(model->sequence->steps[nft_model_step_count(model) - 1].module, &height, &width, &form);
    return nft_image_loss_create(&objective->images, model->space, 1, (float)form.omega[0], height, width);
}

static nft_status create_other_gradient(nft_objective *objective)
{
    size_t outputs = (size_t)objective->outputs;
    objective->other_gradient = nft_allocate_array(outputs, sizeof *objective->other_gradient);
    return objective->other_gradient
               ? NFT_OK
               : nft_fail_memory("a gradient", (int64_t)(outputs * sizeof *objective->other_gradient));
}

nft_status nft_objective_create(nft_objective *objective, const nft_model *model, const nft_loss *loss,
                                int64_t group, bool mixes)
{
    const nft_value *output = nft_model_last_value(model);
    bool tokens = output->kind == NFT_VALUE_TOKENS, features = output->kind == NFT_VALUE_FEATURES;
    int64_t shape[] = {group, tokens ? output->tokens : output->channels, output->channels};
    *objective = (nft_objective){.loss = loss, .model = model};
    objective->outputs = nft_value_floats(output, features ? model->space : NULL);
    nft_status status = create_images(objective);
    if (!status && mixes)
        status = create_other_gradient(objective);
    if (status)
        return status;
    return features ? nft_weights_allocate(&objective->features_gradient, model->space, group,
                                           output->channels, NULL, 0)
                    : nft_array_create(&objective->gradient, NFT_ARRAY_F32, shape, tokens ? 3 : 2, NULL);
}

void nft_objective_clear(nft_objective *objective)
{
    nft_array_free(objective->gradient);
    nft_weights_free(objective->features_gradient);
    nft_image_loss_free(objective->images);
    nft_release(objective->network);
    nft_release(objective->network_gradient);
    nft_release(objective->other_gradient);
    *objective = (nft_objective){0};
}

/* (N) or (N, 1) classes, or (N, classes) of a 1 among zeros; (N, numbers of an output) or the output's own
 * shape. Images are images in any shape. A single number is that of one sample. */
static bool has_shape(const nft_objective *objective, const nft_array *targets, int64_t samples)
{
    const nft_array *output = objective->gradient;
    bool classes = objective->loss->target == NFT_TARGET_CLASS;
    bool one_hot = classes && targets->count == nft_size_multiply(samples, objective->outputs);
    int64_t numbers = classes && !one_hot ? 1 : objective->outputs;
    if (targets->rank < 1)
        return samples == 1 && numbers == 1;
    if (targets->shape[0] != samples || targets->count != nft_size_multiply(samples, numbers))
        return false;
    return targets->rank <= 2 || objective->model->has_decoder ||
           (targets->rank == 3 && output->rank == 3 && targets->shape[1] == output->shape[1]);
}

static nft_status fail_shape(const nft_objective *objective, const nft_array *targets, const char *name,
                             int64_t samples)
{
    const nft_array *output = objective->gradient;
    bool single = objective->loss->target == NFT_TARGET_CLASS || objective->outputs == 1;
    int64_t shape[NFT_ARRAY_MAX_RANK] = {samples, output->shape[1], output->shape[2]};
    char found[160], expected[160];
    nft_shape_describe(targets->shape, targets->rank, found, sizeof found);
    nft_shape_describe(shape, single ? 1 : output->rank, expected, sizeof expected);
    return nft_fail(NFT_ERROR_MISMATCH, "'%s' is %s, loss %s takes %s with this model", name, found,
                    objective->loss->name, expected);
}

/* (N, height, width, colours) */
static nft_status check_images(const nft_objective *objective, const nft_array *targets, const char *name,
                               int64_t samples, nft_set *set)
{
    const nft_space *space = objective->model->space;
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

int64_t nft_objective_target_numbers(const nft_objective *objective)
{
    switch (objective->loss->target) {
    case NFT_TARGET_NUMBERS:
        return objective->outputs;
    case NFT_TARGET_IMAGE:
        return objective->images ? objective->images->numbers : 0;
    case NFT_TARGET_CLASS:
    case NFT_TARGET_INPUT:
        break;
    }
    return 0;
}

int64_t nft_objective_classes(const nft_objective *objective)
{
    return objective->loss->target == NFT_TARGET_CLASS ? objective->outputs : 0;
}

nft_status nft_check_targets(const nft_objective *objective, const nft_array *targets, const char *name,
                             int64_t samples, nft_set *set)
{
    const nft_loss *loss = objective->loss;
    if (loss->target == NFT_TARGET_IMAGE && targets->type == NFT_ARRAY_I64)
        return nft_fail(NFT_ERROR_MISMATCH, "'%s' holds integers, loss %s takes floats", name, loss->name);
    if (loss->target == NFT_TARGET_IMAGE)
        return check_images(objective, targets, name, samples, set);
    return has_shape(objective, targets, samples) ? NFT_OK : fail_shape(objective, targets, name, samples);
}

/* The loss with one target, or label. */
static double label_loss(const nft_objective *objective, const float *target, int64_t label,
                         const float *output, double scale, float *gradient)
{
    const nft_loss *loss = objective->loss;
    const void *expected = loss->target == NFT_TARGET_CLASS ? (const void *)&label : target;
    return loss->sample(objective->outputs, output, expected, scale, gradient);
}

/* share · loss with the own label + other_share · loss with the other, and the gradient of that. */
static double mixed_loss(const nft_objective *objective, const nft_sample *sample, const float *output,
                         double scale, float *gradient)
{
    double other_share = sample->other_share, share = 1 - other_share;
    double own = label_loss(objective, sample->target, sample->label, output, scale * share, gradient),
           other = label_loss(objective, sample->other_target, sample->other_label, output,
                              scale * other_share, objective->other_gradient);
    for (int64_t i = 0; i < objective->outputs; i++)
        gradient[i] += objective->other_gradient[i];
    return share * own + other_share * other;
}

double nft_objective_loss(const nft_objective *objective, const nft_sample *sample, const float *output,
                          double scale, float *gradient)
{
    const nft_loss *loss = objective->loss;
    nft_image_loss *images = objective->images;
    if (loss->target == NFT_TARGET_IMAGE)
        return nft_image_loss_of_networks(images, nft_objective_networks(objective), output, sample->target,
                                          scale, gradient);
    if (loss->target == NFT_TARGET_INPUT) {
        nft_weights_gather(sample->input.weights, sample->input.index, objective->network);
        return nft_image_loss_of_image(images, output, objective->network, scale, gradient);
    }
    return sample->other_share > 0
               ? mixed_loss(objective, sample, output, scale, gradient)
               : label_loss(objective, sample->target, sample->label, output, scale, gradient);
}

const float *nft_objective_output(const nft_objective *objective, const nft_context *context, int64_t index)
{
    const nft_weights *features = nft_context_output(context, NFT_OUTPUT)->weights;
    if (!features)
        return nft_array_f32(nft_context_output(context, NFT_OUTPUT)->array) + index * objective->outputs;
    for (int64_t i = 0; i < features->channels; i++)
        nft_siren_gather(features, index, i, objective->network + i * features->space->numbers);
    return objective->network;
}

float *nft_objective_gradient(const nft_objective *objective, int64_t index)
{
    return objective->features_gradient ? objective->network_gradient
                                        : (float *)objective->gradient->storage + index * objective->outputs;
}

void nft_objective_take_gradient(nft_objective *objective, int64_t index)
{
    nft_weights *features = objective->features_gradient;
    for (int64_t i = 0; features && i < features->channels; i++)
        nft_siren_scatter(features, index, i, objective->network_gradient + i * features->space->numbers);
}

nft_status nft_objective_backward(nft_objective *objective, nft_context *context, int64_t count,
                                  nft_gradients *gradients, int64_t index, const float *added)
{
    nft_array *gradient = objective->gradient;
    if (objective->features_gradient) {
        objective->features_gradient->count = count;
        return nft_backward_adding(context, NFT_VIEW_WEIGHTS(objective->features_gradient), gradients, index,
                                   added);
    }
    gradient->shape[0] = count;
    gradient->count = count * objective->outputs;
    return nft_backward_adding(context, NFT_VIEW_ARRAY(gradient), gradients, index, added);
}

int64_t nft_objective_image_bytes(const nft_model *model, const nft_loss *loss)
{
    int64_t height = 0, width = 0; /* a data set's are not known yet */
    nft_siren_form form;
    if (loss->sample)
        return 0;
    if (loss->target == NFT_TARGET_INPUT)
        nft_decoder_image(model->sequence->steps[nft_model_step_count(model) - 1].module, &height, &width,
                          &form);
    int64_t networks = networks_of(model, loss);
    return nft_size_add(
        nft_size_multiply(nft_size_multiply(model->space->numbers, networks), 2 * sizeof(float)),
        nft_image_loss_bytes(model->space, networks, height, width));
}
