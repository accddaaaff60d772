/* A SIREN and its gradients, against the formula in double and finite differences, at any places and pixel by
 * pixel. */
#include "unit/support.h"

#include "math/kernel_set.h"
#include "siren/siren.h"
#include "siren/siren_tape.h"

#include <math.h>

/* The network in double, straight from the formula. */
static double reference_output(const nft_space *space, const float *weights, double omega, const float *place,
                               int64_t colour)
{
    double h[2][64] = {{(double)place[0], (double)place[1]}};
    for (int64_t l = 0; l < space->layer_count; l++) {
        const nft_layer *layer = &space->layers[l];
        const float *weight = weights + space->tensors[NFT_WEIGHT_OF(l)].offset;
        const float *bias = weights + space->tensors[NFT_BIAS_OF(l)].offset;
        for (int64_t o = 0; o < layer->out; o++) {
            double sum = (double)bias[o];
            for (int64_t i = 0; i < layer->in; i++)
                sum += (double)weight[o * layer->in + i] * h[l % 2][i];
            h[(l + 1) % 2][o] = l + 1 < space->layer_count ? sin(omega * sum) : sum;
        }
    }
    return h[space->layer_count % 2][colour];
}

#define ROWS 13

/* Σ grad_out · output over the rows, as the tape's gradients have it. */
static double reference_sum(const nft_space *space, const float *weights, double omega, const float *places,
                            const float *grad_out)
{
    int64_t colours = space->layers[space->layer_count - 1].out;
    double sum = 0;
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t c = 0; c < colours; c++)
            sum += (double)grad_out[r * colours + c] *
                   reference_output(space, weights, omega, places + 2 * r, c);
    return sum;
}

static void fill_random(float *values, int64_t count, uint64_t stream, double bound)
{
    nft_random random = {3, stream};
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(bound * (2 * (double)nft_random_uniform(&random, (uint64_t)i) - 1));
}

static void check_gradients(nft_space *space, float omega)
{
    int64_t numbers = space->numbers, colours = space->layers[space->layer_count - 1].out;
    float *weights = support_allocate((size_t)numbers * sizeof *weights),
          *gradient = support_allocate((size_t)numbers * sizeof *gradient),
          *expected = support_allocate((size_t)numbers * sizeof *expected);
    float places[2 * ROWS], grad_out[ROWS * 40], out[ROWS * 40];
    nft_siren_tape *tape = NULL;
    fill_random(weights, numbers, 1, 0.2);
    fill_random(places, 2 * ROWS, 2, 1);
    fill_random(grad_out, ROWS * colours, 3, 1);
    assert_ok(nft_siren_tape_create(&tape, space, omega, NFT_PRECISION_FLOAT32));
    nft_siren_tape_load(tape, weights);
    nft_siren_tape_forward(tape, 9, places, out);
    nft_siren_tape_backward(tape, 9, grad_out);
    nft_siren_tape_forward(tape, ROWS - 9, places + 2 * 9, out + 9 * colours);
    nft_siren_tape_backward(tape, ROWS - 9, grad_out + 9 * colours);
    nft_siren_tape_gradient(tape, gradient);
    for (int64_t r = 0; r < ROWS * colours; r++)
        assert_true(fabs((double)out[r] - reference_output(space, weights, (double)omega,
                                                           places + r / colours * 2, r % colours)) < 1e-5);
    for (int64_t i = 0; i < numbers; i++) {
        float kept = weights[i];
        weights[i] = kept + 0x1p-12f;
        double above = reference_sum(space, weights, (double)omega, places, grad_out),
               high = (double)weights[i];
        weights[i] = kept - 0x1p-12f;
        double below = reference_sum(space, weights, (double)omega, places, grad_out);
        expected[i] = (float)((above - below) / (high - (double)weights[i]));
        weights[i] = kept;
    }
    support_close("gradient", numbers, gradient, expected, 1e-3, 1e-4);
    nft_siren_tape_free(tape);
    free(weights);
    free(gradient);
    free(expected);
    nft_space_free(space);
}

static void gradients(void **state)
{
    (void)state;
    check_gradients(SUPPORT_MLP(2, 32, 32, 1), 5);
    check_gradients(SUPPORT_MLP(2, 19, 33, 7, 3), 4);
    check_gradients(SUPPORT_MLP(2, 1, 1), 3);
    check_gradients(SUPPORT_MLP(2, 40), 1);
}

/* Tapes of two precisions, one of places, and one pixel after pixel, as a fit does it. */
typedef struct precisions {
    int32_t of_places, of_pixels;
} precisions;

static bool both_float(precisions p)
{
    return p.of_places == NFT_PRECISION_FLOAT32 && p.of_pixels == NFT_PRECISION_FLOAT32;
}

/* Near what is expected: with products of bf16, but for 6 % of the largest. */
static void check_near(const char *name, precisions p, int64_t count, const float *found,
                       const float *expected)
{
    if (both_float(p))
        support_close(name, count, found, expected, 1e-3, 1e-5);
    else
        support_close(name, count, found, expected, 0, 0.06 * support_largest(count, expected));
}

