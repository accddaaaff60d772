#define _POSIX_C_SOURCE 200809L
#include "results.h"

#include "metrics.h"
#include "nft/file.h"
#include "nft/train.h"
#include "progress.h"
#include "report.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_BATCH 32
#define PIECE_ROWS 4096 /* rows of the extras, at a time */

/* The library's last message about the batch that was read last, with its file if there are several. */
static int fail_networks(const cli_input *input)
{
    nft_dataset_part part = NFT_DATASET_PART_INIT;
    bool is_one = nft_dataset_describe(input->dataset)->part_count == 1 ||
                  nft_dataset_get_part(&part, input->dataset, input->part);
    return is_one ? fail("%s: %s", input->path, library_message())
                  : fail("%s: %s: %s", input->path, part.path, library_message());
}

static int run_batch(cli_run *run, nft_context *context, int64_t first, int64_t count)
{
    cli_input *input = run->input;
    int failed = read_input(input, first, count);
    if (failed)
        return failed;
    run->bad_inputs += count_non_finite_inputs(input, count);
    nft_status status = input->tokens
                            ? nft_forward(context, NFT_VIEW_ARRAY_RANGE(input->batch, 0, count))
                            : nft_forward(context, NFT_VIEW_WEIGHTS_RANGE(input->weights, 0, count));
    if (status)
        return fail_networks(input);
    return run->take(run->user, context, first, count);
}

/* The samples of a rank. */
static void find_part(const cli_run *run, int rank, int64_t *first, int64_t *end)
{
    int64_t count = run->input->count, ranks = run->ranks ? run->ranks->count : 1;
    int64_t each = count / ranks, more = count % ranks;
    *first = each * rank + (rank < more ? rank : more);
    *end = *first + each + (rank < more);
}

/* Batches of all samples, if the ranks take turns, or else of this rank's part. */
static int run_batches(cli_run *run, nft_context *context, int64_t most)
{
    cli_input *input = run->input;
    cli_progress progress;
    int failed = EXIT_SUCCESS, rank = run->ranks ? run->ranks->rank : 0, turn = 0;
    int turns = run->ranks && run->receive ? run->ranks->count : 1;
    progress_start(&progress, run->given, run->given->command->name, input->tokens ? "samples" : "networks",
                   input->count);
    nft_context_set_progress(context, progress_callback, &progress);
    int64_t first = 0, end = input->count;
    if (!run->receive)
        find_part(run, rank, &first, &end);
    while (first < end && !failed) {
        int64_t count = count_together(input, first, most < end - first ? most : end - first);
        progress.base = first;
        if (!run->receive || turn == rank)
            failed = run_batch(run, context, first, count);
        else if (!rank)
            failed = run->receive(run->user, turn, first, count);
        turn = (turn + 1) % turns;
        first += count;
        progress_show(&progress, first);
    }
    progress_end(&progress);
    return failed;
}

int run_model(cli_run *run)
{
    nft_context *context = NULL;
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    int64_t batch = run->given->batch_size ? run->given->batch_size : DEFAULT_BATCH;
    options.threads = run->given->threads;
    options.precision = given_precision(run->given);
    options.max_batch = run->input->count < batch || run->at_once ? run->input->count : batch;
    options.without_decoder = !run->decode;
    if (nft_context_create(&context, run->model, &options))
        return fail_library();
    int failed = run_batches(run, context, options.max_batch);
    nft_context_free(context);
    return failed;
}

/* The shape of a batch but for the number of samples. */
static int describe_rows(cli_predicted *predicted, const nft_array *output, const char *path)
{
    predicted->rank = nft_array_rank(output);
    predicted->row = 1;
    for (int64_t axis = 0; axis < predicted->rank; axis++) {
        predicted->shape[axis] = axis ? nft_array_size(output, axis) : predicted->count;
        predicted->row *= axis ? predicted->shape[axis] : 1;
    }
    if (predicted->row && predicted->count > INT64_MAX / (int64_t)sizeof(float) / predicted->row)
        return fail("%s: the results are too large", path);
    return EXIT_SUCCESS;
}

int keep_predictions(void *user, const nft_context *context, int64_t first, int64_t count)
{
    cli_predicted *predicted = user;
    const nft_array *output = nft_context_output(context, NFT_OUTPUT)->array;
    if (!output)
        return fail("the model gives features, expected a vector or tokens");
    if (!predicted->values) {
        int failed = describe_rows(predicted, output, "the model's output");
        if (failed)
            return failed;
        predicted->values = calloc((size_t)(predicted->count * predicted->row) + 1, sizeof(float));
        if (!predicted->values)
            return fail_memory();
    }
    if (nft_array_count(output) != count * predicted->row)
        return fail("the model gives %" PRId64 " numbers for network %" PRId64 ", %" PRId64
                    " for those before it: their spaces differ",
                    nft_array_count(output) / count, first, predicted->row);
    memcpy(predicted->values + first * predicted->row, nft_array_f32(output),
           (size_t)(count * predicted->row) * sizeof(float));
    return EXIT_SUCCESS;
}

