#define _POSIX_C_SOURCE 200809L
#include "report.h"

#include "escape.h"
#include "progress.h"

#include <errno.h>
#include <math.h>
#include <nft/nft.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#undef fail /* the analyzer's */
#undef fail_library
#undef fail_memory

#define LINE_CAPACITY 2048

#define MOST_NAMES 8

static struct {
    const char *path, *name;
} names[MOST_NAMES];
static int name_count;

void report_path_as(const char *path, const char *name)
{
    if (name_count == MOST_NAMES)
        return;
    names[name_count].path = path;
    names[name_count++].name = name;
}

/* The path ends there: "/proc/self/fd/3" is no part of "/proc/self/fd/31". */
static const char *find_path(const char *text, const char *path)
{
    const char *found = strstr(text, path);
    while (found && strchr("0123456789", found[strlen(path)]) && found[strlen(path)])
        found = strstr(found + 1, path);
    return found;
}

static void replace_path(char *text, size_t size, const char *path, const char *name)
{
    char copy[LINE_CAPACITY];
    const char *found = find_path(text, path);
    if (!found)
        return;
    snprintf(copy, sizeof copy, "%.*s%s%s", (int)(found - text), text, name, found + strlen(path));
    snprintf(text, size, "%s", copy);
}

/* One line, whatever bytes a file name holds. */
static void format_line(char *line, size_t size, const char *format, va_list arguments)
{
    char raw[LINE_CAPACITY];
    vsnprintf(raw, sizeof raw, format, arguments);
    for (int i = 0; i < name_count; i++)
        replace_path(raw, sizeof raw, names[i].path, names[i].name);
    escape_text(line, size, raw);
}

static void print_line(const char *prefix, const char *format, va_list arguments)
{
    char line[LINE_CAPACITY];
    format_line(line, sizeof line, format, arguments);
    progress_hide();
    fprintf(stderr, "%s: %s\n", prefix, line);
}

static struct {
    char *line;
    size_t size;
} taken; /* where failures go that are not printed */

void fail_into(char *line, size_t size)
{
    taken.line = line;
    taken.size = size;
}

int fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (taken.line)
        format_line(taken.line, taken.size, format, arguments);
    else
        print_line("nftool", format, arguments);
    va_end(arguments);
    return EXIT_FAILED;
}

const char *library_message(void)
{
    const char *message = nft_error_message(),
               *end = message + strspn(message, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return strncmp(message, "nft_", 4) || strncmp(end, ": ", 2) ? message : end + 2;
}

int fail_library(void)
{
    return fail("%s", library_message());
}

int fail_memory(void)
{
    return fail("out of memory");
}

void usage_error(const char *command, const char *format, ...)
{
    char prefix[32], line[1024];
    va_list arguments;
    va_start(arguments, format);
    format_line(line, sizeof line, format, arguments);
    va_end(arguments);
    snprintf(prefix, sizeof prefix, "%s%s", command ? "nftool " : "nftool", command ? command : "");
    fprintf(stderr, "%s: %s (see '%s --help')\n", prefix, line, prefix);
}

void note(const cli_options *given, const char *format, ...)
{
    if (given->quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    print_line("nftool", format, arguments);
    va_end(arguments);
}

static bool chains_known;

bool report_chains_known(bool known)
{
    bool before = chains_known;
    chains_known = known;
    return before;
}

static bool doubts_fail;

void report_doubts_fail(bool fail)
{
    doubts_fail = fail;
}

bool report_leaves_out(const char *line)
{
    return (chains_known && strstr(line, "a file does not show residual connections")) ||
           (doubts_fail && strstr(line, "give the network's space"));
}

static bool results_are_notes;

void report_results_as_notes(void)
{
    results_are_notes = true;
}

static FILE *results(void)
{
    return results_are_notes ? stderr : stdout;
}

void say(const char *format, ...)
{
    char line[LINE_CAPACITY];
    va_list arguments;
    va_start(arguments, format);
    format_line(line, sizeof line, format, arguments);
    va_end(arguments);
    progress_hide();
    fprintf(results(), "%s\n", line);
}

int print_json(json_t *object)
{
    if (!object)
        return fail_memory();
    progress_hide();
    int failed = json_dumpf(object, results(), JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
    json_decref(object);
    fputc('\n', results());
    if (!failed)
        return EXIT_SUCCESS;
    failed = finish_output();
    return failed ? failed : fail_memory();
}

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_text(const char *text)
{
    json_t *string = json_string(text);
    char ascii[1024];
    if (string)
        return string;
    snprintf(ascii, sizeof ascii, "%s", text);
    for (char *c = ascii; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return json_string(ascii);
}

json_t *json_shape(const int64_t *shape, int64_t rank)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < rank; i++)
        json_array_append_new(list, json_integer(shape[i]));
    return list;
}

/* As in 'nftool … | head': the reader has read enough. An earlier write may have met that, and its errno is
 * lost. */
static bool reader_is_gone(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return errno == EPIPE || (poll(&output, 1, 0) > 0 && (output.revents & POLLERR));
}

int finish_output(void)
{
    errno = 0;
    if (!fflush(stdout) && !ferror(stdout))
        return EXIT_SUCCESS;
    int code = errno;
    if (reader_is_gone())
        return EXIT_FAILED;
    errno = code;
    return fail("cannot write to standard output%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
}
