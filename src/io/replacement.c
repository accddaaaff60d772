/* New files next to those that they replace: .NAME.nft-0.tmp, or -1, … where others write to the same path.
 * Every writer holds a lock on its file. The lock ends with the process. A file without a lock is the rest of
 * a killed process, and is removed. Only its owner gives such a file another name, and never without the
 * lock. */
#define _DEFAULT_SOURCE /* flock, getentropy */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include "base/memory.h"
#include "base/target.h"
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

/* Only the owner can read it, until it has the permissions of the file that it replaces. */
static int create_new(const char *name)
{
    return open_again(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
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

/* Removes the file of this name if nobody writes to it. False if it stays. By the time that it is open and
 * locked it may be renamed, or be another file. */
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
static nft_status create_next_to_target(nft_replacement *replacement, const char *path)
{
    nft_text name = {0};
    replacement->descriptor = create(&name, replacement->target);
    if (name.failed || replacement->descriptor < 0) {
        nft_status status = name.failed ? nft_fail_memory("a file name", (int64_t)strlen(path))
                                        : nft_fail_system(path, "write a new file in its folder");
        nft_text_clear(&name);
        return status;
    }
    replacement->name = name.data;
    replacement->lock = fcntl(replacement->descriptor, F_DUPFD_CLOEXEC, 0);
    if (replacement->lock < 0 || !nft_copy_permissions(replacement->descriptor, replacement->target))
        return nft_fail_system(path, "write a new file in its folder");
    return NFT_OK;
}

nft_status nft_replacement_create(nft_replacement *replacement, const char *path)
{
    struct stat about;
    *replacement = (nft_replacement)NFT_REPLACEMENT_NONE;
    if (!*path)
        return nft_fail(NFT_ERROR_FILE, "the path is empty");
    if (!stat(path, &about) && (!S_ISREG(about.st_mode) || nft_is_descriptor(path))) {
        replacement->descriptor = nft_open_in_place(path);
        return replacement->descriptor < 0 ? nft_fail_system(path, "write") : NFT_OK;
    }
    char target[NFT_TARGET_BYTES];
    if (!nft_follow_links(path, target))
        return nft_fail_system(path, "follow the link");
    replacement->target = nft_copy_text(target);
    if (!replacement->target)
        return nft_fail_memory("a file name", (int64_t)strlen(target));
    nft_status status = create_next_to_target(replacement, path);
    if (status)
        nft_replacement_clear(replacement);
    return status;
}

/* Synchronises the folder of a file, and shortens `name` to it, so that the new name is on the disk before
 * later work relies on it. Some folders cannot be synchronised; that is no error. */
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
bool nft_replacement_commit(nft_replacement *replacement, const char **action)
{
    int closed = close(replacement->descriptor);
    replacement->descriptor = -1;
    *action = "write";
    if (closed && errno != EINTR)
        return false;
    if (!replacement->name)
        return true;
    *action = "replace";
    if (rename(replacement->name, replacement->target))
        return false;
    sync_folder(replacement->name);
    nft_release(replacement->name);
    replacement->name = NULL;
    return true;
}

void nft_replacement_clear(nft_replacement *replacement)
{
    if (replacement->name)
        unlink(replacement->name);
    if (replacement->descriptor >= 0)
        close(replacement->descriptor);
    if (replacement->lock >= 0)
        close(replacement->lock);
    nft_release(replacement->name);
    nft_release(replacement->target);
    *replacement = (nft_replacement)NFT_REPLACEMENT_NONE;
}