/* Everything equals the values at their places. */
static void check_pixels(nft_space *space, precisions p)
{
    enum { HIGH = 11, WIDE = 7, COUNT_OF_PIXELS = HIGH * WIDE };
    int64_t numbers = space->numbers, colours = space->layers[space->layer_count - 1].out;
    float *weights = support_allocate((size_t)numbers * sizeof *weights),
          *gradient = support_allocate((size_t)numbers * sizeof *gradient),
          *expected = support_allocate((size_t)numbers * sizeof *expected);
    float places[2 * COUNT_OF_PIXELS], target[COUNT_OF_PIXELS * 3], out[NFT_SIREN_CHUNK * 3],
        other[NFT_SIREN_CHUNK * 3];
    nft_siren_tape *tape = NULL, *pixels = NULL;
    fill_random(weights, numbers, 1, 0.2);
    fill_random(target, COUNT_OF_PIXELS * colours, 3, 1);
    nft_siren_grid(HIGH, WIDE, 0, COUNT_OF_PIXELS, places);
    assert_ok(nft_siren_tape_create(&tape, space, 7, p.of_places));
    assert_ok(nft_siren_tape_create(&pixels, space, 7, p.of_pixels));
    assert_ok(nft_siren_tape_set_image(pixels, HIGH, WIDE));
    nft_siren_tape_load(tape, weights);
    nft_siren_tape_load(pixels, weights);
    bool follows = nft_siren_tape_can_follow(pixels);
    assert_int_equal(follows, colours == 1 && space->layer_count > 1);
    for (int64_t first = 0; first < COUNT_OF_PIXELS; first += NFT_SIREN_CHUNK) {
        int64_t left = COUNT_OF_PIXELS - first, rows = left < NFT_SIREN_CHUNK ? left : NFT_SIREN_CHUNK;
        nft_siren_tape_forward(tape, rows, places + 2 * first, out);
        nft_siren_tape_forward_pixels(pixels, first, rows, other);
        check_near("pixels", p, rows * colours, other, out);
        for (int64_t i = 0; i < rows * colours; i++)
            out[i] = 0.3f * (out[i] - target[first * colours + i]);
        nft_siren_tape_backward(tape, rows, out);
        if (follows)
            nft_siren_tape_follow_pixels(pixels, first, rows, target + first, 0.3f);
        else
            nft_siren_tape_backward(pixels, rows, out);
    }
    nft_siren_tape_gradient(tape, expected);
    nft_siren_tape_gradient(pixels, gradient);
    check_near("gradient", p, numbers, gradient, expected);
    bool rounds = !both_float(p) && space->layer_count > 2 && nft_siren_vector_bf16();
    double apart = 0;
    for (int64_t i = 0; i < numbers; i++)
        apart = fmax(apart, fabs((double)gradient[i] - (double)expected[i]));
    assert_int_equal(apart > 1e-4 * support_largest(numbers, expected), rounds);
    nft_siren_tape_free(tape);
    nft_siren_tape_free(pixels);
    free(weights);
    free(gradient);
    free(expected);
    nft_space_free(space);
}

static void pixels(void **state)
{
    (void)state;
    const precisions p[] = {{NFT_PRECISION_FLOAT32, NFT_PRECISION_FLOAT32},
                            {NFT_PRECISION_FLOAT32, NFT_PRECISION_BF16},
                            {NFT_PRECISION_BF16, NFT_PRECISION_FLOAT32}};
    for (int i = 0; i < 3; i++) {
        check_pixels(SUPPORT_MLP(2, 32, 32, 1), p[i]);
        check_pixels(SUPPORT_MLP(2, 19, 33, 7, 1), p[i]);
        check_pixels(SUPPORT_MLP(2, 19, 33, 7, 3), p[i]);
        check_pixels(SUPPORT_MLP(2, 5, 1), p[i]);
        check_pixels(SUPPORT_MLP(2, 1), p[i]);
    }
}

/* The tape's precision may change between two networks. */
static void another_precision(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 20, 12, 1);
    float weights[20 * 3 + 12 * 21 + 13], places[2 * ROWS], out[3][ROWS], expected[ROWS];
    nft_siren_tape *tape = NULL, *plain = NULL;
    fill_random(weights, space->numbers, 1, 0.2);
    fill_random(places, 2 * ROWS, 2, 1);
    assert_ok(nft_siren_tape_create(&tape, space, 7, NFT_PRECISION_BF16));
    assert_ok(nft_siren_tape_create(&plain, space, 7, NFT_PRECISION_FLOAT32));
    for (int i = 0; i < 3; i++) {
        nft_siren_tape_set_precision(tape, i == 1 ? NFT_PRECISION_FLOAT32 : NFT_PRECISION_BF16);
        nft_siren_tape_load(tape, weights);
        nft_siren_tape_forward(tape, ROWS, places, out[i]);
    }
    nft_siren_tape_set_precision(plain, NFT_PRECISION_BF16); /* has no memory for it */
    nft_siren_tape_load(plain, weights);
    nft_siren_tape_forward(plain, ROWS, places, expected);
    support_identical("in single precision", ROWS, out[1], expected);
    support_identical("in bf16 again", ROWS, out[2], out[0]);
    assert_int_equal(memcmp(out[0], expected, sizeof expected) != 0, nft_siren_vector_bf16() != NULL);
    nft_siren_tape_free(tape);
    nft_siren_tape_free(plain);
    nft_space_free(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients),
        cmocka_unit_test(pixels),
        cmocka_unit_test(another_precision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
