/* Data sets that are read from their files: the same training, bit by bit, as with the data in memory; every
 * fault of a file is found and named. */
#define _XOPEN_SOURCE 700
#include "nft/file.h"
#include "nft/train.h"
#include "unit/temporary.h"
#include "unit/training.h"

static nft_dataset *opened(const char *path)
{
    nft_dataset *dataset = NULL;
    assert_ok(nft_dataset_open(&dataset, path, NULL));
    return dataset;
}

static const char *saved(const nft_weights *set, const char *name)
{
    const char *path = temporary_path(name);
    assert_ok(nft_weights_save(set, path));
    return path;
}

static void same_runs(nft_trainer *a, nft_trainer *b)
{
    assert_ok(nft_trainer_fit_normalize(a));
    assert_ok(nft_trainer_fit_normalize(b));
    assert_ok(nft_trainer_run(a, NULL, NULL));
    assert_ok(nft_trainer_run(b, NULL, NULL));
    support_result x = trainer_values(a), y = trainer_values(b);
    same_values("the parameters", x, y);
    assert_true(nft_trainer_describe(a)->best_loss == nft_trainer_describe(b)->best_loss);
    support_identical("the validation's output", nft_array_count(nft_trainer_describe(a)->validation_output),
                      nft_array_f32(nft_trainer_describe(a)->validation_output),
                      nft_array_f32(nft_trainer_describe(b)->validation_output));
    free(x.values);
    free(y.values);
}

/* More validation samples than are read at a time. */
static void the_same_training(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *train = make_set(model, SAMPLES, 2), *validation = make_set(model, 41, 3);
    nft_dataset *train_file = opened(saved(train, "train.safetensors")),
                *validation_file = opened(saved(validation, "validation.safetensors"));
    assert_int_equal(nft_dataset_describe(train_file)->count, SAMPLES);
    assert_true(nft_space_equal(nft_dataset_describe(train_file)->space, nft_model_describe(model)->space));
    nft_trainer *in_memory = make_trainer(model, RECIPE, 2), *from_file = make_trainer(model, RECIPE, 3);
    assert_null(nft_trainer_describe(from_file)->validation_output);
    assert_true(isnan(nft_trainer_describe(from_file)->best_loss));
    assert_ok(set_data(in_memory, train, validation));
    assert_ok(nft_trainer_set_data(from_file, NFT_DATA_FILES(train_file), NFT_DATA_FILES(validation_file)));
    nft_dataset_free(train_file);
    nft_dataset_free(validation_file);
    same_runs(in_memory, from_file);
    /* a checkpoint of one is a checkpoint of the other */
    assert_ok(nft_trainer_save(from_file, temporary_path("checkpoint")));
    assert_ok(nft_trainer_resume(in_memory, temporary_path("checkpoint")));
    nft_trainer_free(in_memory);
    nft_trainer_free(from_file);
    nft_weights_free(train);
    nft_weights_free(validation);
    nft_model_free(model);
}

static const char *save_tokens(const char *name, int64_t count, nft_array **tokens, nft_array **labels)
{
    int64_t shape[] = {count, 3, 2};
    float values[64 * 6];
    int64_t classes[64];
    const char *names[] = {"output", "label"}, *path = temporary_path(name);
    nft_random random = {8, (uint64_t)count};
    for (int64_t i = 0; i < count * 6; i++)
        values[i] = nft_random_normal(&random, (uint64_t)i);
    for (int64_t i = 0; i < count; i++)
        classes[i] = i % 3;
    assert_ok(nft_array_create(tokens, NFT_ARRAY_F32, shape, 3, values));
    assert_ok(nft_array_create(labels, NFT_ARRAY_I64, shape, 1, classes));
    assert_ok(nft_array_save(path, names, (const nft_array *const[]){*tokens, *labels}, 2, NULL));
    return path;
}

