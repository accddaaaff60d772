/* nftool info: the content of a file. */
#include "info.h"

#include "commands.h"
#include "nft/file.h"
#include "sources.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LISTED 40 /* tensors of a file that holds no networks, without --tensors */

json_t *space_json(const nft_space *space)
{
    json_t *value = space ? json_loads(nft_space_describe(space)->json, 0, NULL) : json_null();
    return value ? value : json_null();
}

const char *describe_space_size(char *text, const nft_space *space)
{
    int64_t layers = nft_space_describe(space)->layer_count;
    return layers ? text_plural(text, layers, "layer")
                  : text_plural(text, nft_space_describe(space)->tensor_count, "tensor");
}

json_t *tensor_json(const nft_tensor_info *info)
{
    return json_pack("{s:o, s:s, s:o}", "name", json_text(info->name), "type", info->type, "shape",
                     json_shape(info->shape, info->rank));
}

json_t *tensors_json(const void *object, int64_t count, tensor_getter *get)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (!get(object, i, &info))
            json_array_append_new(list, tensor_json(&info));
    }
    return list;
}

int print_tensors(const void *object, int64_t count, tensor_getter *get)
{
    static const char *const titles[] = {"tensor", "type", "shape", ""};
    cli_table table = TABLE_INIT("llll", 2);
    char shape[TEXT_CAPACITY];
    table_header(&table, titles);
    for (int64_t i = 0; i < count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (get(object, i, &info))
            return table_fail(&table);
        table_cell(&table, "%s", info.name);
        table_cell(&table, "%s", info.type);
        table_cell(&table, "%s", text_shape(shape, info.shape, info.rank));
        table_cell(&table, "%s", info.data && !info.trained ? "buffer" : "");
    }
    putchar('\n');
    return table_print(&table);
}

static void layer_cells(cli_table *table, const nft_layer *layer)
{
    bool conv = layer->type == NFT_LAYER_CONV2D;
    char text[TEXT_CAPACITY];
    int64_t positions = !conv && layer->positions > 1 ? layer->positions : 1;
    int64_t shape[] = {layer->out, layer->in * positions, layer->kernel_height, layer->kernel_width};
    int64_t filter = conv ? layer->kernel_height * layer->kernel_width : positions;
    if (positions > 1)
        table_cell(table, "linear, %s", text_plural(text, positions, "position"));
    else
        table_cell(table, conv ? "conv2d" : "linear");
    table_cell(table, "%s", text_shape(text, shape, conv ? 4 : 2));
    table_cell(table, "%" PRId64, layer->out);
    table_cell(table, "%s", text_count(text, layer->out * (layer->in * filter + 1)));
}

static int print_layers(const nft_space *space, const nft_weights *weights)
{
    static const char *const titles[] = {"layer", "type", "weight", "bias", "parameters"};
    static const char suffix[] = ".weight";
    cli_table table = TABLE_INIT("llllr", 2);
    table_header(&table, titles);
    for (int64_t i = 0; i < nft_space_describe(space)->layer_count; i++) {
        nft_layer layer = {.size = sizeof layer};
        const char *name = nft_weights_tensor_name(weights, 2 * i);
        if (nft_space_layer(&layer, space, i))
            return table_fail(&table);
        if (name)
            table_cell(&table, "%.*s", (int)(strlen(name) - strlen(suffix)), name);
        else
            table_cell(&table, "%" PRId64, i);
        layer_cells(&table, &layer);
    }
    return table_print(&table);
}

/* A dimension of a shape: "c", "3", "c·4". */
static void append_factor(char *text, size_t capacity, const nft_space *space, const nft_factor *factor,
                          bool first)
{
    nft_space_axis axis = {.size = sizeof axis};
    size_t length = strlen(text);
    const char *before = first ? "" : factor->joined ? "·" : ", ";
    if (factor->axis >= 0 && !nft_space_get_axis(&axis, space, factor->axis))
        snprintf(text + length, capacity - length, "%s%s", before, axis.name);
    else
        snprintf(text + length, capacity - length, "%s%" PRId64, before, factor->positions);
}

