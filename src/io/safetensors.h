/* The safetensors container: header checked once, tensors read straight into place, files written beside and
 * renamed. */
#ifndef NFT_IO_SAFETENSORS_H
#define NFT_IO_SAFETENSORS_H

#include "base/memory.h"
#include "nft/array.h"

typedef enum nft_type {
    NFT_TYPE_F32,
    NFT_TYPE_F16,
    NFT_TYPE_BF16,
    NFT_TYPE_F64,
    NFT_TYPE_I64,
    NFT_TYPE_I32,
    NFT_TYPE_I16,
    NFT_TYPE_I8,
    NFT_TYPE_U32,
    NFT_TYPE_U16,
    NFT_TYPE_U8,
    NFT_TYPE_BOOL,
    NFT_TYPE_U64, /* from here on: their size is known, and they are not read */
    NFT_TYPE_F8_E4M3,
    NFT_TYPE_F8_E5M2,
    NFT_TYPE_F8_E8M0
} nft_type;
#define NFT_TYPES (NFT_TYPE_F8_E8M0 + 1)

/* Where the metadata of a model file have its configuration. */
#define NFT_CONFIG_KEY "nft.config"

const char *nft_type_name(nft_type type);
int64_t nft_type_size(nft_type type);    /* bytes of one element */
bool nft_type_is_float(nft_type type);   /* which is read as floats */
bool nft_type_is_integer(nft_type type); /* which is read as integers */

typedef struct nft_entry {
    char *name;
    nft_type type;
    int64_t rank;
    int64_t shape[NFT_ARRAY_MAX_RANK];
    int64_t count;  /* elements */
    int64_t offset; /* bytes from the start of the file */
} nft_entry;

struct nft_file {
    char *path;           /* for messages; "memory" for bytes in memory */
    int descriptor;       /* -1 for bytes in memory */
    const uint8_t *bytes; /* NULL for a file */
    int64_t size;
    nft_entry *entries; /* in natural order of the names */
    int64_t entry_count;
    struct nft_text_pair {
        char *key, *value;
    } * metadata;
    int64_t metadata_count;
};

void nft_file_close(nft_file *file); /* closes the descriptor or forgets the bytes; names and metadata stay */
const nft_entry *nft_file_find(const nft_file *file, const char *name); /* NULL if there is none */

/* Reads elements first … first + count - 1 of an entry, converted: any float type to float, any integer type
 * to int64_t. Reading floats from integers or the other way round is an error. Positioned reads, so threads
 * may share the file. */
nft_status nft_file_read_f32(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                             float *out);
nft_status nft_file_read_i64(const nft_file *file, const nft_entry *entry, int64_t first, int64_t count,
                             int64_t *out);

/* "(300, 16, 1, 3, 3)" for messages. */
void nft_shape_describe(const int64_t *shape, int64_t rank, char *text, size_t capacity);

/* Natural order: runs of digits compare as integers, the rest bytewise. */
int nft_compare_names(const char *a, const char *b);

/* Writing: open makes PATH's neighbour with the whole header, add appends data in the order of the table,
 * close renames it over PATH. Any failure, and cancel, removes the neighbour and leaves PATH as it was. */
typedef struct nft_output {
    const char *name;
    nft_type type; /* NFT_TYPE_F32 or NFT_TYPE_I64 */
    int64_t rank;
    const int64_t *shape;
} nft_output;

nft_status nft_file_create(nft_file_writer **writer, const char *path, const nft_output *outputs,
                           int64_t count, const char *const *metadata);
nft_status nft_file_append(nft_file_writer *writer, const void *data, int64_t bytes);
nft_status nft_file_commit(nft_file_writer *writer); /* frees the writer, also when it fails */
void nft_file_cancel(nft_file_writer *writer);       /* NULL is fine */

#endif
