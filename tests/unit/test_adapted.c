/* Networks in forms of other libraries: kernels with inputs first, several in a file, norms behind layers. */
#define _POSIX_C_SOURCE 200809L
#include "nft/file.h"
#include "nft/train.h"
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

static void assert_refused(const char *path, const char *reason)
{
    nft_weights *weights = NULL;
    assert_int_not_equal(nft_weights_load(&weights, path, NULL), NFT_OK);
    if (!strstr(nft_error_message(), reason))
        fail_msg("'%s' is not in '%s'", reason, nft_error_message());
}

/* --- kernels --- */

static const tensor flax[] = {{"params/Conv_0/kernel", 4, {2, 3, 2, 3}, 0},
                              {"params/Conv_0/bias", 1, {3}, 100},
                              {"params/Dense_0/kernel", 2, {12, 5}, 200},
                              {"params/Dense_0/bias", 1, {5}, 300},
                              {"params/Dense_1/kernel", 2, {5, 7}, 400}};

static void kernels_are_read_with_their_outputs_first(void **state)
{
    (void)state;
    nft_weights *weights = NULL;
    write_file("flax.safetensors", flax, COUNT(flax));
    assert_ok(nft_weights_load(&weights, "flax.safetensors", NULL));
    const float *conv = nft_weights_data(weights, 0), *flat = nft_weights_data(weights, 2),
                *last = nft_weights_data(weights, 4);
    for (int64_t o = 0; o < 3; o++)
        for (int64_t i = 0; i < 2; i++)
            for (int64_t y = 0; y < 2; y++)
                for (int64_t x = 0; x < 3; x++)
                    assert_true(conv[((o * 2 + i) * 2 + y) * 3 + x] ==
                                (float)(((y * 3 + x) * 2 + i) * 3 + o));
    /* The flattened map has its channels last: input p·3 + c of the file is channel c at position p. */
    for (int64_t o = 0; o < 5; o++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t p = 0; p < 4; p++)
                assert_true(flat[o * 12 + c * 4 + p] == (float)(200 + (p * 3 + c) * 5 + o));
    for (int64_t o = 0; o < 7; o++)
        for (int64_t i = 0; i < 5; i++)
            assert_true(last[o * 5 + i] == (float)(400 + i * 7 + o));
    assert_true(nft_weights_data(weights, 3)[1] == 301);
    assert_string_equal(nft_weights_tensor_name(weights, 2), "params.Dense_0.weight");
    nft_weights_free(weights);
}

/* Keras 3 numbers the variables of a layer. */
static void numbered_variables_of_keras_are_kernels_and_biases(void **state)
{
    (void)state;
    static const tensor tensors[] = {{"layers/dense/vars/0", 2, {2, 3}, 0},
                                     {"layers/dense/vars/1", 1, {3}, 10},
                                     {"layers/dense_1/vars/0", 2, {3, 5}, 20},
                                     {"optimizer/vars/1", 2, {2, 3}, 0}};
    static const tensor lstm[] = {{"layers/lstm/cell/vars/0", 2, {2, 12}, 0}};
    nft_weights *weights = NULL;
    write_file("keras3.safetensors", tensors, COUNT(tensors));
    assert_ok(nft_weights_load(&weights, "keras3.safetensors", NULL));
    assert_int_equal(nft_space_describe(nft_weights_space(weights))->layer_count, 2);
    for (int64_t o = 0; o < 3; o++)
        for (int64_t i = 0; i < 2; i++)
            assert_true(nft_weights_data(weights, 0)[o * 2 + i] == (float)(i * 3 + o));
    assert_true(nft_weights_data(weights, 1)[2] == 12);
    nft_weights_free(weights);
    write_file("refused.safetensors", lstm, COUNT(lstm));
    assert_refused("refused.safetensors", "a layer of Keras that is not read");
}

