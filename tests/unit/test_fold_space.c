/* Batch norms folded where a space of tensors and axes describes the network. */
#define _POSIX_C_SOURCE 200809L
#include "nft/file.h"
#include "unit/support.h"
#include "unit/temporary.h"
#include "unit/tensor_files.h"

#include <unistd.h>

static int enter(void **state)
{
    return temporary_open(state) || chdir(temporary_folder);
}

static int leave(void **state)
{
    return chdir("..") || temporary_close(state);
}

static void write_text(const char *path, const char *text)
{
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    for (const char *c = text; *c; c++)
        fputc(*c == '\'' ? '"' : *c, stream);
    assert_int_equal(fclose(stream), 0);
}

static nft_space *parse(const char *text)
{
    char json[4096] = "";
    nft_space *space = NULL;
    assert_true(strlen(text) < sizeof json);
    for (size_t i = 0; text[i]; i++)
        json[i] = text[i] == '\'' ? '"' : text[i];
    assert_ok(nft_space_parse(&space, json, strlen(json)));
    return space;
}

/* --- a network with a depthwise separable convolution, as PyTorch computes it --- */

#define IMAGE 2
#define FIRST 3
#define SECOND 4
#define CLASSES 2
#define SIDE 4
#define PIXELS (SIDE * SIDE)
#define MOST_CHANNELS 4
#define EPS 1e-5

enum { STEM, STEM_NORM, DEPTHWISE = STEM_NORM + 4, POINTWISE, NORM, FC = NORM + 4, FC_BIAS, TENSORS };

#define NORM_OF(name, channels)                                                                              \
    {name ".weight", 1, {channels}, 0}, {name ".bias", 1, {channels}, 0},                                    \
        {name ".running_mean", 1, {channels}, 0},                                                            \
    {                                                                                                        \
        name ".running_var", 1, {channels}, 0                                                                \
    }

static const tensor tensors[TENSORS] = {{"features.0.conv.weight", 4, {FIRST, IMAGE, 3, 3}, 0},
                                        NORM_OF("features.0.bn", FIRST),
                                        {"features.1.depthwise.weight", 4, {FIRST, 1, 3, 3}, 0},
                                        {"features.1.pointwise.weight", 4, {SECOND, FIRST, 1, 1}, 0},
                                        NORM_OF("features.1.bn", SECOND),
                                        {"fc.weight", 2, {CLASSES, SECOND}, 0},
                                        {"fc.bias", 1, {CLASSES}, 0}};

#define SPACE_OF_NORM(name, axis)                                                                            \
    "{'name': '" name ".weight', 'shape': ['" axis "']}, {'name': '" name ".bias', 'shape': ['" axis         \
    "']}, {'name': '" name ".running_mean', 'shape': ['" axis "']}, {'name': '" name                         \
    ".running_var', 'shape': ['" axis "']}"

#define AXES                                                                                                 \
    "'axes': [{'name': 'image', 'size': 2, 'symmetry': 'none'}, {'name': 'classes', 'size': 2, "             \
    "'symmetry': 'none'}, {'name': 'a', 'size': 3}, {'name': 'b', 'size': 4}]"

static const char space_text[] =
    "{" AXES
    ", 'tensors': [{'name': 'features.0.conv.weight', 'shape': ['a', 'image', 3, 3]}, " SPACE_OF_NORM(
        "features.0.bn",
        "a") ", {'name': 'features.1.depthwise.weight', 'shape': ['a', 1, 3, 3]}, "
             "{'name': 'features.1.pointwise.weight', 'shape': ['b', 'a', 1, 1]}, " SPACE_OF_NORM(
                 "features.1.bn", "b") ", {'name': 'fc.weight', 'shape': ['classes', 'b']}, "
                                       "{'name': 'fc.bias', 'shape': ['classes']}]}";

static float numbers[TENSORS][FIRST * IMAGE * 9];

/* Variances are positive. */
static void fill_numbers(void)
{
    for (int t = 0; t < TENSORS; t++) {
        nft_random random = {77, (uint64_t)t};
        for (size_t i = 0; i < COUNT(numbers[t]); i++)
            numbers[t][i] = t == STEM_NORM + 3 || t == NORM + 3 ? 0.1F + nft_random_uniform(&random, i)
                                                                : nft_random_normal(&random, i);
    }
}

static void write_network(const char *path)
{
    const float *arrays[TENSORS];
    fill_numbers();
    for (int t = 0; t < TENSORS; t++)
        arrays[t] = numbers[t];
    write_arrays(path, tensors, arrays, TENSORS);
}

