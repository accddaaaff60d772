/* How much memory a trainer takes, and how many samples it runs at a time. */
#include "train/trainer.h"

#include <inttypes.h>

/* Spaces whose plans are kept, so that a mixed set need not plan each again in every pass. */
#define MOST_SPACES 1024

nft_context_options nft_validation_options(const nft_trainer_options *options)
{
    nft_context_options filled = NFT_CONTEXT_OPTIONS_INIT;
    filled.threads = options->threads;
    filled.keep_blas_threads = options->keep_blas_threads;
    filled.max_batch = NFT_PIECE_SAMPLES;
    filled.max_spaces = MOST_SPACES;
    filled.precision = options->precision;
    return filled;
}

nft_context_options nft_training_options(const nft_trainer_options *options, int64_t group)
{
    nft_context_options filled = nft_validation_options(options);
    filled.max_batch = group;
    filled.keep_for_backward = 1;
    filled.recompute = options->recompute;
    return filled;
}

static int64_t thread_count(const nft_trainer_options *options)
{
    return options->threads ? options->threads : nft_machine_cores();
}

/* Whole rounds of one sample for each thread. */
static int64_t whole_rounds(int64_t group, int64_t threads)
{
    return group > threads ? group - group % threads : group;
}

int64_t nft_trainer_group_size(const nft_recipe *recipe, const nft_trainer_options *options, int64_t kept)
{
    int64_t bytes = nft_size_multiply(kept, sizeof(float)),
            fit = (options->recompute ? NFT_RECOMPUTE_GROUP_BYTES : NFT_GROUP_BYTES) / (bytes ? bytes : 1);
    int64_t group = fit < 2 ? 2 : fit < NFT_GROUP_MOST ? fit : NFT_GROUP_MOST;
    group = whole_rounds(group, thread_count(options));
    return group < recipe->batch_size ? group : recipe->batch_size;
}

int64_t nft_trainer_next_group(const nft_trainer *trainer, const nft_sample *samples, int64_t count)
{
    int64_t group = 0, floats = 0;
    while (group < count && group < trainer->loop.group &&
           samples[group].kept <= trainer->loop.group_floats - floats)
        floats += samples[group++].kept;
    return group < count ? whole_rounds(group, thread_count(&trainer->options)) : group;
}

/* Bytes of one sample's target as the loss takes it, and as a file may have it: labels of another type, or a
 * row of ones and zeros for a class. */
static int64_t target_bytes(const nft_recipe *recipe, int64_t outputs)
{
    bool is_class = recipe->loss->target == NFT_TARGET_CLASS;
    if (!is_class && recipe->loss->target != NFT_TARGET_NUMBERS)
        return 0;
    int64_t converted = is_class ? (int64_t)sizeof(int64_t) : nft_size_multiply(outputs, sizeof(float));
    return nft_size_add(converted, nft_size_multiply(outputs, sizeof(int64_t)));
}

/* Batch, pieces, and where the samples of a batch are; the gradients of a group's outputs. */
static int64_t batch_bytes(const nft_model *model, const nft_recipe *recipe, const nft_space *space,
                           int64_t group)
{
    int64_t outputs = nft_value_floats(nft_model_last_value(model), model->space);
    int64_t target = target_bytes(recipe, outputs), bytes = 0;
    if (space || !model->any_space)
        bytes = nft_size_add(nft_reading_bytes(model, space, target, recipe->batch_size),
                             nft_reading_bytes(model, space, target, NFT_PIECE_SAMPLES));
    bytes = nft_size_add(bytes, nft_size_multiply(recipe->batch_size, sizeof(nft_sample) + sizeof(int64_t)));
    if (recipe->augment.enabled)
        bytes = nft_size_add(
            bytes,
            nft_size_multiply(nft_size_multiply(recipe->batch_size, model->space->numbers), sizeof(float)));
    if (recipe->augment.mixup > 0)
        bytes = nft_size_add(
            bytes, nft_size_add(nft_mixup_bytes(recipe->augment.mixup, model->space, recipe->batch_size),
                                nft_size_multiply(outputs, sizeof(float))));
    return nft_size_add(bytes, nft_size_multiply(nft_size_multiply(group, outputs), sizeof(float)));
}

