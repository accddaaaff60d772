/* Training on networks of several spaces: from memory, or from an index whose parts are read batch by batch.
 */
#define _XOPEN_SOURCE 700
#include "unit/temporary.h"

#include "nft/train.h"
#include "unit/mixed_zoo.h"

#define MIXED_RECIPE                                                                                         \
    "{'loss': 'bce', " ADAMW                                                                                 \
    ", 'batch_size': 7, 'steps': 9, 'seed': 3, 'grad_clip': 0.5, 'validate_every': 4}"

static nft_trainer *trainer_in_memory(const nft_model *model, const zoo *train, const zoo *validation,
                                      int32_t threads)
{
    nft_trainer *trainer = make_trainer(model, MIXED_RECIPE, threads);
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS(sets_of(train), SPACES),
                                   NFT_DATA_WEIGHTS(sets_of(validation), SPACES)));
    return trainer;
}

static nft_trainer *trainer_from_index(const nft_model *model, const char *train, const char *validation,
                                       int32_t threads)
{
    nft_trainer *trainer = make_trainer(model, MIXED_RECIPE, threads);
    nft_dataset *datasets[2];
    assert_ok(nft_dataset_open(&datasets[0], train, NULL));
    assert_ok(nft_dataset_open(&datasets[1], validation, NULL));
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_FILES(datasets[0]), NFT_DATA_FILES(datasets[1])));
    nft_dataset_free(datasets[0]);
    nft_dataset_free(datasets[1]);
    return trainer;
}

static void same_state(const nft_trainer *a, const nft_trainer *b)
{
    support_result x = trainer_values(a), y = trainer_values(b);
    same_values("the parameters", x, y);
    assert_true(nft_trainer_describe(a)->best_loss == nft_trainer_describe(b)->best_loss);
    support_identical("the validation's output", nft_array_count(nft_trainer_describe(a)->validation_output),
                      nft_array_f32(nft_trainer_describe(a)->validation_output),
                      nft_array_f32(nft_trainer_describe(b)->validation_output));
    free(x.values);
    free(y.values);
}

static void memory_index_and_threads_give_the_same_bits(void **state)
{
    (void)state;
    nft_model *model = support_model(MIXED, 1);
    zoo train = open_zoo("train", 10), validation = open_zoo("validation", 20);
    nft_trainer *first = trainer_in_memory(model, &train, &validation, 1);
    assert_ok(nft_trainer_fit_normalize(first));
    assert_ok(nft_trainer_run(first, NULL, NULL));
    for (int32_t threads = 1; threads < 5; threads++) {
        nft_trainer *other = threads % 2 ? trainer_from_index(model, train.index, validation.index, threads)
                                         : trainer_in_memory(model, &train, &validation, threads);
        assert_ok(nft_trainer_fit_normalize(other));
        assert_ok(nft_trainer_run(other, NULL, NULL));
        same_state(first, other);
        nft_trainer_free(other);
    }
    nft_trainer_free(first);
    close_zoo(&train);
    close_zoo(&validation);
    nft_model_free(model);
}

static void parameters_move_for_every_space(void **state)
{
    (void)state;
    nft_model *model = support_model(MIXED, 1), *after = NULL;
    zoo z = open_zoo("zoo", 10);
    nft_trainer *trainer = trainer_in_memory(model, &z, &z, 2);
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    assert_ok(nft_trainer_snapshot(&after, trainer, NFT_SNAPSHOT_LAST));
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info a = NFT_TENSOR_INFO_INIT, b = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&a, model, i));
        assert_ok(nft_model_tensor(&b, after, i));
        bool moved = memcmp(a.data, b.data, (size_t)a.count * sizeof *a.data) != 0;
        if (strstr(a.name, "maps.conv.weight") || strstr(a.name, "maps.scalar.weight") ||
            strstr(a.name, "maps.linear.weight"))
            assert_true(moved);
    }
    nft_model_free(after);
    nft_trainer_free(trainer);
    close_zoo(&z);
    nft_model_free(model);
}