/* A rank without samples does not know the shape. */
static void agree_on_shape(const cli_ranks *ranks, cli_predicted *predicted)
{
    int64_t least;
    ranks_agree(ranks, predicted->row, &least, &predicted->row);
    ranks_agree(ranks, predicted->rank, &least, &predicted->rank);
    for (int axis = 0; axis < NFT_ARRAY_MAX_RANK; axis++)
        ranks_agree(ranks, predicted->shape[axis], &least, &predicted->shape[axis]);
}

int share_predictions(cli_run *run, cli_predicted *predicted)
{
    double bad = (double)run->bad_inputs;
    if (!run->ranks || run->ranks->count == 1)
        return EXIT_SUCCESS;
    agree_on_shape(run->ranks, predicted);
    if (!predicted->values)
        predicted->values = calloc((size_t)(predicted->count * predicted->row) + 1, sizeof(float));
    if (!predicted->values)
        return fail_memory();
    int failed =
        ranks_reduce(&bad, 1, NULL, 0, run->ranks) ? fail("the ranks cannot reach each other") : EXIT_SUCCESS;
    run->bad_inputs = (int64_t)bad;
    for (int rank = 1; rank < run->ranks->count && !failed; rank++) {
        int64_t first, end, row = predicted->row;
        find_part(run, rank, &first, &end);
        float *values = predicted->values + first * row;
        if (!run->ranks->rank)
            failed = ranks_receive(values, (end - first) * row, rank);
        else if (run->ranks->rank == rank)
            failed = ranks_send(values, (end - first) * row);
    }
    return failed;
}

static int add_extra(cli_output *output, const char *name)
{
    nft_array *row = NULL;
    int failed = read_extra(&row, output->input, name, 0, 1);
    if (failed)
        return failed;
    nft_tensor_info *info = table_add(&output->table, name, nft_array_i64(row) ? "I64" : "F32");
    if (info) {
        info->rank = nft_array_rank(row);
        info->shape[0] = output->input->count;
        for (int64_t axis = 1; axis < info->rank; axis++)
            info->shape[axis] = nft_array_size(row, axis);
    }
    nft_array_free(row);
    return info ? EXIT_SUCCESS : fail_memory();
}

static bool is_result(const cli_output *output, const char *name)
{
    for (int64_t i = 0; i < output->own; i++)
        if (!strcmp(output->table.items[i].name, name))
            return true;
    return false;
}

/* An extra with a name of the results is left out. */
static int add_extras(cli_output *output)
{
    const char *name;
    int failed = EXIT_SUCCESS;
    for (int64_t i = 0; (name = nft_dataset_extra_name(output->input->dataset, i)) && !failed; i++)
        if (!is_result(output, name))
            failed = add_extra(output, name);
    return failed;
}

static int open_writer(cli_output *output)
{
    output->own = output->table.count;
    int failed = add_extras(output);
    if (!failed && nft_file_writer_create(&output->writer, output->path, output->table.items,
                                          output->table.count, output->metadata))
        failed = fail_library();
    return failed;
}

static int begin_array(cli_output *output, const cli_predicted *shape)
{
    nft_tensor_info *info = table_add(&output->table, "output", "F32");
    if (!info)
        return fail_memory();
    info->rank = shape->rank;
    memcpy(info->shape, shape->shape, sizeof info->shape);
    output->row = shape->row;
    return open_writer(output);
}

static int begin_features(cli_output *output, const nft_weights *features)
{
    const int64_t shape[] = {output->input->count, nft_weights_channels(features)};
    if (!output->input->space)
        return fail("%s: has networks of several spaces, and the model gives features; a file holds those of "
                    "one",
                    output->input->path);
    int failed = table_add_networks(&output->table, features, shape, 2);
    return failed ? failed : open_writer(output);
}

/* Batches may come in any order. */
static void note_non_finite(cli_output *output, int64_t found, int64_t first)
{
    if (found && (!output->non_finite || first < output->first_non_finite))
        output->first_non_finite = first;
    output->non_finite += found;
}

