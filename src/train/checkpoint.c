/* Checkpoints: the state from which a training resumes, in one safetensors file. Values, moments and the best
 * values are one tensor each, in the order of the model's table of sizes. The metadata have the step, a
 * checksum, and the recipe, model and data of the training, so that neither another nor a damaged checkpoint
 * is taken for it. */
#include "train/identity.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define STATE_KEY "nft.checkpoint"
#define FORMAT_VERSION 3
#define STALE_KEY "stale_validations"
#define TENSORS 8                          /* at most */
#define MOST_STEPS (INT64_MAX / INT32_MAX) /* a recipe's; nft_trainer_step() may take more than its own */
#define HASH_DIGITS 17                     /* with the 0 at the end */

/* The numbers of a state, or of its file: those that it has, in this order. */
typedef struct tensors {
    int count;
    const char *names[TENSORS];
    float *data[TENSORS];
    const nft_model *models[TENSORS]; /* whose numbers they are */
} tensors;

static tensors list_tensors(const nft_state *state)
{
    const nft_model *model = state->model, *head = state->auxiliary;
    const struct {
        const char *name;
        float *data; /* NULL: the state has none */
        const nft_model *model;
    } all[TENSORS] = {{"values", model->values, model},
                      {"first_moments", state->moments.first, model},
                      {"second_moments", state->moments.second, model},
                      {"average_values", state->average.values, model},
                      {"best_values", state->has_best ? state->best : NULL, model},
                      {"auxiliary_values", head ? head->values : NULL, head},
                      {"auxiliary_first_moments", state->auxiliary_moments.first, head},
                      {"auxiliary_second_moments", state->auxiliary_moments.second, head}};
    tensors list = {0};
    for (int i = 0; i < TENSORS; i++) {
        if (!all[i].data)
            continue;
        list.names[list.count] = all[i].name;
        list.models[list.count] = all[i].model;
        list.data[list.count++] = all[i].data;
    }
    return list;
}

static size_t bytes_of(const tensors *list, int tensor)
{
    return (size_t)list->models[tensor]->parameters.total * sizeof(float);
}

/* The hash of all that a checkpoint has in addition to its description of the training. */
static void checksum(char digits[HASH_DIGITS], const nft_state *state, const tensors *list)
{
    uint64_t hash = nft_hash_bytes(&state->step, sizeof state->step, 0);
    if (state->stale)
        hash = nft_hash_bytes(&state->stale, sizeof state->stale, hash);
    if (state->has_best)
        hash = nft_hash_bytes(&state->best_loss, sizeof state->best_loss, hash);
    for (int i = 0; i < list->count; i++)
        hash = nft_hash_bytes(list->data[i], bytes_of(list, i), hash);
    snprintf(digits, HASH_DIGITS, "%016" PRIx64, hash);
}

/* Takes `training` over. */
static nft_status describe_state(nft_text *text, const nft_state *state, const tensors *list,
                                 json_t *training)
{
    char digits[HASH_DIGITS];
    checksum(digits, state, list);
    json_t *best = state->has_best ? json_real(state->best_loss) : json_null();
    json_t *object =
        json_pack("{s:i, s:I, s:s, s:o, s:o}", "format_version", FORMAT_VERSION, "step",
                  (json_int_t)state->step, "checksum", digits, "best_loss", best, "training", training);
    if (object && state->owes_validation)
        json_object_set_new(object, "owed",
                            json_pack("{s:f, s:f, s:f}", "loss", state->owed.loss, "lr", state->owed.lr,
                                      "grad_norm", state->owed.grad_norm));
    if (object && state->stale)
        json_object_set_new(object, STALE_KEY, json_integer((json_int_t)state->stale));
    bool written = object && nft_json_append(text, object, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(object);
    return written ? NFT_OK : nft_fail_memory("the description of the training", 1 << 10);
}

static nft_status write_checkpoint(const char *path, const char *text, const tensors *list)
{
    const char *const metadata[] = {STATE_KEY, text, NULL};
    nft_output outputs[TENSORS];
    nft_file_writer *writer = NULL;
    for (int i = 0; i < list->count; i++)
        outputs[i] = (nft_output){.name = list->names[i],
                                  .type = NFT_TYPE_F32,
                                  .rank = 1,
                                  .shape = &list->models[i]->parameters.total};
    nft_status status = nft_file_create(&writer, path, outputs, list->count, metadata);
    if (status)
        return status;
    for (int i = 0; i < list->count && !status; i++)
        status = nft_file_append(writer, list->data[i], (int64_t)bytes_of(list, i));
    if (!status)
        return nft_file_commit(writer);
    nft_file_cancel(writer);
    return status;
}

nft_status nft_trainer_save(const nft_trainer *trainer, const char *path)
{
    if (!trainer || !path)
        return nft_fail_null("nft_trainer_save", trainer ? "path" : "trainer");
    const nft_state *state = &trainer->state;
    const tensors list = list_tensors(state);
    nft_text text = {0};
    nft_status status = NFT_OK;
    for (int i = 0; i < list.count && !status; i++)
        status = nft_check_values_finite(list.models[i], list.data[i], list.names[i]);
    if (!status)
        status = describe_state(&text, state, &list, nft_identity_describe(trainer));
    if (!status)
        status = write_checkpoint(path, text.data, &list);
    nft_text_clear(&text);
    return status ? nft_fail_in(status, "nft_trainer_save") : NFT_OK;
}

/* A checkpoint that is read. */
typedef struct checkpoint {
    nft_state state; /* the file's, with the memory of the trainer's */
    char checksum[HASH_DIGITS];
    float *numbers[TENSORS]; /* of list_tensors() */
} checkpoint;

/* A validation that was due, with the facts of its step. */
static nft_status read_owed(nft_state *state, nft_options *text)
{
    nft_options options;
    const json_t *value = NULL;
    nft_step_info *owed = &state->owed;
    nft_status status = nft_options_value(text, "owed", false, &value);
    *owed = (nft_step_info){0};
    state->owes_validation = false;
    if (status || !value)
        return status;
    *owed = (nft_step_info)NFT_STEP_INFO_INIT;
    owed->step = state->step - 1;
    state->owes_validation = state->step > 0;
    if ((status = nft_options_open(&options, value, "owed")) ||
        (status = nft_options_number(&options, "loss", true, -HUGE_VAL, HUGE_VAL, &owed->loss)) ||
        (status = nft_options_number(&options, "lr", true, 0, HUGE_VAL, &owed->lr)) ||
        (status = nft_options_number(&options, "grad_norm", true, 0, HUGE_VAL, &owed->grad_norm)))
        return status;
    return nft_options_finish(&options);
}

static nft_status read_state(checkpoint *c, const nft_trainer *trainer, const json_t *text)
{
    nft_state *state = &c->state;
    nft_options options;
    const json_t *training = NULL, *best = NULL, *digits = NULL;
    int64_t version = 0;
    nft_status status;
    state->best_loss = 0;
    state->stale = 0;
    if ((status = nft_options_open(&options, text, STATE_KEY)) ||
        (status = nft_options_integer(&options, "format_version", true, FORMAT_VERSION, FORMAT_VERSION,
                                      &version)) ||
        (status = nft_options_value(&options, "training", true, &training)) ||
        (status = nft_identity_check(trainer, training)) ||
        (status = nft_options_integer(&options, "step", true, 0, MOST_STEPS, &state->step)) ||
        (status = nft_options_value(&options, "checksum", true, &digits)) ||
        (status = nft_options_value(&options, "best_loss", false, &best)) ||
        (best && (status = nft_options_number(&options, "best_loss", true, -HUGE_VAL, HUGE_VAL,
                                              &state->best_loss))) ||
        (status = nft_options_integer(&options, STALE_KEY, false, 0, MOST_STEPS, &state->stale)) ||
        (status = read_owed(state, &options)))
        return status;
    if (trainer->options.extend && state->step > trainer->recipe.steps)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "the training has done %" PRId64 " steps, more than the %" PRId64
                        " of 'recipe.steps'",
                        state->step, trainer->recipe.steps);
    state->has_best = best != NULL;
    if (state->has_best && !state->best)
        return nft_fail(NFT_ERROR_FORMAT, "it has best values of a training without a validation set");
    snprintf(c->checksum, sizeof c->checksum, "%s", json_is_string(digits) ? json_string_value(digits) : "");
    return nft_options_finish(&options);
}

