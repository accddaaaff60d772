#define _POSIX_C_SOURCE 200809L
#include "base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_CAPACITY 1024
#define TEXT_CAPACITY 4096

/* The beginning of a file as text; false if there is none. */
static bool read_file(char *text, size_t capacity, const char *path)
{
    size_t used = 0;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    for (ssize_t got = 1; used + 1 < capacity && got;) {
        got = read(descriptor, text + used, capacity - 1 - used);
        if (got < 0 && errno != EINTR)
            break;
        used += got > 0 ? (size_t)got : 0;
    }
    close(descriptor);
    text[used] = 0;
    return used > 0;
}

static bool read_setting(char *text, size_t capacity, const char *folder, const char *name)
{
    char path[PATH_CAPACITY + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return read_file(text, capacity, path);
}

/* INT64_MAX for "max", for -1, and for a text that is no number. */
static int64_t number_of(const char *text)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    return end == text || errno || number <= 0 ? INT64_MAX : (int64_t)number;
}

static void limit_memory(nft_cgroup *limits, const char *folder, const char *name)
{
    char text[64];
    int64_t bytes = read_setting(text, sizeof text, folder, name) ? number_of(text) : INT64_MAX;
    limits->memory = bytes < limits->memory ? bytes : limits->memory;
}

static void limit_cores(nft_cgroup *limits, int64_t quota, int64_t period)
{
    if (quota == INT64_MAX || period == INT64_MAX)
        return;
    int64_t cores = quota / period + (quota % period ? 1 : 0);
    limits->cores = cores < limits->cores ? cores : limits->cores;
}

static void limit_by_version_1(nft_cgroup *limits, const char *folder)
{
    char quota[64], period[64];
    limit_memory(limits, folder, "memory.limit_in_bytes");
    if (read_setting(quota, sizeof quota, folder, "cpu.cfs_quota_us") &&
        read_setting(period, sizeof period, folder, "cpu.cfs_period_us"))
        limit_cores(limits, number_of(quota), number_of(period));
}

static void limit_by_version_2(nft_cgroup *limits, const char *folder)
{
    char text[64];
    limit_memory(limits, folder, "memory.max");
    if (!read_setting(text, sizeof text, folder, "cpu.max"))
        return;
    const char *period = strchr(text, ' ');
    limit_cores(limits, number_of(text), period ? number_of(period) : 100000);
}

typedef void limit_folder(nft_cgroup *limits, const char *folder);

/* The group's own folder and those above it, up to that of the hierarchy. In a container the path may be that
 * outside, of which only the hierarchy's folder is there. */
static void limit_by_all(nft_cgroup *limits, const char *hierarchy, const char *path, limit_folder *limit)
{
    char folder[PATH_CAPACITY];
    size_t root = strlen(hierarchy);
    if (snprintf(folder, sizeof folder, "%s%s", hierarchy, path) >= (int)sizeof folder)
        return;
    for (;;) {
        limit(limits, folder);
        char *slash = strrchr(folder + root, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

/* Whether a list "cpu,cpuacct" has a controller. */
static bool has_controller(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (!strncmp(at, name, length) && (!at[length] || at[length] == ','))
            return true;
    }
    return false;
}

/* "4:memory:/path", or "0::/path" of version 2, which may also be mounted with version 1, in `unified`. */
static void limit_by_line(nft_cgroup *limits, char *line, const char *mount)
{
    static const char *const controllers[] = {"memory", "cpu"};
    char hierarchy[PATH_CAPACITY], *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
    if (!path)
        return;
    *path++ = 0;
    list++;
    for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++)
        if (has_controller(list, controllers[i])) {
            snprintf(hierarchy, sizeof hierarchy, "%s/%s", mount, controllers[i]);
            limit_by_all(limits, hierarchy, path, limit_by_version_1);
        }
    if (*list)
        return;
    limit_by_all(limits, mount, path, limit_by_version_2);
    snprintf(hierarchy, sizeof hierarchy, "%s/unified", mount);
    limit_by_all(limits, hierarchy, path, limit_by_version_2);
}

nft_cgroup nft_cgroup_read(const char *membership, const char *mount)
{
    nft_cgroup limits = {INT64_MAX, INT64_MAX};
    char text[TEXT_CAPACITY];
    if (!read_file(text, sizeof text, membership))
        return limits;
    for (char *line = text; line;) {
        char *end = strchr(line, '\n');
        if (end)
            *end = 0;
        limit_by_line(&limits, line, mount);
        line = end ? end + 1 : NULL;
    }
    return limits;
}

static nft_cgroup own;

static void read_own(void)
{
    own = nft_cgroup_read("/proc/self/cgroup", "/sys/fs/cgroup");
}

const nft_cgroup *nft_cgroup_limits(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_own);
    return &own;
}
