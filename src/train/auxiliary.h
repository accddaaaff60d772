/* The auxiliary head of a training: from a value of the model it decodes an image, which is compared with the
 * rendering of the network that went in. The gradients of both losses meet in the modules up to that value.
 * The head is no part of the trained model. */
#ifndef NFT_TRAIN_AUXILIARY_H
#define NFT_TRAIN_AUXILIARY_H

#include "model/backward.h"
#include "train/objective.h"

typedef struct nft_auxiliary_options {
    char *config;   /* the recipe's entry; NULL: there is no such head */
    int64_t module; /* of the model, whose output it takes */
    double weight;  /* of its loss */
} nft_auxiliary_options;

/* Reads the recipe's entry; NULL: there is none. Clear it also after a failure. */
nft_status nft_auxiliary_read(nft_auxiliary_options *options, const nft_json *value);
void nft_auxiliary_options_clear(nft_auxiliary_options *options);

typedef struct nft_auxiliary {
    nft_model *model; /* the head, whose values are trained; NULL: there is none */
    nft_context *context;
    nft_gradients *gradients;
    nft_objective objective;
    nft_array *tokens;        /* its inputs, of a group */
    nft_dropout_key *dropout; /* one for each of them */
    float *joint;             /* of several ranks: the gradients of the model, then those of the head */
    int64_t value;            /* of the model's sequence, which they are */
    double weight;
} nft_auxiliary;

/* Of a model, for groups of `group` samples, with fresh parameters; nothing without `options->config`. Clear
 * it also after a failure. NFT_ERROR_MISMATCH for a model that has no such value or reads no SIRENs. */
nft_status nft_auxiliary_create(nft_auxiliary *auxiliary, const nft_auxiliary_options *options,
                                const nft_model *model, uint64_t seed, int64_t group,
                                const nft_trainer_options *trainer_options);
void nft_auxiliary_clear(nft_auxiliary *auxiliary);
/* How much that takes, with its moments; saturates. */
nft_status nft_auxiliary_bytes(int64_t *bytes, const nft_auxiliary_options *options, const nft_model *model,
                               int64_t group, const nft_trainer_options *trainer_options);

/* One for each number of the head, of the batch so far; NULL without a head. */
static inline float *nft_auxiliary_gradients(const nft_auxiliary *auxiliary)
{
    return auxiliary->gradients ? auxiliary->gradients->values : NULL;
}

/* Clears the gradients of a batch. */
void nft_auxiliary_begin(nft_auxiliary *auxiliary);
/* After the forward of `count` samples with dropout keys of the model: adds `scale` times the weighted losses
 * to *loss, and the gradients of its parameters. */
nft_status nft_auxiliary_run(nft_auxiliary *auxiliary, const nft_context *model, const nft_sample *samples,
                             const nft_dropout_key *dropout, int64_t count, double scale, double *loss);
/* The gradient of the value by the last run; NULL without a head. */
const float *nft_auxiliary_gradient(const nft_auxiliary *auxiliary);

#endif
