/* Any bytes as an IDX file: read in two pieces, or skipped. */
#define _GNU_SOURCE
#include "idx.h"

#include "fuzz/bytes_as_file.h"

/* Rows and numbers that the input may ask memory for. */
#define LARGEST 65536

static bytes_as_file bytes_file;

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

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    make_file(&bytes_file, "idx");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    idx_file file;
    write_file(&bytes_file, bytes, size);
    if (idx_open(&file, bytes_file.path))
        read_all(&file);
    idx_close(&file);
    if (idx_open(&file, bytes_file.path) && file.left <= LARGEST && file.row <= LARGEST)
        idx_skip(&file, file.left);
    idx_close(&file);
    return 0;
}
