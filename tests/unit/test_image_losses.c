/* The losses between images: against renderings made another way, against finite differences, from files as
 * from memory; and refused inputs. The golden training cases are test_train's. */
#define _GNU_SOURCE
#include "nft/file.h"
#include "nft/inr.h"
#include "nft/train.h"
#include "unit/image_networks.h"
#include "unit/refusals.h"
#include "unit/temporary.h"
#include "unit/training.h"

#define EDITOR(channels)                                                                                     \
    MLP("{'type': 'gaussian_fourier', 'mapping_size': 4}, {'type': 'nft_block', 'dropout': 0.1}, "           \
        "{'type': 'pointwise', 'out_channels': " channels "}")                                               \
    "}"
#define CNN_EDITOR CNN("{'type': 'pointwise', 'out_channels': 1}") "}"

static nft_dataset *opened(const nft_weights *set, const char *name)
{
    nft_dataset *dataset = NULL;
    const char *path = temporary_path(name);
    assert_ok(nft_weights_save(set, path));
    assert_ok(nft_dataset_open(&dataset, path, NULL));
    return dataset;
}

/* In memory on one thread, and from files on three. The validation set is more than is read at a time. */
static void from_files(const char *model_text, const char *recipe)
{
    nft_model *model = support_model(model_text, 1);
    nft_weights *train = make_networks(model, SAMPLES, 2), *validation = make_networks(model, 35, 3);
    set_targets(train, HEIGHT, WIDTH);
    set_targets(validation, HEIGHT, WIDTH);
    nft_dataset *train_file = opened(train, "train"), *validation_file = opened(validation, "validation");
    nft_trainer *a = make_trainer(model, recipe, 1), *b = make_trainer(model, recipe, 3);
    assert_ok(set_data(a, train, validation));
    assert_ok(nft_trainer_set_data(b, NFT_DATA_FILES(train_file), NFT_DATA_FILES(validation_file)));
    assert_ok(nft_trainer_run(a, NULL, NULL));
    assert_ok(nft_trainer_run(b, NULL, NULL));
    support_result x = trainer_values(a), y = trainer_values(b);
    same_values("the parameters", x, y);
    assert_true(nft_trainer_describe(a)->best_loss == nft_trainer_describe(b)->best_loss);
    assert_null(nft_trainer_describe(a)->validation_output);
    free(x.values);
    free(y.values);
    nft_trainer_free(a);
    nft_trainer_free(b);
    nft_dataset_free(train_file);
    nft_dataset_free(validation_file);
    nft_weights_free(train);
    nft_weights_free(validation);
    nft_model_free(model);
}

static void the_same_from_files(void **state)
{
    (void)state;
    from_files(EDITOR("1"), LOSS("render", ", 'omega': 20"));
    from_files(INR2ARRAY, LOSS("reconstruction", ""));
}

#define MOST_TENSORS 8

/* The same file with a frequency in its metadata. */
static nft_dataset *noted(const char *name, const char *omega)
{
    nft_file *file = NULL;
    nft_array *arrays[MOST_TENSORS];
    const char *names[MOST_TENSORS];
    nft_dataset *dataset = NULL;
    char path[512];
    snprintf(path, sizeof path, "%s", temporary_path(name));
    assert_ok(nft_file_open(&file, path, NULL));
    int64_t count = nft_file_tensor_count(file);
    assert_in_range(count, 1, MOST_TENSORS);
    for (int64_t i = 0; i < count; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_file_tensor(&info, file, i));
        names[i] = info.name;
        assert_ok(nft_file_read(&arrays[i], file, info.name, 0, NFT_ALL));
    }
    assert_ok(nft_array_save(path, names, (const nft_array *const *)arrays, (size_t)count,
                             (const char *const[]){"nft.omega", omega, NULL}));
    for (int64_t i = 0; i < count; i++)
        nft_array_free(arrays[i]);
    nft_file_free(file);
    assert_ok(nft_dataset_open(&dataset, path, NULL));
    return dataset;
}

/* The metadata of a set in memory: one number, or one for each layer. */
static void frequency_in_memory(nft_trainer *trainer, nft_weights *set, const char *own, const char *message)
{
    char each[64];
    snprintf(each, sizeof each, "%s, %s,%s", own, own, own);
    assert_ok(nft_weights_set_metadata(set, "nft.omega", each));
    assert_ok(set_data(trainer, set, set));
    snprintf(each, sizeof each, "%s,5", own);
    assert_ok(nft_weights_set_metadata(set, "nft.omega", each));
    assert_int_equal(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH);
    assert_non_null(strstr(nft_error_message(), message));
}

