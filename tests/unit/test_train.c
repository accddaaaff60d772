/* Training: the golden cases step by step, the same bits on any number of threads, data sets, validation,
 * statistics of the data. An argument names another folder of golden cases. */
#define _XOPEN_SOURCE 700
#include "nft/file.h"
#include "nft/train.h"
#include "unit/training.h"

#include <dirent.h>
#include <jansson.h>

#define LEAST_CASES 4 /* of the tree's own folder */
#define MOST_CASES 64
#define LOSS_TOLERANCE 1e-4
#define RELATIVE 1e-3
#define ABSOLUTE 5e-4

/* ---- golden cases ---- */

static const char *golden_root = NFT_TEST_DATA "/golden";

static const char *golden_path(const char *folder, const char *name)
{
    static char paths[4][1024];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s/%s", golden_root, folder, name);
    return path;
}

/* The recipe without the expected numbers. */
static char *read_recipe(const char *folder, json_t **losses, json_t **norms)
{
    size_t size = 0;
    char *text = support_read(golden_path(folder, "train.json"), &size);
    json_t *recipe = json_loadb(text, size, 0, NULL);
    free(text);
    assert_non_null(recipe);
    *losses = json_incref(json_object_get(recipe, "expected_losses"));
    *norms = json_incref(json_object_get(recipe, "expected_grad_norms"));
    json_object_del(recipe, "expected_losses");
    json_object_del(recipe, "expected_grad_norms");
    text = json_dumps(recipe, 0);
    json_decref(recipe);
    return text;
}

static void close_to(const char *what, int64_t step, double found, const json_t *list)
{
    double expected = json_real_value(json_array_get(list, (size_t)step));
    if (!(fabs(found - expected) <= LOSS_TOLERANCE * fabs(expected)))
        fail_msg("step %" PRId64 ": %s is %.9g, expected %.9g", step, what, found, expected);
}

static void compare_trained(const nft_trainer *trainer, const char *folder)
{
    nft_model *model = NULL;
    nft_file *file = NULL;
    assert_ok(nft_trainer_snapshot(&model, trainer, NFT_SNAPSHOT_LAST));
    assert_ok(nft_file_open(&file, golden_path(folder, "trained.safetensors"), NULL));
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        nft_array *expected = NULL;
        assert_ok(nft_model_tensor(&info, model, i));
        assert_ok(nft_file_read(&expected, file, info.name, 0, NFT_ALL));
        support_close(info.name, info.count, info.data, nft_array_f32(expected), RELATIVE, ABSOLUTE);
        nft_array_free(expected);
    }
    nft_file_free(file);
    nft_model_free(model);
}

static void golden_case(void **state)
{
    const char *folder = *state;
    json_t *losses = NULL, *norms = NULL;
    char *recipe = read_recipe(folder, &losses, &norms);
    nft_model *model = NULL;
    nft_weights *data = NULL;
    assert_ok(nft_model_load(&model, golden_path(folder, "model.safetensors"), NULL));
    assert_ok(nft_weights_load(&data, golden_path(folder, "data.safetensors"), NULL));
    support_result first = {0, NULL};
    for (int32_t threads = 1; threads <= 3; threads++) {
        nft_trainer *trainer = make_trainer(model, recipe, threads);
        assert_ok(set_data(trainer, data, NULL));
        for (int64_t step = 0; step < nft_trainer_describe(trainer)->steps; step++) {
            nft_step_info info = NFT_STEP_INFO_INIT;
            assert_ok(nft_trainer_step(&info, trainer));
            assert_int_equal(info.step, step);
            close_to("the loss", step, info.loss, losses);
            close_to("the gradients' norm", step, info.grad_norm, norms);
        }
        compare_trained(trainer, folder);
        support_result values = trainer_values(trainer);
        if (first.values)
            same_values("parameters on more threads", values, first);
        free(first.values);
        first = values;
        nft_trainer_free(trainer);
    }
    free(first.values);
    nft_weights_free(data);
    nft_model_free(model);
    json_decref(losses);
    json_decref(norms);
    free(recipe);
}

