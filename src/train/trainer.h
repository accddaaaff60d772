/* The parts of a trainer. */
#ifndef NFT_TRAIN_TRAINER_H
#define NFT_TRAIN_TRAINER_H

#include "model/backward.h"
#include "nft/trainer.h"
#include "train/average.h"
#include "train/image_loss.h"
#include "train/recipe.h"
#include "train/sampler.h"
#include "train/sets.h"

/* A callback, and the batch that it fills. */
typedef struct nft_batch_source {
    nft_batch_callback *callback; /* NULL: there is none */
    void *user;
    nft_batch batch; /* with pointers to the trainer's memory; count 0: there is none */
    nft_array *tokens;
} nft_batch_source;

struct nft_trainer {
    nft_recipe recipe;
    nft_model *model; /* its own: nobody else sees these values change */
    nft_context *context;
    nft_context *validation_context; /* NULL without a validation set */
    nft_trainer_options options;
    nft_gradients *gradients;
    nft_moments moments;
    nft_average average;        /* of the parameters: it is validated, and handed out */
    int64_t group;              /* the most samples whose forward is kept at a time */
    int64_t group_floats;       /* and the most floats that it keeps */
    int64_t outputs;            /* numbers of a sample's output */
    nft_array *output_gradient; /* of a group, or, of outputs that are features: */
    nft_weights *features_gradient;
    float *network,
        *network_gradient;    /* such an output of one sample, or a sample's input; and its gradient */
    nft_image_loss *images;   /* NULL unless the loss is of images, and their size is known */
    nft_dropout_key *dropout; /* one for each sample of a group */
    int64_t *numbers;         /* of a batch's samples, in the training set */
    nft_sample *samples;      /* of a batch: this rank's part of them is set */
    nft_weights *augmented;   /* the networks of a batch; NULL unless the recipe has "augment" */
    int64_t step;             /* the next one */
    nft_step_info owed;       /* the last one, while a validation is due after it that has not succeeded */
    bool owes_validation;

    nft_set train, validation;
    nft_sampler sampler;
    nft_batch_source source; /* in place of `train` */
    bool waits;              /* for a callback that may not change the trainer */
    nft_reading batch;       /* memory of a batch that is read */
    nft_reading pieces;      /* the same for anything but a step */

    nft_array *validation_output; /* (N, …) of the last validation; NULL without a validation set */
    double *validation_losses;    /* of each of its N samples, and one number more on which ranks agree */
    bool has_validated;
    float *best; /* the values with the lowest validation loss */
    double best_loss;
    bool has_best;
    int64_t stale; /* validations of nft_trainer_run() since the one with the lowest loss */
    nft_trainer_description *description; /* that was lent to the caller */
};

/* A group is at most as many samples as fit into this many bytes of kept memory, but two at least; with
 * recompute into fewer, as that saves memory. */
#define NFT_GROUP_BYTES (INT64_C(256) << 20)
#define NFT_RECOMPUTE_GROUP_BYTES (INT64_C(32) << 20)
#define NFT_GROUP_MOST 16
/* Samples that are read at once when it is not for a step. */
#define NFT_PIECE_SAMPLES 32

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

/* ---- Samples ---- */

/* Floats of a sample's target; 0 if it is a class, or the input. */
int64_t nft_trainer_target_numbers(const nft_trainer *trainer);
/* How many classes labels are of; 0 of a loss that takes numbers or images. */
int64_t nft_trainer_classes(const nft_trainer *trainer);
/* A look at every number: inputs are finite, targets in range. */
nft_status nft_samples_check(const nft_trainer *trainer, const nft_sample *samples, int64_t count);
/* Whether the loss takes an array, by type and shape, as the targets of `samples` samples. Sets the
 * size of images. */
nft_status nft_check_targets(const nft_trainer *trainer, const nft_array *targets, const char *name,
                             int64_t samples, nft_set *set);
/* Runs samples, at most NFT_PIECE_SAMPLES; see nft_context_run(). */
nft_status nft_samples_run(nft_context *context, const nft_sample *samples, int64_t count, int64_t steps);
/* The loss of a sample with an output, and `scale` times its gradient unless NULL. */
double nft_sample_loss(const nft_trainer *trainer, const nft_sample *sample, const float *output,
                       double scale, float *gradient);
/* Output `index` of a forward, nft_trainer.outputs numbers; features until the next call. */
const float *nft_trainer_output(const nft_trainer *trainer, const nft_context *context, int64_t index);
/* Advice for a training that diverges. */
const char *nft_divergence_advice(const nft_trainer *trainer);
/* The error for a sample whose loss is not finite, and its output. */
nft_status nft_fail_loss(const nft_trainer *trainer, const char *set, int64_t number, const float *output);

/* ---- Data ---- */

/* A look at every number of a set, piece by piece. Samples of the ignored class are left out, and with the
 * recipe's `skip` those that are not finite. `what`: "training" or "validation". */
nft_status nft_set_look_through(nft_trainer *trainer, nft_set *set, const char *what);
/* The samples of the next step to trainer->samples, at least first … first + count - 1, this rank's part. */
nft_status nft_trainer_next_batch(nft_trainer *trainer, int64_t first, int64_t count);
/* Memory for the batches of a callback, unless it is there. */
nft_status nft_source_reserve(nft_batch_source *source, const nft_trainer *trainer);
/* Frees it. */
void nft_source_free_batch(nft_batch_source *source);
/* Forgets the callback as well. */
void nft_source_clear(nft_batch_source *source);
/* Frees the sets, the memory of the callback and that of samples of files. */
void nft_trainer_clear_data(nft_trainer *trainer);

/* ---- Steps ---- */

/* Whether `data`, one number for each of the model's, is finite; `what` in messages. */
nft_status nft_trainer_check_finite(const nft_trainer *trainer, const float *data, const char *what);
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
/* The same in place of the next step, for a rank that does not take it. */
void nft_trainer_leave(nft_trainer *trainer);

/* Allocates the memory for a validation of `count` samples. */
nft_status nft_trainer_prepare_validation(nft_trainer *trainer, int64_t count);

#endif
