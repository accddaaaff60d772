/* The files that a user means: folders, patterns, lists. */
#define _DEFAULT_SOURCE /* d_type is not needed, realpath is */
#define _POSIX_C_SOURCE 200809L
#include "io/collect/collect.h"
#include "io/collect/pattern.h"
#include "io/system.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_FOLDERS 64 /* inside each other */

/* A search for files. */
typedef struct path_search {
    nft_paths *paths;
    const char *const *outputs, *table;
    const char *files; /* a pattern for files of folders; NULL: any */
} path_search;

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), suffix = strlen(end);
    return length >= suffix && !strcmp(text + length - suffix, end);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Text, tables and pictures that stand next to networks; an index of shards is a network. */
static bool is_other(const char *path)
{
    static const char *const ends[] = {".json", ".jsonl", ".csv",  ".tsv", ".txt",     ".md",
                                       ".yaml", ".yml",   ".toml", ".log", ".partial", ".py",
                                       ".sh",   ".png",   ".jpg",  ".svg"};
    if (ends_with(path, ".safetensors.index.json") || ends_with(path, ".bin.index.json"))
        return false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(path, ends[i]))
            return true;
    return false;
}

/* "NAME-00001-of-00002.END" next to "NAME.END.index.json", which is read instead. */
static bool is_shard(const char *path)
{
    const char *end = strrchr(path, '.');
    static const char digits[] = "0123456789";
    if (!end || end - path < 15 || strncmp(end - 9, "-of-", 4) != 0 || end[-15] != '-' ||
        strspn(end - 14, digits) != 5 || strspn(end - 5, digits) != 5)
        return false;
    nft_text index = {0};
    nft_text_append(&index, "%.*s%s.index.json", (int)(end - 15 - path), path, end);
    bool found = !index.failed && !access(index.data, R_OK);
    nft_text_clear(&index);
    return found;
}

static const char *without_dots(const char *path)
{
    while (!strncmp(path, "./", 2))
        path += 2;
    return path;
}

/* The output, or a part of it: NAME-0.safetensors next to NAME.json. */
static bool is_of_output(const char *whole, const char *path)
{
    const char *output = file_name(whole), *name = file_name(path);
    size_t folder = (size_t)(output - whole), stem = strlen(output);
    if (strlen(path) - strlen(name) != folder || strncmp(path, whole, folder) != 0)
        return false;
    if (!strcmp(name, output))
        return true;
    if (!ends_with(output, ".json"))
        return false;
    stem -= strlen(".json");
    if (strncmp(name, output, stem) != 0 || name[stem] != '-')
        return false;
    name += stem + 1;
    size_t digits = strspn(name, "0123456789");
    return digits && !strcmp(name + digits, ".safetensors");
}

static bool is_output(const path_search *search, const char *path)
{
    for (const char *const *output = search->outputs; *output; output++)
        if (is_of_output(without_dots(*output), without_dots(path)))
            return true;
    return false;
}

static nft_status add(path_search *search, const char *path)
{
    nft_paths *paths = search->paths;
    bool is_table = search->table && !strcmp(path, search->table);
    if (is_output(search, path) || is_table || is_other(path) || is_shard(path)) {
        paths->others++;
        return NFT_OK;
    }
    nft_status status = nft_grow(&paths->items, paths->count + 1, &paths->capacity, sizeof *paths->items,
                                 "a list of paths", 0);
    if (status)
        return status;
    paths->items[paths->count] = nft_copy_text(path);
    if (!paths->items[paths->count])
        return nft_fail_memory("a path", (int64_t)strlen(path));
    paths->count++;
    return NFT_OK;
}

static nft_status walk(path_search *search, const char *folder, int depth);

static nft_status add_found(path_search *search, const char *path, int depth)
{
    struct stat about;
    const char *label;
    size_t length;
    if (stat(path, &about))
        return nft_fail_system(path, "read");
    if (S_ISDIR(about.st_mode))
        return walk(search, path, depth);
    if (!depth || !search->files || nft_pattern_matches(search->files, path, &label, &length))
        return add(search, path);
    search->paths->others++;
    return NFT_OK;
}

