/* Views: tensors of an opened file that show its own in another shape or order, or several as a stack. The
 * numbers stay in the file. */
#ifndef NFT_IO_VIEWS_H
#define NFT_IO_VIEWS_H

#include "io/file.h"

/* Keeps a tensor for views of it, also when the table changes. It belongs to the file. */
nft_status nft_views_keep(const nft_entry **kept, nft_file *file, const nft_entry *entry);

/* Adds a tensor, which the table has from nft_views_finish() on. `view` has rank, shape, strides and offset,
 * both in elements of the kept tensor `base` in row-major order; `is_strided` false means no gaps. */
nft_status nft_views_add(nft_file *file, const char *name, const nft_entry *base, const nft_entry *view);

/* Adds a stack (count, …) of kept tensors of equal types and shapes. */
nft_status nft_views_stack(nft_file *file, const char *name, const nft_entry *const *parts, int64_t count);

/* Adds F32 numbers that are no longer those of the file. Takes them over, also when it fails. */
nft_status nft_views_add_numbers(nft_file *file, const char *name, const int64_t *shape, int64_t rank,
                                 float *numbers);

/* Removes the entries that are marked, adds the new ones and sorts the table. */
nft_status nft_views_finish(nft_file *file, const bool *removed);

void nft_views_clear(nft_file *file);

/* Adds a text of the metadata, in place of one of the same key. */
nft_status nft_file_add_metadata(nft_file *file, const char *key, const char *value);

#endif
