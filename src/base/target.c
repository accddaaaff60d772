#define _DEFAULT_SOURCE /* fchown */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include "base/target.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_LINKS 40 /* as of the system */

/* The target of a link, as seen from its folder. False with errno set, EINVAL for a file that is no link. */
static bool read_link(const char *path, char next[NFT_TARGET_BYTES])
{
    char said[NFT_TARGET_BYTES];
    ssize_t length = readlink(path, said, sizeof said);
    if (length < 0)
        return false;
    const char *slash = strrchr(path, '/');
    size_t folder = slash && said[0] != '/' ? (size_t)(slash - path) + 1 : 0;
    if (folder + (size_t)length >= NFT_TARGET_BYTES) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(next, path, folder);
    memcpy(next + folder, said, (size_t)length);
    next[folder + (size_t)length] = 0;
    return true;
}

bool nft_follow_links(const char *path, char target[NFT_TARGET_BYTES])
{
    char next[NFT_TARGET_BYTES];
    size_t length = strlen(path);
    if (length >= NFT_TARGET_BYTES) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(target, path, length + 1);
    for (int i = 0; i < MOST_LINKS; i++) {
        if (!read_link(target, next))
            return errno == EINVAL || errno == ENOENT;
        memcpy(target, next, sizeof next);
    }
    errno = ELOOP;
    return false;
}

bool nft_is_descriptor(const char *path)
{
    return !strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/proc/self/fd/", 14) ||
           !strcmp(path, "/dev/stdout") || !strcmp(path, "/dev/stderr");
}

int nft_open_in_place(const char *path)
{
    int descriptor;
    do
        descriptor = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    while (descriptor < 0 && errno == EINTR);
    int flags = descriptor < 0 ? -1 : fcntl(descriptor, F_GETFL);
    if (flags >= 0)
        (void)fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK);
    return descriptor;
}

bool nft_copy_permissions(int descriptor, const char *target)
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

bool nft_sync(int descriptor)
{
    int failed;
    do
        failed = fsync(descriptor);
    while (failed && errno == EINTR);
    return !failed || errno == EINVAL;
}
