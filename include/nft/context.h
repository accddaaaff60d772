/**
 * @file context.h
 * Contexts: the workspace in which a model runs. Included by nft/nft.h.
 */
#ifndef NFT_CONTEXT_H
#define NFT_CONTEXT_H

#include "nft/array.h"
#include "nft/base.h"
#include "nft/model.h"
#include "nft/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Workspace for one model, its threads and its last output. Belongs to one thread at a time; make one for
 * each thread. A call while another one uses the context, from a second thread or from the context's own
 * callback, is refused with ::NFT_ERROR_ARGUMENT. */
typedef struct nft_context nft_context;

/** How a context works. Zero in a field is its default. */
typedef struct nft_context_options {
    size_t size;     /**< sizeof(nft_context_options) */
    int32_t threads; /**< threads that work on one call, the caller's included, at most 1024; 0: all cores */
    int64_t max_batch; /**< networks whose output has memory from the beginning; 0: 32, or one for each thread
                          if that is more. A call may take more: the first such call allocates only its
                          output. Below the number of threads, they share each network of a call, which takes
                          the values of one network in place of one for each thread */
    int64_t memory_limit;      /**< bytes that the context may take; 0: the machine's memory */
    int32_t without_decoder;   /**< 1: stop at the latents of a model that has a decoder */
    int32_t keep_blas_threads; /**< 1: do not change the process's BLAS thread count (see nft_forward()) */
    int32_t keep_for_backward; /**< 1: nft_forward() keeps the values that nft_backward() needs, for at most
                                  max_batch networks */
    int32_t input_gradient;    /**< 1: nft_backward() also computes the gradient of the input */
    int32_t recompute;  /**< 1, with keep_for_backward: keep only the values between modules, and compute
                           the inside of each again in nft_backward(). Takes less memory and more time. The
                           result is bit-identical */
    int64_t max_spaces; /**< spaces whose plans a context for a model of any space keeps; 0: 64. The plan that
                             was used least recently is dropped for a new one */
    int32_t precision;  /**< NFT_PRECISION_…; 0: ::NFT_PRECISION_FLOAT32 */
} nft_context_options;

