/* Weights files on tensors and axes: found by name, cut from larger tensors and joined again, refused by
 * name. */
#define _XOPEN_SOURCE 700
#include "nft/file.h"
#include "nft/train.h"
#include "unit/extras.h"
#include "unit/failing_allocator.h"
#include "unit/support.h"
#include "unit/temporary.h"

/* A packed projection that is cut along its first dimension, a layer behind a concatenation that is cut along
 * its second, a batch norm, a flattened map, recurrent gates and a scalar. */
#define NETWORK                                                                                              \
    "{'axes': [{'name': 'in', 'size': 2, 'symmetry': 'none'}, {'name': 'a', 'size': 3}, {'name': 'b', "      \
    "'size': 4}, {'name': 'out', 'size': 2, 'symmetry': 'none'}], 'tensors': [{'name': 'q', 'shape': ['a', " \
    "'in'], 'from': 'proj.weight', 'slice': [0, 0, 3]}, {'name': 'cat.a', 'shape': ['out', 'a', 2], "        \
    "'from': 'cat.weight', 'slice': [1, 4, 3]}, {'name': 'norm.running_var', 'shape': ['b']}, {'name': "     \
    "'k', 'shape': ['b', 'in'], 'from': 'proj.weight', 'slice': [0, 3, 4]}, {'name': 'cat.b', 'shape': "     \
    "['out', 'b', 2], 'from': 'cat.weight', 'slice': [1, 0, 4]}, {'name': 'fc.weight', 'shape': ['out', "    \
    "['b', 3]]}, {'name': 'gates', 'shape': [[4, 'a'], 'a']}, {'name': 'scale', 'shape': []}]}"
#define TENSORS 8

static void expect(nft_status status, nft_status expected, const char *text)
{
    assert_int_equal(status, expected);
    if (!strstr(nft_error_message(), text))
        fail_msg("message is \"%s\", expected \"%s\" in it", nft_error_message(), text);
}

static nft_space *parse_space(const char *text)
{
    char *json = support_json(text);
    nft_space *space = NULL;
    assert_ok(nft_space_parse(&space, json, strlen(json)));
    free(json);
    return space;
}

/* Every number of a set is another one. */
static nft_weights *numbered_set(const nft_space *space, int64_t count, int64_t channels)
{
    nft_weights *weights = NULL;
    float next = 1;
    assert_ok(nft_weights_create(&weights, space, count, channels, NULL));
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++)
        for (int64_t k = 0; k < nft_weights_data_count(weights, t); k++)
            nft_weights_edit(weights, t)[k] = next++;
    return weights;
}

static void same_sets(const nft_weights *a, const nft_weights *b)
{
    assert_true(nft_space_equal(nft_weights_space(a), nft_weights_space(b)));
    assert_int_equal(nft_weights_count(a), nft_weights_count(b));
    assert_int_equal(nft_weights_channels(a), nft_weights_channels(b));
    for (int64_t t = 0; t < nft_space_describe(nft_weights_space(a))->tensor_count; t++) {
        assert_string_equal(nft_weights_tensor_name(a, t), nft_weights_tensor_name(b, t));
        assert_int_equal(nft_weights_data_count(a, t), nft_weights_data_count(b, t));
        assert_memory_equal(nft_weights_data(a, t), nft_weights_data(b, t),
                            (size_t)nft_weights_data_count(a, t) * sizeof(float));
    }
}

static void stacks_and_features_are_read_as_they_were_saved(void **state)
{
    (void)state;
    nft_space *space = parse_space(NETWORK);
    const int64_t sizes[][2] = {{3, 1}, {1, 1}, {2, 5}, {0, 1}};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const char *path = temporary_path("set");
        nft_weights *set = numbered_set(space, sizes[i][0], sizes[i][1]), *back = NULL;
        assert_ok(nft_weights_save(set, path));
        assert_ok(nft_weights_load(&back, path, NULL));
        same_sets(set, back);
        assert_string_equal(nft_space_describe(nft_weights_space(back))->json,
                            nft_space_describe(space)->json);
        assert_int_equal(count_extras(back), 0);
        nft_weights_free(set);
        nft_weights_free(back);
    }
    nft_space_free(space);
}

