/* nftool info of weights and data sets. */
#include "file_names.h"
#include "info.h"
#include "metrics.h"
#include "names.h"
#include "nft/file.h"
#include "nft/train.h"
#include "omega.h"
#include "progress.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static nft_status file_tensor(const void *file, int64_t index, nft_tensor_info *info)
{
    return nft_file_tensor(info, file, index);
}

#define PIECE_NUMBERS (INT64_C(1) << 18)

typedef struct known_names {
    cli_names tensors, extras; /* of the networks, and of the extras */
    bool is_other_form;        /* the file has the networks' tensors under other names, in other shapes */
} known_names;

static bool is_other_form(const known_names *known, const nft_file *file)
{
    for (int64_t i = 0; i < nft_file_tensor_count(file); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (!nft_file_tensor(&info, file, i) && names_find(&known->tensors, info.name) >= 0)
            return false;
    }
    return true;
}

/* Whether a tensor belongs to no network. */
static bool is_beyond(const known_names *known, const char *name)
{
    return names_find(&known->tensors, name) < 0 &&
           (!known->is_other_form || names_find(&known->extras, name) >= 0);
}

/* Facts that need a pass over all numbers. */
typedef struct non_finite {
    int64_t values, networks;
    int64_t others; /* values of tensors that travel with the networks */
} non_finite;

/* Rows first … of a tensor with a row for each network. One that some parts lack is no data's. */
static int64_t count_non_finite_rows(const cli_input *input, const char *name, int64_t first, int64_t count)
{
    nft_array *rows = NULL;
    int64_t found = 0;
    if (nft_dataset_read_tensor(&rows, input->dataset, name, first, count))
        return 0;
    const float *values = nft_array_f32(rows);
    for (int64_t i = 0; values && i < nft_array_count(rows); i++)
        found += !isfinite(values[i]);
    nft_array_free(rows);
    return found;
}

static int count_non_finite(non_finite *found, cli_input *input, const cli_options *given)
{
    int64_t most = given->batch_size ? given->batch_size : 0;
    cli_progress progress;
    int failed = EXIT_SUCCESS;
    *found = (non_finite){0};
    progress_start(&progress, given, "info", "networks", input->count);
    for (int64_t first = 0; first < input->count && !failed;) {
        int64_t count = count_together(input, first, most ? most : batch_of(input, first));
        int64_t values = 0, first_found = 0;
        failed = read_input(input, first, count);
        if (!failed)
            found->networks += count_non_finite_networks(input->weights, count, &values, &first_found);
        found->values += values;
        const char *name;
        for (int64_t i = 0; (name = nft_dataset_extra_name(input->dataset, i)) && !failed; i++)
            found->others += count_non_finite_rows(input, name, first, count);
        first += count;
        progress_show(&progress, first);
    }
    progress_end(&progress);
    return failed;
}

/* Tensors of the file that belong to no network: the extras, or ignored ones. */
static json_t *other_tensors_json(const known_names *known, const nft_file *file, bool extras)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < nft_file_tensor_count(file); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_file_tensor(&info, file, i) || !is_beyond(known, info.name))
            continue;
        if ((names_find(&known->extras, info.name) >= 0) == extras)
            json_array_append_new(list, json_text(info.name));
    }
    return list;
}

/* ω as a number, or as a list with one for each of the first layers, and the offset. */
static void add_form(json_t *object, const nft_file *file)
{
    const cli_omega omega = noted_omega(nft_file_metadata(file, OMEGA_KEY));
    const char *offset = nft_file_metadata(file, OFFSET_KEY);
    json_t *list = json_array();
    for (int i = 0; i < omega.count; i++)
        json_array_append_new(list, json_real(omega.values[i]));
    if (omega.count)
        json_object_set(object, "omega", omega.count == 1 ? json_array_get(list, 0) : list);
    json_decref(list);
    if (offset)
        json_object_set_new(object, "offset", json_text(offset));
}

static int print_as_json(cli_input *input, const known_names *known, const nft_file *file, const char *kind,
                         const cli_options *given)
{
    non_finite found;
    int failed = count_non_finite(&found, input, given);
    if (failed)
        return failed;
    json_t *object = json_object();
    json_object_set_new(object, "kind", json_string(kind));
    json_object_set_new(object, "space", space_json(input->space));
    json_object_set_new(object, "parameters",
                        json_integer(nft_space_describe(input->space)->parameter_count));
    json_object_set_new(object, "networks", json_integer(input->count));
    json_object_set_new(object, "channels", json_integer(input->channels));
    json_object_set_new(object, "non_finite", json_integer(found.values + found.others));
    add_form(object, file);
    json_object_set_new(object, "metadata", metadata_json(file));
    json_object_set_new(object, "extras", other_tensors_json(known, file, true));
    json_object_set_new(object, "ignored", other_tensors_json(known, file, false));
    json_object_set_new(object, "tensors", tensors_json(file, nft_file_tensor_count(file), file_tensor));
    return print_json(object);
}

