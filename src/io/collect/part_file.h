/* A file of stacked networks while it is made: PATH.partial. Several calls of the program may write its rows,
 * and several processes at once. The progress stands behind the data. */
#ifndef NFT_IO_PART_FILE_H
#define NFT_IO_PART_FILE_H

#include "io/file.h"

#define NFT_PART_SAVED_EVERY (INT64_C(32) << 20) /* bytes that may be lost when the machine stops */

typedef struct nft_part_file {
    char *partial;
    int descriptor;
    bool is_guest;         /* another process owns the file and notes the progress */
    int64_t header, bytes; /* of the beginning, and of header and data together */
    uint64_t fingerprint;  /* of its sources and settings */
    int64_t *dropped;      /* numbers of the files that turned out to be no part of it, in order */
    int64_t dropped_count, dropped_capacity;
    int64_t done;    /* files that are written */
    int64_t unsaved; /* bytes since that was noted */
} nft_part_file;

/* Opens or makes the file, and reads how far it has come if it has the fingerprint. A guest opens the file
 * that its owner has opened before. Close it, also after a failure. */
nft_status nft_part_file_open(nft_part_file *part, const char *path, uint64_t fingerprint, bool is_guest);
void nft_part_file_close(nft_part_file *part);

/* Gives it this beginning and size. Existing data stay if the file begins with the same; otherwise no source
 * is done. */
nft_status nft_part_file_begin(nft_part_file *part, const nft_text *header, int64_t data_bytes);
/* The same for a guest, after the owner: it only notes the sizes and that `done` files are written. */
void nft_part_file_join(nft_part_file *part, const nft_text *header, int64_t data_bytes, int64_t done);
/* Writes `count` numbers of `size` bytes at `offset` of the data. */
nft_status nft_part_file_write(nft_part_file *part, int64_t offset, const void *numbers, int64_t size,
                               int64_t count);
nft_status nft_part_file_drop(nft_part_file *part, int64_t number);
/* Notes how many files are done. A guest only brings its data to the disk. */
nft_status nft_part_file_save(nft_part_file *part);
/* Cuts off the bytes behind the data. */
nft_status nft_part_file_finish(nft_part_file *part);

#endif
