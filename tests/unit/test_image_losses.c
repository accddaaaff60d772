/* The losses between images: against renderings made another way, against finite differences, from files as
 * from memory; and refused inputs. The golden training cases are test_train's. */
#define _GNU_SOURCE
#include "nft/file.h"
#include "nft/inr.h"
#include "nft/train.h"
#include "siren/siren.h"
#include "train/image_loss.h"
#include "unit/refusals.h"
#include "unit/temporary.h"
#include "unit/training.h"

#define EDITOR(channels)                                                                                     \
    MLP("{'type': 'gaussian_fourier', 'mapping_size': 4}, {'type': 'nft_block', 'dropout': 0.1}, "           \
        "{'type': 'pointwise', 'out_channels': " channels "}")                                               \
    "}"
#define CNN_EDITOR CNN("{'type': 'pointwise', 'out_channels': 1}") "}"
#define LOSS(name, more)                                                                                     \
    "{'loss': '" name "', " ADAMW ", 'batch_size': 4, 'steps': 4, 'validate_every': 2" more "}"
#define HEIGHT 9
#define WIDTH 7
#define PIXELS (HEIGHT * WIDTH)

/* SIRENs of the models' space, and images for them. */
static nft_weights *make_networks(const nft_model *model, int64_t count, uint64_t seed)
{
    nft_weights *set = NULL;
    assert_ok(nft_weights_create(&set, nft_model_describe(model)->space, count, 1, NULL));
    assert_ok(nft_inr_init(set, seed, 0, 0));
    return set;
}

static void set_images(nft_weights *set, int64_t rank, const int64_t *shape)
{
    nft_array *images = NULL;
    nft_random random = {4, 4};
    int64_t count = 1;
    for (int64_t i = 0; i < rank; i++)
        count *= shape[i];
    float *values = support_allocate((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = 2 * nft_random_uniform(&random, (uint64_t)i) - 1;
    assert_ok(nft_array_create(&images, NFT_ARRAY_F32, shape, rank, values));
    assert_ok(nft_weights_set_extra(set, "target", images));
    nft_array_free(images);
    free(values);
}

static void set_targets(nft_weights *set, int64_t height, int64_t width)
{
    set_images(set, 4, (int64_t[]){nft_weights_count(set), height, width, 1});
}

/* ---- one image ---- */

typedef struct one_image {
    nft_space *space;
    nft_image_loss *loss;
    int64_t numbers;        /* of the network */
    float *network, *image; /* that is rendered, and that it is compared with */
} one_image;

/* Two hidden layers and three colours. */
static one_image make_image(void)
{
    const nft_layer layers[] = {{.size = sizeof(nft_layer), .type = NFT_LAYER_LINEAR, .in = 2, .out = 9},
                                {.size = sizeof(nft_layer), .type = NFT_LAYER_LINEAR, .in = 9, .out = 6},
                                {.size = sizeof(nft_layer), .type = NFT_LAYER_LINEAR, .in = 6, .out = 3}};
    one_image one = {0};
    nft_weights *set = NULL;
    assert_ok(nft_space_create_chain(&one.space, layers, 3));
    assert_ok(nft_weights_create(&set, one.space, 1, 1, NULL));
    assert_ok(nft_inr_init(set, 7, 0, 0));
    assert_ok(nft_image_loss_create(&one.loss, one.space, 3, 30, HEIGHT, WIDTH));
    one.numbers = one.space->numbers;
    one.network = support_allocate((size_t)one.numbers * sizeof(float));
    one.image = support_allocate(3 * PIXELS * sizeof(float));
    nft_weights_gather(set, 0, one.network);
    nft_random random = {3, 3};
    for (int64_t i = 0; i < 3 * PIXELS; i++)
        one.image[i] = nft_random_normal(&random, (uint64_t)i);
    nft_weights_free(set);
    return one;
}

static void free_image(one_image *one)
{
    nft_image_loss_free(one->loss);
    nft_space_free(one->space);
    free(one->network);
    free(one->image);
}

static void same_as_rendered(void **state)
{
    (void)state;
    one_image one = make_image();
    nft_weights *set = NULL;
    nft_array *rendered = NULL;
    assert_ok(nft_weights_create(&set, one.space, 1, 1, NULL));
    nft_weights_scatter(set, 0, one.network);
    assert_ok(nft_inr_render(&rendered, set, 0, 1, HEIGHT, WIDTH, NULL));
    double expected = 0;
    for (int64_t i = 0; i < 3 * PIXELS; i++)
        expected += pow((double)nft_array_f32(rendered)[i] - (double)one.image[i], 2) / (3 * PIXELS);
    double as_network = nft_image_loss_of_network(one.loss, one.network, one.image, 1, NULL),
           as_image = nft_image_loss_of_image(one.loss, one.image, one.network, 1, NULL);
    assert_true(fabs(as_network - expected) < 1e-5 * expected);
    assert_true(fabs(as_image - expected) < 1e-5 * expected);
    nft_array_free(rendered);
    nft_weights_free(set);
    free_image(&one);
}

/* Along a random direction of x: (f(x + hd) - f(x - hd)) / 2h is the gradient's product with d. */
static void check_slope(const char *what, one_image *one, bool of_network)
{
    int64_t count = of_network ? one->numbers : 3 * PIXELS;
    float *x = of_network ? one->network : one->image;
    float *gradient = support_allocate((size_t)count * sizeof *gradient),
          *kept = support_allocate((size_t)count * sizeof *kept);
    const double h = 1e-3, scale = 0.25;
    double losses[2], slope = 0;
    nft_random random = {11, of_network};
    memcpy(kept, x, (size_t)count * sizeof *x);
    if (of_network)
        nft_image_loss_of_network(one->loss, one->network, one->image, scale, gradient);
    else
        nft_image_loss_of_image(one->loss, one->image, one->network, scale, gradient);
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < count; i++)
            x[i] = (float)((double)kept[i] +
                           (side ? -h : h) * 0.1 * (double)nft_random_normal(&random, (uint64_t)i));
        losses[side] = of_network ? nft_image_loss_of_network(one->loss, one->network, one->image, 1, NULL)
                                  : nft_image_loss_of_image(one->loss, one->image, one->network, 1, NULL);
    }
    for (int64_t i = 0; i < count; i++)
        slope += 0.1 * (double)nft_random_normal(&random, (uint64_t)i) * (double)gradient[i];
    double found = scale * (losses[0] - losses[1]) / (2 * h);
    if (!(fabs(found - slope) <= 1e-2 * fabs(slope)))
        fail_msg("%s: the slope is %.6g, the gradient says %.6g", what, found, slope);
    memcpy(x, kept, (size_t)count * sizeof *x);
    free(gradient);
    free(kept);
}

