/* Labels as a loss takes them, from any type that converts exactly: numbers, or one class for each sample. */
#ifndef NFT_IO_TARGETS_H
#define NFT_IO_TARGETS_H

#include "io/dataset.h"

/* The class of a sample that is left out, as in PyTorch's losses. */
#define NFT_CLASS_IGNORED INT64_C(-100)
/* That of a label that is infinite or NaN. */
#define NFT_CLASS_NOT_FINITE INT64_MIN

/* Rows of labels. */
typedef struct nft_label_rows {
    int64_t first, count; /* number of the first, for messages, and how many */
    int64_t width;        /* numbers of each */
    int64_t classes;      /* the number of classes; 0: they are numbers */
    const float *floats;  /* or */
    const int64_t *integers;
} nft_label_rows;

/* Whether the rows have to be converted at all. */
bool nft_labels_convert(bool floats, int64_t width, int64_t classes);
/* A class for each row: whole numbers, or rows of a 1 among zeros. NFT_ERROR_MISMATCH names the sample. */
nft_status nft_labels_to_classes(int64_t *classes, const nft_label_rows *rows);
/* The integers as floats. NFT_ERROR_MISMATCH names the sample whose integer is no float. */
nft_status nft_labels_to_numbers(float *numbers, const nft_label_rows *rows);

/* Rows of `entry`, which has one for each sample of the part: classes to `labels`, or numbers to `numbers`;
 * the other is NULL. `scratch` has 8 bytes for each number where nft_labels_convert() says so. */
nft_status nft_part_read_targets(const nft_dataset *dataset, int64_t part, const nft_entry *entry,
                                 int64_t classes, int64_t first, int64_t count, void *scratch, float *numbers,
                                 int64_t *labels);

#endif
