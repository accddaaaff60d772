/* System calls on files, repeated until they are done, and the reasons why they are not. */
#ifndef NFT_IO_SYSTEM_H
#define NFT_IO_SYSTEM_H

#include "base/status.h"
#include "base/target.h"

#include <stdbool.h>

/* "PATH: cannot ACTION: reason", the reason being errno's; path NULL leaves it out. Returns NFT_ERROR_FILE.
 */
nft_status nft_fail_system(const char *path, const char *action);

/* Opens a regular file to be read; anything else (a folder, a pipe) is an error. */
nft_status nft_open_regular(const char *path, int *descriptor, int64_t *size);

/* Reads `bytes` bytes at `offset`. A file that ends before is NFT_ERROR_FORMAT. Messages leave
 * the path to the caller. */
nft_status nft_read_at(int descriptor, int64_t offset, int64_t bytes, void *out);

/* False with errno set when not everything could be written. */
bool nft_write_fully(int descriptor, const void *data, int64_t bytes);
bool nft_write_at(int descriptor, int64_t offset, const void *data, int64_t bytes);

/* As nft_sync(), for all files of the file system of `descriptor`: one call for many files. */
bool nft_sync_all(int descriptor);

/* A new file next to the one that it will replace; or a device or a pipe that is written to itself. */
typedef struct nft_replacement {
    char *target;   /* the file to replace: the path, symbolic links followed */
    char *name;     /* NULL: none */
    int descriptor; /* to write to; -1 once it is closed */
    int lock;       /* the same open file; -1: none */
} nft_replacement;

/* The beginning of a nft_replacement that holds nothing. */
#define NFT_REPLACEMENT_NONE                                                                                 \
    {                                                                                                        \
        NULL, NULL, -1, -1                                                                                   \
    }

/* Makes it, empty, in the folder of `path`, or of the file that `path` links to, with the permissions of the
 * file that it will replace. A device or a pipe is opened instead. The rest of a process that was killed
 * while it wrote to the same path is removed. Files of processes that still write are not touched. */
nft_status nft_replacement_create(nft_replacement *replacement, const char *path);
/* Closes it and gives it the name. False with errno set, and the failed call in *action. */
bool nft_replacement_commit(nft_replacement *replacement, const char **action);
/* Removes it, if it is still there, and frees everything. */
void nft_replacement_clear(nft_replacement *replacement);

#endif
