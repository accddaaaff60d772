/* Checkpoints: the state from which a training resumes, in one safetensors file. Values, moments and the best
 * values are one tensor each, in the order of the model's table of sizes. The metadata have the step, a
 * checksum, and the recipe, model and data of the training, so that neither another nor a damaged checkpoint
 * is taken for it. The rest of a trainer's state follows: batches and dropout depend only on the seed and the
 * step. */
#include "train/trainer.h"

#include "config/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define STATE_KEY "nft.checkpoint"
#define FORMAT_VERSION 3
#define PATIENCE_KEY "patience"
#define STALE_KEY "stale_validations"
#define TENSORS 4                          /* at most */
#define MOST_STEPS (INT64_MAX / INT32_MAX) /* a recipe's; nft_trainer_step() may take more than its own */
#define HASH_DIGITS 17                     /* with the 0 at the end */

/* A number where it is the same in every layer, else a list. */
static json_t *describe_omega(const nft_siren_form *form)
{
    if (form->omegas == 1)
        return json_real(form->omega[0]);
    json_t *list = json_array();
    for (int64_t i = 0; i < form->omegas; i++)
        json_array_append_new(list, json_real(form->omega[i]));
    return list;
}

static json_t *describe_augment(const nft_augment *augment)
{
    if (!augment->enabled)
        return json_null();
    return json_pack("{s:f, s:f, s:[f, f], s:b, s:o, s:o}", "rotate", augment->rotate, "shift",
                     augment->shift, "scale", augment->scale[0], augment->scale[1], "mirror",
                     (int)augment->mirror, "canonical",
                     augment->by_data ? json_null() : json_boolean(augment->canonical), "omega",
                     describe_omega(&augment->form));
}

/* "steps" before the schedule's total, which follows it unless it is given: the first difference is told. */
static json_t *describe_recipe(const nft_recipe *recipe)
{
    const nft_optimizer *o = &recipe->optimizer;
    json_t *recipe_json = json_pack(
        "{s:s, s:I, s:{s:s, s:f, s:f, s:f, s:f, s:f}, s:{s:s, s:I, s:I}, s:f, s:o, s:I, s:b, s:I, s:I, s:o}",
        "loss", recipe->loss->name, "steps", (json_int_t)recipe->steps, "optimizer", "type",
        o->decoupled ? "adamw" : "adam", "lr", o->lr, "beta1", o->beta1, "beta2", o->beta2, "eps", o->eps,
        "weight_decay", o->weight_decay, "schedule", "type", recipe->schedule.cosine ? "cosine" : "constant",
        "warmup_steps", (json_int_t)recipe->schedule.warmup, "total_steps",
        (json_int_t)recipe->schedule.total, "grad_clip", recipe->grad_clip, "omega",
        describe_omega(&recipe->form), "batch_size", (json_int_t)recipe->batch_size, "shuffle",
        (int)recipe->shuffle, "seed", (json_int_t)recipe->seed, "validate_every",
        (json_int_t)recipe->validate_every, "augment", describe_augment(&recipe->augment));
    if (recipe_json && recipe->patience &&
        json_object_set_new(recipe_json, PATIENCE_KEY, json_integer((json_int_t)recipe->patience))) {
        json_decref(recipe_json);
        return NULL;
    }
    return recipe_json;
}

/* How many samples, and their fingerprint. */
static json_t *describe_set(const nft_set *set)
{
    char inputs[HASH_DIGITS], targets[HASH_DIGITS];
    snprintf(inputs, sizeof inputs, "%016" PRIx64, set->fingerprint.inputs);
    snprintf(targets, sizeof targets, "%016" PRIx64, set->fingerprint.targets);
    return json_pack("{s:I, s:s, s:s}", "samples", (json_int_t)set->count, "inputs", inputs, "targets",
                     targets);
}

/* Everything that must be equal when a training continues. */
static json_t *describe_training(const nft_trainer *trainer)
{
    static const char *const precisions[] = {"float32", "bf16x3", "bf16"};
    return json_pack("{s:o, s:s, s:s, s:o, s:o}", "recipe", describe_recipe(&trainer->recipe), "precision",
                     precisions[trainer->options.precision], "model", trainer->model->config, "training set",
                     describe_set(&trainer->train), "validation set", describe_set(&trainer->validation));
}

