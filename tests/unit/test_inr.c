/* SIRENs: the golden fits and renderings, fresh networks, and that a network's result is its own. */
#include "nft/file.h"
#include "nft/inr.h"
#include "unit/failing_allocator.h"
#include "unit/support.h"

#include "math/kernel_set.h"

#include <jansson.h>

/* A case of the golden folder, opened. */
typedef struct golden_fit {
    nft_weights *networks, *expected;
    nft_file *rendered;
    nft_array *images; /* F32, -1 … 1 */
    nft_inr_fit_options options;
} golden_fit;

static const char *golden_path(const char *name, const char *file)
{
    static char path[512];
    snprintf(path, sizeof path, NFT_TEST_DATA "/golden/%s/%s", name, file);
    return path;
}

static nft_array *read_tensor(const nft_file *file, const char *name)
{
    nft_array *array = NULL;
    assert_ok(nft_file_read(&array, file, name, 0, NFT_ALL));
    return array;
}

static nft_array *read_images(const char *path)
{
    nft_file *file = NULL;
    assert_ok(nft_file_open(&file, path, NULL));
    nft_array *bytes = read_tensor(file, "images"), *images = NULL;
    int64_t shape[4], count = nft_array_count(bytes);
    float *colours = support_allocate((size_t)count * sizeof *colours);
    for (int64_t i = 0; i < count; i++)
        colours[i] = (float)(((double)nft_array_i64(bytes)[i] / 255 - 0.5) / 0.5);
    for (int64_t axis = 0; axis < 4; axis++)
        shape[axis] = nft_array_size(bytes, axis);
    assert_ok(nft_array_create(&images, NFT_ARRAY_F32, shape, 4, colours));
    free(colours);
    nft_array_free(bytes);
    nft_file_free(file);
    return images;
}

static nft_inr_fit_options read_recipe(const char *path)
{
    nft_inr_fit_options options = NFT_INR_FIT_OPTIONS_INIT;
    json_t *recipe = json_load_file(path, 0, NULL);
    assert_non_null(recipe);
    json_t *optimizer = json_object_get(recipe, "optimizer"), *betas = json_object_get(optimizer, "betas");
    const char *schedule = json_string_value(json_object_get(json_object_get(recipe, "schedule"), "type"));
    options.steps = json_integer_value(json_object_get(recipe, "steps"));
    options.lr = json_number_value(json_object_get(optimizer, "lr"));
    options.betas[0] = json_number_value(json_array_get(betas, 0));
    options.betas[1] = json_number_value(json_array_get(betas, 1));
    options.eps = json_number_value(json_object_get(optimizer, "eps"));
    options.omega = json_number_value(json_object_get(recipe, "omega"));
    options.schedule = strcmp(schedule, "cosine") ? NFT_INR_SCHEDULE_CONSTANT : NFT_INR_SCHEDULE_COSINE;
    json_decref(recipe);
    return options;
}

static golden_fit open_golden(const char *name)
{
    golden_fit g = {0};
    assert_ok(nft_weights_load(&g.networks, golden_path(name, "init.safetensors"), NULL));
    assert_ok(nft_weights_load(&g.expected, golden_path(name, "expected.safetensors"), NULL));
    assert_ok(nft_file_open(&g.rendered, golden_path(name, "expected.safetensors"), NULL));
    g.images = read_images(golden_path(name, "images.safetensors"));
    g.options = read_recipe(golden_path(name, "fit.json"));
    return g;
}

static void close_golden(golden_fit *g)
{
    nft_weights_free(g->networks);
    nft_weights_free(g->expected);
    nft_file_free(g->rendered);
    nft_array_free(g->images);
}

