/* Parts become a data set: all of them get their names at once, and an index names them. */
#define _POSIX_C_SOURCE 200809L
#include "config/json.h"
#include "io/collect/collect.h"
#include "io/collect/part_file.h"
#include "io/index.h"
#include "io/system.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char index_end[] = ".json";

/* `synchronise`: everything that was written before is on the disk afterwards. */
static nft_status cut_group(const nft_collection *collection, int64_t g, bool synchronise)
{
    nft_part_file part = {.descriptor = -1};
    char *path = nft_collection_part_path(collection, g);
    nft_status status =
        path ? nft_part_file_open(&part, path, nft_collection_fingerprint(collection, &collection->groups[g]),
                                  false)
             : nft_fail_memory("a path", (int64_t)strlen(collection->outputs[0]));
    if (!status)
        status = nft_part_file_finish(&part);
    if (!status && synchronise && !nft_sync_all(part.descriptor))
        status = nft_fail_system(path, "write");
    nft_part_file_close(&part);
    nft_release(path);
    return status;
}

static nft_status rename_group(const nft_collection *collection, int64_t g)
{
    nft_text name = {0};
    nft_status status = NFT_OK;
    char *path = nft_collection_part_path(collection, g);
    nft_text_append(&name, "%s.partial", path ? path : "");
    if (!path || name.failed)
        status = nft_fail_memory("a path", (int64_t)strlen(collection->outputs[0]));
    else if (rename(name.data, path))
        status = nft_fail_system(path, "replace");
    nft_text_clear(&name);
    nft_release(path);
    return status;
}

static nft_status write_text(const char *path, const nft_text *text)
{
    nft_replacement replacement;
    const char *action = "write";
    nft_status status = nft_replacement_create(&replacement, path);
    if (status)
        return status;
    if (!nft_write_fully(replacement.descriptor, text->data, (int64_t)text->length) ||
        !nft_sync(replacement.descriptor) || !nft_replacement_commit(&replacement, &action))
        status = nft_fail_system(path, action);
    nft_replacement_clear(&replacement);
    return status;
}

static nft_status write_index(const nft_collection *collection, int64_t set)
{
    nft_text text = {0};
    const char *output = collection->outputs[set], *slash = strrchr(output, '/');
    size_t folder = slash ? (size_t)(slash - output) + 1 : 0;
    bool first = true;
    json_t *name = NULL;
    nft_text_append(&text, "{\"format_version\": 1, \"parts\": [");
    for (int64_t g = 0; g < collection->group_count; g++) {
        char *path = nft_collection_part_path(collection, g);
        if (collection->groups[g].set != set || !collection->groups[g].networks || !path) {
            nft_release(path);
            continue;
        }
        name = json_string(path + folder);
        nft_text_append(&text, first ? "\n  {\"file\": " : ",\n  {\"file\": ");
        if (!name || !nft_json_append(&text, name, JSON_ENCODE_ANY))
            text.failed = true;
        nft_text_append(&text, ", \"count\": %" PRId64 "}", collection->groups[g].networks);
        json_decref(name);
        nft_release(path);
        first = false;
    }
    nft_text_append(&text, "\n]}\n");
    nft_status status = text.failed ? nft_fail(NFT_ERROR_ARGUMENT, "%s: the path is not UTF-8", output)
                                    : write_text(output, &text);
    nft_text_clear(&text);
    return status;
}

/* Parts of an index that stood there before and that are none any more. */
static void remove_old_parts(const nft_collection *collection, const char *output, const nft_index *old)
{
    for (int64_t i = 0; i < old->count; i++) {
        bool is_new = false;
        for (int64_t g = 0; g < collection->group_count && !is_new; g++) {
            char *path = nft_collection_part_path(collection, g);
            is_new = path && collection->groups[g].networks && !strcmp(path, old->parts[i].path);
            nft_release(path);
        }
        size_t stem = strlen(output) - strlen(index_end);
        if (!is_new && !strncmp(old->parts[i].path, output, stem) && old->parts[i].path[stem] == '-')
            unlink(old->parts[i].path);
    }
}

