/* Random numbers for tests, with or without cmocka: in a set of weights, in a model's parameters. */
#ifndef NFT_TEST_RANDOM_VALUES_H
#define NFT_TEST_RANDOM_VALUES_H

#include "base/random.h"
#include "model/model.h"
#include "nft/nft.h"

#include <string.h>

/* Standard normal numbers in every tensor. */
static inline void fill_weights(nft_weights *weights, uint64_t seed)
{
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(weights))->tensor_count; t++) {
        nft_random random = {seed, (uint64_t)t};
        float *values = nft_weights_edit(weights, t);
        for (int64_t i = 0; i < nft_weights_data_count(weights, t); i++)
            values[i] = nft_random_normal(&random, (uint64_t)i);
    }
}

/* Norms that begin at 1 and 0 would hide a misplaced gamma or beta. Statistics are as `normalize` has them
 * per tensor: the same number for all entries of a channel, unless every entry is to have its own. */
static inline void stir_parameters(nft_model *model, uint64_t seed, bool own_statistics)
{
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const nft_parameter *parameter = &model->parameters.items[i];
        nft_random random = {seed, nft_random_stream(parameter->name)};
        float *values = model->values + parameter->offset;
        bool statistics = strstr(parameter->name, "mean_") || strstr(parameter->name, "std_");
        int64_t entries = statistics && !own_statistics ? parameter->count / parameter->shape[0] : 1;
        for (int64_t k = 0; k < parameter->count && (parameter->trained || statistics); k++)
            values[k] += 0.3F * nft_random_uniform(&random, (uint64_t)(1000 + k / entries));
    }
    nft_model_pack(model);
}

#endif
