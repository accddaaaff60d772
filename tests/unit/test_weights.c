/* Weight sets in memory: made, filled, permuted. */
#define _XOPEN_SOURCE 700
#include "io/file.h"
#include "nft/permute.h"
#include "space/array.h"
#include "space/weights.h"

#include "unit/extras.h"
#include "unit/failing_allocator.h"
#include "unit/temporary.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "unit/checks.h"
#include "unit/numbered_weights.h"

static void sets_are_made(void **state)
{
    (void)state;
    nft_weights *weights = numbered(2, 1), *copy = NULL, *borrowed = NULL;
    assert_int_equal(nft_space_describe(nft_weights_space(weights))->layer_count, 3);
    assert_string_equal(nft_weights_tensor_name(weights, 4), "2.weight");
    assert_string_equal(nft_weights_tensor_name(weights, 5), "2.bias");
    assert_null(nft_weights_tensor_name(weights, 6));
    assert_null(nft_weights_tensor_name(weights, -1));
    assert_null(nft_weights_data(weights, -1));
    assert_null(nft_weights_edit(weights, 6));
    assert_int_equal(nft_weights_data_count(weights, 2), 2 * 5 * 12);
    assert_int_equal(nft_weights_data_count(weights, 3), 2 * 5);

    const float *arrays[6];
    for (int64_t t = 0; t < 6; t++)
        arrays[t] = nft_weights_data(weights, t);
    assert_ok(nft_weights_create(&copy, weights->space, 2, 1, arrays));
    assert_same_data(weights, copy);
    assert_ok(nft_weights_borrow(&borrowed, weights->space, 2, 1, arrays));
    assert_same_data(weights, borrowed);
    assert_ptr_equal(nft_weights_data(borrowed, 2), arrays[2]);
    assert_null(nft_weights_edit(borrowed, 2));
    nft_weights_free(copy);
    nft_weights_free(borrowed);

    arrays[3] = NULL;
    assert_ok(nft_weights_create(&copy, weights->space, 2, 1, arrays));
    assert_ok(nft_weights_borrow(&borrowed, weights->space, 2, 1, arrays));
    for (int k = 0; k < 10; k++)
        assert_true(nft_weights_data(copy, 3)[k] == 0 && nft_weights_data(borrowed, 3)[k] == 0);
    assert_ptr_equal(nft_weights_data(borrowed, 5), arrays[5]);
    nft_weights_free(borrowed);
    nft_weights_free(copy);
    nft_weights_free(weights);
    nft_weights_free(NULL);
    assert_null(nft_weights_space(NULL));
    assert_null(nft_weights_data(NULL, 0));
    assert_int_equal(nft_weights_count(NULL) + nft_weights_channels(NULL), 0);
    assert_null(nft_weights_extra_name(NULL, 0));
}

