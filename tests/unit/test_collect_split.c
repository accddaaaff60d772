/* Collections that are split: disjoint data sets of the given shares. */
#define _POSIX_C_SOURCE 200809L
#include "nft/file.h"
#include "nft/train.h"
#include "unit/support.h"
#include "unit/temporary.h"

#define FILES 10
#define STACKED 10
#define NETWORKS (FILES + STACKED)

static int enter(void **state)
{
    return temporary_open(state) || chdir(temporary_folder);
}

static int leave(void **state)
{
    return chdir("..") || temporary_close(state);
}

/* Networks first … of one file; the first weight of each, and its label, is its number. */
static void write_networks(const char *path, int64_t hidden, int64_t first, int64_t count)
{
    const int64_t widths[] = {2, hidden, 1};
    int64_t labels[STACKED];
    nft_space *space = NULL;
    nft_weights *weights = NULL;
    nft_array *label = NULL;
    assert_int_equal(nft_space_create_mlp(&space, widths, 3), NFT_OK);
    assert_int_equal(nft_weights_create(&weights, space, count, 1, NULL), NFT_OK);
    for (int64_t i = 0; i < count; i++) {
        nft_weights_edit(weights, 0)[2 * hidden * i] = (float)(first + i);
        labels[i] = first + i;
    }
    assert_int_equal(nft_array_create(&label, NFT_ARRAY_I64, &count, 1, labels), NFT_OK);
    assert_int_equal(nft_weights_set_extra(weights, "label", label), NFT_OK);
    assert_int_equal(nft_weights_save(weights, path), NFT_OK);
    nft_array_free(label);
    nft_weights_free(weights);
    nft_space_free(space);
}

static const char *const paths[FILES + 1] = {
    "0.safetensors", "1.safetensors", "2.safetensors", "3.safetensors", "4.safetensors",    "5.safetensors",
    "6.safetensors", "7.safetensors", "8.safetensors", "9.safetensors", "stack.safetensors"};

static void write_all(int64_t hidden_of_stack)
{
    for (int64_t i = 0; i < FILES; i++)
        write_networks(paths[i], 3, i, 1);
    write_networks(paths[FILES], hidden_of_stack, FILES, STACKED);
}

static nft_status split(nft_collect_result *result, const char *output, uint64_t seed, double validation,
                        double test)
{
    static const char *const names[] = {"validation", "test"};
    const double shares[] = {validation, test};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    options.sets = names;
    options.shares = shares;
    options.set_count = 2;
    options.seed = seed;
    *result = (nft_collect_result)NFT_COLLECT_RESULT_INIT;
    return nft_collect(result, paths, FILES + 1, output, &options);
}

/* Counts the networks of a set by their labels, which are their weights. */
static int64_t count_networks(const char *path, int *found)
{
    nft_dataset *dataset = NULL;
    nft_array *labels = NULL;
    assert_int_equal(nft_dataset_open(&dataset, path, NULL), NFT_OK);
    int64_t count = nft_dataset_describe(dataset)->count;
    assert_int_equal(nft_dataset_read_tensor(&labels, dataset, "label", 0, NFT_ALL), NFT_OK);
    for (int64_t n = 0; n < count; n++) {
        nft_weights *weights = NULL;
        int64_t part = 0;
        nft_dataset_part about = NFT_DATASET_PART_INIT;
        while (!nft_dataset_get_part(&about, dataset, part) && n >= about.first + about.count)
            part++;
        assert_int_equal(nft_dataset_batch(&weights, dataset, part, 1), NFT_OK);
        assert_int_equal(nft_dataset_read(weights, dataset, &n, 1), NFT_OK);
        int64_t label = nft_array_i64(labels)[n];
        assert_true(nft_weights_data(weights, 0)[0] == (float)label);
        found[label]++;
        nft_weights_free(weights);
    }
    nft_array_free(labels);
    nft_dataset_free(dataset);
    return count;
}

static void expect_each_once(const int *found)
{
    for (int i = 0; i < NETWORKS; i++)
        assert_int_equal(found[i], 1);
}

