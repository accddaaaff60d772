/* What a trainer is trained and validated on: sets of the caller's, files, or a callback. */
#include "modules/sequence/decoder.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <string.h>

/* A set that is the trainer's holds references to all that it reads. */
static void clear_set(nft_samples *set)
{
    nft_weights_free((nft_weights *)set->weights);
    nft_array_free((nft_array *)set->tokens);
    nft_array_free((nft_array *)set->target_array);
    nft_dataset_free(set->dataset);
    *set = (nft_samples){0};
}

static void replace_set(nft_samples *set, const nft_samples *other)
{
    if (other->weights)
        nft_weights_retain(other->weights);
    if (other->tokens)
        nft_array_retain(other->tokens);
    if (other->target_array)
        nft_array_retain(other->target_array);
    if (other->dataset)
        nft_dataset_retain(other->dataset);
    clear_set(set);
    *set = *other;
}

void nft_trainer_clear_data(nft_trainer *trainer)
{
    clear_set(&trainer->train);
    clear_set(&trainer->validation);
    nft_batch_clear(&trainer->batch);
    nft_batch_clear(&trainer->pieces);
    trainer->source = NULL;
}

/* A look at every number, piece by piece. */
static nft_status look_through(nft_trainer *trainer, nft_samples *set, const char *what)
{
    int64_t size = set->dataset ? NFT_PIECE_SAMPLES : set->count;
    nft_status status = NFT_OK;
    set->fingerprint = (nft_fingerprint){0};
    const int64_t size_of_images[] = {set->height, set->width};
    set->fingerprint.targets = nft_hash_bytes(size_of_images, sizeof size_of_images, 0);
    for (int64_t first = 0; first < set->count && !status; first += size) {
        nft_samples piece;
        int64_t at = 0, count = set->count - first < size ? set->count - first : size;
        status = nft_samples_fetch(trainer, set, first, count, &piece, &at);
        if (status)
            nft_fail_in(status, "%s", what);
        else if (!set->dataset)
            status = nft_samples_check(trainer, &piece, what);
        if (!status)
            nft_samples_hash(trainer, &piece, &set->fingerprint);
    }
    return status;
}

/* Memory for what is read from files. That it is there once more than it is needed is no harm. */
static nft_status prepare_reading(nft_trainer *trainer, const nft_samples sets[2])
{
    nft_status status = NFT_OK;
    if (sets[0].dataset)
        status = nft_batch_reserve(&trainer->batch, trainer, trainer->recipe.batch_size);
    if (!status && (sets[0].dataset || sets[1].dataset))
        status = nft_batch_reserve(&trainer->pieces, trainer, NFT_PIECE_SAMPLES);
    return status;
}

/* The sets' images have one size, which is that of what is rendered. */
static nft_status size_images(nft_trainer *trainer, const nft_samples sets[2])
{
    const nft_samples *train = sets[0].count ? &sets[0] : &trainer->train, *validation = &sets[1];
    const nft_samples *sized = train->count ? train : validation;
    if (trainer->recipe.loss->target != NFT_TARGET_IMAGE || !sized->count)
        return NFT_OK;
    if (validation->count && (sized->height != validation->height || sized->width != validation->width))
        return nft_fail(NFT_ERROR_MISMATCH,
                        "the images of the validation set are %" PRId64 " × %" PRId64
                        ", those of the training set %" PRId64 " × %" PRId64,
                        validation->height, validation->width, sized->height, sized->width);
    return nft_image_loss_create(&trainer->images, trainer->model->space, (float)trainer->recipe.omega,
                                 sized->height, sized->width);
}

/* Takes the sets over after a look at every number: inputs are finite, targets in range. A training set
 * without samples leaves the one that is there. */
static nft_status take_sets(nft_trainer *trainer, const char *function, nft_samples sets[2])
{
    const nft_recipe *recipe = &trainer->recipe;
    nft_sampler sampler = {0};
    nft_image_loss *images = trainer->images;
    nft_status status = size_images(trainer, sets);
    if (!status)
        status = prepare_reading(trainer, sets);
    if (!status)
        status = look_through(trainer, &sets[0], "training set");
    if (!status)
        status = look_through(trainer, &sets[1], "validation set");
    if (!status && sets[0].count)
        status = nft_sampler_create(&sampler, sets[0].count, recipe->shuffle, recipe->seed);
    if (!status && sets[1].count)
        status = nft_trainer_prepare_validation(trainer, sets[1].count);
    if (status) {
        if (trainer->images != images)
            nft_image_loss_free(trainer->images);
        trainer->images = images;
        nft_sampler_clear(&sampler);
        return nft_fail_in(status, "%s", function);
    }
    if (trainer->images != images)
        nft_image_loss_free(images);
    if (sets[0].count) {
        nft_sampler_clear(&trainer->sampler);
        trainer->sampler = sampler;
        trainer->source = NULL;
        replace_set(&trainer->train, &sets[0]);
    }
    replace_set(&trainer->validation, &sets[1]);
    trainer->has_best = trainer->has_validated = false;
    return NFT_OK;
}

