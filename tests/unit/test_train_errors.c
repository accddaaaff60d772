/* Trainings that fail: data that do not fit, numbers that are not finite, memory that is not there. */
#define _XOPEN_SOURCE 700
#include "nft/train.h"
#include "unit/failing_allocator.h"
#include "unit/temporary.h"
#include "unit/training.h"

#define CLASSES                                                                                              \
    MLP("{'type': 'pointwise', 'out_channels': 2}, {'type': 'hnp_pool'}, {'type': 'linear', "                \
        "'out_features': 3}")                                                                                \
    "}"
#define LOSS(name) "{'loss': '" name "', " ADAMW ", 'batch_size': 4, 'steps': 3}"

static void expect(nft_status found, nft_status status, const char *message)
{
    if (found != status || !strstr(nft_error_message(), message))
        fail_msg("%s: \"%s\", expected %s: \"%s\"", nft_status_name(found), nft_error_message(),
                 nft_status_name(status), message);
}

static void set_label(nft_weights *set, const char *name, int32_t type, int64_t rank, const int64_t *shape,
                      const void *values)
{
    nft_array *label = NULL;
    assert_ok(nft_array_create(&label, type, shape, rank, values));
    assert_ok(nft_weights_set_extra(set, name, label));
    nft_array_free(label);
}

static nft_status try_create(const char *model_text, const char *recipe)
{
    nft_model *model = support_model(model_text, 0);
    char *json = support_json(recipe);
    nft_trainer *trainer = NULL;
    nft_status status = nft_trainer_create(&trainer, model, json, strlen(json), NULL);
    assert_true(!trainer == !!status);
    nft_trainer_free(trainer);
    free(json);
    nft_model_free(model);
    return status;
}

static void models_that_do_not_fit(void **state)
{
    (void)state;
    expect(try_create(MLP("{'type': 'pointwise', 'out_channels': 2}") "}", LOSS("mse")), NFT_ERROR_MISMATCH,
           "loss mse takes a vector or tokens");
    expect(try_create(MLP("{'type': 'pointwise', 'out_channels': 2}, {'type': 'flatten_weights'}") "}",
                      LOSS("cross_entropy")),
           NFT_ERROR_MISMATCH, "loss cross_entropy takes a vector");
    expect(try_create(MLP("{'type': 'hnp_pool'}") "}", LOSS("mse")), NFT_ERROR_MISMATCH,
           "no trained parameter");
    expect(try_create(CLASSES, LOSS("hinge")), NFT_ERROR_CONFIG, "'loss' is \"hinge\"");
    expect(nft_trainer_step(NULL, NULL), NFT_ERROR_ARGUMENT, "'trainer' is NULL");
}

static int no_batch(nft_batch *batch, void *user)
{
    (void)batch;
    (void)user;
    return 0;
}

