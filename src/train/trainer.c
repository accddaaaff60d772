/* Trainers: from a recipe and a model to trained models. */
#include "train/trainer.h"

#include "math/kernel_set.h"
#include "model/decoder.h"
#include "model/siren.h"

#include <inttypes.h>
#include <string.h>

#define MAX_GROUP 16

/* The options of an older caller are shorter; what is missing is zero, the default. */
static nft_status fill_options(nft_trainer_options *filled, const nft_trainer_options *options)
{
    *filled = (nft_trainer_options)NFT_TRAINER_OPTIONS_INIT;
    if (options && options->size < sizeof options->size)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_trainer_create: options->size is %zu; begin with NFT_TRAINER_OPTIONS_INIT",
                        options->size);
    if (options)
        memcpy(filled, options, options->size < sizeof *filled ? options->size : sizeof *filled);
    nft_status status = nft_check_threads("nft_trainer_create", filled->threads);
    if (!status)
        status = nft_check_precision("nft_trainer_create", filled->precision);
    return status ? status : nft_check_memory_limit("nft_trainer_create", filled->memory_limit);
}

static nft_status check_ranks(const nft_trainer_options *options, const nft_recipe *recipe)
{
    if (options->ranks < 0)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_trainer_create: options->ranks is %d, expected 1 or more",
                        options->ranks);
    int32_t ranks = options->ranks > 1 ? options->ranks : 1;
    if (options->rank < 0 || options->rank >= ranks)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_trainer_create: options->rank is %d, expected 0 … %d",
                        options->rank, ranks - 1);
    if (ranks == 1)
        return NFT_OK;
    if (!options->reduce)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_trainer_create: options->reduce is NULL, but there are %d ranks",
                        options->ranks);
    if (recipe->batch_size % options->ranks)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_trainer_create: a batch of %" PRId64 " cannot be shared equally by %d ranks",
                        recipe->batch_size, options->ranks);
    return NFT_OK;
}

/* How many samples' forward is kept: as many rounds of one for each thread as fit. Their number changes no
 * bit. */
static int64_t group_size(const nft_model *model, const nft_recipe *recipe,
                          const nft_trainer_options *options)
{
    int64_t bytes = nft_size_multiply(nft_kept_floats(model, options->recompute), sizeof(float)),
            fit = (options->recompute ? NFT_RECOMPUTE_GROUP_BYTES : NFT_GROUP_BYTES) / bytes,
            threads = options->threads ? options->threads : nft_machine_cores();
    int64_t group = fit < 2 ? 2 : fit < MAX_GROUP ? fit : MAX_GROUP;
    if (group > threads)
        group -= group % threads;
    return group < recipe->batch_size ? group : recipe->batch_size;
}

static nft_context_options training_options(const nft_trainer_options *options, int64_t group)
{
    nft_context_options filled = nft_validation_options(options);
    filled.max_batch = group;
    filled.keep_for_backward = 1;
    filled.recompute = options->recompute;
    return filled;
}

/* The model's output is the weights of a SIREN. */
static nft_status check_rendered(const nft_model *model, const nft_value *output)
{
    if (output->kind != NFT_VALUE_FEATURES || output->channels != 1)
        return nft_fail(NFT_ERROR_MISMATCH, "nft_trainer_create: loss render takes a model whose output is "
                                            "features of one channel, the weights of a network");
    nft_status status = nft_siren_check_space(model->space);
    return status ? nft_fail_in(status, "nft_trainer_create: loss render") : NFT_OK;
}

static nft_status check_reconstructed(const nft_model *model)
{
    if (!model->has_decoder)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_trainer_create: loss reconstruction takes a model with a decoder");
    if (model->input.channels != 1)
        return nft_fail(
            NFT_ERROR_MISMATCH,
            "nft_trainer_create: loss reconstruction takes a model of 1 channel, the weights of a "
            "network, but the model has %" PRId64,
            model->input.channels);
    return NFT_OK;
}

