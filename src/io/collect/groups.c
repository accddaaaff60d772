/* The first pass: spaces and labels of all files, from their headers. */
#define _POSIX_C_SOURCE 200809L
#include "io/collect/collect.h"

#include "base/random.h"
#include "config/json.h"
#include "io/adapt.h"
#include "io/dataset.h"
#include "io/fold.h"
#include "io/formats/format.h"
#include "io/sidecar.h"
#include "io/views.h"
#include "space/space.h"
#include "space/weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_EPS 1e-5 /* PyTorch's */

/* --- a file and its sidecar --- */

/* A space of tensors and axes has the norms, too. The file then describes the space without them, and the
 * options have none. */
static nft_status fold(nft_text *note, nft_file *file, const nft_collection *collection,
                       nft_load_options *load)
{
    double eps = collection->options.norm_eps > 0 ? collection->options.norm_eps : DEFAULT_EPS;
    nft_space *described = NULL, *folded = NULL;
    nft_load_options with = *load;
    bool by_sidecar = false;
    if (file->format == &nft_format_onnx)
        return nft_fail(
            NFT_ERROR_ARGUMENT,
            "norms of a graph are not folded; collect the state dicts, with a space of tensors in "
            "their sidecars or as the space of all");
    nft_status status = nft_network_described(&described, &by_sidecar, file, load);
    with.space = load->space ? load->space : described;
    if (!status)
        status = nft_file_adapt(file, &with);
    if (!status)
        status = nft_fold_norms(&folded, note, file, &with, eps);
    if (!status && folded) {
        load->space = NULL;
        status = nft_file_add_metadata(file, NFT_SPACE_KEY, folded->json);
    }
    nft_space_free(folded);
    nft_space_free(described);
    return status;
}

nft_status nft_collection_open(nft_opened *opened, const nft_collection *collection, const char *path)
{
    nft_load_options load = NFT_LOAD_OPTIONS_INIT;
    *opened = (nft_opened){0};
    nft_status status = nft_file_open_quietly(&opened->file, path);
    if (status)
        return status;
    load.space = collection->options.space;
    load.prefix = collection->options.prefix;
    load.layers = collection->options.layers;
    load.layer_count = collection->options.layer_count;
    if (collection->source == NFT_LABELS_SIDECAR)
        status = nft_sidecar_read(&opened->sidecar, path);
    if (!status)
        status = nft_collection_show(collection, opened->file);
    if (!status && collection->options.fold_norms)
        status = fold(&opened->folds, opened->file, collection, &load);
    if (!status)
        status = nft_network_find(&opened->network, opened->file, &load);
    if (!status)
        status = nft_collection_order_axes(collection, opened->file, &opened->network);
    if (!status && opened->network.rank > 2)
        status = nft_fail(NFT_ERROR_FORMAT, "it holds features of %" PRId64 " channels, expected weights",
                          opened->network.channels);
    return status ? nft_fail_in(status, "%s", path) : NFT_OK;
}

void nft_opened_close(nft_opened *opened)
{
    nft_network_clear(&opened->network);
    nft_text_clear(&opened->folds);
    nft_file_free(opened->file);
    json_decref(opened->sidecar);
    *opened = (nft_opened){0};
}

/* --- groups --- */

static bool is_kept(const char *key)
{
    return strcmp(key, NFT_SPACE_KEY) != 0 && strcmp(key, "format") != 0;
}

static uint64_t hash_network(const nft_network *network, const nft_file *file)
{
    uint64_t hash = network->space->hash;
    for (int64_t t = 0; t < network->space->tensor_count && !network->space->layer_count; t++)
        hash = (hash ^ nft_random_stream(network->space->tensors[t].name)) * UINT64_C(0x9e3779b97f4a7c15);
    for (int64_t i = 0; i < file->metadata_count; i++) /* in any order */
        if (is_kept(file->metadata[i].key))
            hash += nft_random_stream(file->metadata[i].key) ^ nft_random_stream(file->metadata[i].value);
    return hash;
}

/* Models of any space depend on names and roles of tensors. Layers of a chain are known by their order. */
static bool have_equal_names(const nft_space *a, const nft_space *b)
{
    if (!a->layer_count != !b->layer_count)
        return false;
    for (int64_t t = 0; t < a->tensor_count && !a->layer_count; t++)
        if (strcmp(a->tensors[t].name, b->tensors[t].name) != 0 || a->tensors[t].role != b->tensors[t].role ||
            !a->tensors[t].from != !b->tensors[t].from)
            return false;
    return true;
}

