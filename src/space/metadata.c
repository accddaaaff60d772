#include "space/metadata.h"
#include "base/utf8.h"

#include <string.h>

static nft_metadata_entry *find(const nft_metadata *metadata, const char *key)
{
    for (int64_t i = 0; i < metadata->count; i++)
        if (!strcmp(metadata->entries[i].key, key))
            return &metadata->entries[i];
    return NULL;
}

const char *nft_metadata_get(const nft_metadata *metadata, const char *key)
{
    const nft_metadata_entry *entry = find(metadata, key);
    return entry ? entry->text : NULL;
}

static void remove_entry(nft_metadata *metadata, nft_metadata_entry *entry)
{
    nft_release(entry->key);
    nft_release(entry->text);
    nft_metadata_entry *end = metadata->entries + metadata->count--;
    memmove(entry, entry + 1, (size_t)(end - (entry + 1)) * sizeof *entry);
}

static nft_status append(nft_metadata *metadata, const char *key, const char *text)
{
    size_t count = (size_t)metadata->count;
    nft_metadata_entry *entries = nft_allocate_array(count + 1, sizeof *entries);
    char *own_key = nft_copy_text(key), *own_text = nft_copy_text(text);
    if (!entries || !own_key || !own_text) {
        nft_release(entries);
        nft_release(own_key);
        nft_release(own_text);
        return nft_fail_memory("metadata", (int64_t)(strlen(key) + strlen(text)));
    }
    if (count)
        memcpy(entries, metadata->entries, count * sizeof *entries);
    entries[count] = (nft_metadata_entry){own_key, own_text};
    nft_release(metadata->entries);
    metadata->entries = entries;
    metadata->count++;
    return NFT_OK;
}

nft_status nft_metadata_set(nft_metadata *metadata, const char *key, const char *text)
{
    if (!key[0] || !nft_is_utf8(key) || (text && !nft_is_utf8(text)))
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "metadata: a key is text in UTF-8, not empty, and so is its text");
    nft_metadata_entry *entry = find(metadata, key);
    if (!entry)
        return text ? append(metadata, key, text) : NFT_OK;
    if (!text) {
        remove_entry(metadata, entry);
        return NFT_OK;
    }
    char *copy = nft_copy_text(text);
    if (!copy)
        return nft_fail_memory("metadata", (int64_t)strlen(text));
    nft_release(entry->text);
    entry->text = copy;
    return NFT_OK;
}

nft_status nft_metadata_add_all(nft_metadata *metadata, const nft_metadata *from)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < from->count && !status; i++)
        status = nft_metadata_set(metadata, from->entries[i].key, from->entries[i].text);
    return status;
}

const char **nft_metadata_list(const nft_metadata *metadata)
{
    const char **list = nft_allocate_array((size_t)(2 * metadata->count) + 1, sizeof *list);
    for (int64_t i = 0; list && i < metadata->count; i++) {
        list[2 * i] = metadata->entries[i].key;
        list[2 * i + 1] = metadata->entries[i].text;
    }
    return list;
}

void nft_metadata_clear(nft_metadata *metadata)
{
    for (int64_t i = 0; i < metadata->count; i++) {
        nft_release(metadata->entries[i].key);
        nft_release(metadata->entries[i].text);
    }
    nft_release(metadata->entries);
    *metadata = (nft_metadata){0};
}
