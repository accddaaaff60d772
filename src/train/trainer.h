/* The parts of a trainer. */
#ifndef NFT_TRAIN_TRAINER_H
#define NFT_TRAIN_TRAINER_H

#include "nft/trainer.h"
#include "train/loop.h"
#include "train/objective.h"
#include "train/source.h"
#include "train/state.h"
#include "train/validation.h"

struct nft_trainer {
    nft_recipe recipe;
    nft_trainer_options options;
    nft_model *model; /* its own: nobody else sees its values change */
    nft_objective objective;
    nft_auxiliary auxiliary;
    nft_batch_source source;
    nft_loop loop;
    nft_validation validation;
    nft_state state;
    nft_reading pieces;                   /* memory of samples that are read for anything but a step */
    bool waits;                           /* for a callback that may not change the trainer */
    nft_trainer_description *description; /* that was lent to the caller */
};

/* A group is at most as many samples as fit into this many bytes of kept memory, but two at least; with
 * recompute into fewer, as that saves memory. */
#define NFT_GROUP_BYTES (INT64_C(256) << 20)
#define NFT_RECOMPUTE_GROUP_BYTES (INT64_C(32) << 20)
#define NFT_GROUP_MOST 16

/* The model takes tokens, not weights. */
bool nft_trainer_takes_tokens(const nft_trainer *trainer);

/* ---- Memory ---- */

/* A trainer of this model, recipe and space (NULL: the model's); saturates. */
nft_status nft_trainer_plan_bytes(const nft_model *model, const nft_recipe *recipe,
                                  const nft_trainer_options *options, const nft_space *space, int64_t *bytes);
/* How many samples that each keep `kept` floats are run at a time. */
int64_t nft_trainer_group_size(const nft_recipe *recipe, const nft_trainer_options *options, int64_t kept);
/* How many of `count` samples make the next group. The number changes no bit. */
int64_t nft_trainer_next_group(const nft_trainer *trainer, const nft_sample *samples, int64_t count);
/* Sets `kept` of every part of both sets, and the floats of a group of the trainer's and the sets' spaces;
 * NFT_ERROR_LIMIT if one of the spaces needs more memory than the trainer may take. Changes nothing else. */
nft_status nft_trainer_plan_sets(const nft_trainer *trainer, nft_set sets[2], int64_t *group_floats);
nft_context_options nft_training_options(const nft_trainer_options *options, int64_t group);
nft_context_options nft_validation_options(const nft_trainer_options *options);
/* Bytes that nft_trainer_fit_normalize takes while it runs; saturates. */
int64_t nft_fit_bytes(const nft_model *model);
/* Before the first step: warns, on rank 0, if all statistics are those of a fresh model. */
void nft_trainer_note_statistics(const nft_trainer *trainer);

/* ---- Data ---- */

/* A look at every number of a set, piece by piece. Samples of the ignored class are left out, and with the
 * recipe's `skip` those that are not finite. `what`: "training" or "validation". */
nft_status nft_set_look_through(nft_trainer *trainer, nft_set *set, const char *what);
/* The samples of the next step to trainer->samples, at least first … first + count - 1, this rank's part. */
nft_status nft_trainer_next_batch(nft_trainer *trainer, int64_t first, int64_t count);

/* ---- Steps ---- */

/* nft_trainer_validate() without the function's name in the message; there is a validation set. */
nft_status nft_trainer_run_validation(nft_trainer *trainer, double *loss);
/* The first check of every call that changes a trainer: there is a trainer, and no callback makes the call
 * that may not. */
nft_status nft_trainer_check_call(const nft_trainer *trainer, const char *function);
/* Which of `samples` samples are this rank's. */
void nft_trainer_part(const nft_trainer *trainer, int64_t samples, int64_t *first, int64_t *count);
/* Sums over the ranks, if there are more than one; the last of `sums` is for the number of them that failed.
 * A rank that failed, which `status` says, takes part, or the others would wait for it. */
nft_status nft_trainer_reduce(nft_trainer *trainer, nft_status status, double *sums, int64_t sum_count,
                              float *values, int64_t value_count);
/* The same of the gradients of a step, those of an auxiliary head included. */
nft_status nft_trainer_reduce_gradients(nft_trainer *trainer, nft_status status, double *sums,
                                        int64_t sum_count);
/* After values of the model or the head were changed: packs their weights again. */
void nft_trainer_values_changed(nft_trainer *trainer);
/* The same in place of the next step, for a rank that does not take it. */
void nft_trainer_leave(nft_trainer *trainer);

#endif