/* Networks that come out are rendered with the frequency of those that go in, or not at all. */
static void frequency(const char *model_text, const char *recipe, const char *own, const char *message)
{
    nft_model *model = support_model(model_text, 1);
    nft_weights *train = make_networks(model, SAMPLES, 2);
    set_targets(train, HEIGHT, WIDTH);
    nft_dataset_free(opened(train, "train"));
    nft_trainer *trainer = make_trainer(model, recipe, 1);
    nft_dataset *dataset = noted("train", own);
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_FILES(dataset), NFT_DATA_FILES(dataset)));
    nft_dataset_free(dataset);
    dataset = noted("train", "5.0");
    assert_int_equal(nft_trainer_set_data(trainer, NFT_DATA_FILES(dataset), NULL), NFT_ERROR_MISMATCH);
    assert_non_null(strstr(nft_error_message(), message));
    nft_dataset_free(dataset);
    dataset = noted("train", "5.");
    assert_int_equal(nft_trainer_set_data(trainer, NULL, NFT_DATA_FILES(dataset)), NFT_ERROR_FORMAT);
    assert_non_null(strstr(nft_error_message(), "'nft.omega' of the metadata"));
    nft_dataset_free(dataset);
    dataset = noted("train", "");
    assert_int_equal(nft_trainer_set_data(trainer, NULL, NFT_DATA_FILES(dataset)), NFT_ERROR_FORMAT);
    nft_dataset_free(dataset);
    frequency_in_memory(trainer, train, own, "the loss renders with 20");
    nft_trainer_free(trainer);
    nft_weights_free(train);
    nft_model_free(model);
}

static void frequencies(void **state)
{
    (void)state;
    frequency(EDITOR("1"), LOSS("render", ", 'omega': 20"), "20",
              "its networks have omega 5.0 by its metadata, the loss renders with 20");
}

/* The mean squared error of the model's images, or renderings of its networks, made through the public calls.
 */
static double loss_of_calls(const nft_model *model, const nft_weights *set, bool decoder, int64_t height,
                            int64_t width)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    nft_array *rendered = NULL;
    double sum = 0;
    options.threads = 1;
    assert_ok(nft_context_create(&context, model, &options));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(set)));
    const nft_weights *sirens = decoder ? set : nft_context_output(context, NFT_OUTPUT)->weights;
    assert_ok(nft_inr_render(&rendered, sirens, 0, nft_weights_count(set), height, width, NULL));
    const float *others = nft_array_f32(decoder ? nft_context_output(context, NFT_OUTPUT)->array
                                                : nft_weights_extra(set, "target"));
    for (int64_t i = 0; i < nft_array_count(rendered); i++)
        sum += pow((double)nft_array_f32(rendered)[i] - (double)others[i], 2);
    sum /= (double)nft_array_count(rendered);
    nft_array_free(rendered);
    nft_context_free(context);
    return sum;
}

/* A frequency for each layer, and an offset. */
static void check_form(const char *model_text, const char *recipe, bool decoder, int64_t height,
                       int64_t width)
{
    nft_model *model = support_model(model_text, 1), *trained = NULL;
    nft_weights *set = make_networks(model, SAMPLES, 2);
    nft_trainer *trainer = make_trainer(model, recipe, 1);
    double loss = 0;
    set_targets(set, height, width);
    assert_ok(nft_weights_set_metadata(set, "nft.omega", "20,3"));
    assert_ok(nft_weights_set_metadata(set, "nft.offset", "0.5"));
    assert_ok(set_data(trainer, set, set));
    assert_ok(nft_trainer_step(NULL, trainer));
    assert_ok(nft_trainer_validate(&loss, trainer));
    assert_ok(nft_trainer_snapshot(&trained, trainer, NFT_SNAPSHOT_LAST));
    double expected = loss_of_calls(trained, set, decoder, height, width);
    if (!(fabs(loss - expected) < 1e-4 * expected))
        fail_msg("the loss is %.8g, expected %.8g", loss, expected);
    nft_model_free(trained);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
}

static void forms(void **state)
{
    (void)state;
    check_form(EDITOR("1"), LOSS("render", ", 'omega': [20, 3]"), false, HEIGHT, WIDTH);
    check_form(INR2ARRAY, LOSS("reconstruction", ""), true, 3, 5);
}

