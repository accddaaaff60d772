/* torch.save before 1.6: pickles of a magic number, a protocol, the machine, the object and the storages'
 * keys, then each storage behind its count of elements. */
#include "io/formats/torch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES (INT64_C(1) << 16)
#define COUNT_BYTES 8
#define PROTOCOL 1001

static const uint8_t magic[] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
                                0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

static bool matches(const nft_start *start)
{
    return nft_start_is(start, magic, sizeof magic);
}

typedef struct keyed_storage {
    const char *key;
    int64_t length, element; /* bytes of the key and of an element */
    int64_t offset, size;    /* bytes; 0 until it is found */
} keyed_storage;

typedef struct stream_storages {
    keyed_storage *items; /* sorted by key */
    int64_t count, capacity;
} stream_storages;

static int compare_storages(const void *a, const void *b)
{
    const keyed_storage *x = a, *y = b;
    if (x->length != y->length)
        return x->length < y->length ? -1 : 1;
    return x->length ? memcmp(x->key, y->key, (size_t)x->length) : 0;
}

static keyed_storage *find_key(const stream_storages *storages, const char *key, int64_t length)
{
    const keyed_storage wanted = {.key = key, .length = length};
    return storages->count
               ? bsearch(&wanted, storages->items, (size_t)storages->count, sizeof wanted, compare_storages)
               : NULL;
}

/* All storages that the object refers to, each once. */
static nft_status collect(stream_storages *storages, const nft_pickle *pickle)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < pickle->value_count && !status; i++) {
        const nft_pickle_value *value = &pickle->values[i];
        if (value->kind != NFT_PICKLE_STORAGE)
            continue;
        const nft_pickle_value *key = nft_pickle_at(pickle, nft_pickle_item(pickle, value->as.storage.id, 2));
        status = nft_grow(&storages->items, storages->count + 1, &storages->capacity, sizeof *storages->items,
                          "a list", 0);
        if (!status && key->kind == NFT_PICKLE_TEXT)
            storages->items[storages->count++] =
                (keyed_storage){.key = key->as.text.bytes,
                                .length = key->as.text.length,
                                .element = nft_torch_element_bytes(pickle, value->as.storage.id)};
    }
    if (status || storages->count < 2)
        return status;
    qsort(storages->items, (size_t)storages->count, sizeof *storages->items, compare_storages);
    int64_t kept = 1;
    for (int64_t i = 1; i < storages->count; i++)
        if (compare_storages(&storages->items[kept - 1], &storages->items[i]))
            storages->items[kept++] = storages->items[i];
    storages->count = kept;
    return NFT_OK;
}

/* The storages lie one behind the other, in the order of the keys. */
static nft_status place(nft_torch *torch, stream_storages *storages, nft_pickle_ref keys)
{
    const nft_pickle *pickle = &torch->pickle;
    const nft_pickle_value *list = nft_pickle_at(pickle, keys);
    int64_t offset = pickle->at;
    if (list->kind != NFT_PICKLE_LIST)
        return nft_fail(NFT_ERROR_FORMAT, "the keys of the storages are no list");
    for (int32_t cell = list->as.items.first; cell >= 0; cell = pickle->cells[cell].next) {
        const nft_pickle_value *key = nft_pickle_at(pickle, pickle->cells[cell].value);
        bool is_text = key->kind == NFT_PICKLE_TEXT;
        keyed_storage *found = is_text ? find_key(storages, key->as.text.bytes, key->as.text.length) : NULL;
        uint8_t bytes[COUNT_BYTES];
        if (!found || !found->element)
            return nft_fail(NFT_ERROR_FORMAT,
                            "a storage is of a type that is not known, or belongs to no tensor");
        nft_status status = nft_source_read(&torch->file->source, offset, COUNT_BYTES, bytes);
        if (status)
            return status;
        uint64_t count = nft_load_le(bytes, COUNT_BYTES);
        if (torch->is_big_endian)
            count = __builtin_bswap64(count);
        found->offset = offset + COUNT_BYTES;
        found->size = count > INT64_MAX ? INT64_MAX : nft_size_multiply((int64_t)count, found->element);
        if (found->size > torch->file->source.size - found->offset)
            return nft_fail(NFT_ERROR_FORMAT,
                            "storage '%.*s' ends behind the end of the file; is it cut short?",
                            found->length < 80 ? (int)found->length : 80, found->key);
        offset = found->offset + found->size;
    }
    return NFT_OK;
}

