/* Published collections, each by its preset, on miniatures of the same layouts (tests/data/collections). */
#define _POSIX_C_SOURCE 200809L
#include "io/collect/pattern.h"
#include "nft/file.h"
#include "unit/support.h"
#include "unit/temporary.h"

#include <unistd.h>

#define COLLECTIONS NFT_TEST_DATA "/collections/"

static int enter(void **state)
{
    return temporary_open(state) || chdir(temporary_folder);
}

static int leave(void **state)
{
    return chdir("..") || temporary_close(state);
}

/* The networks of a collection, whose name is that of its folder. */
static nft_weights *collect(const char *preset, nft_collect_options options)
{
    char folder[512];
    const char *paths[] = {folder};
    nft_weights *weights = NULL;
    snprintf(folder, sizeof folder, "%s%s", COLLECTIONS, preset);
    options.preset = preset;
    assert_ok(nft_collect(NULL, paths, 1, "out.json", &options));
    assert_ok(nft_weights_load(&weights, "out-0.safetensors", NULL));
    return weights;
}

static nft_weights *collect_plainly(const char *preset)
{
    return collect(preset, (nft_collect_options)NFT_COLLECT_OPTIONS_INIT);
}

static void assert_labels(const nft_weights *weights, const double *expected, int64_t count)
{
    const nft_array *label = nft_weights_extra(weights, "label");
    assert_non_null(label);
    assert_int_equal(nft_array_count(label), count);
    for (int64_t i = 0; i < count; i++) {
        double found =
            nft_array_f32(label) ? (double)nft_array_f32(label)[i] : (double)nft_array_i64(label)[i];
        assert_true(fabs(found - expected[i]) < 1e-6);
    }
}

/* Every number of the matrix is its place. TensorFlow's kernels are (height, width, in, out). */
static void assert_kernel(const nft_weights *weights, int64_t tensor, int64_t network, int64_t place,
                          const int64_t *shape)
{
    int64_t height = shape[0], width = shape[1], in = shape[2], out = shape[3];
    const float *found = nft_weights_data(weights, tensor) + network * height * width * in * out;
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++)
            for (int64_t y = 0; y < height; y++)
                for (int64_t x = 0; x < width; x++)
                    assert_true(found[((o * in + i) * height + y) * width + x] ==
                                (float)(place + ((y * width + x) * in + i) * out + o));
}

static void rows_of_the_last_step_are_networks_in_pytorchs_order(void **state)
{
    (void)state;
    static const int64_t rows[] = {1, 3, 4}, shapes[][4] = {{3, 3, 1, 2}, {3, 3, 2, 2}, {1, 1, 2, 3}};
    static const int64_t places[] = {0, 20, 58}, biases[] = {18, 56, 64};
    nft_weights *weights = collect_plainly("small-cnn-zoo");
    assert_labels(weights, (const double[]){0.1, 0.3, 0.4}, 3);
    for (int64_t n = 0; n < 3; n++)
        for (int64_t layer = 0; layer < 3; layer++) {
            assert_kernel(weights, 2 * layer, n, 67 * rows[n] + places[layer], shapes[layer]);
            int64_t out = shapes[layer][3];
            for (int64_t o = 0; o < out; o++)
                assert_true(nft_weights_data(weights, 2 * layer + 1)[n * out + o] ==
                            (float)(67 * rows[n] + biases[layer] + o));
        }
    nft_weights_free(weights);
}

static void further_columns_of_rows_are_tensors(void **state)
{
    (void)state;
    static const char *const also[] = {"train_accuracy"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.also = also;
    options.also_count = 1;
    nft_weights *weights = collect("small-cnn-zoo", options);
    const nft_array *further = nft_weights_extra(weights, "train_accuracy");
    assert_non_null(further);
    assert_int_equal(nft_array_count(further), 3);
    assert_true(fabsf(nft_array_f32(further)[2] - 0.45F) < 1e-6F);
    nft_weights_free(weights);
}

static void count_left_out(const char *path, const char *reason, void *user)
{
    assert_string_equal(path, "weights.npy");
    assert_non_null(
        strstr(reason, *(int *)user ? "network 2 has no number" : "network 1 has a number that is"));
    ++*(int *)user;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Rows of one linear layer (2, 1) and its bias, as NumPy writes them. */
static void write_matrix(const char *path, const float *rows, int count)
{
    char header[129];
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 3), }%*s\n",
             count, 60, "");
    fwrite("\x93NUMPY\x01\x00", 1, 8, file);
    fputc((int)strlen(header), file);
    fputc(0, file);
    fputs(header, file);
    fwrite(rows, sizeof *rows, (size_t)(3 * count), file);
    fclose(file);
}

