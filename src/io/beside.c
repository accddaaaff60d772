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

static int create_new(const char *name)
{
    int descriptor;
    do
        descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    while (descriptor < 0 && errno == EINTR);
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

nft_status nft_beside_create(nft_beside *beside, const char *path)
{
    nft_text name = {0};
    *beside = (nft_beside)NFT_BESIDE_NONE;
    if (!*path)
        return nft_fail(NFT_ERROR_FILE, "the path is empty");
    beside->descriptor = create(&name, path);
    nft_status status = NFT_OK;
    if (name.failed)
        status = nft_fail_memory("a file name", (int64_t)strlen(path));
    else if (beside->descriptor < 0)
        status = nft_fail_system(path, "write a new file in its folder");
    if (status) {
        nft_text_clear(&name);
        return status;
    }
    beside->name = name.data;
    beside->lock = fcntl(beside->descriptor, F_DUPFD_CLOEXEC, 0);
    if (beside->lock >= 0)
        return NFT_OK;
    status = nft_fail_system(path, "write a new file in its folder");
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
bool nft_beside_commit(nft_beside *beside, const char *path, const char **action)
{
    int closed = close(beside->descriptor);
    beside->descriptor = -1;
    *action = "write";
    if (closed && errno != EINTR)
        return false;
    *action = "replace";
    if (rename(beside->name, path))
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
    *beside = (nft_beside)NFT_BESIDE_NONE;
}
