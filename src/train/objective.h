/* The objective of a training: the loss of a model's output against the target of its sample. */
#ifndef NFT_TRAIN_OBJECTIVE_H
#define NFT_TRAIN_OBJECTIVE_H

#include "model/backward.h"
#include "train/image_loss.h"
#include "train/losses.h"
#include "train/sets.h"

struct nft_objective {
    const nft_loss *loss;
    const nft_model *model; /* whose outputs are compared; borrowed */
    int64_t outputs;        /* numbers of a sample's output */
    nft_array *gradient;    /* of a group's outputs, or, of outputs that are features: */
    nft_weights *features_gradient;
    float *network, *network_gradient; /* such an output of one sample, network by network, or a sample's
                                          input; and its gradient */
    float *other_gradient;  /* of one output, with the other label of a mixed sample; NULL: none is mixed */
    nft_image_loss *images; /* NULL unless the loss is of images, and their size is known */
};

/* For groups of `group` samples, of which some may be mixed; clear it also after a failure. */
nft_status nft_objective_create(nft_objective *objective, const nft_model *model, const nft_loss *loss,
                                int64_t group, bool mixes);
void nft_objective_clear(nft_objective *objective);

/* Floats of a sample's target; 0 if it is a class, or the input. */
int64_t nft_objective_target_numbers(const nft_objective *objective);
/* How many classes labels are of; 0 of a loss that takes numbers or images. */
int64_t nft_objective_classes(const nft_objective *objective);
/* Networks of an output that loss render renders; 1 of the other losses. */
int64_t nft_objective_networks(const nft_objective *objective);
/* Whether the loss takes an array, by type and shape, as the targets of `samples` samples. Sets the
 * size of images. */
nft_status nft_check_targets(const nft_objective *objective, const nft_array *targets, const char *name,
                             int64_t samples, nft_set *set);
/* Output `index` of a forward, `outputs` numbers; features until the next call. */
const float *nft_objective_output(const nft_objective *objective, const nft_context *context, int64_t index);
/* Where the gradient of output `index` of a group is written. */
float *nft_objective_gradient(const nft_objective *objective, int64_t index);
/* Takes the gradient of output `index` from there, once it is written. */
void nft_objective_take_gradient(nft_objective *objective, int64_t index);
/* nft_backward_adding() of the gradients of `count` outputs. */
nft_status nft_objective_backward(nft_objective *objective, nft_context *context, int64_t count,
                                  nft_gradients *gradients, int64_t index, const float *added);
/* Bytes of the renderer of a loss between images, and of a network with its gradient; 0 of other losses. */
int64_t nft_objective_image_bytes(const nft_model *model, const nft_loss *loss);
/* The loss of a sample with an output, and `scale` times its gradient unless NULL; not NULL of a mixed one.
 */
double nft_objective_loss(const nft_objective *objective, const nft_sample *sample, const float *output,
                          double scale, float *gradient);

#endif
