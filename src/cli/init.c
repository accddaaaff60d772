/* nftool init: a recipe that fits a data set. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "commands.h"
#include "input.h"
#include "metrics.h"
#include "neighbour.h"
#include "omega.h"
#include "outputs.h"
#include "report.h"
#include "scores.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_ROWS 4096 /* of labels, at a time */

/* The task that the labels set. */
typedef struct task {
    const char *name; /* of their tensor */
    loss_kind loss;
    int64_t outputs;
} task;

/* A model that works for data of a kind, and the settings of its training. `body` ends where the outputs
 * begin. */
typedef struct preset {
    const char *kind, *body;
    double rate;
    int64_t batch, passes, least_steps, most_steps;
} preset;

static const preset siren_preset = {
    "SIRENs",
    "[{\"type\": \"normalize\"}, {\"type\": \"gaussian_fourier\", \"mapping_size\": 16, \"scale\": 0.2},"
    " {\"type\": \"learned_pos_embedding\"}, {\"type\": \"nft_block\", \"num_heads\": 4, \"ff_factor\": 2, "
    "\"dropout\": 0},"
    " {\"type\": \"nft_block\", \"num_heads\": 4, \"ff_factor\": 2, \"dropout\": 0},"
    " {\"type\": \"cross_attn_encoder\", \"num_latents\": 16}, {\"type\": \"flatten_tokens\"},"
    " {\"type\": \"linear\", \"out_features\": 128}, {\"type\": \"relu\"}]",
    2e-3,
    16,
    40,
    1000,
    32000};

static const preset chain_preset = {
    "one chain of layers",
    "[{\"type\": \"normalize\"}, {\"type\": \"pointwise\", \"out_channels\": 16}, {\"type\": "
    "\"learned_pos_embedding\"},"
    " {\"type\": \"nft_block\", \"num_heads\": 4, \"ff_factor\": 2, \"dropout\": 0, \"share_projections\": "
    "false},"
    " {\"type\": \"nft_block\", \"num_heads\": 4, \"ff_factor\": 2, \"dropout\": 0, \"share_projections\": "
    "false},"
    " {\"type\": \"stat_featurizer\"}, {\"type\": \"layer_norm\"}, {\"type\": \"linear\", \"out_features\": "
    "256},"
    " {\"type\": \"relu\"}, {\"type\": \"linear\", \"out_features\": 128}, {\"type\": \"relu\"}]",
    1e-3,
    32,
    36,
    1000,
    20000};

static const preset any_preset = {
    "a model of any space",
    "[{\"type\": \"signed_log\"}, {\"type\": \"normalize\"}, {\"type\": \"lift\", \"out_channels\": 16},"
    " {\"type\": \"place_embedding\"}, {\"type\": \"nft_block\", \"num_heads\": 4, \"ff_factor\": 2, "
    "\"dropout\": 0},"
    " {\"type\": \"nft_block\", \"num_heads\": 4, \"ff_factor\": 2, \"dropout\": 0}, {\"type\": "
    "\"role_statistics\"},"
    " {\"type\": \"layer_norm\"}, {\"type\": \"linear\", \"out_features\": 128}, {\"type\": \"gelu\"},"
    " {\"type\": \"dropout\", \"p\": 0.2}]",
    3e-3,
    32,
    58,
    1000,
    20000};

static const preset token_preset = {
    "tokens",
    "[{\"type\": \"linear\", \"out_features\": 64}, {\"type\": \"token_embedding\"},"
    " {\"type\": \"transformer_encoder_layer\", \"num_heads\": 4, \"dim_feedforward\": 128, \"dropout\": 0},"
    " {\"type\": \"transformer_encoder_layer\", \"num_heads\": 4, \"dim_feedforward\": 128, \"dropout\": 0},"
    " {\"type\": \"mean_tokens\"}]",
    1e-3,
    32,
    40,
    1000,
    20000};

/* SIRENs have their frequency in the metadata. Without it, they have two coordinates as inputs, and classes
 * as labels. */
static bool are_sirens(const cli_input *input, const task *found)
{
    nft_layer first = {.size = sizeof first};
    if (nft_dataset_metadata(input->dataset, 0, OMEGA_KEY))
        return true;
    return found->loss == LOSS_CROSS_ENTROPY && !nft_space_layer(&first, input->space, 0) &&
           first.type == NFT_LAYER_LINEAR && first.in == 2;
}

static const preset *choose_preset(const cli_input *input, const task *found)
{
    if (input->tokens)
        return &token_preset;
    if (!input->space || !nft_space_describe(input->space)->layer_count)
        return &any_preset;
    return are_sirens(input, found) ? &siren_preset : &chain_preset;
}

