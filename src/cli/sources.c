#include "sources.h"

#include "metrics.h"
#include "nft/file.h"
#include "nft/train.h"
#include "omega.h"
#include "outputs.h"
#include "piped.h"
#include "report.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LARGEST_CONFIGURATION (INT64_C(4) << 20) /* parsed, it takes up to 80 times as much */

/* A safetensors file begins with the length of its header, of which the last bytes are zero: JSON has none of
 * these. */
bool is_configuration(const char *path)
{
    if (text_ends_with(path, ".json"))
        return true;
    char head[8];
    struct stat about;
    if (stat(path, &about) ||
        !S_ISREG(about.st_mode)) /* a pipe would wait, and lose the bytes that are read */
        return false;
    FILE *file = fopen(path, "rb");
    size_t count = file ? fread(head, 1, sizeof head, file) : 0, first = 0;
    if (file)
        fclose(file);
    while (first < count && strchr(" \t\r\n", head[first]) && head[first])
        first++;
    return first < count && head[first] == '{' && !memchr(head, 0, count);
}

static int read_text(char **text, size_t *length, const char *path)
{
    *text = NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        return fail("%s: cannot open: %s", path, strerror(errno));
    size_t capacity = 1 << 16, used = 0;
    char *data = malloc(capacity);
    while (data) {
        used += fread(data + used, 1, capacity - used, file);
        if (used < capacity || used > LARGEST_CONFIGURATION)
            break;
        char *larger = realloc(data, capacity * 2);
        if (!larger)
            free(data);
        data = larger;
        capacity *= 2;
    }
    int failed = !data ? fail_memory() : EXIT_SUCCESS;
    if (data && ferror(file))
        failed = fail("%s: %s", path, strerror(errno));
    else if (data && used > LARGEST_CONFIGURATION)
        failed = fail("%s: too large for a configuration", path);
    fclose(file);
    if (failed) {
        free(data);
        return failed;
    }
    *text = data;
    *length = used;
    return EXIT_SUCCESS;
}

/* A configuration has modules, a recipe a model. */
static bool is_recipe(const json_t *object)
{
    return json_object_get(object, "model") && !json_object_get(object, "modules");
}

/* Of a few bytes of JSON that may describe any model; the values of a model file are as large as it is. */
#define CONFIGURATION_LIMIT (INT64_C(1) << 30)

/* The user may want a model that takes more than the limit. */
static nft_status create_model(nft_model **model, const char *text, size_t length, const cli_options *given)
{
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    options.memory_limit = given->memory_limit ? given->memory_limit : CONFIGURATION_LIMIT;
    return nft_model_create(model, text, length, given->seed, &options);
}

static const char *limit_advice(nft_status status, const cli_options *given)
{
    return status == NFT_ERROR_LIMIT && !given->memory_limit ? "; --memory-limit raises it" : "";
}

static bool is_other_json(const json_t *object)
{
    return json_is_object(object) && !json_object_get(object, "modules") &&
           !json_object_get(object, "model") && !json_object_get(object, "format_version");
}

/* JSON that is too deep or too large is the library's to refuse. */
json_t *load_other_json(const char *path, const cli_options *given)
{
    char *text = NULL;
    size_t length = 0;
    nft_model *none = NULL;
    fail_into((char[1]){0}, 1);
    int failed = read_text(&text, &length, path);
    fail_into(NULL, 0);
    json_t *object = failed ? NULL : json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    bool is_other = is_other_json(object) && create_model(&none, text, length, given) == NFT_ERROR_CONFIG;
    nft_model_free(none);
    free(text);
    if (is_other)
        return object;
    json_decref(object);
    return NULL;
}

/* Says of other JSON that it is no model. */
static int refuse_other_json(const json_t *object, const char *path)
{
    if (!is_other_json(object))
        return EXIT_SUCCESS;
    if (json_is_array(json_object_get(object, "parts")))
        return fail("%s: is an index of networks, expected a model", path);
    return fail("%s: has neither 'modules', as a configuration has, nor 'model', as a recipe has", path);
}

