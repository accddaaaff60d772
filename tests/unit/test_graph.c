/* Spaces of ONNX graphs: the axes that are united, and the functions of networks after a permutation. */
#define _XOPEN_SOURCE 700
#include "io/file.h"
#include "io/graph/graph.h"
#include "nft/file.h"
#include "nft/nft.h"
#include "nft/permute.h"

#include "unit/failing_allocator.h"
#include "unit/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "unit/checks.h"

#define DATA NFT_TEST_DATA "/graphs/"

static char logged[512];

static void keep_log(int32_t level, const char *message, void *user)
{
    (void)level;
    (void)user;
    snprintf(logged, sizeof logged, "%s", message);
}

static void path_of(char path[512], const char *name, const char *ending)
{
    snprintf(path, 512, DATA "%s%s", name, ending);
}

static void read_line(char *text, size_t capacity, const char *name)
{
    char path[512];
    path_of(path, name, ".json");
    FILE *stream = fopen(path, "r");
    assert_non_null(stream);
    assert_non_null(fgets(text, (int)capacity, stream));
    fclose(stream);
    text[strcspn(text, "\n")] = 0;
}

static nft_space *space_of(const char *name, const char *weights)
{
    char path[512];
    nft_space *space;
    path_of(path, name, ".onnx");
    assert_ok(nft_space_from_onnx(&space, path, weights));
    return space;
}

static void every_graph_has_the_space_that_is_written_next_to_it(void **state)
{
    static const char *const names[] = {"attention", "branch",   "chain",   "dense", "groups", "gru",
                                        "lstm",      "residual", "shuffle", "sizes", "strange"};
    static char expected[1 << 14];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        nft_space *space = space_of(names[i], NULL);
        read_line(expected, sizeof expected, names[i]);
        assert_string_equal(nft_space_describe(space)->json, expected);
        nft_space_free(space);
    }
}

static void an_operator_that_is_not_understood_is_named_in_the_log(void **state)
{
    (void)state;
    nft_set_log(keep_log, NULL);
    nft_space_free(space_of("strange", NULL));
    nft_set_log(NULL, NULL);
    assert_non_null(strstr(logged, "1 operators of the graph, 'Trilu' the first"));
}

static void weights_are_loaded_by_the_space_of_their_graph(void **state)
{
    char path[512];
    nft_weights *weights;
    nft_space *space = space_of("residual", NULL);
    (void)state;
    path_of(path, "residual", ".onnx");
    assert_ok(nft_weights_load(&weights, path, NULL));
    assert_true(nft_space_equal(nft_weights_space(weights), space));
    nft_weights_free(weights);
    nft_space_free(space);
    path_of(path, "chain", ".onnx");
    assert_ok(nft_weights_load(&weights, path, NULL));
    assert_int_equal(nft_space_describe(nft_weights_space(weights))->layer_count, 2);
    nft_weights_free(weights);
}

static void initializers_that_a_state_dict_lacks_are_constants(void **state)
{
    const float zeros[32] = {0};
    const int64_t shape[] = {4, 3};
    const char *file = temporary_path("state.safetensors");
    const char *const tensors[] = {"0.weight"};
    nft_array *array;
    nft_space_axis axis = {.size = sizeof axis};
    (void)state;
    assert_ok(nft_array_create(&array, NFT_ARRAY_F32, shape, 2, zeros));
    assert_ok(nft_array_save(file, tensors, (const nft_array *const *)&array, 1, NULL));
    nft_array_free(array);
    nft_space *space = space_of("chain", file);
    assert_int_equal(nft_space_describe(space)->tensor_count, 1);
    for (int64_t a = 0; a < nft_space_describe(space)->axis_count; a++) {
        assert_ok(nft_space_get_axis(&axis, space, a));
        assert_int_equal(axis.symmetry, NFT_SYMMETRY_NONE);
    }
    nft_space_free(space);
}

static void other_files_are_refused(void **state)
{
    nft_space *space;
    (void)state;
    assert_int_equal(nft_space_from_onnx(&space, NFT_TEST_DATA "/formats/version1.npy", NULL),
                     NFT_ERROR_FORMAT);
    assert_non_null(strstr(nft_error_message(), "expected a model in ONNX"));
    assert_null(space);
    assert_int_equal(nft_space_from_onnx(NULL, "x", NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_space_from_onnx(&space, NULL, NULL), NFT_ERROR_ARGUMENT);
}

static const char *allocation_graph;

static nft_status find_space(void)
{
    char path[512];
    nft_space *space = NULL;
    path_of(path, allocation_graph, ".onnx");
    nft_status status = nft_space_from_onnx(&space, path, NULL);
    nft_space_free(space);
    return status;
}

static void allocations_may_fail(void **state)
{
    static const char *const names[] = {"attention", "dense", "sizes", "gru"};
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        allocation_graph = names[i];
        assert_in_range(fail_every_allocation(find_space), 20, 10000);
    }
}

