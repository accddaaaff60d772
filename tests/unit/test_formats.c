/* Files as other libraries write them, each opened by its path and in memory. */
#define _XOPEN_SOURCE 700
#include "nft/file.h"
#include "unit/failing_allocator.h"
#include "unit/format_files.h"

static void state_dicts(void **state)
{
    (void)state;
    static const char *const files[] = {"state-1.pt",     "state-2.pt",     "module-1.pt", "module-2.pt",
                                        "protocol4-1.pt", "protocol4-2.pt", "script-1.pt"};
    for (size_t i = 0; i < 2 * COUNT(files); i++) {
        nft_file *file = open_either(files[i / 2], i % 2);
        assert_int_equal(nft_file_tensor_count(file), 4);
        check_counting(file, "0.weight", "(2, 3)", 6);
        check_counting(file, "0.bias", "(2)", 2);
        check_counting(file, "2.weight", "(1, 2)", 2);
        check_counting(file, "2.bias", "(1)", 1);
        assert_int_equal(nft_file_find(file, "0.weight")->position, 0); /* a module's own order */
        assert_int_equal(nft_file_find(file, "0.bias")->position, 1);
        assert_int_equal(nft_file_find(file, "2.weight")->position, 2);
        assert_int_equal(file->left_out_count, 0);
        nft_file_free(file);
    }
    for (int i = 1; i <= 2; i++) {
        nft_file *file = open_path(i == 1 ? "parameter-1.pt" : "parameter-2.pt");
        check_counting(file, "p", "(2)", 2);
        nft_file_free(file);
        file = open_path(i == 1 ? "tensor-1.pt" : "tensor-2.pt");
        check_counting(file, "tensor", "(2, 3)", 6);
        nft_file_free(file);
    }
}

/* Numbers and texts next to tensors are kept by their dotted names; a class that is not known is a hole. */
static void checkpoints(void **state)
{
    (void)state;
    static const char *const files[] = {"checkpoint-1.pt", "checkpoint-2.pt", "checkpoint-1-stream.pth",
                                        "checkpoint-2-stream.pth"};
    static const struct {
        const char *name;
        int kind;
        double value;
    } scalars[] = {{"epoch", NFT_SCALAR_INTEGER, 3},     {"accuracy", NFT_SCALAR_REAL, 0.75},
                   {"score", NFT_SCALAR_REAL, 0.5},      {"label", NFT_SCALAR_INTEGER, 7},
                   {"augmented", NFT_SCALAR_BOOLEAN, 1}, {"last_result.test/acc", NFT_SCALAR_REAL, 0.25},
                   {"history.0", NFT_SCALAR_INTEGER, 1}, {"history.2", NFT_SCALAR_INTEGER, 3}};
    for (size_t i = 0; i < 2 * COUNT(files); i++) {
        nft_file *file = open_either(files[i / 2], i % 2);
        assert_int_equal(nft_file_tensor_count(file), 4);
        check_counting(file, "state_dict.0.weight", "(2, 3)", 6);
        check_counting(file, "state_dict.2.bias", "(1)", 1);
        for (size_t k = 0; k < COUNT(scalars); k++) {
            const nft_scalar *scalar = nft_file_scalar(file, scalars[k].name);
            assert_non_null(scalar);
            assert_int_equal(scalar->kind, scalars[k].kind);
            assert_true(scalar->real == scalars[k].value);
            assert_null(scalar->text);
        }
        assert_string_equal(nft_file_scalar(file, "arch")->text, "mlp");
        assert_null(nft_file_scalar(file, "none"));
        assert_int_equal(file->scalar_count, COUNT(scalars) + 2);
        assert_int_equal(file->left_out_count, 1);
        check_left_out(file, "args", "it is of the class argparse.Namespace");
        nft_file_free(file);
    }
}

/* Tensors that are parts of a storage, with strides. */
static void views(void **state)
{
    (void)state;
    static const char *const files[] = {"views-1.pt", "views-2.pt", "views-1-stream.pth",
                                        "views-2-stream.pth"};
    for (size_t i = 0; i < 2 * COUNT(files); i++) {
        nft_file *file = open_either(files[i / 2], i % 2);
        double permuted[24];
        for (int a = 0; a < 4; a++)
            for (int b = 0; b < 6; b++)
                permuted[a * 6 + b] = b * 4 + a;
        check_counting(file, "whole", "(2, 3, 4)", 24);
        check_tensor(file, "permuted", "(4, 2, 3)", permuted, 24);
        check_tensor(file, "slice", "(2, 2)", (const double[]){16, 18, 20, 22}, 4);
        check_tensor(file, "expanded", "(2, 3)", (const double[]){0, 1, 2, 0, 1, 2}, 6);
        check_tensor(file, "tail", "(4)", (const double[]){20, 21, 22, 23}, 4);
        check_tensor(file, "scalar", "()", (const double[]){2.5}, 1);
        check_tensor(file, "empty", "(0, 3)", NULL, 0);
        assert_int_equal(nft_file_tensor_count(file), 7);
        nft_file_free(file);
    }
}