typedef struct convolution {
    const float *weight, *bias; /* (out, in of each, kernel, kernel), (out) or NULL */
    int out, in, kernel;
    bool depthwise;
} convolution;

/* Zeros around the image. */
static double filter(const convolution *c, const double *map, int o, int i, int y, int x)
{
    double sum = 0;
    int half = c->kernel / 2, row = c->depthwise ? o : o * c->in + i;
    for (int dy = 0; dy < c->kernel; dy++)
        for (int dx = 0; dx < c->kernel; dx++) {
            int v = y + dy - half, u = x + dx - half;
            if (v >= 0 && v < SIDE && u >= 0 && u < SIDE)
                sum += (double)c->weight[(row * c->kernel + dy) * c->kernel + dx] * map[v * SIDE + u];
        }
    return sum;
}

static void convolve(double out[][PIXELS], double in[][PIXELS], const convolution *c)
{
    for (int o = 0; o < c->out; o++)
        for (int p = 0; p < PIXELS; p++) {
            double sum = c->bias ? (double)c->bias[o] : 0;
            for (int i = 0; i < c->in; i++)
                if (!c->depthwise || i == o)
                    sum += filter(c, in[i], o, i, p / SIDE, p % SIDE);
            out[o][p] = sum;
        }
}

/* The norm, if there is one, and relu. */
static void activate(double map[][PIXELS], int channels, const float (*norm)[FIRST * IMAGE * 9])
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < PIXELS; p++) {
            if (norm)
                map[c][p] =
                    (map[c][p] - (double)norm[2][c]) / sqrt((double)norm[3][c] + EPS) * (double)norm[0][c] +
                    (double)norm[1][c];
            map[c][p] = map[c][p] > 0 ? map[c][p] : 0;
        }
}

/* The convolutions of the network; norms NULL: folded. */
static void forward(double *classes, const convolution c[3], const float (*norms)[FIRST * IMAGE * 9],
                    const float *fc, const float *fc_bias)
{
    double map[2][MOST_CHANNELS][PIXELS];
    for (int i = 0; i < IMAGE; i++)
        for (int p = 0; p < PIXELS; p++)
            map[0][i][p] = sin(1.7 * p + 3 * i);
    convolve(map[1], map[0], &c[0]);
    activate(map[1], FIRST, norms ? norms + STEM_NORM : NULL);
    convolve(map[0], map[1], &c[1]);
    convolve(map[1], map[0], &c[2]);
    activate(map[1], SECOND, norms ? norms + NORM : NULL);
    for (int o = 0; o < CLASSES; o++) {
        classes[o] = (double)fc_bias[o];
        for (int i = 0; i < SECOND; i++)
            for (int p = 0; p < PIXELS; p++)
                classes[o] += (double)fc[o * SECOND + i] * map[1][i][p] / PIXELS;
    }
}

static const float *data_of(const nft_weights *weights, const char *name)
{
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(weights))->tensor_count; t++)
        if (!strcmp(nft_weights_tensor_name(weights, t), name))
            return nft_weights_data(weights, t);
    fail_msg("there is no %s", name);
    return NULL;
}

static void assert_same_function(const char *path)
{
    const convolution whole[] = {{numbers[STEM], NULL, FIRST, IMAGE, 3, false},
                                 {numbers[DEPTHWISE], NULL, FIRST, FIRST, 3, true},
                                 {numbers[POINTWISE], NULL, SECOND, FIRST, 1, false}};
    double expected[CLASSES], found[CLASSES];
    nft_weights *weights = NULL;
    assert_ok(nft_weights_load(&weights, path, NULL));
    assert_int_equal(nft_space_describe(nft_weights_space(weights))->tensor_count, 7);
    const convolution folded[] = {
        {data_of(weights, "features.0.conv.weight"), data_of(weights, "features.0.conv.bias"), FIRST, IMAGE,
         3, false},
        {data_of(weights, "features.1.depthwise.weight"), NULL, FIRST, FIRST, 3, true},
        {data_of(weights, "features.1.pointwise.weight"), data_of(weights, "features.1.pointwise.bias"),
         SECOND, FIRST, 1, false}};
    forward(expected, whole, (const float(*)[FIRST * IMAGE * 9]) numbers, numbers[FC], numbers[FC_BIAS]);
    forward(found, folded, NULL, data_of(weights, "fc.weight"), data_of(weights, "fc.bias"));
    for (int o = 0; o < CLASSES; o++)
        assert_true(fabs(found[o] - expected[o]) < 1e-5 * (1 + fabs(expected[o])));
    nft_weights_free(weights);
}

