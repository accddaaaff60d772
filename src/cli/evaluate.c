/* nftool evaluate: how well a model predicts the labels of a data set, or its images. */
#include "commands.h"
#include "contract.h"
#include "file_names.h"
#include "image_scores.h"
#include "metrics.h"
#include "nft/file.h"
#include "outputs.h"
#include "plot_predictions.h"
#include "predictions.h"
#include "report.h"
#include "results.h"
#include "scores.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TITLE_CAPACITY 512
#define LOSSES "mse, bce, cross_entropy, reconstruction or render"

typedef struct evaluation {
    const cli_options *given; /* as rank 0 sees it: the others say nothing */
    cli_options own;
    cli_ranks ranks;
    loss_kind kind;
    nft_model *model;
    cli_input input;
    cli_predicted predicted;
    nft_array *labels;
    cli_scored kept;
    image_scores images; /* of a loss that compares images */
    cli_scores scores;
    cli_scores *outputs;    /* of each output, if there are several */
    const char *label_name; /* of the tensor that predictions are compared with */
    int64_t bad_inputs, bad_predictions;
} evaluation;

/* --loss, or the loss of the model's training. */
static int choose_loss(loss_kind *kind, const cli_options *given, const nft_model *model)
{
    const char *name = option_text(given, "loss"), *path = given->operands[0];
    if (!name)
        name = nft_model_metadata(model, "nft.loss");
    if (!name)
        return fail("%s: the model does not say its loss: give --loss " LOSSES, path);
    *kind = loss_of(name);
    if (*kind != LOSS_OTHER)
        return EXIT_SUCCESS;
    return fail("%s: the model's loss is '%s', which evaluate does not know: give --loss " LOSSES, path,
                name);
}

/* Options for only some losses. */
static int check_options(const cli_options *given, loss_kind kind)
{
    if (kind != LOSS_RENDER && option_text(given, "omega"))
        return fail("--omega is for loss render, not %s%s", loss_names[kind],
                    kind == LOSS_RECONSTRUCTION ? ", where the decoder's configuration says it" : "");
    if (!loss_has_images(kind))
        return EXIT_SUCCESS;
    if (option_text(given, "predictions"))
        return fail(
            "--predictions is for losses mse, bce and cross_entropy; 'nftool forward' writes the output "
            "of a model of loss %s",
            loss_names[kind]);
    if (option_text(given, "plot"))
        return fail("--plot is for losses mse, bce and cross_entropy; images of loss %s are drawn side by "
                    "side by 'nftool render'",
                    loss_names[kind]);
    return EXIT_SUCCESS;
}

/* The model gives one row of numbers for each network; its length is *width. */
static int check_output(int64_t *width, const nft_model *model, loss_kind kind, const char *path)
{
    const nft_module_info *info = nft_model_describe(model)->output;
    if (info->output == NFT_VALUE_FEATURES)
        return fail("%s: the model gives features, evaluate needs a vector for each network", path);
    if (kind == LOSS_CROSS_ENTROPY && info->output != NFT_VALUE_VECTOR)
        return fail("%s: the model gives tokens, loss cross_entropy needs a vector of logits", path);
    *width = info->channels * (info->output == NFT_VALUE_TOKENS ? info->tokens : 1);
    return *width
               ? EXIT_SUCCESS
               : fail("%s: how many numbers the model gives depends on the space; evaluate needs as many for "
                      "each network",
                      path);
}

static int check_classes(const int64_t *labels, const cli_input *input, int64_t classes)
{
    char file[FILE_NAME_CAPACITY];
    for (int64_t n = 0; n < input->count; n++)
        if ((labels[n] < 0 || labels[n] >= classes) && labels[n] != IGNORED_CLASS && labels[n] != INT64_MIN)
            return fail("%s: label %" PRId64 "%s is %" PRId64 ", expected 0 … %" PRId64
                        " by the model's outputs",
                        input->path, n, file_of_network(file, input, n), labels[n], classes - 1);
    return EXIT_SUCCESS;
}

