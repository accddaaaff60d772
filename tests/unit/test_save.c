/* Arrays, and safetensors files as they are written and replaced. */
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
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "nft/file.h"
#include "unit/checks.h"

static nft_status save_two(const char *path, const char *second)
{
    const float floats[] = {0.5f, -0.0f, INFINITY};
    const int64_t integers[] = {INT64_MIN, 7};
    nft_array *arrays[2];
    assert_ok(nft_array_create(&arrays[0], NFT_ARRAY_F32, (const int64_t[]){1, 3}, 2, floats));
    assert_ok(nft_array_borrow(&arrays[1], NFT_ARRAY_I64, (const int64_t[]){2}, 1, integers));
    const char *const names[] = {"q\"\n\\", second};
    nft_status status = nft_array_save(path, names, (const nft_array *const *)arrays, 2, NULL);
    nft_array_free(arrays[0]);
    nft_array_free(arrays[1]);
    return status;
}

static void arrays_are_saved(void **state)
{
    (void)state;
    const char *path = temporary_path("arrays.safetensors");
    mode_t mask = umask(027);
    assert_ok(save_two(path, "label"));
    umask(mask);
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0640);
    static const char expected[] =
        "{\"q\\\"\\n\\\\\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[0,12]},"
        "\"label\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[12,28]}}";
    char bytes[256];
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    size_t size = fread(bytes, 1, sizeof bytes, stream);
    fclose(stream);
    size_t length = (unsigned char)bytes[0];
    assert_int_equal(length % 8, 0);
    assert_true(length >= strlen(expected) && length < strlen(expected) + 8);
    assert_memory_equal(bytes + 8, expected, strlen(expected));
    assert_int_equal(size, 8 + length + 28);

    nft_file *file;
    nft_array *array;
    assert_ok(nft_file_open(&file, path, NULL));
    assert_ok(nft_file_read(&array, file, "q\"\n\\", 0, NFT_ALL));
    assert_true(nft_array_f32(array)[2] == INFINITY && signbit(nft_array_f32(array)[1]));
    nft_array_free(array);
    assert_ok(nft_file_read(&array, file, "label", 0, NFT_ALL));
    assert_true(nft_array_i64(array)[0] == INT64_MIN && nft_array_i64(array)[1] == 7);
    nft_array_free(array);
    nft_file_free(file);
    assert_ok(nft_array_save(path, NULL, NULL, 0, NULL));
    assert_ok(nft_file_open(&file, path, NULL));
    assert_int_equal(nft_file_tensor_count(file), 0);
    nft_file_free(file);
    assert_int_equal(temporary_entries(1), 1);
}

static void permissions_of_the_old_file_stay(void **state)
{
    (void)state;
    static const mode_t modes[] = {0600, 0640, 0666, 0444, 0755};
    const char *path = temporary_path("mode.safetensors");
    for (size_t i = 0; i < COUNT(modes); i++) {
        struct stat about;
        temporary_write(path, "old", 3);
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_ok(save_two(path, "label"));
        assert_int_equal(stat(path, &about), 0);
        assert_int_equal(about.st_mode & 07777, modes[i]);
        assert_true(about.st_size > 3);
        assert_int_equal(remove(path), 0);
    }
}

static void a_link_is_written_through(void **state)
{
    (void)state;
    const char *link = temporary_path("link"), *second = temporary_path("second"),
               *target = temporary_path("target");
    struct stat about;
    assert_int_equal(symlink("second", link), 0);
    assert_int_equal(symlink("target", second), 0);
    for (int i = 0; i < 2; i++) { /* first it leads nowhere, then to a file */
        assert_ok(save_two(link, "label"));
        assert_int_equal(lstat(link, &about), 0);
        assert_true(S_ISLNK(about.st_mode));
        assert_int_equal(lstat(target, &about), 0);
        assert_true(S_ISREG(about.st_mode) && about.st_size > 8);
        assert_int_equal(temporary_entries(0), 3);
    }
    assert_int_equal(remove(second), 0);
    assert_int_equal(symlink("link", second), 0);
    assert_int_equal(save_two(link, "label"), NFT_ERROR_FILE);
    assert_message("link: cannot follow the link: Too many levels");
    temporary_entries(1);
}

