#include "base/threads.h"
#include "math/blas.h"
#include "math/kernel_set.h"
#include "nft/base.h"

#include <pthread.h>
#include <stdio.h>

#define TEXT(x) #x
#define NUMBER(x) TEXT(x)
#define VERSION NUMBER(NFT_VERSION_MAJOR) "." NUMBER(NFT_VERSION_MINOR) "." NUMBER(NFT_VERSION_PATCH)

const char *nft_version(void)
{
    return VERSION;
}

static char build_info[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void describe_build(void)
{
    snprintf(build_info, sizeof build_info, "libnft " VERSION ", %s, %s kernels (%d floats), %d cores",
             nft_blas_describe(), nft_kernel_set_in_use()->name, nft_vector()->width, nft_machine_cores());
}

const char *nft_build_info(void)
{
    pthread_once(&once, describe_build);
    return build_info;
}
