#include "settings.h"

#include "report.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* Index in a list; -1 if the key is none. */
static int64_t index_of(const json_t *list, const char *key)
{
    char *end;
    long long index = strtoll(key, &end, 10);
    return end != key && !*end && index >= 0 && (size_t)index < json_array_size(list) ? (int64_t)index : -1;
}

/* The value of a key of an object, or of an index of a list; NULL if there is none. */
static json_t *entry_of(json_t *parent, const char *key)
{
    if (json_is_object(parent))
        return json_object_get(parent, key);
    int64_t index = json_is_array(parent) ? index_of(parent, key) : -1;
    return index < 0 ? NULL : json_array_get(parent, (size_t)index);
}

/* Drops the value. */
static bool set_entry(json_t *parent, const char *key, json_t *value)
{
    int64_t index = json_is_array(parent) ? index_of(parent, key) : -1;
    if (json_is_object(parent) && *key)
        return !json_object_set_new(parent, key, value);
    if (index >= 0)
        return !json_array_set_new(parent, (size_t)index, value);
    json_decref(value);
    return false;
}

static json_t *read_value(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    return value ? value : json_string(text);
}

#define MOST_KEYS 64

/* Names the key of the object that may have been meant. */
static int fail_key(const char *setting, json_t *parent, const char *key)
{
    const char *keys[MOST_KEYS];
    int count = 0;
    for (void *at = json_object_iter(parent); at && count < MOST_KEYS; at = json_object_iter_next(parent, at))
        keys[count++] = json_object_iter_key(at);
    const char *nearest = text_nearest(key, keys, count);
    return fail("--set '%s': the recipe has no '%s' that holds entries%s%s%s", setting, key,
                nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* `path` has the key and the value, one behind the other. */
static int apply(json_t *recipe, const char *setting, char *path)
{
    char *value = strchr(path, '=');
    json_t *parent = recipe;
    if (!value || value == path)
        return fail("--set '%s': expected KEY=VALUE", setting);
    *value++ = 0;
    for (char *dot; (dot = strchr(path, '.')); path = dot + 1) {
        *dot = 0;
        json_t *entry = entry_of(parent, path);
        if (!json_is_object(entry) && !json_is_array(entry))
            return fail_key(setting, parent, path);
        parent = entry;
    }
    json_t *new_value = read_value(value);
    if (!new_value)
        return fail("--set '%s': the value is not UTF-8", setting);
    return set_entry(parent, path, new_value) ? EXIT_SUCCESS
                                              : fail("--set '%s': there is no entry '%s'", setting, path);
}

int settings_apply(json_t *recipe, const cli_options *given)
{
    int failed = EXIT_SUCCESS;
    for (int i = 0; i < given->setting_count && !failed; i++) {
        const char *setting = given->settings[i];
        size_t size = strlen(setting) + 1;
        char *path = malloc(size);
        if (!path)
            return fail_memory();
        memcpy(path, setting, size);
        failed = apply(recipe, setting, path);
        free(path);
    }
    return failed;
}