static void rows_that_are_not_finite_or_have_no_label_are_left_out(void **state)
{
    (void)state;
    static const float rows[] = {1, 2, 3, 4, NAN, 6, 7, 8, 9, 10, 11, 12};
    const char *paths[] = {"weights.npy"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    nft_collect_result result = NFT_COLLECT_RESULT_INIT;
    nft_weights *weights = NULL;
    int told = 0;
    write_matrix("weights.npy", rows, 4);
    write_text("layout.csv",
               "varname,start_idx,end_idx,shape\na/kernel:0,0,2,\"(2, 1)\"\na/bias:0,2,3,\"(1,)\"\n");
    write_text("metrics.csv", "step,test_accuracy\n86,0.5\n86,0.6\n86,\n86.0,0.8\n");
    options.preset = "small-cnn-zoo";
    assert_int_equal(nft_collect(NULL, paths, 1, "rows.safetensors", &options), NFT_ERROR_FORMAT);
    assert_non_null(strstr(nft_error_message(), "row 3 of its table has no number"));
    options.skip = 1;
    options.left_out = count_left_out;
    options.user = &told;
    assert_ok(nft_collect(&result, paths, 1, "rows.safetensors", &options));
    assert_int_equal(result.networks, 2);
    assert_int_equal(result.left_out, 2);
    assert_int_equal(told, 2);
    options.left_out = NULL;
    assert_ok(nft_weights_load(&weights, "rows.safetensors", NULL));
    assert_labels(weights, (const double[]){0.5, 0.8}, 2);
    assert_true(nft_weights_data(weights, 0)[2] == 10);
    assert_true(nft_weights_data(weights, 1)[1] == 12);
    nft_weights_free(weights);
    write_text("metrics.csv", "step,test_accuracy\n86,0.5\n");
    assert_int_equal(nft_collect(NULL, paths, 1, "x.safetensors", &options), NFT_ERROR_FORMAT);
}

static void rows_of_hdf5_are_networks_in_pytorchs_order(void **state)
{
    (void)state;
    nft_file *file = NULL;
    if (nft_file_open(&file, COLLECTIONS "fit-a-nef/nefs_0-2.hdf5", NULL)) /* built without HDF5 */
        skip();
    nft_file_free(file);
    nft_weights *weights = collect_plainly("fit-a-nef");
    assert_labels(weights, (const double[]){3, 1, 2}, 3);
    for (int64_t n = 0; n < 3; n++) {
        assert_kernel(weights, 0, n, 17 * n + 4, (const int64_t[]){1, 1, 2, 4});
        assert_kernel(weights, 2, n, 17 * n + 13, (const int64_t[]){1, 1, 4, 1});
        assert_true(nft_weights_data(weights, 1)[4 * n] == (float)(17 * n));
        assert_true(nft_weights_data(weights, 3)[n] == (float)(17 * n + 12));
    }
    nft_weights_free(weights);
}

/* Networks whose numbers count up from one that is given. */
static void assert_counting(const nft_weights *weights, int64_t network, float first)
{
    const nft_space *space = nft_weights_space(weights);
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++) {
        int64_t count = nft_weights_data_count(weights, t) / nft_weights_count(weights);
        for (int64_t i = 0; i < count; i++)
            assert_true(nft_weights_data(weights, t)[network * count + i] == first++);
    }
}

static void labels_are_in_the_paths_of_sirens(void **state)
{
    (void)state;
    nft_weights *weights = collect_plainly("dws-mnist");
    assert_labels(weights, (const double[]){2, 7}, 2);
    assert_counting(weights, 0, 40);
    assert_counting(weights, 1, 1);
    assert_string_equal(nft_weights_metadata(weights, "nft.omega"), "30");
    assert_string_equal(nft_weights_metadata(weights, "nft.offset"), "0.5");
    nft_weights_free(weights);
    weights = collect_plainly("nfn-sirens");
    assert_labels(weights, (const double[]){3, 4, 4}, 3);
    for (int64_t n = 0; n < 3; n++)
        assert_counting(weights, n, (float)n);
    assert_string_equal(nft_weights_metadata(weights, "nft.omega"), "30");
    assert_null(nft_weights_metadata(weights, "nft.offset"));
    nft_weights_free(weights);
    weights = collect_plainly("implicit-zoo");
    assert_labels(weights, (const double[]){0, 12}, 2);
    assert_counting(weights, 0, 3);
    assert_string_equal(nft_weights_tensor_name(weights, 0), "seq.0.weight");
    nft_weights_free(weights);
}

