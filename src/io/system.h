/* System calls on files, repeated until they are done, and the reasons why they are not. */
#ifndef NFT_IO_SYSTEM_H
#define NFT_IO_SYSTEM_H

#include "base/status.h"

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

/* Makes a new, empty file with an unpredictable name in the folder of `path`. Its name, to be released, goes
 * to `name`. */
nft_status nft_create_beside(const char *path, char **name, int *descriptor);

#endif
