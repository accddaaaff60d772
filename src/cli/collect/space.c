/* nftool space: the tensors and axes of a network. */
#include "commands.h"
#include "report.h"
#include "sources.h"
#include "text.h"

#include <inttypes.h>
#include <nft/nft.h>
#include <nft/train.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTED_SIDES 6
#define CELL_CAPACITY 512

/* Appends to a cell of a table; a text that does not fit is cut. */
static void append(char *cell, const char *format, ...) CLI_PRINTF(2, 3);

static void append(char *cell, const char *format, ...)
{
    size_t used = strlen(cell);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cell + used, CELL_CAPACITY - used, format, arguments);
    va_end(arguments);
}

/* A space, and the names that a file has for its tensors; NULL: those of the space. */
typedef struct named_space {
    const nft_space *space;
    const nft_weights *header;
} named_space;

static const char *tensor_name(const named_space *named, int64_t t, const nft_space_tensor *tensor)
{
    return named->header && !tensor->from ? nft_weights_tensor_name(named->header, t) : tensor->name;
}

static const char *axis_name(const nft_space *space, int64_t axis)
{
    nft_space_axis about = {.size = sizeof about};
    return nft_space_get_axis(&about, space, axis) ? "" : about.name;
}

/* "(c, image, 3, 3)", "(classes, [c, 25])" */
static void describe_shape(char *cell, const nft_space *space, const nft_space_tensor *tensor)
{
    const nft_factor *factors = tensor->factors;
    append(cell, "(");
    for (int64_t i = 0; i < tensor->factor_count; i++) {
        bool opens = i + 1 < tensor->factor_count && factors[i + 1].joined && !factors[i].joined;
        bool closes = factors[i].joined && (i + 1 == tensor->factor_count || !factors[i + 1].joined);
        append(cell, "%s%s", i ? ", " : "", opens ? "[" : "");
        if (factors[i].axis >= 0)
            append(cell, "%s", axis_name(space, factors[i].axis));
        else
            append(cell, "%" PRId64, factors[i].positions);
        append(cell, closes ? "]" : "");
    }
    append(cell, ")");
    if (tensor->from)
        append(cell, " of %s from %" PRId64, tensor->from, tensor->slice_start);
}

/* Tensors and dimensions that the axis indexes: "conv1.weight 0, conv2.weight 1, …" */
static void describe_sides(char *cell, const named_space *named, int64_t axis)
{
    const nft_space *space = named->space;
    int64_t found = 0;
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++) {
        nft_space_tensor tensor = {.size = sizeof tensor};
        int64_t dimension = -1;
        if (nft_space_get_tensor(&tensor, space, t))
            return;
        for (int64_t i = 0; i < tensor.factor_count; i++) {
            dimension += !tensor.factors[i].joined;
            if (tensor.factors[i].axis != axis)
                continue;
            if (found < LISTED_SIDES)
                append(cell, "%s%s %" PRId64, found ? ", " : "", tensor_name(named, t, &tensor), dimension);
            found++;
        }
    }
    if (found > LISTED_SIDES)
        append(cell, ", and %" PRId64 " more", found - LISTED_SIDES);
}

static int print_axes(const named_space *named)
{
    const nft_space *space = named->space;
    cli_table table = TABLE_INIT("lrll", 2);
    table_header(&table, (const char *const[]){"axis", "size", "symmetry", "indexes (tensor, dimension)"});
    for (int64_t a = 0; a < nft_space_describe(space)->axis_count; a++) {
        nft_space_axis axis = {.size = sizeof axis};
        char sides[CELL_CAPACITY] = "";
        if (nft_space_get_axis(&axis, space, a))
            return table_fail(&table);
        describe_sides(sides, named, a);
        table_cell(&table, "%s", axis.name);
        table_cell(&table, "%" PRId64, axis.neurons);
        table_cell(&table, "%s", axis.symmetry == NFT_SYMMETRY_NONE ? "none" : "permutation");
        table_cell(&table, "%s", sides);
    }
    return table_print(&table);
}

