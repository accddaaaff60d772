#include "io/formats/inflate.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#define PIECE_BYTES 32768
#define LARGEST_CALL (UINT32_C(1) << 30)
#define AS_RAW (-MAX_WBITS)
#define AS_GZIP (MAX_WBITS + 16)

/* zlib's memory comes from the library's allocator too. */
static void *allocate(void *unused, uInt count, uInt size)
{
    (void)unused;
    return nft_allocate_array(count, size);
}

static void release(void *unused, void *block)
{
    (void)unused;
    nft_release(block);
}

/* Packed bytes on their way from a source. */
typedef struct packed_stream {
    z_stream z;
    const nft_source *source;
    int64_t offset, end;
    uint8_t piece[PIECE_BYTES];
} packed_stream;

static nft_status begin(packed_stream *stream, const nft_source *source, int64_t offset, int64_t end,
                        int bits)
{
    memset(stream, 0, sizeof *stream);
    stream->source = source;
    stream->offset = offset;
    stream->end = end;
    stream->z.zalloc = allocate;
    stream->z.zfree = release;
    return inflateInit2(&stream->z, bits) == Z_OK ? NFT_OK : nft_fail_memory("an unpacker", sizeof *stream);
}

/* Reads the next piece if the last one is used up. */
static nft_status fill(packed_stream *stream)
{
    int64_t left = stream->end - stream->offset, now = left < PIECE_BYTES ? left : PIECE_BYTES;
    if (stream->z.avail_in || !now)
        return NFT_OK;
    nft_status status = nft_source_read(stream->source, stream->offset, now, stream->piece);
    stream->offset += now;
    stream->z.next_in = stream->piece;
    stream->z.avail_in = status ? 0 : (uInt)now;
    return status;
}

static nft_status fail_packed(int code)
{
    if (code == Z_MEM_ERROR)
        return nft_fail_memory("an unpacker", PIECE_BYTES);
    return nft_fail(NFT_ERROR_FORMAT, code == Z_BUF_ERROR || code == Z_OK
                                          ? "the packed bytes end too early; is the file cut short?"
                                          : "the packed bytes are damaged");
}

/* Unpacks until `capacity` bytes are there or the stream ends. */
static nft_status inflate_into(packed_stream *stream, uint8_t *out, int64_t capacity, int64_t *size,
                               bool *ended)
{
    int code = Z_OK;
    nft_status status = NFT_OK;
    while (*size < capacity && code == Z_OK && !status) {
        int64_t room = capacity - *size;
        uInt now = room < LARGEST_CALL ? (uInt)room : LARGEST_CALL;
        if ((status = fill(stream)))
            break;
        stream->z.next_out = out + *size;
        stream->z.avail_out = now;
        code = inflate(&stream->z, Z_NO_FLUSH);
        *size += now - stream->z.avail_out;
    }
    *ended = code == Z_STREAM_END;
    return status || code == Z_OK || *ended ? status : fail_packed(code);
}

static nft_status check_member(const uint8_t *out, int64_t found, int64_t size, uint32_t crc, bool ended)
{
    uLong sum = crc32(0, NULL, 0);
    if (found != size || !ended)
        return nft_fail(NFT_ERROR_FORMAT, "a part has %s bytes than its directory says, %" PRId64,
                        ended ? "fewer" : "more", size);
    for (int64_t done = 0; done < size;) {
        int64_t left = size - done;
        uInt now = left < LARGEST_CALL ? (uInt)left : LARGEST_CALL;
        sum = crc32(sum, out + done, now);
        done += now;
    }
    return sum == crc ? NFT_OK
                      : nft_fail(NFT_ERROR_FORMAT, "a part's checksum is wrong; the file is damaged");
}

nft_status nft_inflate_member(nft_file *file, int64_t offset, int64_t packed, int64_t size, uint32_t crc,
                              uint8_t **out)
{
    packed_stream stream;
    int64_t found = 0;
    bool ended = false;
    /* Deflate makes at most 1032 bytes of one. */
    if (size > nft_size_add(nft_size_multiply(packed, 1032), 1032))
        return nft_fail(NFT_ERROR_FORMAT, "%" PRId64 " packed bytes cannot hold %" PRId64, packed, size);
    nft_status status = nft_file_count_unpacked(file, size);
    if (status || (status = begin(&stream, &file->source, offset, offset + packed, AS_RAW)))
        return status;
    uint8_t *bytes = nft_allocate((size_t)size + 1); /* one more, so that the stream's end is seen */
    if (!bytes)
        status = nft_fail_memory("an unpacked part", size);
    if (!status)
        status = inflate_into(&stream, bytes, size + 1, &found, &ended);
    if (!status)
        status = check_member(bytes, found, size, crc, ended);
    inflateEnd(&stream.z);
    if (status) {
        nft_release(bytes);
        return status;
    }
    bytes[size] = 0;
    *out = bytes;
    return NFT_OK;
}

/* A larger block with the same bytes; the old one is freed. */
static nft_status enlarge(nft_file *file, uint8_t **bytes, int64_t *capacity, int64_t size)
{
    int64_t wanted = *capacity ? nft_size_multiply(*capacity, 2) : 4 * PIECE_BYTES;
    nft_status status = nft_file_count_unpacked(file, wanted - *capacity);
    uint8_t *larger = status ? NULL : nft_allocate((size_t)wanted);
    if (!larger)
        return status ? status : nft_fail_memory("an unpacked file", wanted);
    if (size)
        memcpy(larger, *bytes, (size_t)size);
    nft_release(*bytes);
    *bytes = larger;
    *capacity = wanted;
    return NFT_OK;
}

static bool is_at_end(const packed_stream *stream)
{
    return !stream->z.avail_in && stream->offset == stream->end;
}

nft_status nft_inflate_gzip(nft_file *file, uint8_t **out, int64_t *size)
{
    packed_stream stream;
    int64_t capacity = 0;
    bool ended = false;
    nft_status status = begin(&stream, &file->source, 0, file->source.size, AS_GZIP);
    if (status)
        return status;
    while (!status && !(ended && is_at_end(&stream))) {
        if (ended)
            inflateReset(&stream.z); /* gzip files may be joined end to end */
        if (*size == capacity)
            status = enlarge(file, out, &capacity, *size);
        if (!status)
            status = inflate_into(&stream, *out, capacity, size, &ended);
    }
    inflateEnd(&stream.z);
    return status;
}
