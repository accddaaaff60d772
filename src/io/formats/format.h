/* The contract of a format: it tells its files by their first bytes, and lists their tensors when a file is
 * opened. The rest, from pieces to types, is shared. */
#ifndef NFT_IO_FORMATS_FORMAT_H
#define NFT_IO_FORMATS_FORMAT_H

#include "io/file.h"

/* Enough to reach the mark of a tar archive. */
#define NFT_START_BYTES 512

typedef struct nft_start {
    uint8_t bytes[NFT_START_BYTES]; /* zeros behind the end of a shorter file */
    int64_t length;                 /* of the bytes that are there */
    int64_t size;                   /* of the whole file */
} nft_start;

bool nft_start_is(const nft_start *start, const void *bytes, size_t length);

typedef struct nft_format {
    const char *name; /* for messages */
    bool (*matches)(const nft_start *start);
    /* Adds entries, scalars and the parts that are left out. The file has a path, a source and a limit. */
    nft_status (*open)(nft_file *file);
    /* Elements first … first + count - 1 as little-endian bytes. NULL: every entry has a place in its source.
     */
    nft_status (*read)(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                       uint8_t *out);
} nft_format;

extern const nft_format nft_format_safetensors, nft_format_zip, nft_format_torch_stream, nft_format_numpy,
    nft_format_gzip, nft_format_shards, nft_format_onnx, nft_format_hdf5;

/* As nft_file_open_within(), but of a file that is no index. */
nft_status nft_file_open_shard(nft_file **file, const char *path, int64_t limit);

/* Finds the format of the file's source and lets it list its tensors. */
nft_status nft_file_list(nft_file *file);

/* An error that gives the file's kind by its name and the way out, if no format reads it but it is known. */
nft_status nft_refuse_other_files(const char *path, const nft_start *start);
/* The same for a piece of an archive by its name, whatever it holds: the first begins as the archive. */
nft_status nft_refuse_pieces(const char *path);

nft_status nft_source_read(const nft_source *source, int64_t offset, int64_t bytes, void *out);

/* Each copies the name, of `length` bytes. A tensor or a scalar is left out if its name is not UTF-8 or has
 * control characters, or if the name is taken. `entry` has everything except a name and a count, which
 * follows from the shape. Its place is checked against the source. */
nft_status nft_file_add_entry(nft_file *file, const char *name, size_t length, const nft_entry *entry,
                              int64_t end);
nft_status nft_file_add_scalar(nft_file *file, const char *name, size_t length, const nft_scalar *scalar);
nft_status nft_file_leave_out(nft_file *file, const char *name, size_t length, const char *format, ...)
    NFT_PRINTF(4, 5);
/* Sorts the three lists. */
nft_status nft_file_sort(nft_file *file);

/* Takes bytes over, which nft_allocate() made, also when it fails. */
nft_status nft_file_add_source(nft_file *file, const nft_source **source, uint8_t *owned, int64_t size);
/* An error if `bytes` more than before would exceed the limit on unpacked bytes; else counts them. */
nft_status nft_file_count_unpacked(nft_file *file, int64_t bytes);

/* Little-endian. */
uint64_t nft_load_le(const uint8_t *bytes, int size);

#endif
