/* nftool collect: files of networks become a data set. */
#define _POSIX_C_SOURCE 200809L
#include "commands.h"
#include "outputs.h"
#include "progress.h"
#include "ranks.h"
#include "report.h"
#include "sources.h"
#include "text.h"

#include <inttypes.h>
#include <limits.h>
#include <nft/file.h>
#include <nft/nft.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The data of the library's callbacks. */
typedef struct collect_run {
    const cli_options *given;
    cli_progress progress;
} collect_run;

static void print_left_out(const char *path, const char *reason, void *user)
{
    const collect_run *run = user;
    char message[1024];
    translate_options(message, sizeof message, reason);
    if (run->given->json)
        print_json(json_pack("{s:o, s:o}", "left_out", json_text(path), "reason", json_text(message)));
    else
        say("left out: %s: %s", path, message);
}

static int show(int64_t done, int64_t total, void *user)
{
    collect_run *run = user;
    if (!run->progress.total) {
        run->progress.total = total;
    }
    progress_show(&run->progress, done);
    return 0;
}

/* Splits the names at commas, in place. */
static int64_t split(char *text, const char **names)
{
    int64_t count = 0;
    while (text) {
        char *comma = strchr(text, ',');
        if (comma)
            *comma++ = 0;
        names[count++] = text;
        text = comma;
    }
    return count;
}

/* The networks of each data set, by its name. */
static json_t *sets_json(const nft_collect_options *options, const nft_collect_result *result)
{
    json_t *object = json_object();
    for (int64_t set = 0; set <= options->set_count; set++)
        json_object_set_new(object, set ? options->sets[set - 1] : "train", json_integer(result->sets[set]));
    return object;
}

static int describe_json(const nft_collect_options *options, const nft_collect_result *result,
                         const char *path)
{
    json_t *object =
        json_pack("{s:o, s:I, s:I, s:I}", "output", json_text(path), "networks", (json_int_t)result->networks,
                  "spaces", (json_int_t)result->spaces, "left_out", (json_int_t)result->left_out);
    if (options->set_count)
        json_object_set_new(object, "sets", sets_json(options, result));
    return print_json(object);
}

/* "  zoo-test.safetensors: 200 networks" of the output zoo.safetensors. */
static void describe_set(const char *output, const char *name, int64_t networks)
{
    char text[TEXT_CAPACITY];
    const char *end = text_ends_with(output, ".safetensors") || text_ends_with(output, ".json")
                          ? strrchr(output, '.')
                          : output + strlen(output);
    say("  %.*s-%s%s: %s", (int)(end - output), output, name, end, text_plural(text, networks, "network"));
}

static int describe(const cli_options *given, const nft_collect_options *options,
                    const nft_collect_result *result, const char *path)
{
    char text[4][TEXT_CAPACITY];
    bool split = options->set_count > 0;
    if (given->json)
        return describe_json(options, result, path);
    say("%s%s%s of %s%s%s%s%s", split ? "" : path, split ? "" : ": ",
        text_plural(text[0], result->networks, "network"), text_plural(text[1], result->spaces, "space"),
        split ? " in " : "", split ? text_plural(text[3], options->set_count + 1, "data set") : "",
        result->left_out ? ", left out " : "", result->left_out ? text_count(text[2], result->left_out) : "");
    for (int64_t set = 0; options->set_count && set <= options->set_count; set++)
        describe_set(path, set ? options->sets[set - 1] : "train", result->sets[set]);
    if (result->resumed)
        note(given, "%s had been written by an interrupted call",
             text_plural(text[0], result->resumed, "network"));
    return EXIT_SUCCESS;
}

/* The names in "a,b,c", which may be missing. */
typedef struct name_list {
    char *text;
    const char **names;
    int64_t count;
} name_list;

static int read_names(name_list *list, const char *text)
{
    *list = (name_list){0};
    if (!text)
        return EXIT_SUCCESS;
    list->text = strdup(text);
    list->names = malloc((strlen(text) + 1) * sizeof *list->names);
    if (!list->text || !list->names)
        return fail_memory();
    list->count = split(list->text, list->names);
    return EXIT_SUCCESS;
}

