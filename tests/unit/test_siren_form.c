/* SIRENs whose layers have different ω, and whose output has an offset: values, gradients, rendering, fit and
 * canonical form against the formula in double. */
#include "nft/inr.h"
#include "unit/support.h"

#include "siren/repair.h"
#include "siren/siren.h"
#include "siren/siren_tape.h"

#include <math.h>

#define SIZE 9

/* ω 30, 2 and 2, and ½ added to the output. */
static double omega_of(int64_t layer)
{
    return layer ? 2 : 30;
}

#define OFFSET 0.5

/* The network in double, straight from the formula. */
static double reference(const nft_space *space, const float *weights, const float *place, int64_t colour)
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
            h[(l + 1) % 2][o] = l + 1 < space->layer_count ? sin(omega_of(l) * sum) : sum + OFFSET;
        }
    }
    return h[space->layer_count % 2][colour];
}

static nft_siren_form read_form(const char *omega, const char *offset)
{
    nft_siren_form form = nft_siren_plain(NFT_DEFAULT_OMEGA);
    assert_ok(nft_siren_form_read(&form, omega, offset));
    return form;
}

static void fill_random(float *values, int64_t count, uint64_t stream, double bound)
{
    nft_random random = {5, stream};
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(bound * (2 * (double)nft_random_uniform(&random, (uint64_t)i) - 1));
}

/* Σ grad_out · output over all pixels. */
static double reference_sum(const nft_space *space, const float *weights, const float *places,
                            const float *grad_out)
{
    int64_t colours = space->layers[space->layer_count - 1].out;
    double sum = 0;
    for (int64_t i = 0; i < SIZE * SIZE * colours; i++)
        sum += (double)grad_out[i] * reference(space, weights, places + i / colours * 2, i % colours);
    return sum;
}

/* Forward and backward of all pixels, chunk by chunk. */
static void run_tape(nft_siren_tape *tape, int64_t colours, const float *grad_out, float *out)
{
    for (int64_t first = 0; first < SIZE * SIZE; first += NFT_SIREN_CHUNK) {
        int64_t left = SIZE * SIZE - first, rows = left < NFT_SIREN_CHUNK ? left : NFT_SIREN_CHUNK;
        nft_siren_tape_forward_pixels(tape, first, rows, out + first * colours);
        nft_siren_tape_backward(tape, rows, grad_out + first * colours);
    }
}

static void check_gradients(nft_space *space)
{
    int64_t numbers = space->numbers, colours = space->layers[space->layer_count - 1].out;
    const nft_siren_form form = read_form("30,2", "0.5");
    float *weights = support_allocate((size_t)numbers * sizeof *weights),
          *gradient = support_allocate((size_t)numbers * sizeof *gradient),
          *expected = support_allocate((size_t)numbers * sizeof *expected);
    float places[2 * SIZE * SIZE], grad_out[SIZE * SIZE * 3], out[SIZE * SIZE * 3];
    nft_siren_tape *tape = NULL;
    fill_random(weights, numbers, 1, 0.1);
    fill_random(grad_out, SIZE * SIZE * colours, 2, 1);
    nft_siren_grid(SIZE, SIZE, 0, SIZE * SIZE, places);
    assert_ok(nft_siren_tape_create(&tape, space, 7, NFT_PRECISION_FLOAT32));
    nft_siren_tape_set_form(tape, &form);
    assert_ok(nft_siren_tape_set_image(tape, SIZE, SIZE));
    nft_siren_tape_load(tape, weights);
    run_tape(tape, colours, grad_out, out);
    nft_siren_tape_gradient(tape, gradient);
    for (int64_t i = 0; i < SIZE * SIZE * colours; i++)
        assert_true(fabs((double)out[i] - reference(space, weights, places + i / colours * 2, i % colours)) <
                    1e-5);
    for (int64_t i = 0; i < numbers; i++) {
        float kept = weights[i];
        weights[i] = kept + 0x1p-13f;
        double above = reference_sum(space, weights, places, grad_out), high = (double)weights[i];
        weights[i] = kept - 0x1p-13f;
        double below = reference_sum(space, weights, places, grad_out);
        expected[i] = (float)((above - below) / (high - (double)weights[i]));
        weights[i] = kept;
    }
    support_close("gradient", numbers, gradient, expected, 2e-3, 2e-3);
    nft_siren_tape_free(tape);
    free(weights);
    free(gradient);
    free(expected);
    nft_space_free(space);
}

static void gradients(void **state)
{
    (void)state;
    check_gradients(SUPPORT_MLP(2, 12, 10, 1));
    check_gradients(SUPPORT_MLP(2, 9, 7, 5, 3));
    check_gradients(SUPPORT_MLP(2, 6, 1));
}

