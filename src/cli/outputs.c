#define _POSIX_C_SOURCE 200809L
#include "outputs.h"

#include "files.h"
#include "report.h"
#include "text.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPTION_CAPACITY 32

/* Names that promise a format which the program does not write, or reads only. */
static const char *const foreign_endings[] = {
    ".npy",  ".npz",   ".pt", ".pth", ".ckpt", ".bin", ".pkl", ".h5",  ".hdf5", ".onnx",
    ".gguf", ".keras", ".gz", ".zip", ".tar",  ".tsv", ".xml", ".png", ".jpg",  ".jpeg",
};
/* The same of formats that some commands write. */
static const char *const text_endings[] = {".csv", ".txt", ".json", ".jsonl", ".svg"};

/* The folder of a file, to be freed; NULL without memory. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash && slash > path ? (size_t)(slash - path) : 1;
    char *folder = malloc(length + 1);
    if (!folder)
        return NULL;
    memcpy(folder, slash ? path : ".", length);
    folder[length] = 0;
    return folder;
}

/* The folder where a new file would be made. */
static int check_folder(const char *path)
{
    char *target = follow_links(path), *folder = target ? folder_of(target) : NULL;
    int failed = EXIT_SUCCESS;
    if (!target && errno != ENOMEM)
        failed = fail("%s: cannot write: %s", path, strerror(errno));
    else if (!folder)
        failed = fail_memory();
    else if (access(folder, W_OK))
        failed = fail("%s: cannot write to folder '%s': %s", path, folder, strerror(errno));
    free(folder);
    free(target);
    return failed;
}

static int check_place(const char *path, option_kind kind, bool force)
{
    struct stat found;
    bool exists = !stat(path, &found), stream = kind == OPTION_STREAM;
    if (exists && S_ISDIR(found.st_mode))
        return fail("%s: is a folder, expected the name of a file", path);
    if (exists && kind == OPTION_RESULT && is_written_in_place(path))
        return EXIT_SUCCESS;
    if (exists && !stream && !S_ISREG(found.st_mode))
        return fail("%s: cannot write: it is not a regular file", path);
    if (exists && S_ISREG(found.st_mode) && !(found.st_mode & 0222) && !force)
        return fail("%s: is read-only; --force %s it all the same", path, stream ? "writes to" : "replaces");
    return exists && stream ? EXIT_SUCCESS : check_folder(path);
}

int check_output_path(const cli_options *given, const char *path)
{
    return check_place(path, OPTION_OUTPUT, given->force);
}

static bool is_output(const cli_value *value)
{
    option_kind kind = value->option->kind;
    return value->text && (kind == OPTION_OUTPUT || kind == OPTION_RESULT || kind == OPTION_STREAM);
}

/* Bytes of a file on a terminal are of no use to anybody. */
static int check_terminal(const cli_options *given)
{
    return given->prints_result && isatty(STDOUT_FILENO)
               ? fail("standard output is a terminal, which a file cannot be written to")
               : EXIT_SUCCESS;
}

/* "-o" or "--plot". */
static const char *name_of(char *text, const cli_option *option)
{
    bool brief = option->letter != 0;
    snprintf(text, OPTION_CAPACITY, brief ? "-%.*s" : "--%.*s", brief ? 1 : OPTION_CAPACITY - 3,
             brief ? &option->letter : option->name);
    return text;
}

static bool same_inode(const char *a, const char *b)
{
    struct stat first, second;
    return !stat(a, &first) && !stat(b, &second) && !S_ISCHR(first.st_mode) &&
           first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

bool same_file(const char *a, const char *b)
{
    if (!strcmp(a, b) || same_inode(a, b))
        return true;
    if (strcmp(text_file_name(a), text_file_name(b)) != 0)
        return false;
    char *first = folder_of(a), *second = folder_of(b);
    bool same = !first || !second || same_inode(first, second); /* without memory nothing is overwritten */
    free(first);
    free(second);
    return same;
}

/* An operand may be FILE:NAME. */
static bool is_operand(const char *path, const char *operand)
{
    const char *colon = strrchr(operand, ':');
    if (same_file(path, operand))
        return true;
    if (!colon || !access(operand, F_OK))
        return false;
    char file[PATH_MAX]; /* a longer text is no file */
    snprintf(file, sizeof file, "%.*s", (int)(colon - operand), operand);
    return colon - operand < PATH_MAX && same_file(path, file);
}

/* A result that replaced one of its inputs would destroy it. */
static int fail_input(const char *path, const cli_option *option)
{
    char name[OPTION_CAPACITY];
    return fail("%s: is also an input; give %s another file", path, name_of(name, option));
}

static int check_against(const cli_options *given, const cli_value *output)
{
    char names[2][OPTION_CAPACITY];
    for (int i = 0; i < given->operand_count; i++)
        if (is_operand(output->text, given->operands[i]))
            return fail_input(output->text, output->option);
    for (int i = 0; i < given->value_count; i++) {
        const cli_value *other = &given->values[i];
        if (other == output || !other->text || !(is_output(other) || other->option->kind == OPTION_INPUT) ||
            !same_file(output->text, other->text))
            continue;
        return is_output(other) ? fail("%s: is given to %s and to %s; they are two files", output->text,
                                       name_of(names[0], output->option), name_of(names[1], other->option))
                                : fail_input(output->text, output->option);
    }
    return EXIT_SUCCESS;
}

int check_outputs(const cli_options *given)
{
    int failed = check_terminal(given);
    for (int i = 0; i < given->value_count && !failed; i++) {
        const cli_value *value = &given->values[i];
        if (!is_output(value))
            continue;
        failed = check_place(value->text, value->option->kind, given->force);
        if (!failed)
            failed = check_against(given, value);
        if (!failed && !strcmp(value->option->name, "plot") && !text_ends_with(value->text, ".svg") &&
            !text_ends_with(value->text, ".png") && !is_written_in_place(value->text))
            failed = fail("--plot %s: expected a name that ends in .svg or .png", value->text);
    }
    return failed;
}

int check_input(const cli_options *given, const char *path)
{
    for (int i = 0; i < given->value_count && path; i++)
        if (is_output(&given->values[i]) && same_file(path, given->values[i].text))
            return fail_input(path, given->values[i].option);
    return EXIT_SUCCESS;
}

static bool ends_with_one(const char *path, const char *const *endings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (text_ends_with(path, endings[i]))
            return true;
    return false;
}

bool has_foreign_ending(const char *path)
{
    return ends_with_one(path, foreign_endings, sizeof foreign_endings / sizeof *foreign_endings);
}

int check_safetensors_name(const cli_options *given, const char *option, bool and_index)
{
    const char *path = option_text(given, option);
    if (!path || (and_index && text_ends_with(path, ".json")))
        return EXIT_SUCCESS;
    return has_foreign_ending(path) ||
                   ends_with_one(path, text_endings, sizeof text_endings / sizeof *text_endings)
               ? fail("%s: 'nftool %s' writes safetensors there, expected a name that ends in .safetensors%s",
                      path, given->command->name, and_index ? ", or in .json for an index" : "")
               : EXIT_SUCCESS;
}