/* Data that fit but for one thing at a time. */
static void data_of_classes(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSES, 0);
    nft_trainer *trainer = make_trainer(model, LOSS("cross_entropy"), 1);
    nft_weights *set = support_weights(nft_model_describe(model)->space, 6, 1, 0),
                *wide = support_weights(nft_model_describe(model)->space, 6, 2, 0),
                *none = support_weights(nft_model_describe(model)->space, 0, 1, 0);
    const int64_t count = 6, square[] = {6, 2};
    int64_t labels[12] = {0, 1, 2, 2, 1, 0};
    float floats[6] = {0, 1, 0.5f};
    double loss = 0;
    expect(nft_trainer_step(NULL, trainer), NFT_ERROR_ARGUMENT, "call nft_trainer_set_data");
    expect(nft_trainer_validate(&loss, trainer), NFT_ERROR_ARGUMENT, "there is no validation set");
    expect(set_data(trainer, wide, NULL), NFT_ERROR_MISMATCH, "training set: the weights have 2");
    expect(set_data(trainer, none, NULL), NFT_ERROR_MISMATCH, "it has no networks");
    expect(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH, "no tensor 'label'");
    set_label(set, "label", NFT_ARRAY_F32, 1, &count, floats);
    expect(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH, "label 2 is 0.5, expected a whole number");
    set_label(set, "label", NFT_ARRAY_I64, 2, square, labels);
    expect(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH, "'label' is (6, 2)");
    labels[4] = 3;
    set_label(set, "label", NFT_ARRAY_I64, 1, &count, labels);
    expect(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH, "label 4 is 3, expected 0 … 2");
    labels[4] = 1;
    set_label(set, "label", NFT_ARRAY_I64, 1, &count, labels);
    assert_ok(set_data(trainer, set, set));
    assert_ok(nft_trainer_step(NULL, trainer));
    nft_weights_edit(set, 3)[4 * 3] = INFINITY;
    expect(set_data(trainer, set, NULL), NFT_ERROR_NOT_FINITE, "network 3: '1.bias'");
    nft_array *tokens = NULL;
    assert_ok(nft_array_create(&tokens, NFT_ARRAY_F32, square, 2, NULL));
    expect(nft_trainer_set_data(trainer, NFT_DATA_TOKENS(tokens, tokens), NULL), NFT_ERROR_MISMATCH,
           "the model takes weights, not tokens");
    nft_trainer_data several = NFT_TRAINER_DATA_INIT;
    several.tokens = tokens;
    several.callback = no_batch;
    expect(nft_trainer_set_data(trainer, &several, NULL), NFT_ERROR_ARGUMENT,
           "training set: data of several kinds");
    expect(nft_trainer_set_data(trainer, NULL, NFT_DATA_CALLBACK(no_batch, NULL)), NFT_ERROR_ARGUMENT,
           "validation set: a callback");
    several.size = 0;
    expect(nft_trainer_set_data(trainer, &several, NULL), NFT_ERROR_ARGUMENT, "NFT_TRAINER_DATA_INIT");
    nft_array_free(tokens);
    nft_weights_free(none);
    nft_weights_free(wide);
    nft_weights_free(set);
    nft_trainer_free(trainer);
    nft_model_free(model);
}

static void data_of_numbers(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSES, 0);
    nft_trainer *trainer = make_trainer(model, LOSS("bce"), 1);
    nft_weights *set = support_weights(nft_model_describe(model)->space, 2, 1, 0);
    const int64_t shape[] = {2, 3}, labels[2] = {0, 1};
    float targets[6] = {0, 1, 0.5f, 0, 0, 0};
    set_label(set, "label", NFT_ARRAY_I64, 1, shape, labels);
    expect(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH, "'label' is (2), loss bce takes (2, 3)");
    assert_ok(nft_weights_set_extra(set, "label", NULL));
    set_label(set, "target", NFT_ARRAY_F32, 1, shape, targets);
    expect(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH, "'target' is (2), loss bce takes (2, 3)");
    targets[4] = 1.5f;
    set_label(set, "target", NFT_ARRAY_F32, 2, shape, targets);
    expect(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH, "target 1 is 1.5");
    targets[4] = NAN;
    set_label(set, "target", NFT_ARRAY_F32, 2, shape, targets);
    expect(set_data(trainer, set, NULL), NFT_ERROR_NOT_FINITE, "target 1 is not finite");
    targets[4] = 0;
    set_label(set, "target", NFT_ARRAY_F32, 2, shape, targets);
    assert_ok(set_data(trainer, set, NULL));
    nft_weights_free(set);
    nft_trainer_free(trainer);
    nft_model_free(model);
}