static void validation_outputs_are_in_the_order_of_the_samples(void **state)
{
    (void)state;
    nft_model *model = support_model(MIXED, 1), *trained = NULL;
    zoo train = open_zoo("train", 10), validation = open_zoo("validation", 20);
    nft_trainer *trainer = trainer_from_index(model, train.index, validation.index, 2);
    double loss = 0;
    assert_ok(nft_trainer_step(NULL, trainer));
    assert_ok(nft_trainer_validate(&loss, trainer));
    assert_ok(nft_trainer_snapshot(&trained, trainer, NFT_SNAPSHOT_LAST));
    nft_context *context = support_context(trained, 1, 32);
    const float *output = nft_array_f32(nft_trainer_describe(trainer)->validation_output);
    assert_int_equal(nft_array_size(nft_trainer_describe(trainer)->validation_output, 0), 5 + 11 + 4);
    for (int i = 0; i < SPACES; i++) {
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(validation.sets[i])));
        support_identical("outputs", counts[i], output,
                          nft_array_f32(nft_context_output(context, NFT_OUTPUT)->array));
        output += counts[i];
    }
    nft_context_free(context);
    nft_trainer_free(trainer);
    nft_model_free(trained);
    nft_model_free(model);
    close_zoo(&train);
    close_zoo(&validation);
}

static void a_checkpoint_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    nft_model *model = support_model(MIXED, 1);
    zoo train = open_zoo("train", 10), validation = open_zoo("validation", 20);
    nft_trainer *whole = trainer_in_memory(model, &train, &validation, 2),
                *begun = trainer_in_memory(model, &train, &validation, 1),
                *resumed = trainer_from_index(model, train.index, validation.index, 3);
    assert_ok(nft_trainer_fit_normalize(whole));
    assert_ok(nft_trainer_fit_normalize(begun));
    assert_ok(nft_trainer_run(whole, NULL, NULL));
    for (int i = 0; i < 3; i++)
        assert_ok(nft_trainer_step(NULL, begun));
    assert_ok(nft_trainer_save(begun, temporary_path("checkpoint")));
    assert_ok(nft_trainer_resume(resumed, temporary_path("checkpoint")));
    assert_int_equal(nft_trainer_describe(resumed)->steps_done, 3);
    assert_ok(nft_trainer_run(resumed, NULL, NULL));
    same_state(whole, resumed);
    nft_trainer_free(whole);
    nft_trainer_free(begun);
    nft_trainer_free(resumed);
    close_zoo(&train);
    close_zoo(&validation);
    nft_model_free(model);
}

/* The numbers are the same, but a tensor has another role, or the parts another order. */
static void a_checkpoint_of_other_spaces_is_refused(void **state)
{
    (void)state;
    nft_model *model = support_model(MIXED, 1);
    zoo z = open_zoo("zoo", 10);
    nft_trainer *trainer = trainer_in_memory(model, &z, &z, 1);
    const char *path = temporary_path("checkpoint");
    assert_ok(nft_trainer_save(trainer, path));
    const nft_weights *order[] = {z.sets[1], z.sets[0], z.sets[2]};
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS(order, SPACES),
                                   NFT_DATA_WEIGHTS(sets_of(&z), SPACES)));
    expect(nft_trainer_resume(trainer, path), NFT_ERROR_MISMATCH, "the inputs of the training set");

    char text[700];
    snprintf(text, sizeof text, "%s", space_texts[1]);
    memcpy(strstr(text, "bn.weight"), "bn.bias_t", 9);
    nft_space *renamed = parse_space(text);
    nft_weights *other = NULL;
    const float *arrays[5];
    for (int t = 0; t < 5; t++)
        arrays[t] = nft_weights_data(z.sets[1], t);
    assert_ok(nft_weights_create(&other, renamed, counts[1], 1, arrays));
    assert_ok(nft_weights_set_extra(other, "label", nft_weights_extra(z.sets[1], "label")));
    order[0] = z.sets[0];
    order[1] = other;
    assert_true(nft_space_equal(nft_weights_space(other), nft_weights_space(z.sets[1])));
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS(order, SPACES),
                                   NFT_DATA_WEIGHTS(sets_of(&z), SPACES)));
    expect(nft_trainer_resume(trainer, path), NFT_ERROR_MISMATCH, "the inputs of the training set");
    order[1] = z.sets[1];
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS(order, SPACES),
                                   NFT_DATA_WEIGHTS(sets_of(&z), SPACES)));
    assert_ok(nft_trainer_resume(trainer, path));
    nft_weights_free(other);
    nft_space_free(renamed);
    nft_trainer_free(trainer);
    close_zoo(&z);
    nft_model_free(model);
}

