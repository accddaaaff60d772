/* Safetensors files: those that are read and those that are refused. */
#define _XOPEN_SOURCE 700
#include "io/convert.h"
#include "config/json.h"
#include "io/file.h"
#include "space/array.h"

#include "unit/failing_allocator.h"
#include "unit/temporary.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "nft/file.h"
#include "unit/checks.h"

static nft_status open_bytes(nft_file **file, const char *header, const void *data, size_t size, void **bytes)
{
    size_t total;
    *bytes = safetensors_bytes(header, data, size, &total);
    return nft_file_open(file, NULL, NFT_LOAD_BYTES(*bytes, total));
}

static void names_in_natural_order(void **state)
{
    (void)state;
    const char *const sorted[] = {"",
                                  "0",
                                  "00",
                                  "2",
                                  "10",
                                  "10.a",
                                  "A",
                                  "a",
                                  "a01",
                                  "a1",
                                  "a1b",
                                  "a2",
                                  "a10",
                                  "a18446744073709551616",
                                  "a18446744073709551617",
                                  "a.1",
                                  "ab",
                                  "net2",
                                  "net.2",
                                  "net.10",
                                  "\xc3\xa9"};
    for (size_t i = 0; i < COUNT(sorted); i++)
        for (size_t j = 0; j < COUNT(sorted); j++) {
            int order = nft_compare_names(sorted[i], sorted[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    assert_true(nft_compare_names("net.2.weight", "net.10.weight") < 0);
    assert_true(nft_compare_names("net2", "net.1") < 0);
    assert_true(nft_compare_names("a007", "a8") < 0);
}

static void shapes_for_messages(void **state)
{
    (void)state;
    const int64_t shape[] = {300, 16, 1, 3, 3};
    char text[64], tiny[8];
    nft_shape_describe(shape, 5, text, sizeof text);
    assert_string_equal(text, "(300, 16, 1, 3, 3)");
    nft_shape_describe(shape, 0, text, sizeof text);
    assert_string_equal(text, "()");
    nft_shape_describe(shape, 5, tiny, sizeof tiny);
    assert_string_equal(tiny, "(300, 1");
    assert_int_equal(nft_shape_count((const int64_t[]){INT64_MAX, 2}, 2), INT64_MAX);
    assert_int_equal(nft_shape_count((const int64_t[]){INT64_MAX, 2, 0}, 3), 0);
    assert_int_equal(nft_shape_count(shape, 0), 1);
}

static void half_precision_is_exact(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 65536; half++) {
        const uint8_t bytes[2] = {(uint8_t)(half & 255), (uint8_t)(half >> 8)};
        int exponent = (int)(half >> 10 & 31), fraction = (int)(half & 1023);
        double magnitude = exponent == 0    ? ldexp(fraction, -24)
                           : exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
                                            : ldexp(1024 + fraction, exponent - 25);
        float value;
        nft_convert_to_f32(NFT_TYPE_F16, bytes, 1, &value);
        if (isnan(magnitude))
            assert_true(isnan(value));
        else
            assert_true((double)value == (half >> 15 ? -magnitude : magnitude));
        assert_int_equal(!!signbit(value), half >> 15);
    }
}

static void other_types_are_exact(void **state)
{
    (void)state;
    float floats[5];
    const uint8_t brain[] = {0x80, 0x3f, 0x01, 0x00, 0x80, 0xff, 0xc0, 0x7f, 0x00, 0x80};
    nft_convert_to_f32(NFT_TYPE_BF16, brain, 5, floats);
    assert_true(floats[0] == 1.0f && floats[1] == ldexpf(1.0f, -133) && floats[2] == -INFINITY &&
                isnan(floats[3]));
    assert_true(floats[4] == 0.0f && signbit(floats[4]));

    const double doubles[] = {1.0 + ldexp(1, -24) + ldexp(1, -40), ldexp(1, -149), -1e300, (double)NAN, 0.1};
    uint8_t bytes[40];
    nft_convert_to_bytes(doubles, 8, 5, bytes);
    nft_convert_to_f32(NFT_TYPE_F64, bytes, 5, floats);
    assert_true(floats[0] == 1.0f + FLT_EPSILON && floats[1] == ldexpf(1, -149) && floats[2] == -INFINITY);
    assert_true(isnan(floats[3]) && floats[4] == 0.1f);

    int64_t integers[3];
    const uint8_t small[] = {0, 127, 255};
    nft_convert_to_i64(NFT_TYPE_U8, small, 3, integers);
    assert_true(integers[0] == 0 && integers[1] == 127 && integers[2] == 255);
    const uint8_t medium[] = {255, 255, 255, 255, 0, 0, 0, 128};
    nft_convert_to_i64(NFT_TYPE_I32, medium, 2, integers);
    assert_true(integers[0] == -1 && integers[1] == INT32_MIN);
    const int64_t large[] = {INT64_MIN, -2, INT64_MAX};
    nft_convert_to_bytes(large, 8, 3, bytes);
    nft_convert_to_i64(NFT_TYPE_I64, bytes, 3, integers);
    assert_memory_equal(integers, large, sizeof large);
    const float one[] = {1.0f};
    nft_convert_to_bytes(one, 4, 1, bytes);
    assert_memory_equal(bytes, ((const uint8_t[]){0, 0, 0x80, 0x3f}), 4);
    nft_convert_to_f32(NFT_TYPE_F32, bytes, 1, floats);
    assert_true(floats[0] == 1.0f);
}

/* Headers that must be refused, with the bytes of data that follow. */
static const struct {
    const char *header;
    size_t data;
    const char *message;
} wrong_files[] = {
    {"", 0, "memory: the header is not a safetensors header: JSON"},
    {"[]", 0, "not a JSON object"},
    {"3", 0, "not a JSON object"},
    {"{", 0, "JSON, line 1"},
    {"{}x", 0, "JSON, line 1"},
    {"{}", 1, "1 bytes after the last tensor belong to no tensor"},
    {"{\"a\":3}", 0, "tensor 'a': its description is not a JSON object"},
    {"{\"a\":{}}", 0, "tensor 'a': dtype is not a text"},
    {"{\"a\":{\"dtype\":\"C64\",\"shape\":[],\"data_offsets\":[0,8]}}", 9,
     "1 bytes after the last tensor belong to no tensor"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "shape is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "shape[0] is not a size"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1.0],\"data_offsets\":[0,4]}}", 4, "shape[1] is not a size"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
     "has 9 axes, expected at most 8"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets is not a pair"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "data_offsets is not a pair"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4.0]}}", 4, "data_offsets is not a pair"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 4, "the file holds 4 bytes of data"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "data_offsets are [4, 0]"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "data_offsets are [-4, 0]"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
     "data_offsets span 4 bytes, but shape (2) of F32 needs 8"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4,4611686018427387904],\"data_offsets\":[0,0]}"
     "}",
     0, "data_offsets span 0 bytes, but shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,99999999999999999999]}}", 4,
     "JSON, line 1"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
     3, "tensors 'a' and 'b' overlap at byte 1"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[3,4]}}",
     4, "1 bytes of data before tensor 'b' belong to no tensor"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2,
     "1 bytes of data before tensor 'a'"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
     1, "duplicate"},
    {"{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "JSON, line 1"},
    {"{\"\xff\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "JSON"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ is not a JSON object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__: 'a' is not a text"},
};