static void finite_differences(void **state)
{
    (void)state;
    one_image one = make_image();
    check_slope("render", &one, true);
    check_slope("reconstruction", &one, false);
    free_image(&one);
}

/* ---- several networks for an image ---- */

#define EDITS 3

/* Another network for each channel. */
static float *make_edits(const one_image *one)
{
    nft_random random = {13, 0};
    float *edits = support_allocate((size_t)(EDITS * one->numbers) * sizeof *edits);
    for (int64_t i = 0; i < EDITS * one->numbers; i++)
        edits[i] = one->network[i % one->numbers] + 0.01f * nft_random_normal(&random, (uint64_t)i);
    return edits;
}

/* Equal networks have the mean image of one of them, and each a part of its gradient. */
static void equal_edits_are_one(void **state)
{
    (void)state;
    one_image one = make_image();
    float *edits = support_allocate((size_t)(EDITS * one.numbers) * sizeof *edits),
          *gradients = support_allocate((size_t)(EDITS * one.numbers) * sizeof *gradients),
          *gradient = support_allocate((size_t)one.numbers * sizeof *gradient);
    for (int i = 0; i < EDITS; i++)
        memcpy(edits + i * one.numbers, one.network, (size_t)one.numbers * sizeof *edits);
    double expected = nft_image_loss_of_network(one.loss, one.network, one.image, 1, gradient),
           found = nft_image_loss_of_networks(one.loss, EDITS, edits, one.image, 1, gradients);
    assert_true(fabs(found - expected) < 1e-6 * expected);
    for (int64_t i = 0; i < EDITS * one.numbers; i++)
        assert_true(fabsf(EDITS * gradients[i] - gradient[i % one.numbers]) <
                    1e-3f * (1 + fabsf(gradient[i % one.numbers])));
    free(edits);
    free(gradients);
    free(gradient);
    free_image(&one);
}

static void edits_have_finite_differences(void **state)
{
    (void)state;
    one_image one = make_image();
    float *edits = make_edits(&one), *kept = make_edits(&one), *gradients = make_edits(&one);
    int64_t count = EDITS * one.numbers;
    const double h = 1e-3;
    double losses[2], slope = 0;
    nft_random random = {17, 1};
    nft_image_loss_of_networks(one.loss, EDITS, edits, one.image, 1, gradients);
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < count; i++)
            edits[i] = (float)((double)kept[i] +
                               (side ? -h : h) * 0.1 * (double)nft_random_normal(&random, (uint64_t)i));
        losses[side] = nft_image_loss_of_networks(one.loss, EDITS, edits, one.image, 1, NULL);
    }
    for (int64_t i = 0; i < count; i++)
        slope += 0.1 * (double)nft_random_normal(&random, (uint64_t)i) * (double)gradients[i];
    double found = (losses[0] - losses[1]) / (2 * h);
    if (!(fabs(found - slope) <= 1e-2 * fabs(slope)))
        fail_msg("the slope is %.6g, the gradients say %.6g", found, slope);
    free(edits);
    free(kept);
    free(gradients);
    free_image(&one);
}

