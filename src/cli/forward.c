/* nftool forward: runs a model on every network of a file. */
#define _POSIX_C_SOURCE 200809L
#include "commands.h"
#include "contract.h"
#include "file_names.h"
#include "files.h"
#include "image_source.h"
#include "metrics.h"
#include "nft/train.h"
#include "omega.h"
#include "outputs.h"
#include "predictions.h"
#include "report.h"
#include "results.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* {"output": path, "shape": [N, …]}; for features the shape is [N, C], and "tensors" has those of the
 * tensors. */
static json_t *describe_json(const cli_output *output)
{
    const nft_tensor_info *first = &output->table.items[0];
    bool features = strcmp(first->name, "output") != 0;
    json_t *object = json_object();
    json_object_set_new(object, "output", json_text(output->path));
    json_object_set_new(object, "shape", json_shape(first->shape, features ? 2 : first->rank));
    if (features) {
        json_t *tensors = json_object();
        for (int64_t i = 0; i < output->own; i++)
            json_object_set_new(tensors, output->table.items[i].name,
                                json_shape(output->table.items[i].shape, output->table.items[i].rank));
        json_object_set_new(object, "tensors", tensors);
    }
    return object;
}

/* Names the first of the networks whose results are not finite. */
static void warn_not_finite(const cli_options *given, const cli_input *input, int64_t found, int64_t first)
{
    char file[FILE_NAME_CAPACITY];
    note(given,
         "warning: the output of %" PRId64 " of %" PRId64
         " has values that are not finite; the first is that of network %" PRId64 "%s",
         found, input->count, first, file_of_network(file, input, first));
}

static int describe(const cli_options *given, const cli_output *output)
{
    char shape[TEXT_CAPACITY], networks[TEXT_CAPACITY], channels[TEXT_CAPACITY];
    const nft_tensor_info *first = &output->table.items[0];
    if (output->non_finite)
        warn_not_finite(given, output->input, output->non_finite, output->first_non_finite);
    if (given->json)
        return print_json(describe_json(output));
    if (!strcmp(first->name, "output"))
        say("%s: output %s", output->path, text_shape(shape, first->shape, first->rank));
    else
        say("%s: features of %s, %s", output->path, text_plural(networks, first->shape[0], "network"),
            text_plural(channels, first->shape[1], "channel"));
    return EXIT_SUCCESS;
}

/* A model that edits SIRENs does so for one frequency. */
static int check_frequency(const nft_model *model, const cli_input *input, const cli_options *given)
{
    const char *text = has_other_space(input, model) ? NULL : nft_model_metadata(model, OMEGA_KEY);
    cli_omega omega;
    int failed = text ? parse_omega(&omega, given->operands[0], text) : EXIT_SUCCESS;
    return text && !failed ? check_omega(input->path, input->dataset, &omega, "the model was trained for")
                           : failed;
}

/* The texts of the file that is written, in the metadata of a set of no networks. */
typedef struct result_texts {
    nft_weights *holder;
    const char **list;
    char size[48]; /* of images */
    const char *image_texts[3];
} result_texts;

/* The weights that come out are networks as those that went in. */
static int note_networks(result_texts *texts, const nft_model *model, const cli_input *input)
{
    const char *omega = nft_model_metadata(model, OMEGA_KEY);
    if (nft_dataset_batch(&texts->holder, input->dataset, 0, 0) ||
        nft_weights_set_metadata(texts->holder, "nft.space", nft_space_describe(input->space)->json))
        return fail_library();
    if (omega && !nft_weights_metadata(texts->holder, OMEGA_KEY) &&
        nft_weights_set_metadata(texts->holder, OMEGA_KEY, omega))
        return fail_library();
    texts->list = list_weights_metadata(texts->holder);
    return texts->list ? EXIT_SUCCESS : fail_memory();
}