/* One set, or two that have its networks one after the other. */
static void how_a_set_is_cut_does_not_matter(void **state)
{
    (void)state;
    nft_model *model = support_model(PREDICTOR, 1);
    nft_weights *whole = make_set(model, SAMPLES, 2), *parts[2];
    const int64_t sizes[] = {4, SAMPLES - 4};
    int64_t from = 0;
    for (int i = 0; i < 2; i++) {
        nft_array *label = NULL;
        assert_ok(nft_weights_create(&parts[i], nft_model_describe(model)->space, sizes[i], 1, NULL));
        for (int64_t t = 0; t < nft_space_describe(nft_model_describe(model)->space)->tensor_count; t++) {
            int64_t row = nft_weights_data_count(whole, t) / SAMPLES;
            memcpy(nft_weights_edit(parts[i], t), nft_weights_data(whole, t) + from * row,
                   (size_t)(sizes[i] * row) * sizeof(float));
        }
        assert_ok(nft_array_create(&label, NFT_ARRAY_F32, &sizes[i], 1,
                                   nft_array_f32(nft_weights_extra(whole, "label")) + from));
        assert_ok(nft_weights_set_extra(parts[i], "label", label));
        nft_array_free(label);
        from += sizes[i];
    }
    nft_trainer *a = make_trainer(model, RECIPE, 2), *b = make_trainer(model, RECIPE, 1);
    assert_ok(set_data(a, whole, whole));
    const nft_weights *const list[] = {parts[0], parts[1]};
    assert_ok(nft_trainer_set_data(b, NFT_DATA_WEIGHTS(list, 2), NFT_DATA_WEIGHTS(list, 2)));
    assert_ok(nft_trainer_fit_normalize(a));
    assert_ok(nft_trainer_fit_normalize(b));
    assert_ok(nft_trainer_run(a, NULL, NULL));
    assert_ok(nft_trainer_run(b, NULL, NULL));
    same_state(a, b);
    assert_ok(nft_trainer_save(a, temporary_path("checkpoint")));
    assert_ok(nft_trainer_resume(b, temporary_path("checkpoint")));
    nft_trainer_free(a);
    nft_trainer_free(b);
    for (int i = 0; i < 2; i++)
        nft_weights_free(parts[i]);
    nft_weights_free(whole);
    nft_model_free(model);
}

/* ---- statistics ---- */

static const float *buffer_of(const nft_model *model, const char *kind, const char *role)
{
    char name[64];
    snprintf(name, sizeof name, "0.%s_%s", kind, role);
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_model_tensor(&info, model, i));
        if (!strcmp(info.name, name))
            return info.data;
    }
    fail_msg("there is no '%s'", name);
    return NULL;
}

/* Mean and biased deviation over all entries of a role, computed in two passes. */
static void check_role(const nft_model *fitted, const zoo *z, int32_t role, const char *name)
{
    double count = 0, sum = 0, squares = 0, mean = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < SPACES; i++)
            for (int64_t t = 0; t < nft_space_describe(nft_weights_space(z->sets[i]))->tensor_count; t++) {
                nft_space_tensor tensor = {.size = sizeof tensor};
                assert_ok(nft_space_get_tensor(&tensor, nft_weights_space(z->sets[i]), t));
                const float *values = nft_weights_data(z->sets[i], t);
                for (int64_t k = 0; k < nft_weights_data_count(z->sets[i], t) && tensor.role == role; k++) {
                    count += pass == 0;
                    sum += pass == 0 ? (double)values[k] : 0;
                    squares += pass == 1 ? ((double)values[k] - mean) * ((double)values[k] - mean) : 0;
                }
                mean = count > 0 ? sum / count : 0;
            }
    double deviation = count > 0 ? sqrt(squares / count) : 1;
    deviation = deviation < 1e-5 ? 1 : deviation;
    if (fabs((double)*buffer_of(fitted, "mean", name) - mean) > 1e-6 ||
        fabs((double)*buffer_of(fitted, "std", name) - deviation) > 1e-6)
        fail_msg("%s: mean %g and deviation %g, expected %g and %g", name,
                 (double)*buffer_of(fitted, "mean", name), (double)*buffer_of(fitted, "std", name), mean,
                 deviation);
}