static void wrong_sets_are_refused(void **state)
{
    (void)state;
    nft_space *space = cnn();
    nft_weights *weights = (nft_weights *)space;
    const float value = 0, *const arrays[] = {&value, &value, NULL, &value, &value, &value};
    assert_int_equal(nft_weights_create(&weights, space, -1, 1, NULL), NFT_ERROR_ARGUMENT);
    assert_null(weights);
    assert_int_equal(nft_weights_create(&weights, space, 1, 0, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_weights_create(&weights, NULL, 1, 1, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_weights_create(NULL, space, 1, 1, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_weights_create(&weights, space, INT64_MAX, INT64_MAX, NULL), NFT_ERROR_LIMIT);
    assert_int_equal(nft_weights_create(&weights, space, INT64_MAX / 1000, 1, NULL), NFT_ERROR_LIMIT);
    assert_int_equal(nft_weights_create(&weights, space, 1, 1, arrays), NFT_ERROR_ARGUMENT);
    assert_message("nft_weights_create: tensors[2], '1.weight', is NULL");
    assert_int_equal(nft_weights_borrow(&weights, space, 1, 1, arrays), NFT_ERROR_ARGUMENT);
    const float *const whole[] = {&value, &value, &value, &value, &value, &value};
    assert_int_equal(nft_weights_borrow(&weights, space, INT64_MAX / 2, 1, whole), NFT_ERROR_LIMIT);
    assert_null(weights);
    assert_ok(nft_weights_create(&weights, space, 0, 3, NULL));
    assert_int_equal(nft_weights_data_count(weights, 0), 0);
    assert_ok(nft_weights_permute_random(weights, 1, 0));
    nft_weights_free(weights);
    nft_space_free(space);
}

static void gather_puts_channels_last(void **state)
{
    (void)state;
    for (int64_t channels = 1; channels < 40; channels += 19) {
        nft_weights *weights = numbered(2, channels);
        const nft_space *space = weights->space;
        float *features = malloc((size_t)(space->numbers * channels) * sizeof *features);
        assert_non_null(features);
        nft_weights_gather(weights, 1, features);
        for (int64_t t = 0; t < space->tensor_count; t++) {
            const nft_tensor *tensor = &space->tensors[t];
            for (int64_t c = 0; c < channels; c++)
                for (int64_t token = 0; token < tensor->tokens; token++)
                    for (int64_t p = 0; p < tensor->positions; p++) {
                        int64_t from = ((channels + c) * tensor->tokens + token) * tensor->positions + p;
                        int64_t to = (token * channels + c) * tensor->positions + p;
                        assert_true(features[channels * tensor->offset + to] == weights->data[t][from]);
                    }
        }
        nft_weights *other = NULL;
        assert_ok(nft_weights_create(&other, space, 2, channels, NULL));
        nft_weights_scatter(other, 1, features);
        nft_weights_gather(weights, 0, features);
        nft_weights_scatter(other, 0, features);
        assert_same_data(weights, other);
        nft_weights_free(other);
        nft_weights_free(weights);
        free(features);
    }
}

static void extras_travel_along(void **state)
{
    (void)state;
    nft_weights *weights = numbered(2, 1);
    const int64_t labels[] = {4, 5}, two = 2, three = 3;
    const float floats[] = {1, 2};
    nft_array *label, *target, *wrong;
    assert_ok(nft_array_create(&label, NFT_ARRAY_I64, &two, 1, labels));
    assert_ok(nft_array_create(&target, NFT_ARRAY_F32, &two, 1, floats));
    assert_ok(nft_array_create(&wrong, NFT_ARRAY_F32, &three, 1, NULL));
    assert_ok(nft_weights_set_extra(weights, "label", label));
    assert_ok(nft_weights_set_extra(weights, "target", target));
    assert_int_equal(count_extras(weights), 2);
    assert_string_equal(nft_weights_extra_name(weights, 1), "target");
    assert_null(nft_weights_extra_name(weights, 2));
    assert_int_equal(nft_array_i64(nft_weights_extra(weights, "label"))[1], 5);
    assert_null(nft_weights_extra(weights, "labels"));
    assert_ok(nft_weights_set_extra(weights, "label", target));
    assert_true(nft_array_f32(nft_weights_extra(weights, "label"))[1] == 2);
    assert_int_equal(nft_weights_set_extra(weights, "x", wrong), NFT_ERROR_ARGUMENT);
    assert_message("the leading axis of 'x' is 3, expected 2");
    static const char *const taken[] = {"0.weight", "a.bias", "__metadata__"};
    for (size_t i = 0; i < COUNT(taken); i++)
        assert_int_equal(nft_weights_set_extra(weights, taken[i], label), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_weights_set_extra(weights, NULL, label), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_weights_set_extra(NULL, "x", label), NFT_ERROR_ARGUMENT);
    assert_ok(nft_weights_set_extra(weights, "label", NULL));
    assert_ok(nft_weights_set_extra(weights, "label", NULL));
    assert_int_equal(count_extras(weights), 1);
    assert_string_equal(nft_weights_extra_name(weights, 0), "target");
    nft_array_free(label);
    nft_array_free(target);
    nft_array_free(wrong);
    nft_weights_free(weights);
}
/* Old neuron of the given axis; the identity where nothing moves. */
static int64_t old_of(const int64_t *const *permutations, const nft_axis *axis, int64_t index,
                      int64_t network, int64_t neuron)
{
    return permutations[index] ? permutations[index][network * axis->size + neuron] : neuron;
}

/* From which number of a network's tensor number k comes. */
static int64_t source_of(const nft_space *space, const nft_tensor *tensor, const int64_t *const *permutations,
                         int64_t n, int64_t k)
{
    int64_t from = 0;
    for (int64_t i = 0; i < tensor->factor_count; i++) {
        int64_t index = k / tensor->factor_strides[i] % tensor->factor_sizes[i],
                axis = tensor->declared[i].axis;
        if (axis >= 0)
            index = old_of(permutations, &space->axes[axis], axis, n, index);
        from += index * tensor->factor_strides[i];
    }
    return from;
}

static void assert_permuted(const nft_weights *new, const nft_weights *old,
                            const int64_t *const *permutations)
{
    const nft_space *space = old->space;
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        int64_t numbers = tensor->tokens * tensor->positions;
        for (int64_t nc = 0; nc < old->count * old->channels; nc++)
            for (int64_t k = 0; k < numbers; k++) {
                int64_t from = source_of(space, tensor, permutations, nc / old->channels, k);
                assert_true(new->data[t][nc * numbers + k] == old->data[t][nc * numbers + from]);
            }
    }
}

static void hidden_neurons_are_permuted(void **state)
{
    (void)state;
    const int64_t first[] = {2, 0, 1, 1, 2, 0}, second[] = {4, 3, 2, 1, 0, 0, 2, 1, 4, 3};
    const int64_t *const both[] = {NULL, first, second, NULL}, *const last[] = {NULL, NULL, second, NULL},
                         *const none[] = {NULL, NULL, NULL, NULL};
    for (int64_t channels = 1; channels < 4; channels += 2) {
        nft_weights *old = numbered(2, channels), *new = numbered(2, channels);
        assert_ok(nft_weights_permute(new, none));
        assert_same_data(old, new);
        assert_ok(nft_weights_permute(new, last));
        assert_permuted(new, old, last);
        nft_weights_free(new);
        new = numbered(2, channels);
        assert_ok(nft_weights_permute(new, both));
        assert_permuted(new, old, both);
        nft_weights_free(new);
        nft_weights_free(old);
    }
}

static void wrong_permutations_change_nothing(void **state)
{
    (void)state;
    const int64_t good[] = {2, 0, 1, 1, 2, 0};
    int64_t bad[] = {4, 3, 2, 1, 0, 0, 2, 1, 4, 4};
    const int64_t *const both[] = {NULL, good, bad, NULL}, *const inputs[] = {good, NULL, NULL, NULL};
    nft_weights *old = numbered(2, 1), *new = numbered(2, 1), *borrowed = NULL;
    const int64_t wrong[] = {4, 5, -1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        bad[9] = wrong[i];
        assert_int_equal(nft_weights_permute(new, both), NFT_ERROR_ARGUMENT);
        assert_message("the permutation of axis 'n2' of network 1 is none of 5 neurons");
        assert_same_data(old, new);
    }
    assert_int_equal(nft_weights_permute(new, inputs), NFT_ERROR_ARGUMENT);
    assert_message("axis 'n0' has no symmetry");
    assert_same_data(old, new);
    assert_int_equal(nft_weights_permute(new, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_weights_permute(NULL, both), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_weights_permute_random(NULL, 0, 0), NFT_ERROR_ARGUMENT);
    const float *arrays[6];
    for (int64_t t = 0; t < 6; t++)
        arrays[t] = nft_weights_data(old, t);
    assert_ok(nft_weights_borrow(&borrowed, old->space, 2, 1, arrays));
    assert_int_equal(nft_weights_permute(borrowed, both), NFT_ERROR_ARGUMENT);
    assert_message("nft_weights_create()");
    assert_int_equal(nft_weights_permute_random(borrowed, 3, 0), NFT_ERROR_ARGUMENT);
    nft_weights_free(borrowed);
    nft_weights_free(new);
    nft_weights_free(old);
}

/* The output of a network whose layers are linear, tanh between them. */
static double run_mlp(const nft_weights *weights, int64_t network)
{
    double x[16] = {0.5, -0.25}, y[16];
    const nft_space *space = weights->space;
    for (int64_t i = 0; i < space->layer_count; i++) {
        int64_t in = space->layers[i].in, out = space->layers[i].out;
        const float *w = weights->data[2 * i] + network * in * out,
                    *v = weights->data[2 * i + 1] + network * out;
        for (int64_t row = 0; row < out; row++) {
            y[row] = (double)v[row];
            for (int64_t column = 0; column < in; column++)
                y[row] += (double)w[row * in + column] * x[column];
        }
        for (int64_t row = 0; row < out; row++)
            x[row] = tanh(y[row]);
    }
    return x[0];
}

static void random_permutations_keep_the_function(void **state)
{
    (void)state;
    const int64_t widths[] = {2, 9, 7, 1};
    nft_space *space = NULL;
    nft_weights *sets[3];
    assert_ok(nft_space_create_mlp(&space, widths, 4));
    for (int s = 0; s < 3; s++) {
        assert_ok(nft_weights_create(&sets[s], space, 5, 1, NULL));
        for (int t = 0; t < 6; t++)
            for (int64_t k = 0; k < nft_weights_data_count(sets[s], t); k++)
                nft_weights_edit(sets[s], t)[k] = (float)sin((double)(k * 7 + t));
    }
    assert_ok(nft_weights_permute_random(sets[1], 42, 0));
    assert_ok(nft_weights_permute_random(sets[2], 42, 0));
    assert_same_data(sets[1], sets[2]);
    int64_t bytes = nft_weights_data_count(sets[0], 1) / 5 * (int64_t)sizeof(float);
    for (int64_t n = 0; n < 5; n++) {
        assert_true(fabs(run_mlp(sets[0], n) - run_mlp(sets[1], n)) < 1e-12);
        assert_memory_not_equal(sets[0]->data[1] + 9 * n, sets[1]->data[1] + 9 * n, (size_t)bytes);
    }
    assert_ok(nft_weights_permute_random(sets[2], 43, 0));
    assert_memory_not_equal(sets[1]->data[1], sets[2]->data[1], (size_t)(5 * bytes));
    for (int s = 0; s < 3; s++)
        nft_weights_free(sets[s]);
    nft_space_free(space);
}

/* Of each axis and of each network. */
static void random_permutations_are_drawn_anew(void **state)
{
    (void)state;
    const int64_t widths[] = {1, 9, 9, 1};
    nft_space *space = NULL;
    nft_weights *weights = NULL;
    assert_ok(nft_space_create_mlp(&space, widths, 4));
    assert_ok(nft_weights_create(&weights, space, 2, 1, NULL));
    for (int t = 1; t <= 3; t += 2) /* the biases tell which neuron is where */
        for (int64_t k = 0; k < 2 * 9; k++)
            nft_weights_edit(weights, t)[k] = (float)(k % 9);
    assert_ok(nft_weights_permute_random(weights, 7, 0));
    size_t bytes = 9 * sizeof(float);
    assert_memory_not_equal(weights->data[1], weights->data[3], bytes);
    assert_memory_not_equal(weights->data[1], weights->data[1] + 9, bytes);
    assert_memory_not_equal(weights->data[3], weights->data[3] + 9, bytes);
    nft_weights_free(weights);
    nft_space_free(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_made),
        cmocka_unit_test(wrong_sets_are_refused),
        cmocka_unit_test(gather_puts_channels_last),
        cmocka_unit_test(extras_travel_along),
        cmocka_unit_test(hidden_neurons_are_permuted),
        cmocka_unit_test(wrong_permutations_change_nothing),
        cmocka_unit_test(random_permutations_keep_the_function),
        cmocka_unit_test(random_permutations_are_drawn_anew),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