static int check_targets(const float *labels, const cli_input *input, int64_t width, loss_kind kind)
{
    char file[FILE_NAME_CAPACITY];
    for (int64_t i = 0; i < input->count * width && kind == LOSS_BCE; i++)
        if (labels[i] < 0 || labels[i] > 1)
            return fail("%s: label %" PRId64 "%s is %g, loss bce needs 0 … 1", input->path, i / width,
                        file_of_network(file, input, i / width), (double)labels[i]);
    return EXIT_SUCCESS;
}

/* Without --skip a label that is not finite is an error. */
static int check_finite(const evaluation *e, int64_t width)
{
    const int64_t *classes = nft_array_i64(e->labels);
    char file[FILE_NAME_CAPACITY];
    for (int64_t n = 0; n < e->input.count && !option_text(e->given, "skip"); n++)
        if (classes ? classes[n] == INT64_MIN : !all_finite(nft_array_f32(e->labels) + n * width, width))
            return fail("%s: label %" PRId64 "%s is not finite; --skip leaves such samples out",
                        e->input.path, n, file_of_network(file, &e->input, n));
    return EXIT_SUCCESS;
}

/* A tensor of that name that does not fit the samples. */
static int check_rows(bool *found, const char *name, const cli_input *input)
{
    nft_file *file = NULL;
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    char shape[TEXT_CAPACITY];
    int failed = EXIT_SUCCESS;
    *found = has_extra(input, name);
    if (is_index(input->path) || *found)
        return EXIT_SUCCESS;
    if (nft_file_open(&file, input->path, NULL))
        return fail_library();
    for (int64_t i = 0; !failed && !*found && i < nft_file_tensor_count(file); i++) {
        *found = !nft_file_tensor(&info, file, i) && !strcmp(info.name, name);
        if (*found && !(input->count == 1 && info.count == 1))
            failed =
                fail("%s: '%s' has the shape %s, expected a row for each of %" PRId64 " samples", input->path,
                     name, info.rank ? text_shape(shape, info.shape, info.rank) : "of a single number",
                     input->count);
    }
    nft_file_free(file);
    return failed;
}

/* Tensors that may be meant. */
static int fail_no_labels(const cli_input *input, const char *name)
{
    char list[512] = "";
    const char *other;
    for (int64_t i = 0; (other = nft_dataset_extra_name(input->dataset, i)); i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s'%s'", i ? ", " : "; --label may name ", other);
    }
    return fail("%s: no tensor '%s'%s with %" PRId64 " %s: nothing to compare with%s", input->path, name,
                strcmp(name, "label") ? "" : " (or 'target')", input->count,
                input->count == 1 ? "entry" : "entries", list);
}

/* The tensor of the labels, as in training: --label, or the tensor of the model's training. */
static int find_labels(evaluation *e)
{
    const char *name = option_text(e->given, "label");
    bool found = false;
    if (!name)
        name = nft_model_metadata(e->model, "nft.label");
    e->label_name = name ? name : "label";
    int failed = check_rows(&found, e->label_name, &e->input);
    if (!failed && !found && !name) {
        failed = check_rows(&found, "target", &e->input);
        e->label_name = found ? "target" : "label";
    }
    return failed || found ? failed : fail_no_labels(&e->input, e->label_name);
}

/* The labels are there, in the range that the loss takes, and as many as it needs. */
static int read_labels(evaluation *e, int64_t width)
{
    const char *path = e->input.path;
    bool of_classes = e->kind == LOSS_CROSS_ENTROPY;
    int failed = find_labels(e);
    if (failed)
        return failed;
    if (nft_dataset_read_targets(&e->labels, e->input.dataset, e->label_name, of_classes ? width : 0))
        return fail_library();
    int64_t expected = e->input.count * (of_classes ? 1 : width);
    if (nft_array_count(e->labels) != expected)
        return fail("%s: '%s' has %" PRId64 " numbers, expected %" PRId64
                    " for loss %s and the model's output",
                    path, e->label_name, nft_array_count(e->labels), expected, loss_names[e->kind]);
    failed = of_classes ? check_classes(nft_array_i64(e->labels), &e->input, width)
                        : check_targets(nft_array_f32(e->labels), &e->input, width, e->kind);
    return failed ? failed : check_finite(e, width);
}

