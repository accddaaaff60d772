/* Collections: the files of an interrupted call, and the next call that continues. */
#define _POSIX_C_SOURCE 200809L
#include "nft/file.h"
#include "nft/train.h"
#include "unit/support.h"
#include "unit/temporary.h"

#include <math.h>

#include <string.h>

#define NETWORKS 6

/* Paths are written as a user in the folder would write them. */
static int enter(void **state)
{
    return temporary_open(state) || chdir(temporary_folder);
}

static int leave(void **state)
{
    return chdir("..") || temporary_close(state);
}

/* Stops after this many files; 0: never. */
typedef struct stop_after {
    int64_t at, left_out;
} stop_after;

static int stop_at(int64_t done, int64_t total, void *user)
{
    (void)total;
    return done == ((const stop_after *)user)->at;
}

static void count_left_out(const char *path, const char *reason, void *user)
{
    assert_non_null(path);
    assert_true(strlen(reason) > 0);
    ((stop_after *)user)->left_out++;
}

static void write_network(const char *path, float value)
{
    const int64_t widths[] = {2, 3, 1};
    nft_space *space = NULL;
    nft_weights *weights = NULL;
    assert_int_equal(nft_space_create_mlp(&space, widths, 3), NFT_OK);
    assert_int_equal(nft_weights_create(&weights, space, 1, 1, NULL), NFT_OK);
    nft_weights_edit(weights, 0)[0] = value;
    assert_int_equal(nft_weights_save(weights, path), NFT_OK);
    nft_weights_free(weights);
    nft_space_free(space);
}

static void an_interrupted_collection_continues(void **state)
{
    (void)state;
    char paths[NETWORKS][64], whole[64], output[64];
    const char *list[NETWORKS];
    stop_after stop = {.at = NETWORKS + 4};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    nft_collect_result result = NFT_COLLECT_RESULT_INIT;
    for (int i = 0; i < NETWORKS; i++) {
        snprintf(paths[i], sizeof paths[i], "collect-%d.safetensors", i);
        list[i] = paths[i];
        write_network(paths[i], (float)i);
    }
    snprintf(whole, sizeof whole, "collect-whole.safetensors");
    snprintf(output, sizeof output, "collect-again.json");
    assert_int_equal(nft_collect(&result, list, NETWORKS, whole, NULL), NFT_OK);
    assert_int_equal(result.networks, NETWORKS);
    assert_int_equal(result.resumed, 0);
    options.progress = stop_at;
    options.user = &stop;
    assert_int_equal(nft_collect(NULL, list, NETWORKS, output, &options), NFT_ERROR_CANCELLED);
    stop.at = 0;
    assert_int_equal(nft_collect(&result, list, NETWORKS, output, &options), NFT_OK);
    assert_int_equal(result.networks, NETWORKS);
    assert_int_equal(result.resumed, 4);
    nft_dataset *dataset = NULL;
    assert_int_equal(nft_dataset_open(&dataset, output, NULL), NFT_OK);
    assert_int_equal(nft_dataset_describe(dataset)->count, NETWORKS);
    nft_weights *weights = NULL;
    assert_int_equal(nft_weights_load(&weights, "collect-again-0.safetensors", NULL), NFT_OK);
    for (int i = 0; i < NETWORKS; i++)
        assert_true(nft_weights_data(weights, 0)[6 * i] == (float)i);
    nft_weights_free(weights);
    nft_dataset_free(dataset);
}

static void networks_that_are_not_finite_are_left_out_and_told(void **state)
{
    (void)state;
    const char *list[] = {"finite.safetensors", "infinite.safetensors", "last.safetensors"};
    stop_after stop = {0};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    nft_collect_result result = NFT_COLLECT_RESULT_INIT;
    write_network(list[0], 1);
    write_network(list[1], INFINITY);
    write_network(list[2], 2);
    assert_int_equal(nft_collect(&result, list, 3, "finite-all.safetensors", NULL), NFT_ERROR_NOT_FINITE);
    options.skip = 1;
    options.left_out = count_left_out;
    options.user = &stop;
    assert_int_equal(nft_collect(&result, list, 3, "finite-all.safetensors", &options), NFT_OK);
    assert_int_equal(result.networks, 2);
    assert_int_equal(result.left_out, 1);
    assert_int_equal(stop.left_out, 1);
    nft_weights *weights = NULL;
    assert_int_equal(nft_weights_load(&weights, "finite-all.safetensors", NULL), NFT_OK);
    assert_true(nft_weights_data(weights, 0)[6] == 2);
    nft_weights_free(weights);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const char *list[] = {"finite.safetensors"};
    nft_collect_options options = NFT_COLLECT_OPTIONS_INIT;
    assert_int_equal(nft_collect(NULL, NULL, 1, "x.safetensors", NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_collect(NULL, list, 1, NULL, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_collect(NULL, list, 0, "x.safetensors", NULL), NFT_ERROR_ARGUMENT);
    options.key = "file";
    assert_int_equal(nft_collect(NULL, list, 1, "x.safetensors", &options), NFT_ERROR_ARGUMENT);
    options.key = NULL;
    options.size = 0;
    assert_int_equal(nft_collect(NULL, list, 1, "x.safetensors", &options), NFT_ERROR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interrupted_collection_continues),
        cmocka_unit_test(networks_that_are_not_finite_are_left_out_and_told),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests_name("collections", tests, enter, leave);
}
