/* The weights of a model's linear maps, packed in one format. The contexts of a model that use the same
 * format share them: the first packs them, the last frees them. */
#ifndef NFT_MODULES_PACKED_WEIGHTS_H
#define NFT_MODULES_PACKED_WEIGHTS_H

#include "base/status.h"
#include "math/packed.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define NFT_FORMAT_COUNT 4

typedef struct nft_packed_cache nft_packed_cache;
struct nft_parameters;

typedef struct nft_packed_weights {
    nft_packed_cache *cache;
    int users;                  /* the cache's mutex protects it */
    nft_pack_format formats[2]; /* of most maps; of the exact ones */
    bool transposed;            /* for backward */
    int64_t
        *places; /* bytes from the start, for each parameter of the model's table; -1: not a map's weight */
    unsigned char *values;
} nft_packed_weights;

/* Part of a model: its packed weights. The cache keeps no reference. */
struct nft_packed_cache {
    pthread_mutex_t mutex;
    nft_packed_weights *made[NFT_FORMAT_COUNT][2]; /* [format of most maps][transposed] */
};

void nft_packed_cache_init(nft_packed_cache *cache);
void nft_packed_cache_clear(nft_packed_cache *cache); /* nothing is packed any more */

/* Bytes of the packed weights; saturates. */
int64_t nft_packed_weights_bytes(const struct nft_parameters *table, nft_pack_format format, bool transposed);

/* The packed weights of a model with these values. They may be used until they are given back; the cache, the
 * table and the values have to stay as long. */
nft_status nft_packed_weights_take(nft_packed_weights **packed, nft_packed_cache *cache,
                                   const struct nft_parameters *table, const float *values,
                                   nft_pack_format format, bool transposed);
void nft_packed_weights_give(nft_packed_weights *packed); /* NULL is fine */

/* Packs one parameter again in everything that is packed of the model, after its values have changed. No
 * context of the model may run or be made meanwhile. */
void nft_packed_cache_update(nft_packed_cache *cache, const struct nft_parameters *table, const float *values,
                             int64_t index);

#endif