static void each_network_is_in_one_set(void **state)
{
    (void)state;
    int found[NETWORKS] = {0};
    nft_collect_result result;
    write_all(3);
    assert_int_equal(split(&result, "zoo.safetensors", 1, 0.1, 0.25), NFT_OK);
    assert_int_equal(result.networks, NETWORKS);
    assert_int_equal(result.spaces, 1);
    assert_int_equal(count_networks("zoo-train.safetensors", found), 13);
    assert_int_equal(count_networks("zoo-validation.safetensors", found), 2);
    assert_int_equal(count_networks("zoo-test.safetensors", found), 5);
    assert_int_equal(result.sets[0], 13);
    assert_int_equal(result.sets[1], 2);
    assert_int_equal(result.sets[2], 5);
    expect_each_once(found);
}

static void the_seed_decides(void **state)
{
    (void)state;
    int first[NETWORKS] = {0}, again[NETWORKS] = {0}, other[NETWORKS] = {0};
    nft_collect_result result;
    write_all(3);
    assert_int_equal(split(&result, "a.safetensors", 1, 0.1, 0.25), NFT_OK);
    assert_int_equal(split(&result, "b.safetensors", 1, 0.1, 0.25), NFT_OK);
    assert_int_equal(split(&result, "c.safetensors", 2, 0.1, 0.25), NFT_OK);
    count_networks("a-test.safetensors", first);
    count_networks("b-test.safetensors", again);
    count_networks("c-test.safetensors", other);
    assert_memory_equal(first, again, sizeof first);
    assert_memory_not_equal(first, other, sizeof first);
}

static void several_spaces_are_split_together(void **state)
{
    (void)state;
    int found[NETWORKS] = {0};
    nft_collect_result result;
    write_all(4);
    assert_int_equal(split(&result, "zoo.safetensors", 1, 0.1, 0.25), NFT_ERROR_MISMATCH);
    assert_int_equal(split(&result, "zoo.json", 3, 0.1, 0.25), NFT_OK);
    assert_int_equal(result.spaces, 2);
    assert_int_equal(count_networks("zoo-train.json", found), 13);
    assert_int_equal(count_networks("zoo-validation.json", found), 2);
    assert_int_equal(count_networks("zoo-test.json", found), 5);
    expect_each_once(found);
    assert_int_not_equal(access("zoo-test-0.safetensors.partial", F_OK), 0);
}

static void wrong_shares_are_refused(void **state)
{
    (void)state;
    nft_collect_result result;
    write_all(3);
    assert_int_equal(split(&result, "x.safetensors", 1, 0.5, 0.5), NFT_ERROR_ARGUMENT);
    assert_int_equal(split(&result, "x.safetensors", 1, 0, 0.5), NFT_ERROR_ARGUMENT);
    assert_int_equal(split(&result, "x.safetensors", 1, 0.01, 0.5), NFT_ERROR_ARGUMENT);
    assert_non_null(strstr(nft_error_message(), "set 'validation' would have 0 of 20 networks"));
    assert_int_equal(split(&result, "x.safetensors", 1, 0.49, 0.5), NFT_ERROR_ARGUMENT);
    assert_non_null(strstr(nft_error_message(), "set 'test' would have 10 of 20 networks"));
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    const char *names[] = {"a/b", "a/b"};
    const double shares[] = {0.2, 0.2};
    options.sets = names;
    options.set_count = 2;
    assert_int_equal(nft_collect(NULL, paths, 1, "x.safetensors", &options), NFT_ERROR_ARGUMENT);
    options.shares = shares;
    assert_int_equal(nft_collect(NULL, paths, 1, "x.safetensors", &options), NFT_ERROR_ARGUMENT);
    names[0] = names[1] = "twice";
    assert_int_equal(nft_collect(NULL, paths, 1, "x.safetensors", &options), NFT_ERROR_ARGUMENT);
    names[1] = "train";
    assert_int_equal(nft_collect(NULL, paths, 1, "x.safetensors", &options), NFT_ERROR_ARGUMENT);
    options.set_count = NFT_COLLECT_MOST_SETS;
    assert_int_equal(nft_collect(NULL, paths, 1, "x.safetensors", &options), NFT_ERROR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_network_is_in_one_set),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(several_spaces_are_split_together),
        cmocka_unit_test(wrong_shares_are_refused),
    };
    return cmocka_run_group_tests_name("splits of collections", tests, enter, leave);
}