static void wrong_headers_are_refused(void **state)
{
    (void)state;
    const char zeros[16] = {0};
    for (size_t i = 0; i < COUNT(wrong_files); i++) {
        nft_file *file = (nft_file *)zeros;
        void *bytes;
        assert_int_equal(open_bytes(&file, wrong_files[i].header, zeros, wrong_files[i].data, &bytes),
                         NFT_ERROR_FORMAT);
        assert_null(file);
        assert_message(wrong_files[i].message);
        assert_null(strchr(nft_error_message(), '\n'));
        free(bytes);
    }
}

static void wrong_lengths_are_refused(void **state)
{
    (void)state;
    nft_file *file;
    uint8_t bytes[16] = {255, 255, 255, 255, 255, 255, 255, 255, '{', '}'};
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(bytes, 10)), NFT_ERROR_FORMAT);
    assert_message("its header would be 18446744073709551615 bytes long, expected at most 100000000");
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES("{\"format_version\": 1}", 21)),
                     NFT_ERROR_FORMAT);
    assert_message("looks like JSON");
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES("\x89PNG\r\n\x1a\n a picture", 18)),
                     NFT_ERROR_FORMAT);
    assert_message("looks like a PNG image");
    assert_int_equal(
        nft_file_open(&file, NULL, NFT_LOAD_BYTES("\0\0\x08\x03\0\0\0\x01\0\0\0\x01\0\0\0\x01x", 17)),
        NFT_ERROR_FORMAT);
    assert_message("it is an IDX file of images; 'nftool fit' makes networks of it");
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES("\0\0\x08\x01\0\0\0\x01x", 9)),
                     NFT_ERROR_FORMAT);
    assert_message("it is an IDX file of labels");
    nft_convert_to_bytes(&(uint64_t){100000000}, 8, 1, bytes);
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(bytes, 10)), NFT_ERROR_FORMAT);
    assert_message("the header is 100000000 bytes long, but only 2 follow");
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(bytes, 7)), NFT_ERROR_FORMAT);
    assert_message("memory: 7 bytes are too few");
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(bytes, 0)), NFT_ERROR_FORMAT);
    assert_message("the file is empty");
}