static nft_status find_storage(nft_torch *torch, const char *key, int64_t length, nft_torch_storage *storage)
{
    const keyed_storage *found = find_key(torch->places, key, length);
    if (!found || !found->offset)
        return nft_fail(NFT_ERROR_FORMAT, "its storage '%.*s' is not in the file",
                        length < 80 ? (int)length : 80, key);
    *storage = (nft_torch_storage){&torch->file->source, found->offset, found->size};
    return NFT_OK;
}

/* The five pickles. */
static nft_status run_pickles(nft_torch *torch, nft_pickle_ref *object, nft_pickle_ref *keys)
{
    nft_pickle *pickle = &torch->pickle;
    nft_pickle_ref protocol = NFT_PICKLE_NO_VALUE, machine = NFT_PICKLE_NO_VALUE;
    pickle->at = sizeof magic;
    nft_status status = nft_pickle_run(pickle, &protocol);
    if (!status && nft_pickle_at(pickle, protocol)->as.integer != PROTOCOL)
        return nft_fail(NFT_ERROR_FORMAT, "its protocol is not the one known, %d", PROTOCOL);
    if (!status)
        status = nft_pickle_run(pickle, &machine);
    if (!status)
        status = nft_pickle_run(pickle, object);
    if (!status)
        status = nft_pickle_run(pickle, keys);
    if (status)
        return status;
    const nft_pickle_value *order =
        nft_pickle_at(pickle, nft_pickle_look_up(pickle, machine, "little_endian"));
    torch->is_big_endian = order->kind == NFT_PICKLE_BOOLEAN && !order->as.integer;
    return NFT_OK;
}

/* Nothing says where the pickles end, so that more and more of the file is tried. */
static nft_status load_pickles(nft_torch *torch, uint8_t **bytes, nft_pickle_ref *object,
                               nft_pickle_ref *keys)
{
    const nft_source *source = &torch->file->source;
    nft_status status = NFT_ERROR_FORMAT;
    for (int64_t length = FIRST_BYTES;; length = nft_size_multiply(length, 4)) {
        length = length < source->size ? length : source->size;
        nft_release(*bytes);
        *bytes = nft_allocate((size_t)length);
        if (!*bytes)
            return nft_fail_memory("a pickle", length);
        status = nft_source_read(source, 0, length, *bytes);
        if (status)
            return status;
        nft_pickle_clear(&torch->pickle);
        torch->pickle = (nft_pickle){.bytes = *bytes, .size = length};
        torch->pickle.limit = nft_size_add(INT64_C(64) << 20, nft_size_multiply(8, length));
        status = run_pickles(torch, object, keys);
        if (!status || !torch->pickle.is_short || length == source->size)
            return status;
    }
}

static nft_status open_stream(nft_file *file)
{
    stream_storages storages = {0};
    nft_torch torch = {.file = file, .find = find_storage, .places = &storages};
    uint8_t *bytes = NULL;
    nft_pickle_ref object = NFT_PICKLE_NO_VALUE, keys = NFT_PICKLE_NO_VALUE;
    nft_status status = load_pickles(&torch, &bytes, &object, &keys);
    if (!status)
        status = collect(&storages, &torch.pickle);
    if (!status)
        status = place(&torch, &storages, keys);
    if (!status)
        status = nft_torch_list(&torch, object);
    nft_pickle_clear(&torch.pickle);
    nft_release(storages.items);
    nft_release(bytes);
    return status;
}

const nft_format nft_format_torch_stream = {"PyTorch (before 1.6)", matches, open_stream, NULL};
