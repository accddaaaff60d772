/* The parts of a data set. */
#ifndef NFT_IO_DATASET_H
#define NFT_IO_DATASET_H

#include "io/network.h"
#include "io/open_files.h"
#include "nft/dataset.h"
#include "space/array.h"

/* One file. */
typedef struct nft_part {
    nft_file *file;          /* its header; to be read through the set's `files` */
    nft_network network;     /* without a space: */
    const nft_entry *tokens; /* (N, tokens, channels) */
    int64_t first, count;    /* of its samples in the set */
} nft_part;

struct nft_dataset {
    nft_references references;
    char *path;
    nft_part *parts; /* equal spaces are one, by pointer; the names and roles of their tensors count */
    int64_t part_count;
    int64_t count, channels;
    const nft_entry **extras; /* of the first part: a row for each sample, and no network's */
    int64_t extra_count;
    nft_dataset_description description;
    nft_open_files *files;
};

nft_status nft_dataset_list_extras(nft_dataset *dataset); /* once the parts are open */
nft_dataset *nft_dataset_retain(nft_dataset *dataset);    /* one more reference */

/* A tensor of bytes, the name of the file that each network was read from, padded with zeros. nft_collect()
 * writes it. */
#define NFT_FILE_NAMES "nft.file"

/* Puts the file of sample `number` in front of the stored message, if the set has its name. Returns `status`.
 */
nft_status nft_dataset_fail_sample(const nft_dataset *dataset, int64_t number, nft_status status);

/* Index of the part that has sample `number`, which exists. */
int64_t nft_dataset_find_part(const nft_dataset *dataset, int64_t number);

/* Each reads samples first … first + count - 1 of a part, counted from the part's first; they exist. Networks
 * go to an array (count, C, *shape) for each tensor. */
nft_status nft_dataset_read_networks(const nft_dataset *dataset, int64_t part, int64_t first, int64_t count,
                                     float *const *arrays);
/* Of an entry (N, …) of the part: floats or integers, the other NULL. */
nft_status nft_part_read_rows(const nft_dataset *dataset, int64_t part, const nft_entry *entry, int64_t first,
                              int64_t count, float *floats, int64_t *integers);

#endif