static int load_json(nft_model **model, const char *path, bool may_be_recipe, const cli_options *given)
{
    char *text;
    size_t length = 0;
    nft_status status = NFT_OK;
    int failed = read_text(&text, &length, path);
    json_t *object = failed ? NULL : json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    if (may_be_recipe && is_recipe(object))
        failed = load_model_of_recipe(model, path, json_object_get(object, "model"), given);
    if (!failed && !*model && (status = create_model(model, text, length, given)) == NFT_ERROR_CONFIG)
        failed = refuse_other_json(object, path);
    if (!failed && status)
        failed = fail("%s: %s%s", path, library_message(), limit_advice(status, given));
    json_decref(object);
    free(text);
    return failed;
}

/* `may_be_recipe`: the file was named by the user, not by a recipe. */
static int load_file(nft_model **model, const char *path, bool may_be_recipe, const cli_options *given)
{
    *model = NULL;
    if (is_configuration(path))
        return load_json(model, path, may_be_recipe, given);
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    options.memory_limit = given->memory_limit;
    return nft_model_load(model, path, &options) ? fail_library() : EXIT_SUCCESS;
}

char *path_from_recipe(const char *recipe, const char *path)
{
    const char *slash = is_piped(recipe) ? NULL : strrchr(recipe, '/');
    size_t folder = slash && path[0] != '/' ? (size_t)(slash - recipe) + 1 : 0, length = strlen(path) + 1;
    char *joined = malloc(folder + length);
    if (!joined)
        return NULL;
    memcpy(joined, recipe, folder);
    memcpy(joined + folder, path, length);
    return joined;
}

static int load_file_of_recipe(nft_model **model, const char *recipe, const char *said,
                               const cli_options *given)
{
    char *path = path_from_recipe(recipe, said);
    int failed = path ? check_input(given, path) : fail_memory();
    if (!failed)
        failed = load_file(model, path, false, given);
    free(path);
    return failed;
}

int load_model_of_recipe(nft_model **model, const char *path, const json_t *said, const cli_options *given)
{
    *model = NULL;
    if (json_is_string(said))
        return load_file_of_recipe(model, path, json_string_value(said), given);
    if (!json_is_object(said))
        return fail("%s: 'model' is neither a configuration nor the path of a file", path);
    char *text = json_dumps(said, JSON_COMPACT);
    if (!text)
        return fail_memory();
    nft_status status = create_model(model, text, strlen(text), given);
    free(text);
    return status ? fail("%s: model: %s%s", path, library_message(), limit_advice(status, given))
                  : EXIT_SUCCESS;
}

bool is_model_file(const char *path)
{
    nft_file *file = NULL;
    bool is_model = !nft_file_open(&file, path, NULL) && nft_file_metadata(file, "nft.config");
    nft_file_free(file);
    return is_model;
}

/* A model file, a configuration or a recipe. */
static bool may_be_model(const char *path)
{
    json_t *object = is_configuration(path) ? json_load_file(path, 0, NULL) : NULL;
    bool found =
        object ? json_object_get(object, "modules") || json_object_get(object, "model") : is_model_file(path);
    json_decref(object);
    return found;
}

/* The model is the first of two operands. */
static int refuse_swapped(const char *path, const cli_options *given)
{
    const char *other = given->operand_count == 2 ? given->operands[1] : NULL;
    struct stat about;
    if (!other || path != given->operands[0] || stat(path, &about) || may_be_model(path) ||
        !may_be_model(other))
        return EXIT_SUCCESS;
    return fail("%s: is not a model, but %s is: are the two swapped? Usage is 'nftool %s %s'", path, other,
                given->command->name, given->command->operands);
}

int load_model(nft_model **model, const char *path, const cli_options *given)
{
    *model = NULL;
    return refuse_swapped(path, given) ? EXIT_FAILED : load_file(model, path, true, given);
}

/* The names in "a,b,c", whose commas become ends. `names` has room for one more than there are commas. */
static int64_t split_names(char *text, const char **names)
{
    int64_t count = 0;
    names[count++] = text;
    for (char *c = text; *c; c++)
        if (*c == ',') {
            *c = 0;
            names[count++] = c + 1;
        }
    return count;
}

