#include "modules/shared/packed_weights.h"

#include "base/memory.h"
#include "modules/shared/parameters.h"
#include "nft/base.h"

void nft_packed_cache_init(nft_packed_cache *cache)
{
    pthread_mutex_init(&cache->mutex, NULL);
}

void nft_packed_cache_clear(nft_packed_cache *cache)
{
    pthread_mutex_destroy(&cache->mutex);
}

static int64_t bytes_of(const nft_parameter *weight, nft_pack_format format, bool transposed)
{
    int64_t outputs = weight->shape[0], inputs = weight->shape[1];
    format = weight->exact ? nft_format_of(NFT_PRECISION_FLOAT32) : format;
    if (!weight->mapped)
        return 0;
    return transposed ? nft_packed_bytes(format, inputs, outputs) : nft_packed_bytes(format, outputs, inputs);
}

int64_t nft_packed_weights_bytes(const nft_parameters *table, nft_pack_format format, bool transposed)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < table->count; i++)
        bytes = nft_size_add(bytes, bytes_of(&table->items[i], format, transposed));
    return bytes;
}

static void pack(nft_packed_weights *packed, const nft_parameter *weight, const float *values, int64_t index)
{
    int64_t place = packed->places[index], outputs = weight->shape[0], inputs = weight->shape[1];
    if (place < 0)
        return;
    nft_pack_format format = packed->formats[weight->exact];
    if (packed->transposed)
        nft_pack_transpose(format, outputs, inputs, values + weight->offset, packed->values + place);
    else
        nft_pack(format, outputs, inputs, values + weight->offset, packed->values + place);
}

static void release(nft_packed_weights *packed)
{
    if (!packed)
        return;
    nft_release(packed->places);
    nft_release(packed->values);
    nft_release(packed);
}

static nft_status make(nft_packed_weights **out, const nft_parameters *table, const float *values,
                       nft_pack_format format, bool transposed)
{
    int64_t bytes = nft_packed_weights_bytes(table, format, transposed), end = 0;
    nft_packed_weights *packed = nft_allocate(sizeof *packed);
    if (packed) {
        packed->places = nft_allocate_array((size_t)table->count, sizeof *packed->places);
        packed->values = nft_allocate((size_t)bytes);
    }
    if (!packed || !packed->places || !packed->values) {
        release(packed);
        return nft_fail_memory("the packed weights", bytes);
    }
    packed->formats[0] = format;
    packed->formats[1] = nft_format_of(NFT_PRECISION_FLOAT32);
    packed->transposed = transposed;
    for (int64_t i = 0; i < table->count; i++) {
        packed->places[i] = table->items[i].mapped ? end : -1;
        end += bytes_of(&table->items[i], format, transposed);
        pack(packed, &table->items[i], values, i);
    }
    *out = packed;
    return NFT_OK;
}

/* The packed weights of the cache, with one more user; `fresh` if it has none. */
static nft_packed_weights *find(nft_packed_cache *cache, nft_pack_format format, bool transposed,
                                nft_packed_weights *fresh)
{
    pthread_mutex_lock(&cache->mutex);
    nft_packed_weights **place = &cache->made[format][transposed];
    if (!*place && fresh) {
        fresh->cache = cache; /* only once: other users read it without the mutex */
        *place = fresh;
    }
    nft_packed_weights *packed = *place;
    if (packed)
        packed->users++;
    pthread_mutex_unlock(&cache->mutex);
    return packed;
}

/* Packs without holding the mutex: of two contexts that are made at once, the slower one drops its own. */
nft_status nft_packed_weights_take(nft_packed_weights **out, nft_packed_cache *cache,
                                   const nft_parameters *table, const float *values, nft_pack_format format,
                                   bool transposed)
{
    nft_packed_weights *fresh = NULL;
    *out = find(cache, format, transposed, NULL);
    if (*out)
        return NFT_OK;
    nft_status status = make(&fresh, table, values, format, transposed);
    if (status)
        return status;
    *out = find(cache, format, transposed, fresh);
    if (*out != fresh)
        release(fresh);
    return NFT_OK;
}

void nft_packed_weights_give(nft_packed_weights *packed)
{
    if (!packed)
        return;
    nft_packed_cache *cache = packed->cache;
    pthread_mutex_lock(&cache->mutex);
    bool last = --packed->users == 0;
    if (last)
        cache->made[packed->formats[0]][packed->transposed] = NULL;
    pthread_mutex_unlock(&cache->mutex);
    if (last)
        release(packed);
}

void nft_packed_cache_update(nft_packed_cache *cache, const nft_parameters *table, const float *values,
                             int64_t index)
{
    for (int format = 0; format < NFT_FORMAT_COUNT; format++)
        for (int transposed = 0; transposed < 2; transposed++)
            if (cache->made[format][transposed])
                pack(cache->made[format][transposed], &table->items[index], values, index);
}