static void data_of_tokens(void **state)
{
    (void)state;
    nft_model *model = support_model(OF_TOKENS, 0);
    nft_trainer *trainer = make_trainer(model, LOSS("cross_entropy"), 1);
    nft_array *tokens = NULL, *labels = NULL, *other = NULL;
    const int64_t shape[] = {4, 3, 2};
    float values[24] = {0};
    assert_ok(nft_array_create(&labels, NFT_ARRAY_I64, shape, 1, NULL));
    assert_ok(nft_array_create(&other, NFT_ARRAY_F32, shape, 2, NULL));
    values[7] = NAN;
    assert_ok(nft_array_borrow(&tokens, NFT_ARRAY_F32, shape, 3, values));
    const nft_weights *networks = NULL;
    expect(nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS(&networks, 1), NULL), NFT_ERROR_MISMATCH,
           "the model takes tokens, not weights");
    expect(nft_trainer_set_data(trainer, NFT_DATA_TOKENS(tokens, NULL), NULL), NFT_ERROR_ARGUMENT,
           "training set: its targets are NULL");
    expect(nft_trainer_set_data(trainer, NFT_DATA_TOKENS(other, labels), NULL), NFT_ERROR_MISMATCH,
           "the array is F32 (4, 3), expected F32 (N, 3, 2)");
    expect(nft_trainer_set_data(trainer, NFT_DATA_TOKENS(tokens, labels), NULL), NFT_ERROR_NOT_FINITE,
           "sample 1 ");
    values[7] = 0;
    expect(nft_trainer_set_data(trainer, NULL, NFT_DATA_TOKENS(tokens, other)), NFT_ERROR_MISMATCH,
           "validation set: label 0 is no class: expected a 1 and else zeros in a row of 3");
    assert_ok(
        nft_trainer_set_data(trainer, NFT_DATA_TOKENS(tokens, labels), NFT_DATA_TOKENS(tokens, labels)));
    nft_array_free(other);
    nft_array_free(labels);
    nft_array_free(tokens);
    nft_trainer_free(trainer);
    nft_model_free(model);
}

/* The same step fails again and again, and leaves everything as it was. */
static void diverged(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSES, 0);
    nft_trainer *trainer =
        make_trainer(model,
                     "{'loss': 'mse', 'optimizer': {'type': 'adam', 'lr': 1e30}, 'batch_size': 4, "
                     "'steps': 3}",
                     2);
    nft_weights *set = support_weights(nft_model_describe(model)->space, 2, 1, 0);
    const int64_t shape[] = {2, 3};
    double loss = 0;
    set_label(set, "label", NFT_ARRAY_F32, 2, shape, NULL);
    assert_ok(set_data(trainer, set, set));
    assert_ok(nft_trainer_step(NULL, trainer));
    support_result before = trainer_values(trainer);
    for (int i = 0; i < 2; i++) {
        expect(nft_trainer_run(trainer, NULL, NULL), NFT_ERROR_NOT_FINITE,
               "step 1: the loss of sample 0 of the training set is not finite, the largest parameter is "
               "1e+30 in '");
        assert_int_equal(nft_trainer_describe(trainer)->steps_done, 1);
    }
    expect(nft_trainer_validate(&loss, trainer), NFT_ERROR_NOT_FINITE,
           "of the validation set is not finite, the largest parameter is 1e+30 in '");
    support_result after = trainer_values(trainer);
    same_values("parameters after a step that failed", after, before);
    free(after.values);
    free(before.values);
    nft_weights_free(set);
    nft_trainer_free(trainer);
    nft_model_free(model);
}

static void refuse_step(nft_trainer *trainer, const char *message)
{
    support_result before = trainer_values(trainer);
    expect(nft_trainer_step(NULL, trainer), NFT_ERROR_NOT_FINITE, message);
    support_result after = trainer_values(trainer);
    same_values("parameters after a step that failed", after, before);
    free(after.values);
    free(before.values);
}

/* A loss that is finite while a gradient is not. */
static void infinite_gradient(void **state)
{
    (void)state;
    nft_model *model = support_model(CLASSES, 0);
    nft_trainer *trainer = make_trainer(model, LOSS("mse"), 1);
    nft_weights *set = support_weights(nft_model_describe(model)->space, 2, 1, 0);
    const int64_t shape[] = {2, 3};
    float targets[6] = {3e38f, -3e38f, 3e38f, -3e38f, 3e38f, -3e38f};
    set_label(set, "label", NFT_ARRAY_F32, 2, shape, targets);
    for (int64_t i = 0; i < nft_weights_data_count(set, 2); i++)
        nft_weights_edit(set, 2)[i] = 100;
    assert_ok(set_data(trainer, set, NULL));
    refuse_step(trainer, "step 0: the gradient of '");
    nft_weights_free(set);
    nft_trainer_free(trainer);
    nft_model_free(model);
}

