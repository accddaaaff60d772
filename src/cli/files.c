#define _XOPEN_SOURCE 700
#include "files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *follow_links(const char *path)
{
    char target[NFT_TARGET_BYTES];
    if (!nft_follow_links(path, target))
        return NULL;
    size_t size = strlen(target) + 1;
    char *copy = malloc(size);
    return copy ? memcpy(copy, target, size) : NULL;
}

bool is_written_in_place(const char *path)
{
    struct stat about;
    if (stat(path, &about))
        return false;
    return nft_is_descriptor(path) ||
           !(S_ISREG(about.st_mode) || S_ISDIR(about.st_mode) || S_ISBLK(about.st_mode));
}
