#include "train/source.h"

#include "train/contract.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <string.h>

nft_status nft_batch_source_create(nft_batch_source *source, const nft_model *model, const nft_recipe *recipe)
{
    int64_t batch = recipe->batch_size;
    source->numbers = nft_allocate_array((size_t)batch, sizeof *source->numbers);
    source->samples = nft_allocate_array((size_t)batch, sizeof *source->samples);
    if (!source->numbers || !source->samples)
        return nft_fail_memory("a batch", nft_size_multiply(batch, sizeof *source->samples));
    if (!recipe->augment.enabled)
        return NFT_OK;
    nft_status status = nft_weights_allocate(&source->augmented, model->space, batch, 1, NULL, 0);
    return status ? status : nft_mixup_create(&source->mixup, recipe->augment.mixup, model->space, batch);
}

void nft_batch_source_clear(nft_batch_source *source)
{
    nft_set_clear(&source->set, true);
    nft_sampler_clear(&source->sampler);
    nft_callback_source_clear(&source->callback);
    nft_reading_clear(&source->reading);
    nft_release(source->numbers);
    nft_release(source->samples);
    nft_mixup_clear(&source->mixup);
    nft_weights_free(source->augmented);
    *source = (nft_batch_source){0};
}

/* Targets of `count` samples of a callback. */
static nft_status create_targets(nft_batch *batch, const nft_objective *objective)
{
    int64_t numbers = nft_objective_target_numbers(objective);
    size_t count = (size_t)batch->count;
    if (objective->loss->target == NFT_TARGET_CLASS)
        batch->labels = nft_allocate_array(count, sizeof *batch->labels);
    else if (numbers)
        batch->targets =
            nft_allocate_array(count, (size_t)nft_size_multiply(numbers, sizeof *batch->targets));
    if (batch->labels || batch->targets || objective->loss->target == NFT_TARGET_INPUT)
        return NFT_OK;
    return nft_fail_memory("a batch's targets", nft_size_multiply(nft_size_multiply(batch->count, numbers),
                                                                  sizeof *batch->targets));
}

static nft_status create_batch(nft_callback_source *source, const nft_objective *objective, int64_t count)
{
    const nft_model *model = objective->model;
    nft_batch *batch = &source->batch;
    int64_t shape[] = {count, model->input.tokens, model->input.channels};
    nft_status status;
    *batch = (nft_batch){.size = sizeof *batch, .count = count};
    if (model->space)
        status = nft_weights_allocate(&batch->weights, model->space, count, model->input.channels, NULL, 0);
    else
        status = nft_array_create(&source->tokens, NFT_ARRAY_F32, shape, 3, NULL);
    if (status)
        return status;
    batch->tokens = source->tokens ? source->tokens->storage : NULL;
    return create_targets(batch, objective);
}

nft_status nft_callback_source_reserve(nft_callback_source *source, const nft_objective *objective,
                                       int64_t batch_size)
{
    if (source->batch.count)
        return NFT_OK;
    nft_status status = create_batch(source, objective, batch_size);
    if (status)
        nft_callback_source_free_batch(source);
    return status;
}

void nft_callback_source_free_batch(nft_callback_source *source)
{
    nft_weights_free(source->batch.weights);
    nft_array_free(source->tokens);
    nft_release(source->batch.targets);
    nft_release(source->batch.labels);
    source->batch = (nft_batch){0};
    source->tokens = NULL;
}

void nft_callback_source_clear(nft_callback_source *source)
{
    nft_callback_source_free_batch(source);
    *source = (nft_callback_source){0};
}

/* Every rank has the whole batch. The callback may change its copy of the struct, but not the memory, which
 * the trainer owns. */
