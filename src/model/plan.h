/* The memory that a forward needs, known before anything is allocated. */
#ifndef NFT_MODEL_PLAN_H
#define NFT_MODEL_PLAN_H

#include "model/model.h"
#include "nft/context.h"

/* Where a value stands inside an arena: the model's input is kept for add_input, the others take turns. */
typedef enum nft_place { NFT_PLACE_INPUT, NFT_PLACE_A, NFT_PLACE_B, NFT_PLACE_COUNT } nft_place;

/* One arena serves one sample at a time. Offsets and sizes are floats. */
typedef struct nft_plan {
    int64_t step_count;             /* steps that are run: without the decoder if so asked */
    nft_place *places;              /* of each step's output */
    int64_t place[NFT_PLACE_COUNT]; /* where each begins; not used where values are kept */
    int64_t scratch, thread_scratch;
    int64_t arena;       /* floats of one arena */
    int64_t arena_count; /* samples that run beside each other, at least one for each thread's scratch */

    /* What is kept of a sample for backward. Value i arrives at step i, the last one leaves the last step.
     * Without recompute the frames (modules/module.h) of the steps follow each other, the value that leaves
     * one being the value that arrives at the next; with it only the values do, and an arena has a frame as
     * large as the largest. */
    int64_t *values;        /* where each of step_count + 1 values is kept */
    int64_t gradients[2];   /* where the gradient of value i is while backward runs: that of i % 2 */
    int64_t input_gradient; /* what modules that read the model's input add to its gradient */
    int64_t kept;           /* floats for each of max_batch samples; 0: no backward */
    int64_t frame;          /* where the frame begins in an arena */
    int64_t sides;          /* floats of the sides of all samples that have them at the same time */

    int64_t output; /* floats of what a call gives for one sample, latents included */
    int64_t bytes;  /* arenas, kept memory, output and the rest for max_batch samples */
} nft_plan;

/* Fills the plan; `places` and `values` have room for every step of the model and one more. Sizes saturate:
 * check `bytes` against the limit. */
void nft_plan_make(nft_plan *plan, const nft_model *model, const nft_context_options *options, int threads);

/* Floats that a forward for backward keeps of a sample, the whole model run. */
int64_t nft_kept_floats(const nft_model *model, bool recompute);

#endif
