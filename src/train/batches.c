/* The samples of a step: those of a set in memory as they are, those of a callback or a file in memory of the
 * trainer's own. */
#include "train/trainer.h"

#include <inttypes.h>

/* Of the targets alone. */
static int64_t target_bytes(const nft_loss *loss, int64_t numbers, int64_t count)
{
    return nft_size_multiply(count, loss->target == NFT_TARGET_CLASS
                                        ? (int64_t)sizeof(int64_t)
                                        : nft_size_multiply(numbers, sizeof(float)));
}

int64_t nft_batch_bytes(const nft_model *model, const nft_loss *loss, int64_t outputs, int64_t count)
{
    int64_t inputs = nft_size_multiply(
        nft_size_multiply(count, nft_value_floats(&model->input, model->space)), sizeof(float));
    int64_t numbers = loss->target == NFT_TARGET_NUMBERS ? outputs : 0;
    return nft_size_add(inputs, target_bytes(loss, numbers, count));
}

static nft_status create(nft_batch_memory *memory, const nft_trainer *trainer, int64_t count)
{
    const nft_model *model = trainer->model;
    nft_batch *batch = &memory->batch;
    int64_t numbers = nft_trainer_target_numbers(trainer),
            targets = target_bytes(trainer->recipe.loss, numbers, count);
    int64_t shape[] = {count, model->input.tokens, model->input.channels};
    nft_status status;
    *memory = (nft_batch_memory){.batch = {.size = sizeof *batch, .count = count}};
    if (model->space)
        status = nft_weights_allocate(&batch->weights, model->space, count, model->input.channels, NULL, 0);
    else
        status = nft_array_create(&memory->tokens, NFT_ARRAY_F32, shape, 3, NULL);
    if (status)
        return status;
    batch->tokens = memory->tokens ? memory->tokens->storage : NULL;
    memory->target_numbers = numbers;
    if (!targets)
        return NFT_OK;
    if (trainer->recipe.loss->target == NFT_TARGET_CLASS)
        batch->labels = nft_allocate((size_t)targets);
    else
        batch->targets = nft_allocate((size_t)targets);
    return batch->labels || batch->targets ? NFT_OK : nft_fail_memory("a batch's targets", targets);
}

nft_status nft_batch_reserve(nft_batch_memory *memory, const nft_trainer *trainer, int64_t count)
{
    nft_batch_memory larger = {0};
    if (memory->batch.count && memory->target_numbers >= nft_trainer_target_numbers(trainer))
        return NFT_OK;
    nft_status status = create(&larger, trainer, count);
    if (status) {
        nft_batch_clear(&larger);
        return status;
    }
    nft_batch_clear(memory);
    *memory = larger;
    return NFT_OK;
}

void nft_batch_clear(nft_batch_memory *memory)
{
    nft_weights_free(memory->batch.weights);
    nft_array_free(memory->tokens);
    nft_release(memory->batch.targets);
    nft_release(memory->batch.labels);
    *memory = (nft_batch_memory){0};
}

static nft_samples samples_of(const nft_batch_memory *memory, int64_t count)
{
    return (nft_samples){.weights = memory->batch.weights,
                         .tokens = memory->tokens,
                         .count = count,
                         .targets = memory->batch.targets,
                         .classes = memory->batch.labels};
}

/* Reads samples of a file to the beginning of the memory. They are checked each time: the file may have
 * changed since the last time. */
static nft_status read_samples(const nft_trainer *trainer, const nft_samples *set, const int64_t *indices,
                               int64_t first, int64_t count, const nft_batch_memory *memory,
                               nft_samples *samples)
{
    const nft_dataset *dataset = set->dataset;
    const nft_batch *batch = &memory->batch;
    nft_status status = batch->weights
                            ? nft_dataset_read_weights(dataset, indices, first, count, batch->weights)
                            : nft_dataset_read_tokens(dataset, indices, first, count, batch->tokens);
    if (!status && set->target_entry)
        status = nft_dataset_read_rows(dataset, set->target_entry, indices, first, count, batch->targets,
                                       batch->labels);
    if (status)
        return status;
    *samples = samples_of(memory, count);
    samples->number = first;
    samples->numbers = indices;
    samples->layers = dataset->network.layers;
    return nft_samples_check(trainer, samples, dataset->file->path);
}

nft_status nft_samples_fetch(nft_trainer *trainer, const nft_samples *set, int64_t first, int64_t count,
                             nft_samples *piece, int64_t *at)
{
    if (!set->dataset) {
        *piece = *set;
        *at = first;
        return NFT_OK;
    }
    *piece = (nft_samples){0};
    *at = 0;
    return read_samples(trainer, set, NULL, first, count, &trainer->pieces, piece);
}

/* The callback may change the struct that it is given, but not what the trainer owns. */
static nft_status ask_source(nft_trainer *trainer, nft_samples *samples)
{
    nft_batch batch = trainer->batch.batch;
    batch.step = trainer->step;
    trainer->waits = true;
    int stopped = trainer->source(&batch, trainer->source_user);
    trainer->waits = false;
    if (stopped)
        return nft_fail(NFT_ERROR_CANCELLED, "step %" PRId64 ": the batch callback stopped it",
                        trainer->step);
    *samples = samples_of(&trainer->batch, trainer->recipe.batch_size);
    for (int64_t i = 0; i < samples->count; i++)
        trainer->indices[i] = trainer->numbers[i] = i;
    nft_status status = nft_samples_check(trainer, samples, "the callback's batch");
    return status ? nft_fail_in(status, "step %" PRId64, trainer->step) : NFT_OK;
}

/* This rank's part alone. */
static nft_status read_batch(nft_trainer *trainer, nft_samples *samples)
{
    int64_t first, count;
    nft_trainer_part(trainer, trainer->recipe.batch_size, &first, &count);
    for (int64_t i = 0; i < count; i++)
        trainer->indices[first + i] = i;
    nft_status status =
        read_samples(trainer, &trainer->train, trainer->numbers + first, 0, count, &trainer->batch, samples);
    return status ? nft_fail_in(status, "step %" PRId64 ": training set", trainer->step) : NFT_OK;
}

nft_status nft_trainer_next_batch(nft_trainer *trainer, nft_samples *samples)
{
    int64_t batch = trainer->recipe.batch_size;
    if (trainer->source)
        return ask_source(trainer, samples);
    if (!trainer->train.count)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "there is no training data; call nft_trainer_set_%s or nft_trainer_set_source first",
                        trainer->model->space ? "data" : "tokens");
    nft_sampler_batch(&trainer->sampler, trainer->step, batch, trainer->numbers);
    if (trainer->train.dataset)
        return read_batch(trainer, samples);
    *samples = trainer->train;
    for (int64_t i = 0; i < batch; i++)
        trainer->indices[i] = trainer->numbers[i];
    return NFT_OK;
}
