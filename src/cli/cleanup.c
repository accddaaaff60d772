#define _XOPEN_SOURCE 700
#include "cleanup.h"

#include "files.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACES 16           /* that the library tries: .NAME.nft-0.tmp … .NAME.nft-15.tmp */
#define MOST_DESCRIPTORS 64 /* that are looked at */

static char *names[MAX_OPTIONS * PLACES];
static volatile sig_atomic_t name_count;
static const char *volatile own;

/* The file that has the name is one that this process has open: others may write to the same output. */
static bool is_open_here(const char *name)
{
    struct stat named, opened;
    if (lstat(name, &named))
        return false;
    for (int descriptor = 3; descriptor < MOST_DESCRIPTORS; descriptor++)
        if (!fstat(descriptor, &opened) && opened.st_dev == named.st_dev && opened.st_ino == named.st_ino)
            return true;
    return false;
}

/* Calls only functions that are safe in a signal handler. */
static void clean_up(int number)
{
    for (int i = 0; i < name_count; i++)
        if (is_open_here(names[i]))
            unlink(names[i]);
    if (own)
        unlink(own);
    raise(number); /* to its default, which SA_RESETHAND has restored */
}

/* "folder/.NAME.nft-PLACE.tmp" */
static char *name_part(const char *target, int place)
{
    const char *slash = strrchr(target, '/');
    size_t folder = slash ? (size_t)(slash - target) + 1 : 0, length = strlen(target);
    const char ending[] = {'.', 'n', 'f', 't', '-', (char)('0' + place / 10), (char)('0' + place % 10),
                           '.', 't', 'm', 'p', 0};
    size_t skipped = place < 10 ? 1 : 0;
    char *name = malloc(length + sizeof ending + 1);
    if (!name)
        return NULL;
    memcpy(name, target, folder);
    name[folder] = '.';
    memcpy(name + folder + 1, target + folder, length - folder);
    memcpy(name + length + 1, ending, 5);
    memcpy(name + length + 6, ending + 5 + skipped, sizeof ending - 5 - skipped);
    return name;
}

static void add_output(const char *path)
{
    char *target = is_written_in_place(path) ? NULL : follow_links(path);
    for (int place = 0; place < PLACES && target; place++) {
        char *name = name_part(target, place);
        if (name)
            names[name_count++] = name;
    }
    free(target);
}

void cleanup_begin(const cli_options *given)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGXCPU};
    int former = name_count;
    name_count = 0;
    for (int i = 0; i < former; i++)
        free(names[i]);
    for (int i = 0; i < given->value_count; i++) {
        option_kind kind = given->values[i].option->kind;
        if (given->values[i].text && (kind == OPTION_OUTPUT || kind == OPTION_RESULT))
            add_output(given->values[i].text);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action = {.sa_flags = (int)(SA_RESETHAND | SA_NODEFER)}, before;
        action.sa_handler = clean_up;
        if (!sigaction(numbers[i], NULL, &before) && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
}

void cleanup_also(const char *name)
{
    own = name;
}