static int check_probabilities(const cli_predicted *output, const cli_input *input, const char *path)
{
    char file[FILE_NAME_CAPACITY];
    for (int64_t i = 0; i < output->count * output->row; i++)
        if (output->values[i] < 0 || output->values[i] > 1)
            return fail("%s: prediction %" PRId64
                        "%s is %g, loss bce needs probabilities 0 … 1: does the model end in a "
                        "sigmoid?",
                        path, i / output->row, file_of_network(file, input, i / output->row),
                        (double)output->values[i]);
    return EXIT_SUCCESS;
}

static int score_outputs(evaluation *e, const cli_predictions *predictions)
{
    if (e->kind == LOSS_CROSS_ENTROPY || predictions->width < 2)
        return EXIT_SUCCESS;
    e->outputs = malloc((size_t)predictions->width * sizeof *e->outputs);
    return e->outputs ? scores_of_outputs(e->outputs, predictions) : fail_memory();
}

static int evaluate(evaluation *e)
{
    const cli_predicted *output = &e->predicted;
    const char *path = e->given->operands[0];
    int failed = e->kind == LOSS_BCE ? check_probabilities(output, &e->input, path) : EXIT_SUCCESS;
    if (!failed)
        failed = select_scored(&e->kept, output->values, output->count, output->row, e->labels);
    if (!failed && !e->kept.rows)
        failed = e->kept.bad_predictions ? fail("%s: no prediction is finite", path)
                                         : fail("%s: no label can be compared with", e->input.path);
    cli_predictions predictions = predictions_of(&e->kept);
    if (!failed)
        failed = scores_compute(&e->scores, e->kind, &predictions);
    if (!failed)
        failed = score_outputs(e, &predictions);
    e->bad_predictions = e->kept.bad_predictions;
    return failed;
}

static int evaluate_images(evaluation *e)
{
    int failed = image_scores_compute(&e->scores, &e->images, &e->ranks);
    e->bad_inputs = e->images.bad_inputs;
    e->bad_predictions = e->input.count - e->images.finite;
    return failed;
}

static int print_as_json(const evaluation *e)
{
    json_t *object = json_object();
    json_object_set_new(object, "loss", json_number(e->scores.loss));
    scores_to_json(object, &e->scores);
    json_t *outputs = e->outputs ? json_array() : NULL;
    for (int64_t i = 0; outputs && i < e->kept.width; i++) {
        json_t *output = json_object();
        scores_to_json(output, &e->outputs[i]);
        json_array_append_new(outputs, output);
    }
    if (outputs)
        json_object_set_new(object, "outputs", outputs);
    if (e->kept.ignored)
        json_object_set_new(object, "ignored_labels", json_integer(e->kept.ignored));
    if (e->kept.bad_labels)
        json_object_set_new(object, "non_finite_labels", json_integer(e->kept.bad_labels));
    if (e->bad_inputs)
        json_object_set_new(object, "non_finite_inputs", json_integer(e->bad_inputs));
    if (e->bad_predictions)
        json_object_set_new(object, "non_finite_predictions", json_integer(e->bad_predictions));
    return print_json(object);
}

static void print_number(const char *name, double value, const char *undefined)
{
    if (isnan(value))
        printf("%s  undefined: %s\n", name, undefined);
    else
        printf("%s  %.4f\n", name, value);
}

static void print_numbers(const cli_scores *scores)
{
    print_number("tau     ", scores->tau, "all predictions or all labels are equal");
    print_number("R²      ", scores->r2, "all labels are equal");
    printf("mae       %.4f\n", scores->mean_absolute_error);
}

