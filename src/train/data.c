/* The data of a trainer: sets of the caller, files, or a callback. */
#include "train/contract.h"
#include "config/json.h"
#include "io/targets.h"
#include "modules/sequence/decoder.h"
#include "train/no_targets.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <string.h>

bool nft_trainer_takes_tokens(const nft_trainer *trainer)
{
    return trainer->model->input.kind == NFT_VALUE_TOKENS;
}

/* Memory for samples of files. More of it than is needed does no harm. A batch is in memory once. */
static nft_status prepare_reading(nft_trainer *trainer, const nft_set sets[2])
{
    nft_status status = NFT_OK;
    if (sets[0].dataset) {
        nft_callback_source_free_batch(&trainer->source.callback);
        status = nft_reading_reserve(&trainer->source.reading, &trainer->objective, &sets[0],
                                     trainer->recipe.batch_size);
    }
    for (int s = 0; s < 2 && !status; s++)
        if (sets[s].dataset)
            status = nft_reading_reserve(&trainer->pieces, &trainer->objective, &sets[s], NFT_PIECE_SAMPLES);
    return status;
}

/* The sets' images have one size, which is that of the rendering. */
static nft_status size_images(nft_trainer *trainer, const nft_set sets[2])
{
    const nft_set *train = sets[0].count ? &sets[0] : &trainer->source.set, *validation = &sets[1];
    const nft_set *sized = train->count ? train : validation;
    if (trainer->objective.loss->target != NFT_TARGET_IMAGE || !sized->count)
        return NFT_OK;
    if (validation->count && (sized->height != validation->height || sized->width != validation->width))
        return nft_fail(NFT_ERROR_MISMATCH,
                        "the images of the validation set are %" PRId64 " × %" PRId64
                        ", those of the training set %" PRId64 " × %" PRId64,
                        validation->height, validation->width, sized->height, sized->width);
    return nft_image_loss_create(&trainer->objective.images, trainer->model->space,
                                 nft_objective_networks(&trainer->objective),
                                 (float)trainer->recipe.form.omega[0], sized->height, sized->width);
}

/* The forms in which the losses between images render: of the model's output, and of an auxiliary head's. */
typedef struct forms {
    nft_siren_form own, auxiliary;
} forms;

/* Networks that come out are rendered as the recipe says, those that go in as the data say, or the decoder;
 * with the offset of the data. */
static nft_status find_form(nft_siren_form *form, const nft_objective *objective, const nft_recipe *recipe,
                            const nft_set *set)
{
    const nft_model *model = objective->model;
    const char *omega = NULL;
    *form = recipe->form;
    if (!objective->loss || objective->loss->sample || !set->count)
        return NFT_OK;
    if (objective->loss->target == NFT_TARGET_INPUT) {
        int64_t height = 0, width = 0;
        nft_decoder_image(model->sequence->steps[nft_model_step_count(model) - 1].module, &height, &width,
                          form);
        omega = nft_contract_text(set, 0, NFT_OMEGA_KEY);
    }
    nft_status status = nft_siren_form_read(form, omega, nft_contract_text(set, 0, NFT_OFFSET_KEY));
    return status ? status : nft_siren_form_check(form, model->space);
}

static nft_status find_forms(forms *found, const nft_trainer *trainer, const nft_set sets[2])
{
    const nft_set *train = sets[0].count ? &sets[0] : &trainer->source.set;
    const nft_set *set = train->count ? train : &sets[1];
    nft_status status = find_form(&found->own, &trainer->objective, &trainer->recipe, set);
    return status ? status
                  : find_form(&found->auxiliary, &trainer->auxiliary.objective, &trainer->recipe, set);
}

static void set_form(const nft_objective *objective, const nft_siren_form *form)
{
    if (objective->images)
        nft_siren_tape_set_form(objective->images->tape, form);
}

/* A validation set that stays has been looked through. */
static bool stays(const nft_trainer *trainer, const nft_set *validation)
{
    return validation->parts && validation->parts == trainer->validation.set.parts;
}

static nft_status look_through_both(nft_trainer *trainer, nft_set sets[2])
{
    nft_status status = NFT_OK;
    for (int s = 0; s < 2 && !status; s++)
        if (!(s && stays(trainer, &sets[1])) &&
            (status = nft_set_look_through(trainer, &sets[s], s ? "validation" : "training")))
            nft_fail_in(status, "%s set", s ? "validation" : "training");
    return status;
}

