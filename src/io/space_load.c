/* Spaces of files: of networks, or written down as JSON. */
#define _POSIX_C_SOURCE 200809L
#include "config/json.h"
#include "io/collect/collect.h"
#include "io/load_options.h"
#include "io/network.h"
#include "io/space_json.h"
#include "io/system.h"
#include "nft/file.h"
#include "space/weights.h"

#include <string.h>
#include <unistd.h>

#define BEGINNING 64

/* Whether the first character that is no blank is a bracket, with text behind it. */
static bool begins_like_json(const char start[BEGINNING + 1], size_t length)
{
    return start[strspn(start, " \t\r\n")] == '{' && !memchr(start, 0, length);
}

static nft_status read_beginning(char *start, int64_t *length, const char *path)
{
    int descriptor = -1;
    int64_t size = 0;
    nft_status status = nft_open_regular(path, &descriptor, &size);
    if (status)
        return status;
    *length = size < BEGINNING ? size : BEGINNING;
    status = nft_read_at(descriptor, 0, *length, start);
    close(descriptor);
    return status ? nft_fail_in(status, "%s", path) : NFT_OK;
}

/* A recipe has its space in its model, a configuration or a sidecar under `space`; else it is one. */
static nft_status parse_space(nft_space **space, const json_t *json)
{
    const json_t *model = json_object_get(json, "model");
    const json_t *inner = json_object_get(json_is_object(model) ? model : json, "space");
    if (json_is_string(inner))
        return nft_fail(NFT_ERROR_FORMAT, "the model reads networks of any space and has none itself");
    return nft_space_from_json(space, inner && !json_is_null(inner) ? inner : json);
}

static nft_status load(nft_space **space, const char *path, const nft_load_options *options, bool is_inner);

/* A recipe may name the file of its model, relative to itself. That is no recipe again. */
static nft_status read_model_of_recipe(nft_space **space, const char *recipe, const char *model)
{
    const nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    const char *slash = strrchr(recipe, '/');
    nft_text path = {0};
    nft_text_append(&path, "%.*s%s", slash && model[0] != '/' ? (int)(slash + 1 - recipe) : 0, recipe, model);
    nft_status status = path.failed ? nft_fail_memory("a path", (int64_t)strlen(model))
                                    : load(space, path.data, &options, true);
    nft_text_clear(&path);
    return status;
}

/* An index of shards is JSON, too, and holds a network. A recipe in memory has no file that its paths are
 * relative to. */
static nft_status parse_json(nft_space **space, bool *found, const char *path, bool is_inner,
                             const char *text, size_t length)
{
    json_t *json = NULL;
    nft_status status = nft_json_parse(&json, text, length);
    if (status)
        return status;
    *found = !json_object_get(json, "weight_map");
    if (*found && path && json_is_string(json_object_get(json, "model")) && !is_inner)
        status = read_model_of_recipe(space, path, json_string_value(json_object_get(json, "model")));
    else if (*found)
        status = parse_space(space, json);
    json_decref(json);
    return status;
}

/* Leaves *found as it is unless the file is JSON with a space. */
static nft_status read_json_file(nft_space **space, bool *found, const char *path, bool is_inner)
{
    char start[BEGINNING + 1] = {0}, *text = NULL;
    int64_t first = 0;
    size_t length = 0;
    nft_status status = read_beginning(start, &first, path);
    if (status || !begins_like_json(start, (size_t)first))
        return status;
    if ((status = nft_read_text_file(&text, &length, path)))
        return status;
    status = parse_json(space, found, path, is_inner, text, length);
    nft_release(text);
    return status ? nft_fail_in(status, "%s", path) : NFT_OK;
}

static nft_status read_json_bytes(nft_space **space, bool *found, const nft_load_options *options)
{
    char start[BEGINNING + 1] = {0};
    size_t first = options->byte_count < BEGINNING ? options->byte_count : BEGINNING;
    memcpy(start, options->bytes, first);
    if (!begins_like_json(start, first))
        return NFT_OK;
    nft_status status = parse_json(space, found, NULL, false, options->bytes, options->byte_count);
    return status ? nft_fail_in(status, "memory") : NFT_OK;
}

/* A model file's tensors are parameters: its configuration says the space of the networks that it reads. */
static nft_status read_configuration(nft_space **space, const char *text)
{
    json_t *json = NULL;
    nft_status status = nft_json_parse(&json, text, strlen(text));
    if (!status)
        status = parse_space(space, json);
    json_decref(json);
    return status;
}

/* Takes the file over. */
static nft_status read_network(nft_space **space, nft_file *file, const nft_load_options *options)
{
    nft_network network = {0};
    const char *configuration = nft_file_metadata(file, "nft.config");
    nft_status status =
        configuration ? read_configuration(space, configuration) : nft_network_find(&network, file, options);
    if (!status && !configuration)
        status = nft_space_with_names(space, network.space, network.names);
    if (!status)
        nft_network_tell(&network, file);
    if (status)
        nft_fail_in(status, "%s", file->path);
    nft_network_clear(&network);
    nft_file_free(file);
    return status;
}

static nft_status load(nft_space **space, const char *path, const nft_load_options *options, bool is_inner)
{
    static const char function[] = "nft_space_load";
    nft_load_options filled;
    nft_file *file = NULL;
    bool found = false;
    nft_status status = nft_fill_load_options(function, &filled, options);
    if (!status && path && !filled.bytes)
        status = read_json_file(space, &found, path, is_inner);
    else if (!status && filled.bytes && !path)
        status = read_json_bytes(space, &found, &filled);
    if (status || found)
        return status;
    status = nft_open_to_load(function, &file, path, &filled, options);
    return status ? status : read_network(space, file, &filled);
}

nft_status nft_space_load(nft_space **space, const char *path, const nft_load_options *options)
{
    if (!space)
        return nft_fail_null("nft_space_load", "space");
    *space = NULL;
    return load(space, path, options, false);
}
