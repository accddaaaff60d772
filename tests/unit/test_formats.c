/* Files as other libraries write them (tests/data/formats), each opened by its path and in memory. */
#define _XOPEN_SOURCE 700
#include "io/file.h"
#include "io/formats/format.h"
#include "space/array.h"

#include "unit/failing_allocator.h"
#include "unit/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "unit/checks.h"

#define DATA NFT_TEST_DATA "/formats/"

static unsigned char contents[1 << 16];

static size_t load(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, DATA "%s", name);
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    size_t size = fread(contents, 1, sizeof contents, stream);
    fclose(stream);
    assert_in_range(size, 1, sizeof contents - 1);
    return size;
}

static nft_file *open_path(const char *name)
{
    char path[512];
    nft_file *file;
    snprintf(path, sizeof path, DATA "%s", name);
    assert_ok(nft_file_open(&file, path, NULL));
    return file;
}

/* The bytes stay valid until the next load. */
static nft_file *open_memory(const char *name)
{
    nft_file *file;
    size_t size = load(name);
    assert_ok(nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size)));
    return file;
}

static nft_file *open_either(const char *name, int in_memory)
{
    return in_memory ? open_memory(name) : open_path(name);
}

static double number_at(const nft_array *array, int64_t index)
{
    const float *floats = nft_array_f32(array);
    return floats ? (double)floats[index] : (double)nft_array_i64(array)[index];
}

/* The shape as text, and every number, at once and in pieces of one. */
static void check_tensor(const nft_file *file, const char *name, const char *shape, const double *numbers,
                         int64_t count)
{
    nft_array *array;
    char found[64];
    const nft_entry *entry = nft_file_find(file, name);
    if (!entry)
        fail_msg("%s: there is no tensor '%s'", file->path, name);
    nft_shape_describe(entry->shape, entry->rank, found, sizeof found);
    assert_string_equal(found, shape);
    assert_ok(nft_file_read(&array, file, name, 0, NFT_ALL));
    assert_int_equal(nft_array_count(array), count);
    for (int64_t i = 0; i < count; i++) {
        float value = 0;
        int64_t integer = 0;
        if (number_at(array, i) != numbers[i])
            fail_msg("%s: tensor '%s': number %d is %g, expected %g", file->path, name, (int)i,
                     number_at(array, i), numbers[i]);
        if (nft_type_is_float(entry->type))
            assert_ok(nft_file_read_f32(file, entry, i, 1, &value));
        else
            assert_ok(nft_file_read_i64(file, entry, i, 1, &integer));
        assert_true((double)value + (double)integer == numbers[i]);
    }
    nft_array_free(array);
}

/* 0, 1, 2, … */
static void check_counting(const nft_file *file, const char *name, const char *shape, int64_t count)
{
    double numbers[512];
    for (int i = 0; i < 512; i++)
        numbers[i] = i;
    assert_in_range(count, 0, 512);
    check_tensor(file, name, shape, numbers, count);
}

static void check_left_out(const nft_file *file, const char *name, const char *reason)
{
    const char *found = nft_file_why_left_out(file, name);
    assert_null(nft_file_find(file, name));
    assert_string_equal(found ? found : "", reason);
}

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

/* A zip archive of one stored part, with the directory at its end. */
static size_t make_archive(const char *name, const char *bytes, size_t size)
{
    unsigned char *at = contents;
    size_t length = strlen(name);
    unsigned char head[30] = {'P', 'K', 3, 4}, entry[46] = {'P', 'K', 1, 2}, end[22] = {'P', 'K', 5, 6};
    head[18] = head[22] = entry[20] = entry[24] = (unsigned char)size;
    head[26] = entry[28] = (unsigned char)length;
    end[8] = end[10] = 1;
    end[12] = (unsigned char)(46 + length);
    end[16] = (unsigned char)(30 + length + size);
    const struct {
        const void *bytes;
        size_t size;
    } pieces[] = {{head, 30}, {name, length}, {bytes, size}, {entry, 46}, {name, length}, {end, 22}};
    for (size_t i = 0; i < COUNT(pieces); i++) {
        memcpy(at, pieces[i].bytes, pieces[i].size);
        at += pieces[i].size;
    }
    return (size_t)(at - contents);
}