#define DECODER(omega)                                                                                       \
    MLP("{'type': 'flatten_weights'}, {'type': 'perceiver', 'num_latents': 4, 'latent_dim': 6}")             \
    ", 'decoder': {'type': 'hypernetwork', 'style': 'joint', 'hidden_size': 5, 'hidden_layers': 1, "         \
    "'height': 3, 'width': 5, 'omega': " omega "}}"

/* The images of a fresh model; free them. */
static support_result images_of(const char *text, const nft_weights *set)
{
    nft_model *model = support_model(text, 1);
    nft_context *context = NULL;
    assert_ok(nft_context_create(&context, model, NULL));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(set)));
    support_result images = {0};
    support_append(&images, nft_context_output(context, NFT_OUTPUT)->array);
    nft_context_free(context);
    nft_model_free(model);
    return images;
}

static void a_decoder_has_omega_of_each_layer(void **state)
{
    (void)state;
    nft_model *model = support_model(DECODER("20"), 1);
    nft_weights *set = make_networks(model, SAMPLES, 2);
    support_result one = images_of(DECODER("20"), set), same = images_of(DECODER("[20, 20]"), set),
                   other = images_of(DECODER("[20, 3]"), set);
    assert_memory_equal(one.values, same.values, (size_t)one.count * sizeof(float));
    assert_memory_not_equal(one.values, other.values, (size_t)one.count * sizeof(float));
    free(one.values);
    free(same.values);
    free(other.values);
    nft_weights_free(set);
    nft_model_free(model);
}

static int leave(nft_batch *batch, void *user)
{
    (void)user;
    assert_null(batch->targets);
    assert_null(batch->labels);
    return nft_inr_init(batch->weights, (uint64_t)batch->step, 0, 0) != NFT_OK;
}

/* Networks from a callback need no targets where there are none. */
static void reconstruction_of_a_source(void **state)
{
    (void)state;
    nft_model *model = support_model(INR2ARRAY, 1);
    nft_trainer *trainer = make_trainer(model, LOSS("reconstruction", ""), 2);
    assert_ok(nft_trainer_set_data(trainer, NFT_DATA_CALLBACK(leave, NULL), NULL));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    nft_trainer_free(trainer);
    nft_model_free(model);
}

/* A checkpoint of the same training with other images is another's. */
static void checkpoints(void **state)
{
    (void)state;
    nft_model *model = support_model(EDITOR("1"), 1);
    nft_weights *set = make_networks(model, SAMPLES, 2);
    nft_trainer *straight = make_trainer(model, LOSS("render", ""), 1),
                *stopped = make_trainer(model, LOSS("render", ""), 1),
                *resumed = make_trainer(model, LOSS("render", ""), 2);
    const char *path = temporary_path("checkpoint");
    set_targets(set, HEIGHT, WIDTH);
    assert_ok(set_data(straight, set, NULL));
    assert_ok(set_data(stopped, set, NULL));
    assert_ok(set_data(resumed, set, NULL));
    assert_ok(nft_trainer_run(straight, NULL, NULL));
    assert_ok(nft_trainer_step(NULL, stopped));
    assert_ok(nft_trainer_save(stopped, path));
    assert_ok(nft_trainer_resume(resumed, path));
    assert_ok(nft_trainer_run(resumed, NULL, NULL));
    support_result x = trainer_values(straight), y = trainer_values(resumed);
    same_values("the parameters", x, y);
    free(x.values);
    free(y.values);
    nft_trainer_free(straight);
    nft_trainer_free(resumed);
    set_targets(set, WIDTH, HEIGHT);
    assert_ok(set_data(stopped, set, NULL));
    assert_int_equal(nft_trainer_resume(stopped, path), NFT_ERROR_MISMATCH);
    nft_trainer_free(stopped);
    nft_weights_free(set);
    nft_model_free(model);
}

/* ---- refused inputs ---- */

static void expect(nft_status found, nft_status status, const char *message)
{
    if (found != status || !strstr(nft_error_message(), message))
        fail_msg("%s: \"%s\", expected %s: \"%s\"", nft_status_name(found), nft_error_message(),
                 nft_status_name(status), message);
}

static nft_status try_create(const char *model_text, const char *recipe)
{
    nft_model *model = support_model(model_text, 0);
    char *json = support_json(recipe);
    nft_trainer *trainer = NULL;
    nft_status status = nft_trainer_create(&trainer, model, json, strlen(json), NULL);
    nft_trainer_free(trainer);
    free(json);
    nft_model_free(model);
    return status;
}