/* The hash of all that a checkpoint has in addition to its description of the training. */
static void checksum(char digits[HASH_DIGITS], int64_t step, const double *best_loss, int64_t stale,
                     const float *const data[TENSORS], int count, int64_t numbers)
{
    uint64_t hash = nft_hash_bytes(&step, sizeof step, 0);
    if (stale)
        hash = nft_hash_bytes(&stale, sizeof stale, hash);
    if (best_loss)
        hash = nft_hash_bytes(best_loss, sizeof *best_loss, hash);
    for (int i = 0; i < count; i++)
        hash = nft_hash_bytes(data[i], (size_t)numbers * sizeof(float), hash);
    snprintf(digits, HASH_DIGITS, "%016" PRIx64, hash);
}

static nft_status describe_state(nft_text *text, const nft_trainer *trainer, const float *const data[TENSORS],
                                 int count)
{
    char digits[HASH_DIGITS];
    checksum(digits, trainer->step, trainer->has_best ? &trainer->best_loss : NULL, trainer->stale, data,
             count, trainer->model->parameters.total);
    json_t *training = describe_training(trainer);
    json_t *best = trainer->has_best ? json_real(trainer->best_loss) : json_null();
    json_t *state =
        json_pack("{s:i, s:I, s:s, s:o, s:o}", "format_version", FORMAT_VERSION, "step",
                  (json_int_t)trainer->step, "checksum", digits, "best_loss", best, "training", training);
    if (state && trainer->owes_validation)
        json_object_set_new(state, "owed",
                            json_pack("{s:f, s:f, s:f}", "loss", trainer->owed.loss, "lr", trainer->owed.lr,
                                      "grad_norm", trainer->owed.grad_norm));
    if (state && trainer->stale)
        json_object_set_new(state, STALE_KEY, json_integer((json_int_t)trainer->stale));
    bool written = state && nft_json_append(text, state, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(state);
    return written ? NFT_OK : nft_fail_memory("the description of the training", 1 << 10);
}

/* The tensors of a checkpoint, with or without the best values. */
static int list_tensors(const nft_trainer *trainer, const int64_t *shape, nft_output outputs[TENSORS],
                        const float *data[TENSORS])
{
    const struct {
        const char *name;
        const float *data;
    } all[TENSORS] = {{"values", trainer->model->values},
                      {"first_moments", trainer->moments.first},
                      {"second_moments", trainer->moments.second},
                      {"best_values", trainer->best}};
    int count = trainer->has_best ? TENSORS : TENSORS - 1;
    for (int i = 0; i < count; i++) {
        outputs[i] = (nft_output){.name = all[i].name, .type = NFT_TYPE_F32, .rank = 1, .shape = shape};
        data[i] = all[i].data;
    }
    return count;
}

nft_status nft_trainer_check_finite(const nft_trainer *trainer, const float *data, const char *what)
{
    const nft_parameters *table = &trainer->model->parameters;
    for (int64_t i = 0; i < table->count; i++)
        for (int64_t k = 0; k < table->items[i].count; k++)
            if (!isfinite(data[table->items[i].offset + k]))
                return nft_fail(NFT_ERROR_NOT_FINITE, "%s: '%s' has a number that is not finite", what,
                                table->items[i].name);
    return NFT_OK;
}

static nft_status write_checkpoint(const char *path, const char *state, const nft_output outputs[TENSORS],
                                   const float *const data[TENSORS], int count)
{
    int64_t numbers = outputs[0].shape[0];
    const char *const metadata[] = {STATE_KEY, state, NULL};
    nft_file_writer *writer = NULL;
    nft_status status = nft_file_create(&writer, path, outputs, count, metadata);
    if (status)
        return status;
    for (int i = 0; i < count && !status; i++)
        status = nft_file_append(writer, data[i], numbers * (int64_t)sizeof(float));
    if (!status)
        return nft_file_commit(writer);
    nft_file_cancel(writer);
    return status;
}

nft_status nft_trainer_save(const nft_trainer *trainer, const char *path)
{
    if (!trainer || !path)
        return nft_fail_null("nft_trainer_save", trainer ? "path" : "trainer");
    nft_output outputs[TENSORS];
    const float *data[TENSORS];
    nft_text state = {0};
    int count = list_tensors(trainer, &trainer->model->parameters.total, outputs, data);
    nft_status status = NFT_OK;
    for (int i = 0; i < count && !status; i++)
        status = nft_trainer_check_finite(trainer, data[i], outputs[i].name);
    if (!status)
        status = describe_state(&state, trainer, data, count);
    if (!status)
        status = write_checkpoint(path, state.data, outputs, data, count);
    nft_text_clear(&state);
    return status ? nft_fail_in(status, "nft_trainer_save") : NFT_OK;
}

/* The path of the first difference, "recipe.optimizer.lr", and both values; false if there is none. */
static bool find_difference(const json_t *expected, const json_t *found, nft_text *path,
                            const json_t *pair[2])
{
    if (json_equal(expected, found))
        return false;
    pair[0] = expected;
    pair[1] = found;
    if (!json_is_object(expected) || !json_is_object(found))
        return true;
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)expected, key, value)
    {
        const json_t *other = json_object_get(found, key);
        if (json_equal(value, other))
            continue;
        nft_text_append(path, "%s%s", path->length ? "." : "", key);
        return find_difference(value, other, path, pair);
    }
    return true;
}

