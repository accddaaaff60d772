/**
 * @file space.h
 * Weight spaces: the architectures whose weights are the data. Included by nft/nft.h.
 *
 * A space is a list of axes and a list of tensors. The shapes of the tensors name the axes. An axis is a set
 * of neurons that several tensors index. A residual connection is one axis that many tensors name, a batch
 * norm is four tensors of one axis, a depthwise filter is one axis with positions. Permuting an axis permutes
 * every tensor that names it, and does not change the function of the network.
 *
 * @code
 * // conv (c, image, 3, 3) and bias (c), then a flattened map of 2 x 2 pixels: fc (classes, c·4) and bias
 * const nft_space_axis axes[] = {NFT_SPACE_AXIS("image", 1, NFT_SYMMETRY_NONE),
 *                                NFT_SPACE_AXIS("c", 16, NFT_SYMMETRY_PERMUTATION),
 *                                NFT_SPACE_AXIS("classes", 10, NFT_SYMMETRY_NONE)};
 * const nft_factor conv[] = {NFT_AXIS(1), NFT_AXIS(0), NFT_POSITIONS(3), NFT_POSITIONS(3)};
 * const nft_factor conv_bias[] = {NFT_AXIS(1)};
 * const nft_factor fc[] = {NFT_AXIS(2), NFT_AXIS(1), NFT_POSITIONS_JOINED(4)};
 * const nft_factor fc_bias[] = {NFT_AXIS(2)};
 * const nft_space_tensor tensors[] = {
 *     NFT_SPACE_TENSOR("conv.weight", conv, 4), NFT_SPACE_TENSOR("conv.bias", conv_bias, 1),
 *     NFT_SPACE_TENSOR("fc.weight", fc, 3), NFT_SPACE_TENSOR("fc.bias", fc_bias, 1)};
 * nft_space_create(&space, axes, 3, tensors, 4);
 * @endcode
 */
#ifndef NFT_SPACE_H
#define NFT_SPACE_H

#include "nft/array.h"
#include "nft/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The description of one network architecture, without values. Immutable, so any number of threads may share
 * it. */
typedef struct nft_space nft_space;

/** The most axes that one tensor may name. */
#define NFT_TENSOR_MAX_AXES 4
/** The most factors in the shape of one tensor: axes and positions together. */
#define NFT_TENSOR_MAX_FACTORS 12

/** The symmetry of an axis: changes that keep the function of the network. */
enum {
    NFT_SYMMETRY_PERMUTATION = 0, /**< its neurons may be permuted */
    NFT_SYMMETRY_NONE = 1         /**< nothing: inputs, outputs, words and places are ordered */
};

/** The role of a tensor in models of any space, which have parameters for each role. */
enum {
    NFT_ROLE_BY_NAME = 0, /**< from the last part of the tensor's name and from its shape */
    NFT_ROLE_LINEAR,      /**< two axes or more, no positions */
    NFT_ROLE_CONV,        /**< two axes or more, with positions */
    NFT_ROLE_DEPTHWISE,   /**< one axis, with positions */
    NFT_ROLE_GAIN,        /**< one axis, no positions */
    NFT_ROLE_BIAS,        /**< one axis, and a name with "bias" in its last part */
    NFT_ROLE_RUNNING_MEAN,
    NFT_ROLE_RUNNING_VAR,
    NFT_ROLE_SCALAR /**< no axis */
};

/** An axis. */
typedef struct nft_space_axis {
    size_t size;      /**< sizeof(nft_space_axis) */
    const char *name; /**< not empty, unique in the space */
    int64_t neurons;  /**< how many, at least 1 */
    int32_t symmetry; /**< NFT_SYMMETRY_… */
} nft_space_axis;

/** An nft_space_axis. */
#define NFT_SPACE_AXIS(name, neurons, symmetry)                                                              \
    {                                                                                                        \
        sizeof(nft_space_axis), (name), (neurons), (symmetry)                                                \
    }

/** One factor of a tensor's shape: an axis, or positions, which belong to the channels. This struct does not
 * grow. */