/* Integers are classes. Floats in 0 … 1 are probabilities or shares. */
static int look_at_piece(task *found, const nft_array *rows, const char *path, int64_t first)
{
    const int64_t *classes = nft_array_i64(rows);
    const float *values = nft_array_f32(rows);
    for (int64_t i = 0; classes && i < nft_array_count(rows); i++) {
        if (classes[i] < 0 || classes[i] >= INT32_MAX)
            return fail("%s: label %" PRId64 " is %" PRId64 ", expected a class, 0 or more", path, first + i,
                        classes[i]);
        found->outputs = classes[i] >= found->outputs ? classes[i] + 1 : found->outputs;
    }
    for (int64_t i = 0; values && i < nft_array_count(rows); i++)
        if (!(values[i] >= 0 && values[i] <= 1))
            found->loss = LOSS_MSE;
    return EXIT_SUCCESS;
}

static int look_at_labels(task *found, const cli_input *input)
{
    int failed = EXIT_SUCCESS;
    for (int64_t first = 0; first < input->count && !failed; first += PIECE_ROWS) {
        nft_array *rows = NULL;
        int64_t left = input->count - first, count = left < PIECE_ROWS ? left : PIECE_ROWS;
        failed = read_extra(&rows, input, found->name, first, count);
        if (!failed && !first) {
            found->loss = nft_array_i64(rows) ? LOSS_CROSS_ENTROPY : LOSS_BCE;
            found->outputs = nft_array_i64(rows) ? 2 : nft_array_count(rows) / count;
        }
        if (!failed && nft_array_i64(rows) && nft_array_rank(rows) != 1)
            failed = fail("%s: '%s' has several integers for each network, expected one class", input->path,
                          found->name);
        if (!failed)
            failed = look_at_piece(found, rows, input->path, first);
        nft_array_free(rows);
    }
    return failed;
}

/* Names of classes count also those that no network of this set has. */
static void count_named_classes(task *found, const nft_dataset *dataset)
{
    const char *text = nft_dataset_metadata(dataset, 0, "nft.classes");
    json_t *names = text ? json_loads(text, 0, NULL) : NULL;
    int64_t count = (int64_t)json_array_size(names);
    if (found->loss == LOSS_CROSS_ENTROPY && count > found->outputs)
        found->outputs = count;
    json_decref(names);
}

/* `name` is the tensor of the labels; NULL: label, or else target. */
static int find_task(task *found, const cli_input *input, const char *name)
{
    *found = (task){.name = name ? name : has_extra(input, "label") ? "label" : "target"};
    if (!has_extra(input, found->name))
        return fail("%s: has no tensor '%s' with an entry for each network; 'nftool collect --labels' adds "
                    "labels",
                    input->path, name ? name : "label");
    int failed = look_at_labels(found, input);
    count_named_classes(found, input->dataset);
    return failed;
}

/* The recipe reads its paths from its own folder. */
static json_t *path_json(const char *path, const char *output)
{
    bool here = !output || !strchr(output, '/') || path[0] == '/';
    char *whole = here ? NULL : realpath(path, NULL);
    json_t *text = json_string(whole ? whole : path);
    free(whole);
    return text;
}

static json_t *model_json(const preset *chosen, const cli_input *input, const task *found)
{
    json_t *modules = json_loads(chosen->body, 0, NULL), *model = json_pack("{s:i}", "format_version", 1);
    json_array_append_new(
        modules, json_pack("{s:s, s:I}", "type", "linear", "out_features", (json_int_t)found->outputs));
    if (found->loss == LOSS_BCE)
        json_array_append_new(modules, json_pack("{s:s}", "type", "sigmoid"));
    if (input->tokens) {
        json_object_set_new(model, "input",
                            json_pack("{s:s, s:I, s:I}", "type", "tokens", "tokens",
                                      (json_int_t)input->tokens, "channels", (json_int_t)input->channels));
        json_object_set_new(json_array_get(modules, 1), "max_tokens", json_integer(input->tokens));
    } else {
        json_object_set_new(model, "space",
                            chosen == &any_preset
                                ? json_string("any")
                                : json_loads(nft_space_describe(input->space)->json, 0, NULL));
        json_object_set_new(model, "in_channels", json_integer(input->channels));
    }
    json_object_set_new(model, "modules", modules);
    return model;
}

static int64_t choose_steps(const preset *chosen, int64_t samples, int64_t batch)
{
    int64_t steps = samples / batch * chosen->passes;
    steps = steps < chosen->least_steps ? chosen->least_steps : steps;
    return steps > chosen->most_steps ? chosen->most_steps : steps;
}

