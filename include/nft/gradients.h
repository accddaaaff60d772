/**
 * @file gradients.h
 * Gradients of a user's loss: a forward that keeps its activations, a backward, and the update. Included by
 * nft/train.h.
 */
#ifndef NFT_GRADIENTS_H
#define NFT_GRADIENTS_H

#include "nft/array.h"
#include "nft/base.h"
#include "nft/context.h"
#include "nft/model.h"
#include "nft/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One number for each trained parameter of a model. Belongs to one thread at a time. */
typedef struct nft_gradients nft_gradients;

/**
 * Makes gradients of 0 for a model. Free them with nft_gradients_free(). Thread-safe.
 * @return ::NFT_ERROR_ARGUMENT, ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_gradients_create(nft_gradients **gradients, const nft_model *model);
/** Frees gradients; NULL is fine. Not thread-safe for one object. */
NFT_API void nft_gradients_free(nft_gradients *gradients);
/** Sets every gradient to 0. Not thread-safe for one object. */
NFT_API void nft_gradients_clear(nft_gradients *gradients);
/**
 * Fills `info` (its `size` set by the caller) with the gradient of the model's tensor `index`, see
 * nft_model_tensor(). A buffer's is 0. Not thread-safe for one object.
 * @return ::NFT_ERROR_ARGUMENT if there is no such tensor
 */
NFT_API NFT_MUST_CHECK nft_status nft_gradients_tensor(nft_tensor_info *info, const nft_gradients *gradients,
                                                       int64_t index);

/**
 * Adds the gradients of Σ output_gradient · output over the networks of the context's last forward.
 *
 * The context was made with `keep_for_backward`. Networks are summed in their order, so the bits do not
 * depend on the number of threads. Nothing is dropped: only nft_trainer uses dropout. Gradients of several
 * calls add up. A backward consumes the values that the forward kept. A second one after the same forward is
 * refused, unless the context was made with `recompute`. `output_gradient` is not checked: a number that is
 * not finite passes into the gradients.
 * @param context that ran the forward
 * @param output_gradient as many samples as the forward had, of the shape of ::NFT_OUTPUT
 * @param gradients of the context's model, or of one with the same configuration; NULL: only the
 * gradient of the input is computed, so the context was made with `input_gradient`
 * @return ::NFT_ERROR_ARGUMENT if no forward has left its values, or if neither gradient is
 * wanted; ::NFT_ERROR_MISMATCH for another shape or another model
 */
NFT_API NFT_MUST_CHECK nft_status nft_backward(nft_context *context, const nft_view *output_gradient,
                                               nft_gradients *gradients);

/**
 * Replaces the values of one tensor of the context's model: the update of a user's training loop.
 *
 * If the caller, another context or gradients also hold the model, it does not change, and the context
 * continues with a copy. Otherwise the model is changed in place, and nothing is allocated. The output of the
 * last forward stays readable, but a backward needs another forward first. Not thread-safe for one context.
 * @param context any; with `keep_for_backward` where it is to be trained
 * @param index of nft_model_tensor(), parameter or buffer
 * @param values `count` numbers, row-major; copied
 * @param count the tensor's
 * @return ::NFT_ERROR_ARGUMENT for another index or count, ::NFT_ERROR_NOT_FINITE, ::NFT_ERROR_MEMORY; the
 * context is then as it was
 */
NFT_API NFT_MUST_CHECK nft_status nft_context_set_tensor(nft_context *context, int64_t index,
                                                         const float *values, int64_t count);
/**
 * The context's model as it is now, to read, to save, or for other contexts. Later calls do not change it.
 * Free it with nft_model_free(); nothing is copied. Not thread-safe for one context.
 * @return ::NFT_ERROR_ARGUMENT, ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_context_snapshot(nft_model **model, const nft_context *context);

#ifdef __cplusplus
}
#endif

#endif
