/* Zip archives as PKWARE's APPNOTE has them, with the 64-bit records: the directory at the end is read, and
 * of each member's own header only its length. */
#include "io/formats/zip.h"
#include "io/formats/inflate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    LARGEST_COMMENT = 65535,
    ENTRY_BYTES = 46,
    HEADER_BYTES = 30,
    STORED = 0,
    DEFLATED = 8,
    ENCRYPTED = 1 /* flag */
};

static int64_t load16(const uint8_t *bytes)
{
    return (int64_t)nft_load_le(bytes, 2);
}

static int64_t load32(const uint8_t *bytes)
{
    return (int64_t)nft_load_le(bytes, 4);
}

/* -1 for a size that no file can have. */
static int64_t load64(const uint8_t *bytes)
{
    uint64_t value = nft_load_le(bytes, 8);
    return value > INT64_MAX ? -1 : (int64_t)value;
}

bool nft_zip_matches(const nft_start *start)
{
    return nft_start_is(start, "PK\3\4", 4) || nft_start_is(start, "PK\5\6", 4);
}

static nft_status fail_end(void)
{
    return nft_fail(NFT_ERROR_FORMAT, "it begins as a zip archive and has no directory; is it cut short?");
}

typedef struct directory_place {
    int64_t offset, bytes, count;
} directory_place;

/* The end record that is nearest to the end of the file, whose comment ends with the file. */
static nft_status find_end(const nft_source *source, int64_t *at, uint8_t end[END_BYTES])
{
    int64_t most = END_BYTES + LARGEST_COMMENT, length = source->size < most ? source->size : most;
    uint8_t *tail = nft_allocate((size_t)length);
    if (!tail)
        return nft_fail_memory("the end of an archive", length);
    nft_status status = nft_source_read(source, source->size - length, length, tail);
    *at = -1;
    for (int64_t i = length - END_BYTES; i >= 0 && *at < 0 && !status; i--)
        if (!memcmp(tail + i, "PK\5\6", 4) && load16(tail + i + 20) == length - END_BYTES - i) {
            *at = source->size - length + i;
            memcpy(end, tail + i, END_BYTES);
        }
    nft_release(tail);
    return status || *at >= 0 ? status : fail_end();
}

/* The 64-bit end record, if the locator in front of the end record leads to one. */
static nft_status find_end64(const nft_source *source, int64_t end, directory_place *place)
{
    uint8_t locator[LOCATOR_BYTES], record[END64_BYTES];
    if (end < LOCATOR_BYTES)
        return NFT_OK;
    nft_status status = nft_source_read(source, end - LOCATOR_BYTES, LOCATOR_BYTES, locator);
    if (status || memcmp(locator, "PK\6\7", 4))
        return status;
    status = nft_source_read(source, load64(locator + 8), END64_BYTES, record);
    if (status || memcmp(record, "PK\6\6", 4))
        return status ? status : fail_end();
    *place = (directory_place){load64(record + 48), load64(record + 40), load64(record + 32)};
    return NFT_OK;
}

static nft_status find_directory(const nft_source *source, directory_place *place)
{
    int64_t at = -1;
    uint8_t end[END_BYTES];
    nft_status status = find_end(source, &at, end);
    if (status)
        return status;
    *place = (directory_place){load32(end + 16), load32(end + 12), load16(end + 10)};
    status = find_end64(source, at, place);
    if (status)
        return status;
    if (place->offset < 0 || place->bytes < 0 || place->count < 0 || place->offset > source->size ||
        place->bytes > source->size - place->offset || place->count > place->bytes / ENTRY_BYTES)
        return nft_fail(NFT_ERROR_FORMAT,
                        "the archive's directory lies outside of the file; is it cut short?");
    return NFT_OK;
}

/* Sizes that do not fit into 32 bits are in an extra field, in this order, each only if it is needed. */
static bool read_extra(nft_zip_member *member, const uint8_t *extra, int64_t length)
{
    int64_t *const fields[] = {&member->size, &member->packed, &member->header};
    while (length >= 4) {
        int64_t size = load16(extra + 2);
        const uint8_t *at = extra + 4, *end = at + size;
        if (size > length - 4)
            return false;
        for (size_t i = 0; i < 3 && load16(extra) == 1; i++)
            if (*fields[i] == UINT32_MAX) {
                if (end - at < 8)
                    return false;
                *fields[i] = load64(at);
                at += 8;
            }
        extra = end;
        length -= 4 + size;
    }
    return true;
}

/* The length of the entry, 0 if it is none. */
static int64_t read_entry(nft_zip_member *member, const uint8_t *at, int64_t left)
{
    if (left < ENTRY_BYTES || memcmp(at, "PK\1\2", 4))
        return 0;
    int64_t name = load16(at + 28), extra = load16(at + 30),
            length = ENTRY_BYTES + name + extra + load16(at + 32);
    if (length > left)
        return 0;
    *member = (nft_zip_member){.name = (const char *)at + ENTRY_BYTES,
                               .name_length = (size_t)name,
                               .header = load32(at + 42),
                               .packed = load32(at + 20),
                               .size = load32(at + 24),
                               .method = (uint32_t)load16(at + 10),
                               .crc = (uint32_t)load32(at + 16),
                               .flags = (uint32_t)load16(at + 8)};
    return read_extra(member, at + ENTRY_BYTES + name, extra) ? length : 0;
}