/* The least and the largest value of an extra tensor: its classes or its range. */
typedef struct value_range {
    bool any;
    double least, most; /* of those that are finite */
    int64_t not_finite;
} value_range;

static void widen_range(value_range *range, const nft_array *array)
{
    const float *numbers = nft_array_f32(array);
    const int64_t *integers = nft_array_i64(array);
    for (int64_t i = 0; i < nft_array_count(array); i++) {
        double value = numbers ? (double)numbers[i] : (double)integers[i];
        if (!isfinite(value)) {
            range->not_finite++;
            continue;
        }
        range->least = !range->any || value < range->least ? value : range->least;
        range->most = !range->any || value > range->most ? value : range->most;
        range->any = true;
    }
}

static nft_status describe_range(char *text, const nft_file *file, const nft_tensor_info *info)
{
    value_range range = {0};
    int64_t row = info->rank && info->shape[0] ? info->count / info->shape[0] : 0;
    int64_t most = row ? PIECE_NUMBERS / row + 1 : 1;
    nft_status status = NFT_OK;
    for (int64_t first = 0; row && first < info->shape[0] && !status; first += most) {
        int64_t count = info->shape[0] - first < most ? info->shape[0] - first : most;
        nft_array *rows = NULL;
        status = nft_file_read(&rows, file, info->name, first, count);
        if (!status)
            widen_range(&range, rows);
        nft_array_free(rows);
    }
    text[0] = 0;
    if (range.any && range.not_finite)
        snprintf(text, TEXT_CAPACITY, "%.6g … %.6g, %" PRId64 " not finite", range.least, range.most,
                 range.not_finite);
    else if (range.any)
        snprintf(text, TEXT_CAPACITY, "%.6g … %.6g", range.least, range.most);
    else if (range.not_finite)
        snprintf(text, TEXT_CAPACITY, "not finite");
    return status;
}

static int print_others(const known_names *known, const nft_file *file)
{
    cli_table table = TABLE_INIT("llll", 2);
    char text[TEXT_CAPACITY];
    static const char *const titles[] = {"other tensor", "type", "shape", ""};
    for (int64_t i = 0; i < nft_file_tensor_count(file); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_file_tensor(&info, file, i))
            return table_fail(&table);
        if (!is_beyond(known, info.name))
            continue;
        if (!table.count)
            table_header(&table, titles);
        table_cell(&table, "%s", info.name);
        table_cell(&table, "%s", info.type);
        table_cell(&table, "%s", text_shape(text, info.shape, info.rank));
        snprintf(text, sizeof text, "ignored: belongs to no network");
        bool is_extra = names_find(&known->extras, info.name) >= 0, is_names = !strcmp(info.name, FILE_NAMES);
        if (is_names)
            snprintf(text, sizeof text, "the files of the networks");
        else if (is_extra && describe_range(text, file, &info))
            return table_fail(&table);
        if (is_extra && !is_names)
            append_class_names(text, sizeof text, file, info.name);
        table_cell(&table, "%s", text);
    }
    if (!table.count)
        return EXIT_SUCCESS;
    putchar('\n');
    return table_print(&table);
}

static int print_non_finite(cli_input *input, const cli_options *given)
{
    non_finite found;
    char text[TEXT_CAPACITY];
    fflush(stdout); /* shows the facts of the header while the numbers are counted */
    int failed = count_non_finite(&found, input, given);
    if (failed)
        return failed;
    printf("\nnon-finite %s", text_plural(text, found.values, "value"));
    if (found.values)
        printf(" in %s", text_plural(text, found.networks, "network"));
    if (found.others)
        printf(", %s in other tensors", text_plural(text, found.others, "value"));
    putchar('\n');
    return EXIT_SUCCESS;
}