static void types_of_torch(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int count;
    } files[] = {
        {"types-1.pt", 10}, {"types-2.pt", 18}, {"types-1-stream.pth", 10}, {"types-2-stream.pth", 13}};
    static const char *const types[][2] = {{"float32", "F32"},
                                           {"float64", "F64"},
                                           {"float16", "F16"},
                                           {"bfloat16", "BF16"},
                                           {"int64", "I64"},
                                           {"int32", "I32"},
                                           {"int16", "I16"},
                                           {"int8", "I8"},
                                           {"uint8", "U8"},
                                           {"uint16", "U16"},
                                           {"uint32", "U32"},
                                           {"uint64", "U64"},
                                           {"float8_e4m3fn", "F8_E4M3"},
                                           {"float8_e5m2", "F8_E5M2"},
                                           {"float8_e4m3fnuz", "F8_E4M3FNUZ"},
                                           {"float8_e5m2fnuz", "F8_E5M2FNUZ"}};
    for (size_t i = 0; i < COUNT(files); i++) {
        nft_file *file = open_path(files[i].file);
        assert_int_equal(nft_file_tensor_count(file), files[i].count);
        for (size_t k = 0; k < COUNT(types); k++) {
            const nft_entry *entry = nft_file_find(file, types[k][0]);
            if (!entry && files[i].count < 18)
                continue;
            assert_non_null(entry);
            assert_string_equal(nft_type_name(entry->type), types[k][1]);
            check_counting(file, types[k][0], "(4)", 4);
        }
        check_tensor(file, "bool", "(4)", (const double[]){0, 1, 1, 1}, 4);
        if (nft_file_find(file, "float8_e8m0fnu"))
            check_tensor(file, "float8_e8m0fnu", "(3)", (const double[]){1, 2, 4}, 3);
        check_left_out(file, "complex", "its elements are complex numbers");
        check_left_out(file, "sparse", "it is a sparse tensor");
        check_left_out(file, "quantised", "it is a quantised tensor");
        assert_int_equal(file->left_out_count, 3);
        nft_file_free(file);
    }
}

static void numpy_arrays(void **state)
{
    (void)state;
    static const char *const files[] = {"version1.npy",          "version2.npy", "version3.npy",
                                        "version1.npy.gz",       "fortran.npy",  "big-endian.npy",
                                        "fortran-big-endian.npy"};
    for (size_t i = 0; i < 2 * COUNT(files); i++) {
        nft_file *file = open_either(files[i / 2], i % 2);
        assert_int_equal(nft_file_tensor_count(file), 1);
        check_counting(file, "tensor", "(2, 3, 4)", 24);
        nft_file_free(file);
    }
}

static void numpy_archives(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        nft_file *file = open_either(i / 2 ? "deflated.npz" : "stored.npz", i % 2);
        assert_int_equal(nft_file_tensor_count(file), 5);
        check_counting(file, "0.weight", "(2, 3, 4)", 24);
        check_counting(file, "half", "(2, 3, 4)", 24);
        check_counting(file, "label", "(3)", 3);
        check_tensor(file, "scalar", "()", (const double[]){2.5}, 1);
        check_tensor(file, "empty", "(0, 3)", NULL, 0);
        check_left_out(file, "complex", "its elements are complex numbers (<c8)");
        check_left_out(file, "texts", "its elements are texts (<U2)");
        check_left_out(file, "fields", "its elements are structures of several fields (a list)");
        check_left_out(file, "long", "its elements are floats of another size (<f16)");
        nft_file_free(file);
    }
}

