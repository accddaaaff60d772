/* Any text as a training's recipe: a trainer of a valid and small one takes a step. */
#include "nft/nft.h"
#include "nft/train.h"

#include <stdlib.h>
#include <string.h>

#define MOST_BYTES ((int64_t)1 << 18)

static const char config[] =
    "{\"format_version\": 1, \"input\": {\"type\": \"tokens\", \"tokens\": 2, \"channels\": 1}, \"modules\": "
    "[{\"type\": \"linear\", \"out_features\": 3}, {\"type\": \"mean_tokens\"}, {\"type\": \"sigmoid\"}]}";

static nft_model *model;

/* Whatever the loss is, the outputs are probabilities and the targets fit. */
static int fill(nft_batch *batch, void *user)
{
    (void)user;
    for (int64_t i = 0; i < 2 * batch->count; i++)
        batch->tokens[i] = (float)(i % 5) - 2;
    for (int64_t i = 0; batch->targets && i < 3 * batch->count; i++)
        batch->targets[i] = (float)(i % 3) / 2;
    for (int64_t i = 0; batch->labels && i < batch->count; i++)
        batch->labels[i] = i % 3;
    return 0;
}

/* A rate may be so large that the parameters are infinite after the first step. */
static void take_steps(nft_trainer *trainer)
{
    if (nft_trainer_set_data(trainer, NFT_DATA_CALLBACK(fill, NULL), NULL) ||
        nft_trainer_describe(trainer)->steps < 1)
        abort();
    for (int64_t step = 0; step < 2; step++) {
        nft_step_info info = NFT_STEP_INFO_INIT;
        nft_status status = nft_trainer_step(&info, trainer);
        if (status == NFT_ERROR_NOT_FINITE)
            break;
        if (status || info.step != step || nft_trainer_describe(trainer)->steps_done != step + 1)
            abort();
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return nft_model_create(&model, config, sizeof config - 1, 1, NULL) ? 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    nft_trainer *trainer = NULL;
    int64_t memory = 0;
    options.threads = 1;
    options.memory_limit = MOST_BYTES;
    nft_status known = nft_trainer_memory(&memory, model, NULL, (const char *)bytes, size, &options);
    nft_status made = nft_trainer_create(&trainer, model, (const char *)bytes, size, &options);
    if ((made == NFT_OK) != (trainer != NULL) || (made != known && made != NFT_ERROR_LIMIT))
        abort();
    if (made == NFT_OK && memory > MOST_BYTES)
        abort();
    if (trainer)
        take_steps(trainer);
    nft_trainer_free(trainer);
    return 0;
}
