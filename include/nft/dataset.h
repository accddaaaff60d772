/**
 * @file dataset.h
 * Data sets in files, read sample by sample: for training on more than memory holds. Included by nft/nft.h.
 */
#ifndef NFT_DATASET_H
#define NFT_DATASET_H

#include "nft/base.h"
#include "nft/space.h"
#include "nft/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An open file of stacked networks, or of tokens, whose labels a trainer reads. Threads may share it. */
typedef struct nft_dataset nft_dataset;

/**
 * Opens a data set: what nft_weights_load() would read with a leading axis N, or a file whose tensor `output`
 * is tokens (N, tokens, channels), as `nftool forward` writes them. Reads the header alone; the file stays
 * open. Do not change it meanwhile: each part is checked as it is read, but a training would mix both states.
 * @param[out] dataset free it with nft_dataset_free()
 * @param path a safetensors file
 * @param options NULL for the defaults
 */
NFT_API NFT_MUST_CHECK nft_status nft_dataset_open(nft_dataset **dataset, const char *path,
                                                   const nft_load_options *options);
/** Frees a data set; NULL is fine. A trainer that uses it holds a reference of its own. */
NFT_API void nft_dataset_free(nft_dataset *dataset);
/** Samples, N. */
NFT_API int64_t nft_dataset_count(const nft_dataset *dataset);
/** The space of its networks; NULL if it holds tokens. Borrowed. */
NFT_API const nft_space *nft_dataset_space(const nft_dataset *dataset);
/**
 * Reads samples into a weight set of the same space and channels.
 * @param[out] weights room for at least `count` networks; the first `count` are written
 * @param dataset of networks, not of tokens
 * @param indices `count` numbers of samples, 0 … N - 1, in any order
 * @param count how many
 * @return ::NFT_ERROR_FILE or ::NFT_ERROR_FORMAT, with the file's name, if it cannot be read (any
 * more); ::NFT_ERROR_ARGUMENT for an index that is none; ::NFT_ERROR_MISMATCH if the data set holds tokens or
 * `weights` has another space, other channels, too little room, or borrows its memory
 */
NFT_API NFT_MUST_CHECK nft_status nft_dataset_read(nft_weights *weights, const nft_dataset *dataset,
                                                   const int64_t *indices, int64_t count);
/**
 * Reads a whole tensor of the file that the data set has open, such as its labels.
 * @param[out] tensor free it with nft_array_free()
 * @param dataset of networks or of tokens
 * @param name of a tensor of the file, such as `label`
 * @return ::NFT_ERROR_ARGUMENT if there is no tensor of that name; ::NFT_ERROR_FILE or ::NFT_ERROR_FORMAT if
 * it cannot be read (any more); ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_dataset_read_tensor(nft_array **tensor, const nft_dataset *dataset,
                                                          const char *name);

#ifdef __cplusplus
}
#endif

#endif