/* (N, 7, 2): rows of q, then of k; (N, 2, 7, 2): cat.b before cat.a in each row. */
static void slices_are_joined_in_the_file(void **state)
{
    (void)state;
    nft_space *space = parse_space(NETWORK);
    nft_weights *set = numbered_set(space, 2, 1);
    const char *path = temporary_path("joined");
    nft_file *file = NULL;
    nft_array *proj = NULL, *cat = NULL;
    assert_ok(nft_weights_save(set, path));
    assert_ok(nft_file_open(&file, path, NULL));
    assert_int_equal(nft_file_tensor_count(file), TENSORS - 2);
    assert_ok(nft_file_read(&proj, file, "proj.weight", 0, NFT_ALL));
    assert_ok(nft_file_read(&cat, file, "cat.weight", 0, NFT_ALL));
    assert_int_equal(nft_array_count(proj), 2 * 7 * 2);
    for (int64_t n = 0; n < 2; n++)
        for (int64_t row = 0; row < 7; row++)
            for (int64_t i = 0; i < 2; i++)
                assert_true(nft_array_f32(proj)[(n * 7 + row) * 2 + i] ==
                            (row < 3 ? nft_weights_data(set, 0)[(n * 3 + row) * 2 + i]
                                     : nft_weights_data(set, 3)[(n * 4 + row - 3) * 2 + i]));
    assert_int_equal(nft_array_rank(cat), 4);
    for (int64_t n = 0; n < 4; n++) /* networks and outputs */
        for (int64_t column = 0; column < 7; column++)
            for (int64_t p = 0; p < 2; p++)
                assert_true(nft_array_f32(cat)[(n * 7 + column) * 2 + p] ==
                            (column < 4 ? nft_weights_data(set, 4)[(n * 4 + column) * 2 + p]
                                        : nft_weights_data(set, 1)[(n * 3 + column - 4) * 2 + p]));
    nft_array_free(proj);
    nft_array_free(cat);
    nft_file_free(file);
    nft_weights_free(set);
    nft_space_free(space);
}

/* Runs that are longer than one read, and some that are shorter. */
static void long_slices_are_read(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{'axes': [{'name': 'o', 'size': 3}, {'name': 'a', 'size': 2500}, {'name': 'b', 'size': 2600}], "
        "'tensors': [{'name': 'x', 'shape': ['o', 'a'], 'from': 'w', 'slice': [1, 0, 2500]}, {'name': 'y', "
        "'shape': ['o', 'b'], 'from': 'w', 'slice': [1, 2500, 2600]}]}",
        "{'axes': [{'name': 'o', 'size': 700}, {'name': 'a', 'size': 3}, {'name': 'b', 'size': 9}], "
        "'tensors': [{'name': 'x', 'shape': ['o', 'a'], 'from': 'w', 'slice': [1, 0, 3]}, {'name': 'y', "
        "'shape': ['o', 'b'], 'from': 'w', 'slice': [1, 3, 9]}]}"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        nft_space *space = parse_space(texts[i]);
        nft_weights *set = numbered_set(space, 3, 1), *back = NULL;
        assert_ok(nft_weights_save(set, temporary_path("long")));
        assert_ok(nft_weights_load(&back, temporary_path("long"), NULL));
        same_sets(set, back);
        nft_weights_free(set);
        nft_weights_free(back);
        nft_space_free(space);
    }
}

