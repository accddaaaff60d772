/* Bytes as a file that has a path, for functions that open files by name: one file in memory, written anew
 * for each input. */
#ifndef NFT_FUZZ_BYTES_AS_FILE_H
#define NFT_FUZZ_BYTES_AS_FILE_H

#ifndef _GNU_SOURCE
#error "memfd_create() needs _GNU_SOURCE"
#endif

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct bytes_as_file {
    int descriptor;
    char path[64];
} bytes_as_file;

static inline void make_file(bytes_as_file *file, const char *name)
{
    file->descriptor = memfd_create(name, 0);
    if (file->descriptor < 0)
        abort();
    snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->descriptor);
}

static inline void write_file(const bytes_as_file *file, const uint8_t *bytes, size_t size)
{
    if (ftruncate(file->descriptor, 0) || pwrite(file->descriptor, bytes, size, 0) != (ssize_t)size)
        abort();
}

#endif