static void deep_json_is_refused(void **state)
{
    (void)state;
    size_t depth = 100000, size;
    char *header = calloc(depth + 1, 1);
    assert_non_null(header);
    memset(header, '[', depth);
    unsigned char *bytes = safetensors_bytes(header, NULL, 0, &size);
    nft_file *file;
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(bytes, size)), NFT_ERROR_FORMAT);
    assert_message("nested 100000 deep");
    free(bytes);
    free(header);
}

static const char good_header[] =
    "{\"__metadata__\":{\"nft.config\":\"{\\\"a\\\": \xc3\xa9}\",\"empty\":\"\"},"
    "\"t.10\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[6,14]},"
    "\"t.9\":{\"dtype\":\"F16\",\"shape\":[3,1],\"data_offsets\":[0,6]},"
    "\"none\":{\"dtype\":\"F64\",\"shape\":[0,5],\"data_offsets\":[6,6]},"
    "\"one\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[14,18],\"later\":\"versions\"}}   ";
static const uint8_t good_data[18] = {0,   0x3c, 1, 0, 0, 0xfc, 255, 255,  255,
                                      255, 2,    0, 0, 0, 0,    0,   0x20, 0x41};

static void check_good_file(const nft_file *file)
{
    const char *const names[] = {"none", "one", "t.9", "t.10"}, *const types[] = {"F64", "F32", "F16", "I32"};
    const int64_t ranks[] = {2, 0, 2, 1}, counts[] = {0, 1, 3, 2};
    assert_int_equal(nft_file_tensor_count(file), 4);
    for (int64_t i = 0; i < 4; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        assert_ok(nft_file_tensor(&info, file, i));
        assert_string_equal(info.name, names[i]);
        assert_string_equal(info.type, types[i]);
        assert_int_equal(info.rank, ranks[i]);
        assert_int_equal(info.count, counts[i]);
        assert_null(info.data);
    }
    assert_string_equal(nft_file_metadata(file, "nft.config"), "{\"a\": \xc3\xa9}");
    assert_string_equal(nft_file_metadata(file, "empty"), "");
    assert_null(nft_file_metadata(file, "absent"));

    nft_array *array;
    assert_ok(nft_file_read(&array, file, "t.9", 0, NFT_ALL));
    const float *floats = nft_array_f32(array);
    assert_true(floats[0] == 1.0f && floats[1] == ldexpf(1, -24) && floats[2] == -INFINITY);
    assert_null(nft_array_i64(array));
    assert_int_equal(nft_array_rank(array), 2);
    assert_int_equal(nft_array_size(array, 0), 3);
    assert_int_equal(nft_array_size(array, 2), 0);
    nft_array_free(array);
    assert_ok(nft_file_read(&array, file, "t.9", 1, 2));
    assert_true(nft_array_f32(array)[0] == ldexpf(1, -24) && nft_array_f32(array)[1] == -INFINITY);
    assert_int_equal(nft_array_size(array, 0), 2);
    assert_int_equal(nft_array_size(array, 1), 1);
    nft_array_free(array);
    assert_int_equal(nft_file_read(&array, file, "t.9", 2, 2), NFT_ERROR_ARGUMENT);
    assert_message("2 rows from row 2 of tensor 't.9' were asked for, it has 3");
    assert_int_equal(nft_file_read(&array, file, "t.9", 1, -2), NFT_ERROR_ARGUMENT);
    assert_message("-2 rows from row 1");
    assert_int_equal(nft_file_read(&array, file, "t.9", 4, NFT_ALL), NFT_ERROR_ARGUMENT);
    assert_ok(nft_file_read(&array, file, "t.9", 1, NFT_ALL));
    assert_int_equal(nft_array_size(array, 0), 2);
    nft_array_free(array);
    assert_int_equal(nft_file_read(&array, file, "one", 0, 1), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_read(&array, file, "one", 0, 0), NFT_ERROR_ARGUMENT);
    assert_message("is a single number and has no rows");
    assert_ok(nft_file_read(&array, file, "t.10", 0, NFT_ALL));
    assert_true(nft_array_i64(array)[0] == -1 && nft_array_i64(array)[1] == 2);
    nft_array_free(array);
    assert_ok(nft_file_read(&array, file, "one", 0, NFT_ALL));
    assert_true(nft_array_f32(array)[0] == 10.0f);
    assert_int_equal(nft_array_count(array), 1);
    nft_array_free(array);
    assert_ok(nft_file_read(&array, file, "none", 0, NFT_ALL));
    assert_int_equal(nft_array_count(array), 0);
    nft_array_free(array);
    assert_int_equal(nft_file_read(&array, file, "t.1", 0, NFT_ALL), NFT_ERROR_ARGUMENT);
    assert_message("there is no tensor 't.1'");
    assert_null(array);
}

