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
    int64_t max_batch; /**< networks for whose output memory is set aside; 0: 32. More may be given at a call:
                          the first such call then allocates for its output, and only for that */
    int64_t memory_limit;      /**< bytes that the context may take; 0: the machine's memory */
    int32_t without_decoder;   /**< 1: stop at the latents of a model that has a decoder */
    int32_t keep_blas_threads; /**< 1: do not change the process's BLAS thread count (see nft_forward()) */
    int32_t keep_for_backward; /**< 1: nft_forward() keeps what nft_backward() needs, for at most max_batch
                                  networks */
    int32_t input_gradient;    /**< 1: nft_backward() also computes the gradient of the input */
    int32_t recompute;  /**< 1, with keep_for_backward: keep only the values between modules, and compute
                           the inside of each again in nft_backward(). Takes less memory and more time, and
                           gives the same bits */
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
 * How many bytes a context takes for calls of max_batch networks, before anything is allocated.
 *
 * A context for a model of any space has plans for several spaces. They share workspace and kept memory,
 * which are as large as the space that needs most of each. Outputs that depend on the space are added up.
 * @param[out] bytes 0 on failure
 * @param model any
 * @param space of the networks, for a model of any space; else NULL, or the model's own
 * @param options NULL for the defaults
 * @return ::NFT_ERROR_ARGUMENT if a model of any space gets no space, ::NFT_ERROR_MISMATCH if the space is
 * not the model's, ::NFT_ERROR_CONFIG if a module cannot work on it, ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_context_memory(int64_t *bytes, const nft_model *model,
                                                     const nft_space *space,
                                                     const nft_context_options *options);

/**
 * Floating-point operations of the matrix products for one sample.
 * @param[out] flops 0 on failure
 * @param model any
 * @param space as nft_context_memory()
 * @return as nft_context_memory()
 */
NFT_API NFT_MUST_CHECK nft_status nft_model_flops(int64_t *flops, const nft_model *model,
                                                  const nft_space *space);

/**
 * Makes a context for a model. All memory that calls of up to max_batch networks need is allocated here; for
 * a model of any space, when a call first has a space, or more networks than before. Such a call may fail
 * with ::NFT_ERROR_LIMIT, and the context then stays as it was.
 * @param[out] context free it with nft_context_free()
 * @param model of which the context keeps a reference
 * @param options NULL for the defaults
 */
NFT_API NFT_MUST_CHECK nft_status nft_context_create(nft_context **context, const nft_model *model,
                                                     const nft_context_options *options);
/** Frees a context with its outputs; NULL is fine. */
NFT_API void nft_context_free(nft_context *context);

/** Installs the progress callback of long calls (networks done, networks in all); NULL: none. */
NFT_API void nft_context_set_progress(nft_context *context, nft_progress_callback *callback, void *user);

/**
 * Runs the model on every network of a set.
 *
 * The result for a network is bit-identical in every batch and with every number of threads. Non-finite
 * weights are passed through. During the call the process's OpenBLAS runs one thread; afterwards it has as
 * many as before. With `keep_blas_threads` it keeps its threads, and how many they are may change the bits.
 * A model may note what it was trained on (`nft.trained_on`, see nft_trainer_snapshot()). Then the metadata
 * of the set must say the same of `nft.canonical`, `nft.omega`, `nft.offset` (0 if there is none) and
 * `nft.image` as that of the training set, and the same of `nft.classes` and `nft.fit` if it has them. The
 * message names the key, both texts and the repair; nft_weights_set_metadata() notes what a set does not say
 * of itself. A call that is refused before it computes leaves the last output as it was, unless memory_limit
 * made it drop the plan of that output's space.
 * @return ::NFT_ERROR_ARGUMENT if the set holds no network, or more than `max_batch` with
 * `keep_for_backward`, or while another call uses the context; ::NFT_ERROR_MISMATCH if its space, channels
 * or metadata are not those that the model takes; ::NFT_ERROR_CONFIG if a module of a model of any space
 * cannot work on the space;
 * ::NFT_ERROR_MEMORY or ::NFT_ERROR_LIMIT if a larger batch than before, or another space, finds no room;
 * ::NFT_ERROR_CANCELLED
 */
NFT_API NFT_MUST_CHECK nft_status nft_forward(nft_context *context, const nft_weights *weights);
/** As nft_forward(), on networks first … first + count - 1. */
NFT_API NFT_MUST_CHECK nft_status nft_forward_range(nft_context *context, const nft_weights *weights,
                                                    int64_t first, int64_t count);
/** As nft_forward_range(), for a model on tokens: `tokens` is F32 (N, tokens, channels). */
NFT_API NFT_MUST_CHECK nft_status nft_forward_tokens(nft_context *context, const nft_array *tokens,
                                                     int64_t first, int64_t count);

/**
 * The output of the last forward: (N, tokens, channels) or (N, channels), images of a decoder as (N, height ·
 * width · channels). Borrowed until the next call on the context. NULL before the first forward,
 * after one that failed or was cancelled, and when the output is features.
 */
NFT_API const nft_array *nft_context_output(const nft_context *context);
/** The same when the output is features, of the space of the last forward, borrowed as long. NULL otherwise.
 */
NFT_API const nft_weights *nft_context_output_weights(const nft_context *context);
/**
 * One output by name: "output"; "latents" of a model with a decoder, (N, M, D). Borrowed until the next call
 * on the context; NULL if there is none of that name, and for features.
 */
NFT_API const nft_array *nft_context_get(const nft_context *context, const char *name);

#ifdef __cplusplus
}
#endif

#endif