static int print_axes(const nft_space *space)
{
    static const char *const titles[] = {"axis", "size", "symmetry"};
    cli_table table = TABLE_INIT("lrl", 2);
    table_header(&table, titles);
    for (int64_t a = 0; a < nft_space_describe(space)->axis_count; a++) {
        nft_space_axis axis = {.size = sizeof axis};
        if (nft_space_get_axis(&axis, space, a))
            return table_fail(&table);
        table_cell(&table, "%s", axis.name);
        table_cell(&table, "%" PRId64, axis.neurons);
        table_cell(&table, "%s", axis.symmetry == NFT_SYMMETRY_PERMUTATION ? "permutation" : "none");
    }
    return table_print(&table);
}

static int print_space_tensors(const nft_space *space)
{
    static const char *const titles[] = {"tensor", "axes", "shape", "numbers"};
    cli_table table = TABLE_INIT("lllr", 2);
    table_header(&table, titles);
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++) {
        nft_space_tensor tensor = {.size = sizeof tensor};
        char axes[TEXT_CAPACITY] = "", text[TEXT_CAPACITY];
        int64_t numbers = 1;
        if (nft_space_get_tensor(&tensor, space, t))
            return table_fail(&table);
        for (int64_t i = 0; i < tensor.factor_count; i++)
            append_factor(axes, sizeof axes, space, &tensor.factors[i], i == 0);
        for (int64_t d = 0; d < tensor.rank; d++)
            numbers *= tensor.shape[d];
        table_cell(&table, "%s", tensor.name);
        table_cell(&table, "(%s)", axes);
        table_cell(&table, "%s", text_shape(text, tensor.shape, tensor.rank));
        table_cell(&table, "%s", text_count(text, numbers));
    }
    return table_print(&table);
}

int print_space(const nft_space *space, const nft_weights *weights)
{
    if (nft_space_describe(space)->layer_count)
        return print_layers(space, weights);
    int failed = print_axes(space);
    putchar('\n');
    return failed ? failed : print_space_tensors(space);
}

static nft_status file_tensor(const void *file, int64_t index, nft_tensor_info *info)
{
    return nft_file_tensor(info, file, index);
}

/* A message of the library behind "PATH: ". */
static const char *without_path(const char *message, const char *path)
{
    size_t length = strlen(path);
    return !strncmp(message, path, length) && !strncmp(message + length, ": ", 2) ? message + length + 2
                                                                                  : message;
}

/* A safetensors file that is neither a model nor weights; `reason` says why it is not weights. */
static int info_tensors(const nft_file *file, const char *reason, const cli_options *given)
{
    int64_t count = nft_file_tensor_count(file), numbers = 0;
    char text[2][TEXT_CAPACITY];
    for (int64_t i = 0; i < count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_file_tensor(&info, file, i))
            return fail_library();
        numbers += info.count;
    }
    if (given->json)
        return print_json(json_pack("{s:s, s:n, s:I, s:o, s:o}", "kind", "tensors", "space", "parameters",
                                    (json_int_t)numbers, "metadata", metadata_json(file), "tensors",
                                    tensors_json(file, count, file_tensor)));
    printf("kind       tensors: %s with %s\n", text_plural(text[0], count, "tensor"),
           text_plural(text[1], numbers, "number"));
    say("           not a model: no nft.config in its metadata");
    say("           not weights: %s", without_path(reason, given->operands[0]));
    int failed = print_metadata(file);
    if (failed)
        return failed;
    bool all = count <= MOST_LISTED || option_text(given, "tensors");
    return all ? print_tensors(file, count, file_tensor) : print_tensor_kinds(file);
}