/** Options with every default. */
#define NFT_CONTEXT_OPTIONS_INIT                                                                             \
    {                                                                                                        \
        sizeof(nft_context_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                            \
    }

/**
 * The cost of a context, before anything is allocated: bytes for calls of max_batch networks, and
 * floating-point operations of the matrix products for one sample.
 *
 * A context for a model of any space has plans for several spaces. They share workspace and kept memory.
 * Each of the two is as large as the largest need of a space. Outputs that depend on the space are added up.
 * Thread-safe.
 * @param[out] bytes 0 on failure; NULL if they are not wanted
 * @param[out] flops 0 on failure; NULL if they are not wanted
 * @param model any
 * @param space of the networks, for a model of any space; else NULL, or the model's own
 * @param options NULL for the defaults
 * @return ::NFT_ERROR_ARGUMENT if a model of any space gets no space, or if nothing is wanted,
 * ::NFT_ERROR_MISMATCH if the space is not the model's, ::NFT_ERROR_CONFIG if a module cannot work on it,
 * ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_context_cost(int64_t *bytes, int64_t *flops, const nft_model *model,
                                                   const nft_space *space,
                                                   const nft_context_options *options);

/**
 * Makes a context for a model. It allocates all memory for calls of up to max_batch networks. A context for a
 * model of any space allocates in the first call with a space, and in a call with more networks than before.
 * Such a call may fail with ::NFT_ERROR_LIMIT, and the context then stays as it was. Thread-safe.
 * @param[out] context free it with nft_context_free()
 * @param model the context keeps a reference to it
 * @param options NULL for the defaults
 * @return ::NFT_ERROR_ARGUMENT for the options, ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY, ::NFT_ERROR_CONFIG,
 * ::NFT_ERROR_THREAD
 */
NFT_API NFT_MUST_CHECK nft_status nft_context_create(nft_context **context, const nft_model *model,
                                                     const nft_context_options *options);
/** Frees a context with its outputs; NULL is fine. Not thread-safe for one context. */
NFT_API void nft_context_free(nft_context *context);

/** Installs the progress callback of long calls (networks done, networks in all); NULL: none. Not thread-safe
 * for one context. */
NFT_API void nft_context_set_progress(nft_context *context, nft_progress_callback *callback, void *user);

/** Samples of a weight set or of an array, in place: the input of a model, its output, or the gradient of
 * either. Zero in a field is its default. */
typedef struct nft_view {
    size_t size;                /**< sizeof(nft_view) */
    const nft_weights *weights; /**< networks, or features; or */
    const nft_array *array;     /**< tokens (N, tokens, channels), or vectors (N, channels) */
    int64_t first;              /**< number of the first sample; not read with `indices` */
    int64_t count;              /**< samples; 0: all that follow `first`; with `indices` their number */
    const int64_t *indices;     /**< numbers of the samples, in any order; NULL: first, first + 1, … */
} nft_view;

/** A view of nothing. */
#define NFT_VIEW_INIT                                                                                        \
    {                                                                                                        \
        sizeof(nft_view), NULL, NULL, 0, 0, NULL                                                             \
    }
/** A pointer to a view of a whole weight set, in a call's argument. C only. */
#define NFT_VIEW_WEIGHTS(weights) (&(const nft_view){sizeof(nft_view), (weights), NULL, 0, 0, NULL})
/** The same of networks first … first + count - 1; a count of 0 is all that follow. C only. */
#define NFT_VIEW_WEIGHTS_RANGE(weights, first, count)                                                        \
    (&(const nft_view){sizeof(nft_view), (weights), NULL, (first), (count), NULL})
/** A pointer to a view of a whole array, in a call's argument. C only. */
#define NFT_VIEW_ARRAY(array) (&(const nft_view){sizeof(nft_view), NULL, (array), 0, 0, NULL})
/** The same of samples first … first + count - 1; a count of 0 is all that follow. C only. */
#define NFT_VIEW_ARRAY_RANGE(array, first, count)                                                            \
    (&(const nft_view){sizeof(nft_view), NULL, (array), (first), (count), NULL})

/**
 * Runs the model on networks or tokens.
 *
 * The result for a sample is bit-identical in every batch and with every number of threads. Non-finite
 * weights are passed through. During the call the process's OpenBLAS runs one thread; afterwards it has as
 * many as before. With `keep_blas_threads` it keeps its threads, and their number may change the bits.
 *
 * A model may have a note about its training set (`nft.trained_on`, see nft_trainer_snapshot()). The metadata
 * of the networks must then equal those of the training set: `nft.canonical`, `nft.omega`, `nft.offset` (0 if
 * there is none) and `nft.image`, and also `nft.classes` and `nft.fit` where the networks have them. The
 * message names the key, both texts and the repair. nft_weights_set_metadata() adds missing metadata.
 *
 * A call that is refused before it computes leaves the last output unchanged. The exception: memory_limit
 * made the call drop the plan of that output's space.
 * @param context of the model; not thread-safe
 * @param input networks of the model's space, or F32 (N, tokens, channels) for a model on tokens
 * @return ::NFT_ERROR_ARGUMENT if the view holds no sample, or a sample that does not exist, or more than
 * `max_batch` with `keep_for_backward`, or while another call uses the context; ::NFT_ERROR_MISMATCH if the
 * model does not take the input's space, shape, channels or metadata; ::NFT_ERROR_CONFIG if a
 * module of a model of any space cannot work on the space; ::NFT_ERROR_MEMORY or ::NFT_ERROR_LIMIT if a
 * there is no memory for a larger batch than before or for another space; ::NFT_ERROR_CANCELLED
 */
NFT_API NFT_MUST_CHECK nft_status nft_forward(nft_context *context, const nft_view *input);

/** The results that a context holds. */
enum {
    NFT_OUTPUT = 0,         /**< of the last forward: (N, tokens, channels) or (N, channels), images of a
                               decoder as (N, height · width · channels), or features */
    NFT_OUTPUT_LATENTS = 1, /**< of a model with a decoder: (N, M, D), the decoder's input */
    NFT_OUTPUT_INPUT_GRADIENT = 2 /**< of the last backward, with `input_gradient`: tokens, or features with
                                     the input's channels */
};

/**
 * A result of the last call. Not thread-safe.
 * @param context any
 * @param which NFT_OUTPUT…
 * @return a view, borrowed until the next call on the context, never NULL. Neither `weights` nor `array` is
 * set where there is no such result: before the first forward, and after one that failed or was cancelled
 */
NFT_API const nft_view *nft_context_output(const nft_context *context, int32_t which);

#ifdef __cplusplus
}
#endif

#endif
