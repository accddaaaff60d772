/* New files beside those that they replace: .NAME.nft-0.tmp, or -1, … where others write to the same path.
 * Who writes to one holds a lock on it, which ends with the process: one that nobody holds is what a killed
 * process left, and is removed. Only its owner gives such a file another name, and never without the lock. */
#define _DEFAULT_SOURCE /* flock, getentropy */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include "base/memory.h"
#include "io/system.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACES 16 /* which are tried */

static int open_again(const char *name, int flags, mode_t mode)
{
    int descriptor;
    do
        descriptor = open(name, flags | O_CLOEXEC, mode);
    while (descriptor < 0 && errno == EINTR);
    return descriptor;
}

/* For the owner's eyes alone, until it has the permissions of what it replaces. */
static int create_new(const char *name)
{
    return open_again(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
}

/* Those of the file that is there, its group too where the process may give it; else those of any new file.
 */
static bool set_permissions(int descriptor, const char *target)
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

#define MOST_LINKS 40 /* as of the system */

/* What a link says, as seen from its folder; NULL with errno set, EINVAL of what is no link. */
static char *read_link(const char *path)
{
    char target[4096];
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0)
        return NULL;
    const char *slash = strrchr(path, '/');
    nft_text text = {0};
    if (slash && target[0] != '/')
        nft_text_append_bytes(&text, path, (size_t)(slash - path) + 1);
    nft_text_append_bytes(&text, target, (size_t)length);
    if (!text.failed)
        return text.data;
    nft_text_clear(&text);
    errno = ENOMEM;
    return NULL;
}

/* The path itself, or where its links lead, whether that is there or not. */
static char *follow_links(const char *path)
{
    char *target = nft_copy_text(path);
    if (!target)
        errno = ENOMEM;
    for (int i = 0; target; i++) {
        char *next = i < MOST_LINKS ? read_link(target) : NULL;
        if (i == MOST_LINKS)
            errno = ELOOP;
        if (!next && (errno == EINVAL || errno == ENOENT))
            return target;
        nft_release(target);
        target = next;
    }
    return NULL;
}

/* One of the process's own, which may be anything: what it is to be replaced with would not arrive there. */
static bool is_descriptor(const char *path)
{
    return !strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/proc/self/fd/", 14) ||
           !strcmp(path, "/dev/stdout") || !strcmp(path, "/dev/stderr");
}

/* A pipe that nobody reads is an error, not a wait. */
static int open_device(const char *path)
{
    int descriptor = open_again(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY, 0);
    int flags = descriptor < 0 ? -1 : fcntl(descriptor, F_GETFL);
    if (flags >= 0)
        (void)fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK);
    return descriptor;
}

/* False also where the file system has no locks: then nothing is taken for abandoned. */
static bool lock(int descriptor)
{
    int failed;
    do
        failed = flock(descriptor, LOCK_EX | LOCK_NB);
    while (failed && errno == EINTR);
    return !failed;
}

/* Whether nobody writes to what has the name, which is then removed. It may be renamed, or anything else, by
 * the time that it is open and locked. */
