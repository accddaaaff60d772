/* JSON text and the options that are read from it. */
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

#include "unit/checks.h"

static void json_is_parsed(void **state)
{
    (void)state;
    json_t *value;
    assert_ok(nft_json_parse(&value, "3 ", 2));
    json_decref(value);
    static const char *const wrong[] = {"",      "{\"a\":1,\"a\":2}", "[NaN]", "[1] 2",
                                        "1e999", "{\"a\":\n\x01}",    "\xff"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(nft_json_parse(&value, wrong[i], strlen(wrong[i])), NFT_ERROR_FORMAT);
        assert_message("JSON, line ");
        assert_null(value);
    }
}

static void json_is_measured_before_it_is_parsed(void **state)
{
    (void)state;
    json_t *value;
    static const char *const parts[] = {"{}", "[]", "\"\"", "1", "\"a\\\"b{[\"", "{\"k\":0}"};
    for (size_t i = 0; i < COUNT(parts); i++) {
        size_t length = strlen(parts[i]), size = 2;
        char *text = malloc(10000 * (length + 1) + 3);
        assert_non_null(text);
        strcpy(text, "[0");
        for (int k = 0; k < 10000; k++) {
            text[size++] = ',';
            memcpy(text + size, parts[i], length);
            size += length;
        }
        text[size++] = ']';
        assert_int_equal(nft_json_parse_within(&value, text, size, 1 << 18), NFT_ERROR_LIMIT);
        assert_message("parsed JSON: ");
        assert_message("the memory limit is 262144 bytes");
        assert_null(value);
        assert_ok(nft_json_parse_within(&value, text, size, 1 << 23));
        json_decref(value);
        free(text);
    }
}

static void deep_json_is_refused(void **state)
{
    (void)state;
    char text[2 * NFT_JSON_DEPTH + 8];
    json_t *value;
    for (int depth = NFT_JSON_DEPTH; depth <= NFT_JSON_DEPTH + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        bool fits = depth == NFT_JSON_DEPTH;
        assert_int_equal(nft_json_parse(&value, text, 2 * (size_t)depth), fits ? NFT_OK : NFT_ERROR_FORMAT);
        if (!fits)
            assert_message("nested 65 deep, expected at most 64");
        json_decref(value);
    }
    static const char brackets[] = "\"[[[[\\\"[[\"";
    assert_ok(nft_json_parse(&value, brackets, strlen(brackets)));
    json_decref(value);
}

/* An object that is read by the calls of a test. */
static nft_options options_of(const char *text, json_t **value)
{
    nft_options options;
    assert_ok(nft_json_parse(value, text, strlen(text)));
    assert_ok(nft_options_open(&options, *value, "modules[3] (x)"));
    return options;
}