static void onnx_initializers(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        nft_file *file = open_either("tensors.onnx", i);
        assert_int_equal(nft_file_tensor_count(file), 13);
        check_counting(file, "0.weight", "(2, 3)", 6);
        check_counting(file, "float_data", "(2, 3)", 6);
        check_counting(file, "double_data", "(2, 3)", 6);
        check_tensor(file, "int64_data", "(3)", (const double[]){-1, 2, 0x1p40}, 3);
        check_tensor(file, "int32_data", "(3)", (const double[]){-1, 2, 300}, 3);
        check_tensor(file, "int8", "(3)", (const double[]){-1, 2, 3}, 3);
        check_tensor(file, "uint64", "(2)", (const double[]){1, 2}, 2);
        check_tensor(file, "bool", "(2)", (const double[]){1, 0}, 2);
        check_counting(file, "half", "(2)", 2);
        check_counting(file, "bfloat", "(2)", 2);
        check_counting(file, "float8", "(2)", 2);
        check_tensor(file, "empty", "(0)", NULL, 0);
        check_tensor(file, "scalar", "()", (const double[]){2.5}, 1);
        check_left_out(file, "int4", "it is INT4, quantised numbers");
        check_left_out(file, "complex", "it is COMPLEX64, complex numbers");
        check_left_out(file, "text", "it is STRING");
        nft_file_free(file);
    }
    nft_file *file = open_path("external.onnx");
    check_counting(file, "small", "(2, 3)", 6);
    assert_non_null(strstr(nft_file_why_left_out(file, "0.weight"), "in another file (external data)"));
    nft_file_free(file);
}

static void hdf5_datasets(void **state)
{
    (void)state;
    nft_file *file;
    if (nft_file_open(&file, DATA "datasets.h5", NULL)) {
        assert_message("this libnft was built without HDF5");
        skip();
    }
    nft_file_free(file);
    for (int i = 0; i < 2; i++) {
        file = open_either("datasets.h5", i);
        check_counting(file, "dense/dense/kernel:0", "(2, 3, 4)", 24);
        check_counting(file, "big_endian", "(2, 3, 4)", 24);
        check_counting(file, "packed", "(10, 30)", 300);
        check_counting(file, "half", "(4)", 4);
        check_counting(file, "bool", "(2)", 2);
        check_counting(file, "int16", "(3)", 3);
        check_tensor(file, "scalar", "()", (const double[]){2.5}, 1);
        check_tensor(file, "empty", "(0, 3)", NULL, 0);
        assert_string_equal(nft_file_scalar(file, "param_config")->text, "[[\"kernel\", [2, 3]]]");
        assert_string_equal(nft_file_scalar(file, "fixed")->text, "abc");
        check_left_out(file, "texts", "its elements are texts");
        check_left_out(file, "complex", "its elements are of a type that is not read");
        float part[7];
        assert_ok(nft_file_read_f32(file, nft_file_find(file, "packed"), 28, 7, part));
        assert_true(part[0] == 28 && part[6] == 34);
        nft_file_free(file);
    }
    size_t size = load("datasets.h5");
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size / 2)), NFT_ERROR_FORMAT);
    assert_message("the HDF5 file is damaged; is it cut short?");
}

static void copy_to(const char *name, const char *path)
{
    size_t size = load(name);
    temporary_write(path, contents, size);
}

static void sharded_networks(void **state)
{
    (void)state;
    static const char index[] = "model.safetensors.index.json", first[] = "model-00001-of-00002.safetensors",
                      second[] = "model-00002-of-00002.safetensors";
    nft_file *file = open_path(index);
    assert_int_equal(nft_file_tensor_count(file), 4);
    check_counting(file, "0.weight", "(2, 3)", 6);
    check_counting(file, "0.bias", "(2)", 2);
    check_counting(file, "1.weight", "(2, 3)", 6);
    check_counting(file, "1.bias", "(2)", 2);
    nft_file_free(file);
    size_t size = load(index);
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size)), NFT_ERROR_FORMAT);
    assert_message("can only be read from its folder");

    static const char torch[] = "{\"weight_map\": {\"0.weight\": \"state-1.pt\", \"p\": \"parameter-1.pt\"}}";
    temporary_write(temporary_path("bin.index.json"), torch, strlen(torch));
    copy_to("state-1.pt", temporary_path("state-1.pt"));
    copy_to("parameter-1.pt", temporary_path("parameter-1.pt"));
    assert_ok(nft_file_open(&file, temporary_path("bin.index.json"), NULL));
    assert_int_equal(nft_file_tensor_count(file), 5);
    check_counting(file, "0.weight", "(2, 3)", 6);
    check_counting(file, "p", "(2)", 2);
    nft_file_free(file);
    temporary_entries(1);

    copy_to(index, temporary_path(index));
    copy_to(first, temporary_path(first));
    assert_int_equal(nft_file_open(&file, temporary_path(index), NULL), NFT_ERROR_FILE);
    assert_message("model-00002-of-00002.safetensors: cannot open: No such file");
    copy_to(first, temporary_path(second));
    assert_int_equal(nft_file_open(&file, temporary_path(index), NULL), NFT_ERROR_FORMAT);
    assert_message("tensor '1.weight' is not in model-00002-of-00002.safetensors, where the index has it");
    static const char above[] = "{\"weight_map\": {\"a\": \"../x.safetensors\"}}",
                      itself[] = "{\"weight_map\": {\"a\": \"itself.json\"}}";
    temporary_write(temporary_path(index), above, strlen(above));
    assert_int_equal(nft_file_open(&file, temporary_path(index), NULL), NFT_ERROR_FORMAT);
    assert_message("names the file '../x.safetensors', expected one in its own folder");
    temporary_write(temporary_path("itself.json"), itself, strlen(itself));
    assert_int_equal(nft_file_open(&file, temporary_path("itself.json"), NULL), NFT_ERROR_FORMAT);
    temporary_entries(1);
}