static nft_status fail_no_targets(const nft_trainer *trainer, int64_t samples)
{
    if (trainer->recipe.loss->target == NFT_TARGET_IMAGE)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "it has no tensor 'target' with an image for each of its %" PRId64 " networks",
                        samples);
    return nft_fail(
        NFT_ERROR_MISMATCH,
        "it has no tensor 'label' (or 'target') with a number for each of its %" PRId64 " samples", samples);
}

/* The tensor that holds the targets. */
static const char *target_name(const nft_trainer *trainer, bool has_label)
{
    return has_label && trainer->recipe.loss->target != NFT_TARGET_IMAGE ? "label" : "target";
}

static nft_status read_weights(nft_samples *samples, const nft_trainer *trainer, const nft_weights *weights)
{
    nft_status status = nft_model_check_weights(trainer->model, weights);
    if (status)
        return status;
    if (!weights->count)
        return nft_fail(NFT_ERROR_MISMATCH, "it has no networks");
    const char *name = target_name(trainer, nft_weights_extra(weights, "label") != NULL);
    const nft_array *targets = nft_weights_extra(weights, name);
    *samples = (nft_samples){.weights = weights, .count = weights->count};
    if (trainer->recipe.loss->target == NFT_TARGET_INPUT)
        return NFT_OK;
    samples->target_array = targets;
    return targets ? nft_samples_set_targets(trainer, samples, targets, name)
                   : fail_no_targets(trainer, weights->count);
}

nft_status nft_trainer_set_data(nft_trainer *trainer, const nft_weights *train, const nft_weights *validation)
{
    static const char function[] = "nft_trainer_set_data";
    nft_status status = nft_trainer_check_call(trainer, function);
    if (status)
        return status;
    if (!trainer->model->space)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "%s: the model takes tokens, not weights; call nft_trainer_set_tokens", function);
    nft_samples sets[2] = {{0}, {0}};
    if (train && (status = read_weights(&sets[0], trainer, train)))
        return nft_fail_in(status, "%s: training set", function);
    if (validation && (status = read_weights(&sets[1], trainer, validation)))
        return nft_fail_in(status, "%s: validation set", function);
    return take_sets(trainer, function, sets);
}

static nft_status read_tokens(nft_samples *samples, const nft_trainer *trainer, const nft_array *tokens,
                              const nft_array *targets)
{
    if (!targets)
        return nft_fail(NFT_ERROR_ARGUMENT, "the argument with its targets is NULL");
    nft_status status = nft_model_check_tokens(trainer->model, tokens);
    if (status)
        return status;
    if (!tokens->shape[0])
        return nft_fail(NFT_ERROR_MISMATCH, "it has no samples");
    *samples = (nft_samples){.tokens = tokens, .count = tokens->shape[0], .target_array = targets};
    return nft_samples_set_targets(trainer, samples, targets, "label");
}

nft_status nft_trainer_set_tokens(nft_trainer *trainer, const nft_array *train,
                                  const nft_array *train_targets, const nft_array *validation,
                                  const nft_array *validation_targets)
{
    static const char function[] = "nft_trainer_set_tokens";
    nft_status status = nft_trainer_check_call(trainer, function);
    if (status)
        return status;
    if (trainer->model->space)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "%s: the model takes weights, not tokens; call nft_trainer_set_data", function);
    nft_samples sets[2] = {{0}, {0}};
    if (train && (status = read_tokens(&sets[0], trainer, train, train_targets)))
        return nft_fail_in(status, "%s: training set", function);
    if (validation && (status = read_tokens(&sets[1], trainer, validation, validation_targets)))
        return nft_fail_in(status, "%s: validation set", function);
    return take_sets(trainer, function, sets);
}

/* Whether the model takes what a file holds. */
static nft_status check_inputs(const nft_trainer *trainer, const nft_dataset *dataset)
{
    const nft_model *model = trainer->model;
    if (!dataset->space) {
        nft_array like = {.type = NFT_ARRAY_F32, .rank = 3};
        memcpy(like.shape, dataset->tokens->shape, 3 * sizeof *like.shape);
        return model->space ? nft_fail(NFT_ERROR_MISMATCH, "it holds tokens, the model takes weights")
                            : nft_model_check_tokens(model, &like);
    }
    if (!model->space)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "it holds networks, the model takes tokens: the tensor 'output' of rank 3");
    nft_weights like = {.space = dataset->space, .channels = dataset->channels};
    return nft_model_check_weights(model, &like);
}

