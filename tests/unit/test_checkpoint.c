/* Checkpoints: a training that is interrupted after any step and resumes is bit-identical to an uninterrupted
 * one. A checkpoint that is damaged or belongs to another training is refused, and changes nothing. */
#define _XOPEN_SOURCE 700
#include "nft/train.h"
#include "unit/setting.h"
#include "unit/temporary.h"

#define STEPS 6

static nft_trainer *trainer_of(const setting *s, const char *recipe, int32_t threads, bool validates)
{
    nft_trainer *trainer = make_trainer(s->model, recipe, threads);
    assert_ok(set_data(trainer, s->train, validates ? s->validation : NULL));
    return trainer;
}

static int stop_after(const nft_step_info *info, void *user)
{
    return info->step + 1 == *(const int64_t *)user;
}

static support_result best_values(const nft_trainer *trainer)
{
    nft_model *model = NULL;
    assert_ok(nft_trainer_snapshot(&model, trainer, NFT_SNAPSHOT_BEST));
    support_result all = model_values(model);
    nft_model_free(model);
    return all;
}

static void same_trainers(const nft_trainer *a, const nft_trainer *b)
{
    support_result x = trainer_values(a), y = trainer_values(b), p = best_values(a), q = best_values(b);
    assert_int_equal(nft_trainer_describe(a)->steps_done, nft_trainer_describe(b)->steps_done);
    same_values("the parameters", x, y);
    same_values("the best parameters", p, q);
    free(x.values);
    free(y.values);
    free(p.values);
    free(q.values);
}

/* Dropout, clipping, shuffling and validation are in the recipe. */
static void goes_on(const char *recipe, bool validates)
{
    setting s = open_setting();
    const char *path = temporary_path("checkpoint.safetensors");
    nft_trainer *whole = trainer_of(&s, recipe, 1, validates);
    assert_ok(nft_trainer_fit_normalize(whole));
    assert_ok(nft_trainer_run(whole, NULL, NULL));
    for (int64_t step = 1; step < STEPS; step++) {
        nft_trainer *first = trainer_of(&s, recipe, (int32_t)(step % 3 + 1), validates),
                    *second = trainer_of(&s, recipe, (int32_t)((step + 1) % 3 + 1), validates);
        assert_ok(nft_trainer_fit_normalize(first));
        assert_int_equal(nft_trainer_run(first, stop_after, &step), NFT_ERROR_CANCELLED);
        assert_ok(nft_trainer_save(first, path));
        assert_ok(nft_trainer_resume(second, path));
        same_trainers(first, second);
        nft_trainer_free(first);
        assert_ok(nft_trainer_run(second, NULL, NULL));
        same_trainers(second, whole);
        nft_trainer_free(second);
    }
    nft_trainer_free(whole);
    close_setting(&s);
}

static void shuffled(void **state)
{
    (void)state;
    goes_on(RECIPE, true);
    goes_on(RECIPE, false);
}

static void in_order(void **state)
{
    (void)state;
    goes_on(
        "{'loss': 'mse', 'optimizer': {'type': 'adam', 'lr': 0.01, 'weight_decay': 0.1}, 'schedule': "
        "{'type': "
        "'cosine', 'warmup_steps': 2}, 'batch_size': 4, 'steps': 6, 'shuffle': false, 'validate_every': 3}",
        true);
}

/* Back to a step of the past. */
static void goes_back(void **state)
{
    (void)state;
    setting s = open_setting();
    nft_trainer *trainer = trainer_of(&s, RECIPE, 2, true);
    int64_t step = 2;
    assert_int_equal(nft_trainer_run(trainer, stop_after, &step), NFT_ERROR_CANCELLED);
    assert_ok(nft_trainer_save(trainer, temporary_path("past.safetensors")));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    support_result end = trainer_values(trainer);
    assert_ok(nft_trainer_resume(trainer, temporary_path("past.safetensors")));
    assert_int_equal(nft_trainer_describe(trainer)->steps_done, 2);
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    support_result again = trainer_values(trainer);
    same_values("the parameters", end, again);
    free(end.values);
    free(again.values);
    nft_trainer_free(trainer);
    close_setting(&s);
}

