/* Files read and written piece by piece. */
#define _XOPEN_SOURCE 700
#include "unit/temporary.h"

#include "nft/file.h"
#include "nft/train.h"
#include "unit/mixed_zoo.h"
#include "unit/models.h"

static void rows_run_through_the_parts(void **state)
{
    (void)state;
    zoo z = open_zoo("rows", 20);
    nft_dataset *dataset = NULL;
    nft_array *whole = NULL, *rows = NULL;
    assert_ok(nft_dataset_open(&dataset, z.index, NULL));
    assert_ok(nft_dataset_read_tensor(&whole, dataset, "label", 0, NFT_ALL));
    assert_int_equal(nft_array_count(whole), 20);
    assert_ok(nft_dataset_read_tensor(&rows, dataset, "label", 3, 14));
    assert_int_equal(nft_array_size(rows, 0), 14);
    support_identical("rows of three parts", 14, nft_array_f32(rows), nft_array_f32(whole) + 3);
    nft_array_free(rows);
    assert_ok(nft_dataset_read_tensor(&rows, dataset, "label", 20, 0));
    assert_int_equal(nft_array_count(rows), 0);
    nft_array_free(rows);
    expect(nft_dataset_read_tensor(&rows, dataset, "label", 18, 3), NFT_ERROR_ARGUMENT,
           "samples 18 … 20 of 20");
    expect(nft_dataset_read_tensor(&rows, dataset, "other", 0, 1), NFT_ERROR_ARGUMENT, "no tensor 'other'");
    assert_null(rows);
    nft_array_free(whole);
    nft_dataset_free(dataset);
    close_zoo(&z);
}

static void what_travels_with_networks_is_named(void **state)
{
    (void)state;
    zoo z = open_zoo("names", 21);
    nft_dataset *dataset = NULL;
    assert_ok(nft_dataset_open(&dataset, z.index, NULL));
    assert_string_equal(nft_dataset_extra_name(dataset, 0), "label");
    assert_null(nft_dataset_extra_name(dataset, 1));
    assert_null(nft_dataset_extra_name(dataset, -1));
    assert_non_null(strstr(nft_dataset_metadata(dataset, 2, "nft.space"), "in_proj"));
    assert_null(nft_dataset_metadata(dataset, 2, "nft.omega"));
    assert_null(nft_dataset_metadata(dataset, 3, "nft.space"));
    nft_dataset_free(dataset);
    close_zoo(&z);
}

/* The networks of a part, in batches of two, to a file that is like that of nft_weights_save(). */
static void copy_part(const nft_dataset *dataset, int64_t index, nft_file_writer *writer)
{
    nft_dataset_part part = NFT_DATASET_PART_INIT;
    nft_weights *batch = NULL;
    assert_ok(nft_dataset_get_part(&part, dataset, index));
    assert_int_equal(part.channels, 1);
    assert_int_equal(part.tokens, 0);
    assert_ok(nft_dataset_batch(&batch, dataset, index, 2));
    assert_int_equal(nft_weights_count(batch), 2);
    for (int64_t first = (part.count - 1) / 2 * 2; first >= 0; first -= 2) {
        int64_t count = part.count - first < 2 ? part.count - first : 2;
        const int64_t numbers[] = {part.first + first, part.first + first + 1};
        assert_ok(nft_dataset_read(batch, dataset, numbers, count));
        assert_ok(nft_weights_write(writer, batch, first, count));
    }
    nft_weights_free(batch);
}

static void pieces_make_the_file_of_the_whole(void **state)
{
    (void)state;
    zoo z = open_zoo("copy", 22);
    nft_dataset *dataset = NULL;
    assert_ok(nft_dataset_open(&dataset, z.index, NULL));
    for (int i = 0; i < SPACES; i++) {
        char name[64];
        snprintf(name, sizeof name, "copy-%d.safetensors", i);
        nft_file *file = NULL;
        nft_file_writer *writer = NULL;
        nft_tensor_info tensors[16];
        assert_ok(nft_file_open(&file, temporary_path(name), NULL));
        int64_t count = nft_file_tensor_count(file), label = -1;
        for (int64_t t = 0; t < count; t++) {
            tensors[t] = (nft_tensor_info)NFT_TENSOR_INFO_INIT;
            assert_ok(nft_file_tensor(&tensors[t], file, t));
            label = strcmp(tensors[t].name, "label") ? label : t;
        }
        assert_ok(nft_file_writer_create(&writer, temporary_path("again"), tensors, count, NULL));
        nft_array *labels = NULL;
        assert_ok(nft_file_read(&labels, file, "label", 0, NFT_ALL));
        assert_ok(nft_file_writer_write(writer, label, 0, nft_array_f32(labels), counts[i]));
        copy_part(dataset, i, writer);
        assert_ok(nft_file_writer_commit(writer));
        nft_load_options options = NFT_LOAD_OPTIONS_INIT;
        nft_weights *again = NULL;
        options.space = nft_weights_space(z.sets[i]);
        assert_ok(nft_weights_load(&again, temporary_path("again"), &options));
        for (int64_t t = 0; t < nft_space_describe(options.space)->tensor_count; t++)
            support_identical("a tensor", nft_weights_data_count(again, t), nft_weights_data(again, t),
                              nft_weights_data(z.sets[i], t));
        nft_weights_free(again);
        nft_array_free(labels);
        nft_file_free(file);
    }
    nft_dataset_free(dataset);
    close_zoo(&z);
}