static nft_status check_output(const nft_model *model, const nft_loss *loss)
{
    const nft_value *output = &model->steps[nft_model_step_count(model) - 1].module->out;
    if (loss->target == NFT_TARGET_IMAGE)
        return check_rendered(model, output);
    if (loss->target == NFT_TARGET_INPUT)
        return check_reconstructed(model);
    if (output->kind == NFT_VALUE_FEATURES)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_trainer_create: loss %s takes a vector or tokens, but the model's output is "
                        "features; end it with a pooling or flattening module",
                        loss->name);
    if (loss->target == NFT_TARGET_CLASS && output->kind != NFT_VALUE_VECTOR)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_trainer_create: loss %s takes a vector of one logit for each class, but the "
                        "model's output is tokens; end it with mean_tokens, select_token or flatten_tokens",
                        loss->name);
    return NFT_OK;
}

static nft_status check_model(const nft_model *model, const nft_recipe *recipe)
{
    for (int64_t i = 0; i < model->parameters.count; i++)
        if (model->parameters.items[i].trained)
            return check_output(model, recipe->loss);
    return nft_fail(NFT_ERROR_MISMATCH,
                    "nft_trainer_create: the model has no trained parameter; there is nothing to train");
}

/* The samples of a batch that do not come from the caller's memory, and of a piece of a file; what says which
 * samples they are; the outputs' gradients. */
static int64_t batch_bytes(const nft_model *model, const nft_recipe *recipe, int64_t group)
{
    int64_t outputs =
        nft_value_floats(&model->steps[nft_model_step_count(model) - 1].module->out, model->space);
    int64_t bytes = nft_size_add(nft_batch_bytes(model, recipe->loss, outputs, recipe->batch_size),
                                 nft_batch_bytes(model, recipe->loss, outputs, NFT_PIECE_SAMPLES));
    bytes = nft_size_add(bytes, nft_size_multiply(recipe->batch_size, 2 * sizeof(int64_t)));
    return nft_size_add(bytes, nft_size_multiply(nft_size_multiply(group, outputs), sizeof(float)));
}

/* What a loss between images renders with, and a network with its gradient. */
static int64_t image_bytes(const nft_model *model, const nft_recipe *recipe)
{
    int64_t height = 0, width = 0; /* a data set's are not known yet */
    float omega = 0;
    if (recipe->loss->sample)
        return 0;
    if (recipe->loss->target == NFT_TARGET_INPUT)
        nft_decoder_image(model->steps[nft_model_step_count(model) - 1].module, &height, &width, &omega);
    return nft_size_add(nft_size_multiply(model->space->numbers, 2 * sizeof(float)),
                        nft_image_loss_bytes(model->space, height, width));
}

/* What evaluates the model later must know of the loss. */
static nft_status describe_loss(nft_model *model, const nft_recipe *recipe)
{
    nft_status status = nft_model_set_metadata(model, "nft.loss", recipe->loss->name);
    if (status || recipe->loss->target != NFT_TARGET_IMAGE)
        return status;
    json_t *omega = json_real(recipe->omega);
    nft_text text = {0};
    bool written = omega && nft_json_append(&text, omega, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    json_decref(omega);
    status =
        written ? nft_model_set_metadata(model, "nft.omega", text.data) : nft_fail_memory("the metadata", 32);
    nft_text_clear(&text);
    return status;
}

/* Model, best values, gradients, moments, both contexts, batches, and what nft_trainer_fit_normalize takes.
 */
static nft_status plan_bytes(const nft_model *model, const nft_recipe *recipe,
                             const nft_trainer_options *options, int64_t *bytes)
{
    int64_t group = group_size(model, recipe, options);
    nft_context_options training = training_options(options, group),
                        validation = nft_validation_options(options);
    int64_t context = 0, second = 0, shared; /* by the contexts, which both count it */
    nft_status status = nft_context_memory(&context, model, &training);
    if (!status)
        status = nft_context_memory(&second, model, &validation);
    shared = nft_packed_weights_bytes(&model->parameters, nft_format_of(options->precision), false);
    second -= second < INT64_MAX ? shared : 0;
    int64_t values = nft_size_multiply(model->parameters.total, 3 * sizeof(float));
    const int64_t parts[] = {context,
                             second,
                             values,
                             nft_moments_bytes(model),
                             nft_fit_bytes(model),
                             batch_bytes(model, recipe, group),
                             image_bytes(model, recipe)};
    *bytes = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !status; i++)
        *bytes = nft_size_add(*bytes, parts[i]);
    return status;
}