static void tokens(void **state)
{
    (void)state;
    static const char recipe[] =
        "{'loss': 'cross_entropy', " ADAMW ", 'batch_size': 4, 'steps': 5, 'validate_every': 2}";
    nft_model *model = support_model(OF_TOKENS, 1);
    nft_array *arrays[4] = {NULL};
    nft_dataset *train = opened(save_tokens("tokens", 10, &arrays[0], &arrays[1])),
                *validation = opened(save_tokens("others", 7, &arrays[2], &arrays[3]));
    assert_null(nft_dataset_describe(train)->space);
    nft_trainer *in_memory = make_trainer(model, recipe, 1), *from_file = make_trainer(model, recipe, 1);
    assert_ok(nft_trainer_set_data(in_memory, NFT_DATA_TOKENS(arrays[0], arrays[1]),
                                   NFT_DATA_TOKENS(arrays[2], arrays[3])));
    assert_ok(nft_trainer_set_data(from_file, NFT_DATA_FILES(train), NFT_DATA_FILES(validation)));
    same_runs(in_memory, from_file);
    nft_weights *weights = NULL;
    nft_model *other = support_model(PREDICTOR, 1);
    int64_t index = 0;
    assert_ok(nft_weights_create(&weights, nft_model_describe(other)->space, 1, 1, NULL));
    assert_int_equal(nft_dataset_read(weights, train, &index, 1), NFT_ERROR_MISMATCH);
    expect_message("holds tokens");
    nft_weights_free(weights);
    nft_model_free(other);
    nft_trainer_free(in_memory);
    nft_trainer_free(from_file);
    nft_dataset_free(train);
    nft_dataset_free(validation);
    for (int i = 0; i < 4; i++)
        nft_array_free(arrays[i]);
    nft_model_free(model);
}

