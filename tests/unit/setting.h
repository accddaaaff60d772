/* A small model, its training set and its validation set. */
#ifndef NFT_TEST_SETTING_H
#define NFT_TEST_SETTING_H

#include "unit/training.h"

typedef struct setting {
    nft_model *model;
    nft_weights *train, *validation;
} setting;

static inline setting open_setting(void)
{
    setting s = {.model = support_model(PREDICTOR, 1)};
    s.train = make_set(s.model, SAMPLES, 2);
    s.validation = make_set(s.model, 4, 3);
    return s;
}

static inline void close_setting(setting *s)
{
    nft_weights_free(s->train);
    nft_weights_free(s->validation);
    nft_model_free(s->model);
}

#endif