static void norms_of_a_sidecars_space_are_folded(void **state)
{
    (void)state;
    const char *paths[] = {"net.safetensors"};
    char text[4096];
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.fold_norms = 1;
    write_network("net.safetensors");
    snprintf(text, sizeof text, "{'accuracy': 0.5, 'space': %s}", space_text);
    write_text("net.json", text);
    assert_ok(nft_collect(NULL, paths, 1, "folded.safetensors", &options));
    assert_same_function("folded.safetensors");
    assert_int_equal(remove("net.json"), 0);
}

static void norms_of_a_given_space_are_folded(void **state)
{
    (void)state;
    const char *paths[] = {"net.safetensors"};
    nft_space *space = parse(space_text);
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.fold_norms = 1;
    options.space = space;
    write_network("net.safetensors");
    assert_ok(nft_collect(NULL, paths, 1, "folded.safetensors", &options));
    assert_same_function("folded.safetensors");
    nft_space_free(space);
}

/* A data set that was collected with its norms has its space in the metadata. */
static void norms_of_a_data_set_are_folded(void **state)
{
    (void)state;
    const char *paths[] = {"net.safetensors"}, *again[] = {"normed.safetensors"};
    nft_space *space = parse(space_text);
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.space = space;
    write_network("net.safetensors");
    assert_ok(nft_collect(NULL, paths, 1, "normed.safetensors", &options));
    options.space = NULL;
    options.fold_norms = 1;
    assert_ok(nft_collect(NULL, again, 1, "folded.safetensors", &options));
    assert_same_function("folded.safetensors");
    nft_space_free(space);
}

/* --- which layer, and when none is --- */

/* Collects a file with a space; NULL for success, else the message. */
static const char *try_fold(const tensor *list, size_t count, const char *text)
{
    const char *paths[] = {"tried.safetensors"};
    nft_space *space = text ? parse(text) : NULL;
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.fold_norms = 1;
    options.space = space;
    write_file("tried.safetensors", list, count);
    nft_status status = nft_collect(NULL, paths, 1, "folded.safetensors", &options);
    nft_space_free(space);
    if (status)
        assert_int_equal(status, NFT_ERROR_FORMAT);
    return status ? nft_error_message() : NULL;
}

static void assert_message(const char *message, const char *words)
{
    if (!message || !strstr(message, words))
        fail_msg("'%s' is not in '%s'", words, message ? message : "no error");
}

/* A number of the tensor of this name. */
static double number_of(const char *name, int64_t i)
{
    nft_weights *weights = NULL;
    assert_ok(nft_weights_load(&weights, "folded.safetensors", NULL));
    double number = (double)data_of(weights, name)[i];
    nft_weights_free(weights);
    return number;
}

#define AXES_OF_3                                                                                            \
    "{'axes': [{'name': 'in', 'size': 3, 'symmetry': 'none'}, {'name': 'a', 'size': 3}, {'name': 'b', "      \
    "'size': 3}], 'tensors': ["
#define CONV_OF_3 "{'name': 'conv.weight', 'shape': ['a', 'in', 3, 3]}, "

/* Gain 7, 8, 9; bias 1, 2, 3; mean 0, 1, 2; variance 3, 4, 5. */
#define SMALL_NORM(name)                                                                                     \
    {name ".weight", 1, {3}, 7}, {name ".bias", 1, {3}, 1}, {name ".running_mean", 1, {3}, 0},               \
    {                                                                                                        \
        name ".running_var", 1, {3}, 3                                                                       \
    }

/* Both layers have three outputs. The names do not choose, and the file is sorted; the axes of the space do.
 */