static void compare_rendering(const golden_fit *g, const char *name, double relative, double absolute)
{
    nft_array *expected = read_tensor(g->rendered, name), *found = NULL;
    nft_inr_render_options options = NFT_INR_RENDER_OPTIONS_INIT;
    options.omega = g->options.omega;
    assert_ok(nft_inr_render(&found, g->networks, 0, nft_weights_count(g->networks),
                             nft_array_size(expected, 1), nft_array_size(expected, 2), &options));
    for (int64_t axis = 0; axis < 4; axis++)
        assert_int_equal(nft_array_size(found, axis), nft_array_size(expected, axis));
    support_close(name, nft_array_count(expected), nft_array_f32(found), nft_array_f32(expected), relative,
                  absolute);
    nft_array_free(found);
    nft_array_free(expected);
}

static void check_golden(const char *name)
{
    golden_fit g = open_golden(name);
    compare_rendering(&g, "rendered_init", 1e-4, 5e-5);
    assert_ok(nft_inr_fit(g.networks, NULL, g.images, &g.options));
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(g.networks))->tensor_count; t++) {
        support_close(name, nft_weights_data_count(g.networks, t), nft_weights_data(g.networks, t),
                      nft_weights_data(g.expected, t), 1e-3, 5e-4);
    }
    compare_rendering(&g, "rendered", 1e-3, 5e-4);
    close_golden(&g);
}

static void golden_fits(void **state)
{
    (void)state;
    check_golden("siren_fit");
    check_golden("siren_fit_rgb");
}

static nft_weights *fresh(const nft_space *space, int64_t count, uint64_t seed, int64_t first)
{
    nft_weights *weights = NULL;
    assert_ok(nft_weights_create(&weights, space, count, 1, NULL));
    assert_ok(nft_inr_init(weights, seed, first, 0));
    return weights;
}

/* Uniform in ± bound: nothing outside, nearly all of it used, and the variance bound²/3. */
static void check_uniform(const nft_weights *weights, int64_t tensor, double bound)
{
    int64_t count = nft_weights_data_count(weights, tensor);
    const float *values = nft_weights_data(weights, tensor);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    double slack = 5 / sqrt((double)count);
    assert_true(support_largest(count, values) <= bound * (1 + 1e-6));
    assert_true(support_largest(count, values) >= bound * (1 - 20 / (double)count));
    assert_true(fabs(sum / (double)count) <= bound * slack);
    assert_true(fabs(squares / (double)count / (bound * bound) - 1.0 / 3) <= slack);
}

static void fresh_networks(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 32, 24, 3);
    nft_weights *weights = fresh(space, 200, 7, 0), *other = fresh(space, 200, 8, 0),
                *later = fresh(space, 50, 7, 150);
    const double bounds[] = {0.5,          1 / sqrt(2),         sqrt(6.0 / 32) / 30,
                             1 / sqrt(32), sqrt(6.0 / 24) / 30, 1 / sqrt(24)};
    for (int64_t t = 0; t < 6; t++) {
        int64_t each = nft_weights_data_count(weights, t) / 200;
        const float *values = nft_weights_data(weights, t);
        check_uniform(weights, t, bounds[t]);
        support_identical("a later piece", 50 * each, nft_weights_data(later, t), values + 150 * each);
        assert_memory_not_equal(values, nft_weights_data(other, t), (size_t)each * sizeof *values);
        assert_memory_not_equal(values, values + each, (size_t)each * sizeof *values);
    }
    nft_weights_free(weights);
    nft_weights_free(other);
    nft_weights_free(later);
    nft_space_free(space);
}

static nft_array *smooth_images(int64_t count, int64_t height, int64_t width, int64_t colours)
{
    int64_t total = count * height * width * colours;
    float *values = support_allocate((size_t)total * sizeof *values);
    nft_array *images = NULL;
    for (int64_t i = 0; i < total; i++) {
        int64_t n = i / (height * width * colours), y = i / (width * colours) % height,
                x = i / colours % width;
        values[i] = (float)sin(0.7 * (double)(y * (n % 3 + 1)) + 0.4 * (double)x + (double)(i % colours + n));
    }
    assert_ok(
        nft_array_create(&images, NFT_ARRAY_F32, (int64_t[]){count, height, width, colours}, 4, values));
    free(values);
    return images;
}