static int print_tensors(const named_space *named)
{
    const nft_space *space = named->space;
    static const char *const roles[] = {"",     "linear",       "conv",        "depthwise", "gain",
                                        "bias", "running_mean", "running_var", "scalar"};
    cli_table table = TABLE_INIT("llll", 2);
    table_header(&table, (const char *const[]){"tensor", "axes", "shape", "role"});
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++) {
        nft_space_tensor tensor = {.size = sizeof tensor};
        char cell[CELL_CAPACITY] = "", shape[TEXT_CAPACITY];
        if (nft_space_get_tensor(&tensor, space, t))
            return table_fail(&table);
        describe_shape(cell, space, &tensor);
        table_cell(&table, "%s", tensor_name(named, t, &tensor));
        table_cell(&table, "%s", cell);
        table_cell(&table, "%s", text_shape(shape, tensor.shape, tensor.rank));
        table_cell(&table, "%s", tensor.role <= NFT_ROLE_SCALAR ? roles[tensor.role] : "");
    }
    return table_print(&table);
}

static int print_space(const cli_options *given, const named_space *named)
{
    const nft_space *space = named->space;
    char text[2][TEXT_CAPACITY];
    if (given->json) {
        say("%s", nft_space_describe(space)->json);
        return EXIT_SUCCESS;
    }
    say("%s, %s parameters", text_plural(text[0], nft_space_describe(space)->tensor_count, "tensor"),
        text_count(text[1], nft_space_describe(space)->parameter_count));
    int failed = print_axes(named);
    say("%s", "");
    return failed ? failed : print_tensors(named);
}

/* Each space of an index. */
static int print_parts(const cli_options *given, const nft_dataset *dataset)
{
    int failed = EXIT_SUCCESS;
    for (int64_t i = 0; i < nft_dataset_describe(dataset)->part_count && !failed; i++) {
        nft_dataset_part part = NFT_DATASET_PART_INIT;
        char text[TEXT_CAPACITY];
        if (nft_dataset_get_part(&part, dataset, i))
            return fail_library();
        if (!part.space)
            return fail("%s: it holds tokens, which have no space", part.path);
        if (!given->json) {
            if (i)
                say("%s", "");
            say("%s: %s", part.path, text_plural(text, part.count, "network"));
        }
        failed = print_space(given, &(named_space){part.space, NULL});
    }
    return failed;
}

/* A file of networks, with its own names. */
static int print_networks(const cli_options *given, const char *path)
{
    nft_dataset *dataset = NULL;
    nft_weights *header = NULL;
    int failed = open_dataset_for(&dataset, path, "networks", NULL, given);
    if (!failed && !nft_dataset_describe(dataset)->space)
        failed = fail("%s: it holds tokens, which have no space", path);
    if (!failed && nft_dataset_batch(&header, dataset, 0, 0))
        failed = fail_library();
    if (!failed)
        failed = print_space(given, &(named_space){nft_dataset_describe(dataset)->space, header});
    nft_weights_free(header);
    nft_dataset_free(dataset);
    return failed;
}

static int run(const cli_options *given)
{
    const char *path = given->operands[0];
    nft_dataset *dataset = NULL;
    nft_space *space = NULL;
    int failed = EXIT_SUCCESS;
    if (text_ends_with(path, ".json") && !nft_dataset_open(&dataset, path, NULL))
        failed = print_parts(given, dataset);
    else if (!given->json && !is_configuration(path) && !is_model_file(path))
        failed = print_networks(given, path);
    else if (!(failed = load_space(&space, path, given)))
        failed = print_space(given, &(named_space){space, NULL});
    nft_space_free(space);
    nft_dataset_free(dataset);
    return failed;
}

static const cli_option own_options[] = {
    LAYER_NAMES_OPTION,
    {"prefix", 0, OPTION_TEXT, "P", "read the tensors whose names begin with P", 0, 0, NULL},
    {0},
};

const cli_command space_command = {
    .name = "space",
    .operands = "FILE",
    .summary = "print the tensors and axes of a network",
    .description =
        "Prints the space of a network, of a data set, or of a JSON description: its axes with their sizes,\n"
        "symmetries and tensors, and its tensors with their shapes in axes. --json prints the same as JSON,\n"
        "which may be edited and given to --space.",
    .least_operands = 1,
    .most_operands = 1,
    .options = own_options,
    .idle = "threads seed batch-size memory-limit force",
    .run = run,
};
