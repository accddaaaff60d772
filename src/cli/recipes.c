#include "recipes.h"

#include "report.h"
#include "settings.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A path of the command line is relative to where the user is. */
static int override_path(char **path, const char *given)
{
    size_t size = strlen(given) + 1;
    *path = malloc(size);
    if (!*path)
        return fail_memory();
    memcpy(*path, given, size);
    return EXIT_SUCCESS;
}

/* Names a key that may be a misspelling of `key`. */
static int fail_missing(const cli_recipe *recipe, const char *key, const char *expected)
{
    const char *keys[32];
    int count = 0;
    for (void *at = json_object_iter(recipe->object); at && count < 32;
         at = json_object_iter_next(recipe->object, at))
        keys[count++] = json_object_iter_key(at);
    const char *nearest = text_nearest(key, keys, count);
    return fail("%s: '%s' is missing, %s%s%s%s", recipe->path, key, expected,
                nearest ? "; did you mean it with '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* The path under a key; NULL if there is none and it is not required. */
static int read_path(char **path, const cli_recipe *recipe, const char *key, bool required)
{
    const json_t *value = json_object_get(recipe->object, key);
    const char *given = strcmp(key, "model") ? option_text(&recipe->data, key) : NULL;
    *path = NULL;
    if (given)
        return override_path(path, given);
    if (!value && required)
        return fail_missing(recipe, key, "the path of a file");
    if (!value || (json_is_null(value) && !required))
        return EXIT_SUCCESS;
    if (!json_is_string(value))
        return fail("%s: '%s' is not a text, the path of a file", recipe->path, key);
    if (!*json_string_value(value))
        return fail("%s: '%s' is empty, expected the path of a file", recipe->path, key);
    *path = path_from_recipe(recipe->path, json_string_value(value));
    return *path ? EXIT_SUCCESS : fail_memory();
}

static int read_paths(cli_recipe *recipe)
{
    const json_t *model = json_object_get(recipe->object, "model");
    int failed = EXIT_SUCCESS;
    if (!model)
        failed = fail_missing(recipe, "model", "the path of a file or a configuration");
    else if (!json_is_object(model))
        failed = read_path(&recipe->model_path, recipe, "model", true);
    if (!failed)
        failed = read_path(&recipe->train_path, recipe, "train", true);
    return failed ? failed : read_path(&recipe->validation_path, recipe, "validation", false);
}

static int set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) ? fail_memory() : EXIT_SUCCESS;
}

static int override_integer(cli_recipe *recipe, const char *option, const char *key)
{
    const cli_value *value = option_value(&recipe->data, option);
    return value->text ? set(recipe->object, key, json_integer((json_int_t)value->integer)) : EXIT_SUCCESS;
}

static int override_rate(cli_recipe *recipe)
{
    const cli_value *value = option_value(&recipe->data, "lr");
    json_t *optimizer = json_object_get(recipe->object, "optimizer");
    return value->text && json_is_object(optimizer) ? set(optimizer, "lr", json_real(value->number))
                                                    : EXIT_SUCCESS;
}

/* --label, --skip, --prepare and --any-fit. */
static int override_labels(cli_recipe *recipe)
{
    const char *label = option_text(&recipe->data, "label");
    int failed = label ? set(recipe->object, "label", json_text(label)) : EXIT_SUCCESS;
    if (!failed && option_text(&recipe->data, "prepare"))
        failed = set(recipe->object, "prepare", json_true());
    if (!failed && option_text(&recipe->data, "any-fit"))
        failed = set(recipe->object, "any_fit", json_true());
    return !failed && option_text(&recipe->data, "skip") ? set(recipe->object, "skip", json_true()) : failed;
}

/* The seed is also that of a fresh model. */
static int override_seed(cli_recipe *recipe)
{
    const json_t *own = json_object_get(recipe->object, "seed");
    if (!option_text(&recipe->data, "seed")) {
        recipe->data.seed = json_is_integer(own) ? (uint64_t)json_integer_value(own) : 0;
        return EXIT_SUCCESS;
    }
    return override_integer(recipe, "seed", "seed");
}

int load_recipe(cli_recipe *recipe, const char *path, const cli_options *given)
{
    json_error_t error;
    struct stat about;
    *recipe = (cli_recipe){.path = path, .data = *given};
    if (!stat(path, &about) && S_ISDIR(about.st_mode))
        return fail("%s: is a folder, expected a recipe (JSON)", path);
    recipe->object = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!recipe->object && json_error_code(&error) == json_error_cannot_open_file)
        return fail("%s: cannot open: %s", path, strerror(errno));
    if (!recipe->object && error.line < 0)
        return fail("%s: %s", path, error.text);
    if (!recipe->object && !is_configuration(path))
        return fail("%s: is no recipe, which is a JSON object", path);
    if (!recipe->object)
        return fail("%s: JSON, line %d, column %d: %s", path, error.line, error.column, error.text);
    if (!json_is_object(recipe->object))
        return fail("%s: a recipe is a JSON object", path);
    int failed = settings_apply(recipe->object, given);
    if (!failed)
        failed = read_paths(recipe);
    if (!failed)
        failed = override_integer(recipe, "steps", "steps");
    if (!failed)
        failed = override_integer(recipe, "batch-size", "batch_size");
    if (!failed)
        failed = override_integer(recipe, "validate-every", "validate_every");
    if (!failed)
        failed = override_rate(recipe);
    if (!failed)
        failed = override_labels(recipe);
    return failed ? failed : override_seed(recipe);
}

int recipe_count_steps(cli_recipe *recipe, int64_t samples)
{
    const json_t *epochs = json_object_get(recipe->object, "epochs"),
                 *batch = json_object_get(recipe->object, "batch_size");
    double passes = json_number_value(epochs), batch_size = (double)json_integer_value(batch);
    if (!epochs)
        return EXIT_SUCCESS;
    if (!json_is_number(epochs) || !(passes > 0))
        return fail("%s: 'epochs' is not a number above 0", recipe->path);
    if (json_object_get(recipe->object, "steps") && !option_text(&recipe->data, "steps"))
        return fail("%s: has both 'epochs' and 'steps', expected one", recipe->path);
    if (!option_text(&recipe->data, "steps") && batch_size >= 1) {
        double steps = ceil(passes * (double)samples / batch_size);
        if (steps > INT32_MAX)
            return fail("%s: 'epochs' are %.0f steps, expected at most %d", recipe->path, steps, INT32_MAX);
        if (set(recipe->object, "steps", json_integer((json_int_t)steps)))
            return EXIT_FAILED;
    }
    json_object_del(recipe->object, "epochs");
    return EXIT_SUCCESS;
}

void free_recipe(cli_recipe *recipe)
{
    json_decref(recipe->object);
    free(recipe->model_path);
    free(recipe->train_path);
    free(recipe->validation_path);
    *recipe = (cli_recipe){0};
}

int load_recipe_model(nft_model **model, bool *fresh, const cli_recipe *recipe)
{
    *fresh = !recipe->model_path || is_configuration(recipe->model_path);
    return load_model_of_recipe(model, recipe->path, json_object_get(recipe->object, "model"), &recipe->data);
}
