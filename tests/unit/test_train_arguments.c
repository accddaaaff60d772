/* Arguments that no call of training and of gradients should be given: they are refused with one line,
 * getters give 0 or NULL, and objects stay unchanged. Also the gradient of input tokens, against differences.
 * */
#define _XOPEN_SOURCE 700
#include "nft/train.h"
#include "unit/temporary.h"
#include "unit/training.h"

#define FEATURES MLP("{'type': 'pointwise', 'out_channels': 2}") "}"
#define COUNT_OF_TOKENS 2

static int somewhere; /* the value of output handles before a call: it must be replaced */
#define WRONG(type) ((type *)(void *)&somewhere)

static void expect(nft_status found, nft_status status, const char *message)
{
    if (found != status || !strstr(nft_error_message(), message) || strchr(nft_error_message(), '\n'))
        fail_msg("%s: \"%s\", expected %s: \"%s\"", nft_status_name(found), nft_error_message(),
                 nft_status_name(status), message);
}
#define expect_null(call, name) expect(call, NFT_ERROR_ARGUMENT, "'" name "' is NULL")

static nft_context *keeping_context(const nft_model *model, int32_t input_gradient)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.threads = 1;
    options.max_batch = 4;
    options.keep_for_backward = 1;
    options.input_gradient = input_gradient;
    assert_ok(nft_context_create(&context, model, &options));
    return context;
}

static nft_array *ones_like(const nft_array *other)
{
    int64_t shape[NFT_ARRAY_MAX_RANK];
    nft_array *array = NULL;
    float *values = support_allocate((size_t)nft_array_count(other) * sizeof *values);
    for (int64_t axis = 0; axis < nft_array_rank(other); axis++)
        shape[axis] = nft_array_size(other, axis);
    for (int64_t i = 0; i < nft_array_count(other); i++)
        values[i] = 1;
    assert_ok(nft_array_create(&array, NFT_ARRAY_F32, shape, nft_array_rank(other), values));
    free(values);
    return array;
}