/* Memory for a validation set of `count` samples. */
static nft_status prepare_validation(nft_trainer *trainer, int64_t count)
{
    const nft_context_options options = nft_validation_options(&trainer->options);
    nft_status status = nft_state_reserve_best(&trainer->state);
    return status ? status
                  : nft_validation_prepare(&trainer->validation, &trainer->objective, count, &options);
}

/* All that may fail. Changes only trainer->objective.images and the memory for samples. */
static nft_status check_sets(nft_trainer *trainer, nft_set sets[2], nft_sampler *sampler,
                             int64_t *group_floats, forms *found)
{
    const nft_recipe *recipe = &trainer->recipe;
    nft_status status = nft_trainer_plan_sets(trainer, sets, group_floats);
    if (!status)
        status = size_images(trainer, sets);
    if (!status)
        status = find_forms(found, trainer, sets);
    if (!status)
        status = prepare_reading(trainer, sets);
    if (!status)
        status = look_through_both(trainer, sets);
    if (!status && sets[0].count)
        status = nft_sampler_create(sampler, sets[0].count, recipe->shuffle, recipe->seed);
    if (!status && sets[1].count)
        status = prepare_validation(trainer, sets[1].total);
    return status;
}

static void replace_set(nft_set *set, const nft_set *other)
{
    nft_set_retain(other);
    nft_set_clear(set, true);
    *set = *other;
}

/* Takes the sets over after a check of every number: inputs are finite, targets in range. A training set
 * without samples leaves the present one. On failure the caller clears the sets. */
static nft_status take_sets(nft_trainer *trainer, nft_set sets[2])
{
    nft_sampler sampler = {0};
    nft_image_loss *images = trainer->objective.images;
    int64_t group_floats = 0;
    forms found;
    nft_status status = check_sets(trainer, sets, &sampler, &group_floats, &found);
    if (status) {
        if (trainer->objective.images != images)
            nft_image_loss_free(trainer->objective.images);
        trainer->objective.images = images;
        nft_sampler_clear(&sampler);
        return status;
    }
    if (trainer->objective.images != images)
        nft_image_loss_free(images);
    set_form(&trainer->objective, &found.own);
    set_form(&trainer->auxiliary.objective, &found.auxiliary);
    if (sets[0].count) {
        nft_sampler_clear(&trainer->source.sampler);
        trainer->source.sampler = sampler;
        nft_callback_source_clear(&trainer->source.callback);
        replace_set(&trainer->source.set, &sets[0]);
    }
    trainer->loop.group_floats = group_floats;
    if (stays(trainer, &sets[1]))
        return NFT_OK;
    replace_set(&trainer->validation.set, &sets[1]);
    trainer->validation.has_run = false;
    nft_state_forget_best(&trainer->state);
    return NFT_OK;
}

/* After the sets were read, or not. */
static nft_status finish_sets(nft_trainer *trainer, nft_set sets[2], nft_status status)
{
    nft_set *train = sets[0].count ? &sets[0] : &trainer->source.set;
    if (!status)
        status = nft_contract_check_model(trainer->model, &sets[0], trainer->recipe.any_fit);
    if (!status && trainer->recipe.prepare)
        status = nft_contract_prepare(train, &sets[1]);
    if (!status)
        status = nft_contract_check(train, &sets[1], trainer->recipe.any_fit);
    if (!status)
        status = take_sets(trainer, sets);
    if (!status)
        return NFT_OK;
    nft_set_clear(&sets[0], false);
    if (!stays(trainer, &sets[1]))
        nft_set_clear(&sets[1], false);
    return status;
}

/* The tensor that holds the targets. */
static const char *target_name(const nft_trainer *trainer, bool has_label)
{
    if (trainer->recipe.label[0])
        return trainer->recipe.label;
    return has_label && trainer->objective.loss->target != NFT_TARGET_IMAGE ? "label" : "target";
}

