/* Labels of collected networks: of a sidecar, of the folder's name, of a tensor inside the file. */
#define _POSIX_C_SOURCE 200809L
#include "nft/file.h"
#include "unit/support.h"
#include "unit/temporary.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTPUT "all.safetensors"

static int enter(void **state)
{
    return temporary_open(state) || chdir(temporary_folder);
}

static int leave(void **state)
{
    return chdir("..") || temporary_close(state);
}

static nft_array *row(int32_t type, int64_t count, const void *values)
{
    nft_array *array = NULL;
    assert_ok(nft_array_create(&array, type, &count, 1, values));
    return array;
}

/* One linear layer, and `quality` if there is one. */
static void write_network(const char *path, nft_array *quality)
{
    static const float numbers[6] = {1, 2, 3, 4, 5, 6};
    const char *names[] = {"0.weight", "0.bias", "quality"};
    nft_array *weight = NULL, *bias = row(NFT_ARRAY_F32, 2, numbers);
    assert_ok(nft_array_create(&weight, NFT_ARRAY_F32, (const int64_t[]){2, 3}, 2, numbers));
    const nft_array *arrays[] = {weight, bias, quality};
    assert_ok(nft_array_save(path, names, arrays, quality ? 3 : 2, NULL));
    nft_array_free(weight);
    nft_array_free(bias);
    nft_array_free(quality);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* Collects a.safetensors and b.safetensors. */
static nft_status collect(const char *labels, const char *label)
{
    const char *const paths[] = {"a.safetensors", "b.safetensors"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.labels = labels;
    options.label = label;
    return nft_collect(NULL, paths, 2, OUTPUT, &options);
}

static void expect_refused(nft_status status, nft_status expected, const char *reason)
{
    assert_int_equal(status, expected);
    if (!strstr(nft_error_message(), reason))
        fail_msg("the message is \"%s\", expected \"%s\" in it", nft_error_message(), reason);
    assert_int_not_equal(access(OUTPUT, F_OK), 0);
}

/* The label of all networks, and no file afterwards. */
static void expect_labels(int32_t type, int64_t count, const double *expected, const char *classes)
{
    nft_weights *weights = NULL;
    assert_ok(nft_weights_load(&weights, OUTPUT, NULL));
    const nft_array *label = nft_weights_extra(weights, "label");
    assert_non_null(label);
    assert_true((nft_array_f32(label) != NULL) == (type == NFT_ARRAY_F32));
    assert_int_equal(nft_array_count(label), count);
    for (int64_t i = 0; i < count; i++)
        assert_true((type == NFT_ARRAY_F32 ? (double)nft_array_f32(label)[i]
                                           : (double)nft_array_i64(label)[i]) == expected[i]);
    const char *noted = nft_weights_metadata(weights, "nft.classes");
    assert_string_equal(noted ? noted : "", classes ? classes : "");
    nft_weights_free(weights);
    assert_int_equal(unlink(OUTPUT), 0);
}

/* Sidecars of both networks. */
static nft_status collect_sidecars(const char *a, const char *b, const char *label)
{
    write_network("a.safetensors", NULL);
    write_network("b.safetensors", NULL);
    write_text("a.json", a);
    write_text("b.json", b);
    return collect("sidecar", label);
}

static void sidecars(void **state)
{
    (void)state;
    assert_ok(collect_sidecars("{\"label\": 3}", "{\"label\": -1}", NULL));
    expect_labels(NFT_ARRAY_I64, 2, (const double[]){3, -1}, NULL);
    assert_ok(collect_sidecars("{\"test\": {\"score\": 0.5}}", "{\"test\": {\"score\": 2}}", "test.score"));
    expect_labels(NFT_ARRAY_F32, 2, (const double[]){0.5, 2}, NULL);
    assert_ok(collect_sidecars("{\"label\": true}", "{\"label\": false}", NULL));
    expect_labels(NFT_ARRAY_I64, 2, (const double[]){1, 0}, NULL);
    assert_ok(collect_sidecars("{\"label\": [0.5, 1]}", "{\"label\": [2, 3]}", NULL));
    expect_labels(NFT_ARRAY_F32, 4, (const double[]){0.5, 1, 2, 3}, NULL);
    assert_ok(collect_sidecars("{\"label\": \"shirt\"}", "{\"label\": \"bag\"}", NULL));
    expect_labels(NFT_ARRAY_I64, 2, (const double[]){1, 0}, "[\"bag\",\"shirt\"]");
}

static void sidecars_that_are_refused(void **state)
{
    (void)state;
    expect_refused(collect_sidecars("{\"label\": {\"deep\": 1}}", "{\"label\": 1}", NULL), NFT_ERROR_FORMAT,
                   "is an object; a dot goes into it");
    expect_refused(collect_sidecars("{\"label\": [1, \"two\"]}", "{\"label\": [1, 2]}", NULL),
                   NFT_ERROR_FORMAT, "is a list with more than numbers in it");
    expect_refused(collect_sidecars("{\"label\": [1, 2]}", "{\"label\": [1, 2, 3]}", NULL), NFT_ERROR_FORMAT,
                   "has 3 numbers, but in a.safetensors 2");
    expect_refused(collect_sidecars("{\"label\": [1, 2]}", "{\"label\": \"two\"}", NULL), NFT_ERROR_FORMAT,
                   "holds texts and lists of numbers");
    expect_refused(collect_sidecars("{\"acuracy\": 1}", "{\"accuracy\": 1}", "accuracy"), NFT_ERROR_FORMAT,
                   "did you mean 'acuracy'?");
    assert_int_equal(unlink("a.json"), 0);
    expect_refused(collect("sidecar", NULL), NFT_ERROR_FORMAT, "it has no sidecar");
}

static void rows_that_tables_lack(void **state)
{
    (void)state;
    write_network("a.safetensors", NULL);
    write_network("b.safetensors", NULL);
    write_text("table.csv", "name,file,label\nfirst,a.safetensors,1\nsecond,b.safetensors,2\n");
    expect_refused(collect("table.csv", NULL), NFT_ERROR_FORMAT,
                   "table.csv has no row for it in column 'name'; nft_collect_options.key names the column");
    write_text("table.csv", "[{\"name\": \"first\", \"label\": 1}]");
    expect_refused(collect("table.csv", NULL), NFT_ERROR_FORMAT, "has no row for it in column 'name'");
    write_text("table.csv", "{\n\"first\": 1\n}");
    expect_refused(collect("table.csv", NULL), NFT_ERROR_FORMAT, "table.csv has no row for it");
    assert_null(strstr(nft_error_message(), "column"));
    assert_int_equal(unlink("table.csv"), 0);
}

static void tensors_of_the_file(void **state)
{
    (void)state;
    write_network("a.safetensors", row(NFT_ARRAY_F32, 1, (const float[]){0.25f}));
    write_network("b.safetensors", row(NFT_ARRAY_F32, 1, (const float[]){4}));
    assert_ok(collect("key:quality", NULL));
    expect_labels(NFT_ARRAY_F32, 2, (const double[]){0.25, 4}, NULL);
    write_network("a.safetensors", row(NFT_ARRAY_I64, 2, (const int64_t[]){7, 8}));
    write_network("b.safetensors", row(NFT_ARRAY_I64, 2, (const int64_t[]){9, 10}));
    assert_ok(collect("key:quality", NULL));
    expect_labels(NFT_ARRAY_I64, 4, (const double[]){7, 8, 9, 10}, NULL);
    expect_refused(collect("key:absent", NULL), NFT_ERROR_FORMAT, "'absent'");
}

static void names_of_folders(void **state)
{
    (void)state;
    const char *const paths[] = {"cats", "dogs"}, *const bare[] = {"a.safetensors"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.labels = "folder";
    assert_int_equal(mkdir("cats", 0700) || mkdir("dogs", 0700), 0);
    write_network("cats/1.safetensors", NULL);
    write_network("dogs/1.safetensors", NULL);
    write_network("dogs/2.safetensors", NULL);
    assert_ok(nft_collect(NULL, paths, 2, OUTPUT, &options));
    expect_labels(NFT_ARRAY_I64, 3, (const double[]){0, 1, 1}, "[\"cats\",\"dogs\"]");
    write_network("a.safetensors", NULL);
    expect_refused(nft_collect(NULL, bare, 1, OUTPUT, &options), NFT_ERROR_ARGUMENT, "names no folder");
    options.label = "accuracy";
    expect_refused(nft_collect(NULL, paths, 2, OUTPUT, &options), NFT_ERROR_ARGUMENT, "no columns to choose");
    options = (nft_collect_options)NFT_COLLECT_OPTIONS_INIT;
    options.labels = "sidecar";
    options.key = "file";
    expect_refused(nft_collect(NULL, paths, 2, OUTPUT, &options), NFT_ERROR_ARGUMENT, "come from no table");
    assert_int_equal(unlink("cats/1.safetensors") || unlink("dogs/1.safetensors") ||
                         unlink("dogs/2.safetensors") || rmdir("cats") || rmdir("dogs"),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sidecars),
        cmocka_unit_test(sidecars_that_are_refused),
        cmocka_unit_test(rows_that_tables_lack),
        cmocka_unit_test(tensors_of_the_file),
        cmocka_unit_test(names_of_folders),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
