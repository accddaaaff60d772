/* Tensors of an opened file, read straight into place. */
#include "io/convert.h"
#include "io/formats/format.h"

#include <inttypes.h>
#include <string.h>

#define BUFFER_BYTES 16384
#define WINDOW_BYTES 16384

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
        return nft_fail(
            NFT_ERROR_FORMAT, "tensor '%s' is %s, expected %s", entry->name, nft_type_name(entry->type),
            is_float ? "F32, F16, BF16, F64 or F8" : "I64, I32, I16, I8, U64, U32, U16, U8 or BOOL");
    if (first < 0 || count < 0 || first > entry->count || count > entry->count - first)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "tensor '%s': elements %" PRId64 " … %" PRId64 " were asked for, it has %" PRId64,
                        entry->name, first, nft_size_add(first, count), entry->count);
    return NFT_OK;
}

static nft_status fetch(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                        void *out);

/* The part of a source, or of the tensor that a view shows, that was read last. Neighbouring elements come
 * from one read. */
typedef struct window {
    const nft_file *file;
    const nft_entry *entry;
    uint8_t *bytes;
    int64_t capacity, size, begin, length; /* in bytes */
} window;

static nft_status window_read(const window *w, int64_t offset, int64_t bytes, uint8_t *out)
{
    int64_t element = nft_type_size(w->entry->type);
    return w->entry->base ? fetch(w->file, w->entry->base, offset / element, bytes / element, out)
                          : nft_source_read(w->entry->source, offset, bytes, out);
}

static nft_status window_copy(window *w, int64_t offset, int64_t bytes, uint8_t *out)
{
    if (bytes > w->capacity)
        return window_read(w, offset, bytes, out);
    if (offset < w->begin || offset + bytes > w->begin + w->length) {
        int64_t left = w->size - offset;
        w->begin = offset;
        w->length = left < w->capacity ? left : w->capacity;
        nft_status status = window_read(w, offset, w->length, w->bytes);
        if (status) {
            w->length = 0;
            return status;
        }
    }
    memcpy(out, w->bytes + (offset - w->begin), (size_t)bytes);
    return NFT_OK;
}

/* Element `first` of the row-major order as an index of each axis, and its place in the storage. */
static int64_t place_of(const nft_entry *entry, int64_t first, int64_t *index)
{
    int64_t place = 0;
    for (int64_t axis = entry->rank - 1; axis >= 0; axis--) {
        index[axis] = first % entry->shape[axis];
        first /= entry->shape[axis];
        place += index[axis] * entry->strides[axis];
    }
    return place;
}

/* Moves `steps` along the last axis, at most to its end. */
static void advance(const nft_entry *entry, int64_t steps, int64_t *index, int64_t *place)
{
    int64_t axis = entry->rank - 1;
    index[axis] += steps;
    *place += steps * entry->strides[axis];
    for (; axis > 0 && index[axis] == entry->shape[axis]; axis--) {
        *place += entry->strides[axis - 1] - index[axis] * entry->strides[axis];
        index[axis] = 0;
        index[axis - 1]++;
    }
}

static nft_status gather(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                         uint8_t *out)
{
    uint8_t bytes[WINDOW_BYTES];
    int64_t size = nft_type_size(entry->type), last = entry->rank - 1, index[NFT_ARRAY_MAX_RANK];
    int64_t all = entry->base ? entry->base->count * size : entry->source->size;
    window w = {file, entry, bytes, WINDOW_BYTES, all, 0, 0};
    int64_t place = place_of(entry, first, index);
    nft_status status = NFT_OK;
    for (int64_t done = 0, run = 1; done < count && !status; done += run) {
        run = entry->strides[last] == 1 ? entry->shape[last] - index[last] : 1;
        run = run < count - done ? run : count - done;
        status = window_copy(&w, entry->offset + place * size, run * size, out + done * size);
        advance(entry, run, index, &place);
    }
    return status;
}

/* Each row is a tensor. */
static nft_status fetch_parts(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                              uint8_t *out)
{
    int64_t size = nft_type_size(entry->type), row = entry->count / entry->shape[0];
    nft_status status = NFT_OK;
    for (int64_t done = 0, now; done < count && !status; done += now) {
        int64_t begin = (first + done) % row, left = count - done;
        now = row - begin < left ? row - begin : left;
        status = fetch(file, entry->parts[(first + done) / row], begin, now, out + done * size);
    }
    return status;
}

/* Little-endian elements. The calls are as deep as the views are nested, which a file cannot choose. */
static nft_status fetch(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count, void *out)
{
    int64_t size = nft_type_size(entry->type);
    nft_status status;
    if (entry->parts)
        return fetch_parts(file, entry, first, count, out);
    if (entry->base)
        return entry->is_strided ? gather(file, entry, first, count, out)
                                 : fetch(file, entry->base, entry->offset / size + first, count, out);
    if (!entry->source)
        return file->format->read(file, entry, first, count, out);
    if (entry->is_strided)
        status = gather(file, entry, first, count, out);
    else
        status = nft_source_read(entry->source, entry->offset + first * size, count * size, out);
    if (!status && entry->is_big_endian)
        nft_reverse_elements(out, size, count);
    return status;
}

static nft_status convert(const nft_entry *entry, const uint8_t *bytes, int64_t count, float *floats,
                          int64_t *integers)
{
    if (floats) {
        nft_convert_to_f32(entry->type, bytes, count, floats);
        return NFT_OK;
    }
    nft_convert_to_i64(entry->type, bytes, count, integers);
    for (int64_t i = 0; i < count && entry->type == NFT_TYPE_U64; i++)
        if (integers[i] < 0) /* NOLINT: one of the two is given */
            return nft_fail(NFT_ERROR_FORMAT, "the value %" PRIu64 " is larger than any I64",
                            (uint64_t)integers[i]);
    return NFT_OK;
}

/* Through a small buffer, one piece after the other. */
static nft_status read_converted(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                                 float *floats, int64_t *integers)
{
    uint8_t buffer[BUFFER_BYTES];
    int64_t piece = BUFFER_BYTES / nft_type_size(entry->type);
    nft_status status = NFT_OK;
    for (int64_t done = 0; done < count && !status; done += piece) {
        int64_t now = count - done < piece ? count - done : piece;
        status = fetch(file, entry, first + done, now, buffer);
        if (!status)
            status =
                convert(entry, buffer, now, floats ? floats + done : NULL, integers ? integers + done : NULL);
    }
    return status;
}

static nft_status read_elements(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                                float *floats, int64_t *integers)
{
    bool as_it_is = nft_little_endian() && entry->type == (floats ? NFT_TYPE_F32 : NFT_TYPE_I64);
    void *out = floats ? (void *)floats : integers;
    nft_status status = NFT_OK;
    if (!count)
        return NFT_OK;
    if (as_it_is)
        status = fetch(file, entry, first, count, out);
    else
        status = read_converted(file, entry, first, count, floats, integers);
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