static json_t *recipe_json(const preset *chosen, const cli_input *input, const task *found,
                           const cli_options *given)
{
    const char *output = option_text(given, "output"), *validation = option_text(given, "validation");
    int64_t batch = input->count < chosen->batch ? input->count : chosen->batch;
    int64_t steps = choose_steps(chosen, input->count, batch);
    json_t *recipe = json_pack(
        "{s:o, s:o, s:s, s:{s:s, s:f, s:f}, s:{s:s, s:I}, s:i, s:I, s:I, s:I}", "model",
        model_json(chosen, input, found), "train", path_json(input->path, output), "loss",
        loss_names[found->loss], "optimizer", "type", "adamw", "lr", chosen->rate, "weight_decay", 0.01,
        "schedule", "type", "cosine", "warmup_steps", (json_int_t)(steps / 20), "grad_clip", 1, "batch_size",
        (json_int_t)batch, "steps", (json_int_t)steps, "validate_every", (json_int_t)(steps / 20));
    if (recipe && validation)
        json_object_set_new(recipe, "validation", path_json(validation, output));
    return recipe;
}

/* "KEY": VALUE, each value on one line. */
static void write_entry(FILE *stream, int indent, const char *key, const json_t *value, bool last)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    fprintf(stream, "%*s", indent, "");
    if (key)
        fprintf(stream, "\"%s\": ", key);
    fprintf(stream, "%s%s\n", text ? text : "null", last ? "" : ",");
    free(text);
}

/* The modules come last. */
static void write_model(FILE *stream, json_t *model)
{
    const char *key;
    json_t *value, *modules = json_object_get(model, "modules");
    fputs("  \"model\": {\n", stream);
    json_object_foreach(model, key, value)
    {
        if (value != modules)
            write_entry(stream, 4, key, value, false);
    }
    fputs("    \"modules\": [\n", stream);
    for (size_t i = 0; i < json_array_size(modules); i++)
        write_entry(stream, 6, NULL, json_array_get(modules, i), i + 1 == json_array_size(modules));
    fputs("    ]\n  },\n", stream);
}

static void write_entries(FILE *stream, json_t *recipe)
{
    const char *key;
    json_t *value;
    size_t left = json_object_size(recipe) - 1;
    fputs("{\n", stream);
    write_model(stream, json_object_get(recipe, "model"));
    json_object_foreach(recipe, key, value)
    {
        if (strcmp(key, "model") != 0)
            write_entry(stream, 2, key, value, --left == 0);
    }
    fputs("}\n", stream);
}

static int write_recipe(json_t *recipe, const char *path)
{
    cli_neighbour file;
    if (!path) {
        write_entries(stdout, recipe);
        return EXIT_SUCCESS;
    }
    int failed = neighbour_begin(&file, path);
    if (!failed)
        write_entries(file.stream, recipe);
    return neighbour_finish(&file, failed);
}

static void describe(const preset *chosen, const cli_input *input, const task *found,
                     const cli_options *given)
{
    char networks[TEXT_CAPACITY], outputs[TEXT_CAPACITY];
    const char *output = option_text(given, "output");
    text_plural(networks, input->count, input->tokens ? "sample" : "network");
    text_plural(outputs, found->outputs, found->loss == LOSS_CROSS_ENTROPY ? "class" : "number");
    if (found->loss == LOSS_CROSS_ENTROPY)
        snprintf(outputs, sizeof outputs, "%" PRId64 " classes", found->outputs);
    note(given, "%s: %s (%s); loss %s on '%s', %s", input->path, networks, chosen->kind,
         loss_names[found->loss], found->name, outputs);
    if (!option_text(given, "validation"))
        note(given, "no validation set: --validation names one, and the best model on it is kept");
    if (output)
        say("%s: 'nftool train %s -o MODEL.safetensors' trains it", output, output);
}

/* Networks or tokens. */
static int open_any(cli_input *input, const char *path, const cli_options *given)
{
    nft_dataset_part part = NFT_DATASET_PART_INIT;
    *input = (cli_input){.path = path, .part = -1};
    int failed = open_dataset(&input->dataset, path, NULL, given);
    if (failed)
        return failed;
    input->count = nft_dataset_describe(input->dataset)->count;
    input->space = nft_dataset_describe(input->dataset)->space;
    if (!input->count)
        return fail("%s: holds no networks", path);
    if (nft_dataset_get_part(&part, input->dataset, 0))
        return fail_library();
    input->channels = part.channels;
    input->tokens = part.tokens;
    return EXIT_SUCCESS;
}

