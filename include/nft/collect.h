/**
 * @file collect.h
 * Data sets made of files of single networks. Included by nft/file.h.
 */
#ifndef NFT_COLLECT_H
#define NFT_COLLECT_H

#include "nft/base.h"
#include "nft/space.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Told of a network that is left out.
 * @param path its file; borrowed for the call
 * @param reason one line; borrowed for the call
 * @param user nft_collect_options.user
 */
typedef void nft_collect_left_out(const char *path, const char *reason, void *user);

/** A count: data sets that a collection can be split into. */
#define NFT_COLLECT_MOST_SETS 8

/** How to collect networks. Zero or NULL in a field is its default. */
typedef struct nft_collect_options {
    size_t size; /**< sizeof(nft_collect_options) */
    const char
        *labels;     /**< where labels are: the path of a table (CSV, TSV, JSON or JSON lines), or "sidecar",
                        NAME.json next to NAME.pt; "folder", the name of the folder; "key:NAME", inside the file;
                        "path:PATTERN", in the path: the pattern matches its last parts, * stands for any
                        characters and {label} for the label. NULL: the tensor `label` of a stack, or none */
    const char *key; /**< the column of the table that names the file; NULL: the first */
    const char *label; /**< the column that becomes the tensor `label`; dots go into nested objects; NULL:
                          "label" */
    const char *const *also; /**< further columns, which become tensors of their names */
    int64_t also_count;      /**< how many */
    const nft_space *space;  /**< of all networks; NULL: the file's, or the key `space` of its sidecar, or a
                                chain */
    const char *prefix;      /**< tensors whose names begin with it are the network */
    int skip; /**< 1: networks that cannot be read, are not finite or have no label are left out; 0: the
                 first of them is an error */
    nft_collect_left_out *left_out;  /**< told of each network that is left out, on one rank; may be NULL */
    nft_progress_callback *progress; /**< told of files: each counts twice, found and written; may be NULL */
    void *user;                      /**< handed to both */
    const char *preset; /**< a published collection, whose layout fills the fields that are left out:
                           small-cnn-zoo, dws-mnist, dws-fmnist, dws-ssl, nfn-sirens, cnn-wild-park, cnn-zoos,
                           fit-a-nef, small-transformer-zoo, dng-vit, implicit-zoo; NULL: none */
    const char *const
        *layers;         /**< of chains: names of the layers in order; NULL: natural order of the names */
    int64_t layer_count; /**< how many names */
    int fold_norms;  /**< 1: each batch norm is folded into the linear or convolutional layer before it, which
                        then computes both, and a space of tensors loses the norm's. ::NFT_ERROR_FORMAT for a
                        norm without such a layer, or with another axis than the layer's outputs. A file with
                        norms is read as a whole */
    double norm_eps; /**< the number that the norms add to the variance; 0: 1e-5, PyTorch's */
    int32_t rank;    /**< number of this process among those that collect together, from 0 */
    int32_t ranks;   /**< how many there are, 0: 1. All get the same paths and options, and see the same
                        files. Each reads the headers of all files. The data are shared: each rank reads those
                        of an equal part of the files and writes them to the common output */
    nft_reduce_callback *reduce; /**< needed by more than one rank, else not called */
    void *reduce_user;           /**< handed to it */
    const char *const *sets;     /**< names of data sets that get a share of the networks each, "test" for
                                    example; letters, digits, - and _. `output` is then the name of several
                                    data sets: OUT-train.safetensors has the networks that are left,
                                    OUT-test.safetensors its share */
    const double *shares;        /**< of all networks, for each of the sets; their sum is less than 1 */
    int64_t set_count;           /**< how many, at most ::NFT_COLLECT_MOST_SETS - 1; 0: `output` has all */
    uint64_t seed;               /**< of the random choice of the networks of each set */
} nft_collect_options;

/** Options with every default. */
#define NFT_COLLECT_OPTIONS_INIT                                                                             \
    {                                                                                                        \
        sizeof(nft_collect_options), NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, \
            0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, 0, 0                                                      \
    }

/** The result of nft_collect(). */
typedef struct nft_collect_result {
    size_t size;                         /**< sizeof(nft_collect_result), set by the caller */
    int64_t networks;                    /**< in the data set */
    int64_t spaces;                      /**< of them; each has a file */
    int64_t left_out;                    /**< networks */
    int64_t resumed;                     /**< networks that an interrupted call had written */
    int64_t sets[NFT_COLLECT_MOST_SETS]; /**< networks of each data set of a split, the training set first */
} nft_collect_result;

/** An nft_collect_result to be filled. */
#define NFT_COLLECT_RESULT_INIT                                                                              \
    {                                                                                                        \
        sizeof(nft_collect_result), 0, 0, 0, 0,                                                              \
        {                                                                                                    \
            0                                                                                                \
        }                                                                                                    \
    }

/**
 * Makes a data set of files of networks.
 *
 * Files are read in every format of nft_file_open(). Networks of one space, with the same names of tensors,
 * roles and metadata, are stacked in one file. Labels that are whole numbers become I64, other numbers F32;
 * texts become classes, numbered in natural order. The metadata `nft.classes` hold the names of the classes.
 * A list of numbers becomes a row. The networks have the natural order of their paths. The tensor `nft.file`
 * holds the path of each, bytes padded with zeros; a network of several in one file has its number behind it,
 * `zoo.npz#12`.
 *
 * Memory holds the path, the space and the labels of each network, never the weights of more than one file.
 * With `sets` the networks are distributed at random over several disjoint data sets. A network's set depends
 * on the seed, its place among all networks and their number. Each set has the share of all networks that is
 * nearest to the given one. All sets number classes alike.
 *
 * After an interruption, or a stop by `progress`, the same call continues. Until then files next to `output`
 * hold its state. Their names end in `.partial`. Thread-safe for different outputs.
 *
 * The file is the same for any number of ranks. If one fails, the others return ::NFT_ERROR_CANCELLED.
 * @param[out] result may be NULL
 * @param paths files; folders, with all their files except hidden files, sidecars and text; patterns with *,
 * ? or [; or `@`FILE, a file with a path on each line
 * @param count how many, ≥ 1
 * @param output a file of networks of one space, or, with the ending `.json`, an index (see
 * nft_dataset_open()) with its parts next to it: NAME-0.safetensors, …
 * @param options NULL for the defaults
 * @return ::NFT_ERROR_MISMATCH for several spaces without an index; ::NFT_ERROR_FILE, ::NFT_ERROR_FORMAT and
 * others with the path in the message; ::NFT_ERROR_CANCELLED
 */
NFT_API NFT_MUST_CHECK nft_status nft_collect(nft_collect_result *result, const char *const *paths,
                                              int64_t count, const char *output,
                                              const nft_collect_options *options);

#ifdef __cplusplus
}
#endif

#endif
