/* Files as the system has them; more in base/target.h. */
#ifndef NFT_CLI_FILES_H
#define NFT_CLI_FILES_H

#include "base/target.h"

#include <stdbool.h>

/* As nft_follow_links(), a copy; NULL with errno set. Free it. */
char *follow_links(const char *path);

/* Whether a path is there and neither a regular file nor a folder nor a block device: it is written to, not
 * replaced. The process's own descriptors, "/dev/stdout" for example, are of this kind whatever they are. */
bool is_written_in_place(const char *path);

#endif