static const float *tensor(const nft_weights *weights, const char *name)
{
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(weights))->tensor_count; t++)
        if (!strcmp(nft_weights_tensor_name(weights, t), name))
            return nft_weights_data(weights, t);
    fail_msg("no tensor '%s'", name);
    return NULL;
}

/* (out, in, 3, 3) on 4 x 4 places, with a border of zeros; no bias if it is NULL. */
static void convolve(const float *weight, const float *bias, int out, int in, const double *x, double *y)
{
    for (int o = 0; o < out; o++)
        for (int p = 0; p < 16; p++) {
            double sum = bias ? bias[o] : 0;
            for (int k = 0; k < in * 9; k++) {
                int row = p / 4 + k % 9 / 3 - 1, column = p % 4 + k % 3 - 1;
                if (row >= 0 && row < 4 && column >= 0 && column < 4)
                    sum += weight[o * in * 9 + k] * x[k / 9 * 16 + row * 4 + column];
            }
            y[o * 16 + p] = sum;
        }
}

static void residual(const nft_weights *w, double *out)
{
    const float *gain = tensor(w, "norm.weight"), *shift = tensor(w, "norm.bias"),
                *mean = tensor(w, "norm.running_mean"), *var = tensor(w, "norm.running_var");
    double x[32], y[64], z[48], flat[16];
    for (int i = 0; i < 32; i++)
        x[i] = sin(i);
    convolve(tensor(w, "stem.weight"), NULL, 4, 2, x, y);
    for (int i = 0; i < 64; i++)
        y[i] = fmax(0, (y[i] - mean[i / 16]) / sqrt(var[i / 16] + 1e-5) * gain[i / 16] + shift[i / 16]);
    convolve(tensor(w, "block.0.weight"), tensor(w, "block.0.bias"), 3, 4, y, z);
    for (int c = 0; c < 4; c++)
        for (int p = 0; p < 16; p++) {
            y[c * 16 + p] += tensor(w, "block.1.bias")[c];
            for (int i = 0; i < 3; i++)
                y[c * 16 + p] += tensor(w, "block.1.weight")[c * 3 + i] * fmax(0, z[i * 16 + p]);
        }
    for (int i = 0; i < 16; i++) {
        const double *at = y + i / 4 * 16 + i % 4 / 2 * 8 + i % 2 * 2;
        flat[i] = fmax(fmax(at[0], at[1]), fmax(at[4], at[5]));
    }
    for (int o = 0; o < 2; o++) {
        out[o] = tensor(w, "head.bias")[o];
        for (int i = 0; i < 16; i++)
            out[o] += tensor(w, "head.weight")[o * 16 + i] * flat[i];
    }
}

/* y[r] = bias + x[r] · weight, (rows, in) times (in, out). */
static void project(const float *weight, const float *bias, int in, int out, const double *x, double *y)
{
    for (int i = 0; i < 3 * out; i++) {
        y[i] = bias[i % out];
        for (int k = 0; k < in; k++)
            y[i] += x[i / out * in + k] * weight[k * out + i % out];
    }
}

/* One head on three places: its columns of q, k and v. */
static void attend(const double *q, const double *k, const double *v, double *y)
{
    for (int i = 0; i < 3; i++) {
        double weights[3], sum = 0;
        for (int j = 0; j < 3; j++)
            sum += weights[j] = exp(q[i * 4] * k[j * 4] + q[i * 4 + 1] * k[j * 4 + 1]);
        for (int c = 0; c < 2; c++) {
            y[i * 4 + c] = 0;
            for (int j = 0; j < 3; j++)
                y[i * 4 + c] += weights[j] / sum * v[j * 4 + c];
        }
    }
}