static void metadata_travel_from_load_to_save(void **state)
{
    (void)state;
    nft_space *space = parse_space(NETWORK);
    nft_weights *set = numbered_set(space, 2, 1), *once = NULL, *twice = NULL;
    assert_ok(nft_weights_set_metadata(set, "nft.omega", "30"));
    assert_ok(nft_weights_set_metadata(set, "note", "as it is"));
    assert_ok(nft_weights_save(set, temporary_path("first")));
    assert_ok(nft_weights_load(&once, temporary_path("first"), NULL));
    assert_ok(nft_weights_save(once, temporary_path("second")));
    assert_ok(nft_weights_load(&twice, temporary_path("second"), NULL));
    assert_string_equal(nft_weights_metadata(twice, "nft.omega"), "30");
    assert_string_equal(nft_weights_metadata(twice, "note"), "as it is");
    assert_string_equal(nft_weights_metadata(twice, "nft.space"), nft_space_describe(space)->json);
    assert_null(nft_weights_metadata(set, "nft.space"));
    nft_weights_free(set);
    nft_weights_free(once);
    nft_weights_free(twice);
    nft_space_free(space);
}

/* One array of a file that a test makes up. */
typedef struct piece {
    const char *name;
    int64_t rank, shape[6];
    bool integers;
} piece;

static const char *write_pieces(const piece *pieces, size_t count, const char *space)
{
    const char *names[12], *path = temporary_path("pieces");
    nft_array *arrays[12] = {NULL};
    char *json = space ? support_json(space) : NULL;
    const char *metadata[] = {"nft.space", json, NULL};
    for (size_t i = 0; i < count; i++) {
        names[i] = pieces[i].name;
        assert_ok(nft_array_create(&arrays[i], pieces[i].integers ? NFT_ARRAY_I64 : NFT_ARRAY_F32,
                                   pieces[i].shape, pieces[i].rank, NULL));
    }
    assert_ok(nft_array_save(path, names, (const nft_array *const *)arrays, count, space ? metadata : NULL));
    for (size_t i = 0; i < count; i++)
        nft_array_free(arrays[i]);
    free(json);
    return path;
}

#define SMALL                                                                                                \
    "{'axes': [{'name': 'in', 'size': 2, 'symmetry': 'none'}, {'name': 'c', 'size': 3}], 'tensors': "        \
    "[{'name': 'conv.weight', 'shape': ['c', 'in', 3]}, {'name': 'bn.weight', 'shape': ['c']}, {'name': "    \
    "'s', 'shape': []}]}"

static void the_space_of_the_options_finds_tensors_by_name(void **state)
{
    (void)state;
    const piece pieces[] = {{"s", 0, {0}, false},
                            {"other.weight", 2, {7, 7}, false},
                            {"bn.weight", 1, {3}, false},
                            {"conv.weight", 3, {3, 2, 3}, false}};
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    nft_space *space = parse_space(SMALL);
    nft_weights *set = NULL;
    options.space = space;
    assert_ok(nft_weights_load(&set, write_pieces(pieces, COUNT(pieces), NULL), &options));
    assert_int_equal(nft_weights_count(set), 1);
    assert_int_equal(set->rank, 1);
    assert_string_equal(nft_weights_tensor_name(set, 1), "bn.weight");
    nft_weights_free(set);
    const char *const layers[] = {"conv"};
    options.layers = layers;
    options.layer_count = 1;
    expect(nft_weights_load(&set, write_pieces(pieces, COUNT(pieces), NULL), &options), NFT_ERROR_ARGUMENT,
           "layers are named, but the networks are no chain");
    nft_space_free(space);
}

