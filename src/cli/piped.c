#define _GNU_SOURCE /* memfd_create */
#include "piped.h"

#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_PIPED 8
#define MOST_BYTES (INT64_C(1) << 30)
#define PIECE_BYTES (1 << 16)

static const char standard_input[] = "standard input";

static struct {
    char path[32];
} piped[MOST_PIPED];
static int piped_count;

static bool is_standard_input(const char *path)
{
    return !strcmp(path, "-") || !strcmp(path, "/dev/stdin") || !strcmp(path, "/dev/fd/0") ||
           !strcmp(path, "/proc/self/fd/0");
}

static bool has_to_be_read(const char *path)
{
    struct stat about;
    if (is_standard_input(path))
        return fstat(STDIN_FILENO, &about) || !S_ISREG(about.st_mode);
    return !stat(path, &about) && (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode));
}

static bool write_piece(int target, const char *bytes, ssize_t count)
{
    while (count > 0) {
        ssize_t put = write(target, bytes, (size_t)count);
        if (put < 0 && errno != EINTR)
            return false;
        bytes += put > 0 ? put : 0;
        count -= put > 0 ? put : 0;
    }
    return true;
}

/* A size of more than `most` bytes is refused. */
static int copy_all(int source, int target, int64_t most, const char *name)
{
    char piece[PIECE_BYTES];
    for (int64_t done = 0;;) {
        ssize_t got = read(source, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail("%s: cannot read: %s", name, strerror(errno));
        if (!got)
            return EXIT_SUCCESS;
        done += got;
        if (done > most)
            return fail("%s: is a pipe of more than %" PRId64 " bytes; write it to a file first", name, most);
        if (!write_piece(target, piece, got))
            return fail("%s: cannot keep what a pipe gives: %s", name, strerror(errno));
    }
}

static int read_pipe(int source, const char *name, const char **path, const cli_options *given)
{
    int64_t most = given->memory_limit && given->memory_limit < MOST_BYTES ? given->memory_limit : MOST_BYTES;
    if (piped_count == MOST_PIPED)
        return fail("%s: more than %d inputs are pipes", name, MOST_PIPED);
    int target = memfd_create("nftool", MFD_CLOEXEC);
    if (target < 0)
        return fail("%s: cannot keep what a pipe gives: %s", name, strerror(errno));
    int failed = copy_all(source, target, most, name);
    if (failed) {
        close(target);
        return failed;
    }
    char *own = piped[piped_count++].path;
    snprintf(own, sizeof piped[0].path, "/proc/self/fd/%d", target);
    report_path_as(own, name);
    *path = own;
    return EXIT_SUCCESS;
}

static int replace(const char **path, const cli_options *given)
{
    static bool taken;
    bool standard = is_standard_input(*path);
    const char *name = standard ? standard_input : *path;
    if (standard && taken)
        return fail("standard input is given for two inputs");
    taken = taken || standard;
    if (standard && !has_to_be_read(*path)) {
        *path = "/dev/stdin";
        return EXIT_SUCCESS;
    }
    if (!has_to_be_read(*path))
        return EXIT_SUCCESS;
    int source = standard ? STDIN_FILENO : open(*path, O_RDONLY | O_CLOEXEC);
    if (source < 0)
        return fail("%s: cannot open: %s", *path, strerror(errno));
    int failed = read_pipe(source, name, path, given);
    if (!standard)
        close(source);
    return failed;
}

int read_piped_inputs(cli_options *given)
{
    int failed = EXIT_SUCCESS;
    for (int i = 0; i < given->operand_count && !failed; i++) {
        const char *path = given->operands[i];
        failed = replace(&path, given);
        given->operands[i] = (char *)path;
    }
    for (int i = 0; i < given->value_count && !failed; i++)
        if (given->values[i].option->kind == OPTION_INPUT && given->values[i].text)
            failed = replace(&given->values[i].text, given);
    return failed;
}

bool is_piped(const char *path)
{
    for (int i = 0; i < piped_count; i++)
        if (!strcmp(path, piped[i].path))
            return true;
    return !strcmp(path, "/dev/stdin");
}