/* Fingerprints say nothing to a reader. */
static nft_status fail_data(const char *key, const char *dot)
{
    return nft_fail(NFT_ERROR_MISMATCH,
                    "it is the checkpoint of a training on other data: the %s of the %.*s are not the same",
                    dot + 1, (int)(dot - key), key);
}

static nft_status fail_difference(const nft_text *path, const json_t *const pair[2])
{
    const char *key = path->data ? path->data : "the training";
    nft_text now = {0}, then = {0};
    nft_status status;
    const char *dot = strrchr(key, '.');
    if (!strcmp(key, "model"))
        return nft_fail(NFT_ERROR_MISMATCH, "it is the checkpoint of another model");
    if (dot && (!strcmp(dot, ".inputs") || !strcmp(dot, ".targets")))
        return fail_data(key, dot);
    if (!nft_json_append(&now, pair[0], JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)) ||
        (pair[1] && !nft_json_append(&then, pair[1], JSON_ENCODE_ANY | JSON_REAL_PRECISION(12))))
        status = nft_fail_memory("the description of the training", 1 << 10);
    else
        status = nft_fail(NFT_ERROR_MISMATCH,
                          "it is the checkpoint of another training: '%s' was %.80s, now it is %.80s", key,
                          then.data ? then.data : "missing", now.data);
    nft_text_clear(&now);
    nft_text_clear(&then);
    return status;
}

/* Lets `expected` agree with the value found, in a key that may differ. */
static bool take_key(json_t *expected, const json_t *found, const char *key)
{
    json_t *value = json_object_get(found, key);
    return !value || !json_object_get(expected, key) || !json_object_set(expected, key, value);
}

/* The same for a key that may be missing. */
static bool take_optional_key(json_t *expected, const json_t *found, const char *key)
{
    json_t *value = json_object_get(found, key);
    if (value)
        return !json_object_set(expected, key, value);
    json_object_del(expected, key);
    return true;
}

/* The keys that an extended training may have otherwise than its checkpoint. */
static bool take_extension(json_t *expected, const json_t *found)
{
    json_t *recipe = json_object_get(expected, "recipe"), *other = json_object_get(found, "recipe");
    return take_key(recipe, other, "steps") && take_key(recipe, other, "validate_every") &&
           take_optional_key(recipe, other, PATIENCE_KEY) &&
           take_key(json_object_get(recipe, "optimizer"), json_object_get(other, "optimizer"), "lr") &&
           take_key(json_object_get(recipe, "schedule"), json_object_get(other, "schedule"), "total_steps");
}