static void put32(unsigned char *at, uint64_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

/* The same with every size and place in the 64-bit records, as writers of archives beyond 4 GiB leave them.
 */
static size_t make_archive64(const char *name, const char *bytes, size_t size)
{
    size_t length = strlen(name), data = 30 + length + size, entry = 46 + length + 28;
    unsigned char *at = contents, *directory = contents + data, *end64 = directory + entry;
    memset(contents, 0, data + entry + 56 + 20 + 22);
    memcpy(at, "PK\3\4", 4);
    at[26] = (unsigned char)length;
    memcpy(at + 30, name, length);
    memcpy(at + 30 + length, bytes, size);
    memcpy(directory, "PK\1\2", 4);
    put32(directory + 20, UINT32_MAX);
    put32(directory + 24, UINT32_MAX);
    directory[28] = (unsigned char)length;
    directory[30] = 28;
    put32(directory + 42, UINT32_MAX);
    memcpy(directory + 46, name, length);
    unsigned char *extra = directory + 46 + length;
    extra[0] = 1;
    extra[2] = 24; /* the size, the packed size and the place of the header, which is 0 */
    put32(extra + 4, size);
    put32(extra + 12, size);
    memcpy(end64, "PK\6\6", 4);
    end64[32] = 1;
    put32(end64 + 40, entry);
    put32(end64 + 48, data);
    memcpy(end64 + 56, "PK\6\7", 4);
    put32(end64 + 56 + 8, data + entry);
    memcpy(end64 + 76, "PK\5\6", 4);
    memset(end64 + 76 + 8, 255, 12);
    return data + entry + 98;
}

static void archives_with_64_bit_records(void **state)
{
    (void)state;
    static const char pickle[] = "\x80\2}X\1\0\0\0aK\7s.";
    nft_file *file;
    size_t size = make_archive64("a/data.pkl", pickle, sizeof pickle - 1);
    assert_ok(nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size)));
    assert_int_equal(nft_file_scalar(file, "a")->integer, 7);
    nft_file_free(file);
    contents[30 + 10 + sizeof pickle - 1 + 46 + 10 + 4] = 255; /* the size in the extra field */
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size)), NFT_ERROR_FORMAT);
}

/* A machine's own order of bytes is in the archive: the same bytes, read the other way round. */
static void big_endian_storages(void **state)
{
    (void)state;
    nft_file *file;
    size_t size = load("state-2.pt");
    const char name[] = "byteorder";
    int changed = 0;
    for (size_t i = 0; i + 64 < size; i++) {
        if (!memcmp(contents + i, "little", 6)) {
            memcpy(contents + i, "big", 3);
            changed++;
        }
        for (size_t k = 46; k < 80 && i > 80 && !memcmp(contents + i, name, strlen(name)); k++)
            if (!memcmp(contents + i - k, "PK\1\2", 4)) {
                put32(contents + i - k + 20, 3);
                put32(contents + i - k + 24, 3);
                changed++;
            }
    }
    assert_int_equal(changed, 2);
    assert_ok(nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size)));
    float values[6];
    assert_ok(nft_file_read_f32(file, nft_file_find(file, "0.weight"), 0, 6, values));
    for (int i = 0; i < 6; i++) {
        float value = (float)i;
        unsigned char expected[4], found[4];
        memcpy(expected, &value, 4);
        memcpy(found, &values[i], 4);
        for (int k = 0; k < 4; k++)
            assert_int_equal(found[k], expected[3 - k]);
    }
    nft_file_free(file);
}

/* Pickles that no writer makes. */
static void wrong_pickles_are_refused(void **state)
{
    (void)state;
#define PICKLE(text, message)                                                                                \
    {                                                                                                        \
        text, sizeof text - 1, message                                                                       \
    }
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } pickles[] = {
        PICKLE("\x80\2}", "the pickle ends at byte 3 and is not complete"),
        PICKLE("\x80\2.", "the pickle is damaged at byte 2"),
        PICKLE("\x80\2h\5.", "the pickle is damaged at byte 3"),
        PICKLE("\x80\2)q\7.", "the pickle is damaged at byte 4"),
        PICKLE("\x80\2(u.", "the pickle is damaged"),
        PICKLE("\x80\2}(K\1u.", "the pickle is damaged"),
        PICKLE("\x80\2)K\1a.", "the pickle is damaged"),
        PICKLE("\x80\2cos\nsystem\nX\2\0\0\0lsR.", "the pickle is damaged"),
        PICKLE("\x80\2i.", "the pickle has opcode 0x69 at byte 2, which is not read"),
        PICKLE("\x80\2X\xff\xff\xff\xff.", "is not complete"),
        PICKLE("\x80\2]q\0h\0a.", "is nested more than 100 deep"),
        PICKLE("\x80\2K\1Q.", "a thing outside of it that is no storage"),
        PICKLE("\x80\2ctorch._utils\n_rebuild_tensor_v2\n)R.",
               "tensor 'tensor': it is rebuilt from no storage"),
        PICKLE("\x80\2ctorch._utils\n_rebuild_tensor_v2\n(("
               "X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000tQK\0))tR.",
               "tensor 'tensor': its storage '0' is not in the archive"),
    };
    for (size_t i = 0; i < COUNT(pickles); i++) {
        nft_file *file;
        size_t size = make_archive("a/data.pkl", pickles[i].bytes, pickles[i].size);
        nft_status status = nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size));
        if (status == NFT_OK)
            fail_msg("pickle %d was read, expected \"%s\"", (int)i, pickles[i].message);
        assert_message(pickles[i].message);
    }
}

