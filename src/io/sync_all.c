#define _GNU_SOURCE /* syncfs */
#include "io/system.h"

#include <errno.h>
#include <unistd.h>

bool nft_sync_all(int descriptor)
{
#ifdef __linux__
    return !syncfs(descriptor) || errno == EINVAL;
#else
    sync();
    return nft_sync(descriptor);
#endif
}