/* Network n of a fit of all is bit-identical to a fit of it, with any threads. */
static void check_alone(int64_t colours)
{
    nft_space *space = SUPPORT_MLP(2, 17, 9, colours);
    nft_array *images = smooth_images(7, 11, 13, colours), *one = NULL;
    nft_inr_fit_options options = NFT_INR_FIT_OPTIONS_INIT;
    nft_weights *together = fresh(space, 7, 1, 0), *threads = fresh(space, 7, 1, 0),
                *alone = fresh(space, 1, 1, 4);
    float losses[7], other_losses[7], loss;
    options.steps = 20;
    options.schedule = NFT_INR_SCHEDULE_COSINE;
    options.threads = 1;
    options.precision = support_precision();
    assert_ok(nft_array_borrow(&one, NFT_ARRAY_F32, (int64_t[]){1, 11, 13, colours}, 4,
                               nft_array_f32(images) + 4 * 11 * 13 * colours));
    assert_ok(nft_inr_fit(together, losses, images, &options));
    assert_ok(nft_inr_fit(alone, &loss, one, &options));
    options.threads = 3;
    assert_ok(nft_inr_fit(threads, other_losses, images, &options));
    support_identical("losses", 7, losses, other_losses);
    support_identical("loss", 1, &loss, losses + 4);
    for (int64_t t = 0; t < 6; t++) {
        int64_t count = nft_weights_data_count(together, t);
        support_identical("threads", count, nft_weights_data(threads, t), nft_weights_data(together, t));
        support_identical("alone", count / 7, nft_weights_data(alone, t),
                          nft_weights_data(together, t) + 4 * (count / 7));
    }
    nft_weights_free(together);
    nft_weights_free(threads);
    nft_weights_free(alone);
    nft_array_free(images);
    nft_array_free(one);
    nft_space_free(space);
}

static void alone_and_together(void **state)
{
    (void)state;
    check_alone(1);
    check_alone(2);
}

/* Other networks where the machine has products of bf16, which fit as well. The losses are those of the
 * network in single precision. */
static void fits_of_another_precision(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 24, 20, 1);
    nft_array *images = smooth_images(4, 13, 13, 1), *rendered = NULL;
    nft_inr_fit_options options = NFT_INR_FIT_OPTIONS_INIT;
    nft_weights *plain = fresh(space, 4, 1, 0), *fast = fresh(space, 4, 1, 0);
    float losses[4], fast_losses[4];
    options.steps = 150;
    assert_ok(nft_inr_fit(plain, losses, images, &options));
    options.precision = NFT_PRECISION_BF16;
    assert_ok(nft_inr_fit(fast, fast_losses, images, &options));
    assert_ok(nft_inr_render(&rendered, fast, 0, 4, 13, 13, NULL));
    for (int64_t n = 0; n < 4; n++) {
        double sum = 0;
        for (int64_t i = n * 169; i < (n + 1) * 169; i++)
            sum += pow((double)nft_array_f32(rendered)[i] - (double)nft_array_f32(images)[i], 2);
        assert_true(fabs(sum / 169 - (double)fast_losses[n]) <= 1e-3 * sum / 169 + 1e-7);
        assert_true((double)fast_losses[n] < 1.3 * (double)losses[n] + 1e-4);
    }
    assert_int_equal(memcmp(losses, fast_losses, sizeof losses) != 0, nft_siren_vector_bf16() != NULL);
    nft_array_free(images);
    nft_array_free(rendered);
    nft_weights_free(plain);
    nft_weights_free(fast);
    nft_space_free(space);
}

/* With a rate that moves no weight, all networks are network 0. With another they are what each gets from it,
 * whatever the threads. */
