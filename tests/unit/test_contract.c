/* The contract between a model's training set and the networks that it runs on. */
#include "nft/inr.h"
#include "nft/train.h"
#include "unit/support.h"

#include "model/model.h"

#define TRAINED_ON                                                                                           \
    "{\"nft.canonical\":\"sign-phase\",\"nft.omega\":\"30,2\",\"nft.image\":\"28,28,1\","                    \
    "\"nft.classes\":\"[\\\"cat\\\", \\\"dog\\\"]\",\"nft.fit\":\"{\\\"steps\\\": 5, \\\"lr\\\": 0.1}\"}"

static nft_model *model_on(const char *trained_on)
{
    static const char config[] =
        "{\"format_version\": 1, \"space\": {\"layers\": [{\"type\": \"linear\", \"in\": 2, \"out\": 4}, "
        "{\"type\": \"linear\", \"in\": 4, \"out\": 1}]}, \"modules\": [{\"type\": \"np_pool\"}, "
        "{\"type\": \"linear\", \"out_features\": 1}]}";
    nft_model *model = NULL;
    assert_ok(nft_model_create(&model, config, strlen(config), 0, NULL));
    assert_ok(nft_model_set_metadata(model, "nft.trained_on", trained_on));
    return model;
}

/* Networks like those of the training set. */
static nft_weights *networks(void)
{
    nft_space *space = SUPPORT_MLP(2, 4, 1);
    nft_weights *weights = NULL;
    assert_ok(nft_weights_create(&weights, space, 2, 1, NULL));
    assert_ok(nft_weights_set_metadata(weights, "nft.canonical", "sign-phase"));
    assert_ok(nft_weights_set_metadata(weights, "nft.omega", "30.0,2.0"));
    assert_ok(nft_weights_set_metadata(weights, "nft.image", "28,28,1"));
    nft_space_free(space);
    return weights;
}

/* With one text changed, a call is refused with these words; NULL: it is not. */
static void check(const char *trained_on, const char *key, const char *text, const char *const *words)
{
    nft_model *model = model_on(trained_on);
    nft_weights *weights = networks();
    nft_context *context = NULL;
    assert_ok(nft_context_create(&context, model, NULL));
    assert_ok(nft_weights_set_metadata(weights, key, text));
    nft_status status = nft_forward(context, NFT_VIEW_WEIGHTS(weights));
    assert_int_equal(status, words ? NFT_ERROR_MISMATCH : NFT_OK);
    for (; words && *words; words++)
        if (!strstr(nft_error_message(), *words))
            fail_msg("'%s' does not say '%s'", nft_error_message(), *words);
    nft_context_free(context);
    nft_weights_free(weights);
    nft_model_free(model);
}

static void like_the_training_set(void **state)
{
    (void)state;
    check(TRAINED_ON, "title", "the same", NULL);
    check(TRAINED_ON, "nft.omega", "30,2,2", NULL);
    check(TRAINED_ON, "nft.offset", "0.0", NULL);
    check(TRAINED_ON, "nft.classes", "[\"cat\",\"dog\"]", NULL);
    check(TRAINED_ON, "nft.fit", "{\"lr\":0.1,\"steps\":5}", NULL);
    check("{}", "nft.canonical", NULL, NULL);
    check("{\"nft.offset\": \"0.50\"}", "nft.offset", "0.5", NULL);
}

static void of_another_kind(void **state)
{
    (void)state;
    check(TRAINED_ON, "nft.canonical", NULL,
          (const char *[]){"nft_forward: ", "the set of weights has no nft.canonical in its", "'sign-phase'",
                           "nft_inr_canonicalize()", NULL});
    check(TRAINED_ON, "nft.canonical", "mine", (const char *[]){"'mine'", "'sign-phase'", NULL});
    check(TRAINED_ON, "nft.omega", "20", (const char *[]){"'20'", "'30,2'", "--prepare", NULL});
    check(TRAINED_ON, "nft.omega", NULL,
          (const char *[]){"no nft.omega", "'30,2'", "nft_weights_set_metadata()", NULL});
    check(TRAINED_ON, "nft.offset", "0.5", (const char *[]){"nft.offset '0.5'", "'0'", "--prepare", NULL});
    check(TRAINED_ON, "nft.image", "32,32,3", (const char *[]){"'32,32,3'", "'28,28,1'", NULL});
    check(TRAINED_ON, "nft.classes", "[\"dog\", \"cat\"]", (const char *[]){"nft.classes '[", NULL});
    check(TRAINED_ON, "nft.fit", "{\"steps\": 6, \"lr\": 0.1}",
          (const char *[]){"nft.fit '{\"steps\":6}'", "'{\"steps\":5}'", "--any-fit", NULL});
    check(TRAINED_ON, "nft.fit", "{\"steps\": 5, \"seed\": 2, \"lr\": 0.1}",
          (const char *[]){"nft.fit '{\"seed\":2}'", "training set has '{}'", NULL});
}