/* ---- steps and runs ---- */

static int count_steps(const nft_step_info *info, void *user)
{
    int *calls = user;
    assert_int_equal(info->validated, info->step % 2 == 1);
    assert_true(info->loss > 0 && info->grad_norm > 0 && info->lr == 0.01);
    assert_true(!info->validated || info->validation_loss > 0);
    return ++*calls == 3;
}

/* Training with shuffling, dropout, clipping, statistics and validation; free the values. */
static support_result train(const nft_model *model, const nft_weights *set, const char *recipe,
                            int32_t threads)
{
    nft_trainer *trainer = make_trainer(model, recipe, threads);
    assert_ok(set_data(trainer, set, set));
    assert_ok(nft_trainer_fit_normalize(trainer));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    support_result values = trainer_values(trainer);
    nft_trainer_free(trainer);
    return values;
}

static void threads_and_seeds(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2);
    support_result before = model_values(model), one = train(model, set, RECIPE, 1);
    for (int32_t threads = 1; threads <= 3; threads++) {
        support_result again = train(model, set, RECIPE, threads);
        same_values("the same training again", again, one);
        free(again.values);
    }
    support_result other =
        train(model, set,
              "{'loss': 'bce', " ADAMW ", 'batch_size': 5, 'steps': 6, 'seed': 4, 'grad_clip': 0.5}", 1);
    assert_memory_not_equal(other.values, one.values, (size_t)one.count * sizeof(float));
    support_result after = model_values(model);
    same_values("the model that was given", after, before);
    free(after.values);
    free(other.values);
    free(one.values);
    free(before.values);
    nft_weights_free(set);
    nft_model_free(model);
}

/* A stopped run continues from its step; dropout depends on the step, not on calls in between. */
static void stopped_run(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2);
    support_result whole = train(model, set, RECIPE, 1);
    nft_trainer *trainer = make_trainer(model, RECIPE, 1);
    int calls = 0;
    double loss = 0, again = 0;
    assert_ok(set_data(trainer, set, set));
    assert_ok(nft_trainer_fit_normalize(trainer));
    assert_int_equal(nft_trainer_run(trainer, count_steps, &calls), NFT_ERROR_CANCELLED);
    assert_int_equal(nft_trainer_describe(trainer)->steps_done, 3);
    assert_ok(nft_trainer_validate(&loss, trainer));
    assert_ok(nft_trainer_validate(&again, trainer));
    assert_true(loss == again);
    assert_ok(nft_trainer_run(trainer, count_steps, &calls));
    assert_ok(nft_trainer_run(trainer, count_steps, &calls));
    assert_int_equal(calls, 6);
    assert_int_equal(nft_trainer_describe(trainer)->steps_done, nft_trainer_describe(trainer)->steps);
    support_result values = trainer_values(trainer);
    same_values("a run in two parts", values, whole);
    free(values.values);
    free(whole.values);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
}

/* NULL leaves a validation set where it is, with the best loss on it; empty data take it away. */
static void a_validation_set_stays_or_goes(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2), *other = make_set(model, SAMPLES, 4),
                *validation = make_set(model, 40, 3);
    nft_trainer *trainer = make_trainer(model, RECIPE, 2);
    double loss = 0, again = 0;
    assert_ok(set_data(trainer, set, validation));
    assert_ok(nft_trainer_validate(&loss, trainer));
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS((const nft_weights *const *)&other, 1), NULL));
    assert_true(nft_trainer_describe(trainer)->best_loss == loss);
    assert_ok(nft_trainer_validate(&again, trainer));
    assert_true(again == loss);
    assert_ok(nft_trainer_set_data(trainer, NULL, NULL));
    assert_ok(nft_trainer_step(NULL, trainer));
    assert_ok(nft_trainer_set_data(trainer, NULL, NFT_DATA_NONE));
    assert_true(isnan(nft_trainer_describe(trainer)->best_loss));
    assert_int_equal(nft_trainer_validate(&again, trainer), NFT_ERROR_ARGUMENT);
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_NONE, NULL));
    assert_int_equal(nft_trainer_step(NULL, trainer), NFT_ERROR_ARGUMENT);
    nft_trainer_free(trainer);
    nft_weights_free(validation);
    nft_weights_free(other);
    nft_weights_free(set);
    nft_model_free(model);
}

