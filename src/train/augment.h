/* Exact augmentation of SIRENs: f(A x + t) is the SIREN with the weights W_0 A and the biases v_0 + W_0 t
 * (Shamsian et al., "Improved Generalization of Weight Space Networks via Augmentations", 2024). */
#ifndef NFT_TRAIN_AUGMENT_H
#define NFT_TRAIN_AUGMENT_H

#include "base/random.h"
#include "config/options.h"
#include "model/model.h"
#include "siren/form.h"
#include "space/weights.h"

typedef struct nft_augment {
    bool enabled;
    double rotate;       /* at most this many degrees, either way */
    double shift;        /* at most this far in each direction, in coordinates: the image is 2 wide */
    double scale[2];     /* the least and the largest factor of the coordinates */
    bool mirror;         /* left and right change places, with probability 1/2 */
    double mixup;        /* networks of a batch are mixed, see mixup.h; 0: they are not */
    bool by_data;        /* canonical if the data say that they are; else `canonical` says it */
    bool canonical;      /* networks are brought to their canonical form again */
    nft_siren_form form; /* ω of the networks, for that form */
} nft_augment;

/* Reads the recipe's entry; NULL: there is none. */
nft_status nft_augment_read(nft_augment *augment, const nft_json *value);
/* An error unless the model reads the weights of SIRENs. */
nft_status nft_augment_check(const nft_augment *augment, const nft_model *model);
/* Whether networks are brought to the canonical form; `said`: the data say that theirs are. */
bool nft_augment_is_canonical(const nft_augment *augment, bool said);

/* The random numbers of a step; network `index` of its batch has four of them. */
nft_random nft_augment_random(uint64_t seed, int64_t step);
/* Changes network `index` of an owned set; it has that network's random numbers. */
void nft_augment_network(const nft_augment *augment, const nft_random *random, nft_weights *weights,
                         int64_t index, bool canonical);

#endif
