/* Any bytes as an IDX file: read in two pieces, or skipped. */
#define _GNU_SOURCE
#include "idx.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Rows and numbers that the input may ask memory for. */
#define LARGEST 65536

static bool open_bytes(idx_file *file, const uint8_t *bytes, size_t size)
{
    int descriptor = memfd_create("idx", 0);
    if (descriptor < 0 || write(descriptor, bytes, size) != (ssize_t)size || lseek(descriptor, 0, SEEK_SET))
        abort();
    return idx_open_descriptor(file, descriptor, "bytes");
}

static void read_all(idx_file *file)
{
    int64_t rows = file->left < LARGEST ? file->left : LARGEST;
    if (file->row > LARGEST / (rows ? rows : 1))
        return;
    double *numbers = malloc((size_t)(rows * file->row + 1) * sizeof *numbers);
    int64_t before = rows / 2;
    if (!numbers)
        abort();
    if (idx_read(file, before, numbers) && file->left >= rows - before)
        idx_read(file, rows - before, numbers);
    free(numbers);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    idx_file file;
    if (open_bytes(&file, bytes, size))
        read_all(&file);
    idx_close(&file);
    if (open_bytes(&file, bytes, size) && file.left <= LARGEST && file.row <= LARGEST)
        idx_skip(&file, file.left);
    idx_close(&file);
    return 0;
}
