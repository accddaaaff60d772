/* NFT_HDF5 is the name of the library's file. */
#include "io/formats/hdf5_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdbool.h>
#include <string.h>

static const struct {
    const char *symbol;
    size_t member;
} symbols[] = {
#define ROW(name) {"H5" #name, offsetof(nft_hdf5_library, name)},
    NFT_HDF5_FUNCTIONS(ROW)
#undef ROW
#define ROW(name) {"H5" #name "_g", offsetof(nft_hdf5_library, name)},
        NFT_HDF5_IDENTIFIERS(ROW)
#undef ROW
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
nft_hdf5_library nft_hdf5;
static bool is_found, is_loaded;

static void load(void)
{
    unsigned major, minor, release;
    void *handle = dlopen(NFT_HDF5, RTLD_NOW | RTLD_LOCAL);
    is_found = handle != NULL;
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols && handle; i++) {
        void *symbol = dlsym(handle, symbols[i].symbol);
        if (!symbol)
            return;
        memcpy((char *)&nft_hdf5 + symbols[i].member, &symbol, sizeof symbol);
    }
    is_loaded = is_found && nft_hdf5.open() >= 0 && nft_hdf5.get_libversion(&major, &minor, &release) >= 0 &&
                major == H5_VERS_MAJOR && minor == H5_VERS_MINOR;
}

nft_status nft_hdf5_load(void)
{
    pthread_once(&once, load);
    if (is_loaded)
        return NFT_OK;
    return nft_fail(NFT_ERROR_FORMAT, "it is an HDF5 file, and the library that reads it, %s, is %s",
                    NFT_HDF5, is_found ? "of another version than libnft was built for" : "not installed");
}