/* A name in a pickle is never looked up: the call becomes a hole. */
static void calls_are_not_made(void **state)
{
    (void)state;
    static const char pickle[] = "\x80\2}X\1\0\0\0acos\nsystem\nX\7\0\0\0touch x\x85Rs.";
    nft_file *file;
    size_t size = make_archive("a/data.pkl", pickle, sizeof pickle - 1);
    assert_ok(nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size)));
    assert_int_equal(nft_file_tensor_count(file), 0);
    check_left_out(file, "a", "it is of the class os.system");
    nft_file_free(file);
}

/* Each dictionary holds the one before twice: the names double with every line. */
static void names_have_a_limit(void **state)
{
    (void)state;
    char pickle[256] = "\x80\2}q";
    size_t length = 4;
    pickle[length++] = 0;
    memcpy(pickle + length, "K\1K\1s", 5);
    length += 5;
    for (int i = 1; i <= 16; i++) {
        const char line[] = {'(', 'K', 0, 'h', (char)(i - 1), 'K', 1, 'h', (char)(i - 1), 'd', 'q', (char)i};
        memcpy(pickle + length, line, sizeof line);
        length += sizeof line;
    }
    pickle[length++] = '.';
    assert_in_range(length, 1, sizeof pickle);
    nft_file *file;
    size_t size = make_archive("a/data.pkl", pickle, length);
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size)), NFT_ERROR_LIMIT);
    assert_message("the names of its values take more memory than its size allows");
}

static void other_archives_are_named(void **state)
{
    (void)state;
    nft_file *file;
    size_t size = make_archive("net.safetensors", "abc", 3);
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size)), NFT_ERROR_FORMAT);
    assert_message("it is a zip archive of 1 files, neither PyTorch's nor NumPy's");
    size = make_archive("model.weights.h5", "abc", 3);
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size)), NFT_ERROR_FORMAT);
    assert_message("it is a Keras archive");
    size = make_archive("a.npy", "abc", 3);
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(contents, size)), NFT_ERROR_FORMAT);
    assert_message("'a.npy' in the archive: it is no array of NumPy's versions 1 to 3");
}

static void wrong_arrays_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header, *message;
    } arrays[] = {
        {"", "the array's header is not the dictionary"},
        {"{}", "the array's header is not the dictionary"},
        {"{'descr': '<f4', 'fortran_order': False}", "the array's header is not the dictionary"},
        {"{'descr': '<f4', 'fortran_order': maybe, 'shape': (1,)}",
         "header is not the dictionary that NumPy writes, at 'maybe"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'shape': (1,)}",
         "header is not the dictionary"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "header is not the dictionary"},
        {"{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}", "at '__import__('os')"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
         "shape (2) of F32 needs 8 bytes, but its data has 4"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 9)}", "is not possible"},
    };
    for (size_t i = 0; i < COUNT(arrays); i++) {
        char bytes[128] = "\x93NUMPY\1";
        size_t length = strlen(arrays[i].header);
        nft_file *file;
        bytes[8] = (char)length;
        memcpy(bytes + 10, arrays[i].header, length);
        assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(bytes, 10 + length + 4)),
                         NFT_ERROR_FORMAT);
        assert_message(arrays[i].message);
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
        cmocka_unit_test(archives_with_64_bit_records),
        cmocka_unit_test(big_endian_storages),
        cmocka_unit_test(wrong_pickles_are_refused),
        cmocka_unit_test(calls_are_not_made),
        cmocka_unit_test(names_have_a_limit),
        cmocka_unit_test(other_archives_are_named),
        cmocka_unit_test(wrong_arrays_are_refused),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
