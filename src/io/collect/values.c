/* Labels as people write them: numbers, truth, texts, lists. */
#define _POSIX_C_SOURCE 200809L
#include "config/json.h"
#include "io/collect/collect.h"
#include "io/formats/inflate.h"
#include "io/system.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_BYTES (INT64_C(1) << 30) /* of a table */
#define NUMBER_CAPACITY 64

void nft_value_clear(nft_value *value)
{
    nft_release(value->list);
    nft_release(value->text);
    *value = (nft_value){0};
}

nft_status nft_value_copy(nft_value *to, const nft_value *from)
{
    if (from->kind == NFT_VALUE_LIST)
        return nft_value_from_numbers(to, from->list, from->length, from->is_real);
    *to = *from;
    if (from->text && !(to->text = nft_copy_text(from->text)))
        return nft_fail_memory("a label", (int64_t)strlen(from->text));
    return NFT_OK;
}

/* In place. */
static nft_status unpack(char **text, size_t *length, const char *path)
{
    nft_file file = {.path = (char *)path, .limit = MOST_BYTES};
    uint8_t *bytes = NULL;
    int64_t size = 0;
    file.source = (nft_source){.descriptor = -1, .bytes = (uint8_t *)*text, .size = (int64_t)*length};
    nft_status status = nft_inflate_gzip(&file, &bytes, &size);
    char *copy = status ? NULL : nft_copy_text_range((const char *)bytes, (size_t)size);
    nft_release(bytes);
    if (!status && !copy)
        status = nft_fail_memory("a text", size);
    if (status)
        return nft_fail_in(status, "it is gzipped");
    nft_release(*text);
    *text = copy;
    *length = (size_t)size;
    return NFT_OK;
}

nft_status nft_read_text_file(char **text, size_t *length, const char *path)
{
    int descriptor = -1;
    int64_t size = 0;
    *text = NULL;
    nft_status status = nft_open_regular(path, &descriptor, &size);
    if (status)
        return status;
    status = nft_check_limit("a text", size, MOST_BYTES);
    if (!status && !(*text = nft_allocate((size_t)size + 1)))
        status = nft_fail_memory("a text", size);
    if (!status)
        status = nft_read_at(descriptor, 0, size, *text);
    close(descriptor);
    *length = (size_t)size;
    if (!status && size > 2 && !memcmp(*text, "\x1f\x8b\x08", 3))
        status = unpack(text, length, path);
    if (!status)
        return NFT_OK;
    nft_release(*text);
    *text = NULL;
    return nft_fail_in(status, "%s", path);
}

static void set_number(nft_value *value, double number, bool is_real)
{
    if (isfinite(number))
        *value = (nft_value){.kind = NFT_VALUE_NUMBER, .number = number, .is_real = is_real};
}

/* A point in a file is a point, whatever the locale. */
static bool parse_number(double *number, const char *text)
{
    char local[NUMBER_CAPACITY], *end = NULL;
    const struct lconv *convention = localeconv();
    const char *point = strchr(text, '.');
    const char *sign = convention->decimal_point;
    if (!*text || strlen(text) + strlen(sign) >= sizeof local || strpbrk(text, "xX"))
        return false;
    size_t before = point ? (size_t)(point - text) : strlen(text);
    memcpy(local, text, before);
    local[before] = 0;
    if (point) {
        memcpy(local + before, sign, strlen(sign) + 1);
        memcpy(local + before + strlen(sign), point + 1, strlen(point + 1) + 1);
    }
    *number = strtod(local, &end);
    return end != local && !*end;
}

static bool is_missing(const char *text)
{
    static const char *const words[] = {"", "na", "n/a", "nan", "null", "none", "-"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t k = 0;
        while (text[k] && tolower((unsigned char)text[k]) == words[i][k])
            k++;
        if (!text[k] && !words[i][k])
            return true;
    }
    return false;
}

nft_status nft_value_from_text(nft_value *value, const char *text, size_t length)
{
    *value = (nft_value){0};
    while (length && isspace((unsigned char)text[length - 1]))
        length--;
    while (length && isspace((unsigned char)*text)) {
        text++;
        length--;
    }
    char *copy = nft_copy_text_range(text, length);
    double number = 0;
    if (!copy)
        return nft_fail_memory("a label", (int64_t)length);
    if (is_missing(copy)) {
        nft_release(copy);
    } else if (parse_number(&number, copy)) {
        set_number(value, number, strpbrk(copy, ".eE") != NULL);
        nft_release(copy);
    } else {
        value->kind = NFT_VALUE_TEXT;
        value->text = copy;
    }
    return NFT_OK;
}

nft_status nft_value_from_numbers(nft_value *value, const double *numbers, int64_t count, bool is_real)
{
    *value = (nft_value){0};
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(numbers[i]))
            return NFT_OK;
    if (!count)
        return NFT_OK;
    value->list = nft_allocate_array((size_t)count, sizeof *value->list);
    if (!value->list)
        return nft_fail_memory("a label", count * (int64_t)sizeof *value->list);
    memcpy(value->list, numbers, (size_t)count * sizeof *numbers);
    value->kind = NFT_VALUE_LIST;
    value->length = count;
    value->is_real = is_real;
    return NFT_OK;
}

static nft_status read_list(nft_value *value, const json_t *json)
{
    int64_t count = (int64_t)json_array_size(json);
    bool is_real = false;
    double *numbers = nft_allocate_array((size_t)count, sizeof *numbers);
    if (!numbers)
        return nft_fail_memory("a label", count * (int64_t)sizeof *numbers);
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < count && !status; i++) {
        const json_t *item = json_array_get(json, (size_t)i);
        if (!json_is_number(item) && !json_is_null(item))
            status = nft_fail(NFT_ERROR_FORMAT, "is a list with more than numbers in it");
        numbers[i] = json_is_null(item) ? NAN : json_number_value(item);
        is_real |= json_is_real(item);
    }
    if (!status)
        status = nft_value_from_numbers(value, numbers, count, is_real);
    nft_release(numbers);
    return status;
}

nft_status nft_value_from_json(nft_value *value, const json_t *json)
{
    *value = (nft_value){0};
    if (!json || json_is_null(json))
        return NFT_OK;
    if (json_is_number(json)) {
        set_number(value, json_number_value(json), json_is_real(json));
        return NFT_OK;
    }
    if (json_is_boolean(json)) {
        set_number(value, json_is_true(json), false);
        return NFT_OK;
    }
    if (json_is_string(json)) {
        value->text = nft_copy_text(json_string_value(json));
        value->kind = NFT_VALUE_TEXT;
        return value->text ? NFT_OK : nft_fail_memory("a label", (int64_t)json_string_length(json));
    }
    if (json_is_array(json))
        return read_list(value, json);
    return nft_fail(NFT_ERROR_FORMAT, "is an object; a dot goes into it");
}

/* A member whose name has dots itself comes first. */
const json_t *nft_json_member(const json_t *object, const char *path)
{
    const json_t *member = json_object_get(object, path);
    for (const char *dot = strchr(path, '.'); dot && !member; dot = strchr(dot + 1, '.')) {
        char *name = nft_copy_text_range(path, (size_t)(dot - path));
        const json_t *inner = name ? json_object_get(object, name) : NULL;
        nft_release(name);
        member = inner ? nft_json_member(inner, dot + 1) : NULL;
    }
    return member;
}
