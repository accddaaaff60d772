/* Trainers: from a recipe and a model to trained models. */
#include "train/contract.h"
#include "train/trainer.h"

#include "config/json.h"
#include "math/kernel_set.h"
#include "modules/sequence/decoder.h"
#include "siren/siren.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* The options of an older caller are shorter. Their missing fields are zero, the default. */
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

/* The model's output is the weights of a SIREN. */
static nft_status check_rendered(const nft_model *model, const nft_value *output)
{
    if (output->kind != NFT_VALUE_FEATURES || output->lifted || !model->space)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_trainer_create: loss render takes a model of one space whose "
                        "output is features, the weights of a network in each channel");
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
    const nft_value *output = nft_model_last_value(model);
    if (loss->target == NFT_TARGET_IMAGE)
        return check_rendered(model, output);
    if (loss->target == NFT_TARGET_INPUT)
        return check_reconstructed(model);
    if (output->kind == NFT_VALUE_FEATURES)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_trainer_create: loss %s takes a vector or tokens, but the model's output is "
                        "features; end it with a pooling or flattening module",
                        loss->name);
    if (!nft_model_value_is_fixed(model, output))
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_trainer_create: the size of the model's output depends on the space of the "
                        "network; end it with a pooling module, so that loss %s can compare it",
                        loss->name);
    if (loss->target == NFT_TARGET_CLASS && output->kind != NFT_VALUE_VECTOR)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "nft_trainer_create: loss %s takes a vector of one logit for each class, but the "
                        "model's output is tokens; end it with mean_tokens, select_token or flatten_tokens",
                        loss->name);
    return NFT_OK;
}

/* The images of the loss would have to move with the networks. */
static nft_status check_augment(const nft_model *model, const nft_recipe *recipe)
{
    if (recipe->augment.enabled && recipe->loss->target == NFT_TARGET_IMAGE)
        return nft_fail(NFT_ERROR_CONFIG,
                        "nft_trainer_create: loss render compares with images that do not move with the "
                        "networks; leave out 'augment'");
    if (recipe->augment.mixup > 0 && recipe->batch_size < 2)
        return nft_fail(
            NFT_ERROR_CONFIG,
            "nft_trainer_create: augment: 'mixup' mixes the networks of a batch, but 'batch_size' "
            "is 1");
    nft_status status = nft_augment_check(&recipe->augment, model);
    return status ? nft_fail_in(status, "nft_trainer_create") : NFT_OK;
}

static nft_status check_model(const nft_model *model, const nft_recipe *recipe)
{
    nft_status status = check_augment(model, recipe);
    if (status)
        return status;
    for (int64_t i = 0; i < model->parameters.count; i++)
        if (model->parameters.items[i].trained)
            return check_output(model, recipe->loss);
    return nft_fail(NFT_ERROR_MISMATCH,
                    "nft_trainer_create: the model has no trained parameter; there is nothing to train");
}

/* The facts about the loss for programs that evaluate the model later. */
static nft_status describe_loss(nft_model *model, const nft_recipe *recipe)
{
    nft_status status = nft_model_set_metadata(model, "nft.loss", recipe->loss->name);
    if (!status)
        status = nft_model_set_metadata(model, "nft.label", recipe->label[0] ? recipe->label : NULL);
    if (status || recipe->loss->target != NFT_TARGET_IMAGE)
        return status;
    nft_text text = {0};
    status = nft_siren_write_omega(&text, &recipe->form);
    if (!status)
        status = nft_model_set_metadata(model, NFT_OMEGA_KEY, text.data);
    nft_text_clear(&text);
    return status;
}

/* The beginning of nft_trainer_memory and nft_trainer_create. */
static nft_status plan(nft_recipe *recipe, nft_trainer_options *filled, int64_t *bytes,
                       const nft_model *model, const nft_space *space, const char *recipe_json, size_t length,
                       const nft_trainer_options *options)
{
    nft_status status;
    if ((status = fill_options(filled, options)) ||
        (status = nft_recipe_parse(recipe, recipe_json, length)) || (status = check_ranks(filled, recipe)) ||
        (status = check_model(model, recipe)))
        return status;
    return nft_trainer_plan_bytes(model, recipe, filled, space, bytes);
}

