/* The canonical sign and phase of SIRENs: the same function, the same bits the second time, and the same
 * neurons from every copy. */
#include "nft/inr.h"
#include "nft/permute.h"
#include "unit/support.h"

#define PI 3.14159265358979323846
#define OMEGA 30.0
#define SIZE 28

static nft_weights *real_sirens(void)
{
    nft_weights *weights = NULL;
    assert_ok(nft_weights_load(&weights, NFT_SOURCE_DIR "/examples/data/mnist-sirens.safetensors", NULL));
    return weights;
}

static float *render(const nft_weights *weights, double omega, int64_t *count)
{
    nft_array *images = NULL;
    nft_inr_render_options options = NFT_INR_RENDER_OPTIONS_INIT;
    options.omega = omega;
    assert_ok(nft_inr_render(&images, weights, 0, nft_weights_count(weights), SIZE, SIZE, &options));
    *count = nft_array_count(images);
    float *pixels = support_allocate((size_t)*count * sizeof *pixels);
    memcpy(pixels, nft_array_f32(images), (size_t)*count * sizeof *pixels);
    nft_array_free(images);
    return pixels;
}

static double largest_difference(int64_t count, const float *a, const float *b)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

/* Of all numbers of two sets. */
static double set_difference(const nft_weights *a, const nft_weights *b)
{
    double largest = 0;
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(a))->tensor_count; t++)
        largest = fmax(largest, largest_difference(nft_weights_data_count(a, t), nft_weights_data(a, t),
                                                   nft_weights_data(b, t)));
    return largest;
}

static nft_weights *copy_of(const nft_weights *weights)
{
    const float *tensors[16];
    nft_weights *copy = NULL;
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(weights))->tensor_count; t++)
        tensors[t] = nft_weights_data(weights, t);
    assert_ok(nft_weights_create(&copy, nft_weights_space(weights), nft_weights_count(weights), 1, tensors));
    return copy;
}

static void check_twice_is_once(const nft_weights *once, double omega)
{
    nft_weights *twice = copy_of(once);
    assert_ok(nft_inr_canonicalize(twice, omega));
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(once))->tensor_count; t++)
        support_identical("twice", nft_weights_data_count(once, t), nft_weights_data(twice, t),
                          nft_weights_data(once, t));
    nft_weights_free(twice);
}

/* Positive sums, and phases in the interval. */
static void check_form(const nft_weights *weights, double omega)
{
    for (int64_t i = 0; i + 1 < nft_space_describe(nft_weights_space(weights))->layer_count; i++) {
        nft_layer layer = {.size = sizeof layer};
        assert_ok(nft_space_layer(&layer, nft_weights_space(weights), i));
        for (int64_t row = 0; row < nft_weights_count(weights) * layer.out; row++) {
            double sum = 0, phase = omega * (double)nft_weights_data(weights, 2 * i + 1)[row];
            for (int64_t k = 0; k < layer.in; k++)
                sum += (double)nft_weights_data(weights, 2 * i)[row * layer.in + k];
            assert_true(sum > 0);
            assert_true(phase > -15.0 / 32 * PI - 1e-5 && phase <= 17.0 / 32 * PI + 1e-5);
        }
    }
}

static void check_function(nft_weights *weights, double omega, double slack)
{
    int64_t count;
    float *before = render(weights, omega, &count);
    assert_ok(nft_inr_canonicalize(weights, omega));
    float *after = render(weights, omega, &count);
    double difference = largest_difference(count, before, after);
    print_message("largest difference of a pixel: %.2g\n", difference);
    assert_true(difference <= slack);
    check_form(weights, omega);
    check_twice_is_once(weights, omega);
    free(before);
    free(after);
}

static void real_ones_keep_their_function(void **state)
{
    (void)state;
    nft_weights *weights = real_sirens(), *before = real_sirens();
    check_function(weights, 0, 1e-5);
    assert_true(set_difference(weights, before) > 0.1);
    assert_non_null(nft_weights_extra(weights, "label"));
    assert_string_equal(nft_weights_tensor_name(weights, 2), "net.1.linear.weight");
    nft_weights_free(weights);
    nft_weights_free(before);
}