/* Tensors, and if some are named as those of layers are, a failure that says why they are none. */
static int info_no_weights(const nft_file *file, const char *reason, const cli_options *given)
{
    bool layers = false;
    int failed = info_tensors(file, reason, given);
    for (int64_t i = 0; i < nft_file_tensor_count(file) && !failed; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        if (nft_file_tensor(&info, file, i))
            return fail_library();
        layers = layers || text_ends_with(info.name, ".weight");
    }
    return layers && !failed ? fail("%s", reason) : failed;
}

/* An input without the demand for networks. */
static int info_file(const nft_file *file, const cli_options *given)
{
    cli_input input;
    char reason[1024];
    bool must_be = option_text(given, "layers") || option_text(given, "space");
    fail_into(must_be ? NULL : reason, sizeof reason);
    int failed = open_networks(&input, given->operands[0], given);
    fail_into(NULL, 0);
    if (!failed)
        failed = info_weights(&input, file, given);
    else if (!must_be)
        failed = info_no_weights(file, reason, given);
    close_input(&input);
    return failed;
}

/* Anything else in JSON, a sidecar for example: its entries, and the space that it may describe. */
static int info_json(const json_t *object, const cli_options *given)
{
    static const char *const titles[] = {"entry", "value"};
    cli_table table = TABLE_INIT("ll", 2);
    nft_space *space = NULL;
    const char *key;
    const json_t *value;
    if (given->json)
        return print_json(json_pack("{s:s, s:O}", "kind", "json", "entries", (json_t *)object));
    puts("kind       JSON: neither a configuration nor a recipe nor an index\n");
    table_header(&table, titles);
    json_object_foreach((json_t *)object, key, value)
    {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        table_cell(&table, "%s", key);
        table_cell(&table, "%.100s%s", text ? text : "", text && strlen(text) > 100 ? " …" : "");
        free(text);
    }
    int failed = table_print(&table);
    if (failed || nft_space_load(&space, given->operands[0], NULL))
        return failed;
    putchar('\n');
    failed = print_space(space, NULL);
    nft_space_free(space);
    return failed;
}

static int info_parts(const cli_options *given)
{
    cli_input input;
    int failed = open_networks(&input, given->operands[0], given);
    if (!failed)
        failed = info_index(&input, given);
    close_input(&input);
    return failed;
}

static int run(const cli_options *given)
{
    const char *path = given->operands[0];
    nft_model *model = NULL;
    nft_file *file = NULL;
    bool configuration = is_configuration(path);
    if (is_index(path))
        return info_parts(given);
    int failed = EXIT_SUCCESS;
    if (!configuration && nft_file_open(&file, path, NULL))
        return fail_library();
    json_t *other = configuration ? load_other_json(path, given) : NULL;
    if (other) {
        failed = info_json(other, given);
        json_decref(other);
    } else if (configuration || nft_file_metadata(file, "nft.config")) {
        failed = refuse_layers(given, path, configuration ? "a configuration" : "a model");
        if (!failed)
            failed = load_model(&model, path, given);
        if (!failed)
            failed = info_model(model, file, given);
    } else {
        failed = info_file(file, given);
    }
    nft_model_free(model);
    nft_file_free(file);
    return failed;
}

static const cli_option own_options[] = {
    {"tensors", 0, OPTION_FLAG, NULL, "list every tensor", 0, 0, NULL},
    LAYERS_OPTION,
    {0},
};

const cli_command info_command = {
    .name = "info",
    .operands = "FILE",
    .summary = "describe a model, a configuration, weights or a data set",
    .description =
        "Prints the content of a file. For a model file, a configuration or a recipe (.json) it prints the\n"
        "layers of the networks that it reads, and its modules with their outputs, parameters and GFLOP for\n"
        "one network. For weights and data sets it prints the layers or the axes and tensors, the other\n"
        "tensors, and the number of values that are not finite. For an index it prints the parts, for any\n"
        "other file its tensors, or the number of each kind if they are more than 40. The texts of the\n"
        "metadata follow.",
    .least_operands = 1,
    .most_operands = 1,
    .options = own_options,
    .idle = "threads seed force",
    .run = run,
};
