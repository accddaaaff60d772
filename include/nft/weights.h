/**
 * @file weights.h
 * Weight sets: the weights of N networks of one space. Included by nft/nft.h.
 *
 * For network n of a set and channel c the array of a tensor has PyTorch's layout without exception: it is
 * (N, C, *shape), row-major, with the shape that the space gives the tensor. Raw weights have one channel, C
 * = 1. In a chain of layers tensor 2i is layer i's weight and 2i + 1 its bias.
 */
#ifndef NFT_WEIGHTS_H
#define NFT_WEIGHTS_H

#include "nft/array.h"
#include "nft/base.h"
#include "nft/space.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The weights of N networks of one space, and the tensors (labels) that travel with them. One writer or many
 * readers. */
typedef struct nft_weights nft_weights;

/**
 * Makes a set that copies the caller's arrays, one for each tensor of the space, or a set of zeros to be
 * filled through nft_weights_edit(). Thread-safe.
 * @param[out] weights free it with nft_weights_free()
 * @param space of all the networks
 * @param count networks, N ≥ 0
 * @param channels values for each weight, C; 1 for raw weights
 * @param tensors an array (N, C, *shape) for each tensor of the space; NULL in place of the bias of a chain's
 * layer means zeros. NULL: all weights are zero
 * @return ::NFT_ERROR_ARGUMENT, ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_create(nft_weights **weights, const nft_space *space,
                                                     int64_t count, int64_t channels,
                                                     const float *const *tensors);

/**
 * As nft_weights_create(), but reads the caller's arrays in place: they must stay valid and are never
 * written. Thread-safe.
 * @return as nft_weights_create()
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_borrow(nft_weights **weights, const nft_space *space,
                                                     int64_t count, int64_t channels,
                                                     const float *const *tensors);

/** Drops a set; NULL is fine. Thread-safe. */
NFT_API void nft_weights_free(nft_weights *weights);

/**
 * Reads one network (a PyTorch state_dict), a stack of N, or features, from a file of any format
 * that nft_file_open() reads.
 *
 * The space is that of the options, or the one in the file's metadata under `nft.space`. Its tensors are
 * found by name, and their rank tells which of the three the file holds. A model in ONNX has the space of its
 * graph, as nft_space_from_onnx() finds it, unless the options name layers. Any other file holds a
 * family with known names (ResNet, LSTM, …) or a chain: pairs `NAME.weight` and `NAME.bias`, zeros where a
 * layer has no bias. Each layer feeds the next. Layers stand in natural order of the names, or else in an
 * order by known words, which is logged. The rank of the biases, or else of the weights, tells which of
 * the three the file holds.
 *
 * Tensors with a leading N that belong to no network are kept as extras (`label`). The metadata is kept.
 * Tensors that are not read are reported once, through the log callback.
 * @param[out] weights free it with nft_weights_free()
 * @param path of the file; NULL if the options have its bytes
 * @param options NULL for the defaults
 * @return ::NFT_ERROR_FILE, ::NFT_ERROR_FORMAT, ::NFT_ERROR_MISMATCH for another space than that of the
 * options, ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY, ::NFT_ERROR_ARGUMENT. Thread-safe
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_load(nft_weights **weights, const char *path,
                                                   const nft_load_options *options);
/**
 * Writes the set with its tensor names, its rank, its extras and its metadata, to which it adds `nft.space`.
 * The target is whole at any moment: a temporary file is renamed over it. Thread-safe unless another thread
 * writes the set.
 * @return ::NFT_ERROR_FILE if it cannot be written, ::NFT_ERROR_ARGUMENT, ::NFT_ERROR_LIMIT,
 * ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_save(const nft_weights *weights, const char *path);

/** The space. Borrowed from the set. Thread-safe unless another thread writes the set. */
NFT_API const nft_space *nft_weights_space(const nft_weights *weights);
/** N, the number of networks. Thread-safe unless another thread writes the set. */
NFT_API int64_t nft_weights_count(const nft_weights *weights);
/** C, the channels. Thread-safe unless another thread writes the set. */
NFT_API int64_t nft_weights_channels(const nft_weights *weights);
/**
 * The name of a tensor in its file; that of the space for a set made in memory; NULL if there is no such
 * tensor. Borrowed. Thread-safe unless another thread writes the set.
 */
NFT_API const char *nft_weights_tensor_name(const nft_weights *weights, int64_t tensor);
/** The array (N, C, *shape) of a tensor. Borrowed; NULL if there is none. Thread-safe unless another thread
 * writes the set. */
NFT_API const float *nft_weights_data(const nft_weights *weights, int64_t tensor);
/** The same, to be written; NULL for a set that borrows the caller's memory. Not thread-safe for one set. */
NFT_API float *nft_weights_edit(nft_weights *weights, int64_t tensor);
/** How many floats nft_weights_data() points to. Thread-safe unless another thread writes the set. */
NFT_API int64_t nft_weights_data_count(const nft_weights *weights, int64_t tensor);

/** Name `index` of the extra tensors (leading axis N) that travel with the set. NULL beyond the last.
 * Borrowed. Thread-safe unless another thread writes the set. */
NFT_API const char *nft_weights_extra_name(const nft_weights *weights, int64_t index);
/**
 * An extra tensor by its name; NULL if there is none. Borrowed from the set. The losses
 * cross_entropy (I64 classes), mse and bce (F32 numbers) compare with `label`, see nft_trainer_set_data().
 * Thread-safe unless another thread writes the set.
 */
NFT_API const nft_array *nft_weights_extra(const nft_weights *weights, const char *name);
/**
 * Adds, replaces or (array NULL) removes an extra tensor; the set keeps a copy. Its leading axis must be N,
 * its name UTF-8, not `__metadata__` and without `.weight` or `.bias` at its end: ::NFT_ERROR_ARGUMENT
 * otherwise. Not thread-safe for one set.
 * @return ::NFT_ERROR_ARGUMENT, ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_set_extra(nft_weights *weights, const char *name,
                                                        const nft_array *array);

/**
 * A text of the metadata that travels with the set from load to save (`nft.omega` …), NULL if there is none.
 * Borrowed until that key is set again. Thread-safe unless another thread writes the set.
 */
NFT_API const char *nft_weights_metadata(const nft_weights *weights, const char *key);
/** Key `index` of the metadata, and its text in *text unless that is NULL; NULL beyond the last. Borrowed.
 * Thread-safe unless another thread writes the set. */
NFT_API const char *nft_weights_metadata_at(const char **text, const nft_weights *weights, int64_t index);
/**
 * Sets a text of the metadata, or removes it (text NULL). Key and text are UTF-8 and copied. Not thread-safe
 * for one set.
 * @return ::NFT_ERROR_ARGUMENT, ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_set_metadata(nft_weights *weights, const char *key,
                                                           const char *text);

#ifdef __cplusplus
}
#endif

#endif