/* A gradient whose square is not finite would make the optimizer's moments so. Clipped it does no harm. */
static void gradient_too_large(void **state)
{
    (void)state;
    const int64_t shape[] = {2, 3};
    float targets[6] = {1e30f, -1e30f, 1e30f, -1e30f, 1e30f, -1e30f};
    nft_model *model = support_model(CLASSES, 0);
    nft_weights *set = support_weights(nft_model_describe(model)->space, 2, 1, 0);
    set_label(set, "label", NFT_ARRAY_F32, 2, shape, targets);
    nft_trainer *trainer = make_trainer(model, LOSS("mse"), 1);
    assert_ok(set_data(trainer, set, NULL));
    refuse_step(trainer, "too large for the optimizer's squares");
    nft_trainer_free(trainer);
    trainer =
        make_trainer(model, "{'loss': 'mse', " ADAMW ", 'grad_clip': 1, 'batch_size': 4, 'steps': 3}", 1);
    assert_ok(set_data(trainer, set, NULL));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
}

/* ---- memory ---- */

/* Bytes that are allocated, since they were set to 0, and the most that were. */
static int64_t counted_bytes, counted_most, counted_calls;

#define COUNTED_HEADER 64

static void *counted_allocate(size_t bytes, void *user)
{
    (void)user;
    char *block = malloc(bytes + COUNTED_HEADER);
    if (!block)
        return NULL;
    memcpy(block, &bytes, sizeof bytes);
    counted_calls++;
    counted_bytes += (int64_t)bytes;
    counted_most = counted_bytes > counted_most ? counted_bytes : counted_most;
    return block + COUNTED_HEADER;
}

static void counted_release(void *block, void *user)
{
    (void)user;
    size_t bytes;
    if (!block)
        return;
    memcpy(&bytes, (char *)block - COUNTED_HEADER, sizeof bytes);
    counted_bytes -= (int64_t)bytes;
    free((char *)block - COUNTED_HEADER);
}

/* A trainer takes no more than it said, tables of a few kilobytes aside, and a step nothing. */
static void promised_memory(void **state)
{
    (void)state;
    const nft_allocator allocator = {sizeof allocator, counted_allocate, counted_release, NULL};
    char *recipe = support_json(RECIPE);
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    nft_trainer *trainer = NULL;
    double loss = 0;
    int64_t promised = 0;
    assert_ok(nft_set_allocator(&allocator));
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2);
    options.threads = 2;
    assert_ok(nft_trainer_memory(&promised, model, NULL, recipe, strlen(recipe), &options));
    options.memory_limit = promised - 1;
    expect(nft_trainer_create(&trainer, model, recipe, strlen(recipe), &options), NFT_ERROR_LIMIT,
           "the trainer: ");
    options.memory_limit = promised;
    counted_bytes = counted_most = 0;
    assert_ok(nft_trainer_create(&trainer, model, recipe, strlen(recipe), &options));
    assert_ok(set_data(trainer, set, set));
    assert_true(counted_most <= promised + promised / 10 + 65536);
    counted_calls = 0;
    assert_ok(nft_trainer_step(NULL, trainer));
    assert_ok(nft_trainer_validate(&loss, trainer));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    assert_int_equal(counted_calls, 0);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
    free(recipe);
    assert_ok(nft_set_allocator(NULL));
}