/* A model that says nothing of its training takes everything. */
static void untold(void **state)
{
    (void)state;
    nft_model *model = model_on(NULL);
    nft_weights *weights = networks();
    nft_context *context = NULL;
    assert_ok(nft_weights_set_metadata(weights, "nft.offset", "0.5"));
    assert_ok(nft_context_create(&context, model, NULL));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    nft_context_free(context);
    nft_weights_free(weights);
    nft_model_free(model);
}

static void unreadable(void **state)
{
    (void)state;
    static const char *const texts[] = {"[]", "30", "{"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        nft_model *model = model_on(texts[i]);
        nft_context *context = NULL;
        assert_int_equal(nft_context_create(&context, model, NULL), NFT_ERROR_FORMAT);
        assert_non_null(strstr(nft_error_message(), "'nft.trained_on' of the model's metadata"));
        assert_null(context);
        nft_model_free(model);
    }
}

/* A model of canonical networks takes canonical networks of the C interface. */
static void made_canonical(void **state)
{
    (void)state;
    nft_model *model = model_on(TRAINED_ON);
    nft_weights *weights = networks();
    nft_context *context = NULL;
    assert_ok(nft_context_create(&context, model, NULL));
    assert_ok(nft_inr_init(weights, 1, 0, 0));
    assert_int_equal(nft_forward(context, NFT_VIEW_WEIGHTS(weights)), NFT_ERROR_MISMATCH);
    assert_ok(nft_inr_canonicalize(weights, 0));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(weights)));
    nft_context_free(context);
    nft_weights_free(weights);
    nft_model_free(model);
}

/* A training that continues from a model: networks with one text changed are refused, or taken. */
static void continue_by(const char *recipe, const char *key, const char *text, const char *words)
{
    nft_model *model = model_on(TRAINED_ON);
    nft_weights *weights = networks();
    nft_trainer *trainer = NULL;
    nft_array *label = NULL;
    const int64_t shape[] = {2, nft_model_describe(model)->output->channels};
    assert_ok(nft_array_create(&label, NFT_ARRAY_F32, shape, 2, NULL));
    assert_ok(nft_weights_set_extra(weights, "label", label));
    assert_ok(nft_weights_set_metadata(weights, key, text));
    assert_ok(nft_trainer_create(&trainer, model, recipe, strlen(recipe), NULL));
    nft_status status =
        nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS((const nft_weights *const[]){weights}, 1), NULL);
    assert_int_equal(status, words ? NFT_ERROR_MISMATCH : NFT_OK);
    if (words && !strstr(nft_error_message(), words))
        fail_msg("'%s' does not say '%s'", nft_error_message(), words);
    nft_trainer_free(trainer);
    nft_array_free(label);
    nft_weights_free(weights);
    nft_model_free(model);
}

#define RECIPE "{\"loss\": \"mse\", \"optimizer\": {\"type\": \"adam\"}, \"batch_size\": 2, \"steps\": 1"

static void continue_with(const char *key, const char *text, const char *words)
{
    continue_by(RECIPE "}", key, text, words);
}

static void a_further_training_takes_the_same_data(void **state)
{
    (void)state;
    continue_with("title", "the same", NULL);
    continue_with("nft.omega", "30,2,2", NULL);
    continue_with("nft.canonical", NULL, "has no nft.canonical in its metadata, that of the model's earlier");
    continue_with("nft.omega", "20",
                  "has nft.omega '20' in its metadata, that of the model's earlier training has");
    continue_with("nft.offset", "0.5",
                  "has nft.offset '0.5' in its metadata, that of the model's earlier training has '0'");
    continue_with("nft.fit", "{\"steps\": 6, \"lr\": 0.1}",
                  "the training set has nft.fit '{\"steps\":6}' in its metadata, that of the model's earlier "
                  "training has '{\"steps\":5}'");
    continue_by(RECIPE ", \"any_fit\": true}", "nft.fit", "{\"steps\": 6, \"lr\": 0.1}", NULL);
    continue_by(RECIPE ", \"any_fit\": true}", "nft.omega", "20", "has nft.omega '20'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_the_training_set),
        cmocka_unit_test(of_another_kind),
        cmocka_unit_test(untold),
        cmocka_unit_test(unreadable),
        cmocka_unit_test(made_canonical),
        cmocka_unit_test(a_further_training_takes_the_same_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
