/**
 * @file trainer.h
 * Training: a recipe, a data set and a model to begin with. Included by nft/train.h.
 *
 * @code
 * nft_trainer_create(&trainer, model, recipe, strlen(recipe), NULL);
 * nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS((const nft_weights *const[]){networks}, 1), NULL);
 * nft_trainer_fit_normalize(trainer);
 * nft_trainer_run(trainer, NULL, NULL);
 * nft_trainer_snapshot(&trained, trainer, NFT_SNAPSHOT_BEST);
 * @endcode
 *
 * A recipe is a JSON object with these keys; a value after "=" is the default.
 *
 * - `loss`: "mse", "bce" (of probabilities) or "cross_entropy" (of logits), means over the batch. Two
 *   losses are the mean squared error between images, over batch, pixels and channels. "reconstruction"
 *   is for a model with a decoder: it compares the decoded image with the rendering of the input.
 *   "render" is for a model that gives the weights of SIRENs, features: it compares their rendering with the
 *   data set's `target`. Each channel is a network; of several the mean of the renderings is compared
 * - `optimizer`: {"type": "adamw" or "adam", "lr" = 1e-3, "betas" = [0.9, 0.999], "eps" = 1e-8,
 *   "weight_decay" = 0.01 of adamw (decoupled) or 0 of adam (L2)}; PyTorch's, on every trained parameter
 * - `schedule` = null, constant: {"type": "constant" or "cosine", "warmup_steps" = 0, "total_steps" = steps};
 *   step s, from 0, takes lr · s / warmup_steps during the warm-up, then lr, or with "cosine"
 *   lr · (1 + cos(π (s - warmup_steps) / (total_steps - warmup_steps))) / 2, which is 0 at `total_steps` and
 *   rises again beyond; 0 after a warm-up that takes all of `total_steps`
 * - `grad_clip` = null, none: the largest global norm of the gradients
 * - `batch_size`: samples of a step
 * - `steps`: how many nft_trainer_run() takes
 * - `shuffle` = true: each pass over the data is a new permutation; false: the order of the data. Passes are
 *   joined end to end, so no batch is short
 * - `seed` = 0: of the permutations and of dropout
 * - `validate_every` = 1000: steps
 * - `patience` = null, none: nft_trainer_run() ends after that many validations in a row without a lower loss
 *   (early stopping); it needs a validation set
 * - `label`: the name of the tensor with the labels, which the model's metadata keep (`nft.label`). Default:
 *   `label`, or else `target`
 * - `ema_decay` = null, none: a number above 0 and below 1, as 0.999. The trainer keeps an exponential moving
 *   average of the parameters. Validation, early stopping, the best parameters and every snapshot use the
 *   average. The optimizer continues from the parameters themselves. The average begins at the first values.
 *   After update t, from 1, each number a of it becomes a + (1 - d) (p - a), p the parameter and
 *   d = min(ema_decay, (1 + t) / (10 + t)), so that values from before the training are soon forgotten
 * - `skip` = false; true: samples whose networks or labels are not finite are left out
 * - `prepare` = false; true: networks of files are brought to the canonical form, ω and offset of the first
 *   file of the training set, where the metadata say that they have others
 * - `any_fit` = false; true: networks whose `nft.fit` differs from that of the training set, or of the
 *   model's earlier training, are taken
 * - `omega` = 30: ω of the networks that the loss "render" renders, a number, or a list with one for each
 *   layer. The last number of a list also holds for the layers that follow. The loss "reconstruction"
 *   renders with `nft.omega` of the data, or else with ω of the decoder. Both losses add `nft.offset` of
 *   the data. Losses other than "render" refuse the key
 * - `augment` = null, none: {"rotate" = 0, "shift" = 0, "scale" = [1, 1], "mirror" = false, "mixup" = null,
 *   "canonical", "omega" = 30}. Each network of each batch of SIRENs is replaced by the exact SIREN of its
 *   moved image f(A x + t), where x is a place (y, x). A is a rotation by at most `rotate` degrees either
 *   way, times a factor between the two of `scale`. With `mirror` A also swaps left and right in half of the
 *   cases. Both numbers of t are within ± `shift`. All are uniform, and depend on seed, step and place in
 *   the batch. Labels stay. `canonical` brings the moved networks to the canonical form of `omega`, as
 *   nft_inr_canonicalize() does; `omega` is a number, or a list with one for each layer. Without
 *   `canonical` the `nft.canonical` of the training data decides. Validation and
 *   nft_trainer_fit_normalize() see the data without these changes. The loss "render" refuses the key,
 *   because its images would not move.
 *   `mixup`, a number alpha from 0.05 to 4, also mixes the moved networks. Each becomes s times itself plus
 *   1 - s times another one of the batch. The hidden neurons of that one are first put in the order that
 *   brings its weights closest, layer by layer. The loss is s times that with the own label plus 1 - s times
 *   that with the other label. s is drawn from Beta(alpha, alpha). Losses between images compare with the
 *   mixed network
 * - `auxiliary` = null, none: {"module", "modules" = [], "decoder", "loss" = "reconstruction",
 *   "weight" = 1}. A second head of a model of SIRENs, for the time of the training. It takes the output of
 *   module `module` of the model, from 0, which is tokens or a vector (one token). Its `modules` and its
 *   `decoder`, as those of a configuration, make an image of it. Its loss is the mean squared error between
 *   that image and the rendering of the network that the model read, augmented where it was. `weight` times
 *   this loss is added to the loss of every step. Both gradients flow through the modules up to `module`.
 *   `grad_clip` and the optimizer see the parameters of both. The head begins with fresh parameters of
 *   `seed`. Validation and snapshots have only the model; a checkpoint has both
 *
 * `model`, `train` and `validation` name files in a recipe of the nftool program; the library does not read
 * them. Any other key is an error that names it.
 *
 * The result of a step depends on model, recipe and data. It does not depend on the number of threads, on
 * `recompute` or on the source of the data: on one machine a repeated training is bit-identical. Only the
 * number of ranks (see nft_reduce_callback) changes the rounding of sums.
 */
