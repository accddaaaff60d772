#include "modules/shared/value.h"

int64_t nft_value_floats(const nft_value *value, const nft_space *space)
{
    switch (value->kind) {
    case NFT_VALUE_FEATURES:
        return nft_size_multiply(value->lifted ? space->tokens : space->numbers, value->channels);
    case NFT_VALUE_TOKENS:
        return nft_size_multiply(value->tokens, value->channels);
    default:
        return value->channels;
    }
}

const nft_space *nft_value_space(const nft_value *value, const nft_space *space)
{
    return space && value->lifted ? nft_space_lifted(space) : space;
}
