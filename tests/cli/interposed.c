/* A library for LD_PRELOAD that makes a chosen system call of a program fail or change something.
 * REPLACED=PATH, REPLACEMENT=OTHER, REPLACED_AT=N: behind the Nth open of PATH, OTHER is renamed to it.
 * SLOW=1: each write to a file takes half a second. INTERRUPTED=fsync: each second call of it fails with
 * EINTR. KILLED=NAME, KILLED_AT=N: instead of the Nth rename to a file of that name the program is killed;
 * KILLED=fsync: instead of the Nth call of it.
 * ALONE=1: fork fails with EPERM where the process has several threads, whose locks a child could not
 * release. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static void replace(const char *path)
{
    static int opened;
    const char *replaced = getenv("REPLACED"), *replacement = getenv("REPLACEMENT"),
               *at = getenv("REPLACED_AT");
    if (replaced && replacement && at && !strcmp(path, replaced) && ++opened == atoi(at))
        (void)rename(replacement, replaced);
}

static bool interrupts(const char *call)
{
    static int calls;
    const char *interrupted = getenv("INTERRUPTED");
    if (!interrupted || strcmp(interrupted, call) != 0 || ++calls % 2 == 0)
        return false;
    errno = EINTR;
    return true;
}

static int open_next(const char *name, const char *path, int flags, mode_t mode)
{
    int (*next)(const char *, int, ...) = NULL;
    *(void **)&next = dlsym(RTLD_NEXT, name);
    int descriptor = next(path, flags, mode);
    replace(path);
    return descriptor;
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(arguments, int) : 0;
    va_end(arguments);
    return open_next("open", path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(arguments, int) : 0;
    va_end(arguments);
    return open_next("open64", path, flags, mode);
}

static void kill_at(const char *event)
{
    static int events;
    const char *killed = getenv("KILLED"), *at = getenv("KILLED_AT");
    if (killed && at && !strcmp(event, killed) && ++events == atoi(at))
        (void)raise(SIGKILL);
}

EXPORT int rename(const char *from, const char *to)
{
    int (*next)(const char *, const char *) = NULL;
    *(void **)&next = dlsym(RTLD_NEXT, "rename");
    const char *slash = strrchr(to, '/');
    kill_at(slash ? slash + 1 : to);
    return next(from, to);
}

EXPORT ssize_t write(int descriptor, const void *bytes, size_t count)
{
    ssize_t (*next)(int, const void *, size_t) = NULL;
    *(void **)&next = dlsym(RTLD_NEXT, "write");
    if (getenv("SLOW") && descriptor > 2)
        usleep(500000);
    return next(descriptor, bytes, count);
}

EXPORT int fsync(int descriptor)
{
    if (getenv("SLOW"))
        usleep(500000);
    kill_at("fsync");
    int (*next)(int) = NULL;
    *(void **)&next = dlsym(RTLD_NEXT, "fsync");
    return interrupts("fsync") ? -1 : next(descriptor);
}

static int count_threads(void)
{
    DIR *threads = opendir("/proc/self/task");
    int count = 0;
    while (threads && readdir(threads))
        count++;
    if (threads)
        closedir(threads);
    return count - 2; /* . and .. */
}

EXPORT pid_t fork(void)
{
    pid_t (*next)(void) = NULL;
    *(void **)&next = dlsym(RTLD_NEXT, "fork");
    if (getenv("ALONE") && count_threads() != 1) {
        errno = EPERM;
        return -1;
    }
    return next();
}