#ifndef NFT_TRAINER_H
#define NFT_TRAINER_H

#include "nft/array.h"
#include "nft/base.h"
#include "nft/dataset.h"
#include "nft/model.h"
#include "nft/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A model in training: its own copy of the parameters, the optimizer's state and the data. Belongs to one
 * thread at a time. A callback must not free the trainer that called it. Callbacks of a batch and of a sum
 * over ranks must not change it either: their calls are refused with ::NFT_ERROR_ARGUMENT. */
typedef struct nft_trainer nft_trainer;

/** How a trainer works; the recipe decides the result. Zero in a field is its default. */
typedef struct nft_trainer_options {
    size_t size;     /**< sizeof(nft_trainer_options) */
    int32_t threads; /**< threads that work on a step, the caller's included, at most 1024; 0: all cores */
    int32_t keep_blas_threads; /**< 1: do not change the process's BLAS thread count (see nft_forward()) */
    int64_t memory_limit; /**< bytes that the trainer may take, as nft_trainer_memory() counts them; 0: the
                             machine's memory */
    int32_t recompute; /**< 1: keep only the values between modules, and compute the inside of each again in
                          backward; takes less memory and more time. The result is bit-identical */
    int32_t rank;      /**< number of this process among those that train together, from 0 */
    int32_t ranks; /**< how many there are; 0: one, this. Each takes an equal part of every batch and of the
                      validation set. All are given the same model, recipe and data, take the same calls
                      in the same order, and have the same parameters after every step, and the same
                      loss and outputs after every validation. A callback source fills the whole batch in
                      each. `batch_size` is a multiple of it. The caller tells the other ranks of a failure
                      before the first step */
    nft_reduce_callback *reduce; /**< needed by more than one rank, else not called */
    void *reduce_user;           /**< handed to it */
    int32_t extend;    /**< 1: nft_trainer_resume() takes a checkpoint of other `steps`, another `lr`, another
                          `validate_every` or `patience`, or a schedule of other `total_steps`; from there on
                          those of the trainer hold */
    int32_t precision; /**< NFT_PRECISION_… of forward and backward; 0: ::NFT_PRECISION_FLOAT32. Weights,
                          gradients and the optimizer's state are in single precision with each */
} nft_trainer_options;