/* What both nft_trainer_memory and nft_trainer_create begin with. */
static nft_status plan(nft_recipe *recipe, nft_trainer_options *filled, int64_t *bytes,
                       const nft_model *model, const char *recipe_json, size_t length,
                       const nft_trainer_options *options)
{
    nft_status status;
    if ((status = fill_options(filled, options)) ||
        (status = nft_recipe_parse(recipe, recipe_json, length)) || (status = check_ranks(filled, recipe)) ||
        (status = check_model(model, recipe)))
        return status;
    return plan_bytes(model, recipe, filled, bytes);
}

nft_status nft_trainer_memory(int64_t *bytes, const nft_model *model, const char *recipe_json, size_t length,
                              const nft_trainer_options *options)
{
    if (!model || !recipe_json || !bytes)
        return nft_fail_null("nft_trainer_memory", !model ? "model" : !recipe_json ? "recipe_json" : "bytes");
    nft_recipe recipe;
    nft_trainer_options filled;
    *bytes = 0;
    return plan(&recipe, &filled, bytes, model, recipe_json, length, options);
}

/* Of outputs that are features. */
static nft_status make_features_gradient(nft_trainer *trainer)
{
    const nft_space *space = trainer->model->space;
    trainer->outputs = space->numbers;
    return nft_weights_allocate(&trainer->features_gradient, space, trainer->group, 1, NULL, 0);
}

/* What a loss between images needs before there is data. */
static nft_status make_image_loss(nft_trainer *trainer)
{
    const nft_model *model = trainer->model;
    if (trainer->recipe.loss->sample)
        return NFT_OK;
    size_t numbers = (size_t)model->space->numbers;
    trainer->network = nft_allocate_array(numbers, sizeof *trainer->network);
    trainer->network_gradient = nft_allocate_array(numbers, sizeof *trainer->network_gradient);
    if (!trainer->network || !trainer->network_gradient)
        return nft_fail_memory("a network", 2 * (int64_t)(numbers * sizeof *trainer->network));
    if (trainer->recipe.loss->target != NFT_TARGET_INPUT)
        return NFT_OK;
    int64_t height = 0, width = 0;
    float omega = 0;
    nft_decoder_image(model->steps[nft_model_step_count(model) - 1].module, &height, &width, &omega);
    return nft_image_loss_create(&trainer->images, model->space, omega, height, width);
}

/* A group's output has the shape of the context's. */
static nft_status make_group(nft_trainer *trainer)
{
    const nft_array *output = trainer->context->output;
    int64_t batch = trainer->recipe.batch_size;
    trainer->dropout = nft_allocate_array((size_t)trainer->group, sizeof *trainer->dropout);
    trainer->indices = nft_allocate_array((size_t)batch, sizeof *trainer->indices);
    trainer->numbers = nft_allocate_array((size_t)batch, sizeof *trainer->numbers);
    if (!trainer->dropout || !trainer->indices || !trainer->numbers)
        return nft_fail_memory("a batch", nft_size_multiply(batch, sizeof *trainer->indices));
    nft_status status = make_image_loss(trainer);
    if (status || !output)
        return status ? status : make_features_gradient(trainer);
    trainer->outputs = output->count / output->shape[0];
    return nft_array_create(&trainer->output_gradient, NFT_ARRAY_F32, output->shape, output->rank, NULL);
}