static void shared_start(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 9, 1);
    nft_array *images = smooth_images(5, 8, 7, 1), *one = NULL;
    nft_inr_fit_options options = NFT_INR_FIT_OPTIONS_INIT;
    nft_weights *still = fresh(space, 5, 1, 0), *moved = fresh(space, 5, 1, 0),
                *alone = fresh(space, 1, 1, 0);
    nft_weights *first = fresh(space, 1, 1, 0);
    options.shared_init = 1;
    options.threads = 2;
    options.steps = 3;
    options.lr = 1e-30;
    assert_ok(nft_inr_fit(still, NULL, images, &options));
    options.lr = 0.01;
    assert_ok(nft_inr_fit(moved, NULL, images, &options));
    assert_ok(
        nft_array_borrow(&one, NFT_ARRAY_F32, (int64_t[]){1, 8, 7, 1}, 4, nft_array_f32(images) + 3 * 8 * 7));
    options.shared_init = 0;
    assert_ok(nft_inr_fit(alone, NULL, one, &options));
    for (int64_t t = 0; t < 4; t++) {
        int64_t each = nft_weights_data_count(first, t);
        const float *begun = nft_weights_data(first, t), *found = nft_weights_data(moved, t);
        for (int64_t n = 0; n < 5; n++)
            support_identical("a start", each, nft_weights_data(still, t) + n * each, begun);
        support_identical("a fit", each, found + 3 * each, nft_weights_data(alone, t));
        assert_memory_not_equal(found, found + each, (size_t)each * sizeof *found);
    }
    nft_weights_free(still);
    nft_weights_free(moved);
    nft_weights_free(alone);
    nft_weights_free(first);
    nft_array_free(images);
    nft_array_free(one);
    nft_space_free(space);
}

static nft_weights *fitted(const nft_space *space, const nft_array *images, int64_t steps, int32_t schedule)
{
    nft_inr_fit_options options = NFT_INR_FIT_OPTIONS_INIT;
    nft_weights *weights = fresh(space, 1, 1, 0);
    options.steps = steps;
    options.schedule = schedule;
    assert_ok(nft_inr_fit(weights, NULL, images, &options));
    return weights;
}

/* Of two steps the cosine takes the first whole and half of the second. */
static void cosine(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 12, 9, 1);
    nft_array *images = smooth_images(1, 11, 13, 1);
    nft_weights *one = fitted(space, images, 1, NFT_INR_SCHEDULE_CONSTANT),
                *two = fitted(space, images, 2, NFT_INR_SCHEDULE_CONSTANT),
                *first = fitted(space, images, 1, NFT_INR_SCHEDULE_COSINE),
                *half = fitted(space, images, 2, NFT_INR_SCHEDULE_COSINE);
    for (int64_t t = 0; t < 6; t++) {
        const float *a = nft_weights_data(one, t), *b = nft_weights_data(two, t),
                    *c = nft_weights_data(half, t);
        int64_t count = nft_weights_data_count(one, t);
        support_identical("one step", count, nft_weights_data(first, t), a);
        for (int64_t i = 0; i < count; i++)
            assert_true(fabs((double)c[i] - ((double)a[i] + (double)b[i]) / 2) < 1e-6);
    }
    nft_weights_free(one);
    nft_weights_free(two);
    nft_weights_free(first);
    nft_weights_free(half);
    nft_array_free(images);
    nft_space_free(space);
}

/* Fitting brings the loss down, and the loss is that of the rendering. */
static void losses_are_of_renderings(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 32, 32, 1);
    nft_array *images = smooth_images(2, 12, 10, 1), *rendered = NULL, *wide = NULL;
    nft_weights *weights = fresh(space, 2, 1, 0);
    nft_inr_render_options options = NFT_INR_RENDER_OPTIONS_INIT;
    float losses[2];
    assert_ok(nft_inr_fit(weights, losses, images, NULL));
    assert_ok(nft_inr_render(&rendered, weights, 0, 2, 12, 10, NULL));
    for (int64_t n = 0; n < 2; n++) {
        double sum = 0;
        for (int64_t i = n * 120; i < (n + 1) * 120; i++)
            sum += pow((double)nft_array_f32(rendered)[i] - (double)nft_array_f32(images)[i], 2);
        assert_true(fabs(sum / 120 - (double)losses[n]) < 1e-3 * (double)losses[n] + 1e-9);
        assert_true(losses[n] < 0.01f);
    }
    options.threads = 2;
    assert_ok(nft_inr_render(&wide, weights, 1, 1, 45, 37, &options));
    support_close("the first corner", 1, nft_array_f32(wide), nft_array_f32(rendered) + 120, 1e-4, 1e-4);
    nft_array_free(wide);
    assert_ok(nft_inr_render(&wide, weights, 2, 0, 1, 1, &options));
    assert_int_equal(nft_array_size(wide, 0), 0);
    nft_array_free(wide);
    nft_array_free(rendered);
    nft_array_free(images);
    nft_weights_free(weights);
    nft_space_free(space);
}