/** Options with every default. */
#define NFT_TRAINER_OPTIONS_INIT                                                                             \
    {                                                                                                        \
        sizeof(nft_trainer_options), 0, 0, 0, 0, 0, 0, NULL, NULL, 0, 0                                      \
    }

/** The result of a step. */
typedef struct nft_step_info {
    size_t size;            /**< sizeof(nft_step_info), set by the caller */
    int64_t step;           /**< the step's number, from 0 */
    double loss;            /**< mean over the batch, before the update; with `auxiliary` the weighted sum */
    double lr;              /**< the learning rate of the update */
    double grad_norm;       /**< global L2 norm of the gradients, before clipping */
    int32_t validated;      /**< 1: a validation followed the step; only in nft_trainer_run() */
    double validation_loss; /**< its loss; 0 if there was none */
} nft_step_info;

/** An nft_step_info to be filled. */
#define NFT_STEP_INFO_INIT                                                                                   \
    {                                                                                                        \
        sizeof(nft_step_info), 0, 0, 0, 0, 0, 0                                                              \
    }

/** A batch that a callback fills. New fields may follow. Its memory is the trainer's: the pointers are good
 * until the callback returns. Numbers that it does not set keep their earlier values. */
typedef struct nft_batch {
    size_t size;          /**< sizeof(nft_batch), set by the library */
    int64_t step;         /**< the step of this batch; a step that failed asks again */
    int64_t count;        /**< samples to fill: the recipe's batch_size */
    nft_weights *weights; /**< a set of `count` networks, to be filled through nft_weights_edit(); NULL for a
                             model on tokens */
    float *tokens;        /**< (count, tokens, channels); NULL for a model on weights */
    float *targets;  /**< of mse and bce: (count, numbers of an output); else NULL. For reconstruction there
                        is nothing to fill but the weights */
    int64_t *labels; /**< of cross_entropy: (count) classes; else NULL */
} nft_batch;

/** Fills a batch. Called on the thread that called the library, once for each step. Return 0 to
 * continue, anything else to stop: the step fails with ::NFT_ERROR_CANCELLED. Numbers are checked as those of
 * a set are. */
typedef int nft_batch_callback(nft_batch *batch, void *user);

/** Receives every step of nft_trainer_run(), on the thread that called it. Return 0 to continue, anything
 * else to stop. */
typedef int nft_step_callback(const nft_step_info *info, void *user);

/**
 * How many bytes a trainer takes at most, before anything is allocated: its copies of the parameters, their
 * average, an auxiliary head, the optimizer's state, both contexts (of training and of validation), the
 * batches that are read from files or filled by a callback, the tables with which a loss between images
 * renders, and the memory of nft_trainer_fit_normalize(). Tables that describe a model, some tens of
 * kilobytes for each space, are not counted.
 *
 * It grows with the number of threads, those of `options` or the machine's cores. It does not count memory
 * that depends on later data: 8 bytes for each training sample with `shuffle`, 8 bytes and the output for
 * each validation sample, and a converted copy of labels in memory whose type is not that of the loss. With
 * the loss "render" these are also the tables of an image's rows and columns, and the target images of a
 * batch that is read from a file. nft_trainer_resume() takes up to 20 bytes a parameter, and 12 of an
 * auxiliary head, while it reads.
 *
 * A model of any space needs memory for the spaces of its data, at most that of the space for which this
 * number is the largest. The calls that set data check every space against `memory_limit`.
 * @param[out] bytes the answer; 0 on failure
 * @param model to be trained
 * @param space of the networks; NULL: the model's own, or of a model of any space only the bytes that do not
 * depend on it
 * @param recipe_json `length` bytes of JSON, see above
 * @param length bytes
 * @param options NULL for the defaults
 * @return ::NFT_ERROR_FORMAT if the recipe is no JSON, ::NFT_ERROR_CONFIG for a wrong recipe,
 * ::NFT_ERROR_MISMATCH for a model that it cannot train or a space that is not the model's,
 * ::NFT_ERROR_ARGUMENT for the options
 */
