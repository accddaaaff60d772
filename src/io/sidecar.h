/* NAME.json next to NAME.pt: facts about a network that its file does not have. */
#ifndef NFT_IO_SIDECAR_H
#define NFT_IO_SIDECAR_H

#include "base/memory.h"
#include "config/json.h"
#include "nft/space.h"

/* The path of the sidecar that a file would have. */
nft_status nft_sidecar_path(nft_text *sidecar, const char *path);
/* NULL if there is none. json_decref() it. */
nft_status nft_sidecar_read(json_t **sidecar, const char *path);
/* The space under the key `space`; NULL if there is none. A configuration or a recipe is no sidecar. */
nft_status nft_sidecar_space(nft_space **space, const char *path);

#endif