static void wrong_pieces_are_refused(void **state)
{
    (void)state;
    zoo z = open_zoo("wrong", 23);
    nft_file_writer *writer = NULL;
    nft_tensor_info tensors[2] = {NFT_TENSOR_INFO_INIT, NFT_TENSOR_INFO_INIT};
    const float numbers[4] = {1, 2, 3, 4};
    tensors[0].name = "0.weight";
    tensors[1].name = "other";
    tensors[0].type = tensors[1].type = "F32";
    tensors[0].rank = tensors[1].rank = 1;
    tensors[0].shape[0] = tensors[1].shape[0] = 4;
    assert_ok(nft_file_writer_create(&writer, temporary_path("pieces"), tensors, 2, NULL));
    assert_int_equal(nft_file_writer_write(writer, 2, 0, numbers, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_writer_write(writer, -1, 0, numbers, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_writer_write(writer, 0, 3, numbers, 2), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_writer_write(writer, 0, -1, numbers, 2), NFT_ERROR_ARGUMENT);
    expect(nft_weights_write(writer, z.sets[0], 0, 2), NFT_ERROR_MISMATCH, "'0.weight' has no rows of 10");
    expect(nft_weights_write(writer, z.sets[1], 0, 2), NFT_ERROR_MISMATCH, "no tensor 'stem.weight'");
    assert_int_equal(nft_weights_write(writer, z.sets[0], 0, 6), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_weights_write(writer, z.sets[0], -1, 1), NFT_ERROR_ARGUMENT);
    assert_ok(nft_file_writer_write(writer, 1, 2, numbers, 2));
    assert_ok(nft_file_writer_write(writer, 0, 0, numbers, 4));
    expect(nft_file_writer_commit(writer), NFT_ERROR_ARGUMENT, "8 bytes fewer");
    close_zoo(&z);
}

static void pieces_are_permuted_as_the_whole(void **state)
{
    (void)state;
    zoo z = open_zoo("permuted", 24);
    for (int i = 0; i < SPACES; i++) {
        char name[64];
        nft_weights *piece = NULL;
        nft_dataset *dataset = NULL;
        snprintf(name, sizeof name, "permuted-%d.safetensors", i);
        assert_ok(nft_dataset_open(&dataset, temporary_path(name), NULL));
        assert_ok(nft_dataset_batch(&piece, dataset, 0, 2));
        assert_ok(nft_dataset_read(piece, dataset, (const int64_t[]){2, 3}, 2));
        assert_ok(nft_weights_permute_random(z.sets[i], 9, 0));
        assert_ok(nft_weights_permute_random(piece, 9, 2));
        for (int64_t t = 0; t < nft_space_describe(nft_weights_space(piece))->tensor_count; t++) {
            int64_t count = nft_weights_data_count(piece, t);
            support_identical("a tensor", count, nft_weights_data(piece, t),
                              nft_weights_data(z.sets[i], t) + count);
        }
        assert_int_equal(nft_weights_permute_random(piece, 9, -1), NFT_ERROR_ARGUMENT);
        nft_weights_free(piece);
        nft_dataset_free(dataset);
    }
    close_zoo(&z);
}

static void batches_have_what_their_part_says(void **state)
{
    (void)state;
    zoo z = open_zoo("batch", 25);
    nft_dataset *dataset = NULL;
    nft_weights *batch = NULL;
    assert_ok(nft_dataset_open(&dataset, z.index, NULL));
    assert_ok(nft_dataset_batch(&batch, dataset, 1, 0));
    assert_int_equal(nft_weights_count(batch), 0);
    assert_string_equal(nft_weights_tensor_name(batch, 1), "bn.weight");
    assert_non_null(strstr(nft_weights_metadata(batch, "nft.space"), "bn.running_var"));
    nft_weights_free(batch);
    assert_int_equal(nft_dataset_batch(&batch, dataset, 3, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_dataset_batch(&batch, dataset, 0, -1), NFT_ERROR_ARGUMENT);
    assert_null(batch);
    nft_dataset_free(dataset);
    close_zoo(&z);
}

static void operations_depend_on_the_space(void **state)
{
    (void)state;
    zoo z = open_zoo("flops", 26);
    nft_model *any = support_model(MIXED, 1),
              *one =
                  support_model(MLP("{'type': 'np_linear', 'out_channels': 4}, {'type': 'hnp_pool'}") "}", 1);
    nft_module_info total = NFT_MODULE_INFO_INIT;
    int64_t small = 0, large = 0, flops = 0;
    assert_ok(nft_context_cost(NULL, &small, any, nft_weights_space(z.sets[2]), NULL));
    assert_ok(nft_context_cost(NULL, &large, any, nft_weights_space(z.sets[1]), NULL));
    assert_true(small > 0 && large > small);
    expect(nft_context_cost(NULL, &flops, any, NULL, NULL), NFT_ERROR_ARGUMENT, "any space");
    assert_int_equal(flops, 0);
    total = *nft_model_describe(one)->output;
    assert_ok(nft_context_cost(NULL, &flops, one, NULL, NULL));
    assert_int_equal(flops, total.flops);
    expect(nft_context_cost(NULL, &flops, one, nft_weights_space(z.sets[1]), NULL), NFT_ERROR_MISMATCH,
           "nft_context_cost");
    nft_model_free(one);
    nft_model_free(any);
    close_zoo(&z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_run_through_the_parts),
        cmocka_unit_test(what_travels_with_networks_is_named),
        cmocka_unit_test(pieces_make_the_file_of_the_whole),
        cmocka_unit_test(wrong_pieces_are_refused),
        cmocka_unit_test(pieces_are_permuted_as_the_whole),
        cmocka_unit_test(batches_have_what_their_part_says),
        cmocka_unit_test(operations_depend_on_the_space),
    };
    return cmocka_run_group_tests_name("pieces", tests, temporary_open, temporary_close);
}