static void gradients(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1), *other = support_model(OF_TOKENS, 1);
    nft_gradients *made = NULL, *of_other = NULL, *wrong = WRONG(nft_gradients);
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    expect_null(nft_gradients_create(NULL, model), "gradients");
    expect_null(nft_gradients_create(&wrong, NULL), "model");
    assert_null(wrong);
    assert_ok(nft_gradients_create(&made, model));
    assert_ok(nft_gradients_create(&of_other, other));
    expect_null(nft_gradients_tensor(&info, NULL, 0), "gradients");
    expect(nft_gradients_tensor(&info, made, -1), NFT_ERROR_ARGUMENT, "-1");
    expect(nft_gradients_tensor(&info, made, nft_model_describe(model)->tensor_count), NFT_ERROR_ARGUMENT,
           "expected");
    nft_gradients_free(NULL);
    nft_gradients_clear(NULL);

    nft_weights *set = make_set(model, 3, 2);
    nft_context *plain = support_context(model, 1, 4), *context = keeping_context(model, 0);
    assert_ok(nft_forward(plain, NFT_VIEW_WEIGHTS(set)));
    nft_array *ones = ones_like(nft_context_output(plain, NFT_OUTPUT)->array), *labels = NULL, *row = NULL,
              *wide = NULL;
    const int64_t shape[] = {3, 1}, other_shape[] = {3, 2};
    assert_ok(nft_array_create(&wide, NFT_ARRAY_F32, other_shape, 2, NULL));
    assert_ok(nft_array_create(&labels, NFT_ARRAY_I64, shape, 2, NULL));
    assert_ok(nft_array_create(&row, NFT_ARRAY_F32, shape, 1, NULL));
    expect_null(nft_backward(NULL, NFT_VIEW_ARRAY(ones), made), "context");
    expect_null(nft_backward(context, NULL, made), "output_gradient");
    expect(nft_backward(plain, NFT_VIEW_ARRAY(ones), made), NFT_ERROR_ARGUMENT,
           "nft_backward: the context was made without keep_for_backward");
    expect(nft_backward(plain, NFT_VIEW_WEIGHTS(set), made), NFT_ERROR_ARGUMENT,
           "nft_backward: the context was made without");
    nft_weights *many = make_set(model, 5, 2);
    expect(nft_forward(context, NFT_VIEW_WEIGHTS(many)), NFT_ERROR_ARGUMENT, "a forward of 5 samples");
    nft_weights_free(many);
    expect(nft_backward(context, NFT_VIEW_ARRAY(ones), made), NFT_ERROR_ARGUMENT, "no forward has succeeded");
    expect(nft_backward(context, NFT_VIEW_WEIGHTS(set), made), NFT_ERROR_ARGUMENT,
           "nft_backward: no forward");
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(set)));
    expect(nft_backward(context, NFT_VIEW_ARRAY(ones), NULL), NFT_ERROR_ARGUMENT, "without input_gradient");
    expect(nft_backward(context, NFT_VIEW_WEIGHTS(set), NULL), NFT_ERROR_ARGUMENT, "nft_backward: argument");
    expect(nft_backward(context, NFT_VIEW_ARRAY(ones), of_other), NFT_ERROR_MISMATCH, "of another model");
    expect(nft_backward(context, NFT_VIEW_WEIGHTS(set), of_other), NFT_ERROR_MISMATCH,
           "nft_backward: the gradients are");
    expect(nft_backward(context, NFT_VIEW_ARRAY(labels), made), NFT_ERROR_MISMATCH,
           "is I64 (3, 1), expected F32 (3, 1)");
    expect(nft_backward(context, NFT_VIEW_ARRAY(row), made), NFT_ERROR_MISMATCH,
           "is F32 (3), expected F32 (3, 1)");
    expect(nft_backward(context, NFT_VIEW_ARRAY(wide), made), NFT_ERROR_MISMATCH,
           "is F32 (3, 2), expected F32 (3, 1)");
    nft_array_free(wide);
    expect(nft_backward(context, NFT_VIEW_WEIGHTS(set), made), NFT_ERROR_MISMATCH,
           "nft_backward: the model's output is an array, its gradient weights");
    expect(nft_backward(context, NFT_VIEW_ARRAY_RANGE(ones, 1, 2), made), NFT_ERROR_MISMATCH,
           "is F32 (2, 1), expected F32 (3, 1)");
    assert_ok(nft_backward(context, NFT_VIEW_ARRAY(ones), made));
    expect(nft_backward(context, NFT_VIEW_ARRAY(ones), made), NFT_ERROR_ARGUMENT, "used up");
    expect(nft_backward(context, NFT_VIEW_WEIGHTS(set), made), NFT_ERROR_ARGUMENT,
           "nft_backward: the values that the last forward kept have been used up");
    assert_null(nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->array);
    assert_null(nft_context_output(NULL, NFT_OUTPUT_INPUT_GRADIENT)->array);
    assert_null(nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->weights);
    assert_null(nft_context_output(NULL, NFT_OUTPUT_INPUT_GRADIENT)->weights);
    nft_array_free(row);
    nft_array_free(labels);
    nft_array_free(ones);
    nft_context_free(context);
    nft_context_free(plain);
    nft_weights_free(set);
    nft_gradients_free(of_other);
    nft_gradients_free(made);
    nft_model_free(other);
    nft_model_free(model);
}

static void gradients_of_features(void **state)
{
    (void)state;
    nft_model *model = support_model(FEATURES, 1);
    nft_context *context = keeping_context(model, 1);
    nft_weights *set = make_set(model, 3, 2), *good = NULL, *fewer = NULL, *narrow = NULL, *other = NULL;
    nft_space *space = NULL;
    const int64_t widths[] = {2, 1};
    assert_ok(nft_space_create_mlp(&space, widths, 2));
    assert_ok(nft_weights_create(&good, nft_model_describe(model)->space, 3, 2, NULL));
    assert_ok(nft_weights_create(&fewer, nft_model_describe(model)->space, 2, 2, NULL));
    assert_ok(nft_weights_create(&narrow, nft_model_describe(model)->space, 3, 1, NULL));
    assert_ok(nft_weights_create(&other, space, 3, 2, NULL));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(set)));
    nft_array *array = NULL;
    assert_ok(nft_array_create(&array, NFT_ARRAY_F32, widths, 2, NULL));
    expect(nft_backward(context, NFT_VIEW_ARRAY(array), NULL), NFT_ERROR_MISMATCH,
           "the model's output is features, its gradient an array");
    expect(nft_backward(context, NFT_VIEW_WEIGHTS(NULL), NULL), NFT_ERROR_ARGUMENT,
           "nft_backward: the view has neither weights nor an array");
    expect(nft_backward(context, NFT_VIEW_WEIGHTS(other), NULL), NFT_ERROR_MISMATCH, "nft_backward: ");
    expect(nft_backward(context, NFT_VIEW_WEIGHTS(fewer), NULL), NFT_ERROR_MISMATCH,
           "2 networks of 2 channels, expected 3 of 2");
    expect(nft_backward(context, NFT_VIEW_WEIGHTS(narrow), NULL), NFT_ERROR_MISMATCH,
           "3 networks of 1 channels");
    assert_null(nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->weights);
    assert_ok(nft_backward(context, NFT_VIEW_WEIGHTS(good), NULL));
    assert_non_null(nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->weights);
    nft_array_free(array);
    nft_weights_free(other);
    nft_weights_free(narrow);
    nft_weights_free(fewer);
    nft_weights_free(good);
    nft_weights_free(set);
    nft_space_free(space);
    nft_context_free(context);
    nft_model_free(model);
}