static void free_names(name_list *list)
{
    free(list->names);
    free(list->text);
}

static void fill_options(nft_collect_options *options, const cli_options *given)
{
    const cli_value *eps = option_value(given, "norm-eps");
    options->labels = option_text(given, "labels");
    options->key = option_text(given, "key");
    options->label = option_text(given, "label");
    options->prefix = option_text(given, "prefix");
    options->preset = option_text(given, "preset");
    options->fold_norms = option_text(given, "fold-norms") != NULL;
    options->norm_eps = eps ? eps->number : 0;
    options->skip = option_text(given, "skip") != NULL;
}

/* The command, and the lists that its options name. */
typedef struct job {
    cli_options own; /* ranks other than 0 say nothing */
    cli_ranks ranks;
    bool collected; /* or failed to: the ranks agree on it */
    nft_collect_options options;
    nft_space *space;
    name_list also, layers, sets;
    double *shares; /* of the sets */
} job;

/* "validation=0.1,test=0.1" */
static int read_split(job *j, const char *text)
{
    int failed = read_names(&j->sets, text);
    if (failed || !text)
        return failed;
    j->shares = malloc((size_t)j->sets.count * sizeof *j->shares);
    if (!j->shares)
        return fail_memory();
    for (int64_t i = 0; i < j->sets.count; i++) {
        char *sign = strchr(j->sets.names[i], '='), *end = NULL;
        if (sign)
            j->shares[i] = strtod(sign + 1, &end);
        if (!sign || end == sign + 1 || *end)
            return fail("--split: '%s' is no name with a share, expected for example validation=0.1,test=0.1",
                        j->sets.names[i]);
        *sign = 0;
    }
    j->options.sets = j->sets.names;
    j->options.shares = j->shares;
    j->options.set_count = j->sets.count;
    j->options.seed = j->own.seed;
    return EXIT_SUCCESS;
}

/* Whatever can be wrong with the options. */
static int prepare(void *argument)
{
    job *j = argument;
    const cli_options *given = &j->own;
    const char *space_path = option_text(given, "space");
    int failed = check_outputs(given);
    if (!failed)
        failed = check_safetensors_name(given, "output", true);
    if (!failed && space_path && option_text(given, "layers"))
        failed = fail("--layers and --space both describe the networks: give one of them");
    if (!failed)
        failed = read_names(&j->also, option_text(given, "also"));
    if (!failed)
        failed = read_names(&j->layers, option_text(given, "layers"));
    if (!failed && space_path)
        failed = read_space(&j->space, space_path);
    if (failed)
        return failed;
    fill_options(&j->options, given);
    failed = read_split(j, option_text(given, "split"));
    j->options.also = j->also.names;
    j->options.also_count = j->also.count;
    j->options.layers = j->layers.names;
    j->options.layer_count = j->layers.count;
    j->options.space = j->space;
    return failed;
}

static int collect(void *argument)
{
    job *j = argument;
    const cli_options *given = &j->own;
    nft_collect_options *options = &j->options;
    collect_run run = {.given = given};
    nft_collect_result result = NFT_COLLECT_RESULT_INIT;
    const char *output = option_text(given, "output");
    options->left_out = print_left_out;
    options->progress = show;
    options->user = &run;
    options->rank = j->ranks.rank;
    options->ranks = j->ranks.count;
    options->reduce = ranks_reduce;
    options->reduce_user = &j->ranks;
    progress_start(&run.progress, given, "collect", "steps", 0);
    nft_status status =
        nft_collect(&result, (const char *const *)given->operands, given->operand_count, output, options);
    progress_end(&run.progress);
    j->collected = true;
    if (status == NFT_ERROR_CANCELLED)
        return EXIT_FAILED; /* another rank says why */
    if (status)
        return fail_layers();
    return j->ranks.rank ? EXIT_SUCCESS : describe(given, options, &result, output);
}