/* Rows of ones and zeros in a file take more memory than the classes that they become. */
static void promised_memory_of_labels(void **state)
{
    (void)state;
    enum { classes = 4000, samples = 40 };
    const nft_allocator allocator = {sizeof allocator, counted_allocate, counted_release, NULL};
    char *recipe = support_json("{'loss': 'cross_entropy', " ADAMW ", 'batch_size': 40, 'steps': 2}");
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    nft_trainer *trainer = NULL;
    nft_array *label = NULL;
    nft_dataset *data = NULL;
    const int64_t shape[] = {samples, classes};
    float *rows = calloc((size_t)samples * classes, sizeof *rows);
    int64_t promised = 0;
    assert_non_null(rows);
    for (int64_t n = 0; n < samples; n++)
        rows[n * classes + n] = 1;
    assert_ok(nft_set_allocator(&allocator));
    nft_model *model = support_model(
        "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 1, 'out': 1}]}, 'modules': "
        "[{'type': 'hnp_pool'}, {'type': 'linear', 'out_features': 4000}]}",
        1);
    nft_weights *set = support_weights(nft_model_describe(model)->space, samples, 1, 2);
    assert_ok(nft_array_create(&label, NFT_ARRAY_F32, shape, 2, rows));
    assert_ok(nft_weights_set_extra(set, "label", label));
    assert_ok(nft_weights_save(set, temporary_path("rows")));
    nft_array_free(label);
    nft_weights_free(set);
    assert_ok(nft_dataset_open(&data, temporary_path("rows"), NULL));
    options.threads = 1;
    assert_ok(nft_trainer_memory(&promised, model, NULL, recipe, strlen(recipe), &options));
    int64_t before = counted_bytes;
    counted_most = counted_bytes;
    assert_ok(nft_trainer_create(&trainer, model, recipe, strlen(recipe), &options));
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_FILES(data), NULL));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    if (counted_most - before > promised + promised / 50 + 65536)
        fail_msg("it said %" PRId64 " bytes and took %" PRId64, promised, counted_most - before);
    nft_trainer_free(trainer);
    nft_dataset_free(data);
    nft_model_free(model);
    free(rows);
    free(recipe);
    assert_ok(nft_set_allocator(NULL));
}

/* The memory in which a loss between images renders wide networks is announced too. */
static void promised_memory_of_images(void **state)
{
    (void)state;
    const nft_allocator allocator = {sizeof allocator, counted_allocate, counted_release, NULL};
    char *recipe = support_json("{'loss': 'render', " ADAMW ", 'batch_size': 1, 'steps': 2}");
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    nft_trainer *trainer = NULL;
    nft_array *images = NULL;
    nft_dataset *data = NULL;
    const int64_t shape[] = {1, 3, 3, 1};
    int64_t promised = 0;
    assert_ok(nft_set_allocator(&allocator));
    nft_model *model = support_model(
        "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 2, 'out': 300}, {'type': "
        "'linear', 'in': 300, 'out': 300}, {'type': 'linear', 'in': 300, 'out': 1}]}, 'modules': [{'type': "
        "'learned_scale', 'init_scale': 1}]}",
        1);
    nft_weights *set = support_weights(nft_model_describe(model)->space, 1, 1, 2);
    assert_ok(nft_array_create(&images, NFT_ARRAY_F32, shape, 4, NULL));
    assert_ok(nft_weights_set_extra(set, "target", images));
    assert_ok(nft_weights_save(set, temporary_path("images")));
    assert_ok(nft_dataset_open(&data, temporary_path("images"), NULL));
    options.threads = 1;
    assert_ok(nft_trainer_memory(&promised, model, NULL, recipe, strlen(recipe), &options));
    counted_bytes = counted_most = 0;
    assert_ok(nft_trainer_create(&trainer, model, recipe, strlen(recipe), &options));
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_FILES(data), NFT_DATA_FILES(data)));
    assert_ok(nft_trainer_fit_normalize(trainer));
    if (counted_most > promised + promised / 50 + 65536)
        fail_msg("it said %" PRId64 " bytes and took %" PRId64, promised, counted_most);
    nft_trainer_free(trainer);
    nft_dataset_free(data);
    nft_array_free(images);
    nft_weights_free(set);
    nft_model_free(model);
    free(recipe);
    assert_ok(nft_set_allocator(NULL));
}

/* Large batches from files or a callback are part of the announced memory. Data that replace others take
 * memory as well. */