/* Vectors do not say the size of the images that they are. */
static int note_image_size(result_texts *texts, const nft_model *model)
{
    int64_t height = 0, width = 0;
    int failed = read_decoder(model, &height, &width);
    snprintf(texts->size, sizeof texts->size, "%" PRId64 " %" PRId64, height, width);
    texts->image_texts[0] = IMAGE_SIZE_KEY;
    texts->image_texts[1] = texts->size;
    return failed;
}

/* Vectors and tokens of all ranks, which rank 0 writes. */
static int run_shared(const cli_run *given, cli_output *output)
{
    cli_predicted predicted = {.count = given->input->count};
    cli_run run = *given;
    run.take = keep_predictions;
    run.user = &predicted;
    int failed = run_model(&run);
    if (!failed)
        failed = share_predictions(&run, &predicted);
    if (!failed && !run.ranks->rank)
        failed = write_predictions(output, &predicted);
    free(predicted.values);
    return failed;
}

/* Features go to the file batch by batch. All that is written at once is a single batch, of rank 0. */
static int run_to_writer(cli_run *run, cli_ranks *ranks)
{
    if (ranks->count == 1 || (run->at_once && !ranks->rank))
        return run_model(run);
    if (run->at_once)
        return EXIT_SUCCESS;
    run->ranks = ranks;
    run->receive = receive_features;
    if (ranks->rank)
        run->take = send_features;
    return run_model(run);
}

static int run_to_file(const nft_model *model, cli_input *input, const cli_options *given, cli_ranks *ranks)
{
    result_texts texts = {0};
    cli_output output = {.path = option_text(given, "output"), .input = input};
    cli_run run = {.model = model, .input = input, .given = given, .take = write_results, .user = &output};
    run.decode = option_text(given, "decode") != NULL;
    bool features = nft_model_describe(model)->output->output == NFT_VALUE_FEATURES;
    run.at_once = features && is_written_in_place(output.path);
    int failed = run.decode ? note_image_size(&texts, model) : EXIT_SUCCESS;
    if (!failed && features && input->space)
        failed = note_networks(&texts, model, input);
    output.metadata = run.decode ? texts.image_texts : texts.list;
    if (!failed && !features && ranks->count > 1) {
        run.ranks = ranks;
        failed = run_shared(&run, &output);
    } else if (!failed) {
        failed = run_to_writer(&run, ranks);
    }
    if (!failed && !ranks->rank)
        failed = complete_output(&output);
    if (!failed && !ranks->rank)
        failed = describe(given, &output);
    close_output(&output);
    free(texts.list);
    nft_weights_free(texts.holder);
    return failed;
}

static int64_t count_non_finite(const cli_predicted *predicted, int64_t *first)
{
    int64_t found = 0;
    for (int64_t n = 0; n < predicted->count; n++)
        if (!all_finite(predicted->values + n * predicted->row, predicted->row) && !found++)
            *first = n;
    return found;
}

static int describe_text(const cli_options *given, const cli_input *input, const cli_predicted *predicted)
{
    const char *path = option_text(given, "output");
    char networks[TEXT_CAPACITY];
    int64_t first = 0, bad = count_non_finite(predicted, &first);
    if (bad)
        warn_not_finite(given, input, bad, first);
    if (!path)
        return EXIT_SUCCESS;
    if (given->json)
        return print_json(
            json_pack("{s:o,s:I}", "output", json_text(path), "networks", (json_int_t)predicted->count));
    say("%s: predictions of %s", path, text_plural(networks, predicted->count, "network"));
    return EXIT_SUCCESS;
}

static int run_to_text(const nft_model *model, cli_input *input, const cli_options *given,
                       prediction_format format, cli_ranks *ranks)
{
    cli_predicted predicted = {.count = input->count};
    cli_run run = {.model = model,
                   .input = input,
                   .given = given,
                   .decode = option_text(given, "decode") != NULL,
                   .take = keep_predictions,
                   .user = &predicted,
                   .ranks = ranks->count > 1 ? ranks : NULL};
    int failed = run_model(&run);
    if (!failed && run.ranks)
        failed = share_predictions(&run, &predicted);
    if (!failed && !ranks->rank)
        failed = save_prediction_text(option_text(given, "output"), format, model, input, &predicted);
    if (!failed && !ranks->rank)
        failed = describe_text(given, input, &predicted);
    free(predicted.values);
    return failed;
}

