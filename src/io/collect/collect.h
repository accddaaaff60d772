/* Collections: files of networks that become a data set. */
#ifndef NFT_IO_COLLECT_H
#define NFT_IO_COLLECT_H

#include "config/json.h"
#include "io/collect/preset.h"
#include "io/network.h"
#include "nft/collect.h"
#include "space/metadata.h"

struct nft_part_file;

/* Paths of files, in natural order, each once. */
typedef struct nft_paths {
    char **items;
    int64_t count, capacity;
    int64_t others; /* files of folders that hold no networks, by their names */
} nft_paths;

/* Finds the files of paths, folders, patterns and lists. Left out are the files of `outputs` (NULL ends the
 * list), the table, and files of folders that do not match the pattern `files` (NULL: any). Clear it also
 * after a failure. */
nft_status nft_paths_find(nft_paths *paths, const char *const *given, int64_t count,
                          const char *const *outputs, const char *table, const char *files);
void nft_paths_clear(nft_paths *paths);

/* A cell of a table. */
typedef struct nft_value {
    enum { NFT_VALUE_MISSING, NFT_VALUE_NUMBER, NFT_VALUE_LIST, NFT_VALUE_TEXT } kind;
    bool is_real; /* of numbers: not all are integers */
    double number;
    double *list;
    int64_t length; /* of the list */
    char *text;
} nft_value;

void nft_value_clear(nft_value *value);
nft_status nft_value_copy(nft_value *to, const nft_value *from);
/* A number, or else a text. Empty texts, "NA", "null" and the like are missing, and so are numbers that are
 * not finite. */
nft_status nft_value_from_text(nft_value *value, const char *text, size_t length);
/* A number, a boolean, a text, null or a list of numbers; anything else is an error. NULL is missing. */
nft_status nft_value_from_json(nft_value *value, const json_t *json);
nft_status nft_value_from_numbers(nft_value *value, const double *numbers, int64_t count, bool is_real);

/* The member of an object, "last_result.accuracy" of nested ones; NULL if there is none. */
const json_t *nft_json_member(const json_t *object, const char *path);

/* The whole file, unpacked if it is gzipped, as text with a 0 behind it; nft_release() it. */
nft_status nft_read_text_file(char **text, size_t *length, const char *path);

/* A table of labels. */
typedef struct nft_label_row {
    char *key;
    nft_value *values;   /* one for each column that was asked for */
    const char *used_by; /* borrowed: the path of the network that has it */
    int64_t number;      /* among the rows of the file */
    bool twice;          /* another row has the same key */
} nft_label_row;

typedef struct nft_label_table {
    char *path;
    char *column;        /* that names the files; NULL where the keys of an object do */
    nft_label_row *rows; /* sorted by key */
    int64_t count, capacity;
    const char *advice; /* borrowed: ends the message about a network without a row; NULL: none */
} nft_label_table;

nft_status nft_label_table_read(nft_label_table *table, const char *path, const char *key,
                                const char *const *columns, int64_t column_count);
void nft_label_table_clear(nft_label_table *table, int64_t column_count);
/* The row of a network by its path relative to the table, its name, or its stem. An error if there is none,
 * or if it is another's. */
/* The row of a key; NULL if there is none. */
const nft_label_row *nft_label_table_row(const nft_label_table *table, const char *key);
nft_status nft_label_table_find(const nft_label_row **row, nft_label_table *table, const char *path);

/* A file of networks. */
typedef struct nft_collected {
    const char *path;  /* in nft_paths */
    int64_t group;     /* -1: left out */
    int64_t networks;  /* in the file, or as many as are chosen */
    int64_t *rows;     /* their numbers in the file; NULL: all */
    nft_value *values; /* one for each column */
} nft_collected;

/* Networks that are stacked in one file. */
typedef struct nft_group {
    nft_space *space;
    char **names;          /* of the tensors */
    nft_metadata metadata; /* without the space */
    uint64_t hash;
    int64_t set, kind; /* of the data sets, and of the spaces before they were split */
    int64_t networks;
    int64_t *members; /* indices of the files */
    int64_t member_count, member_capacity;
} nft_group;

void nft_group_clear(nft_group *group);

/* The type of a column, from all its values. */
typedef struct nft_column {
    const char *name; /* of the tensor */
    const char *path; /* where its values are: the column of a table */
    bool present, is_real;
    int64_t width;  /* numbers of a network; 0: one, without an axis */
    char **classes; /* names in natural order, of texts */
    int64_t class_count;
} nft_column;

/* Parts of the tensors that no network has, by the last parts of their names. */
typedef struct nft_unread {
    char *kind;
    int64_t count;
    bool is_float;
} nft_unread;