static void options_are_read(void **state)
{
    (void)state;
    json_t *value;
    nft_options options = options_of(
        "{\"i\":-3,\"n\":4,\"r\":0.25,\"b\":true,\"t\":\"w\",\"c\":\"two\",\"v\":[1],\"z\":null}", &value);
    int64_t integer = 1, absent = 9;
    double number = 0, real = 0;
    bool boolean = false;
    const char *text = NULL;
    const char *const choices[] = {"one", "two"};
    int choice = 0;
    const json_t *array = NULL, *null = NULL;
    assert_ok(nft_options_integer(&options, "i", true, -3, 3, &integer));
    assert_ok(nft_options_integer(&options, "absent", false, 0, 1, &absent));
    assert_ok(nft_options_number(&options, "n", true, 0, 4, &number));
    assert_ok(nft_options_number(&options, "r", false, 0, 1, &real));
    assert_ok(nft_options_boolean(&options, "b", true, &boolean));
    assert_ok(nft_options_text(&options, "t", true, &text));
    assert_ok(nft_options_choice(&options, "c", true, choices, 2, &choice));
    assert_ok(nft_options_value(&options, "v", true, &array));
    assert_int_equal(nft_options_finish(&options), NFT_ERROR_CONFIG);
    assert_ok(nft_options_value(&options, "z", false, &null));
    assert_ok(nft_options_finish(&options));
    assert_true(integer == -3 && absent == 9 && number == 4 && real == 0.25 && boolean && choice == 1);
    assert_string_equal(text, "w");
    assert_true(json_is_array(array));
    assert_null(null);
    json_decref(value);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    /* Where the decimal point is a comma, if such a locale is installed. */
    setlocale(LC_ALL, "de_DE.UTF-8");
    json_t *value;
    nft_options options = options_of(
        "{\"i\":1.5,\"p\":1.5,\"t\":3,\"c\":\"thre\",\"z\":null,\"num_haeds\":8,\"o\":{}}", &value);
    int64_t integer = 7;
    double number = 7;
    bool boolean = true;
    const char *text = NULL;
    const char *const choices[] = {"one", "three"};
    int choice = 5;
    const json_t *any = NULL;
    assert_int_equal(nft_options_integer(&options, "i", false, 1, INT64_MAX, &integer), NFT_ERROR_CONFIG);
    assert_message("modules[3] (x): 'i' is 1.5, expected an integer, at least 1");
    assert_int_equal(nft_options_integer(&options, "o", false, 1, 5, &integer), NFT_ERROR_CONFIG);
    assert_message("'o' is an object, expected an integer, 1 … 5");
    assert_int_equal(nft_options_integer(&options, "absent", true, 1, 5, &integer), NFT_ERROR_CONFIG);
    assert_message("modules[3] (x): 'absent' is missing");
    assert_int_equal(nft_options_number(&options, "p", false, 0, 0.5, &number), NFT_ERROR_CONFIG);
    assert_message("'p' is 1.5, expected a number, 0.0 … 0.5");
    assert_int_equal(nft_options_number(&options, "p", false, -INFINITY, 0.1, &number), NFT_ERROR_CONFIG);
    assert_message("expected a number, at most 0.1");
    assert_int_equal(nft_options_number(&options, "p", false, 2, INFINITY, &number), NFT_ERROR_CONFIG);
    assert_message("expected a number, at least 2.0");
    assert_int_equal(nft_options_number(&options, "z", false, -INFINITY, INFINITY, &number),
                     NFT_ERROR_CONFIG);
    assert_message("'z' is null, expected a number");
    assert_int_equal(nft_options_boolean(&options, "t", false, &boolean), NFT_ERROR_CONFIG);
    assert_message("'t' is 3, expected true or false");
    assert_int_equal(nft_options_text(&options, "t", false, &text), NFT_ERROR_CONFIG);
    assert_int_equal(nft_options_choice(&options, "c", false, choices, 2, &choice), NFT_ERROR_CONFIG);
    assert_message("'c' is \"thre\", expected \"one\" or \"three\"");
    assert_int_equal(nft_options_choice(&options, "t", false, choices, 2, &choice), NFT_ERROR_CONFIG);
    assert_int_equal(nft_options_value(&options, "z", true, &any), NFT_ERROR_CONFIG);
    assert_true(integer == 7 && number == 7 && boolean && choice == 5 && !text && !any);
    json_decref(value);

    options = options_of("{\"num_haeds\":8}", &value);
    assert_int_equal(nft_options_finish(&options), NFT_ERROR_CONFIG);
    assert_message("modules[3] (x): unknown option 'num_haeds'; it takes none");
    assert_ok(nft_options_integer(&options, "dropout", false, 0, 1, &integer));
    assert_ok(nft_options_integer(&options, "num_heads", false, 0, 1, &integer));
    assert_int_equal(nft_options_finish(&options), NFT_ERROR_CONFIG);
    assert_message("unknown option 'num_haeds'; did you mean 'num_heads'?");
    json_t *list = json_array_get(value, 0);
    assert_int_equal(nft_options_open(&options, list, "here"), NFT_ERROR_CONFIG);
    assert_message("here: expected an object, found nothing");
    json_decref(value);
    value = json_string("a text that is far too long for a message, so that its kind is told and nothing "
                        "more of it than that");
    assert_int_equal(nft_options_open(&options, value, "here"), NFT_ERROR_CONFIG);
    assert_message("found a long text");
    json_decref(value);
    setlocale(LC_ALL, "C");
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_parsed),
        cmocka_unit_test(json_is_measured_before_it_is_parsed),
        cmocka_unit_test(deep_json_is_refused),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