NFT_API NFT_MUST_CHECK nft_status nft_trainer_memory(int64_t *bytes, const nft_model *model,
                                                     const nft_space *space, const char *recipe_json,
                                                     size_t length, const nft_trainer_options *options);

/**
 * Makes a trainer that begins with a copy of the model's parameters; the model stays as it is, and need not
 * outlive the trainer. Thread-safe.
 * @param[out] trainer free it with nft_trainer_free()
 * @param model to begin with
 * @param recipe_json `length` bytes of JSON, see above
 * @param length bytes
 * @param options NULL for the defaults
 * @return as nft_trainer_memory(), and ::NFT_ERROR_LIMIT or ::NFT_ERROR_MEMORY if there is not enough memory
 */
NFT_API NFT_MUST_CHECK nft_status nft_trainer_create(nft_trainer **trainer, const nft_model *model,
                                                     const char *recipe_json, size_t length,
                                                     const nft_trainer_options *options);
/** Frees a trainer and all that is borrowed from it; NULL is fine. Not thread-safe for one trainer. */
NFT_API void nft_trainer_free(nft_trainer *trainer);

/** The data of a training or a validation, of one kind; all others are NULL. */
typedef struct nft_trainer_data {
    size_t size;                       /**< sizeof(nft_trainer_data) */
    const nft_weights *const *weights; /**< sets of networks, which the trainer joins; samples are numbered
                                          through the list. The sets of a model of any space may
                                          have different spaces, and a batch mixes them */
    int64_t weights_count;             /**< how many sets */
    const nft_array *tokens;           /**< of a model on tokens: F32 (N, tokens, channels) */
    const nft_array *targets;          /**< their labels or targets, N */
    nft_dataset *dataset;              /**< files of either, which are read batch by batch */
    nft_batch_callback *callback;      /**< fills every batch; only of a training */
    void *user;                        /**< handed to it */
} nft_trainer_data;

/** No data. */
#define NFT_TRAINER_DATA_INIT                                                                                \
    {                                                                                                        \
        sizeof(nft_trainer_data), NULL, 0, NULL, NULL, NULL, NULL, NULL                                      \
    }
/** A pointer to data that are `count` weight sets, in a call's argument. C only, as the other four. */
#define NFT_DATA_WEIGHTS(sets, count)                                                                        \
    (&(const nft_trainer_data){sizeof(nft_trainer_data), (sets), (count), NULL, NULL, NULL, NULL, NULL})
/** The same of tokens and their targets. */
#define NFT_DATA_TOKENS(tokens, targets)                                                                     \
    (&(const nft_trainer_data){sizeof(nft_trainer_data), NULL, 0, (tokens), (targets), NULL, NULL, NULL})
/** The same of a data set in files. */
#define NFT_DATA_FILES(dataset)                                                                              \
    (&(const nft_trainer_data){sizeof(nft_trainer_data), NULL, 0, NULL, NULL, (dataset), NULL, NULL})
/** The same of a callback. */
#define NFT_DATA_CALLBACK(callback, user)                                                                    \
    (&(const nft_trainer_data){sizeof(nft_trainer_data), NULL, 0, NULL, NULL, NULL, (callback), (user)})
/** The same of no data. */
#define NFT_DATA_NONE                                                                                        \
    (&(const nft_trainer_data){sizeof(nft_trainer_data), NULL, 0, NULL, NULL, NULL, NULL, NULL})