/* The best model is that of the lowest validation loss, and computes that loss. */
static void best_is_kept(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1), *best = NULL;
    nft_weights *set = make_set(model, SAMPLES, 2), *validation = make_set(model, 40, 3);
    nft_trainer *trainer = make_trainer(model, RECIPE, 2);
    double lowest = INFINITY, loss = 0, own = 0;
    support_result kept = {0, NULL};
    assert_ok(set_data(trainer, set, validation));
    assert_ok(nft_trainer_fit_normalize(trainer));
    for (int step = 0; step < 12; step++) {
        assert_ok(nft_trainer_step(NULL, trainer));
        assert_ok(nft_trainer_validate(&loss, trainer));
        if (loss >= lowest)
            continue;
        lowest = loss;
        free(kept.values);
        kept = trainer_values(trainer);
    }
    assert_ok(nft_trainer_snapshot(&best, trainer, NFT_SNAPSHOT_BEST));
    support_result values = model_values(best);
    same_values("the best parameters", values, kept);
    assert_string_equal(nft_model_metadata(best, "nft.loss"), "bce");
    nft_context *context = support_context(best, 1, 0);
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(validation)));
    const float *output = nft_array_f32(nft_context_output(context, NFT_OUTPUT)->array),
                *target = nft_array_f32(nft_weights_extra(validation, "label"));
    for (int i = 0; i < 40; i++)
        own -= ((double)target[i] * log((double)output[i]) +
                (1 - (double)target[i]) * log1p(-(double)output[i])) /
               40;
    assert_true(fabs(own - lowest) < 1e-6);
    nft_context_free(context);
    free(values.values);
    free(kept.values);
    nft_trainer_free(trainer);
    nft_model_free(best);
    nft_weights_free(validation);
    nft_weights_free(set);
    nft_model_free(model);
}

/* ---- data ---- */

static int fill_batch(nft_batch *batch, void *user)
{
    const nft_weights *set = user;
    for (int64_t i = 0; i < batch->count; i++) {
        int64_t from = (batch->step * batch->count + i) % nft_weights_count(set);
        for (int64_t t = 0; t < nft_space_describe(nft_weights_space(set))->tensor_count; t++) {
            int64_t one = nft_weights_data_count(set, t) / nft_weights_count(set);
            memcpy(nft_weights_edit(batch->weights, t) + i * one, nft_weights_data(set, t) + from * one,
                   (size_t)one * sizeof(float));
        }
        batch->targets[i] = nft_array_f32(nft_weights_extra(set, "label"))[from];
    }
    return batch->tokens || batch->labels || batch->step == 4;
}

/* A callback that hands out the data in their order trains as the data do. */
static void callback_source(void **state)
{
    (void)state;
    static const char recipe[] = "{'loss': 'bce', " ADAMW ", 'batch_size': 5, 'steps': 6, 'shuffle': false}";
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, SAMPLES, 2);
    nft_trainer *trainer = make_trainer(model, recipe, 2), *other = make_trainer(model, recipe, 2);
    assert_ok(set_data(trainer, set, NULL));
    assert_ok(nft_trainer_set_data(other, NFT_DATA_CALLBACK(fill_batch, set), NULL));
    assert_int_equal(nft_trainer_fit_normalize(other), NFT_ERROR_ARGUMENT);
    for (int step = 0; step < 4; step++) {
        assert_ok(nft_trainer_step(NULL, trainer));
        assert_ok(nft_trainer_step(NULL, other));
    }
    assert_int_equal(nft_trainer_step(NULL, other), NFT_ERROR_CANCELLED);
    support_result values = trainer_values(trainer), others = trainer_values(other);
    same_values("batches of a callback", values, others);
    free(values.values);
    free(others.values);
    assert_ok(nft_trainer_set_data(other, NFT_DATA_NONE, NULL));
    assert_int_equal(nft_trainer_step(NULL, other), NFT_ERROR_ARGUMENT);
    nft_trainer_free(other);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
}