static bool have_equal_metadata(const nft_group *group, const nft_file *file)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < file->metadata_count; i++) {
        if (!is_kept(file->metadata[i].key))
            continue;
        const char *text = nft_metadata_get(&group->metadata, file->metadata[i].key);
        if (!text || strcmp(text, file->metadata[i].value) != 0)
            return false;
        kept++;
    }
    return kept == group->metadata.count;
}

static void put_in_slot(nft_collection *collection, int64_t group)
{
    uint64_t mask = (uint64_t)collection->slot_count - 1, at = collection->groups[group].hash & mask;
    while (collection->slots[at] >= 0)
        at = (at + 1) & mask;
    collection->slots[at] = group;
}

/* At most half of the slots are taken. */
static nft_status make_slots(nft_collection *collection)
{
    if (2 * (collection->group_count + 1) <= collection->slot_count)
        return NFT_OK;
    int64_t count = collection->slot_count ? 2 * collection->slot_count : 64;
    int64_t *slots = nft_allocate_array((size_t)count, sizeof *slots);
    if (!slots)
        return nft_fail_memory("a table of spaces", count * (int64_t)sizeof *slots);
    for (int64_t i = 0; i < count; i++)
        slots[i] = -1;
    nft_release(collection->slots);
    collection->slots = slots;
    collection->slot_count = count;
    for (int64_t g = 0; g < collection->group_count; g++)
        put_in_slot(collection, g);
    return NFT_OK;
}

static nft_group *find_group(const nft_collection *collection, uint64_t hash, const nft_network *network,
                             const nft_file *file)
{
    uint64_t mask = (uint64_t)collection->slot_count - 1;
    for (uint64_t at = hash & mask; collection->slots[at] >= 0; at = (at + 1) & mask) {
        nft_group *group = &collection->groups[collection->slots[at]];
        if (group->hash == hash && nft_space_equal(group->space, network->space) &&
            have_equal_names(group->space, network->space) && have_equal_metadata(group, file))
            return group;
    }
    return NULL;
}

/* A chain keeps the names of its layers; other networks have those of the space. */
static nft_status copy_names(nft_group *group, const nft_network *network, const char *prefix)
{
    size_t length = prefix ? strlen(prefix) : 0;
    group->names = nft_allocate_array((size_t)network->space->tensor_count, sizeof *group->names);
    if (!group->names)
        return nft_fail_memory("a table of names", network->space->tensor_count);
    for (int64_t t = 0; t < network->space->tensor_count; t++) {
        const char *name =
            network->space->layer_count ? network->names[t] + length : network->space->tensors[t].name;
        group->names[t] = nft_copy_text(name);
        if (!group->names[t])
            return nft_fail_memory("a tensor's name", (int64_t)strlen(name));
    }
    return NFT_OK;
}

static nft_status add_group(nft_collection *collection, uint64_t hash, const nft_network *network,
                            const nft_file *file)
{
    nft_status status = make_slots(collection);
    if (!status)
        status = nft_grow(&collection->groups, collection->group_count + 1, &collection->group_capacity,
                          sizeof *collection->groups, "a table of spaces", 0);
    if (status)
        return status;
    nft_group *group = &collection->groups[collection->group_count];
    *group =
        (nft_group){.space = nft_space_retain(network->space), .hash = hash, .kind = collection->group_count};
    collection->group_count++;
    put_in_slot(collection, collection->group_count - 1);
    for (int64_t i = 0; i < file->metadata_count && !status; i++)
        if (is_kept(file->metadata[i].key))
            status = nft_metadata_set(&group->metadata, file->metadata[i].key, file->metadata[i].value);
    return status ? status : copy_names(group, network, collection->options.prefix);
}

static void tell_doubts(nft_collection *collection, const nft_opened *opened)
{
    const nft_network *network = &opened->network;
    const nft_file *file = opened->file;
    if (opened->folds.length && !collection->told_folds)
        nft_log(NFT_LOG_WARNING, "%s: %s", file->path, opened->folds.data);
    if (network->note && !collection->told_order)
        nft_log(NFT_LOG_WARNING, "%s: %s", file->path, network->note);
    if (network->doubt && !collection->told_doubt)
        nft_log(NFT_LOG_WARNING, "%s: %s", file->path, network->doubt);
    collection->told_folds |= opened->folds.length > 0;
    collection->told_order |= network->note != NULL;
    collection->told_doubt |= network->doubt != NULL;
}

static nft_status join_group(nft_collection *collection, int64_t index, const nft_opened *opened)
{
    const nft_network *network = &opened->network;
    uint64_t hash = hash_network(network, opened->file);
    nft_status status = make_slots(collection);
    if (status)
        return status;
    nft_group *group = find_group(collection, hash, network, opened->file);
    if (!group) {
        status = add_group(collection, hash, network, opened->file);
        group = status ? NULL : &collection->groups[collection->group_count - 1];
        tell_doubts(collection, opened);
    }
    if (!status)
        status = nft_grow(&group->members, group->member_count + 1, &group->member_capacity,
                          sizeof *group->members, "a list of networks", 0);
    if (status)
        return status;
    group->members[group->member_count++] = index;
    group->networks += collection->items[index].networks;
    collection->items[index].group = group - collection->groups;
    return NFT_OK;
}

