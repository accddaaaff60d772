#define _DEFAULT_SOURCE /* fchown */
#define _XOPEN_SOURCE 700
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_LINKS 40 /* as of the system */

/* What a link says, as seen from its folder; NULL with errno set, EINVAL of what is no link. */
static char *read_link(const char *path)
{
    char target[PATH_MAX];
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0)
        return NULL;
    const char *slash = strrchr(path, '/');
    size_t folder = slash && target[0] != '/' ? (size_t)(slash - path) + 1 : 0;
    char *joined = malloc(folder + (size_t)length + 1);
    if (!joined)
        return NULL;
    memcpy(joined, path, folder);
    memcpy(joined + folder, target, (size_t)length);
    joined[folder + (size_t)length] = 0;
    return joined;
}

char *follow_links(const char *path)
{
    size_t size = strlen(path) + 1;
    char *target = malloc(size);
    if (target)
        memcpy(target, path, size);
    for (int i = 0; target; i++) {
        char *next = i < MOST_LINKS ? read_link(target) : NULL;
        if (i == MOST_LINKS)
            errno = ELOOP;
        if (!next && (errno == EINVAL || errno == ENOENT))
            return target;
        free(target);
        target = next;
    }
    return NULL;
}

static bool is_descriptor(const char *path)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    for (int i = 0; i < 2; i++)
        if (!strncmp(path, folders[i], strlen(folders[i])))
            return true;
    return !strcmp(path, "/dev/stdout") || !strcmp(path, "/dev/stderr");
}

bool is_written_in_place(const char *path)
{
    struct stat about;
    if (stat(path, &about))
        return false;
    return is_descriptor(path) ||
           !(S_ISREG(about.st_mode) || S_ISDIR(about.st_mode) || S_ISBLK(about.st_mode));
}

int open_in_place(const char *path)
{
    int descriptor = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int flags = descriptor < 0 ? -1 : fcntl(descriptor, F_GETFL);
    if (flags >= 0)
        (void)fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK);
    return descriptor;
}

bool sync_to_disk(int descriptor)
{
    int failed;
    do
        failed = fsync(descriptor);
    while (failed && errno == EINTR);
    return !failed || errno == EINVAL;
}

bool copy_permissions(int descriptor, const char *target)
{
    struct stat about;
    if (stat(target, &about)) {
        mode_t mask = umask(0);
        umask(mask);
        return !fchmod(descriptor, 0666 & ~mask);
    }
    mode_t mode = about.st_mode & 0777, others = about.st_mode & 7;
    if (fchown(descriptor, about.st_uid, about.st_gid)) /* another group gets no more than all have */
        mode = (mode & 0707) | (mode & others << 3);
    return !fchmod(descriptor, mode);
}