static void labels_are_inside_the_files_of_sirens(void **state)
{
    (void)state;
    nft_weights *weights = collect_plainly("dws-fmnist");
    assert_labels(weights, (const double[]){5, 9}, 2);
    assert_counting(weights, 1, 1);
    nft_weights_free(weights);
}

/* Lists of Python in the files. */
static void labels_are_lists_inside_the_files_of_waves(void **state)
{
    (void)state;
    const char *paths[] = {COLLECTIONS "cnn-wild-park/run_1"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    nft_weights *weights = collect_plainly("dws-ssl");
    assert_labels(weights, (const double[]){0.5, 4, 2, 8.5}, 4);
    assert_int_equal(nft_array_size(nft_weights_extra(weights, "label"), 0), 2);
    assert_counting(weights, 0, 2);
    assert_counting(weights, 1, 10);
    assert_string_equal(nft_weights_metadata(weights, "nft.omega"), "30");
    assert_string_equal(nft_weights_metadata(weights, "nft.offset"), "0.5");
    nft_weights_free(weights);
    options.prefix = "model.";
    options.labels = "key:config.residual";
    assert_ok(nft_collect(NULL, paths, 1, "list.safetensors", &options));
    assert_ok(nft_weights_load(&weights, "list.safetensors", NULL));
    assert_labels(weights, (const double[]){-1, 0}, 2);
    assert_non_null(nft_array_i64(nft_weights_extra(weights, "label")));
    nft_weights_free(weights);
    options.labels = "key:config"; /* an object */
    assert_int_equal(nft_collect(NULL, paths, 1, "list.safetensors", &options), NFT_ERROR_FORMAT);
    assert_non_null(strstr(nft_error_message(), "'config': is not in the file"));
}

static void labels_are_in_the_results_of_runs(void **state)
{
    (void)state;
    const char *paths[] = {COLLECTIONS "cnn-zoos/*/checkpoint_000050"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    nft_weights *weights = collect_plainly("cnn-zoos");
    assert_labels(weights, (const double[]){0, 0.5, 0.02}, 3);
    assert_counting(weights, 1, 50);
    assert_counting(weights, 2, 2);
    nft_weights_free(weights);
    options.preset = "cnn-zoos"; /* of one epoch only */
    assert_ok(nft_collect(NULL, paths, 1, "epoch.safetensors", &options));
    assert_ok(nft_weights_load(&weights, "epoch.safetensors", NULL));
    assert_labels(weights, (const double[]){0.5}, 1);
    nft_weights_free(weights);
}

static int64_t count_permutable(const char *path)
{
    nft_space *space = NULL;
    int64_t count = 0;
    assert_ok(nft_space_load(&space, path, NULL));
    for (int64_t a = 0; a < nft_space_describe(space)->axis_count; a++) {
        nft_space_axis axis = {.size = sizeof axis};
        assert_ok(nft_space_get_axis(&axis, space, a));
        count += axis.symmetry == NFT_SYMMETRY_PERMUTATION;
    }
    nft_space_free(space);
    return count;
}

static void networks_with_residual_connections_have_ordered_axes(void **state)
{
    (void)state;
    nft_weights *weights = collect_plainly("cnn-wild-park");
    assert_labels(weights, (const double[]){0.25}, 1);
    assert_counting(weights, 0, 0);
    nft_weights_free(weights);
    assert_ok(nft_weights_load(&weights, "out-1.safetensors", NULL));
    assert_labels(weights, (const double[]){0.75}, 1);
    nft_weights_free(weights);
    assert_int_equal(count_permutable("out-0.safetensors"), 2);
    assert_int_equal(count_permutable("out-1.safetensors"), 0);
}

static void transformers_are_found_by_their_table(void **state)
{
    (void)state;
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.labels = COLLECTIONS "small-transformer-zoo/metadata/mnist.csv";
    nft_weights *weights = collect("small-transformer-zoo", options);
    assert_labels(weights, (const double[]){0.25, 0.5}, 2);
    const nft_space *space = nft_weights_space(weights);
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++)
        if (!strcmp(nft_weights_tensor_name(weights, t), "embedding.pos_embedding"))
            assert_true(nft_weights_data(weights, t)[36] == 12);
    assert_int_equal(nft_space_describe(space)->tensor_count, 15);
    nft_weights_free(weights);
    /* the stream, and the insides of the MLP and of the classifier */
    assert_int_equal(count_permutable("out-0.safetensors"), 3);
}

static void labels_of_numbered_models_are_in_their_table(void **state)
{
    (void)state;
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.labels = COLLECTIONS "dng-vit/stat/results.json";
    nft_weights *weights = collect("dng-vit", options);
    assert_labels(weights, (const double[]){22, 31}, 2);
    assert_int_equal(nft_space_describe(nft_weights_space(weights))->tensor_count, 20);
    nft_weights_free(weights);
    assert_int_equal(count_permutable("out-0.safetensors"), 2); /* the stream, and the inside of the MLP */
}

static void assert_named(const char *file, const char *words)
{
    char path[512];
    nft_weights *weights = NULL;
    snprintf(path, sizeof path, COLLECTIONS "refused/%s", file);
    assert_int_equal(nft_weights_load(&weights, path, NULL), NFT_ERROR_FORMAT);
    if (!strstr(nft_error_message(), words))
        fail_msg("'%s' is not in '%s'", words, nft_error_message());
}

static void tokens_graphs_and_classes_are_refused_with_the_way_out(void **state)
{
    (void)state;
    assert_named("sane-tokens.pt", "the tokens of a network for SANE ('w', 'm' and 'p')");
    assert_named("sane-tokens.pt", "--preset cnn-zoos");
    assert_named("dng-graph.pt", "edges and nodes of a network's graph for DNG ('e' and 'b')");
    assert_named("dng-graph.pt", "--preset dng-vit");
    assert_named("cnn-zoo-dataset.pt", "'testset' is not, it is of the class __main__.Dataset; collect the "
                                       "checkpoints");
}

static void assert_label(const char *pattern, const char *path, const char *expected)
{
    const char *label = NULL;
    size_t length = 0;
    bool matches = nft_pattern_matches(pattern, path, &label, &length);
    assert_int_equal(matches, expected != NULL);
    if (expected) {
        assert_int_equal(length, strlen(expected));
        assert_memory_equal(label, expected, length);
    }
}

static void patterns_find_labels_in_the_last_parts_of_paths(void **state)
{
    (void)state;
    assert_label("{label}/*", "zoo/cat/1.pt", "cat");
    assert_label("{label}/*", "1.pt", NULL);
    assert_label("{label}_*/*.pt", "a_b_c/x.pt", "a");
    assert_label("*_{label}.pt", "a_b_c.pt", "c");
    assert_label("*_{label}.pt", "x/a_.pt", NULL);
    assert_label("{label}.th|{label}.pt", "x/7.pt", "7");
    assert_label("run{label}/net.pt", "run7/other.pt", NULL);
}

static void unknown_presets_and_patterns_are_refused(void **state)
{
    (void)state;
    const char *paths[] = {COLLECTIONS "dws-mnist"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.preset = "dws-mnis";
    assert_int_equal(nft_collect(NULL, paths, 1, "x.json", &options), NFT_ERROR_ARGUMENT);
    assert_non_null(strstr(nft_error_message(), "did you mean 'dws-mnist'"));
    options.preset = "nf2vec";
    assert_int_equal(nft_collect(NULL, paths, 1, "x.json", &options), NFT_ERROR_ARGUMENT);
    assert_non_null(
        strstr(nft_error_message(), "layout of 'nf2vec' is not known; collect its files without"));
    options.preset = NULL;
    options.labels = "path:*/no-label";
    assert_int_equal(nft_collect(NULL, paths, 1, "x.json", &options), NFT_ERROR_ARGUMENT);
    options.labels = "path:other_{label}/*.pth";
    assert_int_equal(nft_collect(NULL, paths, 1, "x.json", &options), NFT_ERROR_FORMAT);
    assert_non_null(strstr(nft_error_message(), "its path is not as"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_the_last_step_are_networks_in_pytorchs_order),
        cmocka_unit_test(further_columns_of_rows_are_tensors),
        cmocka_unit_test(rows_that_are_not_finite_or_have_no_label_are_left_out),
        cmocka_unit_test(rows_of_hdf5_are_networks_in_pytorchs_order),
        cmocka_unit_test(labels_are_in_the_paths_of_sirens),
        cmocka_unit_test(labels_are_inside_the_files_of_sirens),
        cmocka_unit_test(labels_are_lists_inside_the_files_of_waves),
        cmocka_unit_test(labels_are_in_the_results_of_runs),
        cmocka_unit_test(networks_with_residual_connections_have_ordered_axes),
        cmocka_unit_test(transformers_are_found_by_their_table),
        cmocka_unit_test(labels_of_numbered_models_are_in_their_table),
        cmocka_unit_test(tokens_graphs_and_classes_are_refused_with_the_way_out),
        cmocka_unit_test(patterns_find_labels_in_the_last_parts_of_paths),
        cmocka_unit_test(unknown_presets_and_patterns_are_refused),
    };
    return cmocka_run_group_tests_name("presets", tests, enter, leave);
}