/* Steps that are taken one by one may be more than the recipe's. */
static void goes_beyond(void **state)
{
    (void)state;
    setting s = open_setting();
    nft_trainer *trainer = trainer_of(&s, RECIPE, 1, true), *other = trainer_of(&s, RECIPE, 1, true);
    for (int i = 0; i < 7; i++)
        assert_ok(nft_trainer_step(NULL, trainer));
    assert_ok(nft_trainer_save(trainer, temporary_path("beyond.safetensors")));
    assert_ok(nft_trainer_resume(other, temporary_path("beyond.safetensors")));
    assert_int_equal(nft_trainer_describe(other)->steps_done, 7);
    nft_trainer_free(trainer);
    nft_trainer_free(other);
    close_setting(&s);
}

static int count_validations(const nft_step_info *info, void *user)
{
    *(int *)user += info->validated;
    return 0;
}

/* A validation that is due when the checkpoint is written is done by the training that resumes. */
static void owes_a_validation(void **state)
{
    (void)state;
    setting s = open_setting();
    nft_trainer *whole = trainer_of(&s, RECIPE, 1, true), *other = trainer_of(&s, RECIPE, 1, true);
    int validations = 0, again = 0;
    for (int i = 0; i < STEPS; i++)
        assert_ok(nft_trainer_step(NULL, whole));
    assert_ok(nft_trainer_save(whole, temporary_path("due.safetensors")));
    assert_ok(nft_trainer_run(whole, count_validations, &validations));
    assert_ok(nft_trainer_resume(other, temporary_path("due.safetensors")));
    assert_ok(nft_trainer_run(other, count_validations, &again));
    assert_int_equal(validations, 1);
    assert_int_equal(again, 1);
    assert_true(nft_trainer_describe(whole)->best_loss == nft_trainer_describe(other)->best_loss);
    same_trainers(whole, other);
    nft_trainer_free(whole);
    nft_trainer_free(other);
    close_setting(&s);
}

