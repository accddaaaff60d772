/* base/: sizes, text, messages, words, references, the allocator hook, the pool of threads. */
#define _XOPEN_SOURCE 700
#include "base/memory.h"
#include "base/nearest.h"
#include "base/utf8.h"
#include "base/threads.h"
#include "unit/failing_allocator.h"
#include "unit/support.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- memory --- */

static void sizes_stop_at_the_largest(void **state)
{
    (void)state;
    assert_int_equal(nft_size_add(2, 3), 5);
    assert_int_equal(nft_size_add(INT64_MAX - 3, 3), INT64_MAX);
    assert_int_equal(nft_size_add(INT64_MAX - 3, 4), INT64_MAX);
    assert_int_equal(nft_size_add(INT64_MAX, INT64_MAX), INT64_MAX);
    assert_int_equal(nft_size_multiply(6, 7), 42);
    assert_int_equal(nft_size_multiply(0, INT64_MAX), 0);
    assert_int_equal(nft_size_multiply(INT64_MAX, 0), 0);
    assert_int_equal(nft_size_multiply((int64_t)1 << 32, (int64_t)1 << 30), (int64_t)1 << 62);
    assert_int_equal(nft_size_multiply((int64_t)1 << 32, (int64_t)1 << 31), INT64_MAX);
    assert_int_equal(nft_size_multiply(INT64_MAX, INT64_MAX), INT64_MAX);
    assert_true(nft_machine_memory() > 1 << 20);
}

static void limits(void **state)
{
    (void)state;
    assert_ok(nft_check_limit("it", 100, 100));
    assert_int_equal(nft_check_limit("a thing", 101, 100), NFT_ERROR_LIMIT);
    assert_string_equal(nft_error_message(),
                        "a thing: 101 bytes are needed, but the memory limit is 100 bytes");
    assert_ok(nft_check_limit("it", 1 << 20, 0));
    assert_int_equal(nft_check_limit("it", INT64_MAX - 1, 0), NFT_ERROR_LIMIT);
    assert_non_null(strstr(nft_error_message(), "this machine's memory"));
    assert_int_equal(nft_check_limit("it", INT64_MAX, INT64_MAX), NFT_ERROR_LIMIT);
    assert_non_null(strstr(nft_error_message(), "overflows"));
}

static void blocks(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 300; bytes++) {
        unsigned char *block = nft_allocate(bytes);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % NFT_ALIGNMENT, 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(block[i], 0);
        memset(block, 0xff, bytes);
        nft_release(block);
    }
    nft_release(NULL);
    assert_null(nft_allocate(SIZE_MAX));
    assert_null(nft_allocate(SIZE_MAX - 64));
    assert_null(nft_allocate_array(SIZE_MAX / 2, 3));
    assert_null(nft_allocate_array(3, SIZE_MAX / 2));
    void *empty = nft_allocate_array(0, 0);
    assert_non_null(empty);
    nft_release(empty);
    char *copy = nft_copy_text_range("layer.0", 5), *whole = nft_copy_text("");
    assert_string_equal(copy, "layer");
    assert_string_equal(whole, "");
    nft_release(whole);
    nft_release(copy);
    assert_null(nft_copy_text_range("", SIZE_MAX));
}

static void allocator_rules(void **state)
{
    (void)state;
    nft_allocator allocator = {sizeof allocator, allocator_allocate, NULL, NULL};
    assert_int_equal(nft_set_allocator(&allocator), NFT_ERROR_ARGUMENT);
    allocator.release = allocator_release;
    allocator.allocate = NULL;
    assert_int_equal(nft_set_allocator(&allocator), NFT_ERROR_ARGUMENT);
    allocator.allocate = allocator_allocate;
    allocator.size = 0;
    assert_int_equal(nft_set_allocator(&allocator), NFT_ERROR_ARGUMENT);
    allocator.size = sizeof allocator;

    const int64_t widths[] = {2, 3, 1};
    nft_space *space = NULL;
    assert_ok(nft_space_create_mlp(&space, widths, 3));
    assert_int_equal(allocator_calls, 0);
    assert_int_equal(nft_set_allocator(&allocator), NFT_ERROR_ARGUMENT);
    assert_non_null(strstr(nft_error_message(), "objects are alive"));
    nft_space_free(space);

    assert_ok(nft_set_allocator(&allocator));
    assert_ok(nft_space_create_mlp(&space, widths, 3));
    assert_true(allocator_blocks > 0);
    assert_int_equal(nft_set_allocator(NULL), NFT_ERROR_ARGUMENT);
    nft_space_free(space);
    assert_int_equal(allocator_blocks, 0);
    assert_ok(nft_set_allocator(NULL));
    long calls = allocator_calls;
    assert_ok(nft_space_create_mlp(&space, widths, 3));
    nft_space_free(space);
    assert_int_equal(allocator_calls, calls);
}

