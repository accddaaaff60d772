/* The memory that a forward on networks of one space needs, known before anything is allocated. */
#ifndef NFT_MODEL_PLAN_H
#define NFT_MODEL_PLAN_H

#include "model/model.h"
#include "nft/context.h"

/* Where a value stands inside an arena: the model's input is kept for add_input, the others take turns. */
typedef enum nft_place { NFT_PLACE_INPUT, NFT_PLACE_A, NFT_PLACE_B, NFT_PLACE_COUNT } nft_place;

/* Offsets and sizes are floats. An arena serves one sample at a time and one thread:
 *
 *   inference  | input | value A | value B | CALL           | ITEM |
 *   training                               | CALL, TRAINING | ITEM |
 *
 * Where max_batch is below the number of threads they share each sample. There is one arena then, with the
 * ITEM memory of every thread:
 *
 *   | input | value A | value B | CALL | ITEM | ITEM | … |
 *
 * With recompute each thread also has room for a frame before its arena, which another thread may read. */
typedef struct nft_plan {
    nft_place *places;              /* of each step's output */
    int64_t place[NFT_PLACE_COUNT]; /* where each begins; not used where values are kept */
    int64_t call, item;             /* where the CALL and ITEM memory of modules begins */
    int64_t item_stride;            /* floats of the ITEM memory of one thread */
    int64_t arena;                  /* floats of one arena */

    /* A sample's values are kept for backward. Value i arrives at step i, the last one leaves the last step.
     * Without recompute the frames (modules/shared/memory.h) of the steps follow each other, the value that
     * leaves one being the value that arrives at the next; with it only the values do, and a thread has room
     * for the largest frame. */
    int64_t *values;        /* where each value is kept */
    int64_t gradients[2];   /* where the gradient of value i is while backward runs: that of i % 2 */
    int64_t input_gradient; /* the part that modules add which read the model's input */
    int64_t kept;           /* floats of one sample; 0: no backward */
    int64_t frame;          /* floats of a frame before an arena */
    int64_t backward;       /* floats of the backward blocks of all samples that have one at the same time */

    int64_t output; /* floats that a call gives for one sample, latents included */
    int64_t given;  /* the same with the gradient of the input, where a backward gives it */
    int64_t bytes;  /* arenas, kept memory, outputs and the rest for max_batch samples */
} nft_plan;

/* Steps that a context runs: without the decoder if so asked. */
int64_t nft_plan_steps(const nft_model *model, const nft_context_options *options);

/* Arenas of a context: one for each thread, or a single one where max_batch is below the number of threads.
 * With recompute each thread has one, as it has a frame. */
int64_t nft_plan_arenas(const nft_context_options *options);

/* The options have every default filled in. Sizes saturate: check `bytes` against the limit. Clear it also
 * after a failure. */
nft_status nft_plan_make(nft_plan *plan, const nft_model *model, const nft_sequence *sequence,
                         const nft_context_options *options);
void nft_plan_clear(nft_plan *plan);

/* Floats that a forward for backward keeps of a sample, the whole model run. */
int64_t nft_kept_floats(const nft_sequence *sequence, bool recompute);

/* Bytes of the packed weights that a context with these options uses; saturates. */
int64_t nft_plan_packed_bytes(const nft_model *model, const nft_context_options *options);

#endif
