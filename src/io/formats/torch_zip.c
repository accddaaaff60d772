/* torch.save since 1.6: ARCHIVE/data.pkl with the pickle, ARCHIVE/data/KEY with a storage each,
 * ARCHIVE/byteorder. */
#include "io/formats/torch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PICKLE_NAME "data.pkl"

typedef struct torch_archive {
    nft_zip *zip;
    const char *name; /* "archive/", in front of the names of its parts */
    size_t name_length;
} torch_archive;

/* The first that is called so; some archives have another one deeper in them. */
static nft_zip_member *find_pickle(const nft_zip *zip)
{
    nft_zip_member *found = NULL;
    for (int64_t i = 0; i < zip->count; i++) {
        nft_zip_member *member = &zip->members[i];
        size_t length = member->name_length, rest = strlen(PICKLE_NAME);
        if (nft_zip_ends_with(member, PICKLE_NAME) &&
            (length == rest || member->name[length - rest - 1] == '/') &&
            (!found || length < found->name_length))
            found = member;
    }
    return found;
}

bool nft_torch_is_archive(const nft_zip *zip)
{
    return find_pickle(zip) != NULL;
}

/* A part by its name in the archive; NULL if there is none. */
static nft_status find_part(const torch_archive *archive, const char *folder, const char *name,
                            int64_t length, nft_zip_member **part)
{
    nft_text path = {0};
    nft_text_append_bytes(&path, archive->name, archive->name_length);
    nft_text_append(&path, "%s", folder);
    nft_text_append_bytes(&path, name, (size_t)length);
    nft_status status = path.failed ? nft_fail_memory("a name", length) : NFT_OK;
    *part = status ? NULL : nft_zip_find(archive->zip, path.data, path.length);
    nft_text_clear(&path);
    return status;
}

static nft_status find_storage(nft_torch *torch, const char *key, int64_t length, nft_torch_storage *storage)
{
    nft_zip_member *part;
    nft_status status = find_part(torch->places, "data/", key, length, &part);
    if (!status && !part)
        status = nft_fail(NFT_ERROR_FORMAT, "its storage '%.*s' is not in the archive",
                          length < 80 ? (int)length : 80, key);
    if (status)
        return status;
    storage->size = part->size;
    return nft_zip_place(torch->file, part, &storage->source, &storage->offset);
}

static nft_status read_order(nft_torch *torch, const torch_archive *archive)
{
    nft_zip_member *part;
    uint8_t *text = NULL;
    nft_status status = find_part(archive, "", "byteorder", (int64_t)strlen("byteorder"), &part);
    if (status || !part)
        return status;
    status = nft_zip_load(torch->file, part, &text);
    if (!status)
        torch->is_big_endian = part->size == 3 && !memcmp(text, "big", 3);
    nft_release(text);
    return status;
}

nft_status nft_torch_open_archive(nft_file *file, nft_zip *zip)
{
    const nft_zip_member *member = find_pickle(zip);
    torch_archive archive = {zip, member->name, member->name_length - strlen(PICKLE_NAME)};
    nft_torch torch = {.file = file, .find = find_storage, .places = &archive};
    uint8_t *bytes = NULL;
    nft_pickle_ref root;
    nft_status status = nft_zip_load(file, member, &bytes);
    if (status)
        return status;
    torch.pickle.bytes = bytes;
    torch.pickle.size = member->size;
    torch.pickle.limit = nft_size_add(INT64_C(64) << 20, nft_size_multiply(8, member->size));
    status = read_order(&torch, &archive);
    if (!status && (status = nft_pickle_run(&torch.pickle, &root)))
        nft_fail_in(status, "data.pkl");
    if (!status)
        status = nft_torch_list(&torch, root);
    nft_pickle_clear(&torch.pickle);
    nft_release(bytes);
    return status;
}
