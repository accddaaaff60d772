#define _POSIX_C_SOURCE 200809L
#include "results.h"

#include "metrics.h"
#include "progress.h"
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_BATCH 32

/* The shape of one network's row is shape[1] …; allocates N of them. */
static int add_result(cli_results *results, const char *name, int64_t rank, const int64_t *shape)
{
    cli_result *result = &results->items[results->count];
    int64_t total = (int64_t)sizeof(float);
    result->name = name;
    result->rank = rank;
    result->row = 1;
    for (int64_t i = 0; i < rank; i++) {
        result->shape[i] = shape[i];
        result->row *= i ? shape[i] : 1;
        if (shape[i] && total > INT64_MAX / shape[i])
            return fail("the result '%s' is too large", name);
        total *= shape[i];
    }
    result->data = malloc((size_t)total + 1);
    if (!result->data)
        return fail("out of memory: the result '%s' needs %" PRId64 " bytes", name, total);
    results->count++;
    return EXIT_SUCCESS;
}

static int plan_features(cli_results *results, const nft_space *space, int64_t count, int64_t channels)
{
    for (int64_t t = 0; t < nft_space_tensor_count(space); t++) {
        nft_space_tensor tensor = {.size = sizeof tensor};
        int64_t shape[NFT_ARRAY_MAX_RANK] = {count, channels};
        if (nft_space_get_tensor(&tensor, space, t))
            return fail_library();
        memcpy(shape + 2, tensor.shape, (size_t)tensor.rank * sizeof *shape);
        int failed = add_result(results, tensor.name, 2 + tensor.rank, shape);
        if (failed)
            return failed;
    }
    return EXIT_SUCCESS;
}

/* What the last module gives, or with `decode` the decoder. */
static nft_status describe_output(const nft_model *model, bool decode, nft_module_info *info)
{
    int64_t modules = nft_model_module_count(model);
    if (decode || !nft_model_has_decoder(model))
        return nft_model_output(info, model);
    return modules ? nft_model_module(info, model, modules - 1) : nft_model_input(info, model);
}

static int plan_results(cli_results *results, const nft_model *model, int64_t count, bool decode)
{
    nft_module_info info = NFT_MODULE_INFO_INIT;
    const nft_space *space = nft_model_space(model);
    *results = (cli_results){.items = calloc((size_t)nft_space_tensor_count(space) + 1, sizeof(cli_result))};
    if (!results->items)
        return fail_memory();
    if (describe_output(model, decode, &info))
        return fail_library();
    if (info.output == NFT_VALUE_FEATURES)
        return plan_features(results, space, count, info.channels);
    int64_t vector[] = {count, info.channels}, tokens[] = {count, info.tokens, info.channels};
    if (info.output == NFT_VALUE_TOKENS)
        return add_result(results, "output", 3, tokens);
    return add_result(results, "output", 2, vector);
}

static bool keep_piece(cli_results *results, const nft_context *context, int64_t first, int64_t count)
{
    const nft_array *output = nft_context_output(context);
    const nft_weights *features = nft_context_output_weights(context);
    for (int64_t i = 0; i < results->count; i++) {
        cli_result *result = &results->items[i];
        int64_t numbers = count * result->row;
        const float *values = features ? nft_weights_data(features, i) : nft_array_f32(output);
        if (!values || numbers != (features ? nft_weights_data_count(features, i) : nft_array_count(output)))
            return false;
        memcpy(result->data + first * result->row, values, (size_t)numbers * sizeof(float));
    }
    return true;
}

static int run_pieces(cli_results *results, nft_context *context, const cli_input *input, int64_t batch,
                      const char *path, cli_progress *progress)
{
    nft_status status = NFT_OK;
    bool kept = true;
    for (int64_t first = 0; kept && first < input->count; first += batch) {
        int64_t count = input->count - first < batch ? input->count - first : batch;
        progress->base = first;
        status = input->weights ? nft_forward_range(context, input->weights, first, count)
                                : nft_forward_tokens(context, input->tokens, first, count);
        kept = !status && keep_piece(results, context, first, count);
        progress_show(progress, first + count);
    }
    progress_end(progress);
    if (status)
        return fail("%s: %s", path, library_message());
    return kept ? EXIT_SUCCESS : fail("the model's output is not what it announced");
}

int run_model(cli_results *results, const nft_model *model, const cli_input *input, const cli_options *given,
              bool decode)
{
    nft_context *context = NULL;
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    cli_progress progress;
    options.threads = given->threads;
    options.precision = given_precision(given);
    options.max_batch = given->batch_size ? given->batch_size : DEFAULT_BATCH;
    options.max_batch = input->count < options.max_batch ? input->count : options.max_batch;
    options.without_decoder = !decode;
    int failed = plan_results(results, model, input->count, decode);
    if (failed)
        return failed;
    if (nft_context_create(&context, model, &options))
        return fail_library();
    progress_start(&progress, given, given->command->name, input->weights ? "networks" : "samples",
                   input->count);
    nft_context_set_progress(context, progress_callback, &progress);
    failed = run_pieces(results, context, input, options.max_batch, given->operands[1], &progress);
    nft_context_free(context);
    return failed;
}

void free_results(cli_results *results)
{
    for (int64_t i = 0; i < results->count; i++)
        free(results->items[i].data);
    free(results->items);
    *results = (cli_results){0};
}

int64_t count_non_finite_results(const cli_results *results)
{
    int64_t networks = results->count ? results->items[0].shape[0] : 0, found = 0;
    for (int64_t n = 0; n < networks; n++) {
        bool finite = true;
        for (int64_t i = 0; i < results->count && finite; i++)
            finite = all_finite(results->items[i].data + n * results->items[i].row, results->items[i].row);
        found += !finite;
    }
    return found;
}

static bool is_result(const cli_results *results, const char *name)
{
    for (int64_t i = 0; i < results->count; i++)
        if (!strcmp(results->items[i].name, name))
            return true;
    return false;
}

int save_results(const cli_results *results, const cli_input *input, const char *path,
                 const char *const *metadata)
{
    size_t most = (size_t)(results->count + input->extra_count), count = 0;
    const char **names = calloc(most + 1, sizeof *names);
    const nft_array **arrays = calloc(most + 1, sizeof *arrays);
    nft_array **views = calloc((size_t)results->count + 1, sizeof *views);
    int failed = names && arrays && views ? EXIT_SUCCESS : fail_memory();
    for (int64_t i = 0; i < results->count && !failed; i++) {
        const cli_result *result = &results->items[i];
        if (nft_array_borrow(&views[i], NFT_ARRAY_F32, result->shape, result->rank, result->data))
            failed = fail_library();
        names[count] = result->name;
        arrays[count++] = views[i];
    }
    for (int64_t i = 0; i < input->extra_count && !failed; i++)
        if (!is_result(results, input->extras[i].name)) {
            names[count] = input->extras[i].name;
            arrays[count++] = input->extras[i].array;
        }
    if (!failed && nft_array_save(path, names, arrays, count, metadata))
        failed = fail_library();
    for (int64_t i = 0; i < results->count && views; i++)
        nft_array_free(views[i]);
    free(views);
    free(arrays);
    free(names);
    return failed;
}