static nft_status check_training(const nft_trainer *trainer, const json_t *found)
{
    json_t *expected = describe_training(trainer);
    if (!expected || (trainer->options.extend && !take_extension(expected, found))) {
        json_decref(expected);
        return nft_fail_memory("the description of the training", 1 << 10);
    }
    const json_t *pair[2];
    nft_text path = {0};
    nft_status status = NFT_OK;
    if (!json_object_get(found, "precision") && trainer->options.precision == NFT_PRECISION_FLOAT32)
        json_object_del(expected, "precision"); /* a checkpoint from before there was another */
    if (!json_object_get(json_object_get(found, "recipe"), "augment") && !trainer->recipe.augment.enabled)
        json_object_del(json_object_get(expected, "recipe"), "augment"); /* the same */
    if (find_difference(expected, found, &path, pair))
        status = path.failed ? nft_fail_memory("the description of the training", 1 << 10)
                             : fail_difference(&path, pair);
    nft_text_clear(&path);
    json_decref(expected);
    return status;
}

/* The description in a checkpoint. */
typedef struct checkpoint {
    int64_t step;
    bool has_best;
    double best_loss;
    int64_t stale;
    char checksum[HASH_DIGITS];
    bool owes_validation;
    nft_step_info owed;      /* the step whose validation is due */
    float *numbers[TENSORS]; /* values, first and second moments, best values */
} checkpoint;

/* A validation that was due, with the facts of its step. */
static nft_status read_owed(checkpoint *c, nft_options *state)
{
    nft_options options;
    const json_t *value = NULL;
    nft_status status = nft_options_value(state, "owed", false, &value);
    if (status || !value)
        return status;
    c->owed = (nft_step_info)NFT_STEP_INFO_INIT;
    c->owed.step = c->step - 1;
    c->owes_validation = c->step > 0;
    if ((status = nft_options_open(&options, value, "owed")) ||
        (status = nft_options_number(&options, "loss", true, -HUGE_VAL, HUGE_VAL, &c->owed.loss)) ||
        (status = nft_options_number(&options, "lr", true, 0, HUGE_VAL, &c->owed.lr)) ||
        (status = nft_options_number(&options, "grad_norm", true, 0, HUGE_VAL, &c->owed.grad_norm)))
        return status;
    return nft_options_finish(&options);
}

static nft_status read_state(checkpoint *c, const nft_trainer *trainer, const json_t *state)
{
    nft_options options;
    const json_t *training = NULL, *best = NULL, *digits = NULL;
    int64_t version = 0;
    nft_status status;
    if ((status = nft_options_open(&options, state, STATE_KEY)) ||
        (status = nft_options_integer(&options, "format_version", true, FORMAT_VERSION, FORMAT_VERSION,
                                      &version)) ||
        (status = nft_options_value(&options, "training", true, &training)) ||
        (status = check_training(trainer, training)) ||
        (status = nft_options_integer(&options, "step", true, 0, MOST_STEPS, &c->step)) ||
        (status = nft_options_value(&options, "checksum", true, &digits)) ||
        (status = nft_options_value(&options, "best_loss", false, &best)) ||
        (best &&
         (status = nft_options_number(&options, "best_loss", true, -HUGE_VAL, HUGE_VAL, &c->best_loss))) ||
        (status = nft_options_integer(&options, STALE_KEY, false, 0, MOST_STEPS, &c->stale)) ||
        (status = read_owed(c, &options)))
        return status;
    if (trainer->options.extend && c->step > trainer->recipe.steps)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "the training has done %" PRId64 " steps, more than the %" PRId64
                        " of 'recipe.steps'",
                        c->step, trainer->recipe.steps);
    c->has_best = best != NULL;
    snprintf(c->checksum, sizeof c->checksum, "%s", json_is_string(digits) ? json_string_value(digits) : "");
    return nft_options_finish(&options);
}

static nft_status check_sum(const checkpoint *c, int count, int64_t numbers)
{
    const float *const data[TENSORS] = {c->numbers[0], c->numbers[1], c->numbers[2], c->numbers[3]};
    char digits[HASH_DIGITS];
    checksum(digits, c->step, c->has_best ? &c->best_loss : NULL, c->stale, data, count, numbers);
    if (!strcmp(digits, c->checksum))
        return NFT_OK;
    return nft_fail(NFT_ERROR_FORMAT, "it is damaged: its checksum is not that of its numbers, %s", digits);
}

