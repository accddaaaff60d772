/* Published collections, and how each of them lies on disk. */
#ifndef NFT_IO_COLLECT_PRESET_H
#define NFT_IO_COLLECT_PRESET_H

#include "nft/collect.h"

#include <stdbool.h>

typedef enum nft_flat {
    NFT_FLAT_NONE,
    NFT_FLAT_LAYOUT, /* a matrix, a row for each network, and layout.csv next to it */
    NFT_FLAT_PARAMS  /* a dataset `params` of HDF5, and its layout in `param_config` */
} nft_flat;

typedef struct nft_preset {
    const char *name;
    const char *files; /* a pattern: other files of folders are left out; NULL: all are read */
    const char *labels, *label, *prefix; /* for those that the options leave out; NULL: none */
    const char *key_in_path; /* a pattern, whose {label} is the key in the table; NULL: a path is the key */
    const char *key;         /* of the table that the options name; NULL: the preset has no table */
    nft_flat flat;
    const char *row_key, *row_value; /* of the table of rows: the rows to keep */
    const char *omega, *offset;      /* of SIRENs, into the metadata; NULL: none */
    const char *skips; /* a list of the checkpoint that ties channels if a number in it is not negative */
} nft_preset;

/* An error that lists the names for one that is none. */
nft_status nft_preset_find(const nft_preset **preset, const char *name);
/* Fills the options that are left out. */
void nft_preset_fill(nft_collect_options *options, const nft_preset *preset);

#endif