static void models_that_do_not_fit(void **state)
{
    (void)state;
    expect(try_create(CLASSIFIER, LOSS("render", "")), NFT_ERROR_MISMATCH, "output is features");
    expect(try_create(CNN_EDITOR, LOSS("render", "")), NFT_ERROR_CONFIG, "layer 0 is conv2d");
    expect(try_create(CLASSIFIER, LOSS("reconstruction", "")), NFT_ERROR_MISMATCH, "a model with a decoder");
    expect(try_create(EDITOR("1"), LOSS("render", ", 'omega': 0")), NFT_ERROR_CONFIG, "'omega'");
    expect(try_create(EDITOR("1"), LOSS("render", ", 'omega': [30, 0]")), NFT_ERROR_CONFIG, "'omega'");
    expect(try_create(EDITOR("1"), LOSS("render", ", 'omega': []")), NFT_ERROR_CONFIG, "'omega'");
    expect(try_create(INR2ARRAY, LOSS("reconstruction", ", 'omega': 3")), NFT_ERROR_CONFIG,
           "'omega' is for loss render");
}

static void data_that_do_not_fit(void **state)
{
    (void)state;
    nft_model *model = support_model(EDITOR("1"), 0);
    nft_trainer *trainer = make_trainer(model, LOSS("render", ""), 1);
    nft_weights *set = make_networks(model, 6, 1), *other = make_networks(model, 3, 2);
    expect(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH, "no tensor 'target'");
    expect(nft_trainer_set_data(trainer, NFT_DATA_CALLBACK(leave, NULL), NULL), NFT_ERROR_ARGUMENT,
           "not from a callback");
    set_images(set, 3, (int64_t[]){6, 4, 5});
    expect(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH, "'target' is (6, 4, 5)");
    set_images(set, 4, (int64_t[]){6, 4, 5, 3});
    expect(set_data(trainer, set, NULL), NFT_ERROR_MISMATCH, "(6, height, width, 1)");
    set_targets(set, 4, 5);
    set_targets(other, 4, 6);
    expect(set_data(trainer, set, other), NFT_ERROR_MISMATCH, "validation set are 4 × 6");
    expect(nft_trainer_step(NULL, trainer), NFT_ERROR_ARGUMENT, "there is no training data");
    assert_ok(set_data(trainer, set, NULL));
    assert_ok(nft_trainer_step(NULL, trainer));
    expect(set_data(trainer, NULL, other), NFT_ERROR_MISMATCH, "validation set are 4 × 6");
    assert_ok(nft_trainer_step(NULL, trainer)); /* with the images that it had */
    assert_ok(set_data(trainer, other, other));
    assert_ok(nft_trainer_step(NULL, trainer));
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_weights_free(other);
    nft_model_free(model);
}

/* ---- memory ---- */

static nft_model *refused_model;
static nft_weights *refused_set;
static const char *refused_recipe;

static nft_status train_with_refusals(void)
{
    nft_trainer *trainer = NULL;
    nft_status status =
        INTERPOSE(nft_trainer_create(&trainer, refused_model, refused_recipe, strlen(refused_recipe), NULL));
    if (!status)
        status = INTERPOSE(set_data(trainer, refused_set, refused_set));
    if (!status)
        assert_ok(nft_trainer_run(trainer, NULL, NULL));
    nft_trainer_free(trainer);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    const char *const models[] = {EDITOR("1"), INR2ARRAY}, *const names[] = {"render", "reconstruction"};
    const char *const recipes[] = {LOSS("render", ""), LOSS("reconstruction", "")};
    for (int i = 0; i < 2; i++) {
        const operation train = {"train", train_with_refusals, 20};
        char *json = support_json(recipes[i]);
        refused_recipe = json;
        refused_model = support_model(models[i], 1);
        refused_set = make_networks(refused_model, 4, 1);
        set_targets(refused_set, HEIGHT, WIDTH);
        refuse_each(names[i], &train);
        nft_weights_free(refused_set);
        nft_model_free(refused_model);
        free(json);
    }
}

static int open_all(void **state)
{
    return interposed_install() || temporary_open(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_from_files),
        cmocka_unit_test(frequencies),
        cmocka_unit_test(forms),
        cmocka_unit_test(a_decoder_has_omega_of_each_layer),
        cmocka_unit_test(checkpoints),
        cmocka_unit_test(reconstruction_of_a_source),
        cmocka_unit_test(models_that_do_not_fit),
        cmocka_unit_test(data_that_do_not_fit),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("losses between images", tests, open_all, temporary_close);
}
