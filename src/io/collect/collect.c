#define _POSIX_C_SOURCE 200809L
#include "io/collect/collect.h"

#include <string.h>

static nft_status fill_options(nft_collect_options *filled, const nft_collect_options *given)
{
    *filled = (nft_collect_options)NFT_COLLECT_OPTIONS_INIT;
    if (!given)
        return NFT_OK;
    if (given->size < sizeof given->size)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_collect: options->size is %zu; begin with NFT_COLLECT_OPTIONS_INIT",
                        given->size);
    memcpy(filled, given, given->size < sizeof *filled ? given->size : sizeof *filled);
    if (filled->layers && (filled->space || filled->layer_count < 1))
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_collect: options->layers needs options->layer_count names, and no space");
    if (filled->also_count < 0 || (filled->also_count && !filled->also))
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_collect: options->also does not hold options->also_count names");
    if (filled->ranks < 0 || filled->rank < 0 || filled->rank >= (filled->ranks > 1 ? filled->ranks : 1) ||
        (filled->ranks > 1 && !filled->reduce))
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_collect: options->rank is %d of %d; several ranks need options->reduce",
                        (int)filled->rank, (int)filled->ranks);
    return NFT_OK;
}

const char *nft_collection_skip_advice(const nft_collection *collection)
{
    return collection->options.skip ? "" : "; nft_collect_options.skip leaves such networks out";
}

nft_status nft_collection_leave_out(nft_collection *collection, nft_collected *item, nft_status status)
{
    if (!collection->options.skip || status == NFT_ERROR_MEMORY || status == NFT_ERROR_ARGUMENT)
        return status;
    const char *reason = nft_error_message();
    size_t length = strlen(item->path);
    if (!strncmp(reason, item->path, length) && !strncmp(reason + length, ": ", 2))
        reason += length + 2;
    collection->left_out += item->networks ? item->networks : 1;
    /* Of what all ranks see, the first one tells. */
    if (collection->options.left_out && (collection->writing || !collection->options.rank))
        collection->options.left_out(item->path, reason, collection->options.user);
    return NFT_OK;
}

nft_status nft_collection_step(nft_collection *collection)
{
    collection->done++;
    if (collection->done > collection->total) /* a file that is written twice */
        collection->done = collection->total;
    if (!collection->options.progress ||
        !collection->options.progress(collection->done, collection->total, collection->options.user))
        return NFT_OK;
    return nft_fail(NFT_ERROR_CANCELLED, "stopped by the progress callback");
}

static void clear_columns(nft_collection *collection)
{
    for (int64_t i = 0; i < collection->column_count; i++) {
        for (int64_t k = 0; k < collection->columns[i].class_count; k++)
            nft_release(collection->columns[i].classes[k]);
        nft_release(collection->columns[i].classes);
    }
    nft_release(collection->columns);
}

void nft_group_clear(nft_group *group)
{
    for (int64_t t = 0; group->names && t < group->space->tensor_count; t++)
        nft_release(group->names[t]);
    nft_release(group->names);
    nft_metadata_clear(&group->metadata);
    nft_release(group->members);
    nft_space_free(group->space);
}

static void clear(nft_collection *collection)
{
    for (int64_t i = 0; collection->items && i < collection->item_count; i++) {
        nft_value *values = collection->items[i].values;
        for (int64_t k = 0; values && k < collection->column_count; k++)
            nft_value_clear(&values[k]);
        nft_release(values);
        nft_release(collection->items[i].rows);
    }
    nft_release(collection->items);
    for (int64_t g = 0; g < collection->group_count; g++)
        nft_group_clear(&collection->groups[g]);
    nft_release(collection->groups);
    nft_release(collection->slots);
    for (int64_t i = 0; i < collection->unread_count; i++)
        nft_release(collection->unread[i].kind);
    nft_release(collection->unread);
    nft_release(collection->flags);
    for (int64_t set = 0; set < collection->set_count; set++)
        nft_release(collection->outputs[set]);
    nft_label_table_clear(&collection->table, collection->column_count);
    clear_columns(collection);
    nft_paths_clear(&collection->paths);
}

static nft_status find_networks(nft_collection *collection, const char *const *paths, int64_t count)
{
    nft_status status = NFT_OK;
    if (collection->options.preset)
        status = nft_preset_find(&collection->preset, collection->options.preset);
    if (!status && collection->preset)
        nft_preset_fill(&collection->options, collection->preset);
    if (!status)
        status = nft_collection_open_labels(collection);
    const char *table = collection->source == NFT_LABELS_TABLE ? collection->options.labels : NULL;
    if (!status)
        status = nft_paths_find(&collection->paths, paths, count, (const char *const *)collection->outputs,
                                table, collection->preset ? collection->preset->files : NULL);
    collection->total = 2 * collection->paths.count;
    return status ? status : nft_collection_group(collection);
}

static nft_status make_flags(nft_collection *collection)
{
    int32_t ranks = collection->options.ranks;
    if (ranks < 2)
        return NFT_OK;
    collection->flags = nft_allocate_array((size_t)ranks, sizeof *collection->flags);
    return collection->flags ? NFT_OK : nft_fail_memory("a list of ranks", ranks);
}

static void fill_result(nft_collect_result *result, const nft_collection *collection)
{
    nft_collect_result filled = {.left_out = collection->left_out, .resumed = collection->resumed};
    for (int64_t g = 0; g < collection->group_count; g++) {
        const nft_group *group = &collection->groups[g];
        int64_t same = 0;
        while (same < g &&
               (collection->groups[same].kind != group->kind || !collection->groups[same].networks))
            same++;
        filled.networks += group->networks;
        filled.spaces += group->networks > 0 && same == g;
        if (collection->set_count > 1)
            filled.sets[group->set] += group->networks;
    }
    filled.size = result->size;
    memcpy(result, &filled, result->size < sizeof filled ? result->size : sizeof filled);
}

nft_status nft_collect(nft_collect_result *result, const char *const *paths, int64_t count,
                       const char *output, const nft_collect_options *options)
{
    nft_collection collection = {.set_count = 0};
    if (!paths || !output)
        return nft_fail_null("nft_collect", paths ? "output" : "paths");
    if (count < 1)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_collect: there are no paths");
    if (result && result->size < sizeof result->size)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_collect: result->size is %zu; begin with NFT_COLLECT_RESULT_INIT", result->size);
    nft_status status = fill_options(&collection.options, options);
    if (!status)
        status = nft_collection_name_outputs(&collection, output);
    if (!status)
        status = make_flags(&collection);
    if (!status)
        status = nft_collection_meet(&collection, find_networks(&collection, paths, count));
    if (!status)
        status = nft_collection_write(&collection);
    if (!status && result)
        fill_result(result, &collection);
    clear(&collection);
    return status;
}