static int print_for_people(cli_input *input, const nft_weights *header, const known_names *known,
                            const nft_file *file, const char *kind, const cli_options *given)
{
    char text[3][TEXT_CAPACITY];
    char said[OMEGA_CAPACITY];
    const cli_omega omega = noted_omega(nft_file_metadata(file, OMEGA_KEY));
    const char *offset = nft_file_metadata(file, OFFSET_KEY);
    printf("kind       %s\n", kind);
    printf("networks   %s of %s in %s\n", text_count(text[0], input->count),
           text_plural(text[1], nft_space_describe(input->space)->parameter_count, "parameter"),
           describe_space_size(text[2], input->space));
    if (input->channels > 1)
        printf("channels   %s\n", text_count(text[0], input->channels));
    if (omega.count)
        printf("omega      %s\n", write_omega(said, &omega, 6));
    if (offset)
        printf("offset     %.80s\n", offset);
    putchar('\n');
    int failed = print_space(input->space, header);
    if (!failed)
        failed = print_others(known, file);
    if (!failed)
        failed = print_metadata(file);
    if (!failed && option_text(given, "tensors"))
        failed = print_tensors(file, nft_file_tensor_count(file), file_tensor);
    return failed ? failed : print_non_finite(input, given);
}

int info_weights(cli_input *input, const nft_file *file, const cli_options *given)
{
    const char *kind = has_extra(input, "label") ? "data set" : "weights";
    known_names known = {{0}, {0}, false};
    nft_weights *header = NULL;
    if (nft_dataset_batch(&header, input->dataset, 0, 0))
        return fail_library();
    int failed = names_of_tensors(&known.tensors, header);
    if (!failed)
        failed = names_of_extras(&known.extras, input->dataset);
    if (!failed)
        known.is_other_form = is_other_form(&known, file);
    if (!failed)
        failed = given->json ? print_as_json(input, &known, file, kind, given)
                             : print_for_people(input, header, &known, file, kind, given);
    names_free(&known.tensors);
    names_free(&known.extras);
    nft_weights_free(header);
    return failed;
}

static json_t *part_json(const nft_dataset_part *part)
{
    return json_pack("{s:o, s:I, s:o}", "file", json_text(part->path), "networks", (json_int_t)part->count,
                     "space", space_json(part->space));
}

static int index_as_json(cli_input *input, const cli_options *given)
{
    non_finite found;
    int failed = count_non_finite(&found, input, given);
    json_t *parts = json_array(), *extras = json_array();
    const char *name;
    for (int64_t i = 0; i < nft_dataset_describe(input->dataset)->part_count; i++) {
        nft_dataset_part part = NFT_DATASET_PART_INIT;
        if (!nft_dataset_get_part(&part, input->dataset, i))
            json_array_append_new(parts, part_json(&part));
    }
    for (int64_t i = 0; (name = nft_dataset_extra_name(input->dataset, i)); i++)
        json_array_append_new(extras, json_text(name));
    if (failed) {
        json_decref(parts);
        json_decref(extras);
        return failed;
    }
    return print_json(
        json_pack("{s:s, s:o, s:I, s:I, s:I, s:o, s:o}", "kind", "index", "space", space_json(input->space),
                  "networks", (json_int_t)input->count, "channels", (json_int_t)input->channels, "non_finite",
                  (json_int_t)found.values + (json_int_t)found.others, "extras", extras, "parts", parts));
}

static int print_parts(const nft_dataset *dataset)
{
    static const char *const titles[] = {"part", "networks", "parameters", "tensors"};
    cli_table table = TABLE_INIT("lrrr", 2);
    char text[TEXT_CAPACITY];
    table_header(&table, titles);
    for (int64_t i = 0; i < nft_dataset_describe(dataset)->part_count; i++) {
        nft_dataset_part part = NFT_DATASET_PART_INIT;
        if (nft_dataset_get_part(&part, dataset, i))
            return table_fail(&table);
        table_cell(&table, "%s", part.path);
        table_cell(&table, "%s", text_count(text, part.count));
        table_cell(&table, "%s", text_count(text, nft_space_describe(part.space)->parameter_count));
        table_cell(&table, "%s", text_count(text, nft_space_describe(part.space)->tensor_count));
    }
    return table_print(&table);
}

int info_index(cli_input *input, const cli_options *given)
{
    char text[2][TEXT_CAPACITY];
    const char *name;
    if (given->json)
        return index_as_json(input, given);
    printf("kind       index: %s in %s\n", text_plural(text[0], input->count, "network"),
           text_plural(text[1], nft_dataset_describe(input->dataset)->part_count, "part"));
    if (input->channels > 1)
        printf("channels   %s\n", text_count(text[0], input->channels));
    for (int64_t i = 0; (name = nft_dataset_extra_name(input->dataset, i)); i++)
        say("%s %s", i ? "          " : "with      ", name);
    putchar('\n');
    int failed = print_parts(input->dataset);
    return failed ? failed : print_non_finite(input, given);
}
