/* Any bytes as a training's checkpoint, for a trainer with a validation set and one without. A refused
 * checkpoint changes nothing, and from an accepted one a training resumes. */
#define _GNU_SOURCE
#include "fuzz/bytes_as_file.h"
#include "fuzz/mutate_header.h"

#include "nft/train.h"
#include "train/trainer.h"

#include <stdbool.h>
#include <string.h>

#define SAMPLES 3
#define TRAINERS 2
#define NUMBERS 32 /* of the parameters, with the gaps between them */

static const char config[] =
    "{\"format_version\":1,\"input\":{\"type\":\"tokens\",\"tokens\":1,\"channels\":1},\"modules\":"
    "[{\"type\":\"flatten_tokens\"},{\"type\":\"linear\",\"out_features\":1}]}";
static const char recipe[] = "{\"loss\": \"mse\", \"optimizer\": {\"type\": \"adam\"}, \"batch_size\": 2, "
                             "\"steps\": 4, \"validate_every\": 1}";

static nft_trainer *trainers[TRAINERS]; /* the first validates */
static bytes_as_file file;
static nft_array *tokens, *targets;

static nft_trainer *make_trainer(const nft_model *model, bool validates)
{
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    nft_trainer *trainer = NULL;
    options.threads = 1;
    if (nft_trainer_create(&trainer, model, recipe, sizeof recipe - 1, &options) ||
        nft_trainer_set_data(trainer, NFT_DATA_TOKENS(tokens, targets),
                             NFT_DATA_TOKENS(validates ? tokens : NULL, validates ? targets : NULL)))
        abort();
    return trainer;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const int64_t shape[] = {SAMPLES, 1, 1};
    const float numbers[SAMPLES] = {-1, 0, 2};
    nft_model *model = NULL;
    (void)argc;
    (void)argv;
    if (nft_model_create(&model, config, sizeof config - 1, 1, NULL) ||
        nft_array_create(&tokens, NFT_ARRAY_F32, shape, 3, numbers) ||
        nft_array_create(&targets, NFT_ARRAY_F32, shape, 1, numbers))
        abort();
    for (int i = 0; i < TRAINERS; i++)
        trainers[i] = make_trainer(model, i == 0);
    if (model->parameters.total != NUMBERS)
        abort();
    nft_model_free(model);
    make_file(&file, "checkpoint");
    return 0;
}

/* Finite numbers may be so large that their squares are not. */
static void go_on(nft_trainer *trainer)
{
    nft_step_info info = NFT_STEP_INFO_INIT;
    int64_t done = nft_trainer_describe(trainer)->steps_done;
    nft_status status = nft_trainer_step(&info, trainer);
    if (status && status != NFT_ERROR_NOT_FINITE)
        abort();
    if (nft_trainer_describe(trainer)->steps_done != done + (status == NFT_OK))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    write_file(&file, bytes, size);
    for (int i = 0; i < TRAINERS; i++) {
        float before[NUMBERS];
        int64_t done = nft_trainer_describe(trainers[i])->steps_done;
        memcpy(before, trainers[i]->model->values, sizeof before);
        if (nft_trainer_resume(trainers[i], file.path) == NFT_OK) {
            go_on(trainers[i]);
            continue;
        }
        if (nft_trainer_describe(trainers[i])->steps_done != done ||
            memcmp(before, trainers[i]->model->values, sizeof before) != 0)
            abort();
    }
    return 0;
}
