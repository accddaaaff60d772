/* Indexes: data sets whose parts are files of several spaces. */
#define _XOPEN_SOURCE 700
#include "unit/temporary.h"

#include "nft/train.h"
#include "unit/mixed_zoo.h"

#include <sys/resource.h>

static void wrong_indexes_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        nft_status status;
        const char *message;
    } cases[] = {
        {"{'format_version': 2, 'parts': []}", NFT_ERROR_FORMAT, "wrong.json: index: 'format_version' is 2"},
        {"{'format_version': 1, 'parts': []}", NFT_ERROR_FORMAT, "'parts' is an empty list"},
        {"{'format_version': 1, 'parts': 3}", NFT_ERROR_FORMAT, "'parts' is not a list"},
        {"{'format_version': 1}", NFT_ERROR_FORMAT, "wrong.json: index: "},
        {"{'parts': []}", NFT_ERROR_FORMAT, "'format_version' is missing"},
        {"{'weight_map': {}}", NFT_ERROR_FORMAT, "wrong.json: "},
        {"{'format_version': 1, 'parts': [3]}", NFT_ERROR_FORMAT, "wrong.json: parts[0]"},
        {"{'format_version': 1, 'parts': [{'file': 'zoo-0.safetensors', 'count': 5}, {'file': "
         "'zoo-1.safetensors'}]}",
         NFT_ERROR_FORMAT, "wrong.json: parts[1]: 'count' is missing"},
        {"{'format_version': 1, 'parts': [{'file': 'zoo-0.safetensors', 'count': 5, 'weight': 1}]}",
         NFT_ERROR_FORMAT, "parts[0]: unknown option 'weight'"},
        {"{'format_version': 1, 'parts': [{'file': 'zoo-0.safetensors', 'count': 5}, {'file': "
         "'zoo-1.safetensors', 'count': 12}]}",
         NFT_ERROR_FORMAT, "zoo-1.safetensors: has 11 networks, the index says 12"},
        {"{'format_version': 1, 'parts': [{'file': 'absent.safetensors', 'count': 12}]}", NFT_ERROR_FILE,
         "absent.safetensors: cannot open"},
        {"{'format_version': 1, 'parts': [{'file': 'zoo', 'count': 12}]}", NFT_ERROR_FORMAT, "parts[0]: "},
        {"{'format_version': 1, 'parts': [", NFT_ERROR_FORMAT, "wrong.json: JSON, line 1"},
    };
    zoo z = open_zoo("zoo", 10);
    for (size_t i = 0; i < COUNT(cases); i++) {
        nft_dataset *dataset = NULL;
        const char *path = temporary_path("wrong.json");
        write_text(path, cases[i].text);
        expect(nft_dataset_open(&dataset, path, NULL), cases[i].status, cases[i].message);
        assert_null(dataset);
    }
    close_zoo(&z);
}

static void parts_are_described(void **state)
{
    (void)state;
    zoo z = open_zoo("zoo", 10);
    nft_dataset *dataset = NULL;
    nft_dataset_part part = NFT_DATASET_PART_INIT;
    assert_ok(nft_dataset_open(&dataset, z.index, NULL));
    assert_int_equal(nft_dataset_describe(dataset)->count, 20);
    assert_int_equal(nft_dataset_describe(dataset)->part_count, SPACES);
    assert_null(nft_dataset_describe(dataset)->space);
    assert_ok(nft_dataset_get_part(&part, dataset, 2));
    assert_int_equal(part.first, 16);
    assert_int_equal(part.count, 4);
    assert_true(nft_space_equal(part.space, nft_weights_space(z.sets[2])));
    assert_non_null(strstr(part.path, "zoo-2.safetensors"));
    assert_int_equal(nft_dataset_get_part(&part, dataset, 3), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_dataset_get_part(&part, dataset, -1), NFT_ERROR_ARGUMENT);
    part.size = 8;
    assert_int_equal(nft_dataset_get_part(&part, dataset, 0), NFT_ERROR_ARGUMENT);
    /* samples 16 and 19 are networks 0 and 3 of the last part, whose tensors are cut from one of the file */
    nft_weights *read = NULL;
    assert_ok(nft_weights_create(&read, nft_weights_space(z.sets[2]), 2, 1, NULL));
    assert_ok(nft_dataset_read(read, dataset, (const int64_t[]){19, 16}, 2));
    for (int64_t t = 0; t < 3; t++) {
        int64_t row = nft_weights_data_count(read, t) / 2;
        support_identical("the first", row, nft_weights_data(read, t),
                          nft_weights_data(z.sets[2], t) + 3 * row);
        support_identical("the second", row, nft_weights_data(read, t) + row, nft_weights_data(z.sets[2], t));
    }
    expect(nft_dataset_read(read, dataset, (const int64_t[]){16, 15}, 2), NFT_ERROR_MISMATCH, "sample 15");
    nft_weights_free(read);
    nft_dataset_free(dataset);
    close_zoo(&z);
}