/* Data may say the frequency of their networks, as those of `nftool fit` do. */
static nft_status check_omega(const char *text, const nft_siren_form *form, const char *what)
{
    nft_siren_form said = nft_siren_plain(NFT_DEFAULT_OMEGA);
    nft_text expected = {0};
    nft_status status = text ? nft_siren_form_read(&said, text, NULL) : NFT_OK;
    if (status || !text || nft_siren_omega_is(&said, form))
        return status;
    for (int64_t i = 0; i < form->omegas; i++)
        nft_text_append(&expected, "%s%g", i ? "," : "", form->omega[i]);
    status = expected.failed
                 ? nft_fail_memory("the metadata", 0)
                 : nft_fail(NFT_ERROR_MISMATCH, "its networks have omega %.80s by its metadata, %s %s", text,
                            what, expected.data);
    nft_text_clear(&expected);
    return status;
}

/* The frequency and the form that the metadata of data say; NULL: they say nothing. A network that goes in is
 * rendered with its own frequency. */
static nft_status check_metadata(const nft_trainer *trainer, const char *omega, const char *canonical)
{
    const nft_augment *augment = &trainer->recipe.augment;
    nft_status status = NFT_OK;
    if (trainer->objective.loss->target == NFT_TARGET_IMAGE)
        status = check_omega(omega, &trainer->recipe.form, "the loss renders with");
    if (status || !nft_augment_is_canonical(augment, canonical != NULL))
        return status;
    return check_omega(omega, &augment->form, "augment has");
}

/* Targets in memory as the loss takes them, if they are not. */
static nft_status convert_targets(const nft_trainer *trainer, nft_set_part *part)
{
    const nft_array *targets = part->target_array;
    bool images = trainer->objective.loss->target == NFT_TARGET_IMAGE;
    nft_label_rows rows = {.first = part->first,
                           .count = part->count,
                           .width = targets->count / part->count,
                           .classes = nft_objective_classes(&trainer->objective),
                           .floats = nft_array_f32(targets),
                           .integers = nft_array_i64(targets)};
    if (images || !nft_labels_convert(rows.floats != NULL, rows.width, rows.classes))
        return NFT_OK;
    int64_t shape[] = {part->count, rows.width};
    nft_status status = nft_array_create(&part->converted, rows.classes ? NFT_ARRAY_I64 : NFT_ARRAY_F32,
                                         shape, rows.classes ? 1 : 2, NULL);
    if (status)
        return status;
    return rows.classes ? nft_labels_to_classes(part->converted->storage, &rows)
                        : nft_labels_to_numbers(part->converted->storage, &rows);
}

static nft_status take_targets(const nft_trainer *trainer, nft_set_part *part, const char *name, nft_set *set)
{
    nft_status status = nft_check_targets(&trainer->objective, part->target_array, name, part->count, set);
    return status ? status : convert_targets(trainer, part);
}

static nft_status read_weights(nft_set_part *part, nft_set *set, const nft_trainer *trainer,
                               const nft_weights *weights)
{
    if (!weights)
        return nft_fail(NFT_ERROR_ARGUMENT, "it is NULL");
    nft_status status = nft_model_check_weights(trainer->model, weights);
    if (!status)
        status = check_metadata(trainer, nft_weights_metadata(weights, "nft.omega"),
                                nft_weights_metadata(weights, "nft.canonical"));
    if (status)
        return status;
    if (!weights->count)
        return nft_fail(NFT_ERROR_MISMATCH, "it has no networks");
    const char *name = target_name(trainer, nft_weights_extra(weights, "label") != NULL);
    const nft_array *targets = nft_weights_extra(weights, name);
    *part = (nft_set_part){
        .weights = weights, .space = weights->space, .first = set->count, .count = weights->count};
    set->count = nft_size_add(set->count, weights->count);
    if (trainer->objective.loss->target == NFT_TARGET_INPUT)
        return NFT_OK;
    part->target_array = targets;
    return targets ? take_targets(trainer, part, name, set) : nft_fail_no_extra(trainer, weights);
}

static nft_status read_list(nft_set *set, const nft_trainer *trainer, const nft_weights *const *list,
                            int64_t count)
{
    if (nft_trainer_takes_tokens(trainer))
        return nft_fail(NFT_ERROR_MISMATCH, "the model takes tokens, not weights");
    nft_status status = nft_set_allocate(set, count);
    for (int64_t i = 0; i < count && !status; i++) {
        status = read_weights(&set->parts[i], set, trainer, list[i]);
        if (status && count > 1)
            nft_fail_in(status, "set %" PRId64, i);
    }
    return status;
}