/* Features of three channels are rendered as the mean of the renderings of the channels. */
static void channels_are_rendered_as_their_mean(void **state)
{
    (void)state;
    one_image one = make_image();
    float *edits = make_edits(&one), expected[3 * PIXELS] = {0};
    nft_weights *features = NULL, *single = NULL;
    nft_array *image = NULL;
    assert_ok(nft_weights_create(&features, one.space, 2, EDITS, NULL));
    assert_ok(nft_weights_create(&single, one.space, 1, 1, NULL));
    for (int64_t c = 0; c < EDITS; c++) {
        nft_siren_scatter(features, 1, c, edits + c * one.numbers);
        nft_siren_scatter(single, 0, 0, edits + c * one.numbers);
        assert_ok(nft_inr_render(&image, single, 0, 1, HEIGHT, WIDTH, NULL));
        for (int64_t i = 0; i < 3 * PIXELS; i++)
            expected[i] += nft_array_f32(image)[i] / EDITS;
        nft_array_free(image);
    }
    assert_ok(nft_inr_render(&image, features, 1, 1, HEIGHT, WIDTH, NULL));
    for (int64_t i = 0; i < 3 * PIXELS; i++)
        assert_true(fabsf(nft_array_f32(image)[i] - expected[i]) < 1e-5f);
    nft_array_free(image);
    nft_weights_free(features);
    nft_weights_free(single);
    free(edits);
    free_image(&one);
}

/* A change of 0 is added to the input in every group of its channels. */
static void edits_are_of_the_input(void **state)
{
    (void)state;
    static const char text[] =
        "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 2, 'out': 5}, "
        "{'type': 'linear', 'in': 5, 'out': 4}]}, 'in_channels': 2, 'modules': [{'type': "
        "'pointwise', 'out_channels': 6}, {'type': 'learned_scale', 'init_scale': 0}, "
        "{'type': 'add_input'}]}";
    nft_model *model = support_model(text, 1);
    nft_weights *set = support_weights(model->space, 3, 2, 4);
    nft_context *context = NULL;
    assert_ok(nft_context_create(&context, model, NULL));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(set)));
    const nft_weights *edits = nft_context_output(context, NFT_OUTPUT)->weights;
    for (int64_t t = 0; t < model->space->tensor_count; t++) {
        int64_t numbers = model->space->tensors[t].tokens;
        for (int64_t i = 0; i < 3 * 6; i++)
            support_identical("an edit", numbers, nft_weights_data(edits, t) + i * numbers,
                              nft_weights_data(set, t) + (i / 6 * 2 + i % 2) * numbers);
    }
    nft_context_free(context);
    nft_weights_free(set);
    nft_model_free(model);
}

/* The validation loss of a model with two edits is the squared error of its rendered output. */
static void a_model_learns_several_edits(void **state)
{
    (void)state;
    nft_model *model = support_model(MLP("{'type': 'gaussian_fourier', 'mapping_size': 4}, {'type': "
                                         "'pointwise', 'out_channels': 2}, {'type': 'add_input'}") "}",
                                     1),
              *trained = NULL;
    nft_weights *set = make_networks(model, 6, 2);
    set_targets(set, HEIGHT, WIDTH);
    nft_trainer *trainer = make_trainer(model, LOSS("render", ""), 2);
    nft_context *context = NULL;
    nft_array *images = NULL;
    double first = 0, last = 0, expected = 0;
    assert_ok(set_data(trainer, set, set));
    assert_ok(nft_trainer_validate(&first, trainer));
    assert_ok(nft_trainer_run(trainer, NULL, NULL));
    assert_ok(nft_trainer_validate(&last, trainer));
    assert_true(last < first);
    assert_ok(nft_trainer_snapshot(&trained, trainer, NFT_SNAPSHOT_LAST));
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.precision = support_precision();
    assert_ok(nft_context_create(&context, trained, &options));
    assert_ok(nft_forward(context, NFT_VIEW_WEIGHTS(set)));
    assert_ok(
        nft_inr_render(&images, nft_context_output(context, NFT_OUTPUT)->weights, 0, 6, HEIGHT, WIDTH, NULL));
    const float *targets = nft_array_f32(nft_weights_extra(set, "target"));
    for (int64_t i = 0; i < 6 * PIXELS; i++)
        expected += pow((double)nft_array_f32(images)[i] - (double)targets[i], 2) / (6 * PIXELS);
    assert_true(fabs(last - expected) < 1e-5 * expected);
    nft_array_free(images);
    nft_context_free(context);
    nft_model_free(trained);
    nft_trainer_free(trainer);
    nft_weights_free(set);
    nft_model_free(model);
}

/* ---- training ---- */

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
        cmocka_unit_test(same_as_rendered),
        cmocka_unit_test(equal_edits_are_one),
        cmocka_unit_test(edits_have_finite_differences),
        cmocka_unit_test(channels_are_rendered_as_their_mean),
        cmocka_unit_test(edits_are_of_the_input),
        cmocka_unit_test(a_model_learns_several_edits),
        cmocka_unit_test(finite_differences),
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
