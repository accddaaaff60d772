/* The loss between an image and the rendering of a network, or the mean of several edits of one. */
#include "siren/siren.h"
#include "train/image_loss.h"
#include "unit/image_networks.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_rendered),
        cmocka_unit_test(finite_differences),
        cmocka_unit_test(equal_edits_are_one),
        cmocka_unit_test(edits_have_finite_differences),
        cmocka_unit_test(channels_are_rendered_as_their_mean),
        cmocka_unit_test(edits_are_of_the_input),
        cmocka_unit_test(a_model_learns_several_edits),
    };
    return cmocka_run_group_tests_name("edits of images", tests, NULL, NULL);
}