/* Fresh networks that note their form. */
static nft_weights *networks(const nft_space *space, int64_t count)
{
    nft_weights *weights = NULL;
    assert_ok(nft_weights_create(&weights, space, count, 1, NULL));
    assert_ok(nft_weights_set_metadata(weights, "nft.omega", "30, 2"));
    assert_ok(nft_weights_set_metadata(weights, "nft.offset", "0.5"));
    assert_ok(nft_inr_init(weights, 3, 0, 0));
    return weights;
}

static nft_array *render(const nft_weights *weights)
{
    nft_array *images = NULL;
    assert_ok(nft_inr_render(&images, weights, 0, nft_weights_count(weights), SIZE, SIZE, NULL));
    return images;
}

static void compare_rendering(const nft_weights *weights, double tolerance)
{
    const nft_space *space = nft_weights_space(weights);
    float *network = support_allocate((size_t)space->numbers * sizeof *network), places[2 * SIZE * SIZE];
    nft_array *images = render(weights);
    nft_siren_grid(SIZE, SIZE, 0, SIZE * SIZE, places);
    for (int64_t i = 0; i < nft_array_count(images); i++) {
        nft_weights_gather(weights, i / (SIZE * SIZE), network);
        assert_true(fabs((double)nft_array_f32(images)[i] -
                         reference(space, network, places + i % (SIZE * SIZE) * 2, 0)) < tolerance);
    }
    nft_array_free(images);
    free(network);
}

static void renderings(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 12, 10, 1);
    nft_weights *weights = networks(space, 3);
    compare_rendering(weights, 2e-5);
    nft_weights_free(weights);
    nft_space_free(space);
}

/* The bound of a layer is √(6/in) over its own ω. */
static void fresh_ones(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 24, 24, 1);
    nft_weights *weights = networks(space, 5);
    double largest = support_largest(nft_weights_data_count(weights, 2), nft_weights_data(weights, 2));
    assert_true(largest > 0.9 * 0.25 && largest <= 0.25);
    nft_weights_free(weights);
    nft_space_free(space);
}

/* The same function, of which many neurons have changed. */
static void canonical_form(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 12, 10, 1);
    nft_weights *weights = networks(space, 3);
    for (int64_t i = 0; i < nft_weights_data_count(weights, 3); i++)
        nft_weights_edit(weights, 3)[i] += (float)(i % 5 - 2);
    nft_array *before = render(weights);
    assert_ok(nft_inr_canonicalize(weights, 0));
    nft_array *after = render(weights);
    support_close("the function", nft_array_count(before), nft_array_f32(after), nft_array_f32(before), 1e-4,
                  1e-4);
    assert_string_equal(nft_weights_metadata(weights, "nft.canonical"), "sign-phase");
    for (int64_t i = 0; i < nft_weights_data_count(weights, 3); i++)
        assert_true(fabs(2 * (double)nft_weights_data(weights, 3)[i]) <= 17.0 / 32 * 3.14159266);
    nft_array_free(before);
    nft_array_free(after);
    nft_weights_free(weights);
    nft_space_free(space);
}

/* Other ω, offset and signs, and the same function. */
static void repaired(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 12, 10, 1);
    nft_weights *weights = networks(space, 2);
    const nft_siren_repair repair = {.scale = true,
                                     .shift = true,
                                     .canonicalize = true,
                                     .from = read_form("30,2", "0.5"),
                                     .to = read_form("15,20", "-0.25")};
    nft_array *before = render(weights);
    nft_siren_repair_networks(&repair, space, (float *const *)weights->data, 2);
    assert_ok(nft_weights_set_metadata(weights, "nft.omega", "15,20"));
    assert_ok(nft_weights_set_metadata(weights, "nft.offset", "-0.25"));
    nft_array *after = render(weights);
    support_close("the function", nft_array_count(before), nft_array_f32(after), nft_array_f32(before), 1e-4,
                  1e-4);
    assert_ok(nft_inr_canonicalize(weights, 0));
    nft_array *again = render(weights);
    support_identical("the form", nft_array_count(after), nft_array_f32(again), nft_array_f32(after));
    nft_array_free(before);
    nft_array_free(after);
    nft_array_free(again);
    nft_weights_free(weights);
    nft_space_free(space);
}