/* A trainer of another recipe, model or data set refuses, says why, and stays as it was. */
static void of_another_training(void **state)
{
    (void)state;
    static const struct {
        const char *recipe, *message;
    } others[] = {
        {"{'loss': 'bce', 'optimizer': {'type': 'adamw', 'lr': 0.02}, 'batch_size': 5, 'steps': 6, 'seed': "
         "3, "
         "'grad_clip': 0.5, 'validate_every': 2}",
         "'recipe.optimizer.lr' was 0.01, now it is 0.02"},
        {"{'loss': 'bce', " ADAMW ", 'batch_size': 4, 'steps': 6, 'seed': 3, 'grad_clip': 0.5, "
         "'validate_every': 2}",
         "'recipe.batch_size' was 5, now it is 4"},
        {"{'loss': 'mse', " ADAMW ", 'batch_size': 5, 'steps': 6, 'seed': 3, 'grad_clip': 0.5, "
         "'validate_every': 2}",
         "'recipe.loss' was \"bce\", now it is \"mse\""},
        {"{'loss': 'bce', " ADAMW ", 'batch_size': 5, 'steps': 7, 'seed': 3, 'grad_clip': 0.5, "
         "'validate_every': 2}",
         "'recipe.steps' was 6, now it is 7"},
    };
    setting s = open_setting(), other = open_setting();
    const char *path = temporary_path("mine.safetensors");
    nft_trainer *trainer = trainer_of(&s, RECIPE, 1, true);
    assert_ok(nft_trainer_step(NULL, trainer));
    assert_ok(nft_trainer_save(trainer, path));
    for (size_t i = 0; i < COUNT(others); i++) {
        nft_trainer *foreign = trainer_of(&s, others[i].recipe, 1, true);
        support_result before = trainer_values(foreign);
        assert_int_equal(nft_trainer_resume(foreign, path), NFT_ERROR_MISMATCH);
        expect_message(others[i].message);
        expect_message(path);
        support_result after = trainer_values(foreign);
        same_values("the parameters", before, after);
        assert_int_equal(nft_trainer_describe(foreign)->steps_done, 0);
        free(before.values);
        free(after.values);
        nft_trainer_free(foreign);
    }
    nft_trainer *foreign = trainer_of(&s, RECIPE, 1, false);
    assert_int_equal(nft_trainer_resume(foreign, path), NFT_ERROR_MISMATCH);
    expect_message("validation set");
    nft_trainer_free(foreign);

    nft_weights_free(other.train);
    other.train = make_set(other.model, SAMPLES, 99);
    foreign = trainer_of(&other, RECIPE, 1, true);
    assert_int_equal(nft_trainer_resume(foreign, path), NFT_ERROR_MISMATCH);
    expect_message("it is the checkpoint of a training on other data: the inputs of the training set are not "
                   "the same");
    nft_trainer_free(foreign);

    nft_model *wider =
        support_model(MLP("{'type': 'hnp_pool'}, {'type': 'linear', 'out_features': 1}, {'type': "
                          "'sigmoid'}") "}",
                      1);
    foreign = make_trainer(wider, RECIPE, 1);
    assert_int_equal(nft_trainer_resume(foreign, path), NFT_ERROR_ARGUMENT);
    expect_message("set the data first");
    assert_ok(set_data(foreign, s.train, s.validation));
    assert_int_equal(nft_trainer_resume(foreign, path), NFT_ERROR_MISMATCH);
    expect_message("another model");
    nft_trainer_free(foreign);
    nft_model_free(wider);
    nft_trainer_free(trainer);
    close_setting(&other);
    close_setting(&s);
}

/* Whether a training on one set takes up the checkpoint of a training on another. */
static void expect_same_data(const nft_model *model, const nft_weights *a, const nft_weights *b,
                             bool validates, const char *difference)
{
    const char *path = temporary_path("of a");
    nft_trainer *first = make_trainer(model, RECIPE, 1), *second = make_trainer(model, RECIPE, 1);
    assert_ok(set_data(first, validates ? b : a, validates ? a : NULL));
    assert_ok(set_data(second, b, validates ? b : NULL));
    assert_ok(nft_trainer_save(first, path));
    nft_status status = nft_trainer_resume(second, path);
    assert_int_equal(status, difference ? NFT_ERROR_MISMATCH : NFT_OK);
    if (difference)
        expect_message(difference);
    nft_trainer_free(first);
    nft_trainer_free(second);
}

/* One bit of one number of the data is enough, be it of a sign twice, and so is an exchange. */
static void of_other_data(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *a = make_set(model, SAMPLES, 2), *b = make_set(model, SAMPLES, 2);
    int64_t count = nft_weights_data_count(b, 0);
    float *weights = nft_weights_edit(b, 0), *bias = nft_weights_edit(b, 3);
    float *label = (float *)nft_array_f32(nft_weights_extra(b, "label"));
    for (int validates = 0; validates < 2; validates++) {
        const char *inputs =
            validates ? "the inputs of the validation set" : "the inputs of the training set";
        expect_same_data(model, a, b, validates, NULL);
        bias[0] = nextafterf(bias[0], 9);
        expect_same_data(model, a, b, validates, inputs);
        bias[0] = nft_weights_data(a, 3)[0];
        for (int i = 0; i < 2; i++)
            weights[count - 1 - 2 * i] *= -1;
        expect_same_data(model, a, b, validates, inputs);
        for (int i = 0; i < 2; i++)
            weights[count - 1 - 2 * i] *= -1;
        float kept = label[3];
        label[3] = label[4];
        label[4] = kept;
        expect_same_data(model, a, b, validates,
                         validates ? "the targets of the validation set" : "the targets of the training set");
        label[4] = label[3];
        label[3] = kept;
    }
    nft_weights_free(a);
    nft_weights_free(b);
    nft_model_free(model);
}

