#include "rewrite.h"

#include "omega.h"
#include "report.h"

#include <stdlib.h>

int rewrite_weights(nft_weights *weights, const char *path, double omega)
{
    char text[OMEGA_CAPACITY];
    nft_status status = NFT_OK;
    if (omega > 0 && !nft_weights_metadata(weights, OMEGA_KEY))
        status = nft_weights_set_metadata(weights, OMEGA_KEY, write_omega(text, omega));
    if (!status)
        status = nft_weights_save(weights, path);
    return status ? fail_library() : EXIT_SUCCESS;
}