static int stop_after_two(int64_t done, int64_t total, void *user)
{
    (void)user;
    assert_int_equal(total, 5);
    return done >= 2;
}

static void cancelled(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 8, 1);
    nft_array *images = smooth_images(5, 4, 4, 1);
    nft_weights *weights = fresh(space, 5, 1, 0), *begun = fresh(space, 5, 1, 0);
    nft_inr_fit_options options = NFT_INR_FIT_OPTIONS_INIT;
    float losses[5];
    options.threads = 1;
    options.progress = stop_after_two;
    assert_int_equal(nft_inr_fit(weights, losses, images, &options), NFT_ERROR_CANCELLED);
    assert_non_null(strstr(nft_error_message(), "after 2 of 5"));
    for (int n = 0; n < 5; n++) {
        assert_int_equal(isnan(losses[n]), n >= 2);
        const float *before = nft_weights_data(begun, 0) + 16 * n;
        assert_int_equal(!memcmp(before, nft_weights_data(weights, 0) + 16 * n, 64), n >= 2);
    }
    nft_weights_free(weights);
    nft_weights_free(begun);
    nft_array_free(images);
    nft_space_free(space);
}

static void refused(nft_status expected, const char *words, nft_status status)
{
    assert_int_equal(status, expected);
    if (!strstr(nft_error_message(), words))
        fail_msg("'%s' does not say '%s'", nft_error_message(), words);
}

static void wrong_networks(void **state)
{
    (void)state;
    nft_layer conv = NFT_LAYER_INIT_CONV2D(2, 1, 3, 3);
    nft_space *spaces[] = {SUPPORT_MLP(3, 8, 1), NULL};
    const char *const words[] = {"3 inputs", "conv2d"};
    nft_array *images = smooth_images(1, 4, 4, 1), *rendered = NULL;
    assert_ok(nft_space_create_chain(&spaces[1], &conv, 1));
    for (size_t i = 0; i < COUNT(spaces); i++) {
        nft_weights *weights = NULL;
        assert_ok(nft_weights_create(&weights, spaces[i], 1, 1, NULL));
        refused(NFT_ERROR_CONFIG, words[i], nft_inr_init(weights, 0, 0, 0));
        refused(NFT_ERROR_CONFIG, words[i], nft_inr_fit(weights, NULL, images, NULL));
        refused(NFT_ERROR_CONFIG, words[i], nft_inr_render(&rendered, weights, 0, 1, 4, 4, NULL));
        assert_null(rendered);
        nft_weights_free(weights);
        nft_space_free(spaces[i]);
    }
    nft_array_free(images);
}

