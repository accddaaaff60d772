#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include "idx.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* Numbers of one row, an image of 16,384 × 16,384: a header cannot make the program allocate more. */
#define MAX_ROW (INT64_C(1) << 28)
#define BUFFER_BYTES 8192

static bool wrong(idx_file *file, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

static bool wrong(idx_file *file, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int used = snprintf(file->message, sizeof file->message, "%.120s: ", file->name);
    vsnprintf(file->message + used, sizeof file->message - (size_t)used, format, arguments);
    va_end(arguments);
    return false;
}

static int64_t type_size(idx_type type)
{
    switch (type) {
    case IDX_U8:
    case IDX_I8:
        return 1;
    case IDX_I16:
        return 2;
    case IDX_I32:
    case IDX_F32:
        return 4;
    case IDX_F64:
        return 8;
    }
    return 0;
}

/* Exactly `bytes`. */
static bool read_bytes(idx_file *file, unsigned char *out, unsigned bytes)
{
    int code = Z_OK, found = gzread(file->stream, out, bytes);
    if (found == (int)bytes)
        return true;
    const char *reason = gzerror(file->stream, &code);
    if (found < 0 && code == Z_ERRNO)
        return wrong(file, "cannot read: %s", strerror(errno));
    if (found < 0 && code != Z_BUF_ERROR)
        return wrong(file, "is damaged: %.80s", reason);
    return wrong(file, "ends too soon: it is shorter than its header says");
}

static bool check_end(idx_file *file)
{
    unsigned char byte;
    int code = Z_OK, found = gzread(file->stream, &byte, 1);
    if (found > 0)
        return wrong(file, "is longer than its header says");
    const char *reason = gzerror(file->stream, &code);
    if (found == 0 && code == Z_OK)
        return true;
    return code == Z_BUF_ERROR ? wrong(file, "ends too soon: it was cut")
                               : wrong(file, "is damaged: %.80s", reason);
}

static bool read_header(idx_file *file)
{
    unsigned char bytes[4];
    if (!read_bytes(file, bytes, 4))
        return false;
    file->type = (idx_type)bytes[2];
    file->rank = bytes[3];
    if (bytes[0] || bytes[1] || !type_size(file->type))
        return wrong(file, "is no IDX file: it begins with %02x%02x%02x%02x", bytes[0], bytes[1], bytes[2],
                     bytes[3]);
    if (file->rank < 1 || file->rank > IDX_MAX_RANK)
        return wrong(file, "has %d dimensions, expected 1 … %d", file->rank, IDX_MAX_RANK);
    file->row = 1;
    for (int axis = 0; axis < file->rank; axis++) {
        if (!read_bytes(file, bytes, 4))
            return false;
        int64_t size = (int64_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
        file->shape[axis] = size;
        if (axis && size && file->row > MAX_ROW / size)
            return wrong(file, "one of its %" PRId64 " entries has more than %" PRId64 " numbers",
                         file->shape[0], MAX_ROW);
        file->row *= axis ? size : 1;
    }
    file->left = file->shape[0];
    return true;
}

/* Of an uncompressed file the length is known at once, and deflate makes nothing 1032 times as small. */
static bool check_length(idx_file *file, int64_t found)
{
    int64_t expected = 4 + 4 * file->rank + file->shape[0] * file->row * type_size(file->type);
    if (gzdirect(file->stream) ? found == expected : expected / 1032 <= found)
        return true;
    if (!gzdirect(file->stream))
        return wrong(file, "ends too soon: it is shorter than its header says");
    return wrong(file, "is %" PRId64 " bytes long, its header says %" PRId64, found, expected);
}

bool idx_open_descriptor(idx_file *file, int descriptor, const char *name)
{
    *file = (idx_file){.name = name};
    struct stat about;
    bool known = !fstat(descriptor, &about) && S_ISREG(about.st_mode);
    file->stream = known ? gzdopen(descriptor, "rb") : NULL;
    if (!file->stream) {
        close(descriptor);
        return wrong(file, known ? "out of memory" : "is not a regular file");
    }
    if (read_header(file) && check_length(file, about.st_size) && (file->left || check_end(file)))
        return true;
    idx_close(file);
    return false;
}

bool idx_open(idx_file *file, const char *path)
{
    *file = (idx_file){.name = path};
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return wrong(file, "cannot open: %s", strerror(errno));
    return idx_open_descriptor(file, descriptor, path);
}

static double number(idx_type type, const unsigned char *bytes)
{
    uint64_t bits = 0;
    float single;
    double wide;
    for (int64_t i = 0; i < type_size(type); i++)
        bits = bits << 8 | bytes[i];
    uint32_t low = (uint32_t)bits;
    switch (type) {
    case IDX_U8:
        return (double)bits;
    case IDX_I8:
        return (double)(bits ^ 0x80) - 0x80;
    case IDX_I16:
        return (double)(bits ^ 0x8000) - 0x8000;
    case IDX_I32:
        return (double)(bits ^ 0x80000000) - 0x80000000;
    case IDX_F32:
        memcpy(&single, &low, sizeof single);
        return (double)single;
    case IDX_F64:
        memcpy(&wide, &bits, sizeof wide);
        return wide;
    }
    return 0;
}

/* Reads and, unless `numbers` is NULL, converts. */
static bool take(idx_file *file, int64_t rows, double *numbers)
{
    unsigned char buffer[BUFFER_BYTES];
    int64_t size = type_size(file->type), count = rows * file->row;
    for (int64_t done = 0; done < count;) {
        int64_t now = count - done < BUFFER_BYTES / size ? count - done : BUFFER_BYTES / size;
        if (!read_bytes(file, buffer, (unsigned)(now * size)))
            return false;
        for (int64_t i = 0; numbers && i < now; i++)
            numbers[done + i] = number(file->type, buffer + i * size);
        done += now;
    }
    file->left -= rows;
    return file->left || check_end(file);
}

bool idx_read(idx_file *file, int64_t rows, double *numbers)
{
    return take(file, rows, numbers);
}

bool idx_skip(idx_file *file, int64_t rows)
{
    return take(file, rows, NULL);
}

void idx_close(idx_file *file)
{
    if (file->stream)
        gzclose(file->stream);
    file->stream = NULL;
}
