/* Labels of every type that converts exactly, and samples that are left out: the same training as with plain
 * labels, from memory and from files. */
#define _XOPEN_SOURCE 700
#include "unit/temporary.h"
#include "unit/training.h"

#define OF_CLASSES                                                                                           \
    MLP("{'type': 'pointwise', 'out_channels': 2}, {'type': 'hnp_pool'}, {'type': 'linear', "                \
        "'out_features': 3}")                                                                                \
    "}"
#define CLASSES(more) "{'loss': 'cross_entropy', " ADAMW ", 'batch_size': 4, 'steps': 3" more "}"
#define NUMBERS "{'loss': 'mse', " ADAMW ", 'batch_size': 4, 'steps': 3}"

static nft_dataset *saved(const nft_weights *set)
{
    nft_dataset *dataset = NULL;
    assert_ok(nft_weights_save(set, temporary_path("labels")));
    assert_ok(nft_dataset_open(&dataset, temporary_path("labels"), NULL));
    return dataset;
}

static nft_status set_files(nft_trainer *trainer, nft_dataset *train, nft_dataset *validation)
{
    return nft_trainer_set_data(trainer, NFT_DATA_FILES(train),
                                validation ? NFT_DATA_FILES(validation) : NFT_DATA_NONE);
}

static void set_extra(nft_weights *set, const char *name, int32_t type, int64_t width, const void *values)
{
    nft_array *array = NULL;
    const int64_t shape[] = {nft_weights_count(set), width};
    assert_ok(nft_array_create(&array, type, shape, width > 1 ? 2 : 1, values));
    assert_ok(nft_weights_set_extra(set, name, array));
    nft_array_free(array);
}

/* The model after three steps, and the loss of the set. */
static support_result trained(const char *recipe, const nft_weights *set, bool files, double *loss)
{
    nft_model *model = support_model(OF_CLASSES, 1);
    nft_trainer *trainer = make_trainer(model, recipe, 1);
    nft_dataset *dataset = files ? saved(set) : NULL;
    assert_ok(files ? set_files(trainer, dataset, dataset) : set_data(trainer, set, set));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    assert_ok(nft_trainer_validate(loss, trainer));
    support_result values = trainer_values(trainer);
    nft_dataset_free(dataset);
    nft_trainer_free(trainer);
    nft_model_free(model);
    return values;
}

/* Both sets, from memory and from files, train the same model. */
static void same_training(const char *recipe, const nft_weights *set, const char *other_recipe,
                          const nft_weights *other)
{
    double expected_loss, loss;
    support_result expected = trained(recipe, set, false, &expected_loss);
    for (int files = 0; files < 2; files++) {
        support_result found = trained(other_recipe, other, files, &loss);
        same_values("the parameters", found, expected);
        assert_true(loss == expected_loss);
        free(found.values);
    }
    free(expected.values);
}

static nft_weights *networks(int64_t count)
{
    nft_model *model = support_model(OF_CLASSES, 1);
    nft_weights *set = support_weights(nft_model_describe(model)->space, count, 1, 5);
    nft_model_free(model);
    return set;
}

static const int64_t classes[6] = {0, 1, 2, 2, 1, 0};

static void classes_of_every_type(void **state)
{
    (void)state;
    nft_weights *plain = networks(6), *other = networks(6);
    float floats[6], one_hot_floats[18] = {0};
    int64_t one_hot[18] = {0};
    for (int i = 0; i < 6; i++) {
        floats[i] = (float)classes[i];
        one_hot[3 * i + classes[i]] = 1;
        one_hot_floats[3 * i + classes[i]] = 1;
    }
    set_extra(plain, "label", NFT_ARRAY_I64, 1, classes);
    set_extra(other, "label", NFT_ARRAY_F32, 1, floats);
    same_training(CLASSES(""), plain, CLASSES(""), other);
    set_extra(other, "label", NFT_ARRAY_I64, 3, one_hot);
    same_training(CLASSES(""), plain, CLASSES(""), other);
    set_extra(other, "label", NFT_ARRAY_F32, 3, one_hot_floats);
    same_training(CLASSES(""), plain, CLASSES(""), other);
    assert_ok(nft_weights_set_extra(other, "label", NULL));
    set_extra(other, "kind", NFT_ARRAY_F32, 1, floats);
    same_training(CLASSES(""), plain, CLASSES(", 'label': 'kind'"), other);
    nft_weights_free(plain);
    nft_weights_free(other);
}

