/* Pickles as data: opcodes build values, and no name in them is ever looked up. */
#ifndef NFT_IO_FORMATS_PICKLE_H
#define NFT_IO_FORMATS_PICKLE_H

#include "io/formats/format.h"

typedef enum nft_pickle_kind {
    NFT_PICKLE_NONE,
    NFT_PICKLE_BOOLEAN,
    NFT_PICKLE_INTEGER,
    NFT_PICKLE_REAL,
    NFT_PICKLE_TEXT,
    NFT_PICKLE_BYTES,
    NFT_PICKLE_LATIN1, /* bytes, each as the UTF-8 of the code point with its number */
    NFT_PICKLE_TUPLE,
    NFT_PICKLE_LIST,
    NFT_PICKLE_DICT,
    NFT_PICKLE_CLASS,   /* the name of one */
    NFT_PICKLE_STORAGE, /* of PyTorch: the persistent id */
    NFT_PICKLE_TENSOR,  /* of PyTorch: the arguments that rebuild it */
    NFT_PICKLE_OBJECT   /* of a class that is not known: a hole */
} nft_pickle_kind;

/* Values refer to each other by number. */
typedef int32_t nft_pickle_ref;
#define NFT_PICKLE_NO_VALUE (-1)

typedef struct nft_pickle_value {
    nft_pickle_kind kind;
    union {
        int64_t integer; /* also of a boolean */
        double real;
        struct {
            const char *bytes; /* inside the pickle */
            int64_t length;
        } text;
        struct {
            int32_t first, last, count; /* cells */
        } items;
        struct {
            nft_pickle_ref module, name; /* texts */
        } type;
        struct {
            nft_pickle_ref id; /* tuple */
        } storage;
        struct {
            nft_pickle_ref arguments, data_type; /* a tuple; a class, or none where the storage's is meant */
        } tensor;
        struct {
            nft_pickle_ref type, arguments, state; /* each may be none */
        } object;
    } as;
} nft_pickle_value;

typedef struct nft_pickle_cell {
    nft_pickle_ref key, value; /* key: only of a dict */
    int32_t next;              /* -1: the last */
} nft_pickle_cell;

typedef struct nft_pickle {
    const uint8_t *bytes;
    int64_t size, at;
    int64_t limit; /* bytes for the lists below, together */
    bool is_short; /* the bytes ended before the pickle did */
    nft_pickle_value *values;
    nft_pickle_cell *cells;
    nft_pickle_ref *stack, *memo;
    int64_t value_count, value_capacity, cell_count, cell_capacity, depth, stack_capacity, memo_count,
        memo_capacity;
} nft_pickle;

/* Runs the pickle that begins at `at`, leaves `at` behind it, and gives its value. Values of earlier pickles
 * of the same bytes stay. */
nft_status nft_pickle_run(nft_pickle *pickle, nft_pickle_ref *value);
void nft_pickle_clear(nft_pickle *pickle);

const nft_pickle_value *nft_pickle_at(const nft_pickle *pickle,
                                      nft_pickle_ref ref); /* none: an unknown NONE */
nft_pickle_ref nft_pickle_item(const nft_pickle *pickle, nft_pickle_ref sequence,
                               int64_t index); /* of a tuple or list; or none */
nft_pickle_ref nft_pickle_look_up(const nft_pickle *pickle, nft_pickle_ref dict, const char *key);
bool nft_pickle_is_text(const nft_pickle *pickle, nft_pickle_ref ref, const char *text);
bool nft_pickle_is_class(const nft_pickle *pickle, nft_pickle_ref ref, const char *module, const char *name);

/* For pickle_calls.c: a new value, and the value of `function` called with a tuple. */
nft_status nft_pickle_new(nft_pickle *pickle, nft_pickle_kind kind, nft_pickle_ref *ref);
nft_status nft_pickle_append(nft_pickle *pickle, nft_pickle_ref container, nft_pickle_ref key,
                             nft_pickle_ref value);
nft_status nft_pickle_call(nft_pickle *pickle, nft_pickle_ref function, nft_pickle_ref arguments,
                           nft_pickle_ref *result);

#endif