static int fill_tokens(nft_batch *batch, void *user)
{
    const nft_array *const *data = user;
    memcpy(batch->tokens, nft_array_f32(data[0]), (size_t)batch->count * 6 * sizeof(float));
    memcpy(batch->labels, nft_array_i64(data[1]), (size_t)batch->count * sizeof(int64_t));
    return batch->weights || batch->targets;
}

/* A model on tokens learns three classes that a linear map tells apart. */
static void tokens(void **state)
{
    (void)state;
    nft_model *model = support_model(OF_TOKENS, 1);
    const int64_t shape[] = {4, 3, 2}, labels[] = {0, 1, 2, 1};
    float values[24] = {0};
    for (int i = 0; i < 24; i++)
        values[i] = (float)(labels[i / 6] == 1) - (i % 2 ? (float)(labels[i / 6] == 2) : 0);
    nft_array *data[2] = {NULL, NULL};
    assert_ok(nft_array_create(&data[0], NFT_ARRAY_F32, shape, 3, values));
    assert_ok(nft_array_create(&data[1], NFT_ARRAY_I64, shape, 1, labels));
    static const char recipe[] = "{'loss': 'cross_entropy', 'optimizer': {'type': 'adam', 'lr': 0.05}, "
                                 "'batch_size': 4, 'steps': 60, 'shuffle': false}";
    nft_trainer *trainer = make_trainer(model, recipe, 1), *other = make_trainer(model, recipe, 1);
    double loss = 0;
    assert_ok(
        nft_trainer_set_data(trainer, NFT_DATA_TOKENS(data[0], data[1]), NFT_DATA_TOKENS(data[0], data[1])));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    assert_ok(nft_trainer_validate(&loss, trainer));
    assert_true(loss < 0.1);
    assert_ok(nft_trainer_set_data(other, NFT_DATA_CALLBACK(fill_tokens, data), NULL));
    assert_ok(nft_trainer_run(other, NULL, NULL));
    support_result a = trainer_values(trainer), b = trainer_values(other);
    same_values("tokens of a callback", a, b);
    free(a.values);
    free(b.values);
    nft_trainer_free(other);
    nft_trainer_free(trainer);
    nft_array_free(data[0]);
    nft_array_free(data[1]);
    nft_model_free(model);
}

/* ---- statistics of the data ---- */

static const float *tensor_of(const nft_model *model, const char *name, int64_t *count)
{
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&info, model, i));
        *count = info.count;
        if (!strcmp(info.name, name))
            return info.data;
    }
    fail_msg("the model has no '%s'", name);
    return NULL;
}

/* A trainer keeps references to its data: sets, tokens and labels may be freed, also labels that were removed
 * from the set. */
static void sets_may_be_freed(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *kept = make_set(model, SAMPLES, 2), *freed = make_set(model, SAMPLES, 2);
    nft_trainer *a = make_trainer(model, RECIPE, 1), *b = make_trainer(model, RECIPE, 1);
    assert_ok(set_data(a, kept, kept));
    assert_ok(set_data(b, freed, freed));
    assert_ok(set_data(b, NULL, freed));
    assert_ok(nft_weights_set_extra(freed, "label", NULL));
    nft_weights_free(freed);
    assert_ok(nft_trainer_run(a, NULL, NULL));
    assert_ok(nft_trainer_run(b, NULL, NULL));
    support_result x = trainer_values(a), y = trainer_values(b);
    same_values("parameters", x, y);
    free(x.values);
    free(y.values);
    nft_trainer_free(a);
    nft_trainer_free(b);
    nft_weights_free(kept);
    nft_model_free(model);
}

/* mean[i] and deviation[i] of numbers first, first + stride, … of an array of `all`. */
static void check_statistics(const float *values, int64_t all, int64_t first, int64_t stride, float mean,
                             float deviation)
{
    double sum = 0, squares = 0, count = 0;
    for (int64_t i = first; i < all; i += stride, count++)
        sum += (double)values[i];
    for (int64_t i = first; i < all; i += stride)
        squares += ((double)values[i] - sum / count) * ((double)values[i] - sum / count);
    assert_true(fabs((double)mean - sum / count) < 1e-6);
    double expected = sqrt(squares / count);
    assert_true(fabs((double)deviation - (expected < 1e-5 ? 1 : expected)) < 1e-6);
}