/* The options --layers and --space, while a file is opened. */
typedef struct reading {
    char *text;
    const char **names;
    nft_space *space;
    nft_load_options options;
} reading;

static int read_layer_names(reading *r, const char *text)
{
    size_t size = strlen(text) + 1;
    r->text = malloc(size);
    r->names = malloc(size * sizeof *r->names);
    if (!r->text || !r->names)
        return fail_memory();
    memcpy(r->text, text, size);
    r->options.layers = r->names;
    r->options.layer_count = split_names(r->text, r->names);
    return EXIT_SUCCESS;
}

int read_space(nft_space **space, const char *path)
{
    return nft_space_load(space, path, NULL) ? fail_library() : EXIT_SUCCESS;
}

static bool says_space(const char *path)
{
    nft_file *file = NULL;
    bool says =
        !is_configuration(path) && !nft_file_open(&file, path, NULL) && nft_file_metadata(file, "nft.space");
    nft_file_free(file);
    return says;
}

/* A model of one space finds the tensors of files that do not say theirs. Chains need no help. */
static const nft_space *space_of_model(const nft_model *model, const char *path)
{
    const nft_space *space = model ? nft_model_describe(model)->space : NULL;
    return space && !nft_space_describe(space)->layer_count && !says_space(path) ? space : NULL;
}

/* Such a model refuses networks of another space, and its own has no residual connections. */
static bool is_of_chain(const nft_model *model)
{
    const nft_space *space = model ? nft_model_describe(model)->space : NULL;
    return space && nft_space_describe(space)->layer_count;
}

static int begin_reading(reading *r, const char *path, const nft_model *model, const cli_options *given)
{
    const char *layers = option_text(given, "layers"), *space = option_text(given, "space");
    *r = (reading){.options = NFT_LOAD_OPTIONS_INIT};
    r->options.memory_limit = given->memory_limit;
    r->options.prefix = option_text(given, "prefix");
    if (layers && space)
        return fail("--layers and --space both describe the networks: give one of them");
    int failed = layers ? read_layer_names(r, layers) : space ? read_space(&r->space, space) : EXIT_SUCCESS;
    r->options.space = r->space;
    if (!failed && !layers && !space)
        r->options.space = space_of_model(model, path);
    return failed;
}

static void end_reading(reading *r)
{
    nft_space_free(r->space);
    free(r->names);
    free(r->text);
}

int refuse_layers(const cli_options *given, const char *path, const char *what)
{
    return option_text(given, "layers") ? fail("%s: is %s; --layers names the layers of weights", path, what)
                                        : EXIT_SUCCESS;
}

void translate_options(char *text, size_t capacity, const char *message)
{
    static const char load[] = "nft_load_options.", collect[] = "nft_collect_options.";
    size_t used = 0;
    for (const char *found; (found = strstr(message, "nft_")) && used < capacity;) {
        size_t field = !strncmp(found, load, sizeof load - 1)         ? sizeof load - 1
                       : !strncmp(found, collect, sizeof collect - 1) ? sizeof collect - 1
                                                                      : 0;
        int before = (int)(found - message) + (field ? 0 : 4);
        used += (size_t)snprintf(text + used, capacity - used, "%.*s%s", before, message, field ? "--" : "");
        message = found + (field ? field : 4);
    }
    if (used < capacity)
        snprintf(text + used, capacity - used, "%s", message);
}

void layers_message(char *text, size_t capacity)
{
    translate_options(text, capacity, library_message());
}

int fail_layers(void)
{
    char message[1024];
    layers_message(message, sizeof message);
    return fail("%s", message);
}

int fail_weights(const char *path)
{
    char message[1024];
    layers_message(message, sizeof message);
    return fail("%s: %s", path, message);
}

const char **list_weights_metadata(const nft_weights *weights)
{
    size_t count = 0;
    while (nft_weights_metadata_at(NULL, weights, (int64_t)count))
        count++;
    const char **list = calloc(2 * count + 1, sizeof *list);
    for (size_t i = 0; i < count && list; i++)
        list[2 * i] = nft_weights_metadata_at(&list[2 * i + 1], weights, (int64_t)i);
    return list;
}