static void a_target_has_a_row_for_each_network(void **state)
{
    (void)state;
    const piece pieces[] = {{"s", 0, {0}, false},
                            {"bn.weight", 1, {3}, false},
                            {"conv.weight", 3, {3, 2, 3}, false},
                            {"three", 1, {3}, false},
                            {"one", 1, {1}, false}};
    nft_dataset *dataset = NULL;
    nft_array *target = NULL;
    assert_ok(nft_dataset_open(&dataset, write_pieces(pieces, COUNT(pieces), SMALL), NULL));
    assert_int_equal(nft_dataset_describe(dataset)->count, 1);
    expect(nft_dataset_read_tensor(&target, dataset, "three", 0, NFT_ALL), NFT_ERROR_ARGUMENT,
           "has no tensor 'three' with a row for each of its 1 samples");
    expect(nft_dataset_read_tensor(&target, dataset, "two", 0, NFT_ALL), NFT_ERROR_ARGUMENT,
           "has no tensor 'two'");
    assert_null(target);
    assert_ok(nft_dataset_read_tensor(&target, dataset, "one", 0, NFT_ALL));
    assert_int_equal(nft_array_count(target), 1);
    nft_array_free(target);
    nft_dataset_free(dataset);
}

static void tensors_that_do_not_fit_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        piece pieces[3];
        size_t count;
        const char *message;
    } cases[] = {
        {{{"conv.weight", 3, {3, 2, 3}, false}, {"bn.wieght", 1, {3}, false}, {"s", 0, {0}, false}},
         3,
         "tensor 'bn.weight' (c) of the space is not there; did you mean 'bn.wieght'?"},
        {{{"conv.weight", 3, {3, 2, 4}, false}, {"bn.weight", 1, {3}, false}, {"s", 0, {0}, false}},
         3,
         "tensor 'conv.weight' has shape (3, 2, 4), expected (3, 2, 3): it is (c, in, 3) of one network"},
        {{{"conv.weight", 2, {3, 6}, false}, {"bn.weight", 1, {3}, false}, {"s", 0, {0}, false}},
         3,
         "tensor 'conv.weight' has shape (3, 6), expected (3, 2, 3); or N before that"},
        {{{"conv.weight", 4, {5, 3, 2, 3}, false}, {"bn.weight", 1, {3}, false}, {"s", 1, {5}, false}},
         3,
         "tensor 'bn.weight' has shape (3), expected (5, 3): it is (c) behind N networks"},
        {{{"conv.weight", 4, {5, 3, 2, 3}, false}, {"bn.weight", 2, {4, 3}, false}, {"s", 1, {5}, false}},
         3,
         "tensor 'bn.weight' has shape (4, 3), expected (5, 3)"},
        {{{"conv.weight", 5, {5, 2, 3, 2, 3}, false},
          {"bn.weight", 3, {5, 1, 3}, false},
          {"s", 2, {5, 2}, false}},
         3,
         "tensor 'bn.weight' has shape (5, 1, 3), expected (5, 2, 3): it is (c) behind N networks and C "
         "channels"},
        {{{"conv.weight", 3, {3, 2, 3}, false}, {"bn.weight", 1, {3}, true}, {"s", 0, {0}, false}},
         3,
         "tensor 'bn.weight' is I64, expected F32"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        nft_weights *set = NULL;
        nft_dataset *dataset = NULL;
        const char *path = write_pieces(cases[i].pieces, cases[i].count, SMALL);
        expect(nft_weights_load(&set, path, NULL), NFT_ERROR_FORMAT, cases[i].message);
        expect(nft_dataset_open(&dataset, path, NULL), NFT_ERROR_FORMAT, cases[i].message);
        assert_null(set);
        assert_null(dataset);
    }
}

static void parts_that_do_not_cover_the_tensor_are_refused(void **state)
{
    (void)state;
    const piece pieces[] = {{"w", 2, {6, 2}, false}};
    nft_weights *set = NULL;
    expect(
        nft_weights_load(&set,
                         write_pieces(pieces, 1,
                                      "{'axes': [{'name': 'i', 'size': 2, 'symmetry': 'none'}, {'name': 'a', "
                                      "'size': 3}, {'name': 'b', 'size': 2}], 'tensors': [{'name': 'q', "
                                      "'shape': ['a', 'i'], 'from': 'w', 'slice': [0, 0, 3]}, {'name': 'k', "
                                      "'shape': ['b', 'i'], 'from': 'w', 'slice': [0, 3, 2]}]}"),
                         NULL),
        NFT_ERROR_FORMAT, "tensor 'w' has shape (6, 2), expected (5, 2): its parts are like (a, i)");
    assert_null(set);
}