/* The loss is that of the formula, and the fit brings it down. */
static void fits(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 16, 16, 1);
    nft_weights *weights = networks(space, 1);
    float values[SIZE * SIZE], loss = 0;
    nft_array *images = NULL;
    for (int64_t i = 0; i < SIZE * SIZE; i++)
        values[i] = (float)sin(0.5 * (double)(i / SIZE) + 0.3 * (double)(i % SIZE));
    assert_ok(nft_array_create(&images, NFT_ARRAY_F32, (int64_t[]){1, SIZE, SIZE, 1}, 4, values));
    assert_ok(nft_inr_fit(weights, &loss, images, NULL));
    assert_true(loss < 0.02f);
    nft_array *rendered = render(weights);
    double sum = 0;
    for (int64_t i = 0; i < SIZE * SIZE; i++)
        sum += pow((double)nft_array_f32(rendered)[i] - (double)values[i], 2);
    assert_true(fabs(sum / (SIZE * SIZE) - (double)loss) < 1e-3 * (double)loss + 1e-7);
    compare_rendering(weights, 1e-4);
    nft_array_free(rendered);
    nft_array_free(images);
    nft_weights_free(weights);
    nft_space_free(space);
}

/* An ω that the caller gives is that of every layer. */
static void given_omega(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 12, 10, 1);
    nft_weights *weights = networks(space, 1);
    nft_inr_render_options options = NFT_INR_RENDER_OPTIONS_INIT;
    nft_array *given = NULL;
    options.omega = 5;
    assert_ok(nft_inr_render(&given, weights, 0, 1, SIZE, SIZE, &options));
    assert_ok(nft_weights_set_metadata(weights, "nft.omega", "5"));
    nft_array *noted = render(weights);
    support_identical("omega 5", nft_array_count(noted), nft_array_f32(given), nft_array_f32(noted));
    nft_array_free(given);
    nft_array_free(noted);
    nft_weights_free(weights);
    nft_space_free(space);
}

/* Fresh networks note the ω that they were made for, and are in no canonical form. */
static void noted_omega(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 12, 10, 1);
    nft_weights *weights = networks(space, 1);
    assert_ok(nft_inr_canonicalize(weights, 0));
    assert_ok(nft_inr_init(weights, 3, 0, 2.5));
    assert_string_equal(nft_weights_metadata(weights, "nft.omega"), "2.5");
    assert_null(nft_weights_metadata(weights, "nft.canonical"));
    nft_weights_free(weights);
    nft_space_free(space);
}

static void check_refused(const char *key, const char *text, const char *words)
{
    nft_space *space = SUPPORT_MLP(2, 4, 1);
    nft_weights *weights = NULL;
    nft_array *images = NULL;
    assert_ok(nft_weights_create(&weights, space, 1, 1, NULL));
    assert_ok(nft_weights_set_metadata(weights, key, text));
    assert_int_not_equal(nft_inr_render(&images, weights, 0, 1, SIZE, SIZE, NULL), NFT_OK);
    if (!strstr(nft_error_message(), words))
        fail_msg("'%s' does not say '%s'", nft_error_message(), words);
    nft_weights_free(weights);
    nft_space_free(space);
}

static void wrong_texts(void **state)
{
    (void)state;
    check_refused("nft.omega", "", "'nft.omega' of the metadata is ''");
    check_refused("nft.omega", "30,", "is '30,'");
    check_refused("nft.omega", "30,-1", "is '30,-1'");
    check_refused("nft.omega", "30,\"1\"", "1e-6 to 1e6");
    check_refused("nft.omega", "1e7", "1e-6 to 1e6");
    check_refused("nft.omega", "30,1,1", "3 numbers of omega");
    check_refused("nft.omega", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "at most 16");
    check_refused("nft.offset", "none", "'nft.offset' of the metadata is 'none'");
    check_refused("nft.offset", "0.5,0.5", "is '0.5,0.5'");
    check_refused("nft.offset", "1e7", "-1e6 to 1e6");
}

static void same_texts(void **state)
{
    (void)state;
    assert_true(nft_siren_same_omega("30", "30.0"));
    assert_true(nft_siren_same_omega("30", "30,30,30"));
    assert_true(nft_siren_same_omega("30,1", "30, 1, 1"));
    assert_false(nft_siren_same_omega("30,1", "30"));
    assert_false(nft_siren_same_omega("30,1", "1,30"));
    assert_false(nft_siren_same_omega("30", "x"));
    assert_true(nft_siren_same_omega("x", "x"));
    assert_true(nft_siren_same_offset("0.5", "0.50"));
    assert_false(nft_siren_same_offset("0.5", "0"));
    assert_false(nft_siren_same_offset("x", "0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients),      cmocka_unit_test(renderings),  cmocka_unit_test(fresh_ones),
        cmocka_unit_test(canonical_form), cmocka_unit_test(repaired),    cmocka_unit_test(fits),
        cmocka_unit_test(given_omega),    cmocka_unit_test(wrong_texts), cmocka_unit_test(same_texts),
        cmocka_unit_test(noted_omega),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