/* Renaming would put a file in its place. */
static void a_device_is_written_to(void **state)
{
    (void)state;
    struct stat about;
    assert_ok(save_two("/dev/null", "label"));
    assert_int_equal(stat("/dev/null", &about), 0);
    assert_true(S_ISCHR(about.st_mode));
    assert_int_equal(save_two("/dev/full", "label"), NFT_ERROR_FILE);
    assert_message("/dev/full: cannot write: No space left");
    const char *pipe = temporary_path("pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(save_two(pipe, "label"), NFT_ERROR_FILE);
    assert_message("pipe: cannot write: No such device");
    int reader = open(pipe, O_RDONLY | O_NONBLOCK);
    char bytes[1024];
    assert_ok(save_two(pipe, "label"));
    assert_true(read(reader, bytes, sizeof bytes) > 100);
    close(reader);
    assert_int_equal(stat(pipe, &about), 0);
    assert_true(S_ISFIFO(about.st_mode));
    assert_int_equal(temporary_entries(1), 1);
}

static void wrong_saves_leave_the_old_file(void **state)
{
    (void)state;
    const char *path = temporary_path("kept.safetensors");
    temporary_write(path, "old", 3);
    assert_int_equal(save_two(path, "q\"\n\\"), NFT_ERROR_ARGUMENT);
    assert_message("two tensors are named");
    assert_int_equal(save_two(path, "__metadata__"), NFT_ERROR_ARGUMENT);
    assert_int_equal(save_two(path, "\xff\xfe"), NFT_ERROR_ARGUMENT);
    assert_message("kept.safetensors: name or metadata");
    assert_int_equal(save_two(path, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(save_two(temporary_folder, "label"), NFT_ERROR_FILE);
    assert_message("it is a folder");
    assert_int_equal(save_two(temporary_path("absent/x"), "label"), NFT_ERROR_FILE);
    assert_message("absent/x: cannot write a new file in its folder: No such file");

    struct rlimit limit, before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    for (rlim_t most = 0; most < 160; most += 8) {
        limit = (struct rlimit){most, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        nft_status status = save_two(path, "label");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(status, NFT_ERROR_FILE);
        assert_message("kept.safetensors: cannot write: File too large");
    }
    signal(SIGXFSZ, handler);
    char bytes[8];
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    assert_int_equal(fread(bytes, 1, sizeof bytes, stream), 3);
    fclose(stream);
    assert_int_equal(temporary_entries(1), 1);
}

static void writer_keeps_its_word(void **state)
{
    (void)state;
    const char *path = temporary_path("w.safetensors");
    const nft_output outputs[] = {{"a", NFT_TYPE_F32, 1, (const int64_t[]){2}}, {"b", NFT_TYPE_I64, 0, NULL}};
    const char *const metadata[] = {"k\x01", "v\xc3\xa9", "e", "", NULL};
    const float floats[] = {1, 2};
    const int64_t integer = 3;
    nft_file_writer *writer;
    assert_ok(nft_file_create(&writer, path, outputs, 2, metadata));
    assert_ok(nft_file_append(writer, floats, 8));
    assert_int_equal(nft_file_commit(writer), NFT_ERROR_ARGUMENT);
    assert_message("8 bytes fewer than its header says");
    assert_ok(nft_file_create(&writer, path, outputs, 2, metadata));
    assert_int_equal(nft_file_append(writer, floats, 3), NFT_ERROR_ARGUMENT);
    nft_file_cancel(writer);
    assert_int_equal(temporary_entries(0), 0);
    assert_ok(nft_file_create(&writer, path, outputs, 2, metadata));
    assert_ok(nft_file_append(writer, floats, 4));
    assert_ok(nft_file_append(writer, floats + 1, 4));
    assert_ok(nft_file_append(writer, &integer, 8));
    assert_int_equal(nft_file_append(writer, floats, 4), NFT_ERROR_ARGUMENT);
    assert_ok(nft_file_commit(writer));
    nft_file_cancel(NULL);
    nft_file *file;
    nft_array *array;
    assert_ok(nft_file_open(&file, path, NULL));
    assert_string_equal(nft_file_metadata(file, "k\x01"), "v\xc3\xa9");
    assert_ok(nft_file_read(&array, file, "a", 0, NFT_ALL));
    assert_true(nft_array_f32(array)[0] == 1 && nft_array_f32(array)[1] == 2);
    nft_array_free(array);
    nft_file_close(file);
    assert_string_equal(nft_file_metadata(file, "e"), "");
    const char *text = "";
    assert_string_equal(nft_file_metadata_at(&text, file, 0), "k\x01");
    assert_string_equal(text, "v\xc3\xa9");
    assert_string_equal(nft_file_metadata_at(NULL, file, 1), "e");
    assert_null(nft_file_metadata_at(&text, file, 2));
    assert_null(text);
    assert_null(nft_file_metadata_at(NULL, file, -1));
    assert_null(nft_file_metadata_at(NULL, NULL, 0));
    nft_file_free(file);
    const nft_output endless[] = {{"a", NFT_TYPE_F32, 2, (const int64_t[]){INT64_MAX, 2}}};
    assert_int_equal(nft_file_create(&writer, path, endless, 1, NULL), NFT_ERROR_LIMIT);
    assert_int_equal(temporary_entries(1), 1);
}

static void metadata_are_checked(void **state)
{
    (void)state;
    const char *path = temporary_path("m.safetensors");
    static const struct {
        const char *texts[7], *message;
    } cases[] = {
        {{"a", NULL}, "m.safetensors: metadata 'a' has no text"},
        {{"a", "b", "c", NULL}, "m.safetensors: metadata 'c' has no text"},
        {{"a", "1", "b", "2", "a", "1", NULL}, "m.safetensors: metadata has two texts for 'a'"},
        {{"a", "\xff", NULL}, "m.safetensors: name or metadata '\xff' is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(nft_array_save(path, NULL, NULL, 0, cases[i].texts), NFT_ERROR_ARGUMENT);
        assert_message(cases[i].message);
    }
    assert_int_equal(temporary_entries(0), 0);
    assert_ok(nft_array_save(path, NULL, NULL, 0, (const char *const[]){"a", "b", "b", "a", NULL}));
    assert_int_equal(temporary_entries(1), 1);
}

static void arrays_are_checked(void **state)
{
    (void)state;
    nft_array *array;
    const float value = 1;
    assert_int_equal(nft_array_create(NULL, NFT_ARRAY_F32, NULL, 0, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_array_create(&array, 2, NULL, 0, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_array_create(&array, NFT_ARRAY_F32, NULL, 1, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_array_create(&array, NFT_ARRAY_F32, (const int64_t[]){-1}, 1, NULL),
                     NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_array_create(&array, NFT_ARRAY_F32, NULL, 9, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_array_create(&array, NFT_ARRAY_F32, (const int64_t[]){INT64_MAX, 9}, 2, NULL),
                     NFT_ERROR_LIMIT);
    assert_int_equal(nft_array_create(&array, NFT_ARRAY_F32, (const int64_t[]){INT64_MAX / 8}, 1, NULL),
                     NFT_ERROR_LIMIT);
    assert_null(array);
    assert_int_equal(nft_array_borrow(&array, NFT_ARRAY_F32, (const int64_t[]){1}, 1, NULL),
                     NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_array_borrow(&array, NFT_ARRAY_F32, (const int64_t[]){INT64_MAX}, 1, &value),
                     NFT_ERROR_LIMIT);
    assert_null(array);
    assert_ok(nft_array_borrow(&array, NFT_ARRAY_F32, NULL, 0, &value));
    assert_ptr_equal(nft_array_f32(array), &value);
    nft_array_free(array);
    assert_ok(nft_array_create(&array, NFT_ARRAY_I64, (const int64_t[]){3}, 1, NULL));
    assert_int_equal(nft_array_i64(array)[2], 0);
    nft_array_free(array);
    nft_array_free(NULL);
    assert_null(nft_array_f32(NULL));
    assert_null(nft_array_i64(NULL));
    assert_int_equal(nft_array_rank(NULL) + nft_array_count(NULL) + nft_array_size(NULL, 0), 0);
}
static nft_status read_everything(void)
{
    nft_file *file = NULL;
    nft_array *array = NULL;
    nft_status status = nft_file_open(&file, temporary_path("f.safetensors"), NULL);
    if (!status)
        status = nft_file_read(&array, file, "label", 0, NFT_ALL);
    nft_array_free(array);
    nft_file_free(file);
    return status;
}

static nft_status write_everything(void)
{
    const float value = 1;
    nft_array *array = NULL;
    const char *const name = "label";
    nft_status status = nft_array_create(&array, NFT_ARRAY_F32, NULL, 0, &value);
    if (!status)
        status =
            nft_array_save(temporary_path("f.safetensors"), &name, (const nft_array *const *)&array, 1, NULL);
    nft_array_free(array);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    assert_in_range(fail_every_allocation(write_everything), 5, 100);
    assert_int_equal(temporary_entries(0), 1);
    assert_in_range(fail_every_allocation(read_everything), 5, 100);
    temporary_entries(1);
}

/* Piece by piece through the public functions, the same file as from arrays. */
static nft_status write_pieces(const char *path)
{
    const float floats[] = {0.5f, -0.0f, INFINITY};
    const int64_t integers[] = {INT64_MIN, 7};
    const nft_tensor_info tensors[] = {
        {.size = sizeof *tensors, .name = "q\"\n\\", .type = "F32", .rank = 2, .shape = {1, 3}},
        {.size = sizeof *tensors, .name = "label", .type = "I64", .rank = 1, .shape = {2}}};
    nft_file_writer *writer = NULL;
    nft_status status = nft_file_writer_create(&writer, path, tensors, 2, NULL);
    if (!status)
        status = nft_file_writer_append(writer, floats, 4);
    if (!status) { /* a piece without room is not written in part either */
        assert_int_equal(nft_file_writer_append(writer, integers, 32), NFT_ERROR_ARGUMENT);
        assert_int_equal(nft_file_writer_append(writer, integers, 11), NFT_ERROR_ARGUMENT);
        status = nft_file_writer_append(writer, floats + 1, 8);
    }
    if (!status)
        status = nft_file_writer_append(writer, integers, 16);
    if (!status)
        return nft_file_writer_commit(writer);
    nft_file_writer_free(writer);
    return status;
}

static nft_status write_pieces_somewhere(void)
{
    return write_pieces(temporary_path("pieces"));
}

static void pieces_make_the_same_file(void **state)
{
    (void)state;
    char whole[256], pieces[256];
    assert_ok(save_two(temporary_path("whole"), "label"));
    assert_ok(write_pieces(temporary_path("pieces")));
    FILE *a = fopen(temporary_path("whole"), "rb"), *b = fopen(temporary_path("pieces"), "rb");
    assert_non_null(a);
    assert_non_null(b);
    size_t size = fread(whole, 1, sizeof whole, a);
    assert_int_equal(fread(pieces, 1, sizeof pieces, b), size);
    assert_memory_equal(whole, pieces, size);
    fclose(a);
    fclose(b);
    assert_in_range(fail_every_allocation(write_pieces_somewhere), 3, 100);
    assert_int_equal(temporary_entries(1), 2);
}

/* A later version's struct is longer; a caller that was built with it may meet this library. */
static void later_structs(void **state)
{
    (void)state;
    struct later {
        nft_tensor_info info;
        int64_t more[3];
    } tensors[2] = {{.info = {.name = "a", .type = "F32", .rank = 1, .shape = {2}}},
                    {.info = {.name = "b", .type = "I64"}}};
    const char *path = temporary_path("later");
    const float floats[] = {1, 2};
    const int64_t integer = 3;
    nft_file_writer *writer = NULL;
    nft_file *file = NULL;
    for (int i = 0; i < 2; i++)
        tensors[i].info.size = sizeof *tensors;
    assert_ok(nft_file_writer_create(&writer, path, &tensors[0].info, 2, NULL));
    assert_ok(nft_file_writer_append(writer, floats, sizeof floats));
    assert_ok(nft_file_writer_append(writer, &integer, sizeof integer));
    assert_ok(nft_file_writer_commit(writer));
    assert_ok(nft_file_open(&file, path, NULL));
    assert_int_equal(nft_file_tensor_count(file), 2);
    nft_file_free(file);
    const nft_tensor_info of_this_header[] = {{.name = "a", .type = "F32", .rank = 1, .shape = {2}},
                                              {.name = "b", .type = "I64"}};
    assert_ok(nft_file_writer_create(&writer, path, of_this_header, 2, NULL));
    nft_file_writer_free(writer);
    assert_int_equal(remove(path), 0);
}

static void wrong_pieces(void **state)
{
    (void)state;
    const nft_tensor_info good = {.size = sizeof good, .name = "a", .type = "F32", .rank = 1, .shape = {2}};
    const struct {
        nft_tensor_info tensor;
        const char *words;
    } cases[] = {
        {{.size = sizeof good, .name = NULL, .type = "F32"}, "tensors[0] has no name"},
        {{.size = sizeof good, .name = "a", .type = NULL}, "tensors[0] has no type"},
        {{.size = sizeof good, .name = "a", .type = "F16"}, "tensor 'a' is F16, expected F32 or I64"},
        {{.size = sizeof good, .name = "a", .type = "F32", .rank = 9}, "has 9 axes"},
        {{.size = sizeof good, .name = "a", .type = "F32", .rank = 1, .shape = {-1}},
         "has size -1 in axis 0"},
    };
    const float values[] = {1, 2, 3};
    const char *path = temporary_path("wrong");
    nft_file_writer *writer = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(nft_file_writer_create(&writer, path, &cases[i].tensor, 1, NULL),
                         NFT_ERROR_ARGUMENT);
        assert_message(cases[i].words);
        assert_null(writer);
    }
    const nft_tensor_info short_one = {.size = 8, .name = "a", .type = "F32"};
    assert_int_equal(nft_file_writer_create(&writer, path, &short_one, 1, NULL), NFT_ERROR_ARGUMENT);
    assert_message("tensors[0].size is 8, expected ");
    assert_int_equal(nft_file_writer_create(NULL, path, &good, 1, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_writer_create(&writer, NULL, &good, 1, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_writer_create(&writer, path, NULL, 1, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_writer_create(&writer, path, &good, -1, NULL), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_writer_append(NULL, values, 4), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_writer_commit(NULL), NFT_ERROR_ARGUMENT);
    nft_file_writer_free(NULL);
    assert_ok(nft_file_writer_create(&writer, path, &good, 1, NULL));
    assert_int_equal(nft_file_writer_append(writer, NULL, 4), NFT_ERROR_ARGUMENT);
    assert_int_equal(nft_file_writer_append(writer, values, -4), NFT_ERROR_ARGUMENT);
    assert_ok(nft_file_writer_append(writer, values, 4));
    assert_int_equal(nft_file_writer_commit(writer), NFT_ERROR_ARGUMENT);
    assert_message("4 bytes fewer than its header says");
    assert_int_equal(temporary_entries(0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_are_saved),
        cmocka_unit_test(permissions_of_the_old_file_stay),
        cmocka_unit_test(a_link_is_written_through),
        cmocka_unit_test(a_device_is_written_to),
        cmocka_unit_test(wrong_saves_leave_the_old_file),
        cmocka_unit_test(writer_keeps_its_word),
        cmocka_unit_test(metadata_are_checked),
        cmocka_unit_test(arrays_are_checked),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(pieces_make_the_same_file),
        cmocka_unit_test(wrong_pieces),
        cmocka_unit_test(later_structs),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