static void statistics_of_a_role_are_pooled_over_all_spaces(void **state)
{
    (void)state;
    static const char *const names[] = {"linear", "conv",         "depthwise",   "gain",
                                        "bias",   "running_mean", "running_var", "scalar"};
    nft_model *model = support_model(MIXED, 1), *fitted = NULL;
    zoo z = open_zoo("zoo", 10);
    float *constant = nft_weights_edit(z.sets[1], 2); /* bn.running_var, the only one of its role */
    for (int64_t k = 0; k < nft_weights_data_count(z.sets[1], 2); k++)
        constant[k] = 0.5F;
    nft_trainer *trainer = trainer_in_memory(model, &z, &z, 2);
    assert_ok(nft_trainer_fit_normalize(trainer));
    assert_ok(nft_trainer_snapshot(&fitted, trainer, NFT_SNAPSHOT_LAST));
    for (int32_t role = 0; role < 8; role++)
        check_role(fitted, &z, role + 1, names[role]);
    assert_true(*buffer_of(fitted, "std", "running_var") == 1);
    assert_true(*buffer_of(fitted, "mean", "running_var") == 0.5F);
    assert_true(*buffer_of(fitted, "mean", "depthwise") == 0);
    assert_true(*buffer_of(fitted, "std", "depthwise") == 1);
    nft_model_free(fitted);
    nft_trainer_free(trainer);
    close_zoo(&z);
    nft_model_free(model);
}

/* ---- data that are refused ---- */

/* The last four bytes of a part are the last network's label or weight: extras come last in a file. */
static void change_last_number(const char *name, float number)
{
    FILE *file = fopen(temporary_path(name), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -4, SEEK_END), 0);
    assert_int_equal(fwrite(&number, sizeof number, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static void data_that_change_during_training_are_refused(void **state)
{
    (void)state;
    nft_model *model = support_model(MIXED, 1);
    zoo train = open_zoo("train", 10), validation = open_zoo("validation", 20);
    nft_trainer *trainer = trainer_from_index(model, train.index, validation.index, 2);
    double loss = 0;
    assert_ok(nft_trainer_step(NULL, trainer));
    change_last_number("validation-1.safetensors", 7);
    expect(nft_trainer_validate(&loss, trainer), NFT_ERROR_MISMATCH, "target 15 is 7, loss bce takes 0 … 1");
    change_last_number("train-1.safetensors", NAN);
    support_result before = trainer_values(trainer);
    nft_status status = NFT_OK;
    for (int i = 0; i < 3 && !status; i++) { /* 20 samples in batches of 7 */
        free(before.values);
        before = trainer_values(trainer);
        status = nft_trainer_step(NULL, trainer);
    }
    expect(status, NFT_ERROR_NOT_FINITE, "target 15 is not finite");
    support_result after = trainer_values(trainer);
    same_values("the parameters", before, after);
    free(before.values);
    free(after.values);
    nft_trainer_free(trainer);
    close_zoo(&train);
    close_zoo(&validation);
    nft_model_free(model);
}

static int no_batch(nft_batch *batch, void *user)
{
    (void)batch;
    (void)user;
    return 0;
}

static void lists_are_checked_by_set(void **state)
{
    (void)state;
    nft_model *model = support_model(MIXED, 1), *fixed = support_model(PREDICTOR, 1);
    zoo z = open_zoo("zoo", 10);
    nft_trainer *trainer = make_trainer(model, MIXED_RECIPE, 1), *of_one = make_trainer(fixed, RECIPE, 1);
    const nft_weights *list[] = {z.sets[0], NULL};
    expect(nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS(list, 2), NULL), NFT_ERROR_ARGUMENT,
           "training set: set 1: it is NULL");
    expect(nft_trainer_set_data(of_one, NFT_DATA_WEIGHTS(list, 1), NULL), NFT_ERROR_MISMATCH,
           "training set: ");
    expect(nft_trainer_set_data(trainer, NFT_DATA_CALLBACK(no_batch, NULL), NULL), NFT_ERROR_ARGUMENT,
           "of any space");
    nft_weights_edit(z.sets[1], 3)[80] = INFINITY; /* network 0 has 81 numbers of that tensor */
    expect(nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS(sets_of(&z), SPACES), NULL), NFT_ERROR_NOT_FINITE,
           "training set: network 5: 'block.weight'");
    nft_weights_edit(z.sets[1], 3)[80] = 0;
    assert_ok(nft_weights_set_extra(z.sets[2], "label", NULL));
    expect(nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS(sets_of(&z), SPACES), NULL), NFT_ERROR_MISMATCH,
           "training set: set 2: it has no tensor 'label'");
    expect(nft_trainer_step(NULL, trainer), NFT_ERROR_ARGUMENT, "there is no training data");
    nft_trainer_free(trainer);
    nft_trainer_free(of_one);
    close_zoo(&z);
    nft_model_free(model);
    nft_model_free(fixed);
}

