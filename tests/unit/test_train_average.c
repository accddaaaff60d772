/* The exponential moving average of the parameters: its formula, where it is used, and its checkpoints. */
#define _XOPEN_SOURCE 700
#include "nft/train.h"
#include "unit/setting.h"
#include "unit/temporary.h"

#define STEPS 6
#define DECAY 0.3 /* that of the warm-up is lower in the first two steps */
#define PLAIN(more)                                                                                          \
    "{'loss': 'bce', " ADAMW ", 'batch_size': 5, 'steps': 6, 'seed': 3, 'validate_every': 2" more "}"
#define AVERAGED PLAIN(", 'ema_decay': 0.3")

static nft_trainer *trainer_of(const setting *s, const char *recipe, int32_t threads)
{
    nft_trainer *trainer = make_trainer(s->model, recipe, threads);
    assert_ok(set_data(trainer, s->train, s->validation));
    assert_ok(nft_trainer_fit_normalize(trainer));
    return trainer;
}

static void same_parameters(const nft_trainer *trainer, support_result expected)
{
    support_result values = trainer_values(trainer);
    same_values("the parameters", values, expected);
    free(values.values);
}

/* a ← a + (1 - d) (p - a), d = min(decay, (1 + t) / (10 + t)); the gradients are those of a training without
 * an average. */
static void follows_the_formula(void **state)
{
    (void)state;
    setting s = open_setting();
    nft_trainer *plain = trainer_of(&s, PLAIN(""), 1), *averaged = trainer_of(&s, AVERAGED, 2);
    support_result average = trainer_values(plain);
    same_parameters(averaged, average);
    for (int t = 1; t <= STEPS; t++) {
        nft_step_info a = NFT_STEP_INFO_INIT, b = NFT_STEP_INFO_INIT;
        double warm = (1. + t) / (10. + t), decay = warm < DECAY ? warm : DECAY;
        assert_ok(nft_trainer_step(&a, plain));
        assert_ok(nft_trainer_step(&b, averaged));
        assert_true(a.loss == b.loss && a.grad_norm == b.grad_norm);
        support_result values = trainer_values(plain), found = trainer_values(averaged);
        for (int64_t i = 0; i < average.count; i++) {
            float before = average.values[i];
            average.values[i] = before + (float)(1 - decay) * (values.values[i] - before);
            if (fabs((double)found.values[i] - (double)average.values[i]) > 1e-6)
                fail_msg("step %d: number %d is %g, expected %g", t, (int)i, (double)found.values[i],
                         (double)average.values[i]);
            average.values[i] = found.values[i];
        }
        free(values.values);
        free(found.values);
    }
    free(average.values);
    nft_trainer_free(plain);
    nft_trainer_free(averaged);
    close_setting(&s);
}

/* Buffers are not averaged with their values from before nft_trainer_fit_normalize(). */
static void takes_the_statistics_of_the_data(void **state)
{
    (void)state;
    setting s = open_setting();
    nft_trainer *trainer = trainer_of(&s, AVERAGED, 1), *other = trainer_of(&s, PLAIN(""), 1);
    nft_model *model = NULL, *expected = NULL;
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    assert_ok(nft_trainer_snapshot(&model, trainer, NFT_SNAPSHOT_LAST));
    assert_ok(nft_trainer_snapshot(&expected, other, NFT_SNAPSHOT_LAST));
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info a = NFT_TENSOR_INFO_INIT, b = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&a, model, i));
        assert_ok(nft_model_tensor(&b, expected, i));
        if (!a.trained)
            support_identical(a.name, a.count, a.data, b.data);
    }
    nft_model_free(model);
    nft_model_free(expected);
    nft_trainer_free(trainer);
    nft_trainer_free(other);
    close_setting(&s);
}

/* The outputs of the validation are those of the snapshot, and the best parameters are averages. */
static void is_validated(void **state)
{
    (void)state;
    setting s = open_setting();
    nft_trainer *trainer = trainer_of(&s, AVERAGED, 2);
    nft_model *last = NULL;
    nft_context *context = NULL;
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    double loss = 0;
    for (int i = 0; i < STEPS; i++)
        assert_ok(nft_trainer_step(NULL, trainer));
    assert_ok(nft_trainer_validate(&loss, trainer));
    assert_ok(nft_trainer_snapshot(&last, trainer, NFT_SNAPSHOT_LAST));
    options.precision = support_precision();
    assert_ok(nft_context_create(&context, last, &options));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(s.validation)));
    const nft_array *expected = nft_context_output(context, NFT_OUTPUT)->array,
                    *found = nft_trainer_describe(trainer)->validation_output;
    support_identical("the outputs", nft_array_count(found), nft_array_f32(found), nft_array_f32(expected));
    nft_model *best = NULL;
    assert_ok(nft_trainer_snapshot(&best, trainer, NFT_SNAPSHOT_BEST));
    support_result a = model_values(last), b = model_values(best);
    same_values("the best parameters", a, b);
    free(a.values);
    free(b.values);
    nft_model_free(best);
    nft_model_free(last);
    nft_context_free(context);
    nft_trainer_free(trainer);
    close_setting(&s);
}