static void wrong_arguments(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 8, 1);
    nft_weights *weights = fresh(space, 2, 0, 0), *borrowed = NULL, *features = NULL;
    nft_array *images = smooth_images(2, 4, 4, 1), *three = smooth_images(3, 4, 4, 1),
              *colours = smooth_images(2, 4, 4, 3), *empty = NULL, *labels = NULL, *rendered = NULL;
    const float *tensors[] = {nft_weights_data(weights, 0), NULL, nft_weights_data(weights, 2), NULL};
    assert_ok(nft_weights_borrow(&borrowed, space, 2, 1, tensors));
    assert_ok(nft_weights_create(&features, space, 2, 3, NULL));
    assert_ok(nft_array_create(&empty, NFT_ARRAY_F32, (int64_t[]){2, 0, 4, 1}, 4, NULL));
    assert_ok(nft_array_create(&labels, NFT_ARRAY_I64, (int64_t[]){2, 4, 4, 1}, 4, NULL));
    refused(NFT_ERROR_ARGUMENT, "weights", nft_inr_init(NULL, 0, 0, 0));
    refused(NFT_ERROR_ARGUMENT, "first is -1", nft_inr_init(weights, 0, -1, 0));
    refused(NFT_ERROR_ARGUMENT, "too large for the numbers of", nft_inr_init(weights, 0, INT64_MAX, 0));
    refused(NFT_ERROR_ARGUMENT, "omega is -2", nft_inr_init(weights, 0, 0, -2));
    refused(NFT_ERROR_ARGUMENT, "borrows", nft_inr_init(borrowed, 0, 0, 0));
    refused(NFT_ERROR_MISMATCH, "3 channels", nft_inr_init(features, 0, 0, 0));
    refused(NFT_ERROR_ARGUMENT, "images", nft_inr_fit(weights, NULL, NULL, NULL));
    refused(NFT_ERROR_ARGUMENT, "borrows", nft_inr_fit(borrowed, NULL, images, NULL));
    refused(NFT_ERROR_MISMATCH, "3 images for 2 networks", nft_inr_fit(weights, NULL, three, NULL));
    refused(NFT_ERROR_MISMATCH, "3 colours", nft_inr_fit(weights, NULL, colours, NULL));
    refused(NFT_ERROR_MISMATCH, "without a pixel", nft_inr_fit(weights, NULL, empty, NULL));
    refused(NFT_ERROR_MISMATCH, "I64", nft_inr_fit(weights, NULL, labels, NULL));
    refused(NFT_ERROR_ARGUMENT, "images", nft_inr_render(NULL, weights, 0, 2, 4, 4, NULL));
    refused(NFT_ERROR_ARGUMENT, "0 × 4", nft_inr_render(&rendered, weights, 0, 2, 0, 4, NULL));
    refused(NFT_ERROR_ARGUMENT, "first is -1, expected 0 … 2",
            nft_inr_render(&rendered, weights, -1, 1, 4, 4, NULL));
    refused(NFT_ERROR_ARGUMENT, "count is -1", nft_inr_render(&rendered, weights, 0, -1, 4, 4, NULL));
    refused(NFT_ERROR_ARGUMENT, "past the 2", nft_inr_render(&rendered, weights, 1, 2, 4, 4, NULL));
    refused(NFT_ERROR_LIMIT, "the images",
            nft_inr_render(&rendered, weights, 0, 2, INT64_MAX / 2, INT64_MAX / 2, NULL));
    assert_null(rendered);
    nft_weights_free(weights);
    nft_weights_free(borrowed);
    nft_weights_free(features);
    nft_array_free(images);
    nft_array_free(three);
    nft_array_free(colours);
    nft_array_free(empty);
    nft_array_free(labels);
    nft_space_free(space);
}

