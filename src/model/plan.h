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
    int64_t place[NFT_PLACE_COUNT]; /* where each begins */
    int64_t scratch, thread_scratch;
    int64_t arena;       /* floats of one arena */
    int64_t arena_count; /* samples that run beside each other, at least one for each thread's scratch */
    int64_t bytes;       /* arenas and output for max_batch samples */
} nft_plan;

/* Fills the plan; `places` has room for every step of the model. Sizes saturate: check `bytes` against the
 * limit. */
void nft_plan_make(nft_plan *plan, const nft_model *model, const nft_context_options *options, int threads);

#endif