/**
 * Sets the data of a training and of its validation.
 *
 * Weight sets and arrays are read in place, so they must not change; the trainer keeps references, so the
 * caller may free them. Files are read once as a whole here, to be checked, and every batch is checked again
 * when it is read; they must not change either.
 *
 * Each set holds an extra `label`, or else `target`, or the extra that the recipe names: for cross_entropy
 * (N) classes, I64 or whole numbers of F32, or one-hot rows (N, classes), and -100 for a sample that is left
 * out; for mse and bce F32, or I64 that F32 holds exactly, (N) where an output is one number, else the
 * output's shape. For render it is `target`, images (N, height, width, colours) of -1 … 1, all of one size;
 * reconstruction needs neither. Everything is checked here: space, channels, that weights and targets are
 * finite, classes against the number of outputs, targets of bce in 0 … 1, and `nft.omega` of the set's
 * metadata, if it is there, against the ω that the loss renders with. The metadata of the training set are
 * compared with `nft.trained_on` of a model that was trained before, as nft_forward() does. On failure the
 * data stay unchanged.
 *
 * A new validation set makes the trainer forget the lowest validation loss so far, and the parameters that
 * had it. Steps taken are not forgotten. Not thread-safe.
 * @param trainer gets the data
 * @param train NULL: the training data stay as they are; without data: there are none
 * @param validation NULL: the validation set stays as it is; without data: there is none
 * @return ::NFT_ERROR_MISMATCH if a set does not fit the model or the loss, ::NFT_ERROR_NOT_FINITE if a
 * number is not finite, ::NFT_ERROR_LIMIT if a space needs more memory than the trainer may take, each with a
 * message that names it; ::NFT_ERROR_FILE or ::NFT_ERROR_FORMAT if a file cannot be read;
 * ::NFT_ERROR_ARGUMENT for data of several kinds, for a validation by a callback, and for a callback with the
 * loss render (its images have the size of a data set's) or with a model of any space (its batches have
 * several spaces); ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_trainer_set_data(nft_trainer *trainer, const nft_trainer_data *train,
                                                       const nft_trainer_data *validation);

/**
 * Sets the statistics of every `normalize` module from the whole training set, as it arrives there. A fresh
 * model needs this before its first step; a model that was trained already must not have it. In a model of
 * any space the tensors of a role, of all spaces, have one mean and one deviation for each channel, in which
 * every entry counts once; a role that no network has keeps the mean 0 and the deviation 1. With a callback
 * as the source: first nft_trainer_set_data() with networks like the callback's, then this, then the
 * callback. A model without such a module is left as it is. Every rank does all of it. Not thread-safe for
 * one trainer. A first step with the statistics of a fresh model, mean 0 and deviation 1, is a warning in the
 * log (nft_set_log()).
 * @return ::NFT_ERROR_ARGUMENT after the first step, or without a training set (a callback is none)
 */
NFT_API NFT_MUST_CHECK nft_status nft_trainer_fit_normalize(nft_trainer *trainer);

/**
 * One step: a batch's loss and gradients, clipping, update. Never a validation.
 *
 * On failure parameters, optimizer and step number are as they were before. Not thread-safe for one trainer.
 * @param[out] info facts about the step (its `size` set by the caller); NULL is fine
 * @param trainer takes the step
 * @return ::NFT_ERROR_NOT_FINITE, with a message that names the step and the sample or parameter;
 * ::NFT_ERROR_ARGUMENT without training data; ::NFT_ERROR_FILE or ::NFT_ERROR_FORMAT if a file cannot be read
 * any more; ::NFT_ERROR_MISMATCH if a label or target, of a callback or a file that changed, does not fit the
 * model or the loss;
 * ::NFT_ERROR_CANCELLED if a callback stopped it, or another rank failed
 */
NFT_API NFT_MUST_CHECK nft_status nft_trainer_step(nft_step_info *info, nft_trainer *trainer);

/**
 * Steps until the recipe's end. With a validation set it validates after every `validate_every` steps and at
 * the end. Not thread-safe for one trainer.
 * @param trainer takes the steps
 * @param callback receives every step; NULL: none
 * @param user handed to the callback
 * @return as nft_trainer_step(); after ::NFT_ERROR_CANCELLED another call continues from there, with the
 * validation if that was cancelled. An update of the last step that is not finite is
 * ::NFT_ERROR_NOT_FINITE, each time, and stays
 */