/* The memory of a model of any space depends on the spaces of its data. */
static void spaces_that_need_too_much_memory_are_refused(void **state)
{
    (void)state;
    char *recipe = support_json(MIXED_RECIPE);
    nft_model *model = support_model(MIXED, 1);
    zoo z = open_zoo("zoo", 10);
    nft_space *large = SUPPORT_MLP(2, 100, 100, 1);
    nft_weights *networks = support_weights(large, 2, 1, 1);
    int64_t without = 0, small = 0, most = 0, much = 0;
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    options.threads = 2;
    label_set(networks, 1);
    assert_ok(nft_trainer_memory(&without, model, NULL, recipe, strlen(recipe), &options));
    for (int i = 0; i < SPACES; i++) {
        assert_ok(nft_trainer_memory(&small, model, nft_weights_space(z.sets[i]), recipe, strlen(recipe),
                                     &options));
        assert_true(small > without);
        most = small > most ? small : most;
    }
    assert_ok(nft_trainer_memory(&much, model, large, recipe, strlen(recipe), &options));
    assert_true(much > most);
    options.memory_limit = most;
    nft_trainer *trainer = NULL;
    assert_ok(nft_trainer_create(&trainer, model, recipe, strlen(recipe), &options));
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS(sets_of(&z), SPACES), NULL));
    const nft_weights *const list[] = {z.sets[0], networks};
    expect(nft_trainer_set_data(trainer, NFT_DATA_WEIGHTS(list, 2), NULL), NFT_ERROR_LIMIT,
           "from number 5 on");
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    nft_trainer_free(trainer);
    nft_weights_free(networks);
    nft_space_free(large);
    close_zoo(&z);
    nft_model_free(model);
    free(recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_index_and_threads_give_the_same_bits),
        cmocka_unit_test(parameters_move_for_every_space),
        cmocka_unit_test(validation_outputs_are_in_the_order_of_the_samples),
        cmocka_unit_test(a_checkpoint_goes_on_with_the_same_bits),
        cmocka_unit_test(a_checkpoint_of_other_spaces_is_refused),
        cmocka_unit_test(how_a_set_is_cut_does_not_matter),
        cmocka_unit_test(statistics_of_a_role_are_pooled_over_all_spaces),
        cmocka_unit_test(data_that_change_during_training_are_refused),
        cmocka_unit_test(lists_are_checked_by_set),
        cmocka_unit_test(spaces_that_need_too_much_memory_are_refused),
    };
    return cmocka_run_group_tests_name("mixed training", tests, temporary_open, temporary_close);
}