/* --- tensors that are not read --- */

static nft_status count_unread(nft_collection *collection, const char *name, bool is_float)
{
    const char *dot = strrchr(name, '.'), *kind = dot ? dot + 1 : name;
    for (int64_t i = 0; i < collection->unread_count; i++)
        if (!strcmp(collection->unread[i].kind, kind) && collection->unread[i].is_float == is_float) {
            collection->unread[i].count++;
            return NFT_OK;
        }
    nft_status status =
        nft_grow(&collection->unread, collection->unread_count + 1, &collection->unread_capacity,
                 sizeof *collection->unread, "a list of tensors", 0);
    if (status)
        return status;
    collection->unread[collection->unread_count] = (nft_unread){nft_copy_text(kind), 1, is_float};
    if (!collection->unread[collection->unread_count].kind)
        return nft_fail_memory("a name", (int64_t)strlen(kind));
    collection->unread_count++;
    return NFT_OK;
}

static bool is_label(const nft_collection *collection, const char *name)
{
    bool in_file = collection->source == NFT_LABELS_NONE || collection->source == NFT_LABELS_KEY;
    for (int64_t i = 0; in_file && i < collection->column_count; i++)
        if (!strcmp(collection->columns[i].path, name))
            return true;
    return false;
}

static nft_status list_unread(nft_collection *collection, const nft_opened *opened)
{
    const nft_file *file = opened->file;
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < file->entry_count && !status; i++) {
        const nft_entry *entry = &file->entries[i];
        if (!opened->network.used[i] && !is_label(collection, entry->name) &&
            strcmp(entry->name, NFT_FILE_NAMES) != 0)
            status = count_unread(collection, entry->name, nft_type_is_float(entry->type));
    }
    for (int64_t i = 0; i < file->left_out_count && !status; i++)
        status = count_unread(collection, file->left_out[i].name, true);
    return status;
}

static void tell_unread(const nft_collection *collection)
{
    nft_text list = {0};
    int64_t count = 0;
    bool is_float = false;
    for (int64_t i = 0; i < collection->unread_count; i++) {
        const nft_unread *unread = &collection->unread[i];
        if (i < 8)
            nft_text_append(&list, "%s%" PRId64 " '%s'", i ? ", " : "", unread->count, unread->kind);
        count += unread->count;
        is_float |= unread->is_float;
    }
    if (count && !list.failed)
        nft_log(is_float ? NFT_LOG_WARNING : NFT_LOG_INFO,
                "%" PRId64 " tensors belong to no network and are not read: %s%s", count, list.data,
                collection->unread_count > 8 ? ", …" : "");
    nft_text_clear(&list);
}

/* --- the pass --- */

static nft_status add_file(nft_collection *collection, int64_t index)
{
    nft_collected *item = &collection->items[index];
    nft_opened opened = {0};
    nft_status status = nft_collection_open(&opened, collection, item->path);
    if (!status) {
        item->networks = opened.network.count;
        status = item->networks
                     ? nft_collection_label(collection, item, opened.file, &opened.network, opened.sidecar)
                     : nft_fail(NFT_ERROR_FORMAT, "it holds no networks");
        if (status)
            nft_fail_in(status, "%s", item->path);
    }
    if (!status)
        status = list_unread(collection, &opened);
    if (!status)
        status = join_group(collection, index, &opened);
    nft_opened_close(&opened);
    return status;
}

nft_status nft_collection_group(nft_collection *collection)
{
    nft_status status = NFT_OK;
    collection->items = nft_allocate_array((size_t)collection->paths.count, sizeof *collection->items);
    if (!collection->items)
        return nft_fail_memory("a list of networks",
                               collection->paths.count * (int64_t)sizeof(nft_collected));
    collection->item_count = collection->item_capacity = collection->paths.count;
    for (int64_t i = 0; i < collection->paths.count; i++)
        collection->items[i] = (nft_collected){.path = collection->paths.items[i], .group = -1};
    for (int64_t i = 0; i < collection->paths.count && !status; i++) {
        status = add_file(collection, i);
        if (status)
            status = nft_collection_leave_out(collection, &collection->items[i], status);
        if (!status)
            status = nft_collection_step(collection);
    }
    if (!status)
        tell_unread(collection);
    collection->name_bytes = nft_names_bytes(collection);
    return status ? status : nft_collection_type_columns(collection);
}
