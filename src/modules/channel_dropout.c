/* Dropout of whole effective channels of a weight matrix, all its rows and columns, and of single entries of
 * biases. */
#include "modules/dropout.h"

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    return status ? status : nft_dropout_configure(module, builder, options);
}

const nft_module_class nft_module_channel_dropout = {
    .type = "channel_dropout", .in_place = true, .configure = configure, .forward = nft_dropout_forward};
