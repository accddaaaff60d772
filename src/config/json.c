#include "config/json.h"
#include "base/nearest.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VALUE_CAPACITY 96

/* Bytes that jansson takes for a value or a container with this first or last character, on 64 bits. */
enum { OBJECT_BYTES = 256, ARRAY_BYTES = 144, MEMBER_BYTES = 96, ELEMENT_BYTES = 48, QUOTE_BYTES = 32 };

/* Index behind the text that begins at `at` with a quote. */
static size_t skip_text(const char *text, size_t length, size_t at)
{
    for (at++; at < length && text[at] != '"'; at++)
        at += text[at] == '\\';
    return at + 1;
}

/* Bytes that jansson takes for a text, about; and how deep it is nested. */
static int64_t measure(const char *text, size_t length, int64_t *depth)
{
    int64_t bytes = (int64_t)length, open = 0;
    *depth = 0;
    for (size_t at = 0; at < length; at++) {
        switch (text[at]) {
        case '"':
            bytes += 2 * QUOTE_BYTES;
            at = skip_text(text, length, at) - 1;
            break;
        case '{':
        case '[':
            bytes += text[at] == '{' ? OBJECT_BYTES : ARRAY_BYTES;
            open++;
            *depth = open > *depth ? open : *depth;
            break;
        case '}':
        case ']':
            open--;
            break;
        case ':':
            bytes += MEMBER_BYTES;
            break;
        case ',':
            bytes += ELEMENT_BYTES;
            break;
        default:
            break;
        }
    }
    return bytes;
}

nft_status nft_json_parse(json_t **value, const char *text, size_t length)
{
    return nft_json_parse_within(value, text, length, 0);
}

nft_status nft_json_parse_within(json_t **value, const char *text, size_t length, int64_t memory_limit)
{
    json_error_t error = {0};
    int64_t depth, bytes = measure(text, length, &depth);
    *value = NULL;
    if (depth > NFT_JSON_DEPTH)
        return nft_fail(NFT_ERROR_FORMAT, "JSON: nested %" PRId64 " deep, expected at most %d", depth,
                        NFT_JSON_DEPTH);
    nft_status status = nft_check_limit("parsed JSON", bytes, memory_limit);
    if (status)
        return status;
    *value = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (*value)
        return NFT_OK;
    /* jansson says nothing at all where most of its allocations fail. */
    if (json_error_code(&error) == json_error_out_of_memory || !error.text[0])
        return nft_fail_memory("parsed JSON", (int64_t)length);
    return nft_fail(NFT_ERROR_FORMAT, "JSON, line %d, column %d: %s", error.line, error.column, error.text);
}

static int append_bytes(const char *bytes, size_t length, void *text)
{
    nft_text_append_bytes(text, bytes, length);
    return ((nft_text *)text)->failed ? -1 : 0;
}

bool nft_json_append(nft_text *text, const json_t *value, size_t flags)
{
    return !json_dump_callback(value, append_bytes, text, flags) && !text->failed;
}

