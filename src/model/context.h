/* What is inside a context. */
#ifndef NFT_MODEL_CONTEXT_H
#define NFT_MODEL_CONTEXT_H

#include "model/plan.h"
#include "space/array.h"
#include "space/weights.h"

struct nft_context {
    nft_model *model;
    nft_context_options options; /* with every default filled in */
    nft_pool *pool;
    nft_plan plan;
    float *arenas; /* plan.arena_count of them */
    nft_progress_callback *progress;
    void *progress_user;

    int64_t capacity;            /* samples that the output has room for */
    bool has_output;             /* a forward has succeeded */
    nft_array *output, *latents; /* NULL where the model has none */
    nft_weights *features;       /* the output when it is features */
    nft_array *feature_views;    /* for each tensor of the space, when the output is features */
};

/* Room for `samples` in the output: the only allocation that a forward may make, and only for a larger batch
 * than before. */
nft_status nft_context_reserve(nft_context *context, int64_t samples);
/* Sets the leading axis of every output. */
void nft_context_set_count(nft_context *context, int64_t samples);

#endif
