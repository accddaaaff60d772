/* Any text as a model's configuration. A valid and small one is initialised, made again from the text that
 * the model keeps, and run on random weights. */
#include "nft/nft.h"

#include <stdlib.h>
#include <string.h>

#define MOST_BYTES ((size_t)1 << 24)
#define MOST_FLOPS 20000000

/* Memory that ends after MOST_BYTES, as a model's size is for its author to choose. A block's size stands in
 * front of it. */
static size_t taken;

static void *take(size_t bytes, void *user)
{
    (void)user;
    if (bytes > MOST_BYTES - taken)
        return NULL;
    size_t *block = malloc(bytes + 16);
    if (!block)
        return NULL;
    *block = bytes;
    taken += bytes;
    return (char *)block + 16;
}

static void give(void *memory, void *user)
{
    (void)user;
    size_t *block = (void *)((char *)memory - 16);
    taken -= *block;
    free(block);
}

/* Numbers that depend only on the position: most ordinary, some large. */
static void fill(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)((i * 2654435761 >> 3) % 2000 - 1000) * (i % 97 ? 1e-3f : 1e30f);
}

static nft_weights *random_weights(const nft_model *model, int64_t channels)
{
    nft_weights *weights = NULL;
    if (nft_weights_create(&weights, nft_model_describe(model)->space, 2, channels, NULL))
        return NULL;
    for (int64_t t = 0; t < nft_space_describe(nft_model_describe(model)->space)->tensor_count; t++)
        fill(nft_weights_edit(weights, t), nft_weights_data_count(weights, t));
    return weights;
}

static nft_array *random_tokens(const nft_module_info *input)
{
    const int64_t shape[] = {2, input->tokens, input->channels};
    nft_array *array = NULL;
    if (input->tokens * input->channels > (int64_t)MOST_BYTES / 16)
        return NULL;
    size_t count = 2 * (size_t)(input->tokens * input->channels);
    float *values = malloc(count * sizeof *values);
    if (values) {
        fill(values, (int64_t)count);
        if (nft_array_create(&array, NFT_ARRAY_F32, shape, 3, values))
            array = NULL;
    }
    free(values);
    return array;
}

/* Whatever the numbers are, there is a result. */
static void run(const nft_model *model, nft_context *context, const nft_module_info *input)
{
    nft_weights *weights = NULL;
    nft_array *tokens = NULL;
    if (input->output == NFT_VALUE_FEATURES)
        weights = random_weights(model, input->channels);
    else
        tokens = random_tokens(input);
    if (weights || tokens) {
        nft_status status = weights ? nft_forward(context, NFT_VIEW_WEIGHTS(weights))
                                    : nft_forward(context, NFT_VIEW_ARRAY_RANGE(tokens, 0, 2));
        if (status != NFT_OK && status != NFT_ERROR_MEMORY)
            abort();
    }
    nft_array_free(tokens);
    nft_weights_free(weights);
}

static void try_model(const nft_model *model)
{
    const nft_module_info *input = nft_model_describe(model)->input,
                          *output = nft_model_describe(model)->output;
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    nft_model *again = NULL;
    const char *config = nft_model_describe(model)->config;
    nft_status status = nft_model_create(&again, config, strlen(config), 1, NULL);
    if (status != NFT_OK && status != NFT_ERROR_MEMORY)
        abort(); /* a text that was accepted is accepted again */
    nft_model_free(again);
    if (output->flops > MOST_FLOPS)
        return;
    options.threads = 1;
    options.max_batch = 2;
    options.memory_limit = (int64_t)MOST_BYTES;
    if (nft_context_create(&context, model, &options))
        return;
    run(model, context, input);
    nft_context_free(context);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const nft_allocator limited = {sizeof limited, take, give, NULL};
    (void)argc;
    (void)argv;
    return nft_set_allocator(&limited) ? 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    nft_model *model = NULL;
    nft_status status = nft_model_create(&model, (const char *)bytes, size, 0, NULL);
    if ((status == NFT_OK) != (model != NULL))
        abort();
    if (model)
        try_model(model);
    nft_model_free(model);
    if (taken)
        abort();
    return 0;
}