static double sum_of_outputs(nft_context *context, const nft_array *tokens)
{
    double sum = 0;
    assert_ok(nft_forward(context, NFT_VIEW_ARRAY_RANGE(tokens, 0, COUNT_OF_TOKENS)));
    const nft_array *output = nft_context_output(context, NFT_OUTPUT)->array;
    for (int64_t i = 0; i < nft_array_count(output); i++)
        sum += (double)nft_array_f32(output)[i];
    return sum;
}

/* The model is linear in its tokens, so a difference of any width is right but for rounding. */
static void input_gradient_of_tokens(void **state)
{
    (void)state;
    const int64_t shape[] = {COUNT_OF_TOKENS, 3, 2};
    float values[COUNT_OF_TOKENS * 3 * 2];
    for (size_t i = 0; i < COUNT(values); i++)
        values[i] = (float)i / 8 - 0.5f;
    nft_model *model = support_model(OF_TOKENS, 1);
    nft_context *context = keeping_context(model, 1);
    nft_array *tokens = NULL;
    assert_ok(nft_array_borrow(&tokens, NFT_ARRAY_F32, shape, 3, values));
    double before = sum_of_outputs(context, tokens);
    nft_array *ones = ones_like(nft_context_output(context, NFT_OUTPUT)->array);
    assert_null(nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->array);
    assert_ok(nft_backward(context, NFT_VIEW_ARRAY(ones), NULL));
    const nft_array *gradient = nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->array;
    assert_non_null(gradient);
    assert_null(nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)->weights);
    assert_int_equal(nft_array_rank(gradient), 3);
    for (int64_t axis = 0; axis < 3; axis++)
        assert_int_equal(nft_array_size(gradient, axis), shape[axis]);
    float found[COUNT(values)];
    memcpy(found, nft_array_f32(gradient), sizeof found);
    double largest = 0;
    for (size_t i = 0; i < COUNT(values); i++) {
        float kept = values[i];
        values[i] += 1;
        double difference = sum_of_outputs(context, tokens) - before;
        values[i] = kept;
        largest = fmax(largest, fabs(difference));
        if (!(fabs(difference - (double)found[i]) <= 1e-5))
            fail_msg("number %zu: the gradient is %g, the difference %g", i, (double)found[i], difference);
    }
    assert_true(largest > 1e-3);
    assert_null(nft_context_output(context, NFT_OUTPUT_INPUT_GRADIENT)
                    ->array); /* of a forward that had no backward */
    nft_array_free(ones);
    nft_array_free(tokens);
    nft_context_free(context);
    nft_model_free(model);
}