static void any_samples(void **state)
{
    (void)state;
    const int64_t indices[] = {4, 5, 6, 0, 8, 8, 3};
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2), *read = NULL;
    nft_dataset *dataset = opened(saved(set, "set"));
    assert_ok(nft_weights_create(&read, nft_model_describe(model)->space, COUNT(indices), 1, NULL));
    assert_ok(nft_dataset_read(read, dataset, indices, COUNT(indices)));
    for (int64_t t = 0; t < nft_space_describe(nft_model_describe(model)->space)->tensor_count; t++) {
        int64_t row = nft_weights_data_count(set, t) / SAMPLES;
        for (size_t i = 0; i < COUNT(indices); i++)
            support_identical("a network", row, nft_weights_data(read, t) + (int64_t)i * row,
                              nft_weights_data(set, t) + indices[i] * row);
    }
    assert_int_equal(nft_dataset_read(read, dataset, indices, COUNT(indices) + 1), NFT_ERROR_MISMATCH);
    assert_int_equal(nft_dataset_read(read, dataset, (const int64_t[]){SAMPLES}, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_dataset_read(read, dataset, (const int64_t[]){-1}, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_dataset_read(read, dataset, indices, -1), NFT_ERROR_MISMATCH);
    assert_int_equal(nft_dataset_read(read, dataset, NULL, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_dataset_read(read, NULL, indices, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_dataset_read(NULL, dataset, indices, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_dataset_open(NULL, "x", NULL), NFT_ERROR_ARGUMENT);
    nft_dataset_free(NULL);
    nft_weights_free(read);
    nft_weights_free(set);
    nft_dataset_free(dataset);
    nft_model_free(model);
}

/* Networks of several channels, from the second one on. */
static void features_are_read_from_any_network(void **state)
{
    (void)state;
    nft_space *space = NULL;
    nft_dataset *dataset = NULL;
    nft_weights *read = NULL;
    static const char layers[] = "{\"layers\": [{\"type\": \"linear\", \"in\": 2, \"out\": 3},"
                                 "{\"type\": \"linear\", \"in\": 3, \"out\": 1}]}";
    assert_ok(nft_space_parse(&space, layers, sizeof layers - 1));
    nft_weights *features = support_weights(space, 4, 2, 0);
    assert_ok(nft_weights_save(features, temporary_path("features")));
    assert_ok(nft_dataset_open(&dataset, temporary_path("features"), NULL));
    assert_ok(nft_dataset_batch(&read, dataset, 0, 2));
    assert_ok(nft_dataset_read(read, dataset, (const int64_t[]){1, 2}, 2));
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++) {
        int64_t row = nft_weights_data_count(read, t) / 2;
        assert_memory_equal(nft_weights_data(read, t), nft_weights_data(features, t) + row,
                            (size_t)(2 * row) * sizeof(float));
    }
    nft_weights_free(read);
    nft_dataset_free(dataset);
    nft_weights_free(features);
    nft_space_free(space);
}

/* Data that do not fit are refused before the first step, and the trainer keeps its data. */
static void do_not_fit(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1), *of_tokens = support_model(OF_TOKENS, 1);
    nft_weights *set = make_set(model, 40, 2);
    nft_trainer *trainer = make_trainer(model, RECIPE, 1);
    nft_dataset *good = opened(saved(set, "good")), *bad = NULL;
    nft_array *arrays[2] = {NULL}, *label = NULL;
    int64_t count = 40;
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_FILES(good), NULL));

    nft_weights_edit(set, 3)[4 * 37] = INFINITY;
    bad = opened(saved(set, "infinite"));
    assert_int_equal(nft_trainer_set_data(trainer, NFT_DATA_FILES(bad), NULL), NFT_ERROR_NOT_FINITE);
    expect_message("training set: ");
    expect_message("infinite: network 37: '1.bias' has a number that is not finite");
    nft_dataset_free(bad);
    nft_weights_edit(set, 3)[4 * 37] = 0;

    float targets[40] = {0};
    targets[35] = 1.5F;
    assert_ok(nft_array_create(&label, NFT_ARRAY_F32, &count, 1, targets));
    assert_ok(nft_weights_set_extra(set, "label", label));
    bad = opened(saved(set, "out of range"));
    assert_int_equal(nft_trainer_set_data(trainer, NFT_DATA_FILES(good), NFT_DATA_FILES(bad)),
                     NFT_ERROR_MISMATCH);
    expect_message("validation set: ");
    expect_message("out of range: target 35 is 1.5, loss bce takes 0 … 1");
    nft_dataset_free(bad);

    bad = opened(save_tokens("tokens", 5, &arrays[0], &arrays[1]));
    assert_int_equal(nft_trainer_set_data(trainer, NFT_DATA_FILES(bad), NULL), NFT_ERROR_MISMATCH);
    expect_message("it holds tokens, the model takes weights");
    nft_dataset_free(bad);
    assert_int_equal(nft_dataset_open(&bad, temporary_path("nowhere"), NULL), NFT_ERROR_FILE);
    assert_int_equal(nft_trainer_set_data(NULL, NFT_DATA_FILES(good), NULL), NFT_ERROR_ARGUMENT);
    assert_ok(nft_trainer_step(NULL, trainer));
    nft_array_free(label);
    nft_array_free(arrays[0]);
    nft_array_free(arrays[1]);
    nft_dataset_free(good);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
    nft_model_free(of_tokens);
}

/* As nft_collect() notes them. */
static void a_message_names_the_file_of_a_network(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, 40, 2);
    nft_trainer *trainer = make_trainer(model, RECIPE, 1);
    nft_array *names = NULL;
    const int64_t shape[] = {40, 6};
    int64_t bytes[40 * 6];
    for (int64_t n = 0; n < 40; n++)
        for (int64_t i = 0; i < 6; i++)
            bytes[6 * n + i] = n % 2 && i > 3 ? 0 : i == 0 ? 'a' + n % 26 : ".npy5"[i - 1];
    assert_ok(nft_array_create(&names, NFT_ARRAY_I64, shape, 2, bytes));
    assert_ok(nft_weights_set_extra(set, "nft.file", names));
    nft_weights_edit(set, 3)[4 * 37] = INFINITY;
    nft_dataset *bad = opened(saved(set, "named"));
    assert_int_equal(nft_trainer_set_data(trainer, NFT_DATA_FILES(bad), NULL), NFT_ERROR_NOT_FINITE);
    expect_message("named: l.np: network 37: '1.bias'");
    nft_dataset_free(bad);
    nft_array_free(names);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
}

