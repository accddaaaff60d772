/* The files of a data set, of which only some are open at a time. */
#ifndef NFT_IO_OPEN_FILES_H
#define NFT_IO_OPEN_FILES_H

#include "io/file.h"

/* Threads may share it. */
typedef struct nft_open_files nft_open_files;

#define NFT_OPEN_FILES_MOST 64

nft_status nft_open_files_create(nft_open_files **files);
/* Closes all files that are open; those that were added belong to the caller. */
void nft_open_files_free(nft_open_files *files);

/* Keeps a file that was just opened, number `number`, open if there is room. Its header stays as it is. */
void nft_open_files_add(nft_open_files *files, nft_file *file, int64_t number);

/* File `number`, opened again where it was closed; its entries are those of `header` if the file is still the
 * same. Give it back. */
nft_status nft_open_files_take(nft_file **file, nft_open_files *files, nft_file *header, int64_t number);
void nft_open_files_give(nft_open_files *files, nft_file *file);

#endif
