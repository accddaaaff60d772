#include "sources.h"

#include "metrics.h"
#include "omega.h"
#include "outputs.h"
#include "report.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LARGEST_CONFIGURATION (INT64_C(64) << 20)

/* A safetensors file begins with the length of its header, of which the last bytes are zero: JSON has none of
 * these. */
bool is_configuration(const char *path)
{
    if (text_ends_with(path, ".json"))
        return true;
    char head[8];
    struct stat about;
    if (stat(path, &about) || !S_ISREG(about.st_mode)) /* a pipe would wait, and lose what is read */
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
        return fail("%s: %s", path, strerror(errno));
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

static int load_json(nft_model **model, const char *path, bool may_be_recipe, const cli_options *given)
{
    char *text;
    size_t length = 0;
    int failed = read_text(&text, &length, path);
    json_t *object = failed ? NULL : json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    if (may_be_recipe && is_recipe(object))
        failed = load_model_of_recipe(model, path, json_object_get(object, "model"), given);
    else if (!failed && nft_model_create(model, text, length, given->seed))
        failed = fail("%s: %s", path, library_message());
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
    return nft_model_load(model, path) ? fail_library() : EXIT_SUCCESS;
}

char *path_beside(const char *recipe, const char *path)
{
    const char *slash = strrchr(recipe, '/');
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
    char *path = path_beside(recipe, said);
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
    nft_status status = nft_model_create(model, text, strlen(text), given->seed);
    free(text);
    return status ? fail("%s: model: %s", path, library_message()) : EXIT_SUCCESS;
}

int load_model(nft_model **model, const char *path, const cli_options *given)
{
    return load_file(model, path, true, given);
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

/* What --layers says, for as long as a file is opened. */
typedef struct layer_names {
    char *text;
    const char **names;
    nft_load_options options;
} layer_names;

static bool read_layer_names(layer_names *layers, const cli_options *given)
{
    const char *text = option_text(given, "layers");
    size_t size = text ? strlen(text) + 1 : 0;
    *layers = (layer_names){.options = NFT_LOAD_OPTIONS_INIT};
    if (!text)
        return true;
    layers->text = malloc(size);
    layers->names = malloc(size * sizeof *layers->names);
    if (!layers->text || !layers->names)
        return false;
    memcpy(layers->text, text, size);
    layers->options.layers = layers->names;
    layers->options.layer_count = split_names(layers->text, layers->names);
    return true;
}

static void free_layer_names(layer_names *layers)
{
    free(layers->names);
    free(layers->text);
}

int refuse_layers(const cli_options *given, const char *path, const char *what)
{
    return option_text(given, "layers") ? fail("%s: is %s; --layers names the layers of weights", path, what)
                                        : EXIT_SUCCESS;
}

void layers_message(char *text, size_t capacity)
{
    static const char field[] = "nft_load_options.layers";
    const char *message = library_message(), *found = strstr(message, field);
    if (found)
        snprintf(text, capacity, "%.*s--layers%s", (int)(found - message), message, found + sizeof field - 1);
    else
        snprintf(text, capacity, "%s", message);
}

static int fail_layers(void)
{
    char message[1024];
    layers_message(message, sizeof message);
    return fail("%s", message);
}

const char **list_metadata(const nft_file *file, const char *key, const char *text)
{
    size_t count = 0;
    while (nft_file_metadata_at(NULL, file, (int64_t)count))
        count++;
    const char **list = calloc(2 * count + 3, sizeof *list);
    for (size_t i = 0; i < count && list; i++)
        list[2 * i] = nft_file_metadata_at(&list[2 * i + 1], file, (int64_t)i);
    if (list && text && !nft_file_metadata(file, key)) {
        list[2 * count] = key;
        list[2 * count + 1] = text;
    }
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

static bool is_model_file(const char *path)
{
    nft_file *file = NULL;
    bool is_model = !nft_file_open(&file, path) && nft_file_metadata(file, "nft.config");
    nft_file_free(file);
    return is_model;
}

/* They are in the configuration. */
int read_decoder(const nft_model *model, int64_t *height, int64_t *width, double *omega)
{
    json_t *configuration = json_loads(nft_model_config(model), 0, NULL);
    if (!configuration)
        return fail_memory();
    const json_t *decoder = json_object_get(configuration, "decoder"),
                 *said = json_object_get(decoder, "omega");
    *height = (int64_t)json_integer_value(json_object_get(decoder, "height"));
    *width = (int64_t)json_integer_value(json_object_get(decoder, "width"));
    *omega = said ? json_number_value(said) : DEFAULT_OMEGA;
    json_decref(configuration);
    return EXIT_SUCCESS;
}

int load_weights(nft_weights **weights, const char *path, const cli_options *given)
{
    *weights = NULL;
    if (is_configuration(path))
        return fail("%s: this is a configuration, expected weights", path);
    if (is_model_file(path))
        return fail("%s: this is a model, expected weights", path);
    layer_names layers;
    int failed = read_layer_names(&layers, given) ? EXIT_SUCCESS : fail_memory();
    if (!failed && nft_weights_load_with(weights, path, &layers.options))
        failed = fail_layers();
    free_layer_names(&layers);
    return failed;
}

int open_dataset(nft_dataset **dataset, const char *path, const cli_options *given)
{
    *dataset = NULL;
    if (is_configuration(path))
        return fail("%s: this is a configuration, expected a data set", path);
    if (is_model_file(path))
        return fail("%s: this is a model, expected a data set", path);
    layer_names layers;
    int failed = read_layer_names(&layers, given) ? EXIT_SUCCESS : fail_memory();
    if (!failed && nft_dataset_open(dataset, path, &layers.options))
        failed = fail_layers();
    free_layer_names(&layers);
    return failed || nft_dataset_space(*dataset) ? failed
                                                 : refuse_layers(given, path, "a data set of tokens");
}

int read_targets(nft_array **targets, const nft_dataset *dataset)
{
    nft_status status = nft_dataset_read_tensor(targets, dataset, "label");
    if (status == NFT_ERROR_ARGUMENT)
        status = nft_dataset_read_tensor(targets, dataset, "target");
    return status ? fail_library() : EXIT_SUCCESS;
}

static bool add_extra(cli_input *input, const char *name, const nft_array *array, nft_array *owned)
{
    cli_extra *extra = &input->extras[input->extra_count];
    size_t size = strlen(name) + 1;
    *extra = (cli_extra){.name = malloc(size), .array = array, .owned = owned};
    if (!extra->name)
        return false;
    memcpy(extra->name, name, size);
    input->extra_count++;
    return true;
}

static int load_weights_input(cli_input *input, const char *path, const cli_options *given)
{
    int failed = load_weights(&input->weights, path, given);
    if (failed)
        return failed;
    input->count = nft_weights_count(input->weights);
    int64_t extras = nft_weights_extra_count(input->weights);
    input->extras = calloc((size_t)extras + 1, sizeof *input->extras);
    if (!input->extras)
        return fail_memory();
    for (int64_t i = 0; i < extras; i++) {
        const char *name = nft_weights_extra_name(input->weights, i);
        if (!add_extra(input, name, nft_weights_extra(input->weights, name), NULL))
            return fail_memory();
    }
    return EXIT_SUCCESS;
}

/* Every tensor beside `output` whose leading axis is N. */
static int read_extras(cli_input *input, const nft_file *file)
{
    int64_t tensors = nft_file_tensor_count(file);
    input->extras = calloc((size_t)tensors + 1, sizeof *input->extras);
    if (!input->extras)
        return fail_memory();
    for (int64_t i = 0; i < tensors; i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        nft_array *array = NULL;
        if (nft_file_tensor(&info, file, i))
            return fail_library();
        if (!strcmp(info.name, "output") || info.rank < 1 || info.shape[0] != input->count)
            continue;
        if (nft_file_read(&array, file, info.name))
            return fail_library();
        if (!add_extra(input, info.name, array, array)) {
            nft_array_free(array);
            return fail_memory();
        }
    }
    return EXIT_SUCCESS;
}

static int load_tokens_input(cli_input *input, const char *path, const cli_options *given)
{
    nft_file *file = NULL;
    int failed = refuse_layers(given, path, "a file of tokens to this model");
    if (failed)
        return failed;
    if (nft_file_open(&file, path))
        return fail_library();
    if (!has_tensor(file, "output"))
        failed = fail("%s: no tensor 'output': the model takes tokens (N, tokens, channels), as 'nftool "
                      "forward' writes them",
                      path);
    else if (nft_file_read(&input->tokens, file, "output"))
        failed = fail_library();
    else if (nft_array_rank(input->tokens) != 3)
        failed = fail("%s: tensor 'output' has %" PRId64 " axes, expected 3: (N, tokens, channels)", path,
                      nft_array_rank(input->tokens));
    else if (!nft_array_f32(input->tokens))
        failed = fail("%s: tensor 'output' holds integers, expected floats", path);
    else if (nft_array_size(input->tokens, 0) && !nft_array_count(input->tokens))
        failed = fail("%s: tensor 'output' is %" PRId64 " samples of no numbers, expected at least one", path,
                      nft_array_size(input->tokens, 0));
    if (!failed) {
        input->count = nft_array_size(input->tokens, 0);
        failed = read_extras(input, file);
    }
    nft_file_free(file);
    return failed;
}

int load_input(cli_input *input, const nft_model *model, const char *path, const cli_options *given)
{
    *input = (cli_input){0};
    int failed = nft_model_space(model) ? load_weights_input(input, path, given)
                                        : load_tokens_input(input, path, given);
    if (!failed && input->count == 0)
        failed = fail("%s: holds no networks", path);
    return failed;
}

void free_input(cli_input *input)
{
    for (int64_t i = 0; i < input->extra_count; i++) {
        free(input->extras[i].name);
        nft_array_free(input->extras[i].owned);
    }
    free(input->extras);
    nft_array_free(input->tokens);
    nft_weights_free(input->weights);
    *input = (cli_input){0};
}

const nft_array *input_extra(const cli_input *input, const char *name)
{
    for (int64_t i = 0; i < input->extra_count; i++)
        if (!strcmp(input->extras[i].name, name))
            return input->extras[i].array;
    return NULL;
}

static bool is_finite_network(const nft_weights *weights, int64_t network)
{
    int64_t count = nft_weights_count(weights);
    for (int64_t t = 0; t < nft_space_tensor_count(nft_weights_space(weights)); t++) {
        int64_t row = nft_weights_data_count(weights, t) / count;
        if (!all_finite(nft_weights_data(weights, t) + network * row, row))
            return false;
    }
    return true;
}

int64_t count_non_finite_networks(const nft_weights *weights)
{
    int64_t found = 0;
    for (int64_t n = 0; n < nft_weights_count(weights); n++)
        found += !is_finite_network(weights, n);
    return found;
}

int64_t count_non_finite_inputs(const cli_input *input)
{
    if (input->weights)
        return count_non_finite_networks(input->weights);
    int64_t found = 0, row = input->count ? nft_array_count(input->tokens) / input->count : 0;
    for (int64_t n = 0; n < input->count; n++)
        found += !all_finite(nft_array_f32(input->tokens) + n * row, row);
    return found;
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