/* No networks at all: nothing to read, and nothing to train on. */
static void empty(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *none = support_weights(nft_model_describe(model)->space, 0, 1, 1),
                *one = support_weights(nft_model_describe(model)->space, 1, 1, 1);
    nft_dataset *dataset = opened(saved(none, "empty"));
    nft_trainer *trainer = make_trainer(model, RECIPE, 1);
    int64_t index = 0;
    assert_int_equal(nft_dataset_describe(dataset)->count, 0);
    assert_ok(nft_dataset_read(one, dataset, &index, 0));
    assert_int_equal(nft_dataset_read(one, dataset, &index, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_trainer_set_data(trainer, NFT_DATA_FILES(dataset), NULL), NFT_ERROR_MISMATCH);
    expect_message("it has no samples");
    nft_trainer_free(trainer);
    nft_dataset_free(dataset);
    nft_weights_free(none);
    nft_weights_free(one);
    nft_model_free(model);
}

/* A layer without a bias has zeros, whatever stood there before. */
static void without_bias(void **state)
{
    (void)state;
    const char *const names[] = {"0.weight", "0.bias", "1.weight"};
    const int64_t shapes[3][3] = {{3, 4, 2}, {3, 4}, {3, 1, 4}}, ranks[] = {3, 2, 3}, samples[] = {2, 0};
    const float values[24] = {1, 2, 3};
    const char *path = temporary_path("no-bias");
    nft_array *arrays[3];
    nft_weights *whole = NULL, *two = NULL;
    for (int i = 0; i < 3; i++)
        assert_ok(nft_array_create(&arrays[i], NFT_ARRAY_F32, shapes[i], ranks[i], values));
    assert_ok(nft_array_save(path, names, (const nft_array *const *)arrays, 3, NULL));
    nft_dataset *dataset = opened(path);
    assert_ok(nft_weights_load(&whole, path, NULL));
    assert_ok(nft_weights_create(&two, nft_dataset_describe(dataset)->space, 2, 1, NULL));
    for (int i = 0; i < 2; i++)
        nft_weights_edit(two, 3)[i] = 5;
    assert_ok(nft_dataset_read(two, dataset, samples, 2));
    for (int64_t t = 0; t < 4; t++)
        for (int i = 0; i < 2; i++) {
            int64_t each = nft_weights_data_count(two, t) / 2;
            assert_memory_equal(nft_weights_data(two, t) + i * each,
                                nft_weights_data(whole, t) + samples[i] * each, (size_t)each * sizeof(float));
        }
    for (int i = 0; i < 3; i++)
        nft_array_free(arrays[i]);
    nft_weights_free(two);
    nft_weights_free(whole);
    nft_dataset_free(dataset);
}

/* A file that shrinks while it is read: no signal, but a message that names it; the step did not happen. */
static void shrinking(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2);
    const char *path = saved(set, "shrinks");
    nft_dataset *dataset = opened(path);
    nft_trainer *trainer = make_trainer(model, RECIPE, 1);
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_FILES(dataset), NULL));
    assert_ok(nft_trainer_step(NULL, trainer));
    support_result before = trainer_values(trainer);
    assert_int_equal(truncate(path, 600), 0);
    nft_status status = nft_trainer_step(NULL, trainer);
    assert_true(status == NFT_ERROR_FORMAT || status == NFT_ERROR_FILE);
    expect_message("shrinks");
    support_result after = trainer_values(trainer);
    same_values("the parameters", before, after);
    assert_int_equal(nft_trainer_describe(trainer)->steps_done, 1);
    free(before.values);
    free(after.values);
    nft_trainer_free(trainer);
    nft_dataset_free(dataset);
    nft_weights_free(set);
    nft_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_training),
        cmocka_unit_test(tokens),
        cmocka_unit_test(any_samples),
        cmocka_unit_test(features_are_read_from_any_network),
        cmocka_unit_test(do_not_fit),
        cmocka_unit_test(a_message_names_the_file_of_a_network),
        cmocka_unit_test(shrinking),
        cmocka_unit_test(without_bias),
        cmocka_unit_test(empty),
    };
    return cmocka_run_group_tests_name("data sets", tests, temporary_open, temporary_close);
}