static bool remove_abandoned(const char *name)
{
    struct stat opened, named;
    int descriptor = open(name, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    if (descriptor < 0)
        return errno == ENOENT;
    bool removed = !fstat(descriptor, &opened) && S_ISREG(opened.st_mode) && lock(descriptor) &&
                   !lstat(name, &named) && opened.st_ino == named.st_ino && opened.st_dev == named.st_dev &&
                   !unlink(name);
    close(descriptor);
    return removed;
}

/* A new file is taken for abandoned by whoever comes before its lock. */
static bool was_taken(int descriptor)
{
    struct stat about;
    if (!lock(descriptor) && errno == EWOULDBLOCK)
        return true;
    return !fstat(descriptor, &about) && about.st_nlink == 0;
}

/* -1 with errno set; EEXIST: the place is taken. */
static int create_in_place(const char *name)
{
    int descriptor = create_new(name);
    if (descriptor < 0 && errno == EEXIST) {
        bool free_again = remove_abandoned(name);
        errno = EEXIST;
        if (free_again)
            descriptor = create_new(name);
    }
    if (descriptor >= 0 && was_taken(descriptor)) {
        close(descriptor);
        descriptor = -1;
        errno = EEXIST;
    }
    return descriptor;
}

/* A name that nobody else has, where the others are taken or too long for the file system. */
static int create_anywhere(nft_text *name, int folder, const char *path)
{
    int descriptor = -1;
    do {
        uint64_t number = 0;
        if (getentropy(&number, sizeof number))
            return -1;
        nft_text_clear(name);
        nft_text_append(name, "%.*s.nft-%016" PRIx64 ".tmp", folder, path, number);
        if (!name->failed)
            descriptor = create_new(name->data);
    } while (!name->failed && descriptor < 0 && errno == EEXIST);
    return descriptor;
}

static int create(nft_text *name, const char *path)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    int folder = (int)(file - path), descriptor = -1;
    bool taken = true;
    for (int place = 0; place < PLACES && taken; place++) {
        nft_text_clear(name);
        nft_text_append(name, "%.*s.%s.nft-%d.tmp", folder, path, file, place);
        if (name->failed)
            return -1;
        descriptor = create_in_place(name->data);
        taken = descriptor < 0 && errno == EEXIST;
    }
    if (descriptor < 0 && (taken || errno == ENAMETOOLONG))
        return create_anywhere(name, folder, path);
    return descriptor;
}

/* Expects the target. */
static nft_status create_beside(nft_beside *beside, const char *path)
{
    nft_text name = {0};
    beside->descriptor = create(&name, beside->target);
    if (name.failed || beside->descriptor < 0) {
        nft_status status = name.failed ? nft_fail_memory("a file name", (int64_t)strlen(path))
                                        : nft_fail_system(path, "write a new file in its folder");
        nft_text_clear(&name);
        return status;
    }
    beside->name = name.data;
    beside->lock = fcntl(beside->descriptor, F_DUPFD_CLOEXEC, 0);
    if (beside->lock < 0 || !set_permissions(beside->descriptor, beside->target))
        return nft_fail_system(path, "write a new file in its folder");
    return NFT_OK;
}

nft_status nft_beside_create(nft_beside *beside, const char *path)
{
    struct stat about;
    *beside = (nft_beside)NFT_BESIDE_NONE;
    if (!*path)
        return nft_fail(NFT_ERROR_FILE, "the path is empty");
    if (!stat(path, &about) && (!S_ISREG(about.st_mode) || is_descriptor(path))) {
        beside->descriptor = open_device(path);
        return beside->descriptor < 0 ? nft_fail_system(path, "write") : NFT_OK;
    }
    beside->target = follow_links(path);
    if (!beside->target)
        return errno == ENOMEM ? nft_fail_memory("a file name", (int64_t)strlen(path))
                               : nft_fail_system(path, "follow the link");
    nft_status status = create_beside(beside, path);
    if (status)
        nft_beside_clear(beside);
    return status;
}

/* Of a file, whose name it shortens. So the new name is on the disk too before anything that relies on it is
 * done; where a folder cannot be synchronised, that is as good as it gets. */
static void sync_folder(char *name)
{
    char *slash = strrchr(name, '/');
    if (slash)
        slash[1] = 0;
    int descriptor = open(slash ? name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return;
    (void)nft_sync(descriptor);
    close(descriptor);
}

/* The lock outlives the descriptor, whose closing may fail, until the file has its name. */
bool nft_beside_commit(nft_beside *beside, const char **action)
{
    int closed = close(beside->descriptor);
    beside->descriptor = -1;
    *action = "write";
    if (closed && errno != EINTR)
        return false;
    if (!beside->name)
        return true;
    *action = "replace";
    if (rename(beside->name, beside->target))
        return false;
    sync_folder(beside->name);
    nft_release(beside->name);
    beside->name = NULL;
    return true;
}

void nft_beside_clear(nft_beside *beside)
{
    if (beside->name)
        unlink(beside->name);
    if (beside->descriptor >= 0)
        close(beside->descriptor);
    if (beside->lock >= 0)
        close(beside->lock);
    nft_release(beside->name);
    nft_release(beside->target);
    *beside = (nft_beside)NFT_BESIDE_NONE;
}
