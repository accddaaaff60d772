/* Files as the system has them: links, permissions, what is on the disk. */
#ifndef NFT_CLI_FILES_H
#define NFT_CLI_FILES_H

#include <stdbool.h>

/* Where a path leads if it is a symbolic link, whether that is there or not, else the path; NULL with errno
 * set. Free it. */
char *follow_links(const char *path);

/* Whether a path is there and neither a regular file nor a folder nor a block device: it is written to, not
 * replaced. The process's own descriptors, "/dev/stdout" for example, are of this kind whatever they are. */
bool is_written_in_place(const char *path);

/* Opens it to be written to, or -1 with errno set; a pipe that nobody reads is ENXIO, not a wait. */
int open_in_place(const char *path);

/* fsync, again where a signal interrupted it; true also where a file system does not know it. */
bool sync_to_disk(int descriptor);

/* Gives a new file the permissions of the one that it will replace, or else those of any new file. */
bool copy_permissions(int descriptor, const char *target);

#endif
