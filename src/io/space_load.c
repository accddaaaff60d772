/* Spaces of files: of networks, or written down as JSON. */
#define _POSIX_C_SOURCE 200809L
#include "config/json.h"
#include "io/collect/collect.h"
#include "io/load_options.h"
#include "io/network.h"
#include "io/space_json.h"
#include "io/system.h"
#include "space/weights.h"

#include <string.h>
#include <unistd.h>

#define BEGINNING 64

/* Whether the first byte that is no blank is a bracket, with text behind it. */
static nft_status begins_like_json(bool *json, const char *path)
{
    char start[BEGINNING + 1] = {0};
    int descriptor = -1;
    int64_t size = 0;
    nft_status status = nft_open_regular(path, &descriptor, &size);
    if (status)
        return status;
    int64_t first = size < BEGINNING ? size : BEGINNING;
    status = nft_read_at(descriptor, 0, first, start);
    close(descriptor);
    *json = start[strspn(start, " \t\r\n")] == '{' && !memchr(start, 0, (size_t)first);
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

/* An index of shards is JSON, too, and holds a network. */
static nft_status read_json(nft_space **space, bool *found, const char *path, bool is_inner)
{
    char *text = NULL;
    size_t length = 0;
    json_t *json = NULL;
    nft_status status = nft_read_text_file(&text, &length, path);
    if (status)
        return status;
    status = nft_json_parse(&json, text, length);
    nft_release(text);
    if (status)
        return nft_fail_in(status, "%s", path);
    *found = !json_object_get(json, "weight_map");
    if (*found && json_is_string(json_object_get(json, "model")) && !is_inner)
        status = read_model_of_recipe(space, path, json_string_value(json_object_get(json, "model")));
    else if (*found)
        status = parse_space(space, json);
    json_decref(json);
    return status ? nft_fail_in(status, "%s", path) : NFT_OK;
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

static nft_status read_network(nft_space **space, const char *path, const nft_load_options *options)
{
    nft_file *file = NULL;
    nft_network network = {0};
    nft_status status = nft_file_open(&file, path);
    if (status)
        return status;
    const char *configuration = nft_file_metadata(file, "nft.config");
    status =
        configuration ? read_configuration(space, configuration) : nft_network_find(&network, file, options);
    if (!status && !configuration)
        status = nft_space_with_names(space, network.space, network.names);
    if (!status)
        nft_network_tell(&network, file);
    if (!status && network.may_have_sums)
        nft_log(NFT_LOG_WARNING, "%s: " NFT_MAY_HAVE_SUMS, path);
    if (status)
        nft_fail_in(status, "%s", path);
    nft_network_clear(&network);
    nft_file_free(file);
    return status;
}

static nft_status load(nft_space **space, const char *path, const nft_load_options *options, bool is_inner)
{
    bool json = false, found = false;
    nft_status status = begins_like_json(&json, path);
    if (!status && json)
        status = read_json(space, &found, path, is_inner);
    return status || found ? status : read_network(space, path, options);
}

nft_status nft_space_load(nft_space **space, const char *path, const nft_load_options *options)
{
    nft_load_options filled;
    if (!space)
        return nft_fail_null("nft_space_load", "space");
    *space = NULL;
    if (!path)
        return nft_fail_null("nft_space_load", "path");
    nft_status status = nft_fill_load_options("nft_space_load", &filled, options);
    return status ? status : load(space, path, &filled, false);
}