nft_status nft_trainer_memory(int64_t *bytes, const nft_model *model, const nft_space *space,
                              const char *recipe_json, size_t length, const nft_trainer_options *options)
{
    if (!model || !recipe_json || !bytes)
        return nft_fail_null("nft_trainer_memory", !model ? "model" : !recipe_json ? "recipe_json" : "bytes");
    nft_recipe recipe = {0};
    nft_trainer_options filled;
    *bytes = 0;
    nft_status status = plan(&recipe, &filled, bytes, model, space, recipe_json, length, options);
    nft_recipe_clear(&recipe);
    return status;
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
    nft_status status = NFT_OK;
    trainer->description = nft_allocate(sizeof *trainer->description);
    if (!trainer->description) {
        status = nft_fail_memory("a trainer", sizeof *trainer->description);
        goto failed;
    }
    if ((status =
             plan(&trainer->recipe, &trainer->options, &bytes, model, NULL, recipe_json, length, options)) ||
        (status = nft_check_limit("the trainer", bytes, trainer->options.memory_limit)) ||
        (status = nft_model_copy(&trainer->model, model, model->values, 0)) ||
        (status = describe_loss(trainer->model, &trainer->recipe)))
        goto failed;
    const nft_recipe *recipe = &trainer->recipe;
    if ((status = nft_loop_create(&trainer->loop, trainer->model, recipe, &trainer->options)) ||
        (status = nft_auxiliary_create(&trainer->auxiliary, &recipe->auxiliary, trainer->model, recipe->seed,
                                       trainer->loop.group, &trainer->options)) ||
        (status = nft_state_create(&trainer->state, trainer->model, trainer->auxiliary.model,
                                   recipe->ema_decay)) ||
        (status = nft_batch_source_create(&trainer->source, trainer->model, recipe)) ||
        (status = nft_objective_create(&trainer->objective, trainer->model, recipe->loss, trainer->loop.group,
                                       recipe->augment.mixup > 0)))
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
    nft_batch_source_clear(&trainer->source);
    nft_validation_clear(&trainer->validation);
    nft_reading_clear(&trainer->pieces);
    nft_objective_clear(&trainer->objective);
    nft_loop_clear(&trainer->loop);
    nft_state_clear(&trainer->state);
    nft_auxiliary_clear(&trainer->auxiliary);
    nft_recipe_clear(&trainer->recipe);
    nft_release(trainer->description);
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

/* Of the recipe, or those that early stopping took. */
static int64_t steps_in_all(const nft_trainer *trainer)
{
    int64_t patience = trainer->recipe.patience;
    return patience && trainer->state.stale >= patience ? trainer->state.step : trainer->recipe.steps;
}

const nft_trainer_description *nft_trainer_describe(const nft_trainer *trainer)
{
    static const nft_trainer_description none = {sizeof none, 0, 0, NAN, NULL};
    if (!trainer)
        return &none;
    *trainer->description = (nft_trainer_description){
        .size = sizeof none,
        .steps = steps_in_all(trainer),
        .steps_done = trainer->state.step,
        .best_loss = trainer->state.has_best ? trainer->state.best_loss : NAN,
        .validation_output = trainer->validation.has_run ? trainer->validation.output : NULL};
    return trainer->description;
}

nft_status nft_trainer_snapshot(nft_model **model, const nft_trainer *trainer, int32_t which)
{
    static const char function[] = "nft_trainer_snapshot";
    if (!model)
        return nft_fail_null(function, "model");
    *model = NULL;
    if (!trainer)
        return nft_fail_null(function, "trainer");
    if (which != NFT_SNAPSHOT_LAST && which != NFT_SNAPSHOT_BEST)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: which is %" PRId32 ", expected NFT_SNAPSHOT_…", function,
                        which);
    bool best = which == NFT_SNAPSHOT_BEST && trainer->state.has_best;
    const float *values = best ? trainer->state.best : nft_state_values(&trainer->state);
    nft_status status = nft_model_copy(model, trainer->model, values, 0);
    if (status || !(status = nft_contract_note(*model, &trainer->source.set)))
        return status;
    nft_model_free(*model);
    *model = NULL;
    return status;
}