/* The data are the same wherever they are read from. */
static void of_the_same_data(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *set = make_set(model, 40, 2); /* more than are read at a time */
    nft_dataset *data = NULL;
    nft_trainer *memory = make_trainer(model, RECIPE, 1), *file = make_trainer(model, RECIPE, 1);
    assert_ok(nft_weights_save(set, temporary_path("data")));
    assert_ok(nft_dataset_open(&data, temporary_path("data"), NULL));
    assert_ok(set_data(memory, set, set));
    assert_ok(nft_trainer_set_data(file, NFT_DATA_FILES(data), NFT_DATA_FILES(data)));
    assert_ok(nft_trainer_save(memory, temporary_path("of memory")));
    assert_ok(nft_trainer_resume(file, temporary_path("of memory")));
    nft_trainer_free(memory);
    nft_trainer_free(file);
    nft_dataset_free(data);
    nft_weights_free(set);
    nft_model_free(model);
}

static void of_other_tokens(void **state)
{
    (void)state;
    static const char recipe[] = "{'loss': 'cross_entropy', " ADAMW ", 'batch_size': 2, 'steps': 1}";
    const int64_t shape[] = {2, 3, 2}, labels[] = {0, 2};
    float values[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    nft_model *model = support_model(OF_TOKENS, 1);
    nft_trainer *trainer = make_trainer(model, recipe, 1), *other = make_trainer(model, recipe, 1);
    nft_array *tokens = NULL, *label = NULL;
    assert_ok(nft_array_borrow(&tokens, NFT_ARRAY_F32, shape, 3, values));
    assert_ok(nft_array_borrow(&label, NFT_ARRAY_I64, shape, 1, labels));
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_TOKENS(tokens, label), NULL));
    assert_ok(nft_trainer_save(trainer, temporary_path("of tokens")));
    assert_ok(nft_trainer_resume(trainer, temporary_path("of tokens")));
    values[11] = 13;
    assert_ok(nft_trainer_set_data(other, NFT_DATA_TOKENS(tokens, label), NULL));
    assert_int_equal(nft_trainer_resume(other, temporary_path("of tokens")), NFT_ERROR_MISMATCH);
    expect_message("the inputs of the training set are not the same");
    nft_array_free(tokens);
    nft_array_free(label);
    nft_trainer_free(trainer);
    nft_trainer_free(other);
    nft_model_free(model);
}

/* The file at `path` is refused, in one line with its name, and the trainer keeps its values. */
static void refuses(nft_trainer *trainer, const char *path, support_result before)
{
    if (!nft_trainer_resume(trainer, path))
        fail_msg("a damaged file is a checkpoint");
    expect_message(path);
    assert_null(strchr(nft_error_message(), '\n'));
    support_result after = trainer_values(trainer);
    same_values("the parameters", before, after);
    assert_int_equal(nft_trainer_describe(trainer)->steps_done, 0);
    assert_true(isnan(nft_trainer_describe(trainer)->best_loss));
    free(after.values);
}