/* A number or a short text as JSON, independent of the locale; for others the kind of the value. */
static void describe(const json_t *value, char *text)
{
    size_t length = VALUE_CAPACITY;
    if (!json_is_object(value) && !json_is_array(value))
        length = json_dumpb(value, text, VALUE_CAPACITY - 1, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    if (length > 0 && length < VALUE_CAPACITY)
        text[length] = 0;
    else if (json_is_object(value))
        strcpy(text, "an object");
    else
        strcpy(text, json_is_array(value) ? "an array" : "a long text");
}

static void describe_number(double number, char *text)
{
    json_t *value = json_real(number);
    describe(value, text);
    json_decref(value);
}

static nft_status fail_value(const nft_options *options, const char *key, const json_t *found,
                             const char *expected)
{
    char text[VALUE_CAPACITY];
    describe(found, text);
    return nft_fail(NFT_ERROR_CONFIG, "%s: '%s' is %s, expected %s", options->where, key, text, expected);
}

nft_status nft_options_open(nft_options *options, const json_t *value, const char *where)
{
    *options = (nft_options){.object = value, .where = where};
    if (json_is_object(value))
        return NFT_OK;
    char text[VALUE_CAPACITY];
    if (value)
        describe(value, text);
    return nft_fail(NFT_ERROR_CONFIG, "%s: expected an object, found %s", where, value ? text : "nothing");
}

static bool is_known(const nft_options *options, const char *key)
{
    for (int i = 0; i < options->known_count; i++)
        if (!strcmp(options->known[i], key))
            return true;
    return false;
}

/* Names a key that may be a misspelling of `key`. */
static nft_status fail_missing(const nft_options *options, const char *key)
{
    json_t *object = (json_t *)options->object; /* jansson iterates over a pointer to non-const */
    const char *given[NFT_OPTIONS_MAX_KEYS];
    int count = 0;
    for (void *at = json_object_iter(object); at && count < NFT_OPTIONS_MAX_KEYS;
         at = json_object_iter_next(object, at))
        if (!is_known(options, json_object_iter_key(at)))
            given[count++] = json_object_iter_key(at);
    int nearest = nft_nearest(key, given, count);
    if (nearest < 0)
        return nft_fail(NFT_ERROR_CONFIG, "%s: '%s' is missing", options->where, key);
    return nft_fail(NFT_ERROR_CONFIG, "%s: '%s' is missing; did you mean it with '%s'?", options->where, key,
                    given[nearest]);
}

/* Remembers the key and gives its value, NULL if there is none. */
static nft_status look_up(nft_options *options, const char *key, bool required, const json_t **value)
{
    if (options->known_count < NFT_OPTIONS_MAX_KEYS)
        options->known[options->known_count++] = key;
    *value = json_object_get(options->object, key);
    return !*value && required ? fail_missing(options, key) : NFT_OK;
}

nft_status nft_options_integer(nft_options *options, const char *key, bool required, int64_t minimum,
                               int64_t maximum, int64_t *value)
{
    const json_t *found;
    nft_status status = look_up(options, key, required, &found);
    if (status || !found)
        return status;
    int64_t number = json_integer_value(found);
    if (json_is_integer(found) && number >= minimum && number <= maximum) {
        *value = number;
        return NFT_OK;
    }
    char expected[VALUE_CAPACITY];
    if (maximum == INT64_MAX)
        snprintf(expected, sizeof expected, "an integer, at least %" PRId64, minimum);
    else
        snprintf(expected, sizeof expected, "an integer, %" PRId64 " … %" PRId64, minimum, maximum);
    return fail_value(options, key, found, expected);
}

nft_status nft_options_number(nft_options *options, const char *key, bool required, double minimum,
                              double maximum, double *value)
{
    const json_t *found;
    nft_status status = look_up(options, key, required, &found);
    if (status || !found)
        return status;
    double number = json_number_value(found);
    if (json_is_number(found) && number >= minimum && number <= maximum) {
        *value = number;
        return NFT_OK;
    }
    char least[VALUE_CAPACITY], most[VALUE_CAPACITY], expected[3 * VALUE_CAPACITY] = "a number";
    bool low = minimum >= -FLT_MAX, high = maximum <= FLT_MAX; /* beyond them nobody means a bound */
    if (low)
        describe_number(minimum, least);
    if (high)
        describe_number(maximum, most);
    if (low && high)
        snprintf(expected, sizeof expected, "a number, %s … %s", least, most);
    else if (low || high)
        snprintf(expected, sizeof expected, "a number, %s %s", low ? "at least" : "at most",
                 low ? least : most);
    return fail_value(options, key, found, expected);
}

nft_status nft_options_boolean(nft_options *options, const char *key, bool required, bool *value)
{
    const json_t *found;
    nft_status status = look_up(options, key, required, &found);
    if (status || !found)
        return status;
    if (!json_is_boolean(found))
        return fail_value(options, key, found, "true or false");
    *value = json_is_true(found);
    return NFT_OK;
}

nft_status nft_options_text(nft_options *options, const char *key, bool required, const char **value)
{
    const json_t *found;
    nft_status status = look_up(options, key, required, &found);
    if (status || !found)
        return status;
    if (!json_is_string(found))
        return fail_value(options, key, found, "a text");
    *value = json_string_value(found);
    return NFT_OK;
}

/* Index of the text among the choices; -1 for another text, or anything else. */
static int find_choice(const json_t *text, const char *const *choices, int choice_count)
{
    for (int i = 0; i < choice_count && json_is_string(text); i++)
        if (!strcmp(json_string_value(text), choices[i]))
            return i;
    return -1;
}

/* `expected` begins the list of the choices in the message. */
static nft_status fail_choice(const nft_options *options, const char *key, const json_t *found,
                              const char *const *choices, int choice_count, const char *expected)
{
    char text[512];
    snprintf(text, sizeof text, "%s", expected);
    for (int i = 0; i < choice_count; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s\"%s\"", i ? " or " : "", choices[i]);
    }
    return fail_value(options, key, found, text);
}