bool has_tensor(const nft_file *file, const char *name)
{
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    for (int64_t i = 0; i < nft_file_tensor_count(file); i++)
        if (!nft_file_tensor(&info, file, i) && !strcmp(info.name, name))
            return true;
    return false;
}

/* They are in the configuration. */
int read_decoder(const nft_model *model, int64_t *height, int64_t *width)
{
    json_t *configuration = json_loads(nft_model_describe(model)->config, 0, NULL);
    if (!configuration)
        return fail_memory();
    const json_t *decoder = json_object_get(configuration, "decoder");
    *height = (int64_t)json_integer_value(json_object_get(decoder, "height"));
    *width = (int64_t)json_integer_value(json_object_get(decoder, "width"));
    json_decref(configuration);
    return EXIT_SUCCESS;
}

static int check_networks(const char *path, const char *what, bool may_be_index)
{
    struct stat about;
    if (stat(path, &about))
        return fail("%s: cannot open: %s", path, strerror(errno));
    if (S_ISDIR(about.st_mode))
        return fail("%s: is a folder, expected a file; 'nftool collect' makes a data set of it", path);
    if (may_be_index && is_piped(path))
        return fail("%s: is an index, whose parts are relative to it; give its file", path);
    if (!may_be_index && is_configuration(path))
        return fail("%s: this is a configuration, or JSON without 'parts', expected %s", path, what);
    return is_model_file(path) ? fail("%s: this is a model, expected %s", path, what) : EXIT_SUCCESS;
}

int load_space(nft_space **space, const char *path, const cli_options *given)
{
    reading r = {0};
    *space = NULL;
    int failed = begin_reading(&r, path, NULL, given);
    if (!failed && nft_space_load(space, path, &r.options))
        failed = fail_layers();
    end_reading(&r);
    return failed;
}

/* A JSON file with parts, and neither modules nor a model. */
bool is_index(const char *path)
{
    if (!is_configuration(path))
        return false;
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    json_t *object = json_loadf(file, 0, NULL);
    bool index = json_is_array(json_object_get(object, "parts")) && !json_object_get(object, "modules") &&
                 !is_recipe(object);
    fclose(file);
    json_decref(object);
    return index;
}

int open_dataset_for(nft_dataset **dataset, const char *path, const char *what, const nft_model *model,
                     const cli_options *given)
{
    reading r = {0};
    *dataset = NULL;
    int failed = check_networks(path, what, is_index(path));
    if (!failed)
        failed = begin_reading(&r, path, model, given);
    bool before = report_chains_known(is_of_chain(model));
    if (before)
        report_chains_known(true);
    if (!failed && nft_dataset_open(dataset, path, &r.options))
        failed = fail_layers();
    report_chains_known(before);
    end_reading(&r);
    return failed;
}

int open_dataset(nft_dataset **dataset, const char *path, const nft_model *model, const cli_options *given)
{
    nft_dataset_part part = NFT_DATASET_PART_INIT;
    int failed = open_dataset_for(dataset, path, "a data set", model, given);
    if (failed || !nft_dataset_describe(*dataset)->count)
        return failed;
    if (nft_dataset_get_part(&part, *dataset, 0))
        return fail_library();
    return part.tokens ? refuse_layers(given, path, "a data set of tokens") : EXIT_SUCCESS;
}

int choose_range(int64_t *first, int64_t *chosen, const cli_options *given, const char *path, int64_t count,
                 const char *word)
{
    uint64_t begin = option_value(given, "first")->integer, most = option_value(given, "count")->integer;
    char held[TEXT_CAPACITY];
    if (begin >= (uint64_t)count)
        return fail("%s: holds %s, the first is 0; --first is %" PRIu64, path, text_plural(held, count, word),
                    begin);
    *first = (int64_t)begin;
    *chosen = count - *first;
    if (most && most < (uint64_t)*chosen)
        *chosen = (int64_t)most;
    return EXIT_SUCCESS;
}