static void references(void **state)
{
    (void)state;
    nft_references references;
    nft_references_init(&references);
    nft_references_add(&references);
    nft_references_add(&references);
    assert_false(nft_references_drop(&references));
    assert_false(nft_references_drop(&references));
    assert_true(nft_references_drop(&references));
}

static void text_grows(void **state)
{
    (void)state;
    nft_text text = {0};
    for (int i = 0; i < 1000; i++)
        nft_text_append(&text, "%d,", i);
    nft_text_append_bytes(&text, "a\0b", 3);
    nft_text_append_bytes(&text, NULL, 0);
    assert_false(text.failed);
    assert_int_equal(text.length, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    assert_memory_equal(text.data, "0,1,2,", 6);
    assert_memory_equal(text.data + text.length - 7, "999,a\0b", 8);
    nft_text_clear(&text);
    assert_null(text.data);
    nft_text_clear(&text);
}

/* A failed append keeps the text, and later appends do nothing. */
static void text_fails_once(void **state)
{
    (void)state;
    const nft_allocator allocator = {sizeof allocator, allocator_allocate, allocator_release, NULL};
    assert_ok(nft_set_allocator(&allocator));
    nft_text text = {0};
    nft_text_append(&text, "short");
    allocator_refused = allocator_calls;
    nft_text_append(&text, "%1000d", 1);
    allocator_refused = -1;
    assert_true(text.failed);
    nft_text_append(&text, "more");
    nft_text_append_bytes(&text, "more", 4);
    assert_true(text.failed);
    assert_string_equal(text.data, "short");
    nft_text_clear(&text);
    assert_int_equal(allocator_blocks, 0);
    assert_ok(nft_set_allocator(NULL));
}

/* --- messages --- */

static void statuses_have_names(void **state)
{
    (void)state;
    for (nft_status a = NFT_OK; a <= NFT_ERROR_NOT_FINITE; a++) {
        assert_true(strlen(nft_status_name(a)) > 1);
        assert_string_not_equal(nft_status_name(a), nft_status_name(1000));
        for (nft_status b = NFT_OK; b < a; b++)
            assert_string_not_equal(nft_status_name(a), nft_status_name(b));
    }
    assert_string_equal(nft_status_name(-1), nft_status_name(INT32_MAX));
}

static void messages_are_one_line(void **state)
{
    (void)state;
    assert_int_equal(nft_fail(NFT_ERROR_FORMAT, "tensor '%s'", "a\nb\tc\x7f"), NFT_ERROR_FORMAT);
    assert_string_equal(nft_error_message(), "tensor 'a?b?c?'");
    assert_int_equal(nft_fail(NFT_ERROR_FORMAT, "%s",
                              "\xc2\x9b"
                              "1m \xe2\x80\xae \xe2\x80\xa8 \xe2\x81\xa6 \x9b \xc3\xa9\xff"),
                     NFT_ERROR_FORMAT);
    assert_string_equal(nft_error_message(), "??1m ??? ??? ??? ? \xc3\xa9\xff");
    assert_int_equal(nft_fail(NFT_ERROR_FORMAT, "tensor '%s'", "a\nb\tc\x7f"), NFT_ERROR_FORMAT);
    assert_int_equal(nft_fail_in(NFT_ERROR_FILE, "file\n%d", 7), NFT_ERROR_FILE);
    assert_string_equal(nft_error_message(), "file?7: tensor 'a?b?c?'");

    char longer[5000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(nft_fail(NFT_ERROR_FORMAT, "start %s", longer), NFT_ERROR_FORMAT);
    size_t most = strlen(nft_error_message());
    assert_true(most > 200 && most < sizeof longer);
    assert_memory_equal(nft_error_message(), "start xxx", 9);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(nft_fail_in(NFT_ERROR_FORMAT, "%s", longer), NFT_ERROR_FORMAT);
        assert_true(strlen(nft_error_message()) <= most);
    }
    assert_int_equal(nft_fail_null("nft_thing_do", "thing"), NFT_ERROR_ARGUMENT);
    assert_string_equal(nft_error_message(), "nft_thing_do: argument 'thing' is NULL");
    assert_int_equal(nft_fail_memory("a thing", 12), NFT_ERROR_MEMORY);
    assert_string_equal(nft_error_message(), "out of memory: 12 bytes for a thing");
}

/* And UTF-8, at any length of the text. */
static void messages_are_cut_between_characters(void **state)
{
    (void)state;
    for (int begin = 0; begin < 4; begin++) {
        char text[3000];
        memset(text, 'x', (size_t)begin);
        for (int i = begin; i + 3 < (int)sizeof text; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 4); /* € */
        for (int outer = 0; outer < 2; outer++) {
            nft_fail(NFT_ERROR_FILE, "%s", text);
            if (outer)
                nft_fail_in(NFT_ERROR_FILE, "%s", text);
            size_t length = strlen(nft_error_message());
            assert_in_range(length, 1000, 1023);
            assert_true(nft_is_utf8(nft_error_message()));
        }
    }
}

static void *fail_elsewhere(void *argument)
{
    strcpy(argument, nft_error_message());
    return nft_fail(NFT_ERROR_FILE, "another thread's") ? NULL : argument;
}

static void messages_belong_to_a_thread(void **state)
{
    (void)state;
    char seen[64] = "nothing yet";
    pthread_t thread;
    assert_int_equal(nft_fail(NFT_ERROR_FILE, "this thread's"), NFT_ERROR_FILE);
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, seen), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(seen, "");
    assert_string_equal(nft_error_message(), "this thread's");
}

