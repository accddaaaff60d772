/* The inside of a context.
 *
 * A context runs samples, each on the plan of its space. Plans are cached; arenas, frames and backward blocks
 * are shared by all of them and grow when a space needs more. */
#ifndef NFT_MODEL_CONTEXT_H
#define NFT_MODEL_CONTEXT_H

#include "model/contract.h"
#include "model/plan.h"
#include "nft/gradients.h"
#include "space/array.h"
#include "space/weights.h"

#define NFT_OUTPUT_COUNT 3

/* The results of a call, for samples of one shape. */
typedef struct nft_outputs {
    int64_t capacity;      /* samples that there is room for */
    int64_t floats;        /* of one sample */
    nft_array *output;     /* NULL if it is features */
    nft_array *latents;    /* that go into the decoder; NULL without one */
    nft_weights *features; /* the output when it is features */
} nft_outputs;

/* A space that the context has met. */
typedef struct nft_space_plan {
    nft_sequence *sequence;
    nft_plan plan;
    uint64_t used;              /* number of the call that used it last */
    uint64_t counted;           /* number of the call that counted its spaces last */
    bool is_new;                /* of a call that may still fail */
    nft_outputs outputs;        /* of a model whose outputs depend on the space; else in the context */
    nft_outputs input_gradient; /* with options.input_gradient */
} nft_space_plan;

/* Where a sample of the last call has its memory, when the samples are of several spaces. */
typedef struct nft_slot {
    nft_space_plan *plan;
    int64_t kept;     /* floats from the start of the kept memory */
    int64_t backward; /* the same of the backward blocks, during a round */
    int64_t order;    /* scratch of nft_context_for_samples */
} nft_slot;

struct nft_context {
    int busy; /* atomic: a call is running */
    nft_model *model;
    nft_contract contract;       /* of the model with its data */
    nft_context_options options; /* with every default filled in */
    nft_pool *pool;
    nft_progress_callback *progress;
    void *progress_user;
    int64_t step_count; /* that are run */

    nft_space_plan **plans;
    int64_t plan_count, plan_capacity;
    uint64_t call; /* number of the last call that ran */

    float *arenas;        /* nft_plan_arenas() of them, each behind room for a frame */
    int64_t frame, arena; /* floats of one of each */
    /* for backward, NULL without keep_for_backward */
    float *kept;
    int64_t kept_floats;
    float *backward;
    int64_t backward_floats;
    nft_packed_weights *packed, *packed_back; /* of the model, which others share; back for backward */
    const nft_dropout_key *dropout; /* one for each sample of a training call; NULL: none is dropped */
    int64_t output_floats;          /* that all outputs have room for */

    /* of the last call */
    int64_t samples;
    nft_space_plan *plan; /* of all samples; NULL: they have slots */
    nft_slot *slots;
    int64_t slot_capacity;
    nft_outputs outputs; /* unless they depend on the space */
    nft_outputs *given;  /* those, or the plan's */
    bool has_output, has_input_gradient;
    nft_view *views; /* that were lent to the caller, one for each NFT_OUTPUT… */
    bool spent;      /* the values that it kept for backward are gone */
    bool changed;    /* the model has, since then */
};

/* ---- Operations for trainers ---- */

/* A network of a set, or a row of tokens. */
typedef struct nft_forward_sample {
    const nft_weights *weights; /* or */
    const nft_array *tokens;
    int64_t index;
} nft_forward_sample;

/* NFT_ERROR_MISMATCH unless they fit a model on weights, on tokens. */
nft_status nft_model_check_weights(const nft_model *model, const nft_weights *weights);
nft_status nft_model_check_tokens(const nft_model *model, const nft_array *tokens);

/* Runs the samples, which have been checked; a model of any space takes several spaces in a call, at most
 * max_spaces. `steps`: of the model that are run, for the values that they keep; there is no output unless it
 * is all; 0: all. */
nft_status nft_context_run(nft_context *context, const nft_forward_sample *samples, int64_t count,
                           int64_t steps);
/* One key for each sample of the calls that follow, borrowed; NULL: nothing is dropped. */
void nft_context_set_dropout(nft_context *context, const nft_dropout_key *keys);
/* The values of the context's model were changed in place: packs the weights of its maps again. */
void nft_context_parameters_changed(nft_context *context);
/* Its threads. Not during a call. */
nft_pool *nft_context_pool(const nft_context *context);