/* No beginning of a file is taken for the whole, and none does harm. */
static void files_that_are_cut_short(void **state)
{
    (void)state;
    static const char *const files[] = {"state-1.pt",      "types-2.pt",  "checkpoint-1-stream.pth",
                                        "deflated.npz",    "stored.npz",  "version1.npy",
                                        "version1.npy.gz", "tensors.onnx"};
    for (size_t i = 0; i < COUNT(files); i++) {
        size_t size = load(files[i]);
        for (size_t cut = 0; cut < size; cut++) {
            nft_file *file = NULL;
            unsigned char *prefix = malloc(cut ? cut : 1); /* so that a sanitizer sees a byte too many */
            assert_non_null(prefix);
            memcpy(prefix, contents, cut);
            nft_status status = nft_file_open(&file, NULL, NFT_LOAD_BYTES(prefix, cut));
            /* Of the stream the last bytes may belong to no tensor, and of a model they may be a field. */
            if (!status && size - cut > 64)
                fail_msg("%s: the first %d bytes were opened", files[i], (int)cut);
            nft_file_free(file);
            free(prefix);
        }
    }
}

/* A few packed bytes may stand for very many. */
static void unpacking_has_a_limit(void **state)
{
    (void)state;
    nft_file *file;
    size_t size = load("version1.npy.gz");
    assert_int_equal(nft_file_open_memory_within(&file, contents, size, 1000), NFT_ERROR_LIMIT);
    assert_message("when they are unpacked, the limit is 1000");
    size = load("deflated.npz");
    assert_int_equal(nft_file_open_memory_within(&file, contents, size, 300), NFT_ERROR_LIMIT);
    size = load("state-1.pt");
    assert_int_equal(nft_file_open_memory_within(&file, contents, size, 100), NFT_ERROR_LIMIT);
}

static const char *allocation_file;

static nft_status open_and_read(void)
{
    char path[512];
    nft_file *file = NULL;
    nft_array *array = NULL;
    snprintf(path, sizeof path, DATA "%s", allocation_file);
    nft_status status = nft_file_open(&file, path, NULL);
    for (int64_t i = 0; !status && i < file->entry_count; i++) {
        status = nft_file_read(&array, file, file->entries[i].name, 0, NFT_ALL);
        nft_array_free(array);
        array = NULL;
    }
    nft_file_free(file);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    static const char *const files[] = {"checkpoint-1.pt", "checkpoint-1-stream.pth",
                                        "deflated.npz",    "version1.npy.gz",
                                        "tensors.onnx",    "model.safetensors.index.json"};
    for (size_t i = 0; i < COUNT(files); i++) {
        allocation_file = files[i];
        assert_in_range(fail_every_allocation(open_and_read), 8, 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_dicts),
        cmocka_unit_test(checkpoints),
        cmocka_unit_test(views),
        cmocka_unit_test(types_of_torch),
        cmocka_unit_test(numpy_arrays),
        cmocka_unit_test(numpy_archives),
        cmocka_unit_test(onnx_initializers),
        cmocka_unit_test(hdf5_datasets),
        cmocka_unit_test(sharded_networks),
        cmocka_unit_test(files_that_are_cut_short),
        cmocka_unit_test(unpacking_has_a_limit),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
