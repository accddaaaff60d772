/**
 * @file weights.h
 * Weight sets: the weights of N networks of one space. Included by nft/nft.h.
 *
 * For network n of a set, channel c and layer i, PyTorch's layout holds without exception: a weight array is
 * (N, C, out, in), (N, C, out, in · positions) or (N, C, out, in, kernel_height, kernel_width), a bias array
 * (N, C, out), row-major. Raw weights have one channel, C = 1.
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

/** Which tensor of a layer. */
enum {
    NFT_WEIGHTS_WEIGHT = 0, /**< W_i */
    NFT_WEIGHTS_BIAS = 1    /**< v_i */
};

/** How to read a file. Zero in a field is its default. */
typedef struct nft_load_options {
    size_t size;               /**< sizeof(nft_load_options) */
    int64_t memory_limit;      /**< bytes that the object may take; 0: the machine's memory */
    const char *const *layers; /**< weights: names of the layers in order; NULL: natural order of the names */
    int64_t layer_count;       /**< how many names */
} nft_load_options;

/** Options with every default. */
#define NFT_LOAD_OPTIONS_INIT                                                                                \
    {                                                                                                        \
        sizeof(nft_load_options), 0, NULL, 0                                                                 \
    }

/**
 * Makes a set of `count` networks with all weights zero; fill it through nft_weights_edit().
 * @param[out] weights free it with nft_weights_free()
 * @param space of all the networks
 * @param count networks, ≥ 0
 * @param channels values for each weight, 1 for raw weights
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_create(nft_weights **weights, const nft_space *space,
                                                     int64_t count, int64_t channels);

/**
 * Makes a set that copies the caller's arrays: one weight and one bias array for each layer.
 * @param[out] weights free it with nft_weights_free()
 * @param space of all the networks
 * @param count networks, N
 * @param channels values for each weight, C; 1 for raw weights
 * @param layer_weights an array (N, C, out, in, …) for each layer
 * @param layer_biases an array (N, C, out) for each layer; a NULL entry, or NULL, means zeros
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_copy(nft_weights **weights, const nft_space *space,
                                                   int64_t count, int64_t channels,
                                                   const float *const *layer_weights,
                                                   const float *const *layer_biases);

/** As nft_weights_copy(), but reads the caller's arrays in place: they must stay valid and are never written.
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_borrow(nft_weights **weights, const nft_space *space,
                                                     int64_t count, int64_t channels,
                                                     const float *const *layer_weights,
                                                     const float *const *layer_biases);

/** Drops a set; NULL is fine. */
NFT_API void nft_weights_free(nft_weights *weights);

/**
 * Reads one network (a PyTorch state_dict), a stack of N, or features, from a file of any format
 * that nft_file_open() reads.
 *
 * Pairs `NAME.weight` and `NAME.bias`, zeros where a layer has none; the rank of the biases, or else of the
 * weights, says which of the three it is. Layers come in
 * natural order of their names and must chain (out == next in, or next in a multiple of it: `positions`).
 * Tensors with a leading N that belong to no layer are kept as extras (`label`). Others are
 * ignored, whatever their type is.
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_load(nft_weights **weights, const char *path);
/** As nft_weights_load(), with options (NULL: the defaults). */
NFT_API NFT_MUST_CHECK nft_status nft_weights_load_with(nft_weights **weights, const char *path,
                                                        const nft_load_options *options);
/** As nft_weights_load_with(), from `size` bytes in memory. */
NFT_API NFT_MUST_CHECK nft_status nft_weights_load_memory(nft_weights **weights, const void *bytes,
                                                          size_t size, const nft_load_options *options);
/** Writes the set with its layer names, its rank and its extras: beside the target first, then renamed over
 * it. */
NFT_API NFT_MUST_CHECK nft_status nft_weights_save(const nft_weights *weights, const char *path);

/** The space. Borrowed from the set. */
NFT_API const nft_space *nft_weights_space(const nft_weights *weights);
/** N, the number of networks. */
NFT_API int64_t nft_weights_count(const nft_weights *weights);
/** C, the channels. */
NFT_API int64_t nft_weights_channels(const nft_weights *weights);
/** The name of a layer in its file, "0", "1", … for a set made in memory; NULL if there is no such layer.
 * Borrowed. */
NFT_API const char *nft_weights_layer_name(const nft_weights *weights, int64_t layer);
/** The array (N, C, …) of one tensor; `part` is ::NFT_WEIGHTS_WEIGHT or ::NFT_WEIGHTS_BIAS. Borrowed; NULL if
 * there is none. */
NFT_API const float *nft_weights_data(const nft_weights *weights, int64_t layer, int32_t part);
/** The same, to be written; NULL for a set that borrows the caller's memory. */
NFT_API float *nft_weights_edit(nft_weights *weights, int64_t layer, int32_t part);
/** How many floats nft_weights_data() points to. */
NFT_API int64_t nft_weights_data_count(const nft_weights *weights, int64_t layer, int32_t part);

/**
 * Permutes hidden neurons, which does not change what the networks compute.
 * @param weights the set; one that borrows the caller's memory is refused
 * @param permutations an array (N, hidden neurons of the layer) for each hidden layer i = 1 … L-1: new neuron
 * k of network n is old neuron permutations[i-1][n · n_i + k]. A NULL entry leaves a layer as it is.
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_permute(nft_weights *weights,
                                                      const int64_t *const *permutations);
/** Permutes every hidden layer of every network by a random permutation of its own. The same seed gives the
 * same ones. */
NFT_API NFT_MUST_CHECK nft_status nft_weights_permute_random(nft_weights *weights, uint64_t seed);

/** How many extra tensors (leading axis N) travel with the set. */
NFT_API int64_t nft_weights_extra_count(const nft_weights *weights);
/** The name of one of them, NULL if there is no such one. Borrowed. */
NFT_API const char *nft_weights_extra_name(const nft_weights *weights, int64_t index);
/** An extra tensor by its name; NULL if there is none. Borrowed from the set. `label` is what
 * cross_entropy (I64 classes) and mse and bce (F32 numbers) compare with, see nft_trainer_set_data(). */
NFT_API const nft_array *nft_weights_extra(const nft_weights *weights, const char *name);
/** Adds, replaces or (array NULL) removes an extra tensor; the set keeps a copy. Its leading axis must be N,
 * its name UTF-8, not `__metadata__` and without `.weight` or `.bias` at its end: ::NFT_ERROR_ARGUMENT
 * otherwise. */
NFT_API NFT_MUST_CHECK nft_status nft_weights_set_extra(nft_weights *weights, const char *name,
                                                        const nft_array *array);

#ifdef __cplusplus
}
#endif

#endif