static void good_bytes_are_read(void **state)
{
    (void)state;
    nft_file *file;
    void *bytes;
    assert_ok(open_bytes(&file, good_header, good_data, sizeof good_data, &bytes));
    check_good_file(file);
    float part;
    assert_ok(nft_file_read_f32(file, nft_file_find(file, "t.9"), 1, 1, &part));
    assert_true(part == ldexpf(1, -24));
    assert_int_equal(nft_file_read_f32(file, nft_file_find(file, "t.9"), 2, 2, &part), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_read_f32(file, nft_file_find(file, "t.9"), -1, 1, &part), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_read_f32(file, nft_file_find(file, "t.10"), 0, 1, &part), NFT_ERROR_FORMAT);
    assert_message("tensor 't.10' is I32, expected F32");
    int64_t integer;
    assert_int_equal(nft_file_read_i64(file, nft_file_find(file, "t.9"), 0, 1, &integer), NFT_ERROR_FORMAT);
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    assert_int_equal(nft_file_tensor(&info, file, 4), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_tensor(&info, file, -1), NFT_ERROR_ARGUMENT);
    info.size = 8;
    assert_int_equal(nft_file_tensor(&info, file, 0), NFT_ERROR_ARGUMENT);
    nft_file_free(file);
    free(bytes);
    nft_file_free(NULL);
}

