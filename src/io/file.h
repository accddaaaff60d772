/* Files of tensors. Opening lists the tensors of a file in any format that has a reader (formats/format.h).
 * Tensors are then read in pieces. Only safetensors is written, next to the target and renamed. */
#ifndef NFT_IO_FILE_H
#define NFT_IO_FILE_H

#include "base/memory.h"
#include "nft/file.h"

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
    NFT_TYPE_U64, /* read as long as the values fit into I64 */
    NFT_TYPE_F8_E4M3,
    NFT_TYPE_F8_E5M2,
    NFT_TYPE_F8_E8M0,
    NFT_TYPE_F8_E4M3FNUZ,
    NFT_TYPE_F8_E5M2FNUZ
} nft_type;
#define NFT_TYPES (NFT_TYPE_F8_E5M2FNUZ + 1)

/* Where the metadata of a model file have its configuration. */
#define NFT_CONFIG_KEY "nft.config"

const char *nft_type_name(nft_type type);
int64_t nft_type_size(nft_type type);    /* bytes of one element */
bool nft_type_is_float(nft_type type);   /* which is read as floats */
bool nft_type_is_integer(nft_type type); /* which is read as integers */

/* Where bytes are: in a file, or in memory. */
typedef struct nft_source {
    int descriptor;       /* -1 for bytes in memory */
    const uint8_t *bytes; /* NULL for a file */
    int64_t size;
    uint8_t *owned;          /* the bytes, if they are to be freed with the file */
    struct nft_source *next; /* among those that a file was unpacked to */
} nft_source;

typedef struct nft_entry {
    char *name;
    nft_type type;
    int64_t rank;
    int64_t shape[NFT_ARRAY_MAX_RANK];
    int64_t count;                       /* elements */
    int64_t position;                    /* among the tensors of the file as it lists them, from 0 */
    const nft_source *source;            /* NULL: only the format's reader can tell */
    int64_t offset;                      /* bytes from the start of the source */
    int64_t strides[NFT_ARRAY_MAX_RANK]; /* in elements, none negative; used if is_strided */
    bool is_strided;                     /* else row-major without gaps */
    bool is_big_endian;
    const struct nft_entry *base; /* NULL, or the entry that this one shows in another shape (io/views.h) */
    const struct nft_entry *const *parts; /* NULL, or a tensor for each index of the first axis */
} nft_entry;

/* A number or a text next to the tensors, such as a checkpoint's accuracy. */
typedef struct nft_scalar {
    enum { NFT_SCALAR_INTEGER, NFT_SCALAR_REAL, NFT_SCALAR_BOOLEAN, NFT_SCALAR_TEXT } kind;
    char *name;
    char *text;      /* of a text, else NULL */
    int64_t integer; /* of an integer or a boolean */
    double real;     /* of every number */
} nft_scalar;

/* A tensor, or another part of a file, that is not read, and why. */
typedef struct nft_left_out {
    char *name, *reason;
} nft_left_out;

struct nft_file {
    char *path;                      /* for messages; "memory" for bytes in memory */
    const struct nft_format *format; /* NULL for a file that was never opened */
    nft_source source;               /* the file itself, unpacked if it was gzipped */
    nft_source *more;                /* unpacked parts */
    void *state;                     /* of a reader that keeps the file open in its own way */
    void (*close_state)(void *state);
    struct nft_file **shards; /* the files of an index */
    int64_t shard_count;
    bool is_shard;      /* of an index, and then no index itself */
    int64_t limit;      /* bytes that may be unpacked into memory */
    int64_t unpacked;   /* bytes that were */
    nft_entry *entries; /* in natural order of the names, no name twice */
    int64_t entry_count, entry_capacity;
    struct nft_text_pair {
        char *key, *value;
    } * metadata;
    int64_t metadata_count;
    nft_scalar *scalars; /* in natural order of the names */
    int64_t scalar_count, scalar_capacity;
    nft_left_out *left_out; /* in natural order of the names */
    int64_t left_out_count, left_out_capacity;
    struct nft_kept *kept;              /* memory of the views (io/views.h) */
    bool has_kernels_shown, is_stacked; /* io/adapt.h */
};

/* Open a file, or its bytes in memory. At most `limit` bytes are unpacked into memory; 0 is half of
 * the machine's. */
nft_status nft_file_open_within(nft_file **file, const char *path, int64_t limit);
nft_status nft_file_open_memory_within(nft_file **file, const void *bytes, size_t size, int64_t limit);

/* As nft_file_open(), but does not log the parts that are left out; the caller does. */
nft_status nft_file_open_quietly(nft_file **file, const char *path);

void nft_file_close(
    nft_file *file); /* closes the descriptors or forgets the bytes; names and metadata stay */
const nft_entry *nft_file_find(const nft_file *file, const char *name); /* NULL if there is none */
/* NULL if there is none. Dots go into nested objects: "last_result.test_acc". */
const nft_scalar *nft_file_scalar(const nft_file *file, const char *name);
/* Why there is no such tensor, if the file has it in a form that is not read; else NULL. */
const char *nft_file_why_left_out(const nft_file *file, const char *name);

/* Reads elements first … first + count - 1 of an entry in row-major order, converted: any float type to
 * float, any integer type to int64_t. Reading floats from integers or the other way round is an error.
 * Positioned reads, so threads may share the file. */
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
    nft_type type; /* NFT_TYPE_F32 or NFT_TYPE_I64, and in a header any */
    int64_t rank;
    const int64_t *shape;
} nft_output;

/* The beginning of a file: the length, then the header, padded with spaces so that the data is aligned. */
nft_status nft_file_header(nft_text *header, const nft_output *outputs, int64_t count,
                           const char *const *metadata);

nft_status nft_file_create(nft_file_writer **writer, const char *path, const nft_output *outputs,
                           int64_t count, const char *const *metadata);
nft_status nft_file_append(nft_file_writer *writer, const void *data, int64_t bytes);
/* The tensor of that name; NFT_ERROR_MISMATCH if there is none, or if it is no multiple of `row` floats. */
nft_status nft_file_find_output(int64_t *tensor, const nft_file_writer *writer, const char *name,
                                int64_t row);
bool nft_file_has_name(const nft_file_writer *writer, const char *name);
bool nft_file_has_output(const nft_file_writer *writer, int64_t tensor);
/* As nft_file_writer_write(), of a tensor that the file has. */
nft_status nft_file_write(nft_file_writer *writer, int64_t tensor, int64_t first, const void *data,
                          int64_t count);
nft_status nft_file_commit(nft_file_writer *writer); /* frees the writer, also when it fails */
void nft_file_cancel(nft_file_writer *writer);       /* NULL is fine */

#endif
