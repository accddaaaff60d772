/* Tensors of an opened file, read straight into place. */
#include "io/convert.h"
#include "io/system.h"

#include <inttypes.h>
#include <string.h>

#define BUFFER_BYTES 16384

const nft_entry *nft_file_find(const nft_file *file, const char *name)
{
    int64_t low = 0, high = file->entry_count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = nft_compare_names(name, file->entries[middle].name);
        if (!order)
            return &file->entries[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static nft_status check_request(const nft_entry *entry, bool is_float, int64_t first, int64_t count)
{
    if (!(is_float ? nft_type_is_float : nft_type_is_integer)(entry->type))
        return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' is %s, expected %s", entry->name,
                        nft_type_name(entry->type),
                        is_float ? "F32, F16, BF16 or F64" : "I64, I32, I16, I8, U32, U16, U8 or BOOL");
    if (first < 0 || count < 0 || first > entry->count || count > entry->count - first)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "tensor '%s': elements %" PRId64 " … %" PRId64 " were asked for, it has %" PRId64,
                        entry->name, first, nft_size_add(first, count), entry->count);
    return NFT_OK;
}

static void convert(nft_type type, const uint8_t *bytes, int64_t count, float *floats, int64_t *integers)
{
    if (floats)
        nft_convert_to_f32(type, bytes, count, floats);
    else
        nft_convert_to_i64(type, bytes, count, integers);
}

/* Through a small buffer, one piece after the other. */
static nft_status read_converted(const nft_file *file, nft_type type, int64_t offset, int64_t count,
                                 float *floats, int64_t *integers)
{
    uint8_t buffer[BUFFER_BYTES];
    int64_t size = nft_type_size(type), piece = BUFFER_BYTES / size;
    nft_status status = NFT_OK;
    for (int64_t done = 0; done < count && !status; done += piece) {
        int64_t now = count - done < piece ? count - done : piece;
        status = nft_read_at(file->descriptor, offset + done * size, now * size, buffer);
        if (!status)
            convert(type, buffer, now, floats ? floats + done : NULL, integers ? integers + done : NULL);
    }
    return status;
}

static nft_status read_elements(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                                float *floats, int64_t *integers)
{
    int64_t size = nft_type_size(entry->type), offset = entry->offset + first * size;
    bool as_it_is = nft_little_endian() && entry->type == (floats ? NFT_TYPE_F32 : NFT_TYPE_I64);
    void *out = floats ? (void *)floats : integers;
    nft_status status = NFT_OK;
    if (!count)
        return NFT_OK;
    if (file->bytes && as_it_is)
        memcpy(out, file->bytes + offset, (size_t)(count * size)); /* NOLINT: one of the two is given */
    else if (file->bytes)
        convert(entry->type, file->bytes + offset, count, floats, integers);
    else if (as_it_is)
        status = nft_read_at(file->descriptor, offset, count * size, out);
    else
        status = read_converted(file, entry->type, offset, count, floats, integers);
    return status ? nft_fail_in(status, "tensor '%s'", entry->name) : NFT_OK;
}

nft_status nft_file_read_f32(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                             float *out)
{
    nft_status status = check_request(entry, true, first, count);
    return status ? status : read_elements(file, entry, first, count, out, NULL);
}

nft_status nft_file_read_i64(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                             int64_t *out)
{
    nft_status status = check_request(entry, false, first, count);
    return status ? status : read_elements(file, entry, first, count, NULL, out);
}
