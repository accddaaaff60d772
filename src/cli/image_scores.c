#include "image_scores.h"

#include "metrics.h"
#include "nft/inr.h"
#include "omega.h"
#include "report.h"
#include "results.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int check_decoder(image_scores *task)
{
    if (!nft_model_describe(task->model)->has_decoder)
        return fail("%s: the model has no decoder, loss reconstruction is for one that has",
                    task->given->operands[0]);
    int failed = read_decoder(task->model, &task->height, &task->width);
    return failed ? failed : omega_of_decoder(&task->omega, task->model);
}

static int check_features(const image_scores *task)
{
    const nft_module_info *info = nft_model_describe(task->model)->output;
    const char *path = task->given->operands[0];
    if (info->output != NFT_VALUE_FEATURES)
        return fail("%s: the model gives %s, loss render needs features, the weights of SIRENs", path,
                    nft_model_describe(task->model)->has_decoder ? "images"
                    : info->output == NFT_VALUE_TOKENS           ? "tokens"
                                                                 : "a vector");
    return EXIT_SUCCESS;
}

/* Nothing is rendered, but the space and the frequency are checked. */
static int check_sirens(image_scores *task)
{
    const nft_space *space = nft_model_describe(task->model)->space;
    char text[OMEGA_CAPACITY];
    nft_layer last = {.size = sizeof last};
    nft_weights *none = NULL;
    nft_array *nothing = NULL;
    if (nft_space_layer(&last, space, nft_space_describe(space)->layer_count - 1) ||
        nft_weights_create(&none, space, 0, 1, NULL))
        return fail_library();
    nft_status status = nft_weights_set_metadata(none, OMEGA_KEY, write_omega(text, &task->omega, 17));
    if (!status)
        status = nft_inr_render(&nothing, none, 0, 0, 1, 1, &task->options);
    nft_array_free(nothing);
    nft_weights_free(none);
    task->colours = last.out;
    return status ? fail("%s: %s", task->given->operands[0], library_message()) : EXIT_SUCCESS;
}

/* --omega, or ω of the model's training, which the model's output has in its metadata. */
static int choose_rendering(image_scores *task)
{
    const char *said = nft_model_metadata(task->model, OMEGA_KEY);
    task->replaces_omega = option_text(task->given, "omega") != NULL;
    task->omega = task->replaces_omega ? given_omega(task->given) : plain_omega(DEFAULT_OMEGA);
    return said && !task->replaces_omega ? parse_omega(&task->omega, task->given->operands[0], said)
                                         : EXIT_SUCCESS;
}

int image_scores_begin(image_scores *task, loss_kind kind, const nft_model *model, const cli_options *given)
{
    *task = (image_scores){.kind = kind, .given = given, .model = model};
    task->options = (nft_inr_render_options)NFT_INR_RENDER_OPTIONS_INIT;
    task->options.threads = given->threads;
    int failed = kind == LOSS_RENDER ? choose_rendering(task) : EXIT_SUCCESS;
    if (failed)
        return failed;
    failed = kind == LOSS_RECONSTRUCTION ? check_decoder(task) : check_features(task);
    return failed ? failed : check_sirens(task);
}

/* Of a batch that was read: every number of `target` counts. */
static int check_finite(const image_scores *task, const nft_array *targets, int64_t first)
{
    int64_t count = nft_array_size(targets, 0), numbers = nft_array_count(targets) / count;
    for (int64_t n = 0; n < count; n++)
        if (!all_finite(nft_array_f32(targets) + n * numbers, numbers))
            return fail("%s: image %" PRId64 " of 'target' is not finite", task->input->path, first + n);
    return EXIT_SUCCESS;
}

static int check_targets(const image_scores *task, const nft_array *targets)
{
    const char *path = task->input->path;
    if (nft_array_rank(targets) != 4 || !nft_array_count(targets))
        return fail("%s: 'target' is no images (N, height, width, colours)", path);
    if (nft_array_size(targets, 3) != task->colours)
        return fail("%s: 'target' has %" PRId64 " colours, but the networks have %" PRId64 " outputs", path,
                    nft_array_size(targets, 3), task->colours);
    if (!nft_array_f32(targets))
        return fail("%s: 'target' holds integers, expected floats in -1 … 1", path);
    return EXIT_SUCCESS;
}

int image_scores_set_data(image_scores *task, cli_input *input)
{
    nft_array *targets = NULL;
    task->input = input;
    if (task->kind == LOSS_RECONSTRUCTION) {
        if (!nft_dataset_metadata(input->dataset, 0, OMEGA_KEY)) /* else they have their own */
            write_omega(input->omega, &task->omega, 17);
        return EXIT_SUCCESS;
    }
    int failed = check_omega(input->path, input->dataset, &task->omega, "the loss renders with");
    if (failed)
        return failed;
    if (!has_extra(input, "target"))
        return fail("%s: no tensor 'target' with %" PRId64 " images: nothing to compare with", input->path,
                    input->count);
    failed = read_extra(&targets, input, "target", 0, 1);
    if (!failed)
        failed = check_targets(task, targets);
    task->height = nft_array_size(targets, 1);
    task->width = nft_array_size(targets, 2);
    nft_array_free(targets);
    return failed;
}

