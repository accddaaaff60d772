#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include "io/system.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One call moves at most so much: some systems refuse more than 2³¹ - 1. */
#define LARGEST_CALL (INT64_C(1) << 30)

nft_status nft_fail_system(const char *path, const char *action)
{
    int code = errno;
    char reason[256];
    if (strerror_r(code, reason, sizeof reason))
        snprintf(reason, sizeof reason, "error %d", code);
    return nft_fail(NFT_ERROR_FILE, "%s%scannot %s: %s", path ? path : "", path ? ": " : "", action, reason);
}

nft_status nft_open_regular(const char *path, int *out, int64_t *size)
{
    struct stat about;
    int descriptor;
    if (!*path)
        return nft_fail(NFT_ERROR_FILE, "the path is empty");
    do /* without waiting for the other end of a pipe */
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0)
        return nft_fail_system(path, "open");
    nft_status status = NFT_OK;
    if (fstat(descriptor, &about))
        status = nft_fail_system(path, "open");
    else if (S_ISDIR(about.st_mode))
        status = nft_fail(NFT_ERROR_FILE, "%s: is a folder, expected a file", path);
    else if (!S_ISREG(about.st_mode))
        status = nft_fail(NFT_ERROR_FILE, "%s: is not a regular file", path);
    if (status) {
        close(descriptor);
        return status;
    }
    *out = descriptor;
    *size = about.st_size;
    return NFT_OK;
}

nft_status nft_read_at(int descriptor, int64_t offset, int64_t bytes, void *out)
{
    for (int64_t done = 0; done < bytes;) {
        int64_t left = bytes - done;
        size_t piece = (size_t)(left < LARGEST_CALL ? left : LARGEST_CALL);
        ssize_t got = pread(descriptor, (char *)out + done, piece, offset + done);
        if (got < 0 && errno != EINTR)
            return nft_fail_system(NULL, "read");
        if (got == 0)
            return nft_fail(NFT_ERROR_FORMAT,
                            "the file ends at byte %" PRId64 ", expected at least %" PRId64
                            "; did it change while it was read?",
                            offset + done, offset + bytes);
        done += got > 0 ? got : 0;
    }
    return NFT_OK;
}

bool nft_write_fully(int descriptor, const void *data, int64_t bytes)
{
    for (int64_t done = 0; done < bytes;) {
        int64_t left = bytes - done;
        size_t piece = (size_t)(left < LARGEST_CALL ? left : LARGEST_CALL);
        ssize_t put = write(descriptor, (const char *)data + done, piece);
        if (put < 0 && errno != EINTR)
            return false;
        done += put > 0 ? put : 0;
    }
    return true;
}

bool nft_write_at(int descriptor, int64_t offset, const void *data, int64_t bytes)
{
    for (int64_t done = 0; done < bytes;) {
        int64_t left = bytes - done;
        size_t piece = (size_t)(left < LARGEST_CALL ? left : LARGEST_CALL);
        ssize_t put = pwrite(descriptor, (const char *)data + done, piece, offset + done);
        if (put < 0 && errno != EINTR)
            return false;
        done += put > 0 ? put : 0;
    }
    return true;
}
