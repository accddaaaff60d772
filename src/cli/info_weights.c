/* nftool info of weights and data sets. */
#include "info.h"
#include "metrics.h"
#include "omega.h"
#include "sources.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static nft_status file_tensor(const void *file, int64_t index, nft_tensor_info *info)
{
    return nft_file_tensor(info, file, index);
}

/* A tensor of the networks, or one that several of them are slices of. */
static bool is_networks_tensor(const nft_weights *weights, const char *name)
{
    const nft_space *space = nft_weights_space(weights);
    nft_space_tensor tensor = {.size = sizeof tensor};
    for (int64_t t = 0; t < nft_space_tensor_count(space); t++)
        if (!strcmp(name, nft_weights_tensor_name(weights, t)) ||
            (!nft_space_get_tensor(&tensor, space, t) && tensor.from && !strcmp(name, tensor.from)))
            return true;
    return false;
}

static int64_t count_non_finite(const nft_weights *weights)
{
    int64_t found = 0;
    for (int64_t t = 0; t < nft_space_tensor_count(nft_weights_space(weights)); t++) {
        const float *values = nft_weights_data(weights, t);
        for (int64_t i = 0; i < nft_weights_data_count(weights, t); i++)
            found += !all_finite(values + i, 1);
    }
    return found;
}

/* Tensors of the file that belong to no network: the extras, or what was ignored. */
static json_t *other_tensors_json(const nft_weights *weights, const nft_file *file, bool extras)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < nft_file_tensor_count(file); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_file_tensor(&info, file, i) || is_networks_tensor(weights, info.name))
            continue;
        if ((nft_weights_extra(weights, info.name) != NULL) == extras)
            json_array_append_new(list, json_text(info.name));
    }
    return list;
}

static int print_as_json(const nft_weights *weights, const nft_file *file, const char *kind)
{
    const nft_space *space = nft_weights_space(weights);
    json_t *object = json_object();
    json_object_set_new(object, "kind", json_string(kind));
    json_object_set_new(object, "space", space_json(space));
    json_object_set_new(object, "parameters", json_integer(nft_space_parameter_count(space)));
    json_object_set_new(object, "networks", json_integer(nft_weights_count(weights)));
    json_object_set_new(object, "channels", json_integer(nft_weights_channels(weights)));
    json_object_set_new(object, "non_finite", json_integer(count_non_finite(weights)));
    if (noted_omega(file) > 0)
        json_object_set_new(object, "omega", json_real(noted_omega(file)));
    json_object_set_new(object, "extras", other_tensors_json(weights, file, true));
    json_object_set_new(object, "ignored", other_tensors_json(weights, file, false));
    json_object_set_new(object, "tensors", tensors_json(file, nft_file_tensor_count(file), file_tensor));
    return print_json(object);
}

/* The least and the largest value of an extra tensor: which classes, what range. */
static void describe_range(char *text, const nft_array *array)
{
    const float *numbers = nft_array_f32(array);
    const int64_t *integers = nft_array_i64(array);
    int64_t count = nft_array_count(array);
    double least = 0, most = 0;
    text[0] = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = numbers ? (double)numbers[i] : (double)integers[i];
        least = i == 0 || value < least ? value : least;
        most = i == 0 || value > most ? value : most;
    }
    if (count)
        snprintf(text, TEXT_CAPACITY, "%.6g … %.6g", least, most);
}

static int print_others(const nft_weights *weights, const nft_file *file)
{
    cli_table table = TABLE_INIT("llll", 2);
    char text[TEXT_CAPACITY];
    static const char *const titles[] = {"other tensor", "type", "shape", ""};
    for (int64_t i = 0; i < nft_file_tensor_count(file); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_file_tensor(&info, file, i))
            return table_fail(&table);
        if (is_networks_tensor(weights, info.name))
            continue;
        const nft_array *extra = nft_weights_extra(weights, info.name);
        if (!table.count)
            table_header(&table, titles);
        table_cell(&table, "%s", info.name);
        table_cell(&table, "%s", info.type);
        table_cell(&table, "%s", text_shape(text, info.shape, info.rank));
        snprintf(text, sizeof text, "ignored: belongs to no network");
        if (extra)
            describe_range(text, extra);
        table_cell(&table, "%s", text);
    }
    if (!table.count)
        return EXIT_SUCCESS;
    putchar('\n');
    return table_print(&table);
}

static int print_for_people(const nft_weights *weights, const nft_file *file, const char *kind,
                            const cli_options *given)
{
    char text[3][TEXT_CAPACITY];
    const nft_space *space = nft_weights_space(weights);
    int64_t channels = nft_weights_channels(weights), values = count_non_finite(weights);
    printf("kind       %s\n", kind);
    printf("networks   %s of %s in %s\n", text_count(text[0], nft_weights_count(weights)),
           text_plural(text[1], nft_space_parameter_count(space), "parameter"),
           describe_space_size(text[2], space));
    if (channels > 1)
        printf("channels   %s\n", text_count(text[0], channels));
    printf("non-finite %s", text_plural(text[0], values, "value"));
    if (values)
        printf(" in %s", text_plural(text[0], count_non_finite_networks(weights), "network"));
    putchar('\n');
    if (noted_omega(file) > 0)
        printf("omega      %g\n", noted_omega(file));
    putchar('\n');
    int failed = print_space(space, weights);
    if (!failed)
        failed = print_others(weights, file);
    if (!failed && option_text(given, "tensors"))
        failed = print_tensors(file, nft_file_tensor_count(file), file_tensor);
    return failed;
}

int info_weights(const nft_weights *weights, const nft_file *file, const cli_options *given)
{
    const char *kind = nft_weights_extra(weights, "label") ? "data set" : "weights";
    if (given->json)
        return print_as_json(weights, file, kind);
    return print_for_people(weights, file, kind, given);
}