nft_status nft_options_choice(nft_options *options, const char *key, bool required,
                              const char *const *choices, int choice_count, int *value)
{
    const json_t *found;
    nft_status status = look_up(options, key, required, &found);
    if (status || !found)
        return status;
    int index = find_choice(found, choices, choice_count);
    if (index < 0)
        return fail_choice(options, key, found, choices, choice_count, "");
    *value = index;
    return NFT_OK;
}

nft_status nft_options_choices(nft_options *options, const char *key, bool required,
                               const char *const *choices, int choice_count, bool *chosen)
{
    const json_t *found;
    nft_status status = look_up(options, key, required, &found);
    if (status || !found)
        return status;
    if (!json_is_array(found))
        return fail_choice(options, key, found, choices, choice_count, "a list of ");
    memset(chosen, 0, (size_t)choice_count * sizeof *chosen);
    for (size_t i = 0; i < json_array_size(found); i++) {
        int index = find_choice(json_array_get(found, i), choices, choice_count);
        if (index < 0)
            return fail_choice(options, key, json_array_get(found, i), choices, choice_count, "a list of ");
        chosen[index] = true;
    }
    return NFT_OK;
}

nft_status nft_options_value(nft_options *options, const char *key, bool required, const json_t **value)
{
    const json_t *found;
    nft_status status = look_up(options, key, required, &found);
    if (!status && json_is_null(found) && required)
        status = nft_fail(NFT_ERROR_CONFIG, "%s: '%s' is null, expected a value", options->where, key);
    if (!status && found && !json_is_null(found))
        *value = found;
    return status;
}

/* The key of an object inside that has the option, NULL if none has. */
static const char *find_inside(const nft_options *options, const char *key)
{
    json_t *object = (json_t *)options->object;
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        if (json_object_get(json_object_iter_value(at), key))
            return json_object_iter_key(at);
    return NULL;
}

/* The known option of which a key is the first word ("ema" of "ema_decay"), or else the nearest; NULL if none
 * is near. */
static const char *find_known(const nft_options *options, const char *key)
{
    size_t length = strlen(key);
    for (int i = 0; i < options->known_count; i++)
        if (!strncmp(options->known[i], key, length) && options->known[i][length] == '_')
            return options->known[i];
    int nearest = nft_nearest(key, options->known, options->known_count);
    return nearest < 0 ? NULL : options->known[nearest];
}

/* Names the option that may have been meant, or if none is near the first that there are. */
static nft_status fail_unknown(const nft_options *options, const char *key)
{
    char names[256] = "";
    const char *inside = find_inside(options, key), *meant = find_known(options, key);
    if (inside)
        return nft_fail(NFT_ERROR_CONFIG, "%s: unknown option '%s'; did you mean '%s.%s'?", options->where,
                        key, inside, key);
    if (meant)
        return nft_fail(NFT_ERROR_CONFIG, "%s: unknown option '%s'; did you mean '%s'?", options->where, key,
                        meant);
    for (int i = 0; i < options->known_count; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s'%s'", i ? ", " : "", options->known[i]);
    }
    return nft_fail(NFT_ERROR_CONFIG, "%s: unknown option '%s'; it takes %s", options->where, key, names);
}

nft_status nft_options_finish(const nft_options *options)
{
    /* jansson iterates over a pointer to non-const, but changes nothing. */
    json_t *object = (json_t *)options->object;
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        if (is_known(options, key))
            continue;
        if (!options->known_count)
            return nft_fail(NFT_ERROR_CONFIG, "%s: unknown option '%s'; it takes none", options->where, key);
        return fail_unknown(options, key);
    }
    return NFT_OK;
}