/* A data set opens its files again. */
static void kernels_of_a_data_set_are_the_same(void **state)
{
    (void)state;
    nft_dataset *dataset = NULL;
    nft_weights *weights = NULL, *whole = NULL;
    const int64_t indices[] = {0};
    write_file("again.safetensors", flax, COUNT(flax));
    assert_ok(nft_weights_load(&whole, "again.safetensors", NULL));
    assert_ok(nft_dataset_open(&dataset, "again.safetensors", NULL));
    assert_ok(nft_weights_create(&weights, nft_dataset_describe(dataset)->space, 1, 1, NULL));
    assert_ok(nft_dataset_read(weights, dataset, indices, 1));
    for (int64_t t = 0; t < 6; t++)
        assert_memory_equal(nft_weights_data(weights, t), nft_weights_data(whole, t),
                            (size_t)nft_weights_data_count(whole, t) * sizeof(float));
    nft_weights_free(weights);
    nft_weights_free(whole);
    nft_dataset_free(dataset);
}

static void kernels_that_no_order_makes_readable_are_refused(void **state)
{
    (void)state;
    static const tensor transposed[] = {{"a.kernel", 2, {4, 2}, 0}, {"a.bias", 1, {4}, 0}};
    static const tensor depthwise[] = {{"a/depthwise_kernel", 4, {3, 3, 2, 1}, 0},
                                       {"b/kernel", 2, {2, 2}, 0}};
    static const tensor up[] = {{"ConvTranspose_0.kernel", 4, {3, 3, 2, 4}, 0},
                                {"ConvTranspose_0.bias", 1, {4}, 0}};
    static const tensor unordered[] = {{"head.kernel", 2, {12, 2}, 0}, {"stem.kernel", 4, {3, 3, 1, 3}, 0}};
    write_file("refused.safetensors", transposed, COUNT(transposed));
    assert_refused("refused.safetensors", "this one looks transposed");
    write_file("refused.safetensors", depthwise, COUNT(depthwise));
    assert_refused("refused.safetensors", "a depthwise convolution of Keras");
    write_file("refused.safetensors", up, COUNT(up));
    assert_refused("refused.safetensors", "a transposed convolution of Keras or flax");
    write_file("refused.safetensors", unordered, COUNT(unordered));
    assert_refused("refused.safetensors", "the order of the names does not say so");
}

/* --- several networks --- */

static void alike_networks_of_a_file_are_a_stack(void **state)
{
    (void)state;
    static const tensor tensors[] = {
        {"nets.0.fc1.weight", 2, {3, 2}, 0},   {"nets.0.fc1.bias", 1, {3}, 10},
        {"nets.0.fc2.weight", 2, {2, 3}, 20},  {"nets.1.fc1.weight", 2, {3, 2}, 50},
        {"nets.1.fc1.bias", 1, {3}, 60},       {"nets.1.fc2.weight", 2, {2, 3}, 70},
        {"nets.10.fc1.weight", 2, {3, 2}, 80}, {"nets.10.fc1.bias", 1, {3}, 90},
        {"nets.10.fc2.weight", 2, {2, 3}, 95}, {"label", 1, {3}, 7}};
    static const float firsts[] = {0, 50, 80};
    nft_weights *weights = NULL;
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    write_file("several.safetensors", tensors, COUNT(tensors));
    assert_ok(nft_weights_load(&weights, "several.safetensors", NULL));
    assert_int_equal(nft_weights_count(weights), 3);
    assert_string_equal(nft_weights_tensor_name(weights, 0), "fc1.weight");
    for (int64_t n = 0; n < 3; n++)
        for (int64_t i = 0; i < 6; i++)
            assert_true(nft_weights_data(weights, 0)[6 * n + i] == firsts[n] + (float)i);
    assert_true(nft_weights_data(weights, 1)[3] == 60);
    assert_true(nft_weights_data(weights, 2)[17] == 100);
    assert_non_null(nft_weights_extra(weights, "label"));
    nft_weights_free(weights);
    options.prefix = "nets.1.";
    assert_ok(nft_weights_load(&weights, "several.safetensors", &options));
    assert_int_equal(nft_weights_count(weights), 1);
    assert_true(nft_weights_data(weights, 0)[0] == 50);
    nft_weights_free(weights);
}

static void different_networks_are_listed(void **state)
{
    (void)state;
    static const tensor tensors[] = {{"net0.a.weight", 2, {3, 2}, 0},
                                     {"net0.b.weight", 2, {2, 3}, 0},
                                     {"net1.a.weight", 2, {4, 2}, 0},
                                     {"net1.b.weight", 2, {2, 4}, 0}};
    write_file("different.safetensors", tensors, COUNT(tensors));
    assert_refused("different.safetensors", "2 networks that are not alike, 'net0.', 'net1.'");
}