static void trainers_of_nothing(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1), *wrong_model = WRONG(nft_model);
    char *recipe = support_json(RECIPE);
    nft_trainer *trainer = WRONG(nft_trainer);
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    int64_t bytes = 0;
    double loss = 0;
    expect_null(nft_trainer_create(NULL, model, recipe, strlen(recipe), NULL), "trainer");
    expect_null(nft_trainer_create(&trainer, NULL, recipe, strlen(recipe), NULL), "model");
    assert_null(trainer);
    expect_null(nft_trainer_create(&trainer, model, NULL, 0, NULL), "recipe_json");
    expect_null(nft_trainer_memory(&bytes, NULL, NULL, recipe, strlen(recipe), NULL), "model");
    expect_null(nft_trainer_memory(&bytes, model, NULL, NULL, 0, NULL), "recipe_json");
    expect_null(nft_trainer_memory(NULL, model, NULL, recipe, strlen(recipe), NULL), "bytes");
    options.threads = -1;
    expect(nft_trainer_create(&trainer, model, recipe, strlen(recipe), &options), NFT_ERROR_ARGUMENT,
           "nft_trainer_create: threads is -1");
    options.threads = 0;
    options.memory_limit = -1;
    expect(nft_trainer_create(&trainer, model, recipe, strlen(recipe), &options), NFT_ERROR_ARGUMENT,
           "nft_trainer_create: memory_limit is -1");
    options.memory_limit = 0;
    options.size = 1;
    expect(nft_trainer_create(&trainer, model, recipe, strlen(recipe), &options), NFT_ERROR_ARGUMENT, "size");
    expect_null(set_data(NULL, NULL, NULL), "trainer");
    expect_null(nft_trainer_set_data(NULL, NFT_DATA_NONE, NULL), "trainer");
    expect_null(nft_trainer_fit_normalize(NULL), "trainer");
    expect_null(nft_trainer_step(NULL, NULL), "trainer");
    expect_null(nft_trainer_run(NULL, NULL, NULL), "trainer");
    expect_null(nft_trainer_validate(&loss, NULL), "trainer");
    expect_null(nft_trainer_save(NULL, "x"), "trainer");
    expect_null(nft_trainer_resume(NULL, "x"), "trainer");
    expect_null(nft_trainer_snapshot(&wrong_model, NULL, NFT_SNAPSHOT_LAST), "trainer");
    assert_null(wrong_model);
    wrong_model = WRONG(nft_model);
    expect_null(nft_trainer_snapshot(&wrong_model, NULL, NFT_SNAPSHOT_BEST), "trainer");
    assert_null(wrong_model);
    assert_int_equal(nft_trainer_describe(NULL)->steps, 0);
    assert_int_equal(nft_trainer_describe(NULL)->steps_done, 0);
    assert_true(isnan(nft_trainer_describe(NULL)->best_loss));
    assert_null(nft_trainer_describe(NULL)->validation_output);
    nft_trainer_free(NULL);
    free(recipe);
    nft_model_free(model);
}

static void trainers(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2);
    nft_trainer *trainer = make_trainer(model, RECIPE, 1);
    nft_step_info info = NFT_STEP_INFO_INIT;
    double loss = 0;
    assert_ok(set_data(trainer, set, set));
    expect_null(nft_trainer_validate(NULL, trainer), "loss");
    expect_null(nft_trainer_save(trainer, NULL), "path");
    expect_null(nft_trainer_resume(trainer, NULL), "path");
    expect_null(nft_trainer_snapshot(NULL, trainer, NFT_SNAPSHOT_LAST), "model");
    expect_null(nft_trainer_snapshot(NULL, trainer, NFT_SNAPSHOT_BEST), "model");
    nft_model *snapshot = WRONG(nft_model);
    expect(nft_trainer_snapshot(&snapshot, trainer, 2), NFT_ERROR_ARGUMENT, "which is 2");
    assert_null(snapshot);
    info.size = 0;
    expect(nft_trainer_step(&info, trainer), NFT_ERROR_ARGUMENT, "info->size is 0");
    assert_int_equal(nft_trainer_describe(trainer)->steps_done, 0);
    info.size = sizeof info;
    assert_ok(nft_trainer_step(&info, trainer));
    assert_int_equal(nft_trainer_describe(trainer)->steps_done, 1);
    assert_int_equal(nft_trainer_describe(trainer)->steps, 6);
    assert_ok(nft_trainer_validate(&loss, trainer));
    assert_true(nft_trainer_describe(trainer)->best_loss == loss);
    expect(nft_trainer_fit_normalize(trainer), NFT_ERROR_ARGUMENT, "nft_trainer_fit_normalize");
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
}

