/* Indexes: data sets whose parts are files of several spaces. */
#define _XOPEN_SOURCE 700
#include "unit/temporary.h"

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
    assert_int_equal(nft_dataset_count(dataset), 20);
    assert_int_equal(nft_dataset_part_count(dataset), SPACES);
    assert_null(nft_dataset_space(dataset));
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
    assert_ok(nft_weights_create(&read, nft_weights_space(z.sets[2]), 2, 1));
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
    assert_true(nft_space_equal(nft_dataset_space(dataset), space));
    assert_ok(nft_weights_create(&one, space, 1, 1));
    for (int round = 0; round < 2; round++)
        for (int64_t i = 0; i < 2 * PARTS; i++) {
            int64_t sample = i * 7 % (2 * PARTS);
            assert_ok(nft_dataset_read(one, dataset, &sample, 1));
            support_identical("a network", 6, nft_weights_data(one, 0),
                              nft_weights_data(sets[sample / 2], 0) + 6 * (sample % 2));
        }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    /* a part that was closed and is another file now */
    assert_ok(nft_weights_permute_random(sets[0], 1));
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
        cmocka_unit_test(few_files_are_open_at_a_time),
    };
    return cmocka_run_group_tests_name("indexes", tests, temporary_open, temporary_close);
}
