#include "input.h"

#include "metrics.h"
#include "nft/file.h"
#include "nft/inr.h"
#include "nft/train.h"
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_NUMBERS (INT64_C(1) << 22)

/* The tensor of a file of tokens. */
static int check_tokens(const nft_file *file, const char *path)
{
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    int64_t i = 0;
    while (i < nft_file_tensor_count(file) &&
           (nft_file_tensor(&info, file, i) || strcmp(info.name, "output") != 0))
        i++;
    if (i == nft_file_tensor_count(file))
        return fail("%s: no tensor 'output': the model takes tokens (N, tokens, channels), as 'nftool "
                    "forward' writes them",
                    path);
    if (info.rank != 3)
        return fail("%s: tensor 'output' has %" PRId64 " axes, expected 3: (N, tokens, channels)", path,
                    info.rank);
    if (strchr("IUB", info.type[0]) && strcmp(info.type, "BF16") != 0)
        return fail("%s: tensor 'output' holds integers, expected floats", path);
    if (info.shape[0] && !info.count)
        return fail("%s: tensor 'output' is %" PRId64 " samples of no numbers, expected at least one", path,
                    info.shape[0]);
    return EXIT_SUCCESS;
}

static int check_file_of_tokens(const char *path, const cli_options *given)
{
    nft_file *file = NULL;
    int failed = refuse_layers(given, path, "a file of tokens to this model");
    if (failed)
        return failed;
    if (is_index(path))
        return fail("%s: is an index of networks, the model takes tokens", path);
    if (nft_file_open(&file, path, NULL))
        return fail_library();
    failed = check_tokens(file, path);
    nft_file_free(file);
    return failed;
}

static int describe(cli_input *input, bool takes_tokens)
{
    nft_dataset_part part = NFT_DATASET_PART_INIT;
    input->count = nft_dataset_describe(input->dataset)->count;
    input->space = nft_dataset_describe(input->dataset)->space;
    if (nft_dataset_get_part(&part, input->dataset, 0))
        return fail_library();
    input->channels = part.channels;
    input->tokens = part.tokens;
    if (takes_tokens && !part.tokens)
        return fail("%s: holds networks, the model takes tokens (N, tokens, channels), as 'nftool forward' "
                    "writes them in 'output'",
                    input->path);
    if (!takes_tokens && part.tokens)
        return fail("%s: holds tokens, expected weights: no names end in .weight", input->path);
    return EXIT_SUCCESS;
}

int open_networks(cli_input *input, const char *path, const cli_options *given)
{
    *input = (cli_input){.path = path, .part = -1};
    int failed = open_dataset_for(&input->dataset, path, "weights", NULL, given);
    return failed ? failed : describe(input, false);
}

int open_input(cli_input *input, const nft_model *model, const char *path, const cli_options *given)
{
    *input = (cli_input){.path = path, .part = -1};
    bool takes_tokens = nft_model_describe(model)->input->output == NFT_VALUE_TOKENS;
    int failed = takes_tokens ? check_file_of_tokens(path, given) : EXIT_SUCCESS;
    if (!failed)
        failed = open_dataset_for(&input->dataset, path, "weights", model, given);
    if (!failed)
        failed = describe(input, takes_tokens);
    return failed || input->count ? failed : fail("%s: holds no networks", path);
}

void close_input(cli_input *input)
{
    nft_array_free(input->batch);
    nft_weights_free(input->weights);
    nft_dataset_free(input->dataset);
    *input = (cli_input){0};
}

/* The part that has sample `number`, which exists. */
static int64_t find_part(const cli_input *input, int64_t number, nft_dataset_part *part)
{
    int64_t low = 0, high = nft_dataset_describe(input->dataset)->part_count - 1;
    *part = (nft_dataset_part)NFT_DATASET_PART_INIT;
    while (low <= high) {
        int64_t middle = low + (high - low) / 2;
        if (nft_dataset_get_part(part, input->dataset, middle))
            return 0;
        if (number >= part->first && number < part->first + part->count)
            return middle;
        if (number < part->first)
            high = middle - 1;
        else
            low = middle + 1;
    }
    return 0;
}

int64_t count_together(const cli_input *input, int64_t first, int64_t most)
{
    nft_dataset_part part;
    find_part(input, first, &part);
    int64_t left = part.first + part.count - first;
    return left < most ? left : most;
}

int64_t batch_of(const cli_input *input, int64_t first)
{
    nft_dataset_part part;
    find_part(input, first, &part);
    int64_t numbers =
        part.space ? nft_space_describe(part.space)->parameter_count * input->channels : input->channels;
    return BATCH_NUMBERS / (numbers ? numbers : 1) + 1;
}