/* Integers of all sizes become int64_t, small floats float. */
static void types_of_few_bytes(void **state)
{
    (void)state;
    static const char header[] = "{\"a\":{\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[0,4]},"
                                 "\"b\":{\"dtype\":\"U16\",\"shape\":[1],\"data_offsets\":[4,6]},"
                                 "\"c\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[6,7]},"
                                 "\"d\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[7,8]},"
                                 "\"e\":{\"dtype\":\"U32\",\"shape\":[1],\"data_offsets\":[8,12]},"
                                 "\"f\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[12,16]},"
                                 "\"g\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[16,24]},"
                                 "\"h\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[24,32]}}";
    const uint8_t data[32] = {1,    0,    0xfe, 0xff, 0xfe, 0xff, 0xfd, 1, 0xff, 0xff, 0xff,
                              0xff, 0x38, 0xb8, 0x7e, 0x01, 7,    0,    0, 0,    0,    0,
                              0,    0,    0,    0,    0,    0,    0,    0, 0,    128};
    const int64_t expected[] = {1, 65534, -3, 1, 4294967295, 0, 7};
    const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
    nft_file *file;
    nft_array *array = NULL;
    void *bytes;
    assert_ok(open_bytes(&file, header, data, sizeof data, &bytes));
    assert_int_equal(nft_file_tensor_count(file), 8);
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_ok(nft_file_read(&array, file, names[i], 0, NFT_ALL));
        const float *floats = nft_array_f32(array);
        if (floats)
            assert_true(floats[0] == 1.0f && floats[1] == -1.0f && floats[2] == 448.0f &&
                        floats[3] == ldexpf(1, -9));
        else
            assert_true(nft_array_i64(array)[0] == expected[i]);
        nft_array_free(array);
    }
    assert_int_equal(nft_file_read(&array, file, "h", 0, NFT_ALL), NFT_ERROR_FORMAT);
    assert_message("tensor 'h': the value 9223372036854775808 is larger than any I64");
    nft_file_free(file);
    free(bytes);
}

/* Each byte of each type against the definition: sign, exponent, fraction. */
static void bytes_as_floats(void **state)
{
    (void)state;
    static const struct {
        nft_type type;
        int exponent_bits, fraction_bits, bias;
        bool has_infinity, is_unsigned_zero;
    } types[] = {{NFT_TYPE_F8_E4M3, 4, 3, 7, false, false},
                 {NFT_TYPE_F8_E5M2, 5, 2, 15, true, false},
                 {NFT_TYPE_F8_E4M3FNUZ, 4, 3, 8, false, true},
                 {NFT_TYPE_F8_E5M2FNUZ, 5, 2, 16, false, true}};
    for (size_t t = 0; t < COUNT(types); t++)
        for (int byte = 0; byte < 256; byte++) {
            const uint8_t bytes[] = {(uint8_t)byte};
            int bits = types[t].fraction_bits, most = (1 << types[t].exponent_bits) - 1;
            int exponent = byte >> bits & most, fraction = byte & ((1 << bits) - 1);
            double value = exponent ? ldexp((1 << bits) + fraction, exponent - types[t].bias - bits)
                                    : ldexp(fraction, 1 - types[t].bias - bits);
            bool is_nan = types[t].is_unsigned_zero ? byte == 0x80
                          : types[t].has_infinity   ? exponent == most && fraction
                                                    : (byte & 0x7f) == 0x7f;
            if (types[t].has_infinity && exponent == most)
                value = (double)INFINITY;
            float found;
            nft_convert_to_f32(types[t].type, bytes, 1, &found);
            assert_int_equal(!!isnan(found), is_nan);
            assert_true(is_nan || (double)found == (byte & 0x80 ? -value : value));
        }
    float powers[3];
    nft_convert_to_f32(NFT_TYPE_F8_E8M0, (const uint8_t[]){0, 127, 255}, 3, powers);
    assert_true(powers[0] == ldexpf(1, -127) && powers[1] == 1.0f && isnan(powers[2]));
}