static void a_space_that_is_none_is_refused(void **state)
{
    (void)state;
    const piece pieces[] = {{"w", 2, {6, 2}, false}};
    nft_weights *set = NULL;
    expect(nft_weights_load(&set, write_pieces(pieces, 1, "{'axes': "), NULL), NFT_ERROR_FORMAT,
           "'nft.space' of its metadata");
    expect(nft_weights_load(&set,
                            write_pieces(pieces, 1,
                                         "{'axes': [], 'tensors': [{'name': 'w', 'shape': "
                                         "['a', 'b']}]}"),
                            NULL),
           NFT_ERROR_FORMAT, "'nft.space' of its metadata");
    assert_null(set);
}

/* ---- chains ---- */

static void chains_keep_the_names_and_the_order_of_their_layers(void **state)
{
    (void)state;
    const piece pieces[] = {{"b.weight", 2, {3, 3}, false},
                            {"b.bias", 1, {3}, false},
                            {"a.weight", 2, {3, 3}, false},
                            {"net.9.weight", 2, {3, 2}, false}};
    const char *const by_hand[] = {"net.9", "b", "a"}, *path = write_pieces(pieces, COUNT(pieces), NULL);
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    nft_weights *set = NULL, *back = NULL;
    options.layers = by_hand;
    options.layer_count = 3;
    assert_ok(nft_weights_load(&set, path, &options));
    for (int64_t t = 0; t < 6; t++)
        for (int64_t k = 0; k < nft_weights_data_count(set, t); k++)
            nft_weights_edit(set, t)[k] = (float)(10 * t + k);
    assert_ok(nft_weights_save(set, temporary_path("saved")));
    assert_ok(nft_weights_load(&back, temporary_path("saved"), NULL));
    same_sets(set, back);
    assert_string_equal(nft_weights_tensor_name(back, 4), "a.weight");
    nft_weights_free(set);
    nft_weights_free(back);
}

static void chains_in_natural_order_stay_chains(void **state)
{
    (void)state;
    const piece pieces[] = {{"net.2.weight", 3, {5, 3, 2}, false}, {"net.10.weight", 3, {5, 1, 3}, false}};
    nft_weights *set = NULL, *back = NULL;
    assert_ok(nft_weights_load(&set, write_pieces(pieces, 2, NULL), NULL));
    assert_ok(nft_weights_save(set, temporary_path("saved")));
    assert_ok(nft_weights_load(&back, temporary_path("saved"), NULL));
    same_sets(set, back);
    assert_int_equal(nft_space_describe(nft_weights_space(back))->layer_count, 2);
    assert_string_equal(nft_weights_tensor_name(back, 3), "net.10.bias");
    nft_weights_free(set);
    nft_weights_free(back);
}

static void the_first_layer_may_have_positions_that_its_space_tells(void **state)
{
    (void)state;
    nft_space *space = parse_space("{'layers': [{'type': 'linear', 'in': 2, 'out': 3, 'positions': 4}, "
                                   "{'type': 'linear', 'in': 3, 'out': 1}]}");
    nft_weights *set = numbered_set(space, 2, 1), *back = NULL;
    assert_ok(nft_weights_save(set, temporary_path("saved")));
    assert_ok(nft_weights_load(&back, temporary_path("saved"), NULL));
    same_sets(set, back);
    nft_weights_free(set);
    nft_weights_free(back);
    nft_space_free(space);
}