static void axes_choose_between_layers(void **state)
{
    (void)state;
    static const tensor sorted[] = {{"bn.bias", 1, {3}, 1},
                                    {"bn.running_mean", 1, {3}, 0},
                                    {"bn.running_var", 1, {3}, 3},
                                    {"bn.weight", 1, {3}, 7},
                                    {"depthwise.weight", 4, {3, 1, 3, 3}, 1},
                                    {"pointwise.weight", 4, {3, 3, 1, 1}, 1}};
    static const char
        first[] = AXES_OF_3
        "{'name': 'depthwise.weight', 'shape': ['a', 1, 3, 3]}, {'name': 'pointwise.weight', 'shape': ['b', "
        "'a', 1, 1]}, {'name': 'in', 'shape': ['in']}, " SPACE_OF_NORM("bn", "a") "]}",
        second[] = AXES_OF_3
        "{'name': 'depthwise.weight', 'shape': ['a', 1, 3, 3]}, {'name': 'pointwise.weight', 'shape': ['b', "
        "'a', 1, 1]}, {'name': 'in', 'shape': ['in']}, " SPACE_OF_NORM("bn", "b") "]}",
        same[] = AXES_OF_3
        "{'name': 'depthwise.weight', 'shape': ['a', 1, 3, 3]}, {'name': 'pointwise.weight', 'shape': ['a', "
        "'a', 1, 1]}, {'name': 'in', 'shape': ['in', 'b']}, " SPACE_OF_NORM("bn", "a") "]}";
    tensor list[COUNT(sorted) + 1];
    memcpy(list, sorted, sizeof sorted);
    memmove(list + 5, list + 4, 2 * sizeof *list); /* "in" stands between by its name */
    list[5] = (tensor){"in", 1, {3}, 0};
    list[4] = sorted[4];
    list[6] = sorted[5];
    assert_null(try_fold(list, COUNT(list), first));
    assert_true(fabs(number_of("depthwise.weight", 0) - 7 / sqrt(3 + EPS)) < 1e-5);
    assert_true(number_of("pointwise.weight", 0) == 1);
    assert_null(try_fold(list, COUNT(list), second));
    assert_true(fabs(number_of("pointwise.weight", 0) - 7 / sqrt(3 + EPS)) < 1e-5);
    assert_true(number_of("depthwise.weight", 0) == 1);
    list[5] = (tensor){"in", 2, {3, 3}, 0};
    assert_message(try_fold(list, COUNT(list), same), "its name does not tell");
}

/* A numbered norm right behind a layer without a number, in a file that shows the order. */
static void norms_of_separable_convolutions_are_found_by_names(void **state)
{
    (void)state;
    static const tensor list[] = {{"x.depthwise.weight", 4, {3, 1, 3, 3}, 1},
                                  SMALL_NORM("x.bn1"),
                                  {"x.pointwise.weight", 4, {3, 3, 1, 1}, 1},
                                  SMALL_NORM("x.bn2")},
                        late[] = {{"x.depthwise.weight", 4, {3, 1, 3, 3}, 1},
                                  {"x.pointwise.weight", 4, {3, 3, 1, 1}, 1},
                                  SMALL_NORM("x.bn1"),
                                  SMALL_NORM("x.bn2")},
                        named[] = {{"x.depthwise.weight", 4, {3, 1, 3, 3}, 1},
                                   SMALL_NORM("x.bn_depthwise"),
                                   {"x.pointwise.weight", 4, {3, 3, 1, 1}, 1},
                                   SMALL_NORM("x.pointwise_bn")};
    static const char
        both[] =
            "{'axes': [{'name': 'a', 'size': 3}, {'name': 'b', 'size': 3}], 'tensors': [{'name': "
            "'x.depthwise.weight', 'shape': ['a', 1, 3, 3]}, " SPACE_OF_NORM(
                "x.bn1",
                "a") ", {'name': 'x.pointwise.weight', 'shape': ['b', 'a', 1, 1]}, " SPACE_OF_NORM("x.bn2",
                                                                                                   "b") "]}",
        own[] = "{'axes': [{'name': 'a', 'size': 3}, {'name': 'b', 'size': 3}], 'tensors': [{'name': "
                "'x.depthwise.weight', 'shape': ['a', 1, 3, 3]}, " SPACE_OF_NORM(
                    "x.bn_depthwise", "a") ", {'name': 'x.pointwise.weight', 'shape': ['b', 'a', 1, "
                                           "1]}, " SPACE_OF_NORM("x.pointwise_bn", "b") "]}";
    assert_null(try_fold(list, COUNT(list), both));
    assert_true(fabs(number_of("x.depthwise.weight", 9) - 10 * 8 / sqrt(4 + EPS)) < 1e-4);
    assert_true(fabs(number_of("x.pointwise.weight", 3) - 4 * 8 / sqrt(4 + EPS)) < 1e-4);
    assert_true(fabs(number_of("x.pointwise.bias", 1) - (2 - 8 / sqrt(4 + EPS))) < 1e-5);
    assert_null(try_fold(named, COUNT(named), own));
    assert_true(fabs(number_of("x.depthwise.weight", 9) - 10 * 8 / sqrt(4 + EPS)) < 1e-4);
    assert_true(fabs(number_of("x.pointwise.weight", 3) - 4 * 8 / sqrt(4 + EPS)) < 1e-4);
    assert_message(try_fold(late, COUNT(late), both), "norm 'x.bn1' cannot be folded");
}