static void attention(const nft_weights *w, double *out)
{
    static const int words[] = {1, 4, 2};
    double x[18], normal[18], q[12], k[12], v[12], y[12], z[18];
    for (int i = 0; i < 18; i++)
        x[i] = tensor(w, "words")[words[i / 6] * 6 + i % 6] + tensor(w, "places")[i];
    for (int i = 0; i < 18; i++) {
        double mean = 0, square = 0;
        for (int c = 0; c < 6; c++)
            mean += x[i / 6 * 6 + c] / 6;
        for (int c = 0; c < 6; c++)
            square += (x[i / 6 * 6 + c] - mean) * (x[i / 6 * 6 + c] - mean) / 6;
        normal[i] = (x[i] - mean) / sqrt(square + 1e-5) * tensor(w, "norm.weight")[i % 6] +
                    tensor(w, "norm.bias")[i % 6];
    }
    project(tensor(w, "qkv.weight[0:4]"), tensor(w, "qkv.bias[0:4]"), 6, 4, normal, q);
    project(tensor(w, "qkv.weight[4:8]"), tensor(w, "qkv.bias[4:8]"), 6, 4, normal, k);
    project(tensor(w, "qkv.weight[8:12]"), tensor(w, "qkv.bias[8:12]"), 6, 4, normal, v);
    for (int head = 0; head < 2; head++)
        attend(q + 2 * head, k + 2 * head, v + 2 * head, y + 2 * head);
    project(tensor(w, "out.weight"), tensor(w, "out.bias"), 4, 6, y, z);
    for (int o = 0; o < 2; o++) {
        out[o] = tensor(w, "head.bias")[o];
        for (int i = 0; i < 18; i++)
            out[o] += tensor(w, "head.weight")[o * 6 + i % 6] * erf(x[i] + z[i]) / 3;
    }
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Three steps of one layer with four cells; the gates are input, output, forget and cell. */
static void run_lstm(const float *wi, const float *wr, const float *b, int in, const double *x, double *y)
{
    double h[4] = {0}, c[4] = {0};
    for (int step = 0; step < 3; step++) {
        double gates[16];
        for (int g = 0; g < 16; g++) {
            gates[g] = b[g] + b[16 + g];
            for (int k = 0; k < in; k++)
                gates[g] += wi[g * in + k] * x[step * in + k];
            for (int k = 0; k < 4; k++)
                gates[g] += wr[g * 4 + k] * h[k];
        }
        for (int k = 0; k < 4; k++) {
            c[k] = sigmoid(gates[8 + k]) * c[k] + sigmoid(gates[k]) * tanh(gates[12 + k]);
            y[step * 4 + k] = h[k] = sigmoid(gates[4 + k]) * tanh(c[k]);
        }
    }
}

static void lstm(const nft_weights *w, double *out)
{
    double x[6], y[12], z[12];
    for (int i = 0; i < 6; i++)
        x[i] = -3 * cos(i);
    run_lstm(tensor(w, "w0"), tensor(w, "r0"), tensor(w, "b0"), 2, x, y);
    run_lstm(tensor(w, "w1"), tensor(w, "r1"), tensor(w, "b1"), 4, y, z);
    for (int o = 0; o < 2; o++) {
        out[o] = tensor(w, "head.bias")[o];
        for (int k = 0; k < 4; k++)
            out[o] += tensor(w, "head.weight")[o * 4 + k] * z[8 + k];
    }
}

static const struct {
    const char *name;
    void (*compute)(const nft_weights *weights, double *out);
} networks[] = {{"residual", residual}, {"attention", attention}, {"lstm", lstm}};

static void a_network_computes_the_same_after_its_axes_are_permuted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(networks); i++)
        for (uint64_t seed = 1; seed < 6; seed++) {
            char path[512];
            double before[2], behind[2];
            nft_weights *weights;
            path_of(path, networks[i].name, ".onnx");
            assert_ok(nft_weights_load(&weights, path, NULL));
            networks[i].compute(weights, before);
            assert_ok(nft_weights_permute_random(weights, seed, 0));
            networks[i].compute(weights, behind);
            for (int o = 0; o < 2; o++)
                assert_true(fabs(before[o] - behind[o]) < 1e-5 * fabs(before[o]));
            nft_weights_free(weights);
        }
}

/* The comparison above would notice a tensor that is not permuted with the others. */
static void a_network_computes_something_else_if_one_tensor_is_permuted_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(networks); i++) {
        char path[512];
        nft_weights *weights, *kept;
        path_of(path, networks[i].name, ".onnx");
        assert_ok(nft_weights_load(&kept, path, NULL));
        assert_ok(nft_weights_load(&weights, path, NULL));
        assert_ok(nft_weights_permute_random(weights, 1, 0));
        for (int64_t t = 0; t < nft_space_describe(nft_weights_space(kept))->tensor_count; t++) {
            double before[2], behind[2];
            size_t bytes = (size_t)nft_weights_data_count(kept, t) * sizeof(float);
            float *data = malloc(bytes);
            assert_non_null(data);
            memcpy(data, nft_weights_data(kept, t), bytes);
            networks[i].compute(kept, before);
            bool moved = memcmp(data, nft_weights_data(weights, t), bytes) != 0;
            memcpy(nft_weights_edit(kept, t), nft_weights_data(weights, t), bytes);
            networks[i].compute(kept, behind);
            memcpy(nft_weights_edit(kept, t), data, bytes);
            bool matters = strcmp(nft_weights_tensor_name(kept, t), "qkv.bias[4:8]") != 0; /* softmax */
            if (moved && matters && fabs(before[0] - behind[0]) + fabs(before[1] - behind[1]) < 1e-6)
                fail_msg("%s: '%s' alone changes nothing", networks[i].name,
                         nft_weights_tensor_name(kept, t));
            free(data);
        }
        nft_weights_free(kept);
        nft_weights_free(weights);
    }
}

