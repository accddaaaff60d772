/* Spaces in configurations. */
#ifndef NFT_IO_SPACE_JSON_H
#define NFT_IO_SPACE_JSON_H

#include "config/json.h"
#include "nft/space.h"

nft_status nft_space_from_json(nft_space **space, const json_t *value);

#endif