/* A model of one space takes no other. */
static int compare_inputs(const cli_input *train, const cli_input *other, const preset *chosen)
{
    if (!train->tokens != !other->tokens)
        return fail("%s: holds %s, but %s holds %s", other->path, other->tokens ? "tokens" : "networks",
                    train->path, train->tokens ? "tokens" : "networks");
    if (train->tokens != other->tokens || train->channels != other->channels)
        return fail("%s: its samples have %" PRId64 " tokens and %" PRId64 " channels, those of %s %" PRId64
                    " and %" PRId64,
                    other->path, other->tokens, other->channels, train->path, train->tokens, train->channels);
    if (train->tokens || chosen == &any_preset ||
        (other->space && nft_space_equal(train->space, other->space)))
        return EXIT_SUCCESS;
    return fail("%s: its networks have %s than those of %s; 'nftool space' prints both", other->path,
                other->space ? "another space" : "several spaces, other", train->path);
}

static int compare_class_names(const cli_input *train, const cli_input *other)
{
    const char *texts[] = {nft_dataset_metadata(train->dataset, 0, "nft.classes"),
                           nft_dataset_metadata(other->dataset, 0, "nft.classes")};
    json_t *left = texts[0] ? json_loads(texts[0], 0, NULL) : NULL,
           *right = texts[1] ? json_loads(texts[1], 0, NULL) : NULL;
    bool same = !left || !right || json_equal(left, right);
    json_decref(left);
    json_decref(right);
    return same ? EXIT_SUCCESS
                : fail("%s: its classes are %.80s, those of %s are %.80s", other->path, texts[1], train->path,
                       texts[0]);
}

/* Labels of both sets are of one kind. The model has an output for each class of either. */
static int unite_tasks(task *found, const task *other, const cli_input *train, const cli_input *input)
{
    bool classes = found->loss == LOSS_CROSS_ENTROPY;
    if (classes != (other->loss == LOSS_CROSS_ENTROPY))
        return fail("%s: '%s' holds %s, but %s holds %s", input->path, other->name,
                    classes ? "floats" : "integers, classes", train->path,
                    classes ? "integers, classes" : "floats");
    if (!classes && found->outputs != other->outputs)
        return fail("%s: '%s' has %" PRId64 " numbers for each network, that of %s has %" PRId64, input->path,
                    other->name, other->outputs, train->path, found->outputs);
    found->outputs = other->outputs > found->outputs ? other->outputs : found->outputs;
    found->loss = other->loss == LOSS_MSE ? LOSS_MSE : found->loss;
    return compare_class_names(train, input);
}

static int look_at_validation(task *found, const cli_input *train, const cli_options *given)
{
    const char *path = option_text(given, "validation");
    cli_input input = {0};
    task other = {0};
    int failed = path ? open_any(&input, path, given) : EXIT_SUCCESS;
    if (path && !failed)
        failed = compare_inputs(train, &input, choose_preset(train, found));
    if (path && !failed)
        failed = find_task(&other, &input, found->name);
    if (path && !failed)
        failed = unite_tasks(found, &other, train, &input);
    close_input(&input);
    return failed;
}

static int run(const cli_options *given)
{
    cli_input input = {0};
    task found = {0};
    json_t *recipe = NULL;
    int failed = check_outputs(given);
    if (!failed)
        failed = open_any(&input, given->operands[0], given);
    if (!failed)
        failed = find_task(&found, &input, NULL);
    if (!failed)
        failed = look_at_validation(&found, &input, given);
    if (!failed) {
        const preset *chosen = choose_preset(&input, &found);
        recipe = recipe_json(chosen, &input, &found, given);
        failed = recipe ? write_recipe(recipe, option_text(given, "output")) : fail_memory();
        if (!failed)
            describe(chosen, &input, &found, given);
    }
    json_decref(recipe);
    close_input(&input);
    return failed;
}

static const cli_option own_options[] = {
    {"output", 'o', OPTION_RESULT, "RECIPE",
     "file to write, replaced if it exists (default: standard output)", 0, 0, NULL},
    {"validation", 0, OPTION_INPUT, "DATA", "the validation set that the recipe names; it must fit DATA", 0,
     0, NULL},
    LAYERS_OPTION,
    {0},
};

const cli_command init_command = {
    .name = "init",
    .operands = "DATA [-o RECIPE]",
    .summary = "write a recipe that fits a data set",
    .description =
        "Looks at DATA and writes a recipe for 'nftool train': the space of the networks, a loss that fits\n"
        "the labels, and a model that is known to work. Integer labels are classes (cross_entropy), floats "
        "in\n"
        "0 … 1 are shares (bce), other floats numbers (mse).\n\n"
        "SIRENs get a Neural Functional Transformer with cross attention. Other networks of one chain of\n"
        "layers get one that ends in statistics; networks of several spaces, or of one that is no chain, a "
        "model\n"
        "of any space; tokens a transformer.",
    .least_operands = 1,
    .most_operands = 1,
    .reads_data = true,
    .options = own_options,
    .idle = "threads seed batch-size",
    .run = run,
};
