/* What is inside a trainer. */
#ifndef NFT_TRAIN_TRAINER_H
#define NFT_TRAIN_TRAINER_H

#include "io/dataset.h"
#include "model/backward.h"
#include "nft/trainer.h"
#include "train/image_loss.h"
#include "train/recipe.h"
#include "train/sampler.h"

/* Two sets whose fingerprints are the same hold the same numbers in the same order. */
typedef struct nft_fingerprint {
    uint64_t inputs, targets;
} nft_fingerprint;

/* Samples with what their outputs should be: a data set, or a batch. */
typedef struct nft_samples {
    const nft_weights *weights; /* or */
    const nft_array *tokens;
    int64_t count;                   /* 0: none */
    int64_t number;                  /* of the first in its set, for messages */
    const int64_t *numbers;          /* of each in its set, NULL where they are consecutive */
    const float *targets;            /* nft_trainer_target_numbers() for each sample, or */
    const int64_t *classes;          /* one for each sample, or NULL like these where the loss has none */
    const nft_array *target_array;   /* that holds them, or NULL */
    int64_t height, width;           /* of targets that are images */
    nft_dataset *dataset;            /* in place of these: they are read when they are needed */
    const nft_network_layer *layers; /* of weights that were read: as their file names them */
    const nft_entry *target_entry;
    nft_fingerprint fingerprint;
} nft_samples;

/* Memory for samples that come from elsewhere: a callback, or a file. */
typedef struct nft_batch_memory {
    nft_batch batch; /* with pointers to the memory below */
    nft_array *tokens;
    int64_t target_numbers; /* for each sample there is room for so many, at least */
} nft_batch_memory;

struct nft_trainer {
    nft_recipe recipe;
    nft_model *model; /* its own: nobody else sees these values change */
    nft_context *context;
    nft_context *validation_context; /* NULL without a validation set */
    nft_trainer_options options;
    nft_gradients *gradients;
    nft_moments moments;
    int64_t group;              /* samples whose forward is kept at a time */
    int64_t outputs;            /* numbers of a sample's output */
    nft_array *output_gradient; /* of a group, or, of outputs that are features: */
    nft_weights *features_gradient;
    float *network,
        *network_gradient;    /* such an output of one sample, or a sample's input; and its gradient */
    nft_image_loss *images;   /* NULL unless the loss is of images, and their size is known */
    nft_dropout_key *dropout; /* one for each sample of a group */
    int64_t *indices;         /* of a batch, in what nft_trainer_next_batch gave */
    int64_t *numbers;         /* of the same samples, in the training set */
    int64_t step;             /* the next one */
    nft_step_info owed;       /* the last one, while a validation is due after it that has not succeeded */
    bool owes_validation;

    nft_samples train, validation;
    nft_sampler sampler;
    nft_batch_callback *source; /* in place of `train` */
    void *source_user;
    bool waits;              /* for a callback that may not change the trainer */
    nft_batch_memory batch;  /* what the callback fills, or a data set is read to */
    nft_batch_memory pieces; /* what data sets are read to when it is not for a step */

    nft_array *validation_output; /* (N, …) of the last validation; NULL without a validation set */
    double *validation_losses;    /* of each of its N samples, and one number more for what ranks agree on */
    bool has_validated;
    float *best; /* the values with the lowest validation loss */
    double best_loss;
    bool has_best;
};

/* A group is at most as many samples as fit into this many bytes of kept memory, but two at least; with
 * recompute into fewer, as that is for the sake of memory. */
#define NFT_GROUP_BYTES (INT64_C(256) << 20)
#define NFT_RECOMPUTE_GROUP_BYTES (INT64_C(32) << 20)

/* Memory for `count` samples of the trainer's model and loss, unless it is there already: the count is always
 * the same for one purpose. What fails leaves none. */
nft_status nft_batch_reserve(nft_batch_memory *memory, const nft_trainer *trainer, int64_t count);
/* How much that is for samples with `outputs` numbers each; saturates. */
int64_t nft_batch_bytes(const nft_model *model, const nft_loss *loss, int64_t outputs, int64_t count);
void nft_batch_clear(nft_batch_memory *memory);