static nft_weights *fresh(const int64_t *widths, int64_t count, int64_t networks, double omega)
{
    nft_space *space = NULL;
    nft_weights *weights = NULL;
    assert_ok(nft_space_create_mlp(&space, widths, count));
    assert_ok(nft_weights_create(&weights, space, networks, 1, NULL));
    assert_ok(nft_inr_init(weights, 5, 0, omega));
    nft_space_free(space);
    return weights;
}

/* Deeper, with colours, another ω. */
static void fresh_ones_keep_their_function(void **state)
{
    (void)state;
    nft_weights *deep = fresh((int64_t[]){2, 17, 40, 9, 3}, 5, 20, 12),
                *flat = fresh((int64_t[]){2, 3}, 2, 4, 0), *same = copy_of(flat);
    check_function(deep, 12, 1e-5);
    check_function(flat, 0, 0);
    assert_true(set_difference(flat, same) == 0);
    nft_weights_free(deep);
    nft_weights_free(flat);
    nft_weights_free(same);
}

static void negate(float *values, int64_t count, int64_t stride)
{
    for (int64_t i = 0; i < count; i++)
        values[i * stride] *= -1;
}

/* Gives every hidden neuron a random sign and up to `periods` half periods. */
static void disguise(nft_weights *weights, double omega, uint64_t periods)
{
    const nft_random random = {11, 4};
    uint64_t index = 0;
    for (int64_t i = 0; i + 1 < nft_space_describe(nft_weights_space(weights))->layer_count; i++) {
        nft_layer layer = {.size = sizeof layer}, after = {.size = sizeof after};
        assert_ok(nft_space_layer(&layer, nft_weights_space(weights), i));
        assert_ok(nft_space_layer(&after, nft_weights_space(weights), i + 1));
        for (int64_t row = 0; row < nft_weights_count(weights) * layer.out; row++, index += 2) {
            float *bias = nft_weights_edit(weights, 2 * i + 1) + row;
            float *column = nft_weights_edit(weights, 2 * i + 2) + row / layer.out * layer.out * after.out +
                            row % layer.out;
            int64_t k = (int64_t)nft_random_below(&random, index, 2 * periods + 1) - (int64_t)periods;
            *bias = (float)((double)*bias + (double)k * PI / omega);
            if (k % 2)
                negate(column, after.out, layer.out);
            if (nft_random_below(&random, index + 1, 2)) {
                negate(nft_weights_edit(weights, 2 * i) + row * layer.in, layer.in, 1);
                negate(bias, 1, 1);
                negate(column, after.out, layer.out);
            }
        }
    }
}

/* A set and its copy with signs and phases, both permuted the same way after and before: the same neurons. */
static void check_copies(nft_weights *weights, double omega, uint64_t periods, double slack)
{
    nft_weights *copy = copy_of(weights);
    int64_t count;
    float *before = render(weights, omega, &count);
    disguise(copy, omega, periods);
    assert_ok(nft_weights_permute_random(copy, 9, 0));
    float *after = render(copy, omega, &count);
    assert_true(largest_difference(count, before, after) < 1e-3);
    assert_true(set_difference(weights, copy) > 0.1);
    assert_ok(nft_inr_canonicalize(weights, omega));
    assert_ok(nft_inr_canonicalize(copy, omega));
    assert_ok(nft_weights_permute_random(weights, 9, 0));
    double difference = set_difference(weights, copy);
    print_message("largest difference of a number: %.2g\n", difference);
    assert_true(difference <= slack);
    free(before);
    free(after);
    nft_weights_free(copy);
    nft_weights_free(weights);
}

static void copies_are_the_same_neurons(void **state)
{
    (void)state;
    check_copies(real_sirens(), OMEGA, 1, 1e-7);
    check_copies(real_sirens(), OMEGA, 10, 1e-6);
    check_copies(real_sirens(), OMEGA, 100, 1e-5);
    check_copies(fresh((int64_t[]){2, 17, 40, 9, 3}, 5, 50, 12), 12, 10, 1e-6);
}

/* Where a sign or a phase could be a matter of rounding: zero biases, cosines, weights whose sum is zero. */
static void special_neurons(void **state)
{
    (void)state;
    nft_weights *weights = fresh((int64_t[]){2, 16, 16, 1}, 4, 30, OMEGA);
    for (int64_t i = 0; i < 2; i++)
        for (int64_t n = 0; n < 30 * 16; n++)
            nft_weights_edit(weights, 2 * i + 1)[n] = n % 2 ? 0 : (float)(PI / 2 / OMEGA);
    for (int64_t n = 0; n < 30 * 16; n++) {
        float *row = nft_weights_edit(weights, 0) + 2 * n;
        row[0] = n % 4 == 1 ? 0 : row[0];
        row[1] = n % 4 == 2 ? -row[0] : row[1];
    }
    check_copies(weights, OMEGA, 20, 1e-6);
}