static void remember_line(int32_t level, const char *line, void *user)
{
    assert_int_equal(level, NFT_LOG_WARNING);
    assert_true(strlen(line) < 2000);
    snprintf(user, 64, "%s", line);
}

static void log_lines(void **state)
{
    (void)state;
    char line[64] = "";
    nft_log(NFT_LOG_INFO, "no callback receives this");
    nft_set_log(remember_line, line);
    nft_log(NFT_LOG_WARNING, "%d\nthings\xe2\x80\xae", 3);
    assert_string_equal(line, "3?things???");
    nft_log(NFT_LOG_WARNING, "%3000d", 3);
    nft_set_log(NULL, NULL);
    nft_log(NFT_LOG_WARNING, "nobody again");
    assert_int_equal(line[0], ' ');
}

static void nearest_words(void **state)
{
    (void)state;
    static const char *const words[] = {"nft_block", "np_linear", "hnp_linear", "linear", "relu"};
    assert_int_equal(nft_nearest("nft_blok", words, 5), 0);
    assert_int_equal(nft_nearest("hnplinear", words, 5), 2);
    assert_int_equal(nft_nearest("lineal", words, 5), 3);
    assert_int_equal(nft_nearest("relu", words, 5), 4);
    assert_int_equal(nft_nearest("liar", words, 5), 3);
    assert_int_equal(nft_nearest("nope", words, 5), -1);
    assert_int_equal(nft_nearest("rope", words, 5), -1);
    assert_int_equal(nft_nearest("", words, 5), -1);
    char longer[5000];
    memset(longer, 'r', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(nft_nearest(longer, words, 5), -1);
}

static void utf8(void **state)
{
    (void)state;
    static const char *const good[] = {
        "", "label", "\xc3\xa9", "\xe2\x82\xac", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
    /* Cut short, overlong, surrogates, beyond the last, a continuation that begins. */
    static const char *const wrong[] = {
        "\xff",         "a\xc3",        "\xe2\x82",         "\xc0\x80",
        "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
        "\x80",         "\xf0\x9f\x98"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(nft_is_utf8(good[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(nft_is_utf8(wrong[i]));
}

/* --- threads --- */

#define ITEMS 5000

typedef struct counts {
    int times[ITEMS]; /* atomic */
    int wrong_workers;
    int threads;
} counts;

static void count_item(void *argument, int64_t item, int worker)
{
    counts *c = argument;
    __atomic_add_fetch(&c->times[item], 1, __ATOMIC_RELAXED);
    if (worker < 0 || worker >= c->threads)
        __atomic_add_fetch(&c->wrong_workers, 1, __ATOMIC_RELAXED);
}

/* Whether items 0 … count - 1 were each done once, and no other. */
static bool each_once(nft_pool *pool, int64_t count)
{
    static counts c;
    memset(&c, 0, sizeof c);
    c.threads = nft_pool_threads(pool);
    nft_pool_run(pool, count, count_item, &c);
    for (int64_t i = 0; i < ITEMS; i++)
        if (c.times[i] != (i < count))
            return false;
    return c.wrong_workers == 0;
}

static void pool_does_each_item_once(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 9; threads++) {
        nft_pool *pool = NULL;
        assert_ok(nft_pool_create(&pool, threads));
        assert_int_equal(nft_pool_threads(pool), threads > 1 ? threads : 1);
        for (int64_t count = 0; count <= 20; count++)
            assert_true(each_once(pool, count));
        for (int round = 0; round < 20; round++)
            assert_true(each_once(pool, ITEMS));
        nft_pool_free(pool);
    }
    assert_int_equal(nft_pool_threads(NULL), 1);
    assert_true(each_once(NULL, ITEMS));
    nft_pool_free(NULL);
    assert_true(nft_machine_cores() >= 1);
}

/* The child's pool works, and so does the parent's afterwards; a child may also free it unused. */
static void pool_survives_fork(void **state)
{
    (void)state;
    nft_pool *pool = NULL;
    assert_ok(nft_pool_create(&pool, 3));
    assert_true(each_once(pool, ITEMS));
    for (int use = 0; use < 2; use++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            bool right = !use || (each_once(pool, ITEMS) && each_once(pool, ITEMS));
            nft_pool_free(pool);
            _exit(right ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_true(each_once(pool, ITEMS));
    }
    nft_pool_free(pool);
}

static void pool_without_memory(void **state)
{
    (void)state;
    const nft_allocator allocator = {sizeof allocator, allocator_allocate, allocator_release, NULL};
    assert_ok(nft_set_allocator(&allocator));
    for (int refused = 0; refused < 2; refused++) {
        nft_pool *pool = NULL;
        allocator_calls = 0;
        allocator_refused = refused;
        assert_int_equal(nft_pool_create(&pool, 3), NFT_ERROR_MEMORY);
        assert_null(pool);
        assert_int_equal(allocator_blocks, 0);
    }
    allocator_refused = -1;
    assert_ok(nft_set_allocator(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_stop_at_the_largest),
        cmocka_unit_test(limits),
        cmocka_unit_test(blocks),
        cmocka_unit_test(allocator_rules),
        cmocka_unit_test(references),
        cmocka_unit_test(text_grows),
        cmocka_unit_test(text_fails_once),
        cmocka_unit_test(statuses_have_names),
        cmocka_unit_test(messages_are_one_line),
        cmocka_unit_test(messages_are_cut_between_characters),
        cmocka_unit_test(messages_belong_to_a_thread),
        cmocka_unit_test(log_lines),
        cmocka_unit_test(nearest_words),
        cmocka_unit_test(utf8),
        cmocka_unit_test(pool_does_each_item_once),
        cmocka_unit_test(pool_survives_fork),
        cmocka_unit_test(pool_without_memory),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