nft_status nft_trainer_create(nft_trainer **out, const nft_model *model, const char *recipe_json,
                              size_t length, const nft_trainer_options *options)
{
    if (!out)
        return nft_fail_null("nft_trainer_create", "trainer");
    *out = NULL;
    if (!model || !recipe_json)
        return nft_fail_null("nft_trainer_create", model ? "recipe_json" : "model");
    nft_trainer *trainer = nft_allocate(sizeof *trainer);
    if (!trainer)
        return nft_fail_memory("a trainer", sizeof *trainer);
    int64_t bytes = 0;
    nft_status status;
    if ((status = plan(&trainer->recipe, &trainer->options, &bytes, model, recipe_json, length, options)) ||
        (status = nft_check_limit("the trainer", bytes, trainer->options.memory_limit)) ||
        (status = nft_model_copy(&trainer->model, model, model->values, 0)) ||
        (status = describe_loss(trainer->model, &trainer->recipe)))
        goto failed;
    trainer->group = group_size(model, &trainer->recipe, &trainer->options);
    nft_context_options training = training_options(&trainer->options, trainer->group);
    if ((status = nft_context_create(&trainer->context, trainer->model, &training)) ||
        (status = nft_gradients_create(&trainer->gradients, trainer->model)) ||
        (status = nft_moments_create(&trainer->moments, trainer->model)) || (status = make_group(trainer)))
        goto failed;
    *out = trainer;
    return NFT_OK;
failed:
    nft_trainer_free(trainer);
    return status;
}

void nft_trainer_free(nft_trainer *trainer)
{
    if (!trainer)
        return;
    nft_trainer_clear_data(trainer);
    nft_sampler_clear(&trainer->sampler);
    nft_moments_clear(&trainer->moments);
    nft_gradients_free(trainer->gradients);
    nft_array_free(trainer->output_gradient);
    nft_weights_free(trainer->features_gradient);
    nft_image_loss_free(trainer->images);
    nft_release(trainer->network);
    nft_release(trainer->network_gradient);
    nft_array_free(trainer->validation_output);
    nft_release(trainer->validation_losses);
    nft_release(trainer->dropout);
    nft_release(trainer->indices);
    nft_release(trainer->numbers);
    nft_release(trainer->best);
    nft_context_free(trainer->validation_context);
    nft_context_free(trainer->context);
    nft_model_free(trainer->model);
    nft_release(trainer);
}

nft_status nft_trainer_check_call(const nft_trainer *trainer, const char *function)
{
    if (!trainer)
        return nft_fail_null(function, "trainer");
    if (trainer->waits)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "%s: called by a callback that fills a batch or adds up over ranks, which may not "
                        "change its trainer; do it between the steps",
                        function);
    return NFT_OK;
}

int64_t nft_trainer_steps_done(const nft_trainer *trainer)
{
    return trainer ? trainer->step : 0;
}

int64_t nft_trainer_steps(const nft_trainer *trainer)
{
    return trainer ? trainer->recipe.steps : 0;
}

static nft_status snapshot(const char *function, nft_model **model, const nft_trainer *trainer, bool best)
{
    if (!model)
        return nft_fail_null(function, "model");
    *model = NULL;
    if (!trainer)
        return nft_fail_null(function, "trainer");
    const float *values = best && trainer->has_best ? trainer->best : trainer->model->values;
    return nft_model_copy(model, trainer->model, values, 0);
}

nft_status nft_trainer_snapshot(nft_model **model, const nft_trainer *trainer)
{
    return snapshot("nft_trainer_snapshot", model, trainer, false);
}

nft_status nft_trainer_best(nft_model **model, const nft_trainer *trainer)
{
    return snapshot("nft_trainer_best", model, trainer, true);
}