/* The numbers above are the means of those of several outputs. */
static void print_outputs(const evaluation *e)
{
    for (int64_t i = 0; e->outputs && i < e->kept.width; i++)
        printf("output %-2" PRId64 " tau %.4f, R² %.4f, mae %.4f\n", i, e->outputs[i].tau, e->outputs[i].r2,
               e->outputs[i].mean_absolute_error);
}

static void print_for_people(const evaluation *e)
{
    char count[TEXT_CAPACITY];
    printf("networks  %s\n", text_count(count, e->input.count));
    printf("loss      %.6g (%s)\n", e->scores.loss, loss_names[e->kind]);
    if (e->kind == LOSS_CROSS_ENTROPY) {
        printf("accuracy  %.4f\n", e->scores.accuracy);
    } else if (loss_has_images(e->kind)) {
        printf("psnr      %.2f dB, the mean of the images'\n", e->scores.psnr);
    } else {
        print_numbers(&e->scores);
        print_outputs(e);
    }
    if (e->kept.ignored)
        printf("ignored labels of %s, left out\n", text_plural(count, e->kept.ignored, "network"));
    if (e->kept.bad_labels)
        printf("non-finite labels of %s, left out\n", text_plural(count, e->kept.bad_labels, "network"));
    if (e->bad_inputs)
        printf("non-finite weights in %s\n", text_plural(count, e->bad_inputs, "network"));
    if (e->bad_predictions)
        printf("non-finite predictions for %s, left out of the numbers above\n",
               text_plural(count, e->bad_predictions, "network"));
}

static int report(const evaluation *e)
{
    if (e->given->json)
        return print_as_json(e);
    print_for_people(e);
    return EXIT_SUCCESS;
}

/* Whatever can be wrong is found before the model runs. */
static int prepare(void *argument)
{
    evaluation *e = argument;
    const char *model_path = e->given->operands[0], *data_path = e->given->operands[1];
    int64_t width = 0;
    int failed = check_outputs(e->given);
    if (!failed)
        failed = load_model(&e->model, model_path, e->given);
    if (!failed)
        failed = choose_loss(&e->kind, e->given, e->model);
    if (!failed)
        failed = check_options(e->given, e->kind);
    if (!failed)
        failed = check_safetensors_name(e->given, "predictions", false);
    bool images = loss_has_images(e->kind);
    if (!failed)
        failed = images ? image_scores_begin(&e->images, e->kind, e->model, e->given)
                        : check_output(&width, e->model, e->kind, model_path);
    if (!failed)
        failed = open_input(&e->input, e->model, data_path, e->given);
    if (!failed)
        failed = check_contract(&e->input, e->model, e->given);
    if (failed)
        return failed;
    if (images)
        return image_scores_set_data(&e->images, &e->input);
    return has_other_space(&e->input, e->model) ? EXIT_SUCCESS : read_labels(e, width);
}

static int save_predictions(const evaluation *e, const char *path)
{
    cli_output output = {.path = path, .input = &e->input};
    int failed = write_predictions(&output, &e->predicted);
    if (!failed)
        failed = complete_output(&output);
    close_output(&output);
    return failed;
}

static json_t *class_names(const evaluation *e)
{
    char key[TEXT_CAPACITY] = "nft.classes";
    if (strcmp(e->label_name, "label") != 0)
        snprintf(key, sizeof key, "nft.classes.%s", e->label_name);
    return read_class_names(e->model, nft_dataset_metadata(e->input.dataset, 0, key), e->kept.width);
}

static int write_files(const evaluation *e)
{
    const char *output = option_text(e->given, "predictions"), *plot = option_text(e->given, "plot");
    cli_predictions predictions = predictions_of(&e->kept);
    int failed = output ? save_predictions(e, output) : EXIT_SUCCESS;
    char title[TITLE_CAPACITY];
    snprintf(title, sizeof title, "%.200s on %.200s", text_file_name(e->given->operands[0]),
             text_file_name(e->given->operands[1]));
    if (!plot || failed)
        return failed;
    json_t *names = class_names(e);
    predictions.names = names;
    failed = plot_predictions(plot, title, &predictions, &e->scores);
    json_decref(names);
    return failed;
}

