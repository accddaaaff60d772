/**
 * @file model.h
 * Models: a sequence of modules over a weight space (or over tokens) and its parameters. Included by
 * nft/nft.h.
 */
#ifndef NFT_MODEL_H
#define NFT_MODEL_H

#include "nft/array.h"
#include "nft/base.h"
#include "nft/space.h"
#include "nft/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A configuration with parameters. Never changed after it was made, so any number of contexts and threads
 * share it. */
typedef struct nft_model nft_model;

/** The kind of a module's input or output. */
enum {
    NFT_VALUE_FEATURES = 0, /**< C values for each weight and bias of a network */
    NFT_VALUE_TOKENS = 1,   /**< (tokens, channels) */
    NFT_VALUE_VECTOR = 2    /**< (channels) */
};

/** One step of a model, for tables and tools. */
typedef struct nft_module_info {
    size_t size;             /**< sizeof(nft_module_info), set by the caller */
    const char *type;        /**< "nft_block"; borrowed from the model */
    int32_t output;          /**< NFT_VALUE_… */
    int64_t tokens;          /**< of an output that is tokens, 0 if their number depends on the space */
    int64_t channels;        /**< of the output, 0 if their number depends on the space */
    int64_t parameter_count; /**< trained numbers, those of modules inside it included */
    int64_t buffer_count;    /**< numbers that are not trained */
    int64_t flops;           /**< floating-point operations of the matrix products for one sample; 0 for a
                                model of any space, as they depend on the space */
} nft_module_info;

/** An nft_module_info to be filled. */
#define NFT_MODULE_INFO_INIT                                                                                 \
    {                                                                                                        \
        sizeof(nft_module_info), NULL, 0, 0, 0, 0, 0, 0                                                      \
    }

/**
 * Makes a freshly initialised model from a JSON configuration.
 * @param[out] model free it with nft_model_free()
 * @param json `length` bytes of JSON, {"format_version": 1, "space": …, "in_channels": 1, "modules": […]}.
 * The space is an object (see nft_space_parse()) or "any": the model then takes networks of every
 * architecture, and its parameters belong to the roles of tensors
 * @param length bytes; the text need not end in 0
 * @param seed the same seed gives the same parameters on every machine
 * @param options only `memory_limit` counts: for the parsed JSON, the table of parameters and their values,
 * each by itself. A configuration of 100 bytes may describe a model of gigabytes: set a limit for
 * configurations from elsewhere. NULL: the machine's memory
 * @return ::NFT_ERROR_FORMAT if the text is no JSON, ::NFT_ERROR_CONFIG for a wrong configuration,
 * ::NFT_ERROR_LIMIT if one of them would take more, ::NFT_ERROR_MEMORY, ::NFT_ERROR_ARGUMENT. Thread-safe
 */
NFT_API NFT_MUST_CHECK nft_status nft_model_create(nft_model **model, const char *json, size_t length,
                                                   uint64_t seed, const nft_load_options *options);

/**
 * Reads a model file: safetensors with its configuration in the metadata under `nft.config`. All other
 * metadata are kept; `nft.loss` (the name of a loss: see nft/trainer.h) and `nft.omega` (of loss render)
 * are the defaults of `nftool evaluate`.
 * @param[out] model free it with nft_model_free()
 * @param path of the file; NULL if the options have its bytes
 * @param options NULL for the defaults
 * @return ::NFT_ERROR_FILE if it cannot be read, ::NFT_ERROR_FORMAT if it is no model file or a tensor is
 * missing, unexpected or misshaped, ::NFT_ERROR_CONFIG for a wrong configuration, ::NFT_ERROR_LIMIT,
 * ::NFT_ERROR_MEMORY, ::NFT_ERROR_ARGUMENT. Thread-safe
 */
NFT_API NFT_MUST_CHECK nft_status nft_model_load(nft_model **model, const char *path,
                                                 const nft_load_options *options);
/**
 * Writes a model file: to a temporary file, which is renamed over the target. Thread-safe.
 * @return ::NFT_ERROR_FILE if it cannot be written, ::NFT_ERROR_ARGUMENT, ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_model_save(const nft_model *model, const char *path);
/** Drops the caller's reference; NULL is fine. Contexts keep their own. Thread-safe. */
NFT_API void nft_model_free(nft_model *model);

/** A text of the model file's metadata (`nft.loss` …), NULL if there is none. Borrowed from the model.
 * Thread-safe. */
NFT_API const char *nft_model_metadata(const nft_model *model, const char *key);
/** Facts about a model. */
typedef struct nft_model_description {
    size_t size;                   /**< of the library's struct */
    const nft_module_info *input;  /**< ::NFT_VALUE_FEATURES with its channels, or ::NFT_VALUE_TOKENS with
                                      tokens and channels; its `type` is "input" */
    const nft_module_info *output; /**< of the last module, or of the decoder if there is one; its `type` is
                                      "output", and its counts are the model's totals */
    int64_t module_count;          /**< in the sequence, the decoder not counted */
    int64_t tensor_count;          /**< parameters and buffers */
    int32_t has_decoder;    /**< 1: the output is images, and the latents are the last module's output */
    const nft_space *space; /**< of the networks that it reads; NULL for a model on tokens and for a model of
                               any space, which `input` tells apart */
    const char *config;     /**< the configuration as JSON text */
} nft_model_description;

/** Facts about a model. Borrowed from it; never NULL: all is 0 for NULL. Thread-safe. */
NFT_API const nft_model_description *nft_model_describe(const nft_model *model);
/**
 * Fills `info` (its `size` set by the caller) with module `index`. Thread-safe.
 * @return ::NFT_ERROR_ARGUMENT if there is no such module
 */
NFT_API NFT_MUST_CHECK nft_status nft_model_module(nft_module_info *info, const nft_model *model,
                                                   int64_t index);
/**
 * Fills `info` (its `size` set by the caller) with tensor `index`, in the order of the modules. Thread-safe.
 * @return ::NFT_ERROR_ARGUMENT if there is no such tensor
 */
NFT_API NFT_MUST_CHECK nft_status nft_model_tensor(nft_tensor_info *info, const nft_model *model,
                                                   int64_t index);

#ifdef __cplusplus
}
#endif

#endif