static void positions_behind_a_linear_layer_are_refused(void **state)
{
    (void)state;
    const piece pieces[] = {{"fc1.weight", 2, {4, 2}, false}, {"fc2.weight", 2, {1, 8}, false}};
    nft_weights *set = NULL;
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    expect(
        nft_weights_load(&set, write_pieces(pieces, 2, NULL), NULL), NFT_ERROR_FORMAT,
        "layer 'fc2' takes 8 inputs, but 'fc1' before it gives 4 outputs and is no conv2d, whose map could "
        "be flattened: this is no chain of layers; describe it by a space of tensors and axes in "
        "nft_load_options.space");
    assert_null(set);
    nft_space *space = parse_space(
        "{'axes': [{'name': 'i', 'size': 2, 'symmetry': 'none'}, {'name': 'h', 'size': 4}, {'name': 'o', "
        "'size': 1, 'symmetry': 'none'}], 'tensors': [{'name': 'fc1.weight', 'shape': ['h', 'i']}, {'name': "
        "'fc2.weight', 'shape': ['o', [2, 'h']]}]}");
    options.space = space;
    assert_ok(nft_weights_load(&set, write_pieces(pieces, 2, NULL), &options));
    nft_weights_free(set);
    nft_space_free(space);
}

static void a_chain_that_is_not_the_given_space_is_refused(void **state)
{
    (void)state;
    const piece pieces[] = {{"x.weight", 2, {4, 2}, false}, {"y.weight", 2, {1, 4}, false}};
    nft_weights *set = NULL;
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    nft_space *three = SUPPORT_MLP(2, 4, 4, 1), *other = SUPPORT_MLP(2, 5, 1), *same = SUPPORT_MLP(2, 4, 1);
    options.space = three;
    expect(nft_weights_load(&set, write_pieces(pieces, 2, NULL), &options), NFT_ERROR_FORMAT,
           "there are 2 layers NAME.weight, but the space has 3");
    options.space = other;
    expect(nft_weights_load(&set, write_pieces(pieces, 2, NULL), &options), NFT_ERROR_FORMAT,
           "tensor 'x.weight' has shape (4, 2), expected (5, 2)");
    options.space = same;
    assert_ok(nft_weights_load(&set, write_pieces(pieces, 2, NULL), &options));
    assert_string_equal(nft_weights_tensor_name(set, 2), "y.weight");
    nft_weights_free(set);
    nft_space_free(three);
    nft_space_free(other);
    nft_space_free(same);
}

static nft_status load_and_save(void)
{
    nft_weights *set = NULL;
    nft_status status = nft_weights_load(&set, temporary_path("f"), NULL);
    if (!status)
        status = nft_weights_save(set, temporary_path("g"));
    nft_weights_free(set);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    nft_space *space = parse_space(NETWORK);
    nft_weights *set = numbered_set(space, 2, 1);
    assert_ok(nft_weights_set_metadata(set, "nft.omega", "30"));
    assert_ok(nft_weights_save(set, temporary_path("f")));
    nft_weights_free(set);
    nft_space_free(space);
    assert_in_range(fail_every_allocation(load_and_save), 60, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks_and_features_are_read_as_they_were_saved),
        cmocka_unit_test(slices_are_joined_in_the_file),
        cmocka_unit_test(long_slices_are_read),
        cmocka_unit_test(metadata_travel_from_load_to_save),
        cmocka_unit_test(the_space_of_the_options_finds_tensors_by_name),
        cmocka_unit_test(a_target_has_a_row_for_each_network),
        cmocka_unit_test(tensors_that_do_not_fit_are_refused_by_name),
        cmocka_unit_test(parts_that_do_not_cover_the_tensor_are_refused),
        cmocka_unit_test(a_space_that_is_none_is_refused),
        cmocka_unit_test(chains_keep_the_names_and_the_order_of_their_layers),
        cmocka_unit_test(chains_in_natural_order_stay_chains),
        cmocka_unit_test(the_first_layer_may_have_positions_that_its_space_tells),
        cmocka_unit_test(positions_behind_a_linear_layer_are_refused),
        cmocka_unit_test(a_chain_that_is_not_the_given_space_is_refused),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("weights files of any space", tests, temporary_open, temporary_close);
}