typedef struct nft_factor {
    int32_t axis;      /**< index of the axis, -1 for positions */
    int32_t joined;    /**< 1: one dimension together with the factor before it, row-major */
    int64_t positions; /**< how many; of an axis 0 */
} nft_factor;

#define NFT_AXIS(axis)                                                                                       \
    {                                                                                                        \
        (axis), 0, 0                                                                                         \
    } /**< a dimension that is an axis */
#define NFT_POSITIONS(positions)                                                                             \
    {                                                                                                        \
        -1, 0, (positions)                                                                                   \
    } /**< a dimension of positions: a kernel's height, the gates of an LSTM */
#define NFT_AXIS_JOINED(axis)                                                                                \
    {                                                                                                        \
        (axis), 1, 0                                                                                         \
    } /**< an axis inside the dimension that began before */
#define NFT_POSITIONS_JOINED(positions)                                                                      \
    {                                                                                                        \
        -1, 1, (positions)                                                                                   \
    } /**< positions inside the dimension that began before: pixels of a flattened map */

/** A tensor. */
typedef struct nft_space_tensor {
    size_t size;               /**< sizeof(nft_space_tensor) */
    const char *name;          /**< not empty, unique in the space */
    const nft_factor *factors; /**< its shape, in the order of the file's dimensions */
    int64_t factor_count;      /**< 0 for a single number */
    int32_t role;              /**< NFT_ROLE_… */
    int32_t slice_dimension;   /**< with `from`: the dimension of the file's tensor that is cut, from 0 */
    const char *from;          /**< NULL, or the file's tensor that this one is a part of */
    int64_t slice_start;       /**< with `from`: where the part begins along that dimension */
    int64_t rank; /**< dimensions; set by nft_space_get_tensor(), not read by nft_space_create() */
    int64_t shape[NFT_ARRAY_MAX_RANK]; /**< their sizes; set and not read like `rank` */
} nft_space_tensor;

/** An nft_space_tensor that is a tensor of the file as it is. */
#define NFT_SPACE_TENSOR(name, factors, factor_count)                                                        \
    {                                                                                                        \
        sizeof(nft_space_tensor), (name), (factors), (factor_count), 0, 0, NULL, 0, 0,                       \
        {                                                                                                    \
            0                                                                                                \
        }                                                                                                    \
    }

/**
 * Describes a network by its tensors and axes.
 *
 * Every axis is named by a tensor. The parts of one `from` are cut along one dimension and cover it without
 * gap or overlap. Thread-safe.
 * @param[out] space free it with nft_space_free()
 * @param axes `axis_count` axes; all of one `size`
 * @param axis_count how many, ≥ 0
 * @param tensors `tensor_count` tensors; all of one `size`
 * @param tensor_count how many, ≥ 1
 * @return ::NFT_ERROR_CONFIG for a wrong description, with a message that names the axis or tensor;
 * ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY, ::NFT_ERROR_ARGUMENT
 */
NFT_API NFT_MUST_CHECK nft_status nft_space_create(nft_space **space, const nft_space_axis *axes,
                                                   int64_t axis_count, const nft_space_tensor *tensors,
                                                   int64_t tensor_count);

/** The kind of a layer. */
enum {
    NFT_LAYER_LINEAR = 0, /**< weight (out, in · positions) */
    NFT_LAYER_CONV2D = 1  /**< weight (out, in, kernel_height, kernel_width) */
};

/** One layer of a chain, PyTorch's numbers. A bias (out) belongs to every layer. */
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
 * Describes a chain of `count` layers, each feeding the next. Its axes are n_0 (inputs, ordered), n_1 …,
 * n_count (outputs, ordered), its tensors W_0, v_0, W_1, v_1, …: tensor 2i is layer i's weight, 2i + 1 its
 * bias. Thread-safe.
 * @param[out] space free it with nft_space_free()
 * @param layers `count` ≥ 1 layers with layers[i].out == layers[i+1].in; all of one `size`
 * @param count how many
 * @return ::NFT_ERROR_CONFIG for layers that do not fit, ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY,
 * ::NFT_ERROR_ARGUMENT
 */
