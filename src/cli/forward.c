/* nftool forward: runs a model on every network of a file. */
#define _POSIX_C_SOURCE 200809L
#include "commands.h"
#include "image_source.h"
#include "omega.h"
#include "outputs.h"
#include "report.h"
#include "results.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* {"output": path, "shape": [N, …]}; for features the shape is [N, C], and "tensors" has those of the
 * tensors. */
static json_t *describe_json(const cli_results *results, const char *path)
{
    const cli_result *first = &results->items[0];
    json_t *object = json_object();
    json_object_set_new(object, "output", json_text(path));
    json_object_set_new(object, "shape", json_shape(first->shape, results->count == 1 ? first->rank : 2));
    if (results->count > 1) {
        json_t *tensors = json_object();
        for (int64_t i = 0; i < results->count; i++)
            json_object_set_new(tensors, results->items[i].name,
                                json_shape(results->items[i].shape, results->items[i].rank));
        json_object_set_new(object, "tensors", tensors);
    }
    return object;
}

static int describe(const cli_options *given, const cli_results *results, const char *path)
{
    char shape[TEXT_CAPACITY], networks[TEXT_CAPACITY], channels[TEXT_CAPACITY];
    const cli_result *first = &results->items[0];
    int64_t wrong = count_non_finite_results(results);
    if (wrong)
        note(given, "warning: the output of %" PRId64 " of %" PRId64 " has values that are not finite", wrong,
             first->shape[0]);
    if (given->json)
        return print_json(describe_json(results, path));
    if (results->count == 1)
        say("%s: output %s", path, text_shape(shape, first->shape, first->rank));
    else
        say("%s: features of %s, %s", path, text_plural(networks, first->shape[0], "network"),
            text_plural(channels, first->shape[1], "channel"));
    return EXIT_SUCCESS;
}

/* A model that edits SIRENs does so for one frequency. */
static int check_frequency(const nft_model *model, const cli_options *given)
{
    const char *text = nft_model_metadata(model, OMEGA_KEY);
    double omega = 0;
    int failed = text ? parse_omega(&omega, given->operands[0], text) : EXIT_SUCCESS;
    return text && !failed ? check_omega(given->operands[1], omega, "the model was trained for") : failed;
}

/* The weights that come out are networks as those that went in. */
static int save_features(const cli_results *results, const cli_input *input, const nft_model *model,
                         const cli_options *given)
{
    nft_file *file = NULL;
    if (nft_file_open(&file, given->operands[1]))
        return fail_library();
    const char **metadata = list_metadata(file, OMEGA_KEY, nft_model_metadata(model, OMEGA_KEY));
    int failed =
        metadata ? save_results(results, input, option_text(given, "output"), metadata) : fail_memory();
    free(metadata);
    nft_file_free(file);
    return failed;
}

/* Vectors do not say the size of the images that they are. */
static int save_images(const cli_results *results, const cli_input *input, const nft_model *model,
                       const char *path)
{
    char size[48];
    int64_t height = 0, width = 0;
    double omega = 0;
    int failed = read_decoder(model, &height, &width, &omega);
    snprintf(size, sizeof size, "%" PRId64 " %" PRId64, height, width);
    return failed ? failed
                  : save_results(results, input, path, (const char *const[]){IMAGE_SIZE_KEY, size, NULL});
}

static int run(const cli_options *given)
{
    const char *path = option_text(given, "output");
    bool decode = option_text(given, "decode") != NULL;
    nft_model *model = NULL;
    cli_input input = {0};
    cli_results results = {0};
    int failed = check_outputs(given);
    if (!failed)
        failed = load_model(&model, given->operands[0], given);
    if (!failed && decode && !nft_model_has_decoder(model))
        failed = fail("%s: the model has no decoder, --decode is for one that has", given->operands[0]);
    if (!failed)
        failed = check_frequency(model, given);
    if (!failed)
        failed = load_input(&input, model, given->operands[1], given);
    if (!failed)
        failed = run_model(&results, model, &input, given, decode);
    if (!failed && decode)
        failed = save_images(&results, &input, model, path);
    else if (!failed)
        failed = results.count > 1 ? save_features(&results, &input, model, given)
                                   : save_results(&results, &input, path, NULL);
    if (!failed)
        failed = describe(given, &results, path);
    free_results(&results);
    free_input(&input);
    nft_model_free(model);
    return failed;
}

static const cli_option own_options[] = {
    {"output", 'o', OPTION_RESULT, "OUT", "file to write, replaced if it exists; - is standard output", 0, 0,
     NULL},
    {"decode", 0, OPTION_FLAG, NULL, "of a model with a decoder: its images as vectors, not the latents", 0,
     0, NULL},
    PRECISION_OPTION,
    LAYERS_OPTION,
    {0},
};

const cli_command forward_command = {
    .name = "forward",
    .operands = "MODEL WEIGHTS -o OUT",
    .summary = "run a model on the weights of networks",
    .description =
        "Runs a model on every network of WEIGHTS and writes what comes out to OUT (safetensors).\n\n"
        "MODEL is a model file, or a configuration or recipe (.json), freshly initialised from --seed.\n"
        "WEIGHTS holds the weights of one network (a PyTorch state_dict), of N networks stacked along\n"
        "a leading axis, or features; for a model on tokens, the tensor 'output' (N, tokens, channels).\n"
        "OUT gets 'output', tokens (N, M, D) or a vector (N, F), or for a model that gives features\n"
        "'0.weight', '0.bias', …, (N, C, …). Other tensors of WEIGHTS with a leading N, labels for\n"
        "example, are carried along.",
    .least_operands = 2,
    .most_operands = 2,
    .options = own_options,
    .required = "output",
    .run = run,
};