static int compare_names(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_members(const void *a, const void *b)
{
    const nft_zip_member *x = a, *y = b;
    return compare_names(x->name, x->name_length, y->name, y->name_length);
}

static nft_status read_directory(nft_zip *zip, const directory_place *place)
{
    const uint8_t *at = zip->directory;
    int64_t left = place->bytes;
    for (; zip->count < place->count; zip->count++) {
        int64_t length = read_entry(&zip->members[zip->count], at, left);
        if (!length)
            return nft_fail(NFT_ERROR_FORMAT, "entry %" PRId64 " of the archive's directory is damaged",
                            zip->count);
        at += length;
        left -= length;
    }
    if (zip->count > 1)
        qsort(zip->members, (size_t)zip->count, sizeof *zip->members, compare_members);
    return NFT_OK;
}

nft_status nft_zip_open(nft_zip *zip, const nft_source *source)
{
    directory_place place;
    nft_status status = find_directory(source, &place);
    if (status)
        return status;
    zip->directory = nft_allocate((size_t)place.bytes);
    zip->members = nft_allocate_array((size_t)place.count, sizeof *zip->members);
    if (!zip->directory || !zip->members)
        return nft_fail_memory("an archive's directory", place.bytes);
    status = nft_source_read(source, place.offset, place.bytes, zip->directory);
    return status ? status : read_directory(zip, &place);
}

void nft_zip_clear(nft_zip *zip)
{
    nft_release(zip->directory);
    nft_release(zip->members);
    *zip = (nft_zip){0};
}

nft_zip_member *nft_zip_find(const nft_zip *zip, const char *name, size_t length)
{
    const nft_zip_member wanted = {.name = name, .name_length = length};
    return zip->count ? bsearch(&wanted, zip->members, (size_t)zip->count, sizeof wanted, compare_members)
                      : NULL;
}

bool nft_zip_ends_with(const nft_zip_member *member, const char *end)
{
    size_t length = strlen(end);
    return member->name_length >= length && !memcmp(member->name + member->name_length - length, end, length);
}

/* Where the bytes behind a member's own header begin. */
static nft_status find_data(const nft_source *source, const nft_zip_member *member, int64_t *offset)
{
    uint8_t header[HEADER_BYTES];
    nft_status status = nft_source_read(source, member->header, HEADER_BYTES, header);
    if (status)
        return status;
    *offset = member->header + HEADER_BYTES + load16(header + 26) + load16(header + 28);
    if (memcmp(header, "PK\3\4", 4))
        return nft_fail(NFT_ERROR_FORMAT, "no part of the archive is where its directory says");
    if (member->size < 0 || member->packed < 0 || *offset > source->size ||
        member->packed > source->size - *offset)
        return nft_fail(NFT_ERROR_FORMAT,
                        "a part of the archive ends behind the end of the file; is it cut short?");
    return NFT_OK;
}

static nft_status unpack(nft_file *file, const nft_zip_member *member, int64_t offset, uint8_t **bytes)
{
    if (member->flags & ENCRYPTED)
        return nft_fail(NFT_ERROR_FORMAT, "it is encrypted");
    if (member->method == DEFLATED)
        return nft_inflate_member(file, offset, member->packed, member->size, member->crc, bytes);
    if (member->method != STORED || member->size != member->packed)
        return nft_fail(NFT_ERROR_FORMAT,
                        "it is packed by method %" PRIu32 ", expected 0 (stored) or 8 (deflated)",
                        member->method);
    nft_status status = nft_file_count_unpacked(file, member->size);
    *bytes = status ? NULL : nft_allocate((size_t)member->size + 1);
    if (!*bytes)
        return status ? status : nft_fail_memory("a part of an archive", member->size);
    return nft_source_read(&file->source, offset, member->size, *bytes);
}

static nft_status fail_member(nft_status status, const nft_zip_member *member)
{
    int length = member->name_length < 80 ? (int)member->name_length : 80;
    return nft_fail_in(status, "'%.*s' in the archive", length, member->name);
}

nft_status nft_zip_load(nft_file *file, const nft_zip_member *member, uint8_t **bytes)
{
    int64_t offset;
    *bytes = NULL;
    nft_status status = find_data(&file->source, member, &offset);
    if (!status)
        status = unpack(file, member, offset, bytes);
    if (!status)
        return NFT_OK;
    nft_release(*bytes);
    *bytes = NULL;
    return fail_member(status, member);
}

nft_status nft_zip_place(nft_file *file, nft_zip_member *member, const nft_source **source, int64_t *offset)
{
    uint8_t *bytes;
    bool is_stored =
        member->method == STORED && member->size == member->packed && !(member->flags & ENCRYPTED);
    *source = &file->source;
    if (is_stored) {
        nft_status status = find_data(&file->source, member, offset);
        return status ? fail_member(status, member) : NFT_OK;
    }
    *offset = 0;
    nft_status status = member->unpacked ? NFT_OK : nft_zip_load(file, member, &bytes);
    if (!status && !member->unpacked)
        status = nft_file_add_source(file, &member->unpacked, bytes, member->size);
    *source = member->unpacked;
    return status;
}
