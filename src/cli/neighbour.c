#define _DEFAULT_SOURCE /* mkstemps */
#define _XOPEN_SOURCE 700
#include "neighbour.h"

#include "cleanup.h"
#include "files.h"
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENDING ".tmp"

static int fail_write(const cli_neighbour *neighbour)
{
    return fail("%s: cannot write: %s", neighbour->path, strerror(errno));
}

/* Expects the target. */
static int begin_next_to_target(cli_neighbour *neighbour)
{
    static const char file[] = ".nft-XXXXXX" ENDING; /* short: a name has a length that it may have */
    const char *slash = strrchr(neighbour->target, '/');
    size_t folder = slash ? (size_t)(slash - neighbour->target) + 1 : 0;
    neighbour->name = malloc(folder + sizeof file);
    if (!neighbour->name)
        return fail_memory();
    memcpy(neighbour->name, neighbour->target, folder);
    memcpy(neighbour->name + folder, file, sizeof file);
    cleanup_also(neighbour->name);
    int descriptor = mkstemps(neighbour->name, sizeof ENDING - 1);
    if (descriptor < 0)
        return fail_write(neighbour);
    if (nft_copy_permissions(descriptor, neighbour->target))
        neighbour->stream = fdopen(descriptor, "wb");
    if (neighbour->stream)
        return EXIT_SUCCESS;
    int failed = fail_write(neighbour);
    close(descriptor);
    unlink(neighbour->name);
    return failed;
}

int neighbour_begin(cli_neighbour *neighbour, const char *path)
{
    *neighbour = (cli_neighbour){.path = path};
    if (is_written_in_place(path)) {
        int descriptor = nft_open_in_place(path);
        neighbour->stream = descriptor < 0 ? NULL : fdopen(descriptor, "ab");
        return neighbour->stream ? EXIT_SUCCESS : fail_write(neighbour);
    }
    neighbour->target = follow_links(path);
    return neighbour->target ? begin_next_to_target(neighbour) : fail_write(neighbour);
}

/* On the disk before it has its name: after a power failure there is the old file or the new one. */
static bool flush_to_disk(FILE *stream)
{
    return !fflush(stream) && !ferror(stream) && nft_sync(fileno(stream));
}

int neighbour_finish(cli_neighbour *neighbour, int failed)
{
    const char *name = neighbour->name;
    if (neighbour->stream) {
        bool written = failed || flush_to_disk(neighbour->stream);
        written = !fclose(neighbour->stream) && written;
        if (!failed && (!written || (name && rename(name, neighbour->target))))
            failed = fail_write(neighbour);
        if (failed && name)
            unlink(name);
    }
    cleanup_also(NULL);
    free(neighbour->name);
    free(neighbour->target);
    *neighbour = (cli_neighbour){0};
    return failed;
}
