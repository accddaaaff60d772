/* IDX files, the format of MNIST: numbers of one type in up to four dimensions, read in order, gzipped or
 * not. http://yann.lecun.com/exdb/mnist/ describes it. Nothing else of the program is needed. */
#ifndef NFT_CLI_IDX_H
#define NFT_CLI_IDX_H

#include <stdbool.h>
#include <stdint.h>

#define IDX_MAX_RANK 4

/* The codes of the types that are read. */
typedef enum idx_type {
    IDX_U8 = 0x08,
    IDX_I8 = 0x09,
    IDX_I16 = 0x0b,
    IDX_I32 = 0x0c,
    IDX_F32 = 0x0d,
    IDX_F64 = 0x0e
} idx_type;

typedef struct idx_file {
    void *stream; /* zlib's */
    idx_type type;
    int rank;                    /* 1 … 4 */
    int64_t shape[IDX_MAX_RANK]; /* shape[0] is N */
    int64_t row;                 /* numbers of one of the N */
    int64_t left;                /* rows not read yet */
    const char *name;            /* for messages; the caller's */
    char message[256];           /* of the last failure */
} idx_file;

/* Opens a file and checks its header; an uncompressed file must be as long as the header says. Each returns
 * false and leaves a message on failure. */
bool idx_open(idx_file *file, const char *path);
/* As idx_open(); takes the descriptor over. */
bool idx_open_descriptor(idx_file *file, int descriptor, const char *name);
/* The next rows as numbers, `rows` ≤ left; the file ends with the last one. */
bool idx_read(idx_file *file, int64_t rows, double *numbers);
bool idx_skip(idx_file *file, int64_t rows);
/* Closes; a file that was not opened is fine. */
void idx_close(idx_file *file);

#endif