typedef struct job {
    cli_options own; /* ranks other than 0 say nothing */
    cli_ranks ranks;
    nft_model *model;
    cli_input input;
    prediction_format format;
} job;

/* Whatever can be wrong is found before the model runs. */
static int prepare(void *argument)
{
    job *j = argument;
    const cli_options *given = &j->own;
    bool decode = option_text(given, "decode") != NULL;
    int failed = choose_prediction_format(&j->format, given, option_text(given, "output"));
    if (!failed)
        failed = check_outputs(given);
    if (!failed)
        failed = load_model(&j->model, given->operands[0], given);
    if (!failed && j->format != FORMAT_SAFETENSORS)
        failed = check_prediction_output(j->model, given->operands[0]);
    if (!failed && decode && !nft_model_describe(j->model)->has_decoder)
        failed = fail("%s: the model has no decoder, --decode is for one that has", given->operands[0]);
    if (!failed)
        failed = open_input(&j->input, j->model, given->operands[1], given);
    if (!failed)
        failed = check_frequency(j->model, &j->input, given);
    return failed ? failed : check_contract(&j->input, j->model, given);
}

static int forward(void *argument)
{
    job *j = argument;
    return j->format == FORMAT_SAFETENSORS ? run_to_file(j->model, &j->input, &j->own, &j->ranks)
                                           : run_to_text(j->model, &j->input, &j->own, j->format, &j->ranks);
}

static int run(const cli_options *given)
{
    job j = {.own = *given, .format = FORMAT_TABLE};
    bool together;
    int failed = ranks_share(&j.ranks, &j.own, prepare, forward, &j, &together);
    close_input(&j.input);
    nft_model_free(j.model);
    ranks_close(&j.ranks, together);
    return failed;
}

static const cli_option own_options[] = {
    {"output", 'o', OPTION_RESULT, "OUT", "file to write, replaced if it exists; - is standard output", 0, 0,
     NULL},
    {"format", 0, OPTION_CHOICE, "NAME",
     "table, csv, json, jsonl or safetensors (default: by the ending of OUT)", 0, 0, prediction_formats},
    {"decode", 0, OPTION_FLAG, NULL, "of a model with a decoder: its images as vectors, not the latents", 0,
     0, NULL},
    PREPARE_OPTION,
    ANY_FIT_OPTION,
    PRECISION_OPTION,
    LAYERS_OPTION,
    {0},
};

const cli_command forward_command = {
    .name = "forward",
    .operands = "MODEL WEIGHTS [-o OUT]",
    .summary = "run a model on the weights of networks",
    .description =
        "Runs a model on every network of WEIGHTS and prints its predictions as a table. With -o it writes\n"
        "them to OUT: CSV, JSON, JSON lines or a table where OUT ends in .csv, .json, .jsonl or .txt,\n"
        "else safetensors, which also holds tokens and features.\n\n"
        "MODEL is a model file, or a configuration or recipe (.json), freshly initialised from --seed.\n"
        "WEIGHTS holds the weights of one network (a PyTorch state_dict), of N networks stacked along\n"
        "a leading axis, or features; or is an index of such files; for a model on tokens it holds the\n"
        "tensor 'output' (N, tokens, channels).\n"
        "Of a model that was trained with cross_entropy, a table has the most probable class, by its name\n"
        "if the training set had names, and its probability. CSV and JSON have all probabilities.\n"
        "A file of safetensors gets 'output', tokens (N, M, D) or a vector (N, F), or for a model that gives "
        "features\n"
        "'0.weight', '0.bias', …, (N, C, …). Other tensors of WEIGHTS with a leading N, labels for\n"
        "example, are carried along.",
    .least_operands = 2,
    .most_operands = 2,
    .reads_data = true,
    .options = own_options,
    .run = run,
};
