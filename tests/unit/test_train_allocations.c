/* Training with every allocation refused, one after the other: out of memory is a status, nothing leaks, and
 * a trainer continues as if nothing had happened. */
#define _GNU_SOURCE
#include "nft/train.h"
#include "unit/refusals.h"
#include "unit/temporary.h"
#include "unit/training.h"

#define DECODER                                                                                              \
    "{\"type\": \"hypernetwork\", \"style\": \"joint\", \"hidden_size\": 3, \"hidden_layers\": 1, "          \
    "\"additive\": true, \"height\": 3, \"width\": 3}"
#define RECIPE_TEXT                                                                                          \
    "{\"loss\": \"bce\", \"optimizer\": {\"type\": \"adamw\", \"lr\": 0.01}, \"batch_size\": 3, \"steps\": " \
    "4, "                                                                                                    \
    "\"ema_decay\": 0.5, \"validate_every\": 2, \"auxiliary\": {\"module\": 3, \"decoder\": " DECODER "}}"

/* Made once, with no allocation refused. */
static nft_model *model;
static nft_weights *set;
static char data_path[512], checkpoint_path[512];
static support_result expected; /* after all steps */

static nft_status create(nft_trainer **trainer)
{
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    options.threads = 2;
    return nft_trainer_create(trainer, model, RECIPE_TEXT, sizeof RECIPE_TEXT - 1, &options);
}

static nft_trainer *made(void)
{
    nft_trainer *trainer = NULL;
    assert_ok(create(&trainer));
    return trainer;
}

static nft_status create_trainer(void)
{
    nft_trainer *trainer = (void *)model;
    nft_status status = INTERPOSE(create(&trainer));
    assert_true((status == NFT_OK) == (trainer != NULL));
    nft_trainer_free(trainer);
    return status;
}

static nft_status ask_memory(void)
{
    int64_t bytes = 0;
    return INTERPOSE(nft_trainer_memory(&bytes, model, NULL, RECIPE_TEXT, sizeof RECIPE_TEXT - 1, NULL));
}

/* A trainer after whatever failed: with its data it ends where every other does. */
static nft_status finish(nft_status status, nft_trainer *trainer)
{
    if (status)
        assert_ok(set_data(trainer, set, set));
    assert_ok(nft_trainer_fit_normalize(trainer));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    support_result values = trainer_values(trainer);
    same_values("the parameters after a refused allocation", values, expected);
    free(values.values);
    nft_trainer_free(trainer);
    return status;
}

static nft_status set_networks(void)
{
    nft_trainer *trainer = made();
    return finish(INTERPOSE(set_data(trainer, set, set)), trainer);
}

static nft_status open_dataset(void)
{
    nft_dataset *dataset = (void *)model;
    nft_status status = INTERPOSE(nft_dataset_open(&dataset, data_path, NULL));
    assert_true((status == NFT_OK) == (dataset != NULL));
    nft_dataset_free(dataset);
    return status;
}

static nft_status set_dataset(void)
{
    nft_trainer *trainer = made();
    nft_dataset *dataset = NULL;
    assert_ok(nft_dataset_open(&dataset, data_path, NULL));
    nft_status status =
        INTERPOSE(nft_trainer_set_data(trainer, NFT_DATA_FILES(dataset), NFT_DATA_FILES(dataset)));
    nft_dataset_free(dataset);
    return finish(status, trainer);
}

static int fill(nft_batch *batch, void *user)
{
    (void)user;
    for (int64_t i = 0; i < batch->count; i++)
        batch->targets[i] = 0.5F;
    return 0;
}

static nft_status set_source(void)
{
    nft_trainer *trainer = made();
    nft_status status = INTERPOSE(nft_trainer_set_data(trainer, NFT_DATA_CALLBACK(fill, NULL), NULL));
    assert_int_equal(nft_trainer_step(NULL, trainer) == NFT_OK, status == NFT_OK);
    nft_trainer_free(trainer);
    return status;
}

static nft_status fit_normalize(void)
{
    nft_trainer *trainer = made();
    assert_ok(set_data(trainer, set, set));
    nft_status status = INTERPOSE(nft_trainer_fit_normalize(trainer));
    return finish(status, trainer);
}

/* Steps and validations allocate nothing. */
static nft_status run(void)
{
    nft_trainer *trainer = made();
    assert_ok(set_data(trainer, set, set));
    assert_ok(nft_trainer_fit_normalize(trainer));
    assert_ok(nft_trainer_step(NULL, trainer));
    nft_status status = INTERPOSE(nft_trainer_run(trainer, NULL, NULL));
    if (status)
        assert_ok(nft_trainer_run(trainer, NULL, NULL));
    support_result values = trainer_values(trainer);
    same_values("the parameters after a refused allocation", values, expected);
    free(values.values);
    nft_trainer_free(trainer);
    return status;
}

