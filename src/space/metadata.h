/* Metadata: texts under keys, which travel with weights and models from load to save. */
#ifndef NFT_SPACE_METADATA_H
#define NFT_SPACE_METADATA_H

#include "base/memory.h"

#define NFT_SPACE_KEY "nft.space"

typedef struct nft_metadata_entry {
    char *key, *text;
} nft_metadata_entry;

typedef struct nft_metadata {
    nft_metadata_entry *entries; /* in the order in which their keys were first set */
    int64_t count;
} nft_metadata;

/* The text of a key, NULL if there is none. */
const char *nft_metadata_get(const nft_metadata *metadata, const char *key);
/* Sets the text of a key, or removes it (text NULL). On failure nothing changes. */
nft_status nft_metadata_set(nft_metadata *metadata, const char *key, const char *text);
/* Adds all texts of `from`; keys that both have take its text. */
nft_status nft_metadata_add_all(nft_metadata *metadata, const nft_metadata *from);
/* A key, its text, the next key … and NULL, as writers take them; nft_release() the array. NULL without
 * memory. */
const char **nft_metadata_list(const nft_metadata *metadata);
void nft_metadata_clear(nft_metadata *metadata);

#endif