NFT_API NFT_MUST_CHECK nft_status nft_space_create_chain(nft_space **space, const nft_layer *layers,
                                                         int64_t count);

/**
 * Describes an MLP as a chain: `count` ≥ 2 widths, inputs first. {2, 32, 32, 1} is the SIREN of the papers.
 * Thread-safe.
 * @return ::NFT_ERROR_CONFIG for impossible widths, ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY,
 * ::NFT_ERROR_ARGUMENT
 */
NFT_API NFT_MUST_CHECK nft_status nft_space_create_mlp(nft_space **space, const int64_t *widths,
                                                       int64_t count);

/**
 * Reads the JSON form that configurations and files use, either {"layers": [{"type": "linear", "in": 2,
 * "out": 32}, …]} or {"axes": [{"name": "c", "size": 16, "symmetry": "none"}, …], "tensors": [{"name":
 * "conv1.weight", "shape": ["c", "image", 3, 3]}, …]}. A dimension of a shape is the name of an axis, a
 * number of positions, or a list of these; a list is their product. A tensor may have a "role", and "from"
 * with "slice": [dimension, start, count]. Thread-safe.
 * @return ::NFT_ERROR_FORMAT if it is no JSON, ::NFT_ERROR_CONFIG for a wrong description, ::NFT_ERROR_LIMIT,
 * ::NFT_ERROR_MEMORY, ::NFT_ERROR_ARGUMENT
 */
NFT_API NFT_MUST_CHECK nft_status nft_space_parse(nft_space **space, const char *json, size_t length);

/** Drops the caller's reference; NULL is fine. Objects that use the space keep theirs. Thread-safe. */
NFT_API void nft_space_free(nft_space *space);

/** Facts about a space. */
typedef struct nft_space_description {
    size_t size;             /**< of the library's struct */
    int64_t axis_count;      /**< axes */
    int64_t tensor_count;    /**< tensors */
    int64_t layer_count;     /**< layers of a chain that was made from layers; 0 of any other space */
    int64_t parameter_count; /**< all numbers of one network */
    const char *json;        /**< the JSON form of the space, on one line, as nft_space_parse() reads it. A
                                chain that was made from layers has the short form with "layers" */
} nft_space_description;

/** Facts about a space. Borrowed from it; never NULL: all is 0 for NULL. Thread-safe. */
NFT_API const nft_space_description *nft_space_describe(const nft_space *space);
/**
 * Fills `axis` (its `size` set by the caller) with axis `index`. The name is borrowed from the space.
 * Thread-safe.
 * @return ::NFT_ERROR_ARGUMENT if there is no such axis
 */
NFT_API NFT_MUST_CHECK nft_status nft_space_get_axis(nft_space_axis *axis, const nft_space *space,
                                                     int64_t index);
/**
 * Fills `tensor` (its `size` set by the caller) with tensor `index`; `role` is never ::NFT_ROLE_BY_NAME.
 * Names and factors are borrowed from the space. Thread-safe.
 * @return ::NFT_ERROR_ARGUMENT if there is no such tensor
 */
NFT_API NFT_MUST_CHECK nft_status nft_space_get_tensor(nft_space_tensor *tensor, const nft_space *space,
                                                       int64_t index);
/**
 * Fills `layer` (its `size` set by the caller) with layer `index`. Thread-safe.
 * @return ::NFT_ERROR_ARGUMENT if there is no such layer
 */
NFT_API NFT_MUST_CHECK nft_status nft_space_layer(nft_layer *layer, const nft_space *space, int64_t index);
/**
 * 1 if sizes and symmetries of the axes, and shapes and slices of the tensors, are equal, one by one. Names
 * and roles do not count. Thread-safe.
 */
NFT_API int nft_space_equal(const nft_space *a, const nft_space *b);

#ifdef __cplusplus
}
#endif

#endif
