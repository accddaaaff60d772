/* Any bytes as a JPEG file: measured, and read in grey and in colours. */
#define _GNU_SOURCE
#include "jpeg.h"
#include "report.h"

#include "fuzz/bytes_as_file.h"

#undef fail /* the analyzer's */

/* Pixels that the input may ask memory for. */
#define LARGEST (1 << 16)

static bytes_as_file bytes_file;

/* In place of the program's, which prints. */
int fail(const char *format, ...)
{
    (void)format;
    return EXIT_FAILED;
}

static void read_as(picture about, int64_t colours)
{
    about.colours = colours;
    unsigned char *pixels = malloc((size_t)(about.height * about.width * colours) + 1);
    if (!pixels)
        abort();
    (void)jpeg_read(&about, bytes_file.path, pixels);
    free(pixels);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    make_file(&bytes_file, "jpeg");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    picture about;
    write_file(&bytes_file, bytes, size);
    if (jpeg_measure(&about, bytes_file.path) || about.height * about.width > LARGEST)
        return 0;
    read_as(about, 1);
    read_as(about, 3);
    return 0;
}