static nft_status read_tokens(nft_set *set, const nft_trainer *trainer, const nft_array *tokens,
                              const nft_array *targets)
{
    if (!nft_trainer_takes_tokens(trainer))
        return nft_fail(NFT_ERROR_MISMATCH, "the model takes weights, not tokens");
    if (!targets)
        return nft_fail(NFT_ERROR_ARGUMENT, "its targets are NULL");
    nft_status status = nft_model_check_tokens(trainer->model, tokens);
    if (status)
        return status;
    if (!tokens->shape[0])
        return nft_fail(NFT_ERROR_MISMATCH, "it has no samples");
    if ((status = nft_set_allocate(set, 1)))
        return status;
    set->parts[0] = (nft_set_part){.tokens = tokens, .count = tokens->shape[0], .target_array = targets};
    set->count = tokens->shape[0];
    return take_targets(trainer, &set->parts[0], "label", set);
}

/* Whether the model takes the samples of a file. */
static nft_status check_inputs(const nft_trainer *trainer, const nft_part *part, int64_t channels)
{
    const nft_model *model = trainer->model;
    if (part->tokens) {
        nft_array like = {.type = NFT_ARRAY_F32, .rank = 3};
        memcpy(like.shape, part->tokens->shape, 3 * sizeof *like.shape);
        return nft_trainer_takes_tokens(trainer)
                   ? nft_model_check_tokens(model, &like)
                   : nft_fail(NFT_ERROR_MISMATCH, "it holds tokens, the model takes weights");
    }
    if (nft_trainer_takes_tokens(trainer))
        return nft_fail(NFT_ERROR_MISMATCH,
                        "it holds networks, the model takes tokens: the tensor 'output' of rank 3");
    nft_weights like = {.space = part->network.space, .channels = channels};
    return nft_model_check_weights(model, &like);
}

static nft_status read_target_entry(nft_set_part *out, nft_set *set, const nft_trainer *trainer,
                                    const nft_part *part)
{
    const char *name = target_name(trainer, nft_file_find(part->file, "label") != NULL);
    const nft_entry *entry = nft_file_find(part->file, name);
    if (!entry)
        return nft_fail_no_entry(trainer, set->dataset, part);
    if (!nft_type_is_float(entry->type) && !nft_type_is_integer(entry->type))
        return nft_fail(NFT_ERROR_MISMATCH, "'%s' is %s, which is not read", name,
                        nft_type_name(entry->type));
    nft_array like = {.type = nft_type_is_float(entry->type) ? NFT_ARRAY_F32 : NFT_ARRAY_I64,
                      .rank = entry->rank,
                      .count = entry->count};
    memcpy(like.shape, entry->shape, sizeof like.shape);
    out->target_entry = entry;
    return nft_check_targets(&trainer->objective, &like, name, part->count, set);
}

static nft_status read_part(nft_set_part *out, nft_set *set, const nft_trainer *trainer, const nft_part *part)
{
    nft_status status = check_inputs(trainer, part, set->dataset->channels);
    if (!status)
        status = check_metadata(trainer, nft_file_metadata(part->file, "nft.omega"),
                                nft_file_metadata(part->file, "nft.canonical"));
    if (status)
        return status;
    if (!part->count)
        return nft_fail(NFT_ERROR_MISMATCH, "it has no samples");
    *out = (nft_set_part){.space = part->network.space, .first = part->first, .count = part->count};
    return trainer->objective.loss->target == NFT_TARGET_INPUT ? NFT_OK
                                                               : read_target_entry(out, set, trainer, part);
}

static nft_status read_dataset(nft_set *set, const nft_trainer *trainer, nft_dataset *dataset)
{
    nft_status status = nft_set_allocate(set, dataset->part_count);
    set->dataset = dataset;
    set->count = dataset->count;
    for (int64_t i = 0; i < dataset->part_count && !status; i++) {
        status = read_part(&set->parts[i], set, trainer, &dataset->parts[i]);
        if (status)
            nft_fail_in(status, "%s", dataset->parts[i].file->path);
    }
    return status;
}

