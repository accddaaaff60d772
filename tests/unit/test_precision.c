/* The precision of contexts and trainers: its values, its effect, and that packed weights are shared and
 * follow their model. NFT_TEST_PRECISION names the one that is compared with float32. */
#include "unit/training.h"

#include "model/context.h"
#include "nft/train.h"

#define WIDE                                                                                                 \
    MLP("{'type': 'pointwise', 'out_channels': 32}, {'type': 'nft_block', 'num_heads': 4}, "                 \
        "{'type': 'hnp_pool'}, {'type': 'linear', 'out_features': 5}")                                       \
    "}"
#define NETWORKS 5

static nft_context *context_of(const nft_model *model, int32_t precision, int32_t threads)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.precision = precision;
    options.threads = threads;
    assert_ok(nft_context_create(&context, model, &options));
    return context;
}

static void other_precisions_are_refused(void **state)
{
    (void)state;
    nft_model *model = support_model(WIDE, 1);
    nft_context *context = NULL;
    nft_trainer *trainer = NULL;
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_trainer_options trainer_options = NFT_TRAINER_OPTIONS_INIT;
    char *json = support_json(RECIPE);
    for (int32_t precision = -1; precision <= 3; precision += 4) {
        options.precision = trainer_options.precision = precision;
        assert_int_equal(nft_context_create(&context, model, &options), NFT_ERROR_ARGUMENT);
        assert_non_null(strstr(nft_error_message(), "precision is"));
        assert_int_equal(nft_trainer_create(&trainer, model, json, strlen(json), &trainer_options),
                         NFT_ERROR_ARGUMENT);
        assert_non_null(strstr(nft_error_message(), "nft_trainer_create: precision is"));
    }
    free(json);
    nft_model_free(model);
}

/* Different bits where the machine has products of that precision, the same where it has none; near in any
 * case. */
static void the_precision_decides_the_bits(void **state)
{
    (void)state;
    int32_t precision = support_precision();
    nft_model *model = support_model(WIDE, 1);
    nft_weights *set = support_weights(nft_model_describe(model)->space, NETWORKS, 1, 2);
    nft_context *exact = context_of(model, NFT_PRECISION_FLOAT32, 1), *fast = context_of(model, precision, 1);
    support_result a = support_forward(exact, set), b = support_forward(fast, set);
    bool same = nft_format_of(precision) == nft_format_of(NFT_PRECISION_FLOAT32);
    assert_int_equal(!memcmp(a.values, b.values, (size_t)a.count * sizeof *a.values), same);
    support_close("another precision", a.count, b.values, a.values, 0,
                  precision == NFT_PRECISION_BF16 ? 0.03 : 3e-5);
    free(a.values);
    free(b.values);
    nft_context_free(exact);
    nft_context_free(fast);
    nft_weights_free(set);
    nft_model_free(model);
}

static void contexts_of_one_precision_share_packed_weights(void **state)
{
    (void)state;
    nft_model *model = support_model(WIDE, 1);
    nft_context *a = context_of(model, support_precision(), 1),
                *b = context_of(model, support_precision(), 2);
    assert_ptr_equal(a->packed, b->packed);
    assert_int_equal(a->packed->users, 2);
    nft_context_free(a);
    assert_int_equal(b->packed->users, 1);
    nft_context *exact = context_of(model, NFT_PRECISION_FLOAT32, 1);
    bool same = nft_format_of(support_precision()) == nft_format_of(NFT_PRECISION_FLOAT32);
    assert_int_equal(exact->packed == b->packed, same);
    nft_context_free(b);
    nft_context_free(exact);
    for (int format = 0; format < NFT_FORMAT_COUNT; format++)
        assert_null(model->packed.made[format][0]);
    nft_model_free(model);
}

/* A context with new tensors gives the results of a model of those tensors, and does not change others. */
static void set_tensors_are_packed_again(void **state)
{
    (void)state;
    nft_model *model = support_model(WIDE, 1), *other = support_model(WIDE, 2);
    nft_weights *set = support_weights(nft_model_describe(model)->space, NETWORKS, 1, 2);
    nft_context *changed = context_of(model, support_precision(), 1),
                *bystander = context_of(model, support_precision(), 1),
                *like = context_of(other, support_precision(), 1);
    support_result before = support_forward(bystander, set), expected = support_forward(like, set);
    for (int64_t i = 0; i < nft_model_describe(other)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&info, other, i));
        assert_ok(nft_context_set_tensor(changed, i, info.data, info.count));
    }
    support_result found = support_forward(changed, set), after = support_forward(bystander, set);
    same_values("the tensors that were set", found, expected);
    same_values("another context", after, before);
    free(before.values);
    free(expected.values);
    free(found.values);
    free(after.values);
    nft_context_free(changed);
    nft_context_free(bystander);
    nft_context_free(like);
    nft_weights_free(set);
    nft_model_free(model);
    nft_model_free(other);
}

static void training_does_not_depend_on_threads(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2);
    support_result values[3];
    for (int32_t threads = 1; threads <= 3; threads++) {
        nft_trainer *trainer = make_trainer(model, RECIPE, threads);
        assert_ok(set_data(trainer, set, NULL));
        assert_ok(nft_trainer_run(trainer, NULL, NULL));
        values[threads - 1] = trainer_values(trainer);
        nft_trainer_free(trainer);
    }
    same_values("two threads", values[1], values[0]);
    same_values("three threads", values[2], values[0]);
    for (int i = 0; i < 3; i++)
        free(values[i].values);
    nft_weights_free(set);
    nft_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_precisions_are_refused),
        cmocka_unit_test(the_precision_decides_the_bits),
        cmocka_unit_test(contexts_of_one_precision_share_packed_weights),
        cmocka_unit_test(set_tensors_are_packed_again),
        cmocka_unit_test(training_does_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
