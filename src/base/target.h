/* The place where a file is written: links, devices, permissions, and the state on the disk. The program is
 * compiled with these, too, so nothing here uses another part of the library. */
#ifndef NFT_BASE_TARGET_H
#define NFT_BASE_TARGET_H

#include <stdbool.h>

#define NFT_TARGET_BYTES 4096 /* that a path may have, its end included */

/* Where a path leads if it is a symbolic link, whether that is there or not, else the path. False with errno
 * set. */
bool nft_follow_links(const char *path, char target[NFT_TARGET_BYTES]);

/* Whether a path is one of the process's own descriptors, "/dev/stdout" for example, which may be anything:
 * it is written to, not replaced. */
bool nft_is_descriptor(const char *path);

/* Opens a device or a pipe to be written to, or -1 with errno set; a pipe that nobody reads is ENXIO, not a
 * wait. */
int nft_open_in_place(const char *path);

/* Gives a new file the permissions of the one that it will replace, its group too where the process may give
 * it; else those of any new file. */
bool nft_copy_permissions(int descriptor, const char *target);

/* fsync, again where a signal interrupted it; true also where a file system does not know it. */
bool nft_sync(int descriptor);

#endif
