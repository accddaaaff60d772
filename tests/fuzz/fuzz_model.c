/* Any bytes as a model file. A file that is accepted in memory is accepted by its path, and so is its
 * configuration by itself. A small model runs. */
#define _GNU_SOURCE
#include "fuzz/bytes_as_file.h"
#include "fuzz/mutate_header.h"

#include "nft/nft.h"

#include <string.h>

#define MOST_BYTES ((int64_t)1 << 20)
#define MOST_FLOPS 100000

static bytes_as_file file;

/* Every number of a model came from the file, so it has the names, shapes and counts that it says. */
static void check_tensors(const nft_model *model)
{
    const nft_module_info *output = nft_model_describe(model)->output;
    int64_t numbers = 0;
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_model_tensor(&info, model, i) || !info.name || !info.data)
            abort();
        numbers += info.count;
    }
    if (numbers != output->parameter_count + output->buffer_count)
        abort();
}

static void check_config(const nft_model *model)
{
    const char *config = nft_model_describe(model)->config;
    nft_model *again = NULL;
    if (nft_model_create(&again, config, strlen(config), 1, NULL) ||
        strcmp(nft_model_describe(again)->config, nft_model_describe(model)->config) != 0)
        abort();
    nft_model_free(again);
}

static void run(const nft_model *model)
{
    const nft_module_info *input = nft_model_describe(model)->input,
                          *output = nft_model_describe(model)->output;
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    nft_weights *weights = NULL;
    options.threads = 1;
    options.max_batch = 1;
    options.memory_limit = MOST_BYTES;
    if (!nft_model_describe(model)->space || output->flops > MOST_FLOPS ||
        nft_context_create(&context, model, &options))
        return;
    if (nft_weights_create(&weights, nft_model_describe(model)->space, 1, input->channels, NULL) ||
        nft_forward(context, NFT_VIEW_WEIGHTS(weights)))
        abort();
    nft_weights_free(weights);
    nft_context_free(context);
}

static void check_path(const uint8_t *bytes, size_t size)
{
    nft_model *again = NULL;
    write_file(&file, bytes, size);
    if (nft_model_load(&again, file.path, NULL))
        abort();
    nft_model_free(again);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    make_file(&file, "model");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    nft_model *model = NULL;
    options.memory_limit = MOST_BYTES;
    options.bytes = bytes;
    options.byte_count = size;
    nft_status status = nft_model_load(&model, NULL, &options);
    if ((status == NFT_OK) != (model != NULL))
        abort();
    if (model) {
        check_tensors(model);
        check_config(model);
        check_path(bytes, size);
        run(model);
    }
    nft_model_free(model);
    return 0;
}
