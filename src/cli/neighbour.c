#define _DEFAULT_SOURCE /* mkstemps */
#define _XOPEN_SOURCE 700
#include "neighbour.h"

#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENDING ".tmp"

static int fail_write(const cli_neighbour *neighbour)
{
    return fail("%s: cannot write: %s", neighbour->path, strerror(errno));
}

/* With the permissions of any new file, which mkstemps does not give. */
static FILE *open_stream(int descriptor)
{
    mode_t mask = umask(0);
    umask(mask);
    return fchmod(descriptor, 0666 & ~mask) ? NULL : fdopen(descriptor, "wb");
}

int neighbour_begin(cli_neighbour *neighbour, const char *path)
{
    static const char file[] = ".nft-XXXXXX" ENDING; /* short: a name has a length that it may have */
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    *neighbour = (cli_neighbour){.path = path, .name = malloc(folder + sizeof file)};
    if (!neighbour->name)
        return fail_memory();
    memcpy(neighbour->name, path, folder);
    memcpy(neighbour->name + folder, file, sizeof file);
    int descriptor = mkstemps(neighbour->name, sizeof ENDING - 1);
    if (descriptor < 0)
        return fail_write(neighbour);
    neighbour->stream = open_stream(descriptor);
    if (neighbour->stream)
        return EXIT_SUCCESS;
    int failed = fail_write(neighbour);
    close(descriptor);
    unlink(neighbour->name);
    return failed;
}

/* On the disk before it has its name: after a power failure there is the old file or the new one. Some kinds
 * of file systems do not know that, and say EINVAL. */
static bool flush_to_disk(FILE *stream)
{
    return !fflush(stream) && !ferror(stream) && (!fsync(fileno(stream)) || errno == EINVAL);
}

int neighbour_finish(cli_neighbour *neighbour, int failed)
{
    if (neighbour->stream) {
        bool written = failed || flush_to_disk(neighbour->stream);
        written = !fclose(neighbour->stream) && written;
        if (!failed && (!written || rename(neighbour->name, neighbour->path)))
            failed = fail_write(neighbour);
        if (failed)
            unlink(neighbour->name);
    }
    free(neighbour->name);
    *neighbour = (cli_neighbour){0};
    return failed;
}