/* Cut short at any place, or with any byte changed. */
static void damaged(void **state)
{
    (void)state;
    setting s = open_setting();
    nft_trainer *trainer = trainer_of(&s, RECIPE, 1, true), *other = trainer_of(&s, RECIPE, 1, true);
    int64_t step = 2;
    size_t size = 0;
    assert_int_equal(nft_trainer_run(trainer, stop_after, &step), NFT_ERROR_CANCELLED);
    assert_ok(nft_trainer_save(trainer, temporary_path("good.safetensors")));
    unsigned char *bytes = support_read(temporary_path("good.safetensors"), &size);
    char path[512];
    snprintf(path, sizeof path, "%s", temporary_path("bad.safetensors"));
    support_result before = trainer_values(other);
    size_t header = 8 + (size_t)bytes[0] + ((size_t)bytes[1] << 8);
    for (size_t cut = 0; cut < size; cut += cut < header ? 37 : size / 23) {
        temporary_write(path, bytes, cut);
        refuses(other, path, before);
    }
    for (size_t i = 0; i < size; i += i < header ? 1 : 13) {
        unsigned char kept = bytes[i];
        bytes[i] ^= i < header ? 0x15 : 0x01;
        temporary_write(path, bytes, size);
        bytes[i] = kept;
        refuses(other, path, before);
    }
    float nothing = NAN;
    memcpy(bytes + header + 64, &nothing, sizeof nothing);
    temporary_write(path, bytes, size);
    assert_int_equal(nft_trainer_resume(other, path), NFT_ERROR_NOT_FINITE);
    assert_ok(nft_trainer_resume(other, temporary_path("good.safetensors")));
    free(before.values);
    free(bytes);
    nft_trainer_free(other);
    nft_trainer_free(trainer);
    close_setting(&s);
}

/* The last update has no step after it whose loss would show that it diverged; no checkpoint is made of it,
 * and the last good one stays. */
static void diverged_at_the_end(void **state)
{
    (void)state;
    setting s = open_setting();
    nft_trainer *trainer = trainer_of(&s,
                                      "{'loss': 'bce', 'optimizer': {'type': 'adamw', 'lr': 1e39, "
                                      "'weight_decay': 0}, 'batch_size': 5, 'steps': 1}",
                                      1, true);
    const char *path = temporary_path("last good");
    size_t size = 0, size_after = 0;
    assert_ok(nft_trainer_save(trainer, path));
    free(support_read(path, &size));
    for (int i = 0; i < 2; i++) { /* also when there are no more steps to take */
        assert_int_equal(nft_trainer_run(trainer, NULL, NULL), NFT_ERROR_NOT_FINITE);
        expect_message("step 0: the update: '");
        assert_ok(set_data(trainer, s.train, NULL));
    }
    assert_ok(set_data(trainer, s.train, s.validation));
    assert_int_equal(nft_trainer_save(trainer, path), NFT_ERROR_NOT_FINITE);
    free(support_read(path, &size_after));
    assert_int_equal(size, size_after);
    assert_ok(nft_trainer_resume(trainer, path));
    assert_int_equal(nft_trainer_describe(trainer)->steps_done, 0);
    nft_trainer_free(trainer);
    close_setting(&s);
}

static void not_a_checkpoint(void **state)
{
    (void)state;
    setting s = open_setting();
    nft_trainer *trainer = trainer_of(&s, RECIPE, 1, true);
    assert_ok(nft_model_save(s.model, temporary_path("model.safetensors")));
    assert_int_equal(nft_trainer_resume(trainer, temporary_path("model.safetensors")), NFT_ERROR_FORMAT);
    expect_message("this is not a checkpoint");
    assert_int_equal(nft_trainer_resume(trainer, temporary_path("nowhere")), NFT_ERROR_FILE);
    assert_int_equal(nft_trainer_save(trainer, temporary_path("no/such/folder")), NFT_ERROR_FILE);
    assert_int_equal(nft_trainer_save(NULL, "x"), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_trainer_save(trainer, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_trainer_resume(NULL, "x"), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_trainer_resume(trainer, NULL), NFT_ERROR_ARGUMENT);
    nft_trainer_free(trainer);
    close_setting(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffled),          cmocka_unit_test(in_order),
        cmocka_unit_test(goes_back),         cmocka_unit_test(goes_beyond),
        cmocka_unit_test(owes_a_validation), cmocka_unit_test(of_another_training),
        cmocka_unit_test(of_other_data),     cmocka_unit_test(of_other_tokens),
        cmocka_unit_test(of_the_same_data),  cmocka_unit_test(damaged),
        cmocka_unit_test(not_a_checkpoint),  cmocka_unit_test(diverged_at_the_end),
    };
    return cmocka_run_group_tests_name("checkpoints", tests, temporary_open, temporary_close);
}