static nft_status walk(path_search *search, const char *folder, int depth)
{
    if (depth > MOST_FOLDERS)
        return nft_fail(NFT_ERROR_FILE, "%s: more than %d folders are inside each other", folder,
                        MOST_FOLDERS);
    DIR *stream = opendir(folder);
    if (!stream)
        return nft_fail_system(folder, "read the folder");
    size_t length = strlen(folder);
    nft_status status = NFT_OK;
    for (struct dirent *entry; !status && (entry = readdir(stream));) {
        nft_text path = {0};
        if (entry->d_name[0] == '.')
            continue;
        nft_text_append(&path, "%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/",
                        entry->d_name);
        status = path.failed ? nft_fail_memory("a path", (int64_t)length)
                             : add_found(search, path.data, depth + 1);
        nft_text_clear(&path);
    }
    closedir(stream);
    return status;
}

static nft_status add_pattern(path_search *search, const char *pattern)
{
    glob_t found = {0};
    int failed = glob(pattern, 0, NULL, &found);
    nft_status status = NFT_OK;
    if (failed == GLOB_NOSPACE)
        status = nft_fail_memory("a list of paths", (int64_t)strlen(pattern));
    else if (failed)
        status = nft_fail(NFT_ERROR_FILE, "%s: there is no such file, and no file has that pattern", pattern);
    for (size_t i = 0; !failed && i < found.gl_pathc && !status; i++)
        status = add_found(search, found.gl_pathv[i], 0);
    if (!failed)
        globfree(&found);
    return status;
}

static nft_status add_given(path_search *search, const char *path, bool in_list);

static nft_status add_list(path_search *search, const char *path)
{
    char *text = NULL;
    size_t length = 0;
    nft_status status = nft_read_text_file(&text, &length, path);
    char *next = text;
    while (next && *next && !status) {
        char *line = next, *end = line + strcspn(line, "\r\n");
        next = end + strspn(end, "\r\n");
        *end = 0;
        if (*line)
            status = add_given(search, line, true);
    }
    nft_release(text);
    return status;
}

/* A file that is there is meant by its name, whatever characters that has. */
static nft_status add_given(path_search *search, const char *path, bool in_list)
{
    struct stat about;
    if (!stat(path, &about))
        return S_ISDIR(about.st_mode) ? walk(search, path, 0) : add(search, path);
    if (path[0] == '@' && !in_list)
        return add_list(search, path + 1);
    if (strpbrk(path, "*?["))
        return add_pattern(search, path);
    return nft_fail_system(path, "read");
}

static int compare(const void *a, const void *b)
{
    return nft_compare_names(*(char *const *)a, *(char *const *)b);
}

static void remove_twins(nft_paths *paths)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < paths->count; i++)
        if (kept && !strcmp(paths->items[i], paths->items[kept - 1]))
            nft_release(paths->items[i]);
        else
            paths->items[kept++] = paths->items[i];
    paths->count = kept;
}

nft_status nft_paths_find(nft_paths *paths, const char *const *given, int64_t count,
                          const char *const *outputs, const char *table, const char *files)
{
    path_search search = {paths, outputs, table, files};
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < count && !status; i++)
        status = given[i] ? add_given(&search, given[i], false) : nft_fail_null("nft_collect", "paths[i]");
    if (status)
        return status;
    if (!paths->count)
        return nft_fail(NFT_ERROR_FILE, "%s: no file of networks is there", given[0]);
    qsort(paths->items, (size_t)paths->count, sizeof *paths->items, compare);
    remove_twins(paths);
    return NFT_OK;
}

void nft_paths_clear(nft_paths *paths)
{
    for (int64_t i = 0; i < paths->count; i++)
        nft_release(paths->items[i]);
    nft_release(paths->items);
    *paths = (nft_paths){0};
}
