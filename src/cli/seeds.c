#include "seeds.h"

#include "cleanup.h"
#include "outputs.h"
#include "plot_runs.h"
#include "report.h"
#include "runs.h"
#include "text.h"
#include "train.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENDINGS 32 /* bytes that are added to a name */

/* The files of one training, each with its seed in its name. */
typedef struct seed_files {
    char *output, *log, *checkpoint;
} seed_files;

/* "folder/model.safetensors" becomes "folder/model-3.safetensors", or with an `ending` "folder/model-3" and
 * that; NULL without memory. */
static char *name_for_seed(const char *path, uint64_t seed, const char *ending)
{
    const char *name = text_file_name(path), *dot = strrchr(name, '.');
    size_t stem = dot && dot > name ? (size_t)(dot - path) : strlen(path), size = strlen(path) + ENDINGS;
    char *text = malloc(size);
    if (text)
        snprintf(text, size, "%.*s-%" PRIu64 "%s", (int)stem, path, seed, ending ? ending : path + stem);
    return text;
}

static int name_files(seed_files *files, const cli_options *given, uint64_t seed)
{
    const char *output = option_text(given, "output"), *log = option_text(given, "log"),
               *checkpoint = option_text(given, "checkpoint");
    files->output = name_for_seed(output, seed, NULL);
    files->log = name_for_seed(log ? log : output, seed, log ? NULL : ".jsonl");
    files->checkpoint = checkpoint ? name_for_seed(checkpoint, seed, NULL) : NULL;
    if (!files->output || !files->log || (checkpoint && !files->checkpoint))
        return fail_memory();
    if (checkpoint)
        return EXIT_SUCCESS;
    size_t size = strlen(files->output) + sizeof ".checkpoint";
    files->checkpoint = malloc(size);
    if (!files->checkpoint)
        return fail_memory();
    snprintf(files->checkpoint, size, "%s.checkpoint", files->output);
    return EXIT_SUCCESS;
}

static void free_files(seed_files *files)
{
    free(files->output);
    free(files->log);
    free(files->checkpoint);
}

static void set_option(cli_options *given, const char *name, const char *text, uint64_t integer)
{
    for (int i = 0; i < given->value_count; i++)
        if (!strcmp(given->values[i].option->name, name)) {
            given->values[i].text = text;
            given->values[i].integer = integer;
        }
}

static cli_options options_for_seed(const cli_options *given, const seed_files *files, uint64_t seed)
{
    cli_options own = *given;
    own.seed = seed;
    set_option(&own, "seed", "", seed);
    set_option(&own, "output", files->output, 0);
    set_option(&own, "log", files->log, 0);
    set_option(&own, "checkpoint", files->checkpoint, 0);
    set_option(&own, "keep-checkpoint", "", 0);
    set_option(&own, "plot", NULL, 0);
    return own;
}

static int draw_runs(const cli_options *given, const cli_ranks *ranks, const training_run *runs,
                     int64_t count)
{
    const char *path = option_text(given, "plot");
    return path && !ranks->rank ? plot_runs(path, text_file_name(given->operands[0]), runs, count)
                                : EXIT_SUCCESS;
}

static int train_all(const cli_options *given, const cli_ranks *ranks, seed_files *files, training_run *runs,
                     bool *together)
{
    int64_t count = (int64_t)option_value(given, "seeds")->integer;
    int failed = EXIT_SUCCESS;
    for (int64_t i = 0; i < count && !failed; i++) {
        uint64_t seed = given->seed + (uint64_t)i;
        failed = name_files(&files[i], given, seed);
        if (failed)
            return failed;
        cli_options own = options_for_seed(given, &files[i], seed);
        cleanup_begin(&own);
        runs[i].name = files[i].output;
        failed = train_once(&own, ranks, &runs[i].log, together);
        if (!failed)
            failed = draw_runs(given, ranks, runs, i + 1);
    }
    return failed;
}

int train_seeds(const cli_options *given, const cli_ranks *ranks, bool *together)
{
    int64_t count = (int64_t)option_value(given, "seeds")->integer;
    seed_files *files = calloc((size_t)count, sizeof *files);
    training_run *runs = calloc((size_t)count, sizeof *runs);
    int failed = files && runs ? check_outputs(given) : fail_memory();
    if (!failed)
        failed = check_safetensors_name(given, "output", false);
    if (!failed)
        failed = train_all(given, ranks, files, runs, together);
    for (int64_t i = 0; i < count && !failed && !ranks->rank; i++)
        if (!option_text(given, "keep-checkpoint"))
            remove(files[i].checkpoint);
    if (!failed && !ranks->rank)
        failed = print_runs(runs, count, true, given);
    for (int64_t i = 0; i < count && files && runs; i++) {
        log_close(&runs[i].log);
        free_files(&files[i]);
    }
    free(files);
    free(runs);
    return failed;
}