typedef struct nft_collection {
    nft_collect_options options;
    char *outputs[NFT_COLLECT_MOST_SETS + 1]; /* paths of the data sets; NULL ends them */
    int64_t set_count;
    nft_paths paths;
    const nft_preset *preset; /* NULL: none */
    enum {
        NFT_LABELS_NONE,
        NFT_LABELS_TABLE,
        NFT_LABELS_SIDECAR,
        NFT_LABELS_FOLDER,
        NFT_LABELS_KEY,
        NFT_LABELS_PATH,
        NFT_LABELS_ROWS,
        NFT_LABELS_RESULTS
    } source;
    nft_label_table table;
    nft_column *columns; /* the label first */
    int64_t column_count;
    nft_collected *items; /* one for each path, then parts of files that are split */
    int64_t item_count, item_capacity;
    nft_group *groups; /* in the order of their first networks */
    int64_t group_count, group_capacity;
    int64_t *slots; /* groups by their hashes; -1: free */
    int64_t slot_count;
    int64_t name_bytes; /* of the longest name of a network's file */
    nft_unread *unread;
    int64_t unread_count, unread_capacity;
    double *flags;      /* one for each rank; NULL for a single process */
    nft_status failure; /* of the first rank that failed */
    bool writing;       /* the second pass, whose files each belong to one rank */
    int64_t left_out, resumed;
    bool told_order, told_doubt, told_folds; /* notes about these were logged, for the first file */
    int64_t done, total;                     /* for the progress */
} nft_collection;

/* The ranks meet. Each gives its status and gets NFT_OK if all did. Else the first rank that failed gets its
 * own status, and the others NFT_ERROR_CANCELLED. */
nft_status nft_collection_meet(nft_collection *collection, nft_status status);
/* The same, and `sums` become those over all ranks. */
nft_status nft_collection_sum(nft_collection *collection, double *sums, int64_t count, nft_status status);
/* The way out for a message about one network; "" if networks are skipped already. */
const char *nft_collection_skip_advice(const nft_collection *collection);
/* Tells of a network that is left out with the last message as the reason, or returns the status if nothing
 * may be skipped. */
nft_status nft_collection_leave_out(nft_collection *collection, nft_collected *item, nft_status status);
nft_status nft_collection_step(nft_collection *collection); /* one more file is done */

/* The columns, and the table if there is one. */
nft_status nft_collection_open_labels(nft_collection *collection);
/* The values of one network. `sidecar` is NULL if there is none. */
nft_status nft_collection_label(nft_collection *collection, nft_collected *item, const nft_file *file,
                                const nft_network *network, const json_t *sidecar);
/* The type of each column, from all values. */
nft_status nft_collection_type_columns(nft_collection *collection);

/* Sources of labels that published collections have. */
nft_status nft_collection_label_from_path(const nft_collection *collection, nft_collected *item);
nft_status nft_collection_label_from_results(nft_collection *collection, nft_collected *item);
/* Chooses the rows of the file as well. */
nft_status nft_collection_label_from_rows(nft_collection *collection, nft_collected *item,
                                          const nft_file *file, const nft_network *network);
/* Shows the networks of a file as the preset says, and notes its conventions in the metadata. */
nft_status nft_collection_show(const nft_collection *collection, nft_file *file);
/* No axis of a network with residual connections may be permuted: they tie parts of axes. */
nft_status nft_collection_order_axes(const nft_collection *collection, const nft_file *file,
                                     nft_network *network);

/* A file and its networks. Close both, also after a failure. */
typedef struct nft_opened {
    nft_file *file;
    nft_network network;
    json_t *sidecar; /* NULL: none */
    nft_text folds;  /* how norms were folded, to be told once; empty: there is nothing to say */
} nft_opened;

nft_status nft_collection_open(nft_opened *opened, const nft_collection *collection, const char *path);
void nft_opened_close(nft_opened *opened);

/* Finds the spaces and labels of all files. */
nft_status nft_collection_group(nft_collection *collection);
/* The paths of the data sets. */
nft_status nft_collection_name_outputs(nft_collection *collection, const char *output);
/* Distributes the networks over the data sets: each space has a group for each of them. */
nft_status nft_collection_split(nft_collection *collection);
/* Of the group's files, their labels and the options. */
uint64_t nft_collection_fingerprint(const nft_collection *collection, const nft_group *group);
/* Whether the output is an index. */
bool nft_collection_makes_index(const nft_collection *collection);
/* The file of a group; NULL when there is no memory. nft_release() it. */
char *nft_collection_part_path(const nft_collection *collection, int64_t group);
/* Bytes of the longest name that a row of NFT_FILE_NAMES has. */
int64_t nft_names_bytes(const nft_collection *collection);
/* Writes the columns and the names of the files behind the networks, each at its offset in the data. */
nft_status nft_columns_write(struct nft_part_file *part, const nft_collection *collection,
                             const nft_group *group, const int64_t *offsets);
/* Writes one group next to its file. */
nft_status nft_collection_write_group(nft_collection *collection, int64_t group);
/* Writes all groups. */
nft_status nft_collection_write(nft_collection *collection);

#endif