/* Of data that are no callback. */
static nft_status read_set(nft_set *set, const nft_trainer *trainer, const nft_trainer_data *data)
{
    if (data->weights)
        return read_list(set, trainer, data->weights, data->weights_count);
    if (data->tokens)
        return read_tokens(set, trainer, data->tokens, data->targets);
    return data->dataset ? read_dataset(set, trainer, data->dataset) : NFT_OK;
}

/* Copies the data, of one kind at most; no sets are no data. */
static nft_status fill_data(nft_trainer_data *filled, const nft_trainer_data *data)
{
    *filled = (nft_trainer_data)NFT_TRAINER_DATA_INIT;
    if (!data)
        return NFT_OK;
    if (data->size < sizeof data->size)
        return nft_fail(NFT_ERROR_ARGUMENT, "size is %zu; begin with NFT_TRAINER_DATA_INIT", data->size);
    memcpy(filled, data, data->size < sizeof *filled ? data->size : sizeof *filled);
    if (filled->weights_count < 1)
        filled->weights = NULL;
    if (!!filled->weights + !!filled->tokens + !!filled->dataset + !!filled->callback > 1)
        return nft_fail(NFT_ERROR_ARGUMENT, "data of several kinds, expected one");
    return NFT_OK;
}

static nft_status check_callback(const nft_trainer *trainer)
{
    if (trainer->objective.loss->target == NFT_TARGET_IMAGE)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "loss render takes the size of its images from a set of data, not from a callback");
    if (trainer->model->any_space)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "a batch of a callback has one space, the model's, and this model is of any space");
    return NFT_OK;
}

static nft_status fill_both(const nft_trainer *trainer, nft_trainer_data data[2],
                            const nft_trainer_data *train, const nft_trainer_data *validation)
{
    nft_status status = fill_data(&data[0], train);
    if (!status && data[0].callback)
        status = check_callback(trainer);
    if (status)
        return nft_fail_in(status, "training set");
    status = fill_data(&data[1], validation);
    if (!status && data[1].callback)
        status = nft_fail(NFT_ERROR_ARGUMENT, "a callback gives batches of a training only");
    return status ? nft_fail_in(status, "validation set") : NFT_OK;
}

/* Memory that a refused call gives up is taken again by the next batch. */
static nft_status prepare_callback(nft_trainer *trainer)
{
    nft_reading_clear(&trainer->source.reading);
    return nft_callback_source_reserve(&trainer->source.callback, &trainer->objective,
                                       trainer->recipe.batch_size);
}

/* Replaces the training set by a callback, or by nothing. */
static void take_callback(nft_trainer *trainer, const nft_trainer_data *data)
{
    trainer->source.callback.call = data->callback;
    trainer->source.callback.user = data->user;
    nft_sampler_clear(&trainer->source.sampler);
    nft_set_clear(&trainer->source.set, true);
}

static nft_status set_sets(nft_trainer *trainer, const nft_trainer_data data[2], bool keep_validation)
{
    nft_set sets[2] = {{0}, {0}};
    nft_status status = read_set(&sets[0], trainer, &data[0]);
    if (status)
        nft_fail_in(status, "training set");
    if (keep_validation)
        sets[1] = trainer->validation.set;
    else if (!status && (status = read_set(&sets[1], trainer, &data[1])))
        nft_fail_in(status, "validation set");
    return finish_sets(trainer, sets, status);
}

nft_status nft_trainer_set_data(nft_trainer *trainer, const nft_trainer_data *train,
                                const nft_trainer_data *validation)
{
    static const char function[] = "nft_trainer_set_data";
    nft_trainer_data data[2];
    nft_status status = nft_trainer_check_call(trainer, function);
    if (status)
        return status;
    status = fill_both(trainer, data, train, validation);
    bool has_train = data[0].weights || data[0].tokens || data[0].dataset;
    if (!status && data[0].callback)
        status = prepare_callback(trainer);
    if (!status && (has_train || validation))
        status = set_sets(trainer, data, !validation);
    if (status)
        return nft_fail_in(status, "%s", function);
    if (train && !has_train)
        take_callback(trainer, &data[0]);
    return NFT_OK;
}