static void blocks_of_one_network_are_no_networks(void **state)
{
    (void)state;
    static const tensor tensors[] = {{"blocks.0.fc1.weight", 2, {3, 2}, 0},
                                     {"blocks.0.fc2.weight", 2, {2, 3}, 0},
                                     {"blocks.1.fc1.weight", 2, {3, 2}, 0},
                                     {"blocks.1.fc2.weight", 2, {2, 3}, 0}};
    nft_weights *weights = NULL;
    write_file("blocks.safetensors", tensors, COUNT(tensors));
    assert_ok(nft_weights_load(&weights, "blocks.safetensors", NULL));
    assert_int_equal(nft_weights_count(weights), 1);
    assert_int_equal(nft_space_describe(nft_weights_space(weights))->layer_count, 4);
    nft_weights_free(weights);
}

/* --- layers that a chain cannot know --- */

static char told[1024];

static void keep_told(int32_t level, const char *message, void *user)
{
    (void)user;
    if (level == NFT_LOG_WARNING)
        snprintf(told, sizeof told, "%s", message);
}

static void open_quietly(const char *path)
{
    nft_dataset *dataset = NULL;
    told[0] = 0;
    assert_ok(nft_dataset_open(&dataset, path, NULL));
    nft_dataset_free(dataset);
}

static void data_sets_tell_of_sums_that_a_file_does_not_show(void **state)
{
    (void)state;
    static const tensor tensors[] = {{"a1.weight", 2, {3, 2}, 0}, {"a2.weight", 2, {3, 3}, 0}};
    static const tensor sequential[] = {{"0.weight", 2, {3, 2}, 0}, {"2.weight", 2, {3, 3}, 0}};
    nft_set_log(keep_told, NULL);
    write_file("sums.safetensors", tensors, COUNT(tensors));
    open_quietly("sums.safetensors");
    assert_non_null(strstr(told, "sums.safetensors: the network is read as a chain of layers"));
    write_file("sums.safetensors", sequential, COUNT(sequential));
    open_quietly("sums.safetensors");
    assert_string_equal(told, "");
    nft_set_log(NULL, NULL);
}

static void load_quietly(const char *path)
{
    nft_weights *weights = NULL;
    told[0] = 0;
    assert_ok(nft_weights_load(&weights, path, NULL));
    nft_weights_free(weights);
}

/* A map and a vector of as many numbers are not added, nor are a vector and a flattened map. */
static void only_sums_that_can_be_are_told(void **state)
{
    (void)state;
    static const tensor maps[] = {{"a1.weight", 4, {3, 2, 3, 3}, 0}, {"a2.weight", 4, {3, 3, 3, 3}, 0}};
    static const tensor mixed[] = {
        {"a1.weight", 4, {4, 3, 3, 3}, 0}, {"a2.weight", 2, {3, 16}, 0}, {"a3.weight", 2, {2, 3}, 0}};
    nft_set_log(keep_told, NULL);
    write_file("maps.safetensors", maps, COUNT(maps));
    load_quietly("maps.safetensors");
    assert_non_null(strstr(told, "maps.safetensors: the network is read as a chain of layers"));
    write_file("mixed.safetensors", mixed, COUNT(mixed));
    load_quietly("mixed.safetensors");
    assert_string_equal(told, "");
    nft_set_log(NULL, NULL);
}

static void the_sequentials_of_vgg_have_no_sums(void **state)
{
    (void)state;
    static const tensor vgg[] = {{"m.features.0.weight", 4, {3, 2, 3, 3}, 0},
                                 {"m.features.3.weight", 4, {3, 3, 3, 3}, 0},
                                 {"m.classifier.0.weight", 2, {4, 3}, 0},
                                 {"m.classifier.3.weight", 2, {4, 4}, 0}};
    static const tensor others[] = {{"m.features.0.weight", 4, {3, 2, 3, 3}, 0},
                                    {"m.features.3.weight", 4, {3, 3, 3, 3}, 0},
                                    {"m.head.0.weight", 2, {4, 3}, 0}};
    static const tensor close[] = {{"features.0.weight", 4, {3, 2, 3, 3}, 0},
                                   {"features.1.weight", 4, {3, 3, 3, 3}, 0},
                                   {"classifier.0.weight", 2, {4, 3}, 0}};
    nft_set_log(keep_told, NULL);
    write_file("vgg.safetensors", vgg, COUNT(vgg));
    load_quietly("vgg.safetensors");
    assert_null(strstr(told, "residual"));
    write_file("others.safetensors", others, COUNT(others));
    load_quietly("others.safetensors");
    assert_non_null(strstr(told, "residual"));
    write_file("close.safetensors", close, COUNT(close));
    load_quietly("close.safetensors");
    assert_non_null(strstr(told, "residual"));
    nft_set_log(NULL, NULL);
}