static void wrong_options(void **state)
{
    (void)state;
    const struct {
        nft_inr_fit_options options;
        const char *words;
    } cases[] = {
        {{.size = 1}, "size is 1"},
        {{.size = sizeof(nft_inr_fit_options), .threads = -1}, "threads is -1"},
        {{.size = sizeof(nft_inr_fit_options), .schedule = 2}, "schedule is 2"},
        {{.size = sizeof(nft_inr_fit_options), .steps = -5}, "steps is -5"},
        {{.size = sizeof(nft_inr_fit_options), .lr = -1}, "lr is -1"},
        {{.size = sizeof(nft_inr_fit_options), .betas = {1, 0}}, "betas[0] is 1"},
        {{.size = sizeof(nft_inr_fit_options), .betas = {0, NAN}}, "betas[1] is"},
        {{.size = sizeof(nft_inr_fit_options), .eps = INFINITY}, "eps is inf"},
        {{.size = sizeof(nft_inr_fit_options), .omega = NAN}, "omega is"},
        {{.size = sizeof(nft_inr_fit_options), .shared_init = 2}, "shared_init is 2"},
        {{.size = sizeof(nft_inr_fit_options), .precision = 3}, "precision is 3"},
    };
    nft_space *space = SUPPORT_MLP(2, 8, 1);
    nft_weights *weights = fresh(space, 1, 0, 0);
    nft_array *images = smooth_images(1, 4, 4, 1), *rendered = NULL;
    for (size_t i = 0; i < COUNT(cases); i++)
        refused(NFT_ERROR_ARGUMENT, cases[i].words, nft_inr_fit(weights, NULL, images, &cases[i].options));
    float pixels[16] = {[5] = NAN};
    const int64_t shape[] = {1, 4, 4, 1};
    nft_array *spotted = NULL;
    assert_ok(nft_array_borrow(&spotted, NFT_ARRAY_F32, shape, 4, pixels));
    refused(NFT_ERROR_NOT_FINITE, "image 0 has a number that is not finite",
            nft_inr_fit(weights, NULL, spotted, NULL));
    nft_array_free(spotted);
    nft_inr_render_options options = NFT_INR_RENDER_OPTIONS_INIT;
    options.memory_limit = 63;
    refused(NFT_ERROR_LIMIT, "the images", nft_inr_render(&rendered, weights, 0, 1, 4, 4, &options));
    options.memory_limit = 64;
    options.size = offsetof(nft_inr_render_options, memory_limit); /* an older caller's */
    assert_ok(nft_inr_render(&rendered, weights, 0, 1, 5, 5, &options));
    nft_array_free(rendered);
    nft_array_free(images);
    nft_weights_free(weights);
    nft_space_free(space);
}

/* A space, a fit and a rendering. */
static nft_status whole_life(void)
{
    const int64_t widths[] = {2, 8, 1};
    const float image[16] = {0};
    nft_space *space = NULL;
    nft_weights *weights = NULL;
    nft_array *images = NULL, *rendered = NULL;
    nft_inr_fit_options options = NFT_INR_FIT_OPTIONS_INIT;
    options.steps = 2;
    options.threads = 2;
    nft_status status = nft_space_create_mlp(&space, widths, 3);
    if (!status)
        status = nft_weights_create(&weights, space, 2, 1, NULL);
    if (!status)
        status = nft_inr_init(weights, 0, 0, 0);
    if (!status)
        status = nft_array_create(&images, NFT_ARRAY_F32, (int64_t[]){2, 2, 4, 1}, 4, image);
    if (!status)
        status = nft_inr_fit(weights, NULL, images, &options);
    if (!status)
        status = nft_inr_canonicalize(weights, 0);
    if (!status)
        status = nft_inr_render(&rendered, weights, 0, 2, 3, 3, NULL);
    nft_array_free(rendered);
    nft_array_free(images);
    nft_weights_free(weights);
    nft_space_free(space);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    assert_true(fail_every_allocation(whole_life) > 10);
}

/* Angles far beyond the range that the vector sine reduces, as a diverging fit makes them. */
static void diverging(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 8, 8, 1);
    nft_array *images = smooth_images(1, 4, 4, 1);
    nft_weights *weights = fresh(space, 1, 0, 0);
    nft_inr_fit_options options = NFT_INR_FIT_OPTIONS_INIT;
    float loss = NAN;
    options.lr = 1e5;
    options.steps = 5;
    assert_ok(nft_inr_fit(weights, &loss, images, &options));
    assert_true(isfinite(loss));
    nft_weights_edit(weights, 1)[3] = NAN;
    assert_ok(nft_inr_fit(weights, &loss, images, &options));
    assert_true(isnan(loss));
    nft_weights_free(weights);
    nft_array_free(images);
    nft_space_free(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_fits),
        cmocka_unit_test(fresh_networks),
        cmocka_unit_test(alone_and_together),
        cmocka_unit_test(fits_of_another_precision),
        cmocka_unit_test(shared_start),
        cmocka_unit_test(cosine),
        cmocka_unit_test(losses_are_of_renderings),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(wrong_networks),
        cmocka_unit_test(wrong_arguments),
        cmocka_unit_test(wrong_options),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(diverging),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