static void norms_that_the_space_contradicts_are_refused(void **state)
{
    (void)state;
    static const tensor list[] = {
        {"conv.weight", 4, {3, 3, 3, 3}, 1}, SMALL_NORM("conv_bn"), {"last.weight", 2, {3, 3}, 0}};
#define LAST "{'name': 'last.weight', 'shape': ['b', 'a']}"
    assert_message(
        try_fold(list, COUNT(list), AXES_OF_3 CONV_OF_3 SPACE_OF_NORM("conv_bn", "b") ", " LAST "]}"),
        "norm 'conv_bn' cannot be folded: it is (b) in the space, and the layer before it, 'conv', "
        "is (a, in, 3, 3), with other outputs");
    assert_message(try_fold(list, COUNT(list),
                            AXES_OF_3 SPACE_OF_NORM(
                                "conv_bn", "a") ", " LAST ", {'name': 'last.weight.2', 'shape': ['in']}]}"),
                   "the space does not have the layer before it, 'conv'");
    assert_message(
        try_fold(
            list, COUNT(list),
            "{'axes': [{'name': 'in', 'size': 3, 'symmetry': 'none'}, {'name': 'a', 'size': 2}, {'name': "
            "'b', 'size': 1}], 'tensors': [{'name': 'one', 'from': 'conv.weight', 'slice': [0, 0, 2], "
            "'shape': ['a', 'in', 3, 3]}, {'name': 'two', 'from': 'conv.weight', 'slice': [0, 2, 1], "
            "'shape': ['b', 'in', 3, 3]}, {'name': 'last.weight', 'shape': [3, 'in']}]}"),
        "the space cuts it, or the layer 'conv' before it, into parts");
    assert_message(try_fold(list, COUNT(list),
                            "{'axes': [{'name': 'in', 'size': 3}], 'tensors': [{'name': 'conv.weight', "
                            "'shape': [3, 'in', 3, 3]}, {'name': 'last.weight', 'shape': [3, 'in']}]}"),
                   "the space has no axis of outputs as the first dimension of 'conv.weight'");
    assert_message(try_fold(list, COUNT(list),
                            "{'axes': [{'name': 'in', 'size': 3}, {'name': 'a', 'size': 3}], 'tensors': "
                            "[{'name': 'conv.weight', 'shape': ['a', 'in', 3, 3]}, {'name': "
                            "'conv_bn.weight', 'shape': [3]}, {'name': 'last.weight', 'shape': [3, 'in']}]}"),
                   "its tensors are not one axis in the space");
}

/* Names that sound like a transposed convolution, and even filters, are doubts only where axes do not tell.
 */
static void axes_tell_outputs_from_inputs(void **state)
{
    (void)state;
    static const tensor list[] = {{"upconv.weight", 4, {3, 3, 2, 2}, 1}, SMALL_NORM("upconv_bn")};
#define UPCONV(first, second)                                                                                \
    "{'axes': [{'name': 'in', 'size': 3}, {'name': 'a', 'size': 3}], 'tensors': [{'name': 'upconv.weight', " \
    "'shape': ['" first "', '" second "', 2, 2]}, " SPACE_OF_NORM("upconv_bn", "a") "]}"
    assert_null(try_fold(list, COUNT(list), UPCONV("a", "in")));
    assert_true(fabs(number_of("upconv.weight", 12) - 13 * 8 / sqrt(4 + EPS)) < 1e-4);
    assert_message(try_fold(list, COUNT(list), UPCONV("in", "a")), "with other outputs");
    assert_message(try_fold(list, COUNT(list), NULL), "transposed convolution");
}

/* A norm of a module that the space does not have stays out, as its layer does. */
static void norms_outside_the_space_are_not_looked_at(void **state)
{
    (void)state;
    static const tensor list[] = {
        {"conv.weight", 4, {3, 3, 3, 3}, 1}, SMALL_NORM("conv_bn"), {"last.weight", 2, {3, 3}, 5}};
    assert_null(try_fold(list, COUNT(list),
                         "{'axes': [{'name': 'in', 'size': 3}, {'name': 'a', 'size': 3}], 'tensors': "
                         "[{'name': 'last.weight', 'shape': ['a', 'in']}]}"));
    assert_true(number_of("last.weight", 0) == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_of_a_sidecars_space_are_folded),
        cmocka_unit_test(norms_of_a_given_space_are_folded),
        cmocka_unit_test(norms_of_a_data_set_are_folded),
        cmocka_unit_test(axes_choose_between_layers),
        cmocka_unit_test(norms_of_separable_convolutions_are_found_by_names),
        cmocka_unit_test(norms_that_the_space_contradicts_are_refused),
        cmocka_unit_test(axes_tell_outputs_from_inputs),
        cmocka_unit_test(norms_outside_the_space_are_not_looked_at),
    };
    return cmocka_run_group_tests_name("norms in spaces", tests, enter, leave);
}