static nft_status permute_file(const char *path, const nft_load_options *options)
{
    nft_weights *weights = NULL;
    assert_ok(nft_weights_load(&weights, path, options));
    nft_status status = nft_weights_permute_random(weights, 1, 0);
    nft_weights_free(weights);
    return status;
}

static void networks_that_may_be_no_chains_are_not_permuted(void **state)
{
    (void)state;
    static const tensor sums[] = {{"a1.weight", 2, {3, 2}, 0}, {"a2.weight", 2, {3, 3}, 0}};
    static const tensor transposed[] = {{"a1.weight", 4, {4, 4, 2, 2}, 0}, {"a2.weight", 4, {3, 4, 2, 2}, 0}};
    static const char *const layers[] = {"a1", "a2"};
    nft_load_options by_hand = NFT_LOAD_OPTIONS_INIT;
    by_hand.layers = layers;
    by_hand.layer_count = 2;
    write_file("doubted.safetensors", sums, COUNT(sums));
    assert_int_equal(permute_file("doubted.safetensors", NULL), NFT_ERROR_MISMATCH);
    assert_non_null(
        strstr(nft_error_message(), "else name its layers, in their order, in nft_load_options.layers"));
    assert_ok(permute_file("doubted.safetensors", &by_hand));
    write_file("doubted.safetensors", transposed, COUNT(transposed));
    assert_int_equal(permute_file("doubted.safetensors", NULL), NFT_ERROR_MISMATCH);
    assert_non_null(strstr(nft_error_message(), "layer 'a1' is read as a convolution"));
    assert_ok(permute_file("doubted.safetensors", &by_hand));
}

static void transposed_convolutions_of_equal_widths_are_told(void **state)
{
    (void)state;
    static const tensor even[] = {{"0.weight", 4, {3, 3, 4, 4}, 0}, {"0.bias", 1, {3}, 0}};
    static const tensor odd[] = {{"0.weight", 4, {3, 3, 5, 5}, 0}, {"0.bias", 1, {3}, 0}};
    nft_set_log(keep_told, NULL);
    write_file("even.safetensors", even, COUNT(even));
    open_quietly("even.safetensors");
    assert_non_null(strstr(told, "a transposed convolution of as many inputs as outputs has the same shape"));
    write_file("odd.safetensors", odd, COUNT(odd));
    open_quietly("odd.safetensors");
    assert_string_equal(told, "");
    nft_set_log(NULL, NULL);
}

static void layers_that_no_chain_has_are_refused_with_the_reason(void **state)
{
    (void)state;
    static const tensor embedding[] = {{"embedding.weight", 2, {4, 4}, 0}, {"fc.weight", 2, {3, 4}, 0}};
    static const tensor last[] = {{"0.weight", 4, {3, 3, 8, 8}, 0}, {"2.weight", 4, {3, 3, 8, 8}, 0}};
    static const tensor groups[] = {{"0.weight", 4, {8, 3, 3, 3}, 0}, {"2.weight", 4, {8, 4, 3, 3}, 0}};
    write_file("refused.safetensors", embedding, COUNT(embedding));
    assert_refused("refused.safetensors", "layer 'embedding' is an embedding by its name");
    write_file("refused.safetensors", last, COUNT(last));
    assert_refused("refused.safetensors", "looks like (height, width, in, out)");
    write_file("refused.safetensors", groups, COUNT(groups));
    assert_refused("refused.safetensors", "a grouped convolution of 2 groups");
}

/* --- norms --- */

#define IN 2
#define WIDTH 3