/* The neurons of a network 2-1-1, canonical: their weights, bias and outgoing weight. */
static void check_neuron(const float (*given)[4], const float (*expected)[4])
{
    nft_weights *weights = fresh((int64_t[]){2, 1, 1}, 3, 1, OMEGA);
    float *weight = nft_weights_edit(weights, 0), *bias = nft_weights_edit(weights, 1),
          *next = nft_weights_edit(weights, 2);
    weight[0] = (*given)[0];
    weight[1] = (*given)[1];
    *bias = (*given)[2];
    *next = (*given)[3];
    assert_ok(nft_inr_canonicalize(weights, OMEGA));
    const float found[] = {weight[0], weight[1], *bias, *next};
    for (int i = 0; i < 4; i++)
        if (isnan((*expected)[i]) ? !isnan(found[i])
                                  : !(found[i] == (*expected)[i] || fabsf(found[i] - (*expected)[i]) < 1e-6f))
            fail_msg("number %d of a neuron is %g, expected %g", i, (double)found[i], (double)(*expected)[i]);
    check_twice_is_once(weights, OMEGA);
    nft_weights_free(weights);
}

static void neurons(void **state)
{
    (void)state;
    const float half = (float)(PI / OMEGA), border = 17.0f / 32 * half;
    const struct {
        float given[4], expected[4];
    } cases[] = {
        {{1, 2, 0, 3}, {1, 2, 0, 3}},
        {{-1, -2, 0, 3}, {1, 2, 0, -3}},
        {{-3, 2, 0.01f, 3}, {3, -2, -0.01f, -3}},
        {{1, 2, half + 0.01f, 3}, {1, 2, 0.01f, -3}},
        {{1, 2, 0.01f - 2 * half, 3}, {1, 2, 0.01f, 3}},
        {{1, 2, half / 2, 3}, {1, 2, half / 2, 3}},
        {{1, 2, -half / 2, 3}, {1, 2, half / 2, -3}},
        {{1, 2, border + 1e-4f, 3}, {1, 2, border + 1e-4f - half, -3}},
        {{1, -1, 0.01f, 3}, {1, -1, 0.01f, 3}}, /* no sum, no cubes: the first weight decides */
        {{-1, 1, 0.01f, 3}, {1, -1, -0.01f, -3}},
        {{0, 0, -0.01f, 3}, {0, 0, 0.01f, -3}}, /* no weights: the bias */
        {{0, 0, half - 0.01f, 3}, {0, 0, 0.01f, 3}},
        {{0, 0, 0.52f * half, 3}, {0, 0, 0.48f * half, 3}},
        {{0, 0, -0.52f * half, -3}, {0, 0, 0.48f * half, 3}},
        {{0, 0, -0.48f * half, 3}, {0, 0, 0.48f * half, -3}},
        {{0, 0, 0, -3}, {0, 0, 0, -3}},
        {{1, 2, 4e5f, 3}, {1, 2, (float)(4e5 - 3819719 * PI / OMEGA), -3}},
        {{1, 2, 1e30f, 3}, {1, 2, 1e30f, 3}}, /* says nothing of a phase */
        {{-1, -2, -1e30f, 3}, {1, 2, 1e30f, -3}},
        {{1, 2, INFINITY, 3}, {1, 2, INFINITY, 3}},
        {{1, 2, NAN, 3}, {1, 2, NAN, 3}},
        {{INFINITY, -INFINITY, 0.01f, 3}, {INFINITY, -INFINITY, 0.01f, 3}},
        {{NAN, -2, 0.01f, INFINITY}, {NAN, 2, -0.01f, -INFINITY}},
        {{-1e38f, -3e38f, 0, 3e38f}, {1e38f, 3e38f, 0, -3e38f}},
        {{1e-45f, -3e-45f, 0, 3}, {-1e-45f, 3e-45f, 0, -3}},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_neuron(&cases[i].given, &cases[i].expected);
}

/* A second layer of one neuron, whose two weights have neither a sum nor cubes. */
static void neurons_without_a_sign(void **state)
{
    (void)state;
    const double half_period = PI / OMEGA;
    for (int part = -17; part <= 17; part++) {
        nft_weights *weights = fresh((int64_t[]){2, 2, 1, 1}, 4, 1, OMEGA);
        memcpy(nft_weights_edit(weights, 0), (const float[]){1, 2, 2, 1}, 4 * sizeof(float));
        memcpy(nft_weights_edit(weights, 1), (const float[]){0, 0}, 2 * sizeof(float));
        memcpy(nft_weights_edit(weights, 2), (const float[]){1, -1}, 2 * sizeof(float));
        *nft_weights_edit(weights, 3) = (float)((part + 0.25) / 32 * half_period);
        check_copies(weights, OMEGA, 3, 1e-6);
    }
}

/* Every bias near the border comes to rest at once. */
static void borders(void **state)
{
    (void)state;
    nft_weights *weights = fresh((int64_t[]){2, 1, 1}, 3, 1, 0);
    const double omegas[] = {30, 1, 7.3, 1e6, 1e-3};
    for (size_t i = 0; i < COUNT(omegas); i++)
        for (int k = -9; k <= 9; k++) {
            float bias = (float)((17.0 / 32 + k) * PI / omegas[i]);
            for (int step = 0; step < 8; step++)
                bias = nextafterf(bias, -INFINITY);
            for (int step = 0; step < 16; step++, bias = nextafterf(bias, INFINITY)) {
                nft_weights_edit(weights, 1)[0] = bias;
                assert_ok(nft_inr_canonicalize(weights, omegas[i]));
                check_twice_is_once(weights, omegas[i]);
                double phase = omegas[i] * (double)nft_weights_data(weights, 1)[0] / PI * 32;
                assert_true(phase > -15 - 1e-5 && phase < 17 + 1e-5);
            }
        }
    nft_weights_free(weights);
}

static void refused(nft_status expected, const char *words, nft_status status)
{
    assert_int_equal(status, expected);
    assert_non_null(strstr(nft_error_message(), words));
}

static void wrong_arguments(void **state)
{
    (void)state;
    nft_weights *weights = fresh((int64_t[]){2, 4, 1}, 3, 2, 0), *borrowed = NULL, *other = NULL;
    nft_space *space = NULL;
    const float *tensors[] = {nft_weights_data(weights, 0), NULL, nft_weights_data(weights, 2), NULL};
    assert_ok(nft_weights_borrow(&borrowed, nft_weights_space(weights), 2, 1, tensors));
    assert_ok(nft_space_create_mlp(&space, (int64_t[]){3, 4, 1}, 3));
    assert_ok(nft_weights_create(&other, space, 1, 1, NULL));
    refused(NFT_ERROR_ARGUMENT, "nft_inr_canonicalize", nft_inr_canonicalize(NULL, 0));
    refused(NFT_ERROR_ARGUMENT, "omega is -1", nft_inr_canonicalize(weights, -1));
    refused(NFT_ERROR_ARGUMENT, "omega is", nft_inr_canonicalize(weights, NAN));
    refused(NFT_ERROR_ARGUMENT, "borrows", nft_inr_canonicalize(borrowed, 0));
    refused(NFT_ERROR_CONFIG, "3 inputs", nft_inr_canonicalize(other, 0));
    nft_weights_free(other);
    assert_ok(nft_weights_create(&other, nft_weights_space(weights), 1, 2, NULL));
    refused(NFT_ERROR_MISMATCH, "2 channels", nft_inr_canonicalize(other, 0));
    nft_weights_free(other);
    assert_ok(nft_weights_create(&other, nft_weights_space(weights), 0, 1, NULL));
    assert_ok(nft_inr_canonicalize(other, 0));
    nft_weights_free(other);
    nft_weights_free(borrowed);
    nft_weights_free(weights);
    nft_space_free(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_ones_keep_their_function),
        cmocka_unit_test(fresh_ones_keep_their_function),
        cmocka_unit_test(copies_are_the_same_neurons),
        cmocka_unit_test(special_neurons),
        cmocka_unit_test(neurons),
        cmocka_unit_test(neurons_without_a_sign),
        cmocka_unit_test(borders),
        cmocka_unit_test(wrong_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
