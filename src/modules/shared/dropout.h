/* Shared by the dropout modules. */
#ifndef NFT_MODULES_DROPOUT_H
#define NFT_MODULES_DROPOUT_H

#include "modules/shared/module.h"

typedef struct nft_dropout {
    double p;        /* the probability to be dropped, in [0, 1) */
    uint64_t stream; /* of its random numbers */
} nft_dropout;

/* Reads the option `p`. */
nft_status nft_dropout_read(nft_dropout *dropout, const nft_builder *builder, nft_options *options);

#endif