static const tensor normed[] = {{"0.weight", 2, {WIDTH, IN}, 0},
                                {"1.weight", 1, {WIDTH}, 0},
                                {"1.bias", 1, {WIDTH}, 0},
                                {"1.running_mean", 1, {WIDTH}, 0},
                                {"1.running_var", 1, {WIDTH}, 0},
                                {"3.weight", 2, {1, WIDTH}, 0},
                                {"3.bias", 1, {1}, 0}};
static const float weight[] = {0.5F, -1, 2, 0.25F, -0.75F, 1.5F}, gain[] = {2, -0.5F, 1},
                   shift[] = {0.1F, 0.2F, -0.3F}, mean[] = {0.4F, -1, 0.6F}, variance[] = {0.25F, 4, 1e-6F},
                   last[] = {1, -2, 3}, last_bias[] = {0.5F};
static const float *const numbers[] = {weight, gain, shift, mean, variance, last, last_bias};

/* As PyTorch's linear layer without bias and BatchNorm1d compute it. */
static double normed_output(const double *x, int64_t o, double eps)
{
    double sum = 0;
    for (int64_t i = 0; i < IN; i++)
        sum += (double)weight[o * IN + i] * x[i];
    return (sum - (double)mean[o]) / sqrt((double)variance[o] + eps) * (double)gain[o] + (double)shift[o];
}

static void assert_folded(const char *path, nft_collect_options options, double eps)
{
    static const double x[IN] = {0.7, -1.3};
    const char *paths[] = {path};
    nft_weights *weights = NULL;
    options.fold_norms = 1;
    assert_ok(nft_collect(NULL, paths, 1, "folded.safetensors", &options));
    assert_ok(nft_weights_load(&weights, "folded.safetensors", NULL));
    assert_int_equal(nft_space_describe(nft_weights_space(weights))->layer_count, 2);
    for (int64_t o = 0; o < WIDTH; o++) {
        double found = (double)nft_weights_data(weights, 1)[o], expected = normed_output(x, o, eps);
        for (int64_t i = 0; i < IN; i++)
            found += (double)nft_weights_data(weights, 0)[o * IN + i] * x[i];
        assert_true(fabs(found - expected) < 1e-5 * (1 + fabs(expected)));
    }
    nft_weights_free(weights);
}

static void a_folded_norm_computes_the_same(void **state)
{
    (void)state;
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    write_arrays("norm.safetensors", normed, numbers, COUNT(normed));
    assert_folded("norm.safetensors", options, 1e-5);
    options.norm_eps = 0.125;
    assert_folded("norm.safetensors", options, 0.125);
}

/* The same tensors under other names; `order` says which stands where. */
static void write_renamed(const char *path, const char *const *names, const size_t *order, size_t count)
{
    tensor tensors[MOST_TENSORS];
    const float *arrays[MOST_TENSORS];
    for (size_t i = 0; i < count; i++) {
        tensors[i] = normed[order[i]];
        tensors[i].name = names[order[i]];
        arrays[i] = numbers[order[i]];
    }
    write_arrays(path, tensors, arrays, count);
}