static int run(const cli_options *given)
{
    job j = {.own = *given, .options = NFT_COLLECT_OPTIONS_INIT};
    bool together;
    int failed = ranks_share(&j.ranks, &j.own, prepare, collect, &j, &together);
    nft_space_free(j.space);
    free_names(&j.also);
    free_names(&j.layers);
    free_names(&j.sets);
    free(j.shares);
    ranks_close(&j.ranks, together || j.collected);
    return failed;
}

static const cli_option own_options[] = {
    {"output", 'o', OPTION_OUTPUT, "OUT", "file to write, or OUT.json, an index with its parts next to it", 0,
     0, NULL},
    {"preset", 0, OPTION_TEXT, "NAME", "read a published collection: its files, labels and conventions", 0, 0,
     NULL},
    {"labels", 0, OPTION_TEXT, "FROM",
     "a table (CSV, TSV, JSON, JSON lines), sidecar, folder, key:NAME or path:PATTERN", 0, 0, NULL},
    {"key", 0, OPTION_TEXT, "COLUMN", "of the table, which names the file (default: the first)", 0, 0, NULL},
    {"label", 0, OPTION_TEXT, "COLUMN", "that is the label; dots go into nested objects (default: label)", 0,
     0, NULL},
    {"also", 0, OPTION_TEXT, "COLUMN,…", "further columns, as tensors of their names", 0, 0, NULL},
    LAYER_NAMES_OPTION,
    {"space", 0, OPTION_INPUT, "FILE", "JSON with the space of all networks, or a network of it", 0, 0, NULL},
    {"prefix", 0, OPTION_TEXT, "P", "read the tensors whose names begin with P", 0, 0, NULL},
    {"fold-norms", 0, OPTION_FLAG, NULL, "fold each batch norm into the layer before it", 0, 0, NULL},
    {"norm-eps", 0, OPTION_POSITIVE, "E", "number that the norms add to the variance (default: 1e-5)", 0, 1,
     NULL},
    {"split", 0, OPTION_TEXT, "NAME=SHARE,…",
     "several data sets: OUT-NAME with a random share of the networks, OUT-train with the others", 0, 0,
     NULL},
    {"skip", 0, OPTION_FLAG, NULL,
     "list and leave out files that cannot be read, are not finite or have no label", 0, 0, NULL},
    {0},
};

const cli_command collect_command = {
    .name = "collect",
    .operands = "PATH… -o OUT",
    .summary = "make a data set of files of networks",
    .description =
        "Reads networks of any format and writes them as a data set: networks of one space are stacked in\n"
        "one file. PATH is a file, a folder with all that is in it, a pattern, or @LIST, a file with a path\n"
        "on each line. OUT.safetensors holds networks of one space; OUT.json is an index with a file for\n"
        "each space next to it. The space of a network is that of --space, or of its file, or the key\n"
        "`space` of its sidecar (NAME.json next to NAME.pt), or else follows from its names.\n\n"
        "A table is matched by the path relative to it, the last parts of a path, or the stem of its name. "
        "Texts become classes.\n"
        "Their names go into the metadata nft.classes, and 'nftool forward' prints them. In path:PATTERN\n"
        "{label} is the label and * stands for anything else. The presets are small-cnn-zoo, dws-mnist,\n"
        "dws-fmnist, dws-ssl, nfn-sirens, cnn-wild-park, cnn-zoos, fit-a-nef, small-transformer-zoo, "
        "dng-vit\n"
        "and implicit-zoo. The networks\n"
        "are in the natural order of their paths, which the tensor nft.file keeps: 'nftool forward' prints\n"
        "them. The same command continues after an interruption.\n\n"
        "Examples:\n"
        "  nftool collect zoo/*.pt --labels zoo/results.csv --label test_accuracy -o zoo.safetensors\n"
        "  nftool collect cats dogs --labels folder --split validation=0.1,test=0.1 -o pets.safetensors",
    .least_operands = 1,
    .most_operands = INT_MAX,
    .options = own_options,
    .required = "output",
    .idle = "threads batch-size memory-limit",
    .run = run,
};