/* Of a loss with labels: all predictions, then how good they are. */
static int predict_and_evaluate(evaluation *e)
{
    e->predicted.count = e->input.count;
    cli_run run = {.model = e->model,
                   .input = &e->input,
                   .given = e->given,
                   .decode = true,
                   .take = keep_predictions,
                   .user = &e->predicted,
                   .ranks = &e->ranks};
    int failed = run_model(&run);
    if (!failed)
        failed = share_predictions(&run, &e->predicted);
    e->bad_inputs = run.bad_inputs;
    if (failed || e->ranks.rank)
        return failed;
    failed = evaluate(e);
    return failed ? failed : write_files(e);
}

static int compute(void *argument)
{
    evaluation *e = argument;
    return loss_has_images(e->kind) ? evaluate_images(e) : predict_and_evaluate(e);
}

static int run(const cli_options *given)
{
    evaluation e = {.own = *given};
    bool together;
    e.given = &e.own;
    int failed = ranks_share(&e.ranks, &e.own, prepare, compute, &e, &together);
    if (!failed && !e.ranks.rank)
        failed = report(&e);
    free_scored(&e.kept);
    free(e.outputs);
    free(e.predicted.values);
    nft_array_free(e.labels);
    close_input(&e.input);
    nft_model_free(e.model);
    ranks_close(&e.ranks, together);
    return failed;
}

static const cli_option own_options[] = {
    {"loss", 0, OPTION_CHOICE, "NAME", LOSSES " (default: the model's)", 0, 0, loss_names},
    OMEGA_OPTION("of loss render: the model's, or 30"),
    {"predictions", 0, OPTION_OUTPUT, "FILE", "also write the model's output there, as 'nftool forward' does",
     0, 0, NULL},
    {"plot", 0, OPTION_OUTPUT, "FILE", "draw predictions against labels, or the confusion matrix (SVG, PNG)",
     0, 0, NULL},
    {"label", 0, OPTION_TEXT, "NAME", "tensor with the labels (default: the model's, label, or target)", 0, 0,
     NULL},
    {"skip", 0, OPTION_FLAG, NULL, "leave out samples whose label is not finite", 0, 0, NULL},
    PREPARE_OPTION,
    ANY_FIT_OPTION,
    PRECISION_OPTION,
    LAYERS_OPTION,
    {0},
};

const cli_command evaluate_command = {
    .name = "evaluate",
    .operands = "MODEL DATA",
    .summary = "compare a model's predictions with the labels of a data set, or its images",
    .description =
        "Runs a model on every network of DATA and compares its output with the tensor 'label' of\n"
        "DATA, or else 'target'.\n"
        "Networks whose predictions are not finite are counted and left out.\n\n"
        "--loss cross_entropy takes logits and classes, whole numbers or one-hot rows: prints loss and\n"
        "accuracy. Samples of the class -100 are left out.\n"
        "--loss mse and bce (of probabilities) take numbers: print loss, Kendall's tau-b, R² and the mean\n"
        "absolute error. For several outputs they print these for each output, and their means.\n"
        "--loss reconstruction is for a model with a decoder. It compares the decoded image with the\n"
        "rendering of the input SIREN. --loss render is for a model that gives weights of SIRENs. It\n"
        "compares their renderings with 'target' (N, height, width, colours), -1 … 1. Both print loss and\n"
        "PSNR, the mean over the images, as 'nftool fit' does.\n"
        "--plot draws a point for each network, predicted against actual. For cross_entropy it draws the\n"
        "number of networks of each class that got each class, coloured by their share of the class.",
    .least_operands = 2,
    .most_operands = 2,
    .reads_data = true,
    .options = own_options,
    .run = run,
};
