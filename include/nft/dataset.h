/**
 * @file dataset.h
 * Data sets in files, read sample by sample: for training on more than memory holds. Included by nft/train.h.
 */
#ifndef NFT_DATASET_H
#define NFT_DATASET_H

#include "nft/base.h"
#include "nft/space.h"
#include "nft/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Open files of networks or of tokens, with their labels. Threads may share it. */
typedef struct nft_dataset nft_dataset;

/**
 * Opens a data set. It is a file that nft_weights_load() reads, with a leading axis N; or a file whose tensor
 * `output` is tokens (N, tokens, channels), as `nftool forward` writes them; or an index of several spaces:
 *
 * @code
 * {"format_version": 1, "parts": [{"file": "zoo-0.safetensors", "count": 120}, …]}
 * @endcode
 *
 * The parts are files of networks, each of one space, with paths relative to the index and as many networks
 * as the index says; all have the same number of channels. Samples are numbered from 0 through the parts.
 * Reads headers only. At most 64 files stay open, however many parts there are. The files must not change.
 * Thread-safe.
 * @param[out] dataset free it with nft_dataset_free()
 * @param path the file or the index
 * @param options for the file, or for each part; NULL for the defaults
 * @return ::NFT_ERROR_FILE, ::NFT_ERROR_FORMAT or ::NFT_ERROR_LIMIT with the name of the file and of the
 * part;
 * ::NFT_ERROR_MEMORY, ::NFT_ERROR_ARGUMENT
 */
NFT_API NFT_MUST_CHECK nft_status nft_dataset_open(nft_dataset **dataset, const char *path,
                                                   const nft_load_options *options);
/** Frees a data set; NULL is fine. A trainer that uses it keeps its own reference. Thread-safe. */
NFT_API void nft_dataset_free(nft_dataset *dataset);

/** Facts about a data set. */
typedef struct nft_dataset_description {
    size_t size;        /**< of the library's struct */
    int64_t count;      /**< samples, N */
    int64_t part_count; /**< parts: 1 of a single file */
    const nft_space
        *space; /**< of its networks; NULL if they have several, or if it holds tokens; borrowed */
} nft_dataset_description;

/** Facts about a data set. Borrowed from it; never NULL: all is 0 for NULL. Thread-safe. */
NFT_API const nft_dataset_description *nft_dataset_describe(const nft_dataset *dataset);

/** A part of a data set: networks of one space, or tokens. */
typedef struct nft_dataset_part {
    size_t size;            /**< sizeof(nft_dataset_part), set by the caller */
    const char *path;       /**< its file; borrowed from the data set */
    const nft_space *space; /**< of its networks, NULL of tokens; borrowed from the data set */
    int64_t first;          /**< number of its first sample */
    int64_t count;          /**< samples */
    int64_t tokens;         /**< of each sample; 0 of networks */
    int64_t channels;       /**< of the networks, or of the tokens */
} nft_dataset_part;

/** An nft_dataset_part to be filled. */
#define NFT_DATASET_PART_INIT                                                                                \
    {                                                                                                        \
        sizeof(nft_dataset_part), NULL, NULL, 0, 0, 0, 0                                                     \
    }

/** Fills `part` (its `size` set by the caller) with part `index`. Thread-safe.
 * @return ::NFT_ERROR_ARGUMENT if there is no such part */
NFT_API NFT_MUST_CHECK nft_status nft_dataset_get_part(nft_dataset_part *part, const nft_dataset *dataset,
                                                       int64_t index);
/**
 * Reads samples into a weight set of their space and channels. Thread-safe for different sets.
 * @param[out] weights room for at least `count` networks; the first `count` are written
 * @param dataset of networks, not of tokens
 * @param indices `count` numbers of samples, 0 … N - 1, in any order
 * @param count how many
 * @return ::NFT_ERROR_FILE or ::NFT_ERROR_FORMAT, with the file's name, if it cannot be read (any
 * more); ::NFT_ERROR_ARGUMENT for an index of no sample; ::NFT_ERROR_MISMATCH if the data set holds tokens, a
 * sample has another space than `weights`, or `weights` has other channels, too little room, or borrows its
 * memory
 */
NFT_API NFT_MUST_CHECK nft_status nft_dataset_read(nft_weights *weights, const nft_dataset *dataset,
                                                   const int64_t *indices, int64_t count);
/**
 * Makes a set with the space, the channels, the names and the metadata of part `part`, and room for `count`
 * networks, for nft_dataset_read() to fill. Its metadata have `nft.space`. Thread-safe.
 * @param[out] weights free it with nft_weights_free(); its networks are zero
 * @param dataset of networks, not of tokens
 * @param part from 0; a single file is part 0
 * @param count room, in networks
 * @return ::NFT_ERROR_ARGUMENT if there is no such part or `count` is negative, ::NFT_ERROR_MISMATCH if the
 * data set holds tokens, ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_dataset_batch(nft_weights **weights, const nft_dataset *dataset,
                                                    int64_t part, int64_t count);
/** Name `index` of the extra tensors of the first part, such as `label`. An extra tensor has a row for each
 * sample and belongs to no network. NULL beyond the last. Borrowed from the data set. Thread-safe. */
NFT_API const char *nft_dataset_extra_name(const nft_dataset *dataset, int64_t index);
/** A text of the metadata of part `part`, NULL if there is none. Borrowed from the data set. Thread-safe. */
NFT_API const char *nft_dataset_metadata(const nft_dataset *dataset, int64_t part, const char *key);
/**
 * Reads a tensor with a row for each sample, such as the labels, whole or some of its rows. Thread-safe.
 * @param[out] tensor free it with nft_array_free()
 * @param dataset of networks or of tokens
 * @param name of a tensor of the file, such as `label`
 * @param first sample
 * @param count samples; ::NFT_ALL: all that follow
 * @return ::NFT_ERROR_ARGUMENT if there is no tensor of that name, or no such sample; ::NFT_ERROR_FILE or
 * ::NFT_ERROR_FORMAT if it cannot be read (any more); ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_dataset_read_tensor(nft_array **tensor, const nft_dataset *dataset,
                                                          const char *name, int64_t first, int64_t count);

/**
 * Reads the labels of all samples as a loss takes them, from any type that converts exactly. The result is
 * I64 (N) classes, from whole numbers or from one-hot rows, or F32 (N, numbers of a sample). A sample of
 * class -100 is left out. A class that is infinite or NaN becomes INT64_MIN. Thread-safe.
 * @param[out] targets free it with nft_array_free()
 * @param dataset of networks or of tokens
 * @param name of the tensor; NULL: `label`, or else `target`
 * @param classes how many classes there are; 0: the labels are numbers
 * @return ::NFT_ERROR_ARGUMENT if there is no such tensor with a row for each sample; ::NFT_ERROR_MISMATCH if
 * it has another shape, or a label does not convert; ::NFT_ERROR_FILE or ::NFT_ERROR_FORMAT if it cannot be
 * read (any more); ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_dataset_read_targets(nft_array **targets, const nft_dataset *dataset,
                                                           const char *name, int64_t classes);

#ifdef __cplusplus
}
#endif

#endif