static void remove_partial(const nft_collection *collection, int64_t g)
{
    char *path = nft_collection_part_path(collection, g);
    nft_text name = {0};
    nft_text_append(&name, "%s.partial", path ? path : "");
    if (path && !name.failed)
        unlink(name.data);
    nft_text_clear(&name);
    nft_release(path);
}

/* The parts of one data set get their names, and an index names them. */
static nft_status commit_set(const nft_collection *collection, int64_t set)
{
    nft_index old = {0};
    nft_status status = NFT_OK;
    const char *output = collection->outputs[set];
    bool is_index = nft_collection_makes_index(collection);
    if (is_index && !access(output, R_OK) && nft_index_read(&old, output))
        old.count = 0;                           /* it is something else that is replaced */
    if (is_index && old.count && unlink(output)) /* its parts change now */
        status = nft_fail_system(output, "replace");
    for (int64_t g = 0; g < collection->group_count && !status; g++) {
        if (collection->groups[g].set != set)
            continue;
        if (collection->groups[g].networks)
            status = rename_group(collection, g);
        else
            remove_partial(collection, g);
    }
    if (!status && is_index) {
        status = write_index(collection, set);
        if (!status)
            remove_old_parts(collection, output, &old);
    }
    nft_index_clear(&old);
    return status;
}

static nft_status commit(const nft_collection *collection)
{
    nft_status status = NFT_OK;
    for (int64_t g = 0; g < collection->group_count && !status; g++)
        status = cut_group(collection, g, g == collection->group_count - 1);
    for (int64_t set = 0; set < collection->set_count && !status; set++)
        status = commit_set(collection, set);
    return status;
}

static nft_status check_spaces(const nft_collection *collection)
{
    int64_t groups = collection->group_count;
    if (!groups)
        return nft_fail(NFT_ERROR_FORMAT, "no network is left: all %" PRId64 " are left out",
                        collection->left_out);
    if (groups == 1 || nft_collection_makes_index(collection))
        return NFT_OK;
    return nft_fail(NFT_ERROR_MISMATCH,
                    "%s and %s differ in their spaces, names or metadata (there are %" PRId64
                    " kinds), which one file cannot hold; write an index, OUT.json",
                    collection->items[collection->groups[0].members[0]].path,
                    collection->items[collection->groups[1].members[0]].path, groups);
}

/* Files that turned out not to be finite may have been all of a set. */
static nft_status check_sets(const nft_collection *collection)
{
    for (int64_t set = 0; set < collection->set_count; set++) {
        int64_t networks = 0;
        for (int64_t g = 0; g < collection->group_count; g++)
            networks += collection->groups[g].set == set ? collection->groups[g].networks : 0;
        if (!networks)
            return collection->set_count > 1
                       ? nft_fail(NFT_ERROR_FORMAT, "%s: no network is left for it", collection->outputs[set])
                       : nft_fail(NFT_ERROR_FORMAT, "no network is left: all are left out");
    }
    return NFT_OK;
}

nft_status nft_collection_write(nft_collection *collection)
{
    bool is_first = !collection->options.rank;
    nft_status status = check_spaces(collection);
    if (!status && collection->set_count > 1)
        status = nft_collection_split(collection);
    status = nft_collection_meet(collection, status);
    if (status)
        return status;
    for (int64_t g = 0; g < collection->group_count && !status; g++)
        status = nft_collection_write_group(collection, g);
    if (!status)
        status = nft_collection_meet(collection, check_sets(collection));
    if (!status)
        status = nft_collection_meet(collection, is_first ? commit(collection) : NFT_OK);
    /* After a failure nothing stays; after an interruption the same call continues. */
    for (int64_t g = 0;
         status && is_first && collection->failure != NFT_ERROR_CANCELLED && g < collection->group_count; g++)
        remove_partial(collection, g);
    return status;
}
