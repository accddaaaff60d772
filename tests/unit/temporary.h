/* Temporary files of a test, in a new folder. */
#ifndef NFT_TEST_TEMPORARY_H
#define NFT_TEST_TEMPORARY_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char temporary_folder[64];

/* For a group's setup: makes the folder below the current one. */
static int temporary_open(void **state)
{
    (void)state;
    strcpy(temporary_folder, "nft-test-XXXXXX");
    return mkdtemp(temporary_folder) ? 0 : -1;
}

/* The name of a file in the folder, valid until the fourth call from now. */
static inline const char *temporary_path(const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", temporary_folder, name);
    return path;
}

/* How many entries the folder has; removes them if told so. */
static inline int temporary_entries(int and_remove)
{
    int count = 0;
    DIR *folder = opendir(temporary_folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        count++;
        if (and_remove)
            remove(temporary_path(entry->d_name));
    }
    if (folder)
        closedir(folder);
    return count;
}

/* For a group's teardown. */
static int temporary_close(void **state)
{
    (void)state;
    temporary_entries(1);
    return rmdir(temporary_folder);
}

static inline void temporary_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file))
        abort();
}

/* Bytes of a safetensors file; free them. */
static inline unsigned char *safetensors_bytes(const char *header, const void *data, size_t data_size,
                                               size_t *size)
{
    size_t length = strlen(header);
    *size = 8 + length + data_size;
    unsigned char *bytes = malloc(*size);
    if (!bytes)
        abort();
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(length >> 8 * i & 0xff);
    memcpy(bytes + 8, header, length);
    if (data_size)
        memcpy(bytes + 8 + length, data, data_size);
    return bytes;
}

#endif