static void integers_as_numbers(void **state)
{
    (void)state;
    nft_weights *plain = networks(6), *other = networks(6);
    int64_t integers[18];
    float floats[18];
    for (int i = 0; i < 18; i++)
        floats[i] = (float)(integers[i] = i * i - 40);
    set_extra(plain, "label", NFT_ARRAY_F32, 3, floats);
    set_extra(other, "label", NFT_ARRAY_I64, 3, integers);
    same_training(NUMBERS, plain, NUMBERS, other);
    nft_weights_free(plain);
    nft_weights_free(other);
}

/* The first six networks of more, between which others stand. */
static nft_weights *with_others(int64_t *labels, int64_t other_label)
{
    nft_weights *six = networks(6), *nine = networks(9);
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(nine))->tensor_count; t++) {
        size_t row = (size_t)(nft_weights_data_count(six, t) / 6);
        for (int64_t n = 0; n < 9; n++)
            memcpy(nft_weights_edit(nine, t) + (size_t)n * row,
                   nft_weights_data(six, t) + (size_t)(n - (n + 1) / 3) * row, row * sizeof(float));
    }
    for (int64_t n = 0; n < 9; n++)
        labels[n] = n % 3 == 2 ? other_label : classes[n - (n + 1) / 3];
    nft_weights_free(six);
    return nine;
}

static void ignored_classes(void **state)
{
    (void)state;
    int64_t labels[9];
    nft_weights *plain = networks(6), *other = with_others(labels, -100);
    set_extra(plain, "label", NFT_ARRAY_I64, 1, classes);
    set_extra(other, "label", NFT_ARRAY_I64, 1, labels);
    same_training(CLASSES(""), plain, CLASSES(""), other);
    nft_weights_free(plain);
    nft_weights_free(other);
}

static void not_finite(void **state)
{
    (void)state;
    int64_t labels[9];
    float floats[9];
    nft_weights *plain = networks(6), *other = with_others(labels, 1);
    nft_model *model = support_model(OF_CLASSES, 1);
    nft_trainer *trainer = make_trainer(model, CLASSES(""), 1), *skipping;
    for (int n = 0; n < 9; n++)
        floats[n] = n == 2 ? NAN : n == 5 ? INFINITY : (float)labels[n];
    nft_weights_edit(other, 0)[8 * (nft_weights_data_count(other, 0) / 9)] = NAN;
    set_extra(plain, "label", NFT_ARRAY_I64, 1, classes);
    set_extra(other, "label", NFT_ARRAY_F32, 1, floats);
    assert_int_equal(set_data(trainer, other, NULL), NFT_ERROR_NOT_FINITE);
    assert_non_null(strstr(nft_error_message(), "label 2 is not finite; the recipe's \"skip\""));
    same_training(CLASSES(""), plain, CLASSES(", 'skip': true"), other);
    skipping = make_trainer(model, CLASSES(", 'skip': true"), 1);
    assert_ok(set_data(skipping, other, other));
    double loss;
    assert_ok(nft_trainer_validate(&loss, skipping));
    const nft_array *output = nft_trainer_describe(skipping)->validation_output;
    assert_int_equal(nft_array_count(output), 9 * 3);
    for (int i = 0; i < 27; i++)
        assert_int_equal(!isnan(nft_array_f32(output)[i]), i / 3 % 3 != 2);
    nft_trainer_free(skipping);
    nft_trainer_free(trainer);
    nft_model_free(model);
    nft_weights_free(plain);
    nft_weights_free(other);
}

