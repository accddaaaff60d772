#define _POSIX_C_SOURCE 200809L
#include "parts.h"

#include "neighbour.h"
#include "outputs.h"
#include "report.h"
#include "sources.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_END ".json"

typedef struct part_run {
    const cli_options *given;
    parts_work *work;
    const char *output;
    nft_dataset *dataset;
    int64_t count;
} part_run;

/* The file of a part of the output; free it. */
static char *part_path(const part_run *run, int64_t part)
{
    int stem = (int)(strlen(run->output) - strlen(INDEX_END));
    size_t size = strlen(run->output) + 40;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%.*s-%" PRId64 ".safetensors", stem, run->output, part);
    return path;
}

static int check_part(const part_run *run, const char *path)
{
    nft_dataset_part part = NFT_DATASET_PART_INIT;
    for (int64_t i = 0; i < run->count; i++) {
        if (nft_dataset_get_part(&part, run->dataset, i))
            return fail_library();
        if (same_file(path, part.path))
            return fail("%s: is also an input; give -o another file", path);
    }
    return EXIT_SUCCESS;
}

/* No part of the output may be one of the input. */
static int check_parts(const part_run *run)
{
    int failed = EXIT_SUCCESS;
    for (int64_t i = 0; i < run->count && !failed; i++) {
        char *path = part_path(run, i);
        failed = path ? check_part(run, path) : fail_memory();
        free(path);
    }
    return failed;
}

static int run_part(const part_run *run, int64_t index)
{
    nft_dataset_part part = NFT_DATASET_PART_INIT;
    cli_options own = *run->given;
    char *path = part_path(run, index);
    if (!path || nft_dataset_get_part(&part, run->dataset, index)) {
        free(path);
        return path ? fail_library() : fail_memory();
    }
    char *input = strdup(part.path);
    own.operands = &input;
    for (int i = 0; i < own.value_count; i++)
        if (!strcmp(own.values[i].option->name, "output"))
            own.values[i].text = path;
    int failed = input ? run->work(&own, part.first) : fail_memory();
    free(input);
    free(path);
    return failed;
}

/* Names are relative to the index. */
static json_t *describe_part(const part_run *run, int64_t index)
{
    nft_dataset_part part = NFT_DATASET_PART_INIT;
    char *path = part_path(run, index);
    const char *slash = path ? strrchr(path, '/') : NULL;
    json_t *object =
        path && !nft_dataset_get_part(&part, run->dataset, index)
            ? json_pack("{s:s, s:I}", "file", slash ? slash + 1 : path, "count", (json_int_t)part.count)
            : NULL;
    free(path);
    return object;
}

static int write_index(const part_run *run)
{
    cli_neighbour file;
    json_t *parts = json_array();
    for (int64_t i = 0; i < run->count; i++)
        json_array_append_new(parts, describe_part(run, i));
    json_t *index = json_pack("{s:i, s:o}", "format_version", 1, "parts", parts);
    int failed = neighbour_begin(&file, run->output);
    if (!failed && (!index || json_dumpf(index, file.stream, JSON_INDENT(2)) || fputc('\n', file.stream) < 0))
        failed = fail("%s: cannot write", run->output);
    json_decref(index);
    return neighbour_finish(&file, failed);
}

static int run_parts(part_run *run)
{
    int failed = check_parts(run);
    for (int64_t i = 0; i < run->count && !failed; i++)
        failed = run_part(run, i);
    return failed ? failed : write_index(run);
}

int work_on_parts(const cli_options *given, parts_work *work)
{
    part_run run = {.given = given, .work = work, .output = option_text(given, "output")};
    int failed = check_outputs(given);
    bool index = !failed && is_index(given->operands[0]);
    if (!failed && !index)
        failed = check_safetensors_name(given, "output", false);
    if (failed || !index)
        return failed ? failed : work(given, 0);
    if (!text_ends_with(run.output, INDEX_END) || strlen(run.output) == strlen(INDEX_END))
        return fail("%s: is an index, so that --output must be one too, a name that ends in " INDEX_END
                    "; '%s' does not",
                    given->operands[0], run.output);
    failed = open_dataset(&run.dataset, given->operands[0], NULL, given);
    run.count = nft_dataset_describe(run.dataset)->part_count;
    if (!failed)
        failed = run_parts(&run);
    nft_dataset_free(run.dataset);
    return failed;
}