/* What the loss renders the networks with; 0 of a loss that renders nothing. */
static double rendered_omega(const nft_trainer *trainer)
{
    const nft_model *model = trainer->model;
    int64_t height = 0, width = 0;
    float omega = 0;
    if (trainer->recipe.loss->target == NFT_TARGET_IMAGE)
        return trainer->recipe.omega;
    if (trainer->recipe.loss->target == NFT_TARGET_INPUT)
        nft_decoder_image(model->steps[nft_model_step_count(model) - 1].module, &height, &width, &omega);
    return omega;
}

/* A file may say the frequency of its networks, as those of `nftool fit` do. */
static nft_status check_omega(const nft_trainer *trainer, const nft_dataset *dataset)
{
    const char *text = nft_file_metadata(dataset->file, "nft.omega");
    double omega = rendered_omega(trainer);
    json_t *said = NULL;
    if (!text || omega == 0)
        return NFT_OK;
    nft_status status = nft_json_parse(&said, text, strlen(text));
    double number = json_number_value(said); /* 0 of what is none */
    json_decref(said);
    if (status || (float)number == (float)omega)
        return status ? nft_fail_in(status, "'nft.omega' of its metadata") : NFT_OK;
    return nft_fail(NFT_ERROR_MISMATCH,
                    "its networks have omega %g by its metadata, the loss renders with %g", number, omega);
}

static nft_status read_dataset(nft_samples *samples, const nft_trainer *trainer, nft_dataset *dataset)
{
    nft_status status = check_inputs(trainer, dataset);
    if (!status)
        status = check_omega(trainer, dataset);
    if (status)
        return status;
    if (!dataset->count)
        return nft_fail(NFT_ERROR_MISMATCH, "it has no samples");
    *samples = (nft_samples){.dataset = dataset, .count = dataset->count};
    if (trainer->recipe.loss->target == NFT_TARGET_INPUT)
        return NFT_OK;
    const char *name = target_name(trainer, nft_file_find(dataset->file, "label") != NULL);
    const nft_entry *entry = nft_file_find(dataset->file, name);
    if (!entry)
        return fail_no_targets(trainer, dataset->count);
    if (!nft_type_is_float(entry->type) && !nft_type_is_integer(entry->type))
        return nft_fail(NFT_ERROR_MISMATCH, "'%s' is %s, which is not read", name,
                        nft_type_name(entry->type));
    nft_array like = {.type = nft_type_is_float(entry->type) ? NFT_ARRAY_F32 : NFT_ARRAY_I64,
                      .rank = entry->rank,
                      .count = entry->count};
    memcpy(like.shape, entry->shape, sizeof like.shape);
    samples->target_entry = entry;
    return nft_samples_set_targets(trainer, samples, &like, name);
}

nft_status nft_trainer_set_dataset(nft_trainer *trainer, nft_dataset *train, nft_dataset *validation)
{
    static const char function[] = "nft_trainer_set_dataset";
    nft_status status = nft_trainer_check_call(trainer, function);
    if (status)
        return status;
    nft_samples sets[2] = {{0}, {0}};
    nft_dataset *datasets[2] = {train, validation};
    for (int i = 0; i < 2; i++) {
        status = datasets[i] ? read_dataset(&sets[i], trainer, datasets[i]) : NFT_OK;
        if (status)
            return nft_fail_in(status, "%s: %s set: %s", function, i ? "validation" : "training",
                               datasets[i]->file->path);
    }
    return take_sets(trainer, function, sets);
}

nft_status nft_trainer_set_source(nft_trainer *trainer, nft_batch_callback *callback, void *user)
{
    nft_status status = nft_trainer_check_call(trainer, "nft_trainer_set_source");
    if (status)
        return status;
    if (trainer->recipe.loss->target == NFT_TARGET_IMAGE)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_trainer_set_source: loss render takes the size of its images from a data set; "
                        "call nft_trainer_set_data or nft_trainer_set_dataset");
    if (callback && (status = nft_batch_reserve(&trainer->batch, trainer, trainer->recipe.batch_size)))
        return nft_fail_in(status, "nft_trainer_set_source");
    trainer->source = callback;
    trainer->source_user = user;
    if (!callback)
        return NFT_OK;
    nft_sampler_clear(&trainer->sampler);
    clear_set(&trainer->train);
    return NFT_OK;
}