/* Networks of 2-3-1 with a row of integers and one of floats for each; `from` is the first integer. */
static nft_weights *save_part(const char *name, int64_t count, int64_t channels, int64_t from)
{
    nft_space *space = SUPPORT_MLP(2, 3, 1);
    nft_weights *set = support_weights(space, count, channels, (uint64_t)from);
    nft_array *classes = NULL, *pairs = NULL;
    int64_t integers[16], shape[] = {count, 2};
    float floats[32];
    for (int64_t i = 0; i < 2 * count; i++) {
        integers[i / 2] = from + i / 2;
        floats[i] = (float)(2 * from + i);
    }
    assert_ok(nft_array_create(&classes, NFT_ARRAY_I64, shape, 1, integers));
    assert_ok(nft_array_create(&pairs, NFT_ARRAY_F32, shape, 2, floats));
    assert_ok(nft_weights_set_extra(set, "class", classes));
    assert_ok(nft_weights_set_extra(set, "pair", pairs));
    assert_ok(nft_weights_save(set, temporary_path(name)));
    nft_array_free(classes);
    nft_array_free(pairs);
    nft_space_free(space);
    return set;
}

static void parts_follow_each_other(void **state)
{
    (void)state;
    nft_weights *sets[] = {save_part("one", 5, 2, 0), save_part("two", 4, 2, 5)}, *read = NULL;
    nft_dataset *dataset = NULL;
    nft_array *classes = NULL, *pairs = NULL;
    char text[600], *absolute = realpath(temporary_path("two"), NULL);
    assert_non_null(absolute);
    snprintf(text, sizeof text,
             "{'format_version': 1, 'parts': [{'file': 'one', 'count': 5}, {'file': '%s', 'count': 4}]}",
             absolute);
    free(absolute);
    write_text(temporary_path("index"), text);
    assert_ok(nft_dataset_open(&dataset, temporary_path("index"), NULL));
    assert_ok(nft_dataset_read_tensor(&classes, dataset, "class", 0, NFT_ALL));
    assert_ok(nft_dataset_read_tensor(&pairs, dataset, "pair", 0, NFT_ALL));
    for (int64_t i = 0; i < 9; i++) {
        assert_int_equal(nft_array_i64(classes)[i], i);
        assert_true(nft_array_f32(pairs)[2 * i] == (float)(2 * i));
        assert_true(nft_array_f32(pairs)[2 * i + 1] == (float)(2 * i + 1));
    }
    /* networks of two channels, from the end of one part to the beginning of the next */
    assert_ok(nft_weights_create(&read, nft_weights_space(sets[0]), 4, 2, NULL));
    assert_ok(nft_dataset_read(read, dataset, (const int64_t[]){3, 4, 5, 6}, 4));
    for (int64_t t = 0; t < 4; t++) {
        int64_t row = nft_weights_data_count(read, t) / 4;
        support_identical("the first part", 2 * row, nft_weights_data(read, t),
                          nft_weights_data(sets[0], t) + 3 * row);
        support_identical("the second part", 2 * row, nft_weights_data(read, t) + 2 * row,
                          nft_weights_data(sets[1], t));
    }
    nft_array_free(classes);
    nft_array_free(pairs);
    nft_weights_free(read);
    nft_weights_free(sets[0]);
    nft_weights_free(sets[1]);
    nft_dataset_free(dataset);
}

static void parts_of_other_channels_are_refused(void **state)
{
    (void)state;
    nft_weights *sets[] = {save_part("one", 5, 2, 0), save_part("three", 4, 3, 5)};
    nft_dataset *dataset = NULL;
    write_text(
        temporary_path("index"),
        "{'format_version': 1, 'parts': [{'file': 'one', 'count': 5}, {'file': 'three', 'count': 4}]}");
    expect(nft_dataset_open(&dataset, temporary_path("index"), NULL), NFT_ERROR_FORMAT,
           "three: has 3 channels, the parts before it have 2");
    assert_null(dataset);
    nft_weights_free(sets[0]);
    nft_weights_free(sets[1]);
}

