/* The samples of a step: of a set, or of a callback, which fills memory of the trainer. */
#include "train/contract.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <string.h>

static nft_status create_source(nft_batch_source *source, const nft_trainer *trainer)
{
    const nft_model *model = trainer->model;
    nft_batch *batch = &source->batch;
    int64_t count = trainer->recipe.batch_size, numbers = nft_trainer_target_numbers(trainer);
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
    if (trainer->recipe.loss->target == NFT_TARGET_CLASS)
        batch->labels = nft_allocate_array((size_t)count, sizeof *batch->labels);
    else if (numbers)
        batch->targets =
            nft_allocate_array((size_t)count, (size_t)nft_size_multiply(numbers, sizeof *batch->targets));
    if (batch->labels || batch->targets || trainer->recipe.loss->target == NFT_TARGET_INPUT)
        return NFT_OK;
    return nft_fail_memory("a batch's targets",
                           nft_size_multiply(nft_size_multiply(count, numbers), sizeof *batch->targets));
}

nft_status nft_source_reserve(nft_batch_source *source, const nft_trainer *trainer)
{
    if (source->batch.count)
        return NFT_OK;
    nft_status status = create_source(source, trainer);
    if (status)
        nft_source_free_batch(source);
    return status;
}

void nft_source_free_batch(nft_batch_source *source)
{
    nft_weights_free(source->batch.weights);
    nft_array_free(source->tokens);
    nft_release(source->batch.targets);
    nft_release(source->batch.labels);
    source->batch = (nft_batch){0};
    source->tokens = NULL;
}

void nft_source_clear(nft_batch_source *source)
{
    nft_source_free_batch(source);
    *source = (nft_batch_source){0};
}

/* Every rank has the whole batch. The callback may change its copy of the struct, but not the memory, which
 * the trainer owns. */
static nft_status ask_source(nft_trainer *trainer)
{
    const nft_batch_source *source = &trainer->source;
    int64_t numbers = nft_trainer_target_numbers(trainer);
    nft_batch batch = source->batch;
    batch.step = trainer->step;
    trainer->waits = true;
    int stopped = source->callback(&batch, source->user);
    trainer->waits = false;
    if (stopped)
        return nft_fail(NFT_ERROR_CANCELLED, "the batch callback stopped it");
    batch = source->batch;
    for (int64_t i = 0; i < batch.count; i++)
        trainer->samples[i] =
            (nft_sample){.input = {.weights = batch.weights, .tokens = source->tokens, .index = i},
                         .target = batch.targets ? batch.targets + i * numbers : NULL,
                         .label = batch.labels ? batch.labels[i] : 0,
                         .number = i,
                         .kept = nft_kept_floats(trainer->model->sequence, trainer->options.recompute)};
    nft_status status = nft_samples_check(trainer, trainer->samples, batch.count);
    return status ? nft_fail_in(status, "the callback's batch") : NFT_OK;
}

/* The memory is there, unless data were refused that should have had it. */
static nft_status next_batch(nft_trainer *trainer, int64_t first, int64_t count)
{
    nft_status status = NFT_OK;
    if (trainer->source.callback) {
        status = nft_source_reserve(&trainer->source, trainer);
        return status ? status : ask_source(trainer);
    }
    nft_sampler_batch(&trainer->sampler, trainer->step, trainer->recipe.batch_size, trainer->numbers);
    if (trainer->train.dataset)
        status = nft_reading_reserve(&trainer->batch, trainer, &trainer->train, trainer->recipe.batch_size);
    if (!status)
        status = nft_set_fetch(trainer, &trainer->train, trainer->numbers + first, 0, count, &trainer->batch,
                               trainer->samples + first);
    return status ? nft_fail_in(status, "training set") : NFT_OK;
}

/* Puts an augmented copy of a network in its place. */
static void augment(const nft_trainer *trainer, const nft_random *random, int64_t place, bool canonical)
{
    nft_forward_sample *input = &trainer->samples[place].input;
    const nft_space *space = trainer->model->space;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        int64_t numbers = space->tensors[t].tokens;
        memcpy(nft_weights_edit(trainer->augmented, t) + place * numbers,
               input->weights->data[t] + input->index * numbers, (size_t)numbers * sizeof(float));
    }
    nft_augment_network(&trainer->recipe.augment, random, trainer->augmented, place, canonical);
    input->weights = trainer->augmented;
    input->index = place;
}

/* A network's random numbers depend on its place in the batch of all ranks. */
static void augment_batch(const nft_trainer *trainer, int64_t first, int64_t count)
{
    const nft_augment *options = &trainer->recipe.augment;
    bool canonical = nft_augment_is_canonical(options, nft_contract_is_canonical(&trainer->train));
    nft_random random = nft_augment_random(trainer->recipe.seed, trainer->step);
    for (int64_t i = first; i < first + count && options->enabled; i++)
        augment(trainer, &random, i, canonical);
}

nft_status nft_trainer_next_batch(nft_trainer *trainer, int64_t first, int64_t count)
{
    if (!trainer->source.callback && !trainer->train.count)
        return nft_fail(NFT_ERROR_ARGUMENT, "there is no training data; call nft_trainer_set_data first");
    nft_status status = next_batch(trainer, first, count);
    if (status)
        return nft_fail_in(status, "step %" PRId64, trainer->step);
    augment_batch(trainer, first, count);
    return NFT_OK;
}