static void other_types_are_left_out(void **state)
{
    (void)state;
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                                 "\"b\":{\"dtype\":\"C64\",\"shape\":[1],\"data_offsets\":[4,12]},"
                                 "\"c\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[12,14]}}";
    const uint8_t data[14] = {0, 0, 0x80, 0x3f};
    nft_file *file;
    nft_array *array = NULL;
    void *bytes;
    assert_ok(open_bytes(&file, header, data, sizeof data, &bytes));
    assert_int_equal(nft_file_tensor_count(file), 1);
    const char *reason;
    assert_string_equal(nft_file_left_out_at(NULL, file, 0), "b");
    assert_string_equal(nft_file_left_out_at(&reason, file, 1), "c");
    assert_string_equal(reason, "it is F4, quantised numbers");
    assert_null(nft_file_left_out_at(&reason, file, 2));
    assert_null(reason);
    assert_null(nft_file_left_out_at(NULL, file, -1));
    assert_null(nft_file_left_out_at(NULL, NULL, 0));
    assert_string_equal(nft_file_why_left_out(file, "b"), "it is C64, complex numbers");
    assert_string_equal(nft_file_why_left_out(file, "c"), "it is F4, quantised numbers");
    assert_int_equal(nft_file_read(&array, file, "b", 0, NFT_ALL), NFT_ERROR_FORMAT);
    assert_message("tensor 'b' is not read: it is C64, complex numbers");
    assert_ok(nft_file_read(&array, file, "a", 0, NFT_ALL));
    assert_true(nft_array_f32(array)[0] == 1.0f);
    nft_array_free(array);
    nft_file_free(file);
    free(bytes);
}

/* Each is called by its name, whatever its file is called. */
static void other_files_are_named(void **state)
{
    (void)state;
    static char tar[512];
    memcpy(tar + 257, "ustar", 5);
    tar[0] = 'n';
    static const char zeros[4096];
    const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } files[] = {
        {"GGUF\3\0\0\0\0\0", 10, "it is a GGUF file"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:0", 56, "Git LFS pointer"},
        {"\n <!DOCTYPE HTML><html>", 23, "it is a web page"},
        {"\xfd\x37zXZ\0\0\4", 8, "unpack it with `unxz`"},
        {"\x28\xb5\x2f\xfd\4\0\0\0\0", 9, "packed by zstd"},
        {"BZh91AY&SY", 10, "packed by bzip2"},
        {tar, sizeof tar, "it is a tar archive"},
        {"path,test_acc,epoch\n1,2,3\n", 26, "a table of text"},
        {"\x80\4\x95\x10\0\0\0\0\0\0\0}.", 13, "it is a plain pickle"},
        {zeros, sizeof zeros, "it begins with zeros"},
        {"PK\7\10PK\3\4\24\0\0\0", 12, "join them with `zip -s 0 NAME.zip --out whole.zip`"},
    };
    for (size_t i = 0; i < COUNT(files); i++) {
        nft_file *file;
        assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(files[i].bytes, files[i].size)),
                         NFT_ERROR_FORMAT);
        assert_message(files[i].message);
    }
}

/* Parts of archives have no beginning of their own, or that of the whole. */
static void parts_of_archives_are_named(void **state)
{
    (void)state;
    static const char packed[] = "\x1f\x8b\x08\0\0\0\0\0\0\3 and so on",
                      middle[] = "\x93\x01\xfe\x88\xc3\x91 and so on";
    const struct {
        const char *name, *bytes, *message;
    } files[] = {
        {"zoo.tar.gz.aa", packed, "join them with `cat zoo.tar.gz.* >zoo.tar.gz`"},
        {"zoo.tar.gz.ab", middle, "join them with `cat zoo.tar.gz.* >zoo.tar.gz`"},
        {"zoo.zip.002", middle, "join them with `cat zoo.zip.* >zoo.zip`"},
        {"zoo.z01", middle, "by its name it is one of several parts of a zip archive"},
        {"zoo.zip", middle, "by its name it is one of several parts of a zip archive"},
        {"zoo.aa", middle, "not a file of tensors that libnft knows"},
        {"zoo.gz.abc", middle, "not a file of tensors that libnft knows"},
    };
    for (size_t i = 0; i < COUNT(files); i++) {
        const char *path = temporary_path(files[i].name);
        nft_file *file;
        temporary_write(path, files[i].bytes, sizeof middle);
        assert_int_equal(nft_file_open(&file, path, NULL), NFT_ERROR_FORMAT);
        assert_message(files[i].message);
        remove(path);
    }
}

