/* What the dropout modules share. */
#ifndef NFT_MODULES_DROPOUT_H
#define NFT_MODULES_DROPOUT_H

#include "modules/shared/module.h"

typedef struct nft_dropout {
    double p;        /* the probability to be dropped, in [0, 1) */
    uint64_t stream; /* of its random numbers */
} nft_dropout;

/* Reads the option `p` into the module's state, an nft_dropout. */
nft_status nft_dropout_configure(nft_module *module, const nft_builder *builder, nft_options *options);

#endif