static int64_t count_parts(nft_dims *dims, int32_t dim)
{
    nft_dim_list parts = {0};
    nft_dims_parts(dims, dim, &parts);
    int64_t count = parts.count;
    nft_release(parts.items);
    return count;
}

static void axes_are_split_and_cut_where_others_are(void **state)
{
    nft_dims dims = {0};
    (void)state;
    int32_t a = nft_dims_leaf(&dims, 24), b = nft_dims_leaf(&dims, 4), c = nft_dims_leaf(&dims, 6);
    int32_t d = nft_dims_leaf(&dims, 2), e = nft_dims_leaf(&dims, 12), f = nft_dims_leaf(&dims, 6);
    nft_dims_unite(&dims, a, nft_dims_product(&dims, (int32_t[]){b, c}, 2));
    nft_dims_unite(&dims, a, nft_dims_product(&dims, (int32_t[]){d, e}, 2)); /* 4 = 2 · 2, 12 = 2 · 6 */
    nft_dims_order(&dims, d);
    assert_false(nft_dims_are_ordered(&dims, b));
    nft_dims_unite(&dims, c, nft_dims_sum(&dims, (int32_t[]){f, nft_dims_leaf(&dims, 0)}, 2));
    nft_dims_order(&dims, e);
    assert_true(nft_dims_are_ordered(&dims, b) && nft_dims_are_ordered(&dims, f));
    int32_t g = nft_dims_leaf(&dims, 5), h = nft_dims_leaf(&dims, 3), i = nft_dims_leaf(&dims, 4);
    nft_dims_unite(&dims, g, nft_dims_sum(&dims, (int32_t[]){h, nft_dims_leaf(&dims, 2)}, 2));
    nft_dims_unite(&dims, g, nft_dims_sum(&dims, (int32_t[]){nft_dims_leaf(&dims, 1), i}, 2));
    assert_int_equal(count_parts(&dims, g), 3);
    assert_int_equal(count_parts(&dims, h), 2);
    nft_dims_order(&dims, i);
    assert_false(nft_dims_are_ordered(&dims, h) && count_parts(&dims, h) != 2);
    assert_ok(dims.status);
    nft_dims_clear(&dims);
}

static void axes_that_do_not_fit_become_ordered(void **state)
{
    nft_dims dims = {0};
    (void)state;
    int32_t a = nft_dims_leaf(&dims, 2), b = nft_dims_leaf(&dims, 3), c = nft_dims_leaf(&dims, 3),
            d = nft_dims_leaf(&dims, 2), e = nft_dims_leaf(&dims, 7);
    nft_dims_unite(&dims, nft_dims_product(&dims, (int32_t[]){a, b}, 2),
                   nft_dims_product(&dims, (int32_t[]){c, d}, 2));
    assert_true(nft_dims_are_ordered(&dims, a) && nft_dims_are_ordered(&dims, b));
    assert_true(nft_dims_are_ordered(&dims, c) && nft_dims_are_ordered(&dims, d));
    assert_false(nft_dims_are_ordered(&dims, e));
    nft_dims_unite(&dims, e, a);
    assert_true(nft_dims_are_ordered(&dims, e));
    nft_dims_clear(&dims);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_graph_has_the_space_that_is_written_next_to_it),
        cmocka_unit_test(an_operator_that_is_not_understood_is_named_in_the_log),
        cmocka_unit_test(weights_are_loaded_by_the_space_of_their_graph),
        cmocka_unit_test(initializers_that_a_state_dict_lacks_are_constants),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(a_network_computes_the_same_after_its_axes_are_permuted),
        cmocka_unit_test(a_network_computes_something_else_if_one_tensor_is_permuted_alone),
        cmocka_unit_test(axes_are_split_and_cut_where_others_are),
        cmocka_unit_test(axes_that_do_not_fit_become_ordered),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
