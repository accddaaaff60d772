/* The state of a training: exactly the content of a checkpoint. Everything else in a trainer follows from the
 * model's configuration, the recipe, the data and this: batches and dropout depend only on seed and step. */
#ifndef NFT_TRAIN_STATE_H
#define NFT_TRAIN_STATE_H

#include "nft/trainer.h"
#include "train/average.h"

typedef struct nft_state {
    nft_model *model; /* whose values are trained; borrowed */
    nft_moments moments;
    nft_model *auxiliary; /* the same of an auxiliary head; NULL: there is none */
    nft_moments auxiliary_moments;
    nft_average average; /* of the parameters: it is validated, and handed out */
    int64_t step;        /* the next one */
    nft_step_info owed;  /* the last one, while a validation is due after it that has not succeeded */
    bool owes_validation;
    float *best; /* the values with the lowest validation loss; NULL before there is a validation set */
    double best_loss;
    bool has_best;
    int64_t stale; /* validations of nft_trainer_run() since the one with the lowest loss */
} nft_state;

/* Of a model, and of an auxiliary head or NULL, before its first step; clear it also after a failure. */
nft_status nft_state_create(nft_state *state, nft_model *model, nft_model *auxiliary, double ema_decay);
void nft_state_clear(nft_state *state);

/* An update of the parameters, of the moments and of the average; `auxiliary`: the gradients of the head, if
 * there is one. The caller packs the weights, and counts
 * the step. */
void nft_state_update(nft_state *state, const nft_optimizer *optimizer, double lr, double scale,
                      const float *gradients, const float *auxiliary, nft_pool *pool);
/* The global L2 norm of the gradients of both. */
double nft_state_gradient_norm(const nft_state *state, const float *gradients, const float *auxiliary,
                               nft_pool *pool);
/* Room for the best values, unless it is there. */
nft_status nft_state_reserve_best(nft_state *state);
/* Of a validation that succeeded. */
void nft_state_take_loss(nft_state *state, double loss);
/* Because there is another validation set. */
void nft_state_forget_best(nft_state *state);
/* The parameters that are validated and handed out now. */
const float *nft_state_values(const nft_state *state);
/* Whether `data`, one number for each of a model's, is finite; `what` in messages. */
nft_status nft_check_values_finite(const nft_model *model, const float *data, const char *what);

#endif
