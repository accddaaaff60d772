/* What is inside a context. */
#ifndef NFT_MODEL_CONTEXT_H
#define NFT_MODEL_CONTEXT_H

#include "model/plan.h"
#include "nft/gradients.h"
#include "space/array.h"
#include "space/weights.h"

struct nft_context {
    nft_model *model;
    nft_context_options options; /* with every default filled in */
    nft_pool *pool;
    nft_plan plan;
    float *arenas; /* plan.arena_count of them */
    nft_packed_weights *packed, *packed_back; /* of the model, which others share; back for backward */
    nft_progress_callback *progress;
    void *progress_user;

    /* for backward, NULL without keep_for_backward */
    float *kept;        /* plan.kept floats for each of max_batch samples */
    float *sides;       /* plan.sides floats */
    bool spent;         /* backward has run over what the last forward kept */
    bool changed;       /* the model has, since the last forward */
    nft_array *input_gradient;
    nft_weights *input_gradient_features;
    bool has_input_gradient;
    const nft_dropout_key *dropout; /* one for each sample of a training call; NULL: none is dropped */

    int64_t capacity;            /* samples that the output has room for */
    bool has_output;             /* a forward has succeeded */
    int64_t samples;             /* of the last forward */
    nft_array *output, *latents; /* NULL where the model has none */
    nft_weights *features;       /* the output when it is features */
    nft_array *feature_views;    /* for each tensor of the space, when the output is features */
};

/* What a forward runs on. */
typedef struct nft_forward_input {
    const nft_weights *weights; /* or */
    const nft_array *tokens;
    const int64_t *indices; /* of its `count` samples; NULL: first, first + 1, … */
    int64_t first, count;
    int64_t steps; /* of the model that are run, for what they keep: no output unless it is all; 0: all */
} nft_forward_input;

/* The input has been checked: it fits the model, and all samples exist. */
nft_status nft_context_run(nft_context *context, const nft_forward_input *input);
/* NFT_ERROR_MISMATCH unless they fit a model on weights, on tokens. */
nft_status nft_model_check_weights(const nft_model *model, const nft_weights *weights);
nft_status nft_model_check_tokens(const nft_model *model, const nft_array *tokens);

/* Room for `samples` in the output: the only allocation that a forward may make, and only for a larger batch
 * than before. */
nft_status nft_context_reserve(nft_context *context, int64_t samples);
/* work(argument, sample, worker, team) for each sample: beside each other on the threads (team NULL), or one
 * after the other on all of them when fewer are left than there are threads. */
typedef void nft_sample_work(void *argument, int64_t sample, int worker, nft_pool *team);
void nft_context_for_samples(nft_context *context, int64_t count, nft_sample_work *work, void *argument);
/* What a step of a sample is run with; in training `kept` is the caller's to set. */
nft_exec nft_context_exec(const nft_context *context, int64_t sample, int worker, nft_pool *team);

/* Value `index` of a sample, as a forward for backward kept it. */
float *nft_context_value(const nft_context *context, int64_t index, int64_t sample);
/* How many samples have a frame of one step at the same time. */
int64_t nft_context_frame_count(const nft_context *context);
/* How many samples have sides of a step at the same time, at most as many as have frames; those of one. */
int64_t nft_context_side_count(const nft_context *context, int64_t step);
float *nft_context_sides(const nft_context *context, int64_t step, int64_t slot);
/* The frame of a step; `slot` tells apart the samples that have one at the same time. */
float *nft_context_frame(const nft_context *context, int64_t step, int64_t sample, int64_t slot);
/* With recompute: computes again what forward left in the step's frame, at exec->kept. */
void nft_context_restore(const nft_context *context, int64_t step, int64_t sample, const nft_exec *exec);
/* The same for samples first … first + count - 1 of the last forward, at most as many as there are frames:
 * sample first + i has slot i. */
void nft_context_restore_frames(nft_context *context, int64_t step, int64_t first, int64_t count);
/* The BLAS threads of the process, around a call; see nft_forward(). */
void nft_context_enter(const nft_context *context);
void nft_context_leave(const nft_context *context);

/* Takes the packed weights of the context's model, and gives back those of the model before. */
nft_status nft_context_pack(nft_context *context);
/* Allocates what backward needs. */
nft_status nft_context_prepare_backward(nft_context *context);
/* Sets the leading axis of every output. */
void nft_context_set_count(nft_context *context, int64_t samples);

#endif