/* One structure, but another name and so another role: models of any space must see both. */
static void equal_spaces_of_other_names_stay_apart(void **state)
{
    (void)state;
    static const char *const names[] = {"norm.gain", "norm.bias"};
    nft_dataset *dataset = NULL;
    nft_dataset_part part = NFT_DATASET_PART_INIT;
    for (uint64_t i = 0; i < 2; i++) {
        char text[160];
        snprintf(text, sizeof text,
                 "{'axes': [{'name': 'a', 'size': 3}], 'tensors': [{'name': '%s', 'shape': ['a']}]}",
                 names[i]);
        nft_space *space = parse_space(text);
        nft_weights *set = support_weights(space, 2, 1, i);
        assert_ok(nft_weights_save(set, temporary_path(names[i])));
        nft_weights_free(set);
        nft_space_free(space);
    }
    write_text(temporary_path("index"), "{'format_version': 1, 'parts': [{'file': 'norm.gain', 'count': 2}, "
                                        "{'file': 'norm.bias', 'count': 2}]}");
    assert_ok(nft_dataset_open(&dataset, temporary_path("index"), NULL));
    assert_null(nft_dataset_describe(dataset)->space);
    for (int64_t i = 0; i < 2; i++) {
        nft_space_tensor tensor = {.size = sizeof tensor};
        assert_ok(nft_dataset_get_part(&part, dataset, i));
        assert_ok(nft_space_get_tensor(&tensor, part.space, 0));
        assert_string_equal(tensor.name, names[i]);
        assert_int_equal(tensor.role, i ? NFT_ROLE_BIAS : NFT_ROLE_GAIN);
    }
    nft_dataset_free(dataset);
}

/* More parts than the process may have files. */
#define PARTS 120
static void few_files_are_open_at_a_time(void **state)
{
    (void)state;
    nft_space *space = SUPPORT_MLP(2, 3, 1);
    nft_weights *sets[PARTS], *one = NULL;
    nft_dataset *dataset = NULL;
    struct rlimit before, few;
    char *text = support_allocate(PARTS * 80), part[80];
    strcpy(text, "{'format_version': 1, 'parts': [");
    for (int i = 0; i < PARTS; i++) {
        char name[32];
        sets[i] = support_weights(space, 2, 1, (uint64_t)i);
        snprintf(name, sizeof name, "part-%d", i);
        assert_ok(nft_weights_save(sets[i], temporary_path(name)));
        snprintf(part, sizeof part, "%s{'file': '%s', 'count': 2}", i ? ", " : "", name);
        strcat(text, part);
    }
    strcat(text, "]}");
    write_text(temporary_path("index"), text);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 90;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_ok(nft_dataset_open(&dataset, temporary_path("index"), NULL));
    assert_true(nft_space_equal(nft_dataset_describe(dataset)->space, space));
    assert_ok(nft_weights_create(&one, space, 1, 1, NULL));
    for (int round = 0; round < 2; round++)
        for (int64_t i = 0; i < 2 * PARTS; i++) {
            int64_t sample = i * 7 % (2 * PARTS);
            assert_ok(nft_dataset_read(one, dataset, &sample, 1));
            support_identical("a network", 6, nft_weights_data(one, 0),
                              nft_weights_data(sets[sample / 2], 0) + 6 * (sample % 2));
        }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    /* a part that was closed and is another file now */
    assert_ok(nft_weights_permute_random(sets[0], 1, 0));
    nft_weights *other = support_weights(space, 5, 1, 1);
    int64_t index = 2 * PARTS - 1;
    for (int i = PARTS - 1; i > PARTS - 3; i--) {
        char name[32];
        snprintf(name, sizeof name, "part-%d", i);
        assert_ok(nft_weights_save(other, temporary_path(name)));
    }
    for (int64_t i = 0; i < 2 * (PARTS - 2); i++)
        assert_ok(nft_dataset_read(one, dataset, &i, 1));
    expect(nft_dataset_read(one, dataset, &index, 1), NFT_ERROR_FORMAT, "is not as it was");
    nft_weights_free(other);
    nft_weights_free(one);
    for (int i = 0; i < PARTS; i++)
        nft_weights_free(sets[i]);
    nft_dataset_free(dataset);
    nft_space_free(space);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_indexes_are_refused_by_name),
        cmocka_unit_test(parts_are_described),
        cmocka_unit_test(parts_follow_each_other),
        cmocka_unit_test(parts_of_other_channels_are_refused),
        cmocka_unit_test(equal_spaces_of_other_names_stay_apart),
        cmocka_unit_test(few_files_are_open_at_a_time),
    };
    return cmocka_run_group_tests_name("indexes", tests, temporary_open, temporary_close);
}