/* A look at every number: inputs are finite, targets in range; `what` in messages. */
nft_status nft_samples_check(const nft_trainer *trainer, const nft_samples *samples, const char *what);
/* What nft_trainer_fit_normalize takes while it runs; saturates. */
int64_t nft_fit_bytes(const nft_model *model);
/* Whether `data`, one number for each of the model's, is finite; `what` in messages. */
nft_status nft_trainer_check_finite(const nft_trainer *trainer, const float *data, const char *what);
/* Continues a hash, one bijection for each 8 bytes: no change of a single one goes unnoticed. */
uint64_t nft_hash_bytes(const void *bytes, size_t count, uint64_t hash);
/* Continues the fingerprint of a set, sample by sample, so that it does not depend on the pieces. */
void nft_samples_hash(const nft_trainer *trainer, const nft_samples *samples, nft_fingerprint *fingerprint);
/* Samples first … first + count - 1 as they can be run: of the set itself, or read from its file into the
 * trainer's pieces and checked, at most NFT_PIECE_SAMPLES. Where the first of them stands goes to *at. */
nft_status nft_samples_fetch(nft_trainer *trainer, const nft_samples *set, int64_t first, int64_t count,
                             nft_samples *piece, int64_t *at);
#define NFT_PIECE_SAMPLES 32
/* Floats of a sample's target; 0 if it is a class, or the input. */
int64_t nft_trainer_target_numbers(const nft_trainer *trainer);
/* Whether `targets` are what the loss takes, in type and shape; sets the samples' own. */
nft_status nft_samples_set_targets(const nft_trainer *trainer, nft_samples *samples, const nft_array *targets,
                                   const char *name);
/* Whether sample `index` has a class that the model has an output for; memory may have changed meanwhile. */
nft_status nft_samples_check_class(const nft_trainer *trainer, const nft_samples *samples, int64_t index);
/* The loss of sample `index` with an output, and `scale` times its gradient unless NULL. */
double nft_samples_loss(const nft_trainer *trainer, const nft_samples *samples, int64_t index,
                        const float *output, double scale, float *gradient);
/* Output `index` of a forward, nft_trainer.outputs numbers; features until the next call. */
const float *nft_trainer_output(const nft_trainer *trainer, const nft_context *context, int64_t index);
/* What to do about it when training diverges. */
const char *nft_divergence_advice(const nft_trainer *trainer);
/* The error for a sample whose loss is not finite, and its output. */
nft_status nft_fail_loss(const nft_trainer *trainer, const char *set, int64_t index, const float *output);

/* nft_trainer_validate() without the function's name in the message; there is a validation set. */
nft_status nft_trainer_run_validation(nft_trainer *trainer, double *loss);
/* The samples of the next step; which of them are its batch goes to trainer->indices. */
nft_status nft_trainer_next_batch(nft_trainer *trainer, nft_samples *samples);
/* What every call that changes a trainer asks first: that there is one, and that no callback of it makes the
 * call which may not. */
nft_status nft_trainer_check_call(const nft_trainer *trainer, const char *function);
/* Lets go of the data sets, the callback and the memory for them. */
void nft_trainer_clear_data(nft_trainer *trainer);
/* Which of `samples` samples are this rank's. */
void nft_trainer_part(const nft_trainer *trainer, int64_t samples, int64_t *first, int64_t *count);
/* Sums over the ranks, if there are more than one; the last of `sums` is for the number of them that failed.
 * A rank that failed, which `status` says, takes part, or the others would wait for it. */
nft_status nft_trainer_reduce(nft_trainer *trainer, nft_status status, double *sums, int64_t sum_count,
                              float *values, int64_t value_count);
/* The same in place of the next step, for a rank that does not take it. */
void nft_trainer_leave(nft_trainer *trainer);

nft_context_options nft_validation_options(const nft_trainer_options *options);
/* Allocates what a validation of `count` samples needs. */
nft_status nft_trainer_prepare_validation(nft_trainer *trainer, int64_t count);

#endif