static void check_refused(nft_weights *set, const char *recipe, const char *words)
{
    nft_model *model = support_model(OF_CLASSES, 1);
    nft_trainer *trainer = make_trainer(model, recipe, 1);
    nft_dataset *dataset = saved(set);
    assert_int_equal(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH);
    if (!strstr(nft_error_message(), words))
        fail_msg("'%s' does not say '%s'", nft_error_message(), words);
    assert_int_equal(set_files(trainer, dataset, NULL), NFT_ERROR_MISMATCH);
    if (!strstr(nft_error_message(), words))
        fail_msg("'%s' does not say '%s'", nft_error_message(), words);
    nft_dataset_free(dataset);
    nft_trainer_free(trainer);
    nft_model_free(model);
}

static void wrong_labels(void **state)
{
    (void)state;
    nft_weights *set = networks(2);
    set_extra(set, "label", NFT_ARRAY_F32, 1, (const float[]){1, 1.5f});
    check_refused(set, CLASSES(""), "label 1 is 1.5, expected a whole number, a class");
    set_extra(set, "label", NFT_ARRAY_I64, 3, (const int64_t[]){0, 1, 0, 1, 0, 1});
    check_refused(set, CLASSES(""), "label 1 is no class: expected a 1 and else zeros in a row of 3");
    set_extra(set, "label", NFT_ARRAY_I64, 3, (const int64_t[]){0, 1, 0, 0, 0, 0});
    check_refused(set, CLASSES(""), "label 1 is no class");
    set_extra(set, "label", NFT_ARRAY_I64, 1, (const int64_t[]){-100, -100});
    check_refused(set, CLASSES(""), "none of its 2 samples can be used");
    set_extra(set, "label", NFT_ARRAY_I64, 3, (const int64_t[]){0, 1, 0, 0, 0, 16777217});
    check_refused(set, NUMBERS, "label 1 is 16777217, which no 32-bit float is exactly");
    check_refused(set, CLASSES(", 'label': 'kind'"),
                  "no tensor 'kind' with a number for each of its 2 samples; it has 'label'; name one with "
                  "the recipe's \"label\" or --label");
    assert_null(strstr(nft_error_message(), "did you mean"));
    check_refused(set, CLASSES(", 'label': 'labl'"), "--label; did you mean 'label'?");
    nft_weights_free(set);
}

static void read_at_once(void **state)
{
    (void)state;
    nft_weights *set = networks(6);
    nft_array *targets = NULL;
    float floats[6];
    for (int i = 0; i < 6; i++)
        floats[i] = i == 3 ? NAN : (float)classes[i];
    set_extra(set, "label", NFT_ARRAY_F32, 1, floats);
    set_extra(set, "whole", NFT_ARRAY_I64, 1, classes);
    nft_dataset *dataset = saved(set);
    assert_ok(nft_dataset_read_targets(&targets, dataset, NULL, 3));
    for (int i = 0; i < 6; i++)
        assert_true(nft_array_i64(targets)[i] == (i == 3 ? INT64_MIN : classes[i]));
    nft_array_free(targets);
    assert_ok(nft_dataset_read_targets(&targets, dataset, "whole", 0));
    assert_int_equal(nft_array_count(targets), 6);
    assert_true(nft_array_f32(targets)[3] == 2);
    nft_array_free(targets);
    assert_int_equal(nft_dataset_read_targets(&targets, dataset, "other", 0), NFT_ERROR_ARGUMENT);
    assert_non_null(strstr(nft_error_message(), "no tensor 'other'"));
    assert_int_equal(nft_dataset_read_targets(&targets, dataset, NULL, -1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_dataset_read_targets(&targets, NULL, NULL, 0), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_dataset_read_targets(NULL, dataset, NULL, 0), NFT_ERROR_ARGUMENT);
    nft_dataset_free(dataset);
    nft_weights_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_of_every_type), cmocka_unit_test(integers_as_numbers),
        cmocka_unit_test(ignored_classes),       cmocka_unit_test(not_finite),
        cmocka_unit_test(wrong_labels),          cmocka_unit_test(read_at_once),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