/* The same networks in place, with the frequency of the task. */
static nft_status replace_omega(nft_weights **replaced, const nft_weights *sirens, const image_scores *task)
{
    char text[OMEGA_CAPACITY];
    int64_t tensors = nft_space_describe(nft_weights_space(sirens))->tensor_count;
    const float **data = malloc((size_t)tensors * sizeof *data + 1);
    if (!data)
        return NFT_ERROR_MEMORY;
    for (int64_t t = 0; t < tensors; t++)
        data[t] = nft_weights_data(sirens, t);
    nft_status status = nft_weights_borrow(replaced, nft_weights_space(sirens), nft_weights_count(sirens),
                                           nft_weights_channels(sirens), data);
    free(data);
    if (!status)
        status = nft_weights_set_metadata(*replaced, OMEGA_KEY, write_omega(text, &task->omega, 17));
    return status ? status
                  : nft_weights_set_metadata(*replaced, OFFSET_KEY, nft_weights_metadata(sirens, OFFSET_KEY));
}

/* A results_taker. */
static int add_batch(void *user, const nft_context *context, int64_t first, int64_t count)
{
    image_scores *task = user;
    int64_t numbers = task->height * task->width * task->colours;
    bool render = task->kind == LOSS_RENDER;
    nft_array *rendered = NULL, *targets = NULL;
    nft_weights *replaced = NULL;
    int failed = render ? read_extra(&targets, task->input, "target", first, count) : EXIT_SUCCESS;
    if (!failed && render)
        failed = check_finite(task, targets, first);
    const nft_weights *sirens =
        render ? nft_context_output(context, NFT_OUTPUT)->weights : task->input->weights;
    if (!failed && task->replaces_omega && replace_omega(&replaced, sirens, task))
        failed = fail_library();
    if (!failed && nft_inr_render(&rendered, replaced ? replaced : sirens, 0, count, task->height,
                                  task->width, &task->options))
        failed = fail("%s: %s", task->given->operands[1], library_message());
    const float *others =
        render ? nft_array_f32(targets) : nft_array_f32(nft_context_output(context, NFT_OUTPUT)->array);
    for (int64_t n = 0; n < count && !failed; n++)
        task->losses[first + n] =
            metrics_mse(nft_array_f32(rendered) + n * numbers, others + n * numbers, numbers);
    nft_array_free(targets);
    nft_array_free(rendered);
    nft_weights_free(replaced);
    return failed;
}

/* Sums in the order of the networks do not depend on the number of ranks. */
static int average(cli_scores *scores, image_scores *task)
{
    double loss_sum = 0, psnr_sum = 0;
    for (int64_t n = 0; n < task->input->count; n++) {
        if (!isfinite(task->losses[n]))
            continue;
        loss_sum += task->losses[n];
        psnr_sum += metrics_psnr(task->losses[n]);
        task->finite++;
    }
    if (!task->finite)
        return fail("%s: no network has images that are finite", task->input->path);
    *scores = scores_of_images(task->kind, loss_sum / (double)task->finite, psnr_sum / (double)task->finite);
    return EXIT_SUCCESS;
}

/* The losses and counts of all ranks: each has zeros for the networks of the others. */
static int gather(image_scores *task, cli_ranks *ranks)
{
    double bad = (double)task->bad_inputs;
    if (ranks->count > 1 && (ranks_reduce(&bad, 1, NULL, 0, ranks) ||
                             ranks_reduce(task->losses, task->input->count, NULL, 0, ranks)))
        return fail("the ranks cannot reach each other");
    task->bad_inputs = (int64_t)bad;
    return EXIT_SUCCESS;
}

int image_scores_compute(cli_scores *scores, image_scores *task, cli_ranks *ranks)
{
    cli_run run = {.model = task->model,
                   .input = task->input,
                   .given = task->given,
                   .decode = true,
                   .take = add_batch,
                   .user = task,
                   .ranks = ranks};
    task->losses = calloc((size_t)task->input->count, sizeof *task->losses);
    int failed = task->losses ? run_model(&run) : fail_memory();
    task->bad_inputs = run.bad_inputs;
    if (!failed)
        failed = gather(task, ranks);
    if (!failed && !ranks->rank)
        failed = average(scores, task);
    free(task->losses);
    task->losses = NULL;
    return failed;
}