static nft_status save_checkpoint(void)
{
    nft_trainer *trainer = made();
    assert_ok(set_data(trainer, set, set));
    const char *path = temporary_path("saved");
    temporary_write(path, "old", 3);
    nft_status status = INTERPOSE(nft_trainer_save(trainer, path));
    size_t size = 0;
    free(support_read(path, &size));
    assert_int_equal(size == 3, status != NFT_OK);
    assert_int_equal(remove(path), 0);
    nft_trainer_free(trainer);
    return status;
}

static nft_status resume(void)
{
    nft_trainer *trainer = made();
    assert_ok(set_data(trainer, set, set));
    nft_status status = INTERPOSE(nft_trainer_resume(trainer, checkpoint_path));
    assert_int_equal(nft_trainer_describe(trainer)->steps_done, status ? 0 : 4);
    nft_trainer_free(trainer);
    return status;
}

static nft_status take_snapshot(void)
{
    nft_trainer *trainer = made();
    nft_model *copy = model;
    nft_status status = INTERPOSE(nft_trainer_snapshot(&copy, trainer, NFT_SNAPSHOT_LAST));
    assert_true((status == NFT_OK) == (copy != NULL));
    nft_model_free(copy);
    nft_trainer_free(trainer);
    return status;
}

static nft_status forward_and_backward(void)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    nft_gradients *gradients = NULL;
    options.keep_for_backward = options.input_gradient = 1;
    options.max_batch = SAMPLES;
    options.threads = 2;
    nft_status status = INTERPOSE(nft_context_create(&context, model, &options));
    if (!status)
        status = INTERPOSE(nft_gradients_create(&gradients, model));
    if (!status) {
        assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(set)));
        nft_array *ones = NULL;
        int64_t shape[] = {SAMPLES, 1};
        float values[SAMPLES] = {1};
        assert_ok(nft_array_borrow(&ones, NFT_ARRAY_F32, shape, 2, values));
        status = INTERPOSE(nft_backward(context, NFT_VIEW_ARRAY(ones), gradients));
        nft_array_free(ones);
    }
    nft_gradients_free(gradients);
    nft_context_free(context);
    return status;
}

/* The context needs its own copy of the model. Without memory for it, it keeps the shared one. */
static nft_status set_tensor(void)
{
    nft_context *context = NULL;
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    assert_ok(nft_context_create(&context, model, NULL));
    assert_ok(nft_model_tensor(&info, model, 0));
    nft_status status = INTERPOSE(nft_context_set_tensor(context, 0, info.data, info.count));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(set)));
    nft_context_free(context);
    return status;
}

static const operation operations[] = {
    {"create a trainer", create_trainer, 20},
    {"ask for a trainer's memory", ask_memory, 5},
    {"set data", set_networks, 3},
    {"open a data set", open_dataset, 5},
    {"set a data set", set_dataset, 5},
    {"set a source", set_source, 3},
    {"fit normalize", fit_normalize, 3},
    {"run", run, 0},
    {"save a checkpoint", save_checkpoint, 5},
    {"resume", resume, 5},
    {"take a snapshot", take_snapshot, 10},
    {"forward and backward", forward_and_backward, 5},
    {"set a tensor of a shared model", set_tensor, 10},
};

static void allocations_may_fail(void **state)
{
    (void)state;
    for (size_t o = 0; o < COUNT(operations); o++)
        refuse_each("training", &operations[o]);
}

static int open_all(void **state)
{
    if (interposed_install() || temporary_open(state))
        return -1;
    model = support_model(PREDICTOR, 1);
    set = make_set(model, SAMPLES, 2);
    snprintf(data_path, sizeof data_path, "%s", temporary_path("data"));
    snprintf(checkpoint_path, sizeof checkpoint_path, "%s", temporary_path("checkpoint"));
    assert_ok(nft_weights_save(set, data_path));
    nft_trainer *trainer = made();
    assert_ok(set_data(trainer, set, set));
    assert_ok(nft_trainer_fit_normalize(trainer));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    assert_ok(nft_trainer_save(trainer, checkpoint_path));
    expected = trainer_values(trainer);
    nft_trainer_free(trainer);
    return 0;
}

static int close_all(void **state)
{
    free(expected.values);
    nft_weights_free(set);
    nft_model_free(model);
    return temporary_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(allocations_may_fail)};
    return cmocka_run_group_tests_name("allocations of training", tests, open_all, close_all);
}