static int write_rows(cli_output *output, const float *values, int64_t first, int64_t count)
{
    for (int64_t n = 0; n < count; n++)
        note_non_finite(output, !all_finite(values + n * output->row, output->row), first + n);
    if (nft_file_writer_write(output->writer, 0, first * output->row, values, count * output->row))
        return fail_library();
    return EXIT_SUCCESS;
}

static int write_features(cli_output *output, const nft_weights *features, int64_t first, int64_t count)
{
    int64_t values, first_found = 0;
    int failed = output->writer ? EXIT_SUCCESS : begin_features(output, features);
    if (failed)
        return failed;
    int64_t found = count_non_finite_networks(features, count, &values, &first_found);
    note_non_finite(output, found, first + first_found);
    return nft_weights_write(output->writer, features, first, count) ? fail_library() : EXIT_SUCCESS;
}

int write_results(void *user, const nft_context *context, int64_t first, int64_t count)
{
    cli_output *output = user;
    const nft_weights *features = nft_context_output(context, NFT_OUTPUT)->weights;
    const nft_array *array = nft_context_output(context, NFT_OUTPUT)->array;
    if (features)
        return write_features(output, features, first, count);
    cli_predicted shape = {.count = output->input->count};
    int failed = describe_rows(&shape, array, output->path);
    if (!failed && !output->writer)
        failed = begin_array(output, &shape);
    if (!failed && shape.row != output->row)
        failed = fail("%s: the model gives %" PRId64 " numbers for network %" PRId64 ", %" PRId64
                      " for those before it: their spaces differ",
                      output->input->path, shape.row, first, output->row);
    return failed ? failed : write_rows(output, nft_array_f32(array), first, count);
}

int send_features(void *user, const nft_context *context, int64_t first, int64_t count)
{
    const nft_weights *features = nft_context_output(context, NFT_OUTPUT)->weights;
    int failed = EXIT_SUCCESS;
    (void)user;
    (void)first;
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(features))->tensor_count && !failed; t++) {
        int64_t row = nft_weights_data_count(features, t) / nft_weights_count(features);
        failed = ranks_send(nft_weights_data(features, t), count * row);
    }
    return failed;
}

/* Room for features of another rank. */
static int make_room(cli_output *output, int64_t count)
{
    if (output->received && nft_weights_count(output->received) >= count)
        return EXIT_SUCCESS;
    nft_weights_free(output->received);
    output->received = NULL;
    return nft_weights_create(&output->received, output->input->space, count, output->table.items[0].shape[1],
                              NULL)
               ? fail_library()
               : EXIT_SUCCESS;
}

int receive_features(void *user, int rank, int64_t first, int64_t count)
{
    cli_output *output = user;
    int failed = make_room(output, count);
    for (int64_t t = 0; !failed && t < nft_space_describe(output->input->space)->tensor_count; t++) {
        int64_t row = nft_weights_data_count(output->received, t) / nft_weights_count(output->received);
        failed = ranks_receive(nft_weights_edit(output->received, t), count * row, rank);
    }
    return failed ? failed : write_features(output, output->received, first, count);
}

int write_predictions(cli_output *output, const cli_predicted *predicted)
{
    int failed = begin_array(output, predicted);
    return failed ? failed : write_rows(output, predicted->values, 0, predicted->count);
}

static int write_extra(cli_output *output, int64_t index)
{
    const nft_tensor_info *info = &output->table.items[index];
    int64_t networks = output->input->count, row = 1;
    int failed = EXIT_SUCCESS;
    for (int64_t axis = 1; axis < info->rank; axis++)
        row *= info->shape[axis];
    for (int64_t first = 0; first < networks && row && !failed; first += PIECE_ROWS) {
        int64_t count = networks - first < PIECE_ROWS ? networks - first : PIECE_ROWS;
        nft_array *rows = NULL;
        failed = read_extra(&rows, output->input, info->name, first, count);
        const void *data = failed ? NULL : nft_array_f32(rows);
        if (!failed && !data)
            data = nft_array_i64(rows);
        if (!failed && nft_file_writer_write(output->writer, index, first * row, data, count * row))
            failed = fail_library();
        nft_array_free(rows);
    }
    return failed;
}

int complete_output(cli_output *output)
{
    int failed = EXIT_SUCCESS;
    for (int64_t i = output->own; i < output->table.count && !failed; i++)
        failed = write_extra(output, i);
    if (failed)
        return failed;
    nft_status status = nft_file_writer_commit(output->writer);
    output->writer = NULL;
    return status ? fail_library() : EXIT_SUCCESS;
}

void close_output(cli_output *output)
{
    nft_file_writer_free(output->writer);
    output->writer = NULL;
    nft_weights_free(output->received);
    table_free(&output->table);
}