static nft_status check_sum(const checkpoint *c, tensors list)
{
    char digits[HASH_DIGITS];
    for (int i = 0; i < list.count; i++)
        list.data[i] = c->numbers[i];
    checksum(digits, &c->state, &list);
    if (!strcmp(digits, c->checksum))
        return NFT_OK;
    return nft_fail(NFT_ERROR_FORMAT, "it is damaged: its checksum is not that of its numbers, %s", digits);
}

static nft_status read_numbers(checkpoint *c, const nft_file *file)
{
    tensors list = list_tensors(&c->state);
    nft_status status = NFT_OK;
    for (int i = 0; i < list.count && !status; i++) {
        const nft_entry *entry = nft_file_find(file, list.names[i]);
        int64_t numbers = list.models[i]->parameters.total;
        if (!entry || entry->rank != 1 || entry->count != numbers || entry->type != NFT_TYPE_F32)
            return nft_fail(NFT_ERROR_FORMAT, "'%s' is not there with %" PRId64 " F32 numbers", list.names[i],
                            numbers);
        c->numbers[i] = nft_allocate_array((size_t)numbers, sizeof(float));
        if (!c->numbers[i])
            return nft_fail_memory("a checkpoint", nft_size_multiply(numbers, sizeof(float)));
        status = nft_file_read_f32(file, entry, 0, numbers, c->numbers[i]);
        if (!status)
            status = nft_check_values_finite(list.models[i], c->numbers[i], list.names[i]);
    }
    return status ? status : check_sum(c, list);
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
    return status ? status : read_numbers(c, file);
}

/* Cannot fail. */
static void take_over(nft_state *state, const checkpoint *c)
{
    const tensors list = list_tensors(&c->state);
    for (int i = 0; i < list.count; i++)
        memcpy(list.data[i], c->numbers[i], bytes_of(&list, i));
    *state = c->state;
}

nft_status nft_trainer_resume(nft_trainer *trainer, const char *path)
{
    nft_status status = nft_trainer_check_call(trainer, "nft_trainer_resume");
    if (status)
        return status;
    if (!path)
        return nft_fail_null("nft_trainer_resume", "path");
    if (!trainer->source.set.count && !trainer->source.callback.call)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_trainer_resume: there is no training set yet; set the data first");
    nft_file *file = NULL;
    checkpoint c = {.state = trainer->state};
    if (!(status = nft_file_open_within(&file, path, 0)) && (status = read_checkpoint(&c, trainer, file)))
        status = nft_fail_in(status, "%s", path);
    if (!status) {
        take_over(&trainer->state, &c);
        nft_trainer_values_changed(trainer);
    }
    for (int i = 0; i < TENSORS; i++)
        nft_release(c.numbers[i]);
    nft_file_free(file);
    return status ? nft_fail_in(status, "nft_trainer_resume") : NFT_OK;
}