static nft_status read_numbers(checkpoint *c, const nft_trainer *trainer, const nft_file *file)
{
    int64_t shape = trainer->model->parameters.total;
    nft_output outputs[TENSORS];
    const float *unused[TENSORS];
    nft_trainer like = *trainer;
    like.has_best = c->has_best;
    int count = list_tensors(&like, &shape, outputs, unused);
    nft_status status = NFT_OK;
    for (int i = 0; i < count && !status; i++) {
        const nft_entry *entry = nft_file_find(file, outputs[i].name);
        if (!entry || entry->rank != 1 || entry->count != shape || entry->type != NFT_TYPE_F32)
            return nft_fail(NFT_ERROR_FORMAT, "'%s' is not there with %" PRId64 " F32 numbers",
                            outputs[i].name, shape);
        c->numbers[i] = nft_allocate_array((size_t)shape, sizeof(float));
        if (!c->numbers[i])
            return nft_fail_memory("a checkpoint", nft_size_multiply(shape, sizeof(float)));
        status = nft_file_read_f32(file, entry, 0, shape, c->numbers[i]);
        if (!status)
            status = nft_trainer_check_finite(trainer, c->numbers[i], outputs[i].name);
    }
    return status ? status : check_sum(c, count, shape);
}

static nft_status read_checkpoint(checkpoint *c, const nft_trainer *trainer, const nft_file *file)
{
    const char *text = nft_file_metadata(file, STATE_KEY);
    json_t *state = NULL;
    if (!text)
        return nft_fail(NFT_ERROR_FORMAT, "no '" STATE_KEY "' in its metadata: this is not a checkpoint");
    nft_status status = nft_json_parse(&state, text, strlen(text));
    if (!status)
        status = read_state(c, trainer, state);
    if (status == NFT_ERROR_CONFIG) /* the fault is in the checkpoint's text, not in the caller's */
        status = NFT_ERROR_FORMAT;
    json_decref(state);
    return status ? status : read_numbers(c, trainer, file);
}

/* Cannot fail. */
static void take_over(nft_trainer *trainer, const checkpoint *c)
{
    size_t bytes = (size_t)trainer->model->parameters.total * sizeof(float);
    memcpy(trainer->model->values, c->numbers[0], bytes);
    memcpy(trainer->moments.first, c->numbers[1], bytes);
    memcpy(trainer->moments.second, c->numbers[2], bytes);
    if (c->has_best)
        memcpy(trainer->best, c->numbers[3], bytes);
    trainer->has_best = c->has_best;
    trainer->best_loss = c->best_loss;
    trainer->stale = c->stale;
    trainer->step = c->step;
    trainer->owes_validation = c->owes_validation;
    trainer->owed = c->owed;
    nft_context_parameters_changed(trainer->context);
}

nft_status nft_trainer_resume(nft_trainer *trainer, const char *path)
{
    nft_status status = nft_trainer_check_call(trainer, "nft_trainer_resume");
    if (status)
        return status;
    if (!path)
        return nft_fail_null("nft_trainer_resume", "path");
    if (!trainer->train.count && !trainer->source.callback)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_trainer_resume: there is no training set yet; set the data first");
    nft_file *file = NULL;
    checkpoint c = {0};
    if (!(status = nft_file_open_within(&file, path, 0))) {
        status = read_checkpoint(&c, trainer, file);
        if (!status && c.has_best && !trainer->best)
            status = nft_fail(NFT_ERROR_FORMAT, "it has best values of a training without a validation set");
        if (!status)
            take_over(trainer, &c);
        else
            status = nft_fail_in(status, "%s", path);
    }
    for (int i = 0; i < TENSORS; i++)
        nft_release(c.numbers[i]);
    nft_file_free(file);
    return status ? nft_fail_in(status, "nft_trainer_resume") : NFT_OK;
}