static void promised_memory_of_batches(void **state)
{
    (void)state;
    const nft_allocator allocator = {sizeof allocator, counted_allocate, counted_release, NULL};
    char *recipe = support_json("{'loss': 'bce', " ADAMW ", 'batch_size': 4000, 'steps': 2}");
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    nft_trainer *trainer = NULL;
    nft_dataset *data = NULL;
    int64_t promised = 0;
    assert_ok(nft_set_allocator(&allocator));
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2);
    assert_ok(nft_weights_save(set, temporary_path("data")));
    assert_ok(nft_dataset_open(&data, temporary_path("data"), NULL));
    options.threads = 1;
    assert_ok(nft_trainer_memory(&promised, model, NULL, recipe, strlen(recipe), &options));
    counted_bytes = counted_most = 0;
    assert_ok(nft_trainer_create(&trainer, model, recipe, strlen(recipe), &options));
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_FILES(data), NFT_DATA_FILES(data)));
    assert_ok(nft_trainer_fit_normalize(trainer));
    if (counted_most > promised + promised / 10 + 65536 || counted_bytes < promised / 2)
        fail_msg("it said %" PRId64 " bytes and took %" PRId64, promised, counted_most);
    counted_bytes = counted_most = 0;
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_FILES(data), NFT_DATA_FILES(data)));
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_CALLBACK(no_batch, NULL), NULL));
    assert_true(counted_most < 4096);
    nft_trainer_free(trainer);
    nft_dataset_free(data);
    nft_weights_free(set);
    nft_model_free(model);
    free(recipe);
    assert_ok(nft_set_allocator(NULL));
}

static const char *refused_recipe, *refused_model;

static nft_status make_labelled(nft_weights **set, const nft_model *model)
{
    const int64_t count = 3;
    nft_array *label = NULL;
    nft_status status = nft_weights_create(set, nft_model_describe(model)->space, count, 1, NULL);
    if (!status)
        status = nft_array_create(&label, NFT_ARRAY_F32, &count, 1, NULL);
    if (!status)
        status = nft_weights_set_extra(*set, "label", label);
    nft_array_free(label);
    return status;
}

/* Everything that a training allocates. */
static nft_status whole_training(void)
{
    nft_model *model = NULL, *trained = NULL;
    nft_weights *set = NULL;
    nft_trainer *trainer = NULL;
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    options.threads = 1;
    nft_status status;
    (void)((status = nft_model_create(&model, refused_model, strlen(refused_model), 0, NULL)) ||
           (status = make_labelled(&set, model)) ||
           (status = nft_trainer_create(&trainer, model, refused_recipe, strlen(refused_recipe), &options)) ||
           (status = nft_trainer_set_data(trainer, NFT_DATA_CALLBACK(no_batch, NULL), NULL)) ||
           (status = set_data(trainer, set, set)) || (status = nft_trainer_fit_normalize(trainer)) ||
           (status = nft_trainer_run(trainer, NULL, NULL)) ||
           (status = nft_trainer_snapshot(&trained, trainer, NFT_SNAPSHOT_BEST)));
    assert_true(!trained == !!status);
    nft_model_free(trained);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
    return status;
}

static void refused_memory(void **state)
{
    (void)state;
    char *model = support_json(MLP("{'type': 'normalize'}, {'type': 'hnp_pool'}, {'type': 'linear', "
                                   "'out_features': 1}, {'type': 'sigmoid'}") "}"),
         *recipe = support_json(RECIPE);
    refused_model = model;
    refused_recipe = recipe;
    assert_true(fail_every_allocation(whole_training) > 60);
    free(recipe);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_that_do_not_fit),
        cmocka_unit_test(data_of_classes),
        cmocka_unit_test(data_of_numbers),
        cmocka_unit_test(data_of_tokens),
        cmocka_unit_test(diverged),
        cmocka_unit_test(infinite_gradient),
        cmocka_unit_test(gradient_too_large),
        cmocka_unit_test(promised_memory),
        cmocka_unit_test(promised_memory_of_batches),
        cmocka_unit_test(promised_memory_of_labels),
        cmocka_unit_test(promised_memory_of_images),
        cmocka_unit_test(refused_memory),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