/* Calls visit(user, item, statistics, entries) for every declared statistics of step `step` whose `deviation`
 * is parameter first + item, item 0 … count - 1, and for every sample of the last call, which ran that step.
 * `entries` is the content of the buffer statistics->entries. Items run on the threads; those of one item
 * come in the order of the samples, then of the declarations. */
typedef void nft_statistics_visit(void *user, int64_t item, const nft_statistics *statistics,
                                  const float *entries);
void nft_context_visit_statistics(nft_context *context, int64_t step, int64_t first, int64_t count,
                                  nft_statistics_visit *visit, void *user);

/* ---- Parts of a context ---- */

/* NFT_ERROR_ARGUMENT while another call, or a callback of one, uses the context; else it is taken until
 * nft_context_release(). */
nft_status nft_context_acquire(nft_context *context, const char *function);
void nft_context_release(nft_context *context);

/* A call of `count` samples: finds or makes their plans and all memory. On failure the last call's results
 * stay. The first is for networks of one space (NULL: tokens). */
nft_status nft_context_plan_for(nft_context *context, const nft_space *space, int64_t count);
nft_status nft_context_plan_samples(nft_context *context, const nft_forward_sample *samples, int64_t count);
void nft_context_clear_plans(nft_context *context);
/* Bytes that the context has, the packed weights included. */
int64_t nft_context_bytes(const nft_context *context);
/* NFT_ERROR_LIMIT if `floats` more are beyond the limit, without the plans that this call does not use. */
nft_status nft_context_check_room(nft_context *context, int64_t floats);

/* Room for `samples` outputs of a plan; nothing changes on failure. */
nft_status nft_outputs_reserve(nft_context *context, nft_space_plan *plan, int64_t samples);
/* Which outputs samples of a plan have. */
nft_outputs *nft_outputs_of(nft_context *context, nft_space_plan *plan);
/* Sets the leading axis of everything that the last call gave. */
void nft_outputs_set_count(nft_context *context);
void nft_outputs_clear(nft_outputs *outputs);

/* work(argument, item, worker, team) for samples first + item, item 0 … count - 1, of the last call: at the
 * same time on the threads (team NULL), or one after the other on all of them where a sample is large or
 * fewer are left than there are threads. */
typedef void nft_sample_work(void *argument, int64_t item, int worker, nft_pool *team);
void nft_context_for_samples(nft_context *context, int64_t first, int64_t count, nft_sample_work *work,
                             void *argument);

/* Of a sample of the last call. */
static inline const nft_space_plan *nft_context_plan_of(const nft_context *context, int64_t sample)
{
    return context->plan ? context->plan : context->slots[sample].plan;
}

/* Where the arena of a thread begins that runs samples alone. */
static inline float *nft_context_arena(const nft_context *context, int worker)
{
    return context->arenas + worker * (context->frame + context->arena) + context->frame;
}

/* The execution of a sample; `frame`, `training` and `backward` belong to a step and are set by
 * nft_context_enter_step(). */
nft_exec nft_context_exec(const nft_context *context, int64_t sample, int worker, nft_pool *team);
/* `slot` tells apart the samples that have a frame, and a backward block, at the same time. */
void nft_context_enter_step(const nft_context *context, int64_t step, int64_t sample, int64_t slot,
                            nft_exec *exec);
/* Value `index` of a sample, as a forward for backward kept it; its gradient. */
float *nft_context_value(const nft_context *context, int64_t index, int64_t sample);
float *nft_context_gradient(const nft_context *context, int64_t index, int64_t sample);
/* How many samples have a frame of one step at the same time. */
int64_t nft_context_frame_count(const nft_context *context);
/* How many samples from `first` on go back through a step at the same time, by the room for their backward
 * blocks and frames. Places the blocks. */
int64_t nft_context_begin_round(nft_context *context, int64_t step, int64_t first);
/* With recompute: computes again the frame that the step was entered with. */
void nft_context_restore(const nft_context *context, int64_t step, int64_t sample, const nft_exec *exec);

/* The BLAS threads of the process, around a call; see nft_forward(). */
void nft_context_enter(const nft_context *context);
void nft_context_leave(const nft_context *context);

/* Takes the packed weights of the context's model, and gives back those of the model before. */
nft_status nft_context_pack(nft_context *context);

#endif
