/* Early stopping. A learning rate of 0 leaves the validation loss as the first validation found it. */
#define _XOPEN_SOURCE 700
#include "nft/train.h"
#include "unit/setting.h"
#include "unit/temporary.h"

#define STEADY(more)                                                                                         \
    "{'loss': 'bce', 'optimizer': {'type': 'adam', 'lr': 0}, 'batch_size': 5, 'steps': 20, "                 \
    "'validate_every': 2" more "}"

static nft_trainer *trainer_of(const setting *s, const char *recipe)
{
    nft_trainer *trainer = make_trainer(s->model, recipe, 1);
    assert_ok(set_data(trainer, s->train, s->validation));
    return trainer;
}

static int64_t steps_of(const setting *s, const char *recipe)
{
    nft_trainer *trainer = trainer_of(s, recipe);
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    int64_t steps = nft_trainer_describe(trainer)->steps_done;
    assert_int_equal(nft_trainer_describe(trainer)->steps, steps);
    nft_trainer_free(trainer);
    return steps;
}

static void ends_after_validations_without_a_lower_loss(void **state)
{
    (void)state;
    setting s = open_setting();
    assert_int_equal(steps_of(&s, STEADY("")), 20);
    assert_int_equal(steps_of(&s, STEADY(", 'patience': null")), 20);
    assert_int_equal(steps_of(&s, STEADY(", 'patience': 1")), 4);
    assert_int_equal(steps_of(&s, STEADY(", 'patience': 3")), 8);
    assert_int_equal(steps_of(&s, STEADY(", 'patience': 10")), 20);
    close_setting(&s);
}

static int tell_last(const nft_step_info *info, void *user)
{
    *(nft_step_info *)user = *info;
    return 0;
}

/* The data repeat, so that a loss that can only fall does not end the training. */
static void continues_while_the_loss_falls(void **state)
{
    (void)state;
    setting s = open_setting();
    nft_trainer *trainer = make_trainer(s.model,
                                        "{'loss': 'bce', 'optimizer': {'type': 'adam', 'lr': 1e-4}, "
                                        "'batch_size': 9, 'steps': 8, 'validate_every': 1, 'patience': 1}",
                                        1);
    nft_step_info last = NFT_STEP_INFO_INIT;
    assert_ok(set_data(trainer, s.train, s.train));
    assert_ok(nft_trainer_run(trainer, tell_last, &last));
    assert_true(nft_trainer_describe(trainer)->steps_done > 2);
    assert_true(last.validated);
    nft_trainer_free(trainer);
    close_setting(&s);
}

static int stop_after(const nft_step_info *info, void *user)
{
    return info->step + 1 == *(int64_t *)user;
}

static void resumes_with_the_validations_that_it_has_waited(void **state)
{
    (void)state;
    setting s = open_setting();
    const char *path = temporary_path("patience.safetensors");
    for (int64_t step = 1; step < 6; step++) {
        nft_trainer *first = trainer_of(&s, STEADY(", 'patience': 2")),
                    *second = trainer_of(&s, STEADY(", 'patience': 2"));
        assert_int_equal(nft_trainer_run(first, stop_after, &step), NFT_ERROR_CANCELLED);
        assert_ok(nft_trainer_save(first, path));
        assert_ok(nft_trainer_resume(second, path));
        assert_ok(nft_trainer_run(second, NULL, NULL));
        assert_int_equal(nft_trainer_describe(second)->steps_done, 6);
        nft_trainer_free(first);
        nft_trainer_free(second);
    }
    close_setting(&s);
}

/* With `extend` a training that has ended continues with more patience. */
static void is_extended(void **state)
{
    (void)state;
    setting s = open_setting();
    const char *path = temporary_path("extended.safetensors");
    nft_trainer *ended = trainer_of(&s, STEADY(", 'patience': 2")), *strict, *more = NULL;
    assert_ok(nft_trainer_run(ended, NULL, NULL));
    assert_ok(nft_trainer_save(ended, path));
    strict = trainer_of(&s, STEADY(", 'patience': 3"));
    assert_int_equal(nft_trainer_resume(strict, path), NFT_ERROR_MISMATCH);
    expect_message("'recipe.patience' was 2, now it is 3");
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    options.threads = 1;
    options.extend = 1;
    options.precision = support_precision();
    for (int with = 0; with < 2; with++) {
        char *json = support_json(with ? STEADY(", 'patience': 3") : STEADY(""));
        assert_ok(nft_trainer_create(&more, s.model, json, strlen(json), &options));
        free(json);
        assert_ok(set_data(more, s.train, s.validation));
        assert_ok(nft_trainer_resume(more, path));
        assert_ok(nft_trainer_run(more, NULL, NULL));
        assert_int_equal(nft_trainer_describe(more)->steps_done, with ? 8 : 20);
        nft_trainer_free(more);
    }
    nft_trainer_free(ended);
    nft_trainer_free(strict);
    close_setting(&s);
}

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    setting s = open_setting();
    static const char *const values[] = {"0", "-1", "1.5", "'5'", "true"};
    for (size_t i = 0; i < COUNT(values); i++) {
        char recipe[256];
        nft_trainer *trainer = NULL;
        snprintf(recipe, sizeof recipe,
                 "{'loss': 'bce', " ADAMW ", 'batch_size': 5, 'steps': 2, 'patience': %s}", values[i]);
        char *json = support_json(recipe);
        assert_int_equal(nft_trainer_create(&trainer, s.model, json, strlen(json), NULL), NFT_ERROR_CONFIG);
        expect_message("'patience' is not a number of validations, at least 1");
        free(json);
    }
    nft_trainer *trainer = make_trainer(s.model, STEADY(", 'patience': 2"), 1);
    assert_ok(set_data(trainer, s.train, NULL));
    assert_int_equal(nft_trainer_run(trainer, NULL, NULL), NFT_ERROR_CONFIG);
    expect_message("'patience' needs a validation set");
    assert_int_equal(nft_trainer_describe(trainer)->steps_done, 0);
    nft_trainer_free(trainer);
    close_setting(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_after_validations_without_a_lower_loss),
        cmocka_unit_test(continues_while_the_loss_falls),
        cmocka_unit_test(resumes_with_the_validations_that_it_has_waited),
        cmocka_unit_test(is_extended),
        cmocka_unit_test(refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests_name("patience", tests, temporary_open, temporary_close);
}
