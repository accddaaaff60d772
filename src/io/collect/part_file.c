#define _DEFAULT_SOURCE /* flock */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include "io/collect/part_file.h"

#include "io/convert.h"
#include "io/system.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x7472617074666e2e)
#define BUFFER_BYTES 16384

/* The last bytes of the file; the dropped numbers stand before them. */
typedef struct trailer {
    uint64_t magic, fingerprint;
    int64_t bytes, dropped, done;
} trailer;

static bool write_at(int descriptor, int64_t offset, const void *data, int64_t bytes)
{
    const char *next = data;
    while (bytes > 0) {
        ssize_t written = pwrite(descriptor, next, (size_t)bytes, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        next += written;
        offset += written;
        bytes -= written;
    }
    return true;
}

static nft_status fail_write(const nft_part_file *part)
{
    return nft_fail_system(part->partial, "write");
}

/* Reads the trailer of an earlier call. Anything that is not one leaves the part empty. */
static nft_status read_trailer(nft_part_file *part)
{
    trailer end = {0};
    struct stat about;
    if (fstat(part->descriptor, &about))
        return nft_fail_system(part->partial, "read");
    int64_t size = (int64_t)about.st_size, at = size - (int64_t)sizeof end;
    if (at < 0 || nft_read_at(part->descriptor, at, sizeof end, &end) || end.magic != MAGIC ||
        end.fingerprint != part->fingerprint || end.dropped < 0 || end.bytes < 0 || end.done < 0 ||
        end.dropped > size / (int64_t)sizeof(int64_t) ||
        end.bytes != at - end.dropped * (int64_t)sizeof(int64_t))
        return NFT_OK;
    nft_status status = nft_grow(&part->dropped, end.dropped, &part->dropped_capacity, sizeof *part->dropped,
                                 "a list of networks", 0);
    if (!status)
        status =
            nft_read_at(part->descriptor, end.bytes, end.dropped * (int64_t)sizeof(int64_t), part->dropped);
    if (status)
        return nft_fail_in(status, "%s", part->partial);
    part->bytes = end.bytes;
    part->dropped_count = end.dropped;
    part->done = end.done;
    return NFT_OK;
}

nft_status nft_part_file_save(nft_part_file *part)
{
    const trailer end = {MAGIC, part->fingerprint, part->bytes, part->dropped_count, part->done};
    int64_t list = part->dropped_count * (int64_t)sizeof *part->dropped;
    bool synchronise = part->unsaved >= (part->is_guest ? 1 : NFT_PART_SAVED_EVERY);
    if (synchronise && !nft_sync(part->descriptor))
        return fail_write(part);
    part->unsaved = 0;
    if (part->is_guest)
        return NFT_OK;
    if (!write_at(part->descriptor, part->bytes, part->dropped, list) ||
        !write_at(part->descriptor, part->bytes + list, &end, sizeof end) ||
        ftruncate(part->descriptor, (off_t)(part->bytes + list + (int64_t)sizeof end)))
        return fail_write(part);
    return NFT_OK;
}

nft_status nft_part_file_open(nft_part_file *part, const char *path, uint64_t fingerprint, bool is_guest)
{
    nft_text name = {0};
    *part = (nft_part_file){.descriptor = -1, .fingerprint = fingerprint, .is_guest = is_guest};
    nft_text_append(&name, "%s.partial", path);
    if (name.failed)
        return nft_fail_memory("a path", (int64_t)strlen(path));
    part->partial = name.data;
    do
        part->descriptor = open(part->partial, O_RDWR | (is_guest ? 0 : O_CREAT) | O_CLOEXEC, 0666);
    while (part->descriptor < 0 && errno == EINTR);
    if (part->descriptor < 0)
        return fail_write(part);
    if (!is_guest && flock(part->descriptor, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return nft_fail(NFT_ERROR_FILE, "%s: another process writes to it", part->partial);
    return read_trailer(part);
}

void nft_part_file_close(nft_part_file *part)
{
    if (part->descriptor >= 0)
        close(part->descriptor);
    nft_release(part->dropped);
    nft_release(part->partial);
    *part = (nft_part_file){.descriptor = -1};
}

static bool begins_with(const nft_part_file *part, const nft_text *header)
{
    char *found = nft_allocate(header->length);
    bool same = found && !nft_read_at(part->descriptor, 0, (int64_t)header->length, found) &&
                !memcmp(found, header->data, header->length);
    nft_release(found);
    return same;
}

nft_status nft_part_file_begin(nft_part_file *part, const nft_text *header, int64_t data_bytes)
{
    int64_t bytes = (int64_t)header->length + data_bytes;
    bool same = part->bytes == bytes && begins_with(part, header);
    part->header = (int64_t)header->length;
    part->bytes = bytes;
    if (same)
        return NFT_OK;
    part->done = 0;
    part->unsaved = 0;
    if (ftruncate(part->descriptor, 0) || !write_at(part->descriptor, 0, header->data, part->header) ||
        ftruncate(part->descriptor, (off_t)bytes))
        return fail_write(part);
    return nft_part_file_save(part);
}

void nft_part_file_join(nft_part_file *part, const nft_text *header, int64_t data_bytes, int64_t done)
{
    part->header = (int64_t)header->length;
    part->bytes = part->header + data_bytes;
    part->done = done;
    part->unsaved = 0;
}

nft_status nft_part_file_write(nft_part_file *part, int64_t offset, const void *numbers, int64_t size,
                               int64_t count)
{
    bool written = true;
    if (nft_little_endian() || size == 1) {
        written = write_at(part->descriptor, part->header + offset, numbers, size * count);
    } else {
        uint8_t buffer[BUFFER_BYTES];
        int64_t most = BUFFER_BYTES / size;
        for (int64_t done = 0; done < count && written; done += most) {
            int64_t now = count - done < most ? count - done : most;
            nft_convert_to_bytes((const char *)numbers + done * size, size, now, buffer);
            written = write_at(part->descriptor, part->header + offset + done * size, buffer, now * size);
        }
    }
    part->unsaved += size * count;
    return written ? NFT_OK : fail_write(part);
}

nft_status nft_part_file_drop(nft_part_file *part, int64_t number)
{
    nft_status status = nft_grow(&part->dropped, part->dropped_count + 1, &part->dropped_capacity,
                                 sizeof *part->dropped, "a list of networks", 0);
    if (!status)
        part->dropped[part->dropped_count++] = number;
    return status;
}

nft_status nft_part_file_finish(nft_part_file *part)
{
    if (!part->bytes)
        return nft_fail(NFT_ERROR_FILE,
                        "%s: it was changed, or one of its networks was, while it was written",
                        part->partial);
    return ftruncate(part->descriptor, (off_t)part->bytes) ? fail_write(part) : NFT_OK;
}