NFT_API NFT_MUST_CHECK nft_status nft_trainer_run(nft_trainer *trainer, nft_step_callback *callback,
                                                  void *user);

/**
 * The mean loss over the validation set, without dropout. Keeps the parameters if it is the lowest so far.
 *
 * Several ranks share the samples; the loss and the outputs are those of one process with these parameters,
 * bit by bit but for the sign of a zero. Not thread-safe for one trainer.
 * @return ::NFT_ERROR_ARGUMENT without a validation set, else as nft_trainer_step()
 */
NFT_API NFT_MUST_CHECK nft_status nft_trainer_validate(double *loss, nft_trainer *trainer);

/**
 * Writes a checkpoint, from which the training can resume: parameters, the optimizer's state, the average of
 * the parameters, the best so far, those of an auxiliary head, the step. A temporary file is renamed over the
 * target, so an older checkpoint stays whole until then. One of several ranks is enough: all can resume from
 * its file, also with a validation that is due or failed. Not thread-safe for one trainer.
 * @return ::NFT_ERROR_NOT_FINITE, and no file, if a number is not finite; ::NFT_ERROR_FILE if it cannot be
 * written
 */
NFT_API NFT_MUST_CHECK nft_status nft_trainer_save(const nft_trainer *trainer, const char *path);
/**
 * Resumes from a checkpoint. The trainer was made of the same model configuration and recipe,
 * and its data set, before this call; with as many ranks as before, its steps are then bit-identical to those
 * of a training that was never interrupted.
 *
 * Every number of the training and the validation set counts, and their order, by a hash of 64 bits that the
 * checkpoint keeps. Their source, memory or a file, does not count. The numbers of a callback cannot be known
 * beforehand: the caller ensures that they are the same again.
 *
 * On failure the trainer is as it was. Not thread-safe for one trainer.
 * @return ::NFT_ERROR_MISMATCH for a checkpoint of another recipe, model or data set; the message names the
 * difference; ::NFT_ERROR_FORMAT if it is none, or damaged; ::NFT_ERROR_NOT_FINITE if a number
 * in it is not finite; ::NFT_ERROR_FILE if it cannot be read
 */
NFT_API NFT_MUST_CHECK nft_status nft_trainer_resume(nft_trainer *trainer, const char *path);

/** Where a training is. */
typedef struct nft_trainer_description {
    size_t size;        /**< of the library's struct */
    int64_t steps;      /**< of the recipe, or those taken once `patience` has ended the training */
    int64_t steps_done; /**< taken so far, those before a checkpoint included */
    double best_loss;   /**< the lowest of the validations so far; not-a-number before the first */
    const nft_array *validation_output; /**< the model's output for every sample of the validation set, (N,
                                           …), at the last validation: for metrics of your own. Borrowed until
                                           the next validation or change of data; NULL before the first, and
                                           for losses between images */
} nft_trainer_description;

/** Where a training is. Borrowed until the next call on the trainer; never NULL: there are no steps of NULL.
 * Not thread-safe. */
NFT_API const nft_trainer_description *nft_trainer_describe(const nft_trainer *trainer);

/** The parameters of a snapshot. */
enum {
    NFT_SNAPSHOT_LAST = 0, /**< as they are now; with `ema_decay` their average */
    NFT_SNAPSHOT_BEST = 1  /**< of the lowest validation loss so far; the last if there was no validation */
};

/**
 * A new model. Its metadata have the loss (`nft.loss`), metadata of the training set (`nft.trained_on`: JSON
 * of its `nft.canonical`, `nft.omega` …), and for loss render ω (`nft.omega`). Not thread-safe.
 * @param[out] model free it with nft_model_free()
 * @param trainer any
 * @param which NFT_SNAPSHOT_…
 * @return ::NFT_ERROR_ARGUMENT, ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_trainer_snapshot(nft_model **model, const nft_trainer *trainer,
                                                       int32_t which);

#ifdef __cplusplus
}
#endif

#endif
