/* Archives, pickles and arrays that no writer makes, or makes only for very large files. */
#define _XOPEN_SOURCE 700
#include "nft/file.h"
#include "unit/format_files.h"

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
        cmocka_unit_test(archives_with_64_bit_records), cmocka_unit_test(big_endian_storages),
        cmocka_unit_test(wrong_pickles_are_refused),    cmocka_unit_test(calls_are_not_made),
        cmocka_unit_test(names_have_a_limit),           cmocka_unit_test(other_archives_are_named),
        cmocka_unit_test(wrong_arrays_are_refused),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