static void check_normalize(const nft_model *trained, const nft_weights *set, bool per_weight)
{
    for (int64_t t = 0; t < 6; t++) {
        char name[2][48];
        snprintf(name[0], sizeof name[0], "0.mean_%s_%" PRId64, t % 2 ? "bias" : "weights", t / 2);
        snprintf(name[1], sizeof name[1], "0.std_%s_%" PRId64, t % 2 ? "bias" : "weights", t / 2);
        int64_t count = 0, all = nft_weights_data_count(set, t);
        const float *mean = tensor_of(trained, name[0], &count),
                    *deviation = tensor_of(trained, name[1], &count), *values = nft_weights_data(set, t);
        for (int64_t i = 0; i < count; i++)
            check_statistics(values, all, per_weight ? i : 0, per_weight ? count : 1, mean[i], deviation[i]);
    }
}

static void normalize(void **state)
{
    (void)state;
    static const char *const models[] = {
        MLP("{'type': 'normalize'}, {'type': 'hnp_pool'}, {'type': 'linear', 'out_features': 1}") "}",
        MLP("{'type': 'normalize', 'per': 'weight'}, {'type': 'hnp_pool'}, {'type': 'linear', "
            "'out_features': "
            "1}") "}"};
    for (int per_weight = 0; per_weight < 2; per_weight++) {
        nft_model *model = support_model(models[per_weight], 1), *fitted = NULL;
        nft_weights *set = make_set(model, 37, 2);
        float *constant = nft_weights_edit(set, 5);
        for (int64_t i = 0; i < 37; i++)
            constant[i] = 0.25f;
        nft_trainer *trainer =
            make_trainer(model, "{'loss': 'mse', " ADAMW ", 'batch_size': 20, 'steps': 1}", 2);
        assert_int_equal(nft_trainer_fit_normalize(trainer), NFT_ERROR_ARGUMENT);
        assert_ok(set_data(trainer, set, NULL));
        assert_ok(nft_trainer_fit_normalize(trainer));
        assert_ok(nft_trainer_snapshot(&fitted, trainer, NFT_SNAPSHOT_LAST));
        check_normalize(fitted, set, per_weight);
        assert_ok(nft_trainer_step(NULL, trainer));
        assert_int_equal(nft_trainer_fit_normalize(trainer), NFT_ERROR_ARGUMENT);
        nft_trainer_free(trainer);
        nft_model_free(fitted);
        nft_weights_free(set);
        nft_model_free(model);
    }
}

static int warnings;

static void count_warning(int32_t level, const char *line, void *user)
{
    (void)user;
    warnings += level == NFT_LOG_WARNING && strstr(line, "nft_trainer_fit_normalize()");
}

/* Once, before the first step, and only of a model with such statistics. */
static void forgotten_statistics(void **state)
{
    (void)state;
    static const char *const models[] = {
        MLP("{'type': 'hnp_pool'}, {'type': 'linear', 'out_features': 1}") "}",
        MLP("{'type': 'normalize'}, {'type': 'hnp_pool'}, {'type': 'linear', 'out_features': 1}") "}"};
    nft_set_log(count_warning, NULL);
    for (int has_statistics = 0; has_statistics < 2; has_statistics++)
        for (int fits = 0; fits < 2; fits++) {
            nft_model *model = support_model(models[has_statistics], 1);
            nft_weights *set = make_set(model, 8, 2);
            nft_trainer *trainer =
                make_trainer(model, "{'loss': 'mse', " ADAMW ", 'batch_size': 4, 'steps': 2}", 1);
            assert_ok(set_data(trainer, set, NULL));
            if (fits)
                assert_ok(nft_trainer_fit_normalize(trainer));
            warnings = 0;
            assert_ok(nft_trainer_step(NULL, trainer));
            assert_int_equal(warnings, has_statistics && !fits);
            assert_ok(nft_trainer_step(NULL, trainer));
            assert_int_equal(warnings, has_statistics && !fits);
            nft_trainer_free(trainer);
            nft_weights_free(set);
            nft_model_free(model);
        }
    nft_set_log(NULL, NULL);
}