static void good_file_is_read(void **state)
{
    (void)state;
    size_t size;
    unsigned char *bytes = safetensors_bytes(good_header, good_data, sizeof good_data, &size);
    const char *path = temporary_path("good.safetensors");
    temporary_write(path, bytes, size);
    nft_file *file;
    assert_ok(nft_file_open(&file, path, NULL));
    check_good_file(file);
    assert_int_equal(truncate(path, (off_t)size - 1), 0);
    nft_array *array;
    assert_int_equal(nft_file_read(&array, file, "one", 0, NFT_ALL), NFT_ERROR_FORMAT);
    assert_message("good.safetensors: tensor 'one': the file ends at byte");
    assert_null(array);
    nft_file_free(file);
    free(bytes);
    remove(path);
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    size_t size;
    unsigned char *bytes = safetensors_bytes(good_header, good_data, sizeof good_data, &size);
    for (size_t cut = 0; cut < size; cut++) {
        unsigned char *prefix = malloc(cut ? cut : 1); /* so that a sanitizer sees a byte too many */
        assert_non_null(prefix);
        memcpy(prefix, bytes, cut);
        nft_file *file;
        assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(prefix, cut)), NFT_ERROR_FORMAT);
        free(prefix);
    }
    free(bytes);
}

/* More than one piece of the buffer through which other types are read. */
static void long_tensors_are_converted(void **state)
{
    (void)state;
    enum { N = 20001 };
    static uint8_t data[2 * N];
    for (int i = 0; i < N; i++) {
        data[2 * i] = (uint8_t)(i & 255);
        data[2 * i + 1] = (uint8_t)(i >> 8 & 127);
    }
    char header[128];
    snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"BF16\",\"shape\":[%d],\"data_offsets\":[0,%d]}}", N,
             2 * N);
    size_t size;
    unsigned char *bytes = safetensors_bytes(header, data, sizeof data, &size);
    const char *path = temporary_path("long.safetensors");
    temporary_write(path, bytes, size);
    nft_file *file;
    nft_array *array;
    assert_ok(nft_file_open(&file, path, NULL));
    assert_ok(nft_file_read(&array, file, "x", 0, NFT_ALL));
    for (uint32_t i = 0; i < N; i++) {
        uint32_t bits;
        memcpy(&bits, nft_array_f32(array) + i, 4);
        assert_int_equal(bits, (i & 0x7fff) << 16);
    }
    nft_array_free(array);
    nft_file_free(file);
    free(bytes);
    remove(path);
}

static void only_regular_files_are_opened(void **state)
{
    (void)state;
    nft_file *file;
    assert_int_equal(nft_file_open(&file, temporary_path("absent"), NULL), NFT_ERROR_FILE);
    assert_message("absent: cannot open: No such file");
    assert_int_equal(nft_file_open(&file, temporary_folder, NULL), NFT_ERROR_FILE);
    assert_message("is a folder");
    const char *pipe = temporary_path("pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(nft_file_open(&file, pipe, NULL), NFT_ERROR_FILE);
    assert_message("not a regular file");
    remove(pipe);
    assert_int_equal(nft_file_open(&file, NULL, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_open(NULL, "x", NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_open(&file, NULL, NFT_LOAD_BYTES(NULL, 8)), NFT_ERROR_ARGUMENT);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_in_natural_order),
        cmocka_unit_test(shapes_for_messages),
        cmocka_unit_test(half_precision_is_exact),
        cmocka_unit_test(other_types_are_exact),
        cmocka_unit_test(wrong_headers_are_refused),
        cmocka_unit_test(wrong_lengths_are_refused),
        cmocka_unit_test(deep_json_is_refused),
        cmocka_unit_test(good_bytes_are_read),
        cmocka_unit_test(types_of_few_bytes),
        cmocka_unit_test(bytes_as_floats),
        cmocka_unit_test(other_types_are_left_out),
        cmocka_unit_test(other_files_are_named),
        cmocka_unit_test(parts_of_archives_are_named),
        cmocka_unit_test(good_file_is_read),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(long_tensors_are_converted),
        cmocka_unit_test(only_regular_files_are_opened),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
