/* Trainers and data sets for tests. */
#ifndef NFT_TEST_TRAINING_H
#define NFT_TEST_TRAINING_H

#include "nft/train.h"
#include "unit/models.h"

#define PREDICTOR                                                                                            \
    MLP("{'type': 'normalize'}, {'type': 'pointwise', 'out_channels': 4}, {'type': 'nft_block', "            \
        "'num_heads': 2, 'dropout': 0.2}, {'type': 'hnp_pool'}, {'type': 'linear', 'out_features': 3}, "     \
        "{'type': 'relu'}, {'type': 'linear', 'out_features': 1}, {'type': 'sigmoid'}")                      \
    "}"
#define OF_TOKENS                                                                                            \
    "{'format_version': 1, 'input': {'type': 'tokens', 'tokens': 3, 'channels': 2}, 'modules': [{'type': "   \
    "'linear', 'out_features': 4}, {'type': 'mean_tokens'}, {'type': 'linear', 'out_features': 3}]}"
#define ADAMW "'optimizer': {'type': 'adamw', 'lr': 0.01}"
#define RECIPE                                                                                               \
    "{'loss': 'bce', " ADAMW                                                                                 \
    ", 'batch_size': 5, 'steps': 6, 'seed': 3, 'grad_clip': 0.5, 'validate_every': 2}"
#define SAMPLES 9

static inline nft_trainer *make_trainer(const nft_model *model, const char *recipe, int32_t threads)
{
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    nft_trainer *trainer = NULL;
    char *json = support_json(recipe);
    options.threads = threads;
    options.precision = support_precision();
    assert_ok(nft_trainer_create(&trainer, model, json, strlen(json), &options));
    free(json);
    return trainer;
}

/* Random networks with targets between 0 and 1. */
static inline nft_weights *make_set(const nft_model *model, int64_t count, uint64_t seed)
{
    nft_weights *set = support_weights(nft_model_describe(model)->space, count, 1, seed);
    nft_random random = {seed, 100};
    nft_array *label = NULL;
    float targets[128];
    assert_true(count <= (int64_t)COUNT(targets));
    for (int64_t i = 0; i < count; i++)
        targets[i] = nft_random_uniform(&random, (uint64_t)i);
    assert_ok(nft_array_create(&label, NFT_ARRAY_F32, &count, 1, targets));
    assert_ok(nft_weights_set_extra(set, "label", label));
    nft_array_free(label);
    return set;
}

static inline int add_nothing(double *sums, int64_t sum_count, float *values, int64_t value_count, void *user)
{
    (void)sums, (void)sum_count, (void)values, (void)value_count, (void)user;
    return 0;
}

/* The second of two ranks, whose first adds nothing. */
static inline nft_trainer *make_second_rank(const nft_model *model, const char *recipe)
{
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    nft_trainer *trainer = NULL;
    char *json = support_json(recipe);
    options.threads = 1;
    options.ranks = 2;
    options.rank = 1;
    options.reduce = add_nothing;
    assert_ok(nft_trainer_create(&trainer, model, json, strlen(json), &options));
    free(json);
    return trainer;
}

/* The second halves of two batches of networks are the same bits. */
static inline void same_second_half(const nft_weights *a, const nft_weights *b)
{
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(a))->tensor_count; t++) {
        int64_t half = nft_weights_data_count(a, t) / 2;
        support_identical("the half of a batch", half, nft_weights_data(a, t) + half,
                          nft_weights_data(b, t) + half);
    }
}

/* The bytes that a trainer of the first recipe plans, less those of the second. */
static inline int64_t memory_between(const nft_model *model, const char *with, const char *without)
{
    const char *const recipes[] = {with, without};
    int64_t bytes[2] = {0};
    for (int i = 0; i < 2; i++) {
        char *json = support_json(recipes[i]);
        assert_ok(nft_trainer_memory(&bytes[i], model, NULL, json, strlen(json), NULL));
        free(json);
    }
    return bytes[0] - bytes[1];
}

static inline void expect_message(const char *text)
{
    if (!strstr(nft_error_message(), text))
        fail_msg("message is \"%s\", expected \"%s\" in it", nft_error_message(), text);
}

/* One set each; NULL: none. */
static inline nft_status set_data(nft_trainer *trainer, const nft_weights *train,
                                  const nft_weights *validation)
{
    return nft_trainer_set_data(trainer, train ? NFT_DATA_WEIGHTS(&train, 1) : NULL,
                                NFT_DATA_WEIGHTS(&validation, validation != NULL));
}

/* All parameters and buffers, one after the other; free them. */
static inline support_result model_values(const nft_model *model)
{
    support_result all = {0, NULL};
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&info, model, i));
        support_append_floats(&all, info.data, info.count);
    }
    return all;
}

static inline support_result trainer_values(const nft_trainer *trainer)
{
    nft_model *model = NULL;
    assert_ok(nft_trainer_snapshot(&model, trainer, NFT_SNAPSHOT_LAST));
    support_result all = model_values(model);
    nft_model_free(model);
    return all;
}

static inline void same_values(const char *what, support_result a, support_result b)
{
    assert_int_equal(a.count, b.count);
    support_identical(what, a.count, a.values, b.values);
}

#endif
