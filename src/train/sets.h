/* The sets that a model is trained and validated on, and samples of them as they can be run. */
#ifndef NFT_TRAIN_SETS_H
#define NFT_TRAIN_SETS_H

#include "io/dataset.h"
#include "model/context.h"
#include "nft/trainer.h"
#include "siren/repair.h"

/* Of objective.h. */
typedef struct nft_objective nft_objective;

/* Sets with equal fingerprints hold the same numbers in the same order. */
typedef struct nft_fingerprint {
    uint64_t inputs, targets;
} nft_fingerprint;

/* Samples of one space that follow each other in a set. */
typedef struct nft_set_part {
    const nft_weights *weights;    /* of the caller, or */
    const nft_array *tokens;       /* or both NULL: they are read from the set's `dataset` */
    const nft_array *target_array; /* the caller's targets, or */
    const nft_entry *target_entry; /* the file's; both NULL where the loss has none */
    nft_array *converted;          /* the caller's targets as the loss takes them, owned; NULL: as they are */
    const nft_space *space;        /* NULL of tokens; borrowed from the weights or the data set */
    int64_t first, count;          /* of its samples in the set */
    nft_siren_repair repair;       /* of the networks that are read */
    int64_t kept;                  /* floats that a forward for backward keeps of a sample */
} nft_set_part;

typedef struct nft_set {
    nft_set_part *parts;
    int64_t part_count;
    int64_t count;         /* samples that are used; 0: there is no set */
    int64_t total;         /* samples of all parts */
    int64_t *chosen;       /* numbers of those that are used, in order, owned; NULL: all are */
    nft_dataset *dataset;  /* NULL: all is in memory */
    int64_t height, width; /* of targets that are images */
    nft_fingerprint fingerprint;
} nft_set;

/* A sample that can be run, with its target. */
typedef struct nft_sample {
    nft_forward_sample input;
    const float *target; /* nft_objective_target_numbers() of them, or */
    int64_t label;       /* the class */
    int64_t number;      /* in its set, for messages */
    int64_t kept;        /* floats that a forward for backward keeps of it */
    double other_share; /* of the loss with the other target or label, of a mixed network; 0: there is none */
    const float *other_target;
    int64_t other_label;
} nft_sample;

/* Memory for samples that are read from files. */
typedef struct nft_reading {
    int64_t capacity; /* samples */
    int64_t floats;   /* of the largest sample's input */
    int64_t tensors;  /* of the space that has most */
    int64_t numbers;  /* of a target; 0 of a class, or without targets */
    float *inputs;
    nft_weights *views;   /* of samples that were read together: a set that owns nothing */
    const float **arrays; /* of the views: `tensors` for each */
    nft_array *tokens;
    float *targets;
    int64_t *labels;
    void *scratch;       /* of targets that are converted */
    int64_t scratch_row; /* bytes for a sample; 0: none */
    int64_t *chosen;     /* numbers of samples of a set of which some are left out */
} nft_reading;

/* Room for `parts` parts; clear it also after a failure. */
nft_status nft_set_allocate(nft_set *set, int64_t parts);
/* References to all that the set reads. */
void nft_set_retain(const nft_set *set);
/* Gives the references back as well, if there are some. */
void nft_set_clear(nft_set *set, bool retained);

/* The part of sample `number`, which exists. */
const nft_set_part *nft_set_find_part(const nft_set *set, int64_t number);

/* Makes `count` samples ready to be run: those of `numbers`, or first, first + 1, … if it is NULL, counted
 * among those that are used. Samples of
 * files are read to `reading`, which has room for them, and checked; messages name the file. */
nft_status nft_set_fetch(const nft_objective *objective, const nft_set *set, const int64_t *numbers,
                         int64_t first, int64_t count, nft_reading *reading, nft_sample *samples);
/* The same without a check. */
nft_status nft_set_fetch_unchecked(const nft_objective *objective, const nft_set *set, const int64_t *numbers,
                                   int64_t first, int64_t count, nft_reading *reading, nft_sample *samples);
/* The number of sample `index` of those that are used. */
static inline int64_t nft_set_number(const nft_set *set, int64_t index)
{
    return set->chosen ? set->chosen[index] : index;
}

/* Samples that are read at once when it is not for a step. */
#define NFT_PIECE_SAMPLES 32

/* A look at every number: inputs are finite, targets in range. */
nft_status nft_samples_check(const nft_objective *objective, const nft_sample *samples, int64_t count);
/* Runs samples, at most NFT_PIECE_SAMPLES; see nft_context_run(). */
nft_status nft_samples_run(nft_context *context, const nft_sample *samples, int64_t count, int64_t steps);

/* Room for `capacity` samples of any part of a set, which is that of before if it is large enough. */
nft_status nft_reading_reserve(nft_reading *reading, const nft_objective *objective, const nft_set *set,
                               int64_t capacity);
void nft_reading_clear(nft_reading *reading);
/* Bytes for samples of one space (NULL: tokens); saturates. */
int64_t nft_reading_bytes(const nft_model *model, const nft_space *space, int64_t target_bytes,
                          int64_t capacity);

/* Continues a hash, one bijection for each 8 bytes: no change of one word goes unnoticed. */
uint64_t nft_hash_bytes(const void *bytes, size_t count, uint64_t hash);
/* Continues a set's fingerprint by samples that follow each other. */
void nft_samples_hash(const nft_objective *objective, const nft_sample *samples, int64_t count,
                      nft_fingerprint *fingerprint);

#endif