static void data_sets(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2), *two = NULL, *one_of_two_channels = NULL;
    nft_dataset *dataset = WRONG(nft_dataset);
    const char *path = temporary_path("set.safetensors");
    const int64_t good[] = {0, 8}, far[] = {0, SAMPLES}, negative[] = {-1, 0};
    assert_ok(nft_weights_create(&two, nft_model_describe(model)->space, 2, 1, NULL));
    assert_ok(nft_weights_create(&one_of_two_channels, nft_model_describe(model)->space, 2, 2, NULL));
    assert_ok(nft_weights_save(set, path));
    expect_null(nft_dataset_open(NULL, path, NULL), "dataset");
    expect_null(nft_dataset_open(&dataset, NULL, NULL), "path");
    assert_null(dataset);
    assert_ok(nft_dataset_open(&dataset, path, NULL));
    expect_null(nft_dataset_read(two, NULL, good, 2), "dataset");
    expect_null(nft_dataset_read(two, dataset, NULL, 2), "indices");
    expect_null(nft_dataset_read(NULL, dataset, good, 2), "weights");
    expect(nft_dataset_read(two, dataset, far, 2), NFT_ERROR_ARGUMENT, "index 1 is 9, expected 0 … 8");
    expect(nft_dataset_read(two, dataset, negative, 2), NFT_ERROR_ARGUMENT, "index 0 is -1");
    expect(nft_dataset_read(one_of_two_channels, dataset, good, 2), NFT_ERROR_MISMATCH, "channels");
    assert_true(nft_dataset_read(two, dataset, good, 3) != NFT_OK);
    assert_ok(nft_dataset_read(two, dataset, good, 2));
    assert_int_equal(nft_dataset_describe(dataset)->count, SAMPLES);
    assert_int_equal(nft_dataset_describe(NULL)->count, 0);
    assert_null(nft_dataset_describe(NULL)->space);
    nft_dataset_free(dataset);
    nft_dataset_free(NULL);
    nft_weights_free(one_of_two_channels);
    nft_weights_free(two);
    nft_weights_free(set);
    nft_model_free(model);
    temporary_entries(1);
}

static nft_trainer *asked;

static void expect_changes_refused(void)
{
    static const char why[] = ": called by a callback that fills a batch or adds up over ranks";
    double loss = 0;
    expect(nft_trainer_step(NULL, asked), NFT_ERROR_ARGUMENT, why);
    expect(nft_trainer_run(asked, NULL, NULL), NFT_ERROR_ARGUMENT, why);
    expect(nft_trainer_validate(&loss, asked), NFT_ERROR_ARGUMENT, why);
    expect(set_data(asked, NULL, NULL), NFT_ERROR_ARGUMENT, why);
    expect(nft_trainer_set_data(asked, NFT_DATA_NONE, NULL), NFT_ERROR_ARGUMENT, why);
    expect(nft_trainer_fit_normalize(asked), NFT_ERROR_ARGUMENT, why);
    expect(nft_trainer_resume(asked, "absent"), NFT_ERROR_ARGUMENT, why);
}

static int ask_from_batch(nft_batch *batch, void *user)
{
    (void)user;
    memset(batch->targets, 0, (size_t)batch->count * sizeof *batch->targets);
    expect_changes_refused();
    return 0;
}

static int ask_from_sum(double *sums, int64_t sum_count, float *values, int64_t value_count, void *user)
{
    (void)sums;
    (void)sum_count;
    (void)values;
    (void)value_count;
    ++*(int *)user;
    expect_changes_refused();
    return 0;
}

/* Neither that of a batch nor that of a sum, which would find a step half done; afterwards all is allowed. */
static void changes_from_callbacks(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    char *recipe = support_json(RECIPE);
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    int sums = 0;
    options.threads = 1;
    options.ranks = 5; /* of a batch of 5 */
    options.reduce = ask_from_sum;
    options.reduce_user = &sums;
    assert_ok(nft_trainer_create(&asked, model, recipe, strlen(recipe), &options));
    assert_ok(nft_trainer_set_data(asked, NFT_DATA_CALLBACK(ask_from_batch, NULL), NULL));
    assert_ok(nft_trainer_step(NULL, asked));
    assert_ok(nft_trainer_step(NULL, asked));
    assert_int_equal(sums, 2);
    assert_ok(nft_trainer_set_data(asked, NFT_DATA_NONE, NULL));
    nft_trainer_free(asked);
    free(recipe);
    nft_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients),
        cmocka_unit_test(gradients_of_features),
        cmocka_unit_test(input_gradient_of_tokens),
        cmocka_unit_test(trainers_of_nothing),
        cmocka_unit_test(trainers),
        cmocka_unit_test(changes_from_callbacks),
        cmocka_unit_test(data_sets),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
