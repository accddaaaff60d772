#define _DEFAULT_SOURCE /* flock */
#define _XOPEN_SOURCE 700
#include "output_lock.h"

#include "files.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *name_lock(const char *output)
{
    char *target = follow_links(output);
    if (!target)
        return NULL;
    const char *slash = strrchr(target, '/');
    size_t folder = slash ? (size_t)(slash - target) + 1 : 0, length = strlen(target);
    char *name = malloc(length + sizeof "..lock");
    if (name) {
        memcpy(name, target, folder);
        name[folder] = '.';
        memcpy(name + folder + 1, target + folder, length - folder);
        memcpy(name + length + 1, ".lock", sizeof ".lock");
    }
    free(target);
    return name;
}

static int open_lock(const char *name)
{
    int descriptor;
    do
        descriptor = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0666);
    while (descriptor < 0 && errno == EINTR);
    return descriptor;
}

/* Who had it may have removed the file between our opening it and locking it. */
static bool is_there(int descriptor, const char *name)
{
    struct stat opened, named;
    return !fstat(descriptor, &opened) && !lstat(name, &named) && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

int output_lock_take(output_lock *lock, const char *output)
{
    *lock = (output_lock)OUTPUT_LOCK_NONE;
    char *name = name_lock(output);
    if (!name)
        return fail_memory();
    for (;;) {
        lock->descriptor = open_lock(name);
        int refused = lock->descriptor < 0 ? 0 : flock(lock->descriptor, LOCK_EX | LOCK_NB);
        if (refused && errno == EWOULDBLOCK) {
            free(name);
            output_lock_release(lock);
            return fail("%s: another training writes to it now; wait for its end, or give another --output",
                        output);
        }
        /* Without locks, or with a name that is too long, there is none to be had. */
        if (lock->descriptor < 0 || refused || is_there(lock->descriptor, name))
            break;
        close(lock->descriptor);
    }
    lock->name = name;
    return EXIT_SUCCESS;
}

void output_lock_release(output_lock *lock)
{
    if (lock->descriptor >= 0) {
        if (lock->name)
            unlink(lock->name);
        close(lock->descriptor);
    }
    free(lock->name);
    *lock = (output_lock)OUTPUT_LOCK_NONE;
}
