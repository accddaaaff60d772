#include "image_scores.h"

#include "metrics.h"
#include "omega.h"
#include "progress.h"
#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_BATCH 32

static int check_decoder(image_scores *task)
{
    if (!nft_model_has_decoder(task->model))
        return fail("%s: the model has no decoder, loss reconstruction is for one that has",
                    task->given->operands[0]);
    return read_decoder(task->model, &task->height, &task->width, &task->options.omega);
}

static int check_features(const image_scores *task)
{
    nft_module_info info = NFT_MODULE_INFO_INIT;
    const char *path = task->given->operands[0];
    if (nft_model_output(&info, task->model))
        return fail_library();
    if (info.output != NFT_VALUE_FEATURES)
        return fail("%s: the model gives %s, loss render needs features of 1 channel, the weights of SIRENs",
                    path,
                    nft_model_has_decoder(task->model) ? "images"
                    : info.output == NFT_VALUE_TOKENS  ? "tokens"
                                                       : "a vector");
    if (info.channels != 1)
        return fail("%s: the model gives features of %" PRId64
                    " channels, loss render needs 1, the weights of SIRENs",
                    path, info.channels);
    return EXIT_SUCCESS;
}

/* Nothing is rendered, but the space and the frequency are checked. */
static int check_sirens(image_scores *task)
{
    const nft_space *space = nft_model_space(task->model);
    nft_layer last = {.size = sizeof last};
    nft_weights *none = NULL;
    nft_array *nothing = NULL;
    if (nft_space_layer(&last, space, nft_space_layer_count(space) - 1) ||
        nft_weights_create(&none, space, 0, 1))
        return fail_library();
    nft_status status = nft_inr_render(&nothing, none, 0, 0, 1, 1, &task->options);
    nft_array_free(nothing);
    nft_weights_free(none);
    task->colours = last.out;
    return status ? fail("%s: %s", task->given->operands[0], library_message()) : EXIT_SUCCESS;
}

/* --omega, or what the model was trained with. */
static int choose_rendering(double *omega, const nft_model *model, const cli_options *given)
{
    const char *said = nft_model_metadata(model, OMEGA_KEY);
    *omega = option_text(given, "omega") ? option_value(given, "omega")->number : DEFAULT_OMEGA;
    return said && !option_text(given, "omega") ? parse_omega(omega, given->operands[0], said) : EXIT_SUCCESS;
}

int image_scores_begin(image_scores *task, loss_kind kind, const nft_model *model, const cli_options *given)
{
    *task = (image_scores){.kind = kind, .given = given, .model = model};
    task->options = (nft_inr_render_options)NFT_INR_RENDER_OPTIONS_INIT;
    task->options.threads = given->threads;
    int failed = kind == LOSS_RENDER ? choose_rendering(&task->options.omega, model, given) : EXIT_SUCCESS;
    if (failed)
        return failed;
    failed = kind == LOSS_RECONSTRUCTION ? check_decoder(task) : check_features(task);
    return failed ? failed : check_sirens(task);
}

static int check_targets(const image_scores *task, const nft_array *targets)
{
    const char *path = task->given->operands[1];
    int64_t numbers = nft_array_count(targets) / task->input->count;
    if (nft_array_rank(targets) != 4 || !numbers)
        return fail("%s: 'target' is no images (N, height, width, colours)", path);
    if (nft_array_size(targets, 3) != task->colours)
        return fail("%s: 'target' has %" PRId64 " colours, but the networks have %" PRId64 " outputs", path,
                    nft_array_size(targets, 3), task->colours);
    if (!nft_array_f32(targets))
        return fail("%s: 'target' holds integers, expected floats in -1 … 1", path);
    for (int64_t n = 0; n < task->input->count; n++)
        if (!all_finite(nft_array_f32(targets) + n * numbers, numbers))
            return fail("%s: image %" PRId64 " of 'target' is not finite", path, n);
    return EXIT_SUCCESS;
}

int image_scores_set_data(image_scores *task, const cli_input *input)
{
    const char *path = task->given->operands[1];
    task->input = input;
    int failed = check_omega(path, task->options.omega, "the loss renders with");
    if (failed)
        return failed;
    if (task->kind == LOSS_RECONSTRUCTION)
        return EXIT_SUCCESS;
    const nft_array *targets = input_extra(input, "target");
    if (!targets)
        return fail("%s: no tensor 'target' with %" PRId64 " images: nothing to compare with", path,
                    input->count);
    failed = check_targets(task, targets);
    task->targets = nft_array_f32(targets);
    task->height = nft_array_size(targets, 1);
    task->width = nft_array_size(targets, 2);
    return failed;
}

static void add_image(image_scores *task, const float *image, const float *other)
{
    int64_t numbers = task->height * task->width * task->colours;
    double loss = metrics_mse(image, other, numbers);
    if (!isfinite(loss))
        return;
    task->loss_sum += loss;
    task->psnr_sum += metrics_psnr(loss);
    task->finite++;
}

/* The context holds what the model gave for `count` networks. */
static nft_status add_piece(image_scores *task, const nft_context *context, int64_t first, int64_t count)
{
    int64_t numbers = task->height * task->width * task->colours;
    bool render = task->kind == LOSS_RENDER;
    nft_array *rendered = NULL;
    nft_status status =
        nft_inr_render(&rendered, render ? nft_context_output_weights(context) : task->input->weights,
                       render ? 0 : first, count, task->height, task->width, &task->options);
    const float *others =
        render ? task->targets + first * numbers : nft_array_f32(nft_context_output(context));
    for (int64_t n = 0; n < count && !status; n++)
        add_image(task, nft_array_f32(rendered) + n * numbers, others + n * numbers);
    nft_array_free(rendered);
    return status;
}

static nft_status run_pieces(image_scores *task, nft_context *context, int64_t batch, cli_progress *progress)
{
    nft_status status = NFT_OK;
    for (int64_t first = 0; !status && first < task->input->count; first += batch) {
        int64_t count = task->input->count - first < batch ? task->input->count - first : batch;
        progress->base = first;
        status = nft_forward_range(context, task->input->weights, first, count);
        if (!status)
            status = add_piece(task, context, first, count);
        progress_show(progress, first + count);
    }
    return status;
}

int image_scores_compute(cli_scores *scores, image_scores *task)
{
    const cli_options *given = task->given;
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    cli_progress progress;
    options.threads = given->threads;
    options.precision = given_precision(given);
    options.max_batch = given->batch_size ? given->batch_size : DEFAULT_BATCH;
    options.max_batch = task->input->count < options.max_batch ? task->input->count : options.max_batch;
    if (nft_context_create(&context, task->model, &options))
        return fail_library();
    progress_start(&progress, given, given->command->name, "networks", task->input->count);
    nft_context_set_progress(context, progress_callback, &progress);
    nft_status status = run_pieces(task, context, options.max_batch, &progress);
    progress_end(&progress);
    nft_context_free(context);
    if (status)
        return fail("%s: %s", given->operands[1], library_message());
    if (!task->finite)
        return fail("%s: no network has images that are finite", given->operands[1]);
    *scores = scores_of_images(task->kind, task->loss_sum / (double)task->finite,
                               task->psnr_sum / (double)task->finite);
    return EXIT_SUCCESS;
}
