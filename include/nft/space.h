/**
 * @file space.h
 * Weight spaces: the architectures whose weights are the data. Included by nft/nft.h.
 */
#ifndef NFT_SPACE_H
#define NFT_SPACE_H

#include "nft/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The description of one network architecture, without values. Immutable, so any number of threads may share
 * it. */
typedef struct nft_space nft_space;

/** The kind of a layer. */
enum {
    NFT_LAYER_LINEAR = 0, /**< weight (out, in · positions) */
    NFT_LAYER_CONV2D = 1  /**< weight (out, in, kernel_height, kernel_width) */
};

/** One layer of the described network, PyTorch's numbers. A bias (out) belongs to every layer. */
typedef struct nft_layer {
    size_t size;           /**< sizeof(nft_layer) */
    int32_t type;          /**< ::NFT_LAYER_LINEAR or ::NFT_LAYER_CONV2D */
    int64_t in;            /**< input neurons or channels */
    int64_t out;           /**< output neurons or channels */
    int64_t kernel_height; /**< conv2d */
    int64_t kernel_width;  /**< conv2d */
    int64_t positions;     /**< linear after a flattened feature map: pixels of the map; 0 and 1 mean none */
} nft_layer;

/** A linear layer. */
#define NFT_LAYER_INIT_LINEAR(in, out)                                                                       \
    {                                                                                                        \
        sizeof(nft_layer), NFT_LAYER_LINEAR, (in), (out), 0, 0, 1                                            \
    }
/** A linear layer that reads a flattened feature map of `positions` pixels, channel-major, as PyTorch's
 * Flatten makes it. */
#define NFT_LAYER_INIT_FLATTENED(in, out, positions)                                                         \
    {                                                                                                        \
        sizeof(nft_layer), NFT_LAYER_LINEAR, (in), (out), 0, 0, (positions)                                  \
    }
/** A 2-d convolution. */
#define NFT_LAYER_INIT_CONV2D(in, out, height, width)                                                        \
    {                                                                                                        \
        sizeof(nft_layer), NFT_LAYER_CONV2D, (in), (out), (height), (width), 1                               \
    }

/**
 * Describes a network of `count` layers, each feeding the next.
 * @param[out] space free it with nft_space_free()
 * @param layers `count` ≥ 1 layers with layers[i].out == layers[i+1].in; all of one `size`
 * @param count how many
 */
NFT_API NFT_MUST_CHECK nft_status nft_space_create(nft_space **space, const nft_layer *layers, int64_t count);

/** Describes an MLP: `count` ≥ 2 widths, inputs first. {2, 32, 32, 1} is the SIREN of the papers. */
NFT_API NFT_MUST_CHECK nft_status nft_space_create_mlp(nft_space **space, const int64_t *widths,
                                                       int64_t count);

/** Reads the JSON form that configurations use, {"layers": [{"type": "linear", "in": 2, "out": 32}, …]}. */
NFT_API NFT_MUST_CHECK nft_status nft_space_parse(nft_space **space, const char *json, size_t length);

/** Drops the caller's reference; NULL is fine. Whatever uses the space keeps its own. */
NFT_API void nft_space_free(nft_space *space);

/** Number of layers. */
NFT_API int64_t nft_space_layer_count(const nft_space *space);
/** Fills `layer` (its `size` set by the caller) with layer `index`. */
NFT_API NFT_MUST_CHECK nft_status nft_space_layer(nft_layer *layer, const nft_space *space, int64_t index);
/** All weights and biases of one network. */
NFT_API int64_t nft_space_parameter_count(const nft_space *space);
/** 1 if both describe the same layers. */
NFT_API int nft_space_equal(const nft_space *a, const nft_space *b);

#ifdef __cplusplus
}
#endif

#endif
