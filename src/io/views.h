/* Views: tensors of an opened file that show its own in another shape or order, or several as a stack. The
 * numbers stay in the file. */
#ifndef NFT_IO_VIEWS_H
#define NFT_IO_VIEWS_H

#include "io/file.h"

/* Keeps a tensor for views of it, whatever becomes of the table; it belongs to the file. */
nft_status nft_views_keep(const nft_entry **kept, nft_file *file, const nft_entry *entry);

/* Adds a tensor. `view` has rank, shape, strides and offset, both in elements of the kept tensor `base` in
 * row-major order; `is_strided` false means no gaps. nft_views_finish() sorts the table afterwards. */
nft_status nft_views_add(nft_file *file, const char *name, const nft_entry *base, const nft_entry *view);

/* Adds a stack (count, …) of kept tensors of equal types and shapes. */
nft_status nft_views_stack(nft_file *file, const char *name, const nft_entry *const *parts, int64_t count);

/* Adds F32 numbers that are no longer those of the file. Takes them over, also when it fails. */
nft_status nft_views_add_numbers(nft_file *file, const char *name, const int64_t *shape, int64_t rank,
                                 float *numbers);

/* Removes the entries that are marked and sorts the table. `removed` has one mark for each entry that the
 * table had at first; entries that were added since stay. */
nft_status nft_views_finish(nft_file *file, const bool *removed, int64_t count);

void nft_views_clear(nft_file *file);

#endif