static void norms_are_told_by_names_unless_the_file_says_otherwise(void **state)
{
    (void)state;
    static const char *const names[] = {"fc1.weight",      "bn1.weight", "bn1.bias", "bn1.running_mean",
                                        "bn1.running_var", "fc2.weight", "fc2.bias"};
    static const size_t made[] = {0, 1, 2, 3, 4, 5, 6}, before[] = {1, 2, 3, 4, 6, 5, 0};
    const char *paths[] = {"named.safetensors"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    write_renamed("named.safetensors", names, made, COUNT(made));
    assert_folded("named.safetensors", options, 1e-5);
    write_renamed("named.safetensors", names, before, COUNT(before));
    options.fold_norms = 1;
    assert_int_equal(nft_collect(NULL, paths, 1, "x.safetensors", &options), NFT_ERROR_FORMAT);
    assert_non_null(strstr(nft_error_message(), "norm 'bn1' cannot be folded"));
}

/* Two layers have names and widths that fit: the one that the file lists right before the norm is meant. */
static void the_order_of_a_file_chooses_between_layers(void **state)
{
    (void)state;
    static const tensor tensors[] = {{"fc1.weight", 2, {3, 2}, 1},   {"bn1.weight", 1, {3}, 2},
                                     {"bn1.bias", 1, {3}, 0},        {"bn1.running_mean", 1, {3}, 0},
                                     {"bn1.running_var", 1, {3}, 1}, {"lin1.weight", 2, {3, 3}, 5}};
    const char *paths[] = {"chosen.safetensors"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    nft_weights *weights = NULL;
    options.fold_norms = 1;
    write_file("chosen.safetensors", tensors, COUNT(tensors));
    assert_ok(nft_collect(NULL, paths, 1, "folded.safetensors", &options));
    assert_ok(nft_weights_load(&weights, "folded.safetensors", NULL));
    assert_true(fabsf(nft_weights_data(weights, 0)[0] - 2) < 1e-3F);
    assert_true(nft_weights_data(weights, 2)[0] == 5);
    nft_weights_free(weights);
}

static void a_norm_behind_a_convolution_that_may_be_transposed_is_refused(void **state)
{
    (void)state;
    static const tensor tensors[] = {
        {"0.weight", 4, {3, 3, 4, 4}, 1}, {"1.running_mean", 1, {3}, 0}, {"1.running_var", 1, {3}, 1}};
    const char *paths[] = {"transposed.safetensors"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.fold_norms = 1;
    write_file("transposed.safetensors", tensors, COUNT(tensors));
    assert_int_equal(nft_collect(NULL, paths, 1, "x.safetensors", &options), NFT_ERROR_FORMAT);
    assert_non_null(strstr(nft_error_message(), "may be a transposed convolution"));
}

static void norms_behind_no_layer_are_refused(void **state)
{
    (void)state;
    static const char *const first[] = {"1.weight",      "0.weight", "0.bias", "0.running_mean",
                                        "0.running_var", "3.weight", "3.bias"},
                             *const behind[] = {"0.weight",      "2.weight", "2.bias", "2.running_mean",
                                                "2.running_var", "3.weight", "3.bias"};
    static const size_t order[] = {0, 1, 2, 3, 4, 5, 6};
    const char *paths[] = {"misplaced.safetensors"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.fold_norms = 1;
    write_renamed("misplaced.safetensors", first, order, COUNT(order));
    assert_int_equal(nft_collect(NULL, paths, 1, "x.safetensors", &options), NFT_ERROR_FORMAT);
    assert_non_null(strstr(nft_error_message(), "norm '0' cannot be folded"));
    write_renamed("misplaced.safetensors", behind, order, COUNT(order));
    assert_int_equal(nft_collect(NULL, paths, 1, "x.safetensors", &options), NFT_ERROR_FORMAT);
    assert_non_null(strstr(nft_error_message(), "norm '2' cannot be folded"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_are_read_with_their_outputs_first),
        cmocka_unit_test(numbered_variables_of_keras_are_kernels_and_biases),
        cmocka_unit_test(kernels_of_a_data_set_are_the_same),
        cmocka_unit_test(kernels_that_no_order_makes_readable_are_refused),
        cmocka_unit_test(alike_networks_of_a_file_are_a_stack),
        cmocka_unit_test(different_networks_are_listed),
        cmocka_unit_test(blocks_of_one_network_are_no_networks),
        cmocka_unit_test(data_sets_tell_of_sums_that_a_file_does_not_show),
        cmocka_unit_test(only_sums_that_can_be_are_told),
        cmocka_unit_test(the_sequentials_of_vgg_have_no_sums),
        cmocka_unit_test(networks_that_may_be_no_chains_are_not_permuted),
        cmocka_unit_test(transposed_convolutions_of_equal_widths_are_told),
        cmocka_unit_test(layers_that_no_chain_has_are_refused_with_the_reason),
        cmocka_unit_test(a_folded_norm_computes_the_same),
        cmocka_unit_test(norms_are_told_by_names_unless_the_file_says_otherwise),
        cmocka_unit_test(the_order_of_a_file_chooses_between_layers),
        cmocka_unit_test(a_norm_behind_a_convolution_that_may_be_transposed_is_refused),
        cmocka_unit_test(norms_behind_no_layer_are_refused),
    };
    return cmocka_run_group_tests_name("other forms", tests, enter, leave);
}