/* Floats that a sample of a space keeps. */
static nft_status find_kept(const nft_model *model, const nft_space *space,
                            const nft_trainer_options *options, int64_t *kept)
{
    nft_sequence *sequence = NULL;
    nft_status status = nft_model_bind(&sequence, model, space);
    if (!status)
        *kept = nft_kept_floats(sequence, options->recompute);
    nft_sequence_free(sequence);
    return status;
}

/* Both contexts. Nothing of a model of any space, if the space is not known. */
static nft_status context_bytes(const nft_model *model, const nft_recipe *recipe,
                                const nft_trainer_options *options, const nft_space *space, int64_t *group,
                                int64_t *bytes)
{
    int64_t kept = 0, training = 0, validation = 0;
    *group = 0;
    *bytes = 0;
    if (model->any_space && !space)
        return NFT_OK;
    nft_status status = find_kept(model, space, options, &kept);
    if (status)
        return status;
    *group = nft_trainer_group_size(recipe, options, kept);
    nft_context_options first = nft_training_options(options, *group),
                        second = nft_validation_options(options);
    status = nft_context_cost(&training, NULL, model, space, &first);
    if (!status)
        status = nft_context_cost(&validation, NULL, model, space, &second);
    if (status)
        return status;
    /* the contexts share the weights that are packed for forward */
    int64_t shared = nft_plan_packed_bytes(model, &second);
    *bytes = nft_size_add(training, validation < INT64_MAX ? validation - shared : validation);
    return NFT_OK;
}

nft_status nft_trainer_plan_bytes(const nft_model *model, const nft_recipe *recipe,
                                  const nft_trainer_options *options, const nft_space *space, int64_t *bytes)
{
    int64_t contexts = 0, group = 0;
    space = space ? space : model->space;
    nft_status status = context_bytes(model, recipe, options, space, &group, &contexts);
    int64_t auxiliary = 0;
    if (!status)
        status = nft_auxiliary_bytes(&auxiliary, &recipe->auxiliary, model, group, options);
    const int64_t parts[] = {contexts,
                             nft_size_multiply(model->parameters.total, 3 * sizeof(float)),
                             nft_moments_bytes(model),
                             nft_average_bytes(model, recipe->ema_decay),
                             nft_fit_bytes(model),
                             batch_bytes(model, recipe, space, group),
                             auxiliary,
                             nft_objective_image_bytes(model, recipe->loss)};
    *bytes = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !status; i++)
        *bytes = nft_size_add(*bytes, parts[i]);
    return status;
}

/* Spaces of a data set are equal by pointer. */
static const nft_set_part *find_planned(const nft_set *set, int64_t index)
{
    for (int64_t i = 0; i < index; i++)
        if (set->parts[i].space == set->parts[index].space)
            return &set->parts[i];
    return NULL;
}

static nft_status plan_part(const nft_trainer *trainer, nft_set *set, int64_t index, int64_t *group_floats)
{
    nft_set_part *part = &set->parts[index];
    const nft_set_part *planned = find_planned(set, index);
    int64_t bytes = 0;
    if (planned) {
        part->kept = planned->kept;
        return NFT_OK;
    }
    nft_status status = find_kept(trainer->model, part->space, &trainer->options, &part->kept);
    if (status || !trainer->model->any_space)
        return status;
    status = nft_trainer_plan_bytes(trainer->model, &trainer->recipe, &trainer->options, part->space, &bytes);
    if (!status)
        status = nft_check_limit("the trainer", bytes, trainer->options.memory_limit);
    int64_t floats = nft_size_multiply(
        nft_trainer_group_size(&trainer->recipe, &trainer->options, part->kept), part->kept);
    *group_floats = floats > *group_floats ? floats : *group_floats;
    return status;
}

nft_status nft_trainer_plan_sets(const nft_trainer *trainer, nft_set sets[2], int64_t *group_floats)
{
    nft_status status = NFT_OK;
    *group_floats = trainer->loop.group_floats;
    for (int s = 0; s < 2 && !status; s++)
        for (int64_t i = 0; i < sets[s].part_count && !status; i++) {
            status = plan_part(trainer, &sets[s], i, group_floats);
            if (status)
                nft_fail_in(status, "%s set: the networks from number %" PRId64 " on",
                            s ? "validation" : "training", sets[s].parts[i].first);
        }
    return status;
}