/* A validation between the steps leaves the parameters and their packed weights as they were. */
static void validation_changes_no_step(void **state)
{
    (void)state;
    setting s = open_setting();
    nft_trainer *a = trainer_of(&s, AVERAGED, 1), *b = trainer_of(&s, AVERAGED, 3);
    for (int i = 0; i < STEPS; i++) {
        double loss = 0;
        assert_ok(nft_trainer_step(NULL, a));
        assert_ok(nft_trainer_step(NULL, b));
        assert_ok(nft_trainer_validate(&loss, b));
    }
    support_result expected = trainer_values(a);
    same_parameters(b, expected);
    free(expected.values);
    nft_trainer_free(a);
    nft_trainer_free(b);
    close_setting(&s);
}

static int stop_after(const nft_step_info *info, void *user)
{
    return info->step + 1 == *(const int64_t *)user;
}

static void resumes(void **state)
{
    (void)state;
    setting s = open_setting();
    const char *path = temporary_path("average.safetensors");
    nft_trainer *whole = trainer_of(&s, AVERAGED, 1);
    assert_ok(nft_trainer_run(whole, NULL, NULL));
    support_result expected = trainer_values(whole);
    for (int64_t step = 1; step < STEPS; step++) {
        nft_trainer *first = trainer_of(&s, AVERAGED, 2), *second = make_trainer(s.model, AVERAGED, 1);
        assert_ok(set_data(second, s.train, s.validation));
        assert_int_equal(nft_trainer_run(first, stop_after, &step), NFT_ERROR_CANCELLED);
        assert_ok(nft_trainer_save(first, path));
        assert_ok(nft_trainer_resume(second, path));
        support_result middle = trainer_values(first);
        same_parameters(second, middle);
        assert_ok(nft_trainer_run(second, NULL, NULL));
        same_parameters(second, expected);
        assert_true(nft_trainer_describe(second)->best_loss == nft_trainer_describe(whole)->best_loss);
        free(middle.values);
        nft_trainer_free(first);
        nft_trainer_free(second);
    }
    free(expected.values);
    nft_trainer_free(whole);
    close_setting(&s);
}

/* A checkpoint of another decay, or with an average where there is none, says so. */
static void refuses_another_decay(void **state)
{
    (void)state;
    static const struct {
        const char *then, *now, *message;
    } cases[] = {{AVERAGED, PLAIN(", 'ema_decay': 0.5"), "'recipe.ema_decay' was 0.3, now it is 0.5"},
                 {AVERAGED, PLAIN(""), "'recipe.ema_decay' was 0.3, now it is missing"},
                 {PLAIN(""), AVERAGED, "'recipe.ema_decay' was missing, now it is 0.3"}};
    setting s = open_setting();
    const char *path = temporary_path("other.safetensors");
    for (size_t i = 0; i < COUNT(cases); i++) {
        nft_trainer *then = trainer_of(&s, cases[i].then, 1), *now = trainer_of(&s, cases[i].now, 1);
        assert_ok(nft_trainer_save(then, path));
        assert_int_equal(nft_trainer_resume(now, path), NFT_ERROR_MISMATCH);
        expect_message(cases[i].message);
        nft_trainer_free(then);
        nft_trainer_free(now);
    }
    close_setting(&s);
}

static void refuses_what_is_no_decay(void **state)
{
    (void)state;
    static const char *const values[] = {"0", "1", "-0.5", "true", "'0.9'"};
    nft_model *model = support_model(PREDICTOR, 1);
    for (size_t i = 0; i < COUNT(values); i++) {
        char recipe[256];
        nft_trainer *trainer = NULL;
        snprintf(recipe, sizeof recipe,
                 "{'loss': 'bce', " ADAMW ", 'batch_size': 5, 'steps': 2, 'ema_decay': %s}", values[i]);
        char *json = support_json(recipe);
        assert_int_equal(nft_trainer_create(&trainer, model, json, strlen(json), NULL), NFT_ERROR_CONFIG);
        expect_message("'ema_decay' is not a number above 0 and below 1");
        free(json);
    }
    nft_model_free(model);
}

static void counts_its_memory(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    support_result values = model_values(model);
    assert_true(memory_between(model, AVERAGED, PLAIN("")) >= values.count * (int64_t)sizeof(float));
    free(values.values);
    nft_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_formula),
        cmocka_unit_test(takes_the_statistics_of_the_data),
        cmocka_unit_test(is_validated),
        cmocka_unit_test(validation_changes_no_step),
        cmocka_unit_test(resumes),
        cmocka_unit_test(refuses_another_decay),
        cmocka_unit_test(refuses_what_is_no_decay),
        cmocka_unit_test(counts_its_memory),
    };
    return cmocka_run_group_tests_name("average", tests, temporary_open, temporary_close);
}