/* Facts about the networks from outside the metadata of their file. */
static int note_form(cli_input *input, int64_t part)
{
    input->from = noted_omega(nft_dataset_metadata(input->dataset, part, OMEGA_KEY));
    input->to = noted_omega(input->omega);
    input->added =
        noted_offset(nft_dataset_metadata(input->dataset, part, OFFSET_KEY)) - noted_offset(input->offset);
    if (!input->from.count)
        input->from = plain_omega(DEFAULT_OMEGA);
    if (input->omega[0] && nft_weights_set_metadata(input->weights, OMEGA_KEY, input->omega))
        return fail_library();
    if (input->offset[0] && nft_weights_set_metadata(input->weights, OFFSET_KEY, input->offset))
        return fail_library();
    if (input->any_fit && nft_weights_set_metadata(input->weights, FIT_KEY, NULL))
        return fail_library();
    return EXIT_SUCCESS;
}

/* Room in input->weights for networks of that part. */
static int reserve(cli_input *input, int64_t part, int64_t count)
{
    if (input->part == part && count <= input->room)
        return EXIT_SUCCESS;
    nft_weights_free(input->weights);
    input->weights = NULL;
    if (nft_dataset_batch(&input->weights, input->dataset, part, count))
        return fail_library();
    input->part = part;
    input->room = count;
    return note_form(input, part);
}

/* sin(ω (W h + v)) is sin(ω' (ω/ω' W h + ω/ω' v)). */
static void scale_frequency(nft_weights *weights, const cli_omega *from, const cli_omega *to)
{
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(weights))->tensor_count - 2; t++) {
        double factor = omega_of_layer(from, t / 2) / omega_of_layer(to, t / 2);
        float *values = nft_weights_edit(weights, t);
        for (int64_t i = 0; i < nft_weights_data_count(weights, t); i++)
            values[i] = (float)(values[i] * factor);
    }
}

/* The output is that of the last layer plus the offset. */
static void shift_output(nft_weights *weights, double added)
{
    int64_t last = nft_space_describe(nft_weights_space(weights))->tensor_count - 1;
    float *biases = nft_weights_edit(weights, last);
    for (int64_t i = 0; i < nft_weights_data_count(weights, last); i++)
        biases[i] = (float)(biases[i] + added);
}

static int read_networks(cli_input *input, int64_t first, int64_t count)
{
    nft_dataset_part part;
    int64_t index = find_part(input, first, &part);
    int failed = reserve(input, index, count);
    if (failed)
        return failed;
    int64_t *numbers = malloc((size_t)count * sizeof *numbers + 1);
    if (!numbers)
        return fail_memory();
    for (int64_t i = 0; i < count; i++)
        numbers[i] = first + i;
    nft_status status = nft_dataset_read(input->weights, input->dataset, numbers, count);
    free(numbers);
    if (!status && input->scale)
        scale_frequency(input->weights, &input->from, &input->to);
    if (!status && input->shift)
        shift_output(input->weights, input->added);
    if (!status && input->canonicalize)
        status = nft_inr_canonicalize(input->weights, 0);
    return status ? fail_library() : EXIT_SUCCESS;
}

int read_input(cli_input *input, int64_t first, int64_t count)
{
    if (!input->tokens)
        return read_networks(input, first, count);
    nft_array_free(input->batch);
    return read_extra(&input->batch, input, "output", first, count);
}

bool has_extra(const cli_input *input, const char *name)
{
    const char *other;
    for (int64_t i = 0; (other = nft_dataset_extra_name(input->dataset, i)); i++)
        if (!strcmp(other, name))
            return true;
    return false;
}

int read_extra(nft_array **array, const cli_input *input, const char *name, int64_t first, int64_t count)
{
    return nft_dataset_read_tensor(array, input->dataset, name, first, count) ? fail_library() : EXIT_SUCCESS;
}

static int64_t count_non_finite_values(const nft_weights *weights, int64_t network)
{
    int64_t count = nft_weights_count(weights), found = 0;
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(weights))->tensor_count; t++) {
        int64_t row = nft_weights_data_count(weights, t) / count;
        const float *values = nft_weights_data(weights, t) + network * row;
        if (all_finite(values, row))
            continue;
        for (int64_t i = 0; i < row; i++)
            found += !all_finite(values + i, 1);
    }
    return found;
}

int64_t count_non_finite_networks(const nft_weights *weights, int64_t count, int64_t *values, int64_t *first)
{
    int64_t networks = 0;
    *values = 0;
    for (int64_t n = 0; n < count; n++) {
        int64_t found = count_non_finite_values(weights, n);
        if (found && !networks++)
            *first = n;
        *values += found;
    }
    return networks;
}

int64_t count_non_finite_inputs(const cli_input *input, int64_t count)
{
    int64_t found = 0, row = input->tokens * input->channels, values, first;
    if (!input->tokens)
        return count_non_finite_networks(input->weights, count, &values, &first);
    for (int64_t n = 0; n < count; n++)
        found += !all_finite(nft_array_f32(input->batch) + n * row, row);
    return found;
}