/* Two in a row: the second sees the output of the first, mean 0 and deviation 1. */
static void normalize_twice(void **state)
{
    (void)state;
    nft_model *model = support_model(
        MLP("{'type': 'normalize'}, {'type': 'normalize'}, {'type': 'residual', 'activation': 'relu', "
            "'base': "
            "{'type': 'np_linear', 'out_channels': 1}, 'norm': {'type': 'normalize'}}, {'type': 'residual', "
            "'activation': 'relu', 'base': {'type': 'normalize'}, 'norm': {'type': 'normalize'}}, {'type': "
            "'hnp_pool'}, "
            "{'type': 'linear', 'out_features': 1}") "}",
        1);
    nft_model *fitted = NULL;
    nft_weights *set = make_set(model, 21, 2);
    nft_trainer *trainer = make_trainer(model, "{'loss': 'mse', " ADAMW ", 'batch_size': 4, 'steps': 1}", 1);
    assert_ok(set_data(trainer, set, NULL));
    assert_ok(nft_trainer_fit_normalize(trainer));
    assert_ok(nft_trainer_snapshot(&fitted, trainer, NFT_SNAPSHOT_LAST));
    static const char *const prefixes[] = {"1.", "2.norm.", "3.base_layer."};
    for (size_t i = 0; i < COUNT(prefixes); i++) {
        char mean[64], deviation[64];
        int64_t count = 0;
        snprintf(mean, sizeof mean, "%smean_weights_1", prefixes[i]);
        snprintf(deviation, sizeof deviation, "%sstd_weights_1", prefixes[i]);
        assert_true(fabs((double)*tensor_of(fitted, mean, &count)) < 1e-6);
        assert_true(fabs((double)*tensor_of(fitted, deviation, &count) - 1) < 1e-6);
    }
    nft_trainer_free(trainer);
    nft_model_free(fitted);
    nft_weights_free(set);
    nft_model_free(model);
}

static const struct CMUnitTest own_tests[] = {
    cmocka_unit_test(threads_and_seeds), cmocka_unit_test(stopped_run),
    cmocka_unit_test(best_is_kept),      cmocka_unit_test(a_validation_set_stays_or_goes),
    cmocka_unit_test(callback_source),   cmocka_unit_test(tokens),
    cmocka_unit_test(normalize),         cmocka_unit_test(normalize_twice),
    cmocka_unit_test(sets_may_be_freed), cmocka_unit_test(forgotten_statistics),
};

static bool is_case(const char *folder)
{
    FILE *recipe = folder[0] == '.' ? NULL : fopen(golden_path(folder, "train.json"), "rb");
    if (recipe)
        fclose(recipe);
    return recipe;
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[MOST_CASES + COUNT(own_tests)];
    size_t count = 0;
    golden_root = argc > 1 ? argv[1] : golden_root;
    DIR *folder = opendir(golden_root);
    for (struct dirent *entry; folder && count < MOST_CASES && (entry = readdir(folder));)
        if (is_case(entry->d_name)) {
            char *name = strdup(entry->d_name);
            tests[count++] =
                (struct CMUnitTest){.name = name, .test_func = golden_case, .initial_state = name};
        }
    if (folder)
        closedir(folder);
    size_t cases = count;
    memcpy(tests + count, own_tests, sizeof own_tests);
    count += COUNT(own_tests);
    int failed = _cmocka_run_group_tests("training", tests, count, NULL, NULL);
    for (size_t i = 0; i < cases; i++)
        free(tests[i].initial_state);
    if (argc < 2 && cases < LEAST_CASES)
        print_error("%zu golden cases, expected at least %d\n", cases, LEAST_CASES);
    return failed || (argc < 2 && cases < LEAST_CASES);
}