static nft_status ask_source(nft_trainer *trainer)
{
    const nft_callback_source *source = &trainer->source.callback;
    int64_t numbers = nft_objective_target_numbers(&trainer->objective);
    nft_batch batch = source->batch;
    batch.step = trainer->state.step;
    trainer->waits = true;
    int stopped = source->call(&batch, source->user);
    trainer->waits = false;
    if (stopped)
        return nft_fail(NFT_ERROR_CANCELLED, "the batch callback stopped it");
    batch = source->batch;
    for (int64_t i = 0; i < batch.count; i++)
        trainer->source.samples[i] =
            (nft_sample){.input = {.weights = batch.weights, .tokens = source->tokens, .index = i},
                         .target = batch.targets ? batch.targets + i * numbers : NULL,
                         .label = batch.labels ? batch.labels[i] : 0,
                         .number = i,
                         .kept = nft_kept_floats(trainer->model->sequence, trainer->options.recompute)};
    nft_status status = nft_samples_check(&trainer->objective, trainer->source.samples, batch.count);
    return status ? nft_fail_in(status, "the callback's batch") : NFT_OK;
}

/* The memory is there, unless data were refused that should have had it. */
static nft_status next_batch(nft_trainer *trainer, int64_t first, int64_t count)
{
    nft_status status = NFT_OK;
    if (trainer->source.callback.call) {
        status = nft_callback_source_reserve(&trainer->source.callback, &trainer->objective,
                                             trainer->recipe.batch_size);
        return status ? status : ask_source(trainer);
    }
    nft_sampler_batch(&trainer->source.sampler, trainer->state.step, trainer->recipe.batch_size,
                      trainer->source.numbers);
    if (trainer->source.set.dataset)
        status = nft_reading_reserve(&trainer->source.reading, &trainer->objective, &trainer->source.set,
                                     trainer->recipe.batch_size);
    if (!status)
        status = nft_set_fetch(&trainer->objective, &trainer->source.set, trainer->source.numbers + first, 0,
                               count, &trainer->source.reading, trainer->source.samples + first);
    return status ? nft_fail_in(status, "training set") : NFT_OK;
}

/* Puts an augmented copy of a network in its place. */
static void augment(const nft_trainer *trainer, const nft_random *random, int64_t place, bool canonical)
{
    nft_forward_sample *input = &trainer->source.samples[place].input;
    const nft_space *space = trainer->model->space;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        int64_t numbers = space->tensors[t].tokens;
        memcpy(nft_weights_edit(trainer->source.augmented, t) + place * numbers,
               input->weights->data[t] + input->index * numbers, (size_t)numbers * sizeof(float));
    }
    nft_augment_network(&trainer->recipe.augment, random, trainer->source.augmented, place, canonical);
    input->weights = trainer->source.augmented;
    input->index = place;
}

/* A network's random numbers depend on its place in the batch of all ranks. */
static void augment_batch(const nft_trainer *trainer, int64_t first, int64_t count)
{
    const nft_augment *options = &trainer->recipe.augment;
    bool canonical = nft_augment_is_canonical(options, nft_contract_is_canonical(&trainer->source.set));
    nft_random random = nft_augment_random(trainer->recipe.seed, trainer->state.step);
    for (int64_t i = first; i < first + count && options->enabled; i++)
        augment(trainer, &random, i, canonical);
}

/* The shares of a network depend on its place as well. Its partner may be another rank's. Means of canonical
 * networks are canonical: the form is an interval of phases, and a sign of the sum of weights. */
static void mix_batch(nft_trainer *trainer, int64_t first, int64_t count)
{
    nft_random random = nft_mixup_random(trainer->recipe.seed, trainer->state.step);
    nft_mixup_samples(&trainer->source.mixup, &random, trainer->source.samples, trainer->recipe.batch_size,
                      first, count);
}

nft_status nft_trainer_next_batch(nft_trainer *trainer, int64_t first, int64_t count)
{
    if (!trainer->source.callback.call && !trainer->source.set.count)
        return nft_fail(NFT_ERROR_ARGUMENT, "there is no training data; call nft_trainer_set_data first");
    bool mixes = trainer->source.mixup.alpha > 0;
    int64_t begin = mixes ? 0 : first, samples = mixes ? trainer->recipe.batch_size : count;
    nft_status status = next_batch(trainer, begin, samples);
    if (status)
        return nft_fail_in(status, "step %" PRId64, trainer->state.step);
    augment_batch(trainer, begin, samples);
    if (mixes)
        mix_batch(trainer, first, count);
    return NFT_OK;
}
