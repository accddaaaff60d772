/* A collection becomes several data sets: each network belongs to one of them. */
#define _POSIX_C_SOURCE 200809L
#include "base/random.h"
#include "io/collect/collect.h"
#include "space/space.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
static const char *const endings[] = {".safetensors", ".json"};

/* --- the sets --- */

static nft_status check_set(const nft_collect_options *options, int64_t set)
{
    const char *name = options->sets[set];
    if (!name || !name[0] || name[strspn(name, letters)])
        return nft_fail(NFT_ERROR_ARGUMENT, "set '%s': a name has letters, digits, - and _",
                        name ? name : "");
    if (!strcmp(name, "train"))
        return nft_fail(NFT_ERROR_ARGUMENT, "set 'train' has the networks that are left, and no share");
    for (int64_t i = 0; i < set; i++)
        if (!strcmp(name, options->sets[i]))
            return nft_fail(NFT_ERROR_ARGUMENT, "set '%s' is there twice", name);
    return options->shares[set] > 0 && options->shares[set] < 1
               ? NFT_OK
               : nft_fail(NFT_ERROR_ARGUMENT,
                          "set '%s' has the share %g, expected more than 0 and less than 1", name,
                          options->shares[set]);
}

static nft_status check_sets(const nft_collect_options *options)
{
    nft_status status = NFT_OK;
    double sum = 0;
    if (options->set_count < 0 || options->set_count >= NFT_COLLECT_MOST_SETS)
        return nft_fail(NFT_ERROR_ARGUMENT, "%" PRId64 " sets are given, expected at most %d",
                        options->set_count, NFT_COLLECT_MOST_SETS - 1);
    if (options->set_count && (!options->sets || !options->shares))
        return nft_fail_null("nft_collect", options->sets ? "options->shares" : "options->sets");
    for (int64_t i = 0; i < options->set_count && !status; i++) {
        status = check_set(options, i);
        sum += options->shares[i];
    }
    if (!status && !(sum < 1))
        status =
            nft_fail(NFT_ERROR_ARGUMENT, "the shares of the sets are %g together, expected less than 1", sum);
    return status;
}

/* "zoo.json" of the set "test" is "zoo-test.json". */
static char *name_output(const char *output, const char *set)
{
    nft_text path = {0};
    size_t stem = strlen(output);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t end = strlen(endings[i]);
        if (strlen(output) > end && !strcmp(output + strlen(output) - end, endings[i]))
            stem = strlen(output) - end;
    }
    nft_text_append(&path, "%.*s-%s%s", (int)stem, output, set, output + stem);
    if (!path.failed)
        return path.data;
    nft_text_clear(&path);
    return NULL;
}

nft_status nft_collection_name_outputs(nft_collection *collection, const char *output)
{
    const nft_collect_options *options = &collection->options;
    nft_status status = check_sets(options);
    if (status)
        return status;
    for (int64_t set = 0; set <= options->set_count; set++) {
        collection->outputs[set] = options->set_count
                                       ? name_output(output, set ? options->sets[set - 1] : "train")
                                       : nft_copy_text(output);
        if (!collection->outputs[set])
            return nft_fail_memory("a path", (int64_t)strlen(output));
        collection->set_count++;
    }
    return NFT_OK;
}

/* --- networks and their sets --- */

/* The set of each network, in the order of the files. */
typedef struct assignment {
    int64_t *sets;   /* 0: the training set */
    int64_t *firsts; /* number of the first network of each file */
    int64_t count;
} assignment;

static void clear_assignment(assignment *assigned)
{
    nft_release(assigned->sets);
    nft_release(assigned->firsts);
}

static nft_status count_networks(assignment *assigned, const nft_collection *collection)
{
    assigned->firsts = nft_allocate_array((size_t)collection->item_count, sizeof *assigned->firsts);
    if (!assigned->firsts)
        return nft_fail_memory("a list of networks", collection->item_count * (int64_t)sizeof(int64_t));
    for (int64_t k = 0; k < collection->item_count; k++) {
        assigned->firsts[k] = assigned->count;
        assigned->count += collection->items[k].group < 0 ? 0 : collection->items[k].networks;
    }
    assigned->sets = nft_allocate_array((size_t)assigned->count, sizeof *assigned->sets);
    return assigned->sets ? NFT_OK
                          : nft_fail_memory("a list of networks", assigned->count * (int64_t)sizeof(int64_t));
}

/* Deals the sets to places in order, then shuffles the places (Fisher and Yates). */
static nft_status assign(assignment *assigned, const nft_collect_options *options)
{
    const nft_random random = {options->seed, nft_random_stream("split")};
    int64_t place = 0, count = assigned->count;
    for (int64_t set = 0; set < options->set_count; set++) {
        int64_t share = (int64_t)floor(options->shares[set] * (double)count + 0.5);
        if (share < 1 || share >= count - place)
            return nft_fail(NFT_ERROR_ARGUMENT,
                            "set '%s' would have %" PRId64 " of %" PRId64
                            " networks: each set, the training set too, needs one",
                            options->sets[set], share, count);
        for (int64_t i = 0; i < share; i++)
            assigned->sets[place++] = set + 1;
    }
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t other = (int64_t)nft_random_below(&random, (uint64_t)i, (uint64_t)i + 1);
        int64_t set = assigned->sets[i];
        assigned->sets[i] = assigned->sets[other];
        assigned->sets[other] = set;
    }
    return NFT_OK;
}

/* --- files of several networks --- */

static nft_status choose_values(nft_value *chosen, const nft_value *value, const int64_t *places,
                                int64_t count, int64_t networks)
{
    int64_t width = value->length / networks;
    if (value->kind != NFT_VALUE_LIST)
        return nft_value_copy(chosen, value);
    double *list = nft_allocate_array((size_t)nft_size_multiply(count, width), sizeof *list);
    if (!list)
        return nft_fail_memory("labels", nft_size_multiply(count, width * (int64_t)sizeof *list));
    for (int64_t i = 0; i < count; i++)
        memcpy(list + i * width, value->list + places[i] * width, (size_t)width * sizeof *list);
    *chosen = (nft_value){.kind = NFT_VALUE_LIST, .is_real = value->is_real, .list = list};
    chosen->length = count * width;
    return NFT_OK;
}

/* The networks at `places` of file k become another item, which has them alone. */
static nft_status add_item(nft_collection *collection, int64_t k, const int64_t *places, int64_t count)
{
    nft_status status = nft_grow(&collection->items, collection->item_count + 1, &collection->item_capacity,
                                 sizeof *collection->items, "a list of networks", 0);
    if (status)
        return status;
    const nft_collected *whole = &collection->items[k];
    nft_collected *part = &collection->items[collection->item_count++];
    *part = (nft_collected){.path = whole->path, .group = whole->group, .networks = count};
    part->rows = nft_allocate_array((size_t)count, sizeof *part->rows);
    part->values = nft_allocate_array((size_t)collection->column_count, sizeof *part->values);
    if (!part->rows || !part->values)
        return nft_fail_memory("a list of networks", count * (int64_t)sizeof *part->rows);
    for (int64_t i = 0; i < count; i++)
        part->rows[i] = whole->rows ? whole->rows[places[i]] : places[i];
    for (int64_t c = 0; c < collection->column_count && !status; c++)
        status = choose_values(&part->values[c], &whole->values[c], places, count, whole->networks);
    return status;
}

/* The item with the networks of file k that are in the set; -1: there are none. */
static nft_status choose_networks(int64_t *item, nft_collection *collection, const assignment *assigned,
                                  int64_t k, int64_t set)
{
    int64_t networks = collection->items[k].networks, count = 0;
    int64_t *places = nft_allocate_array((size_t)networks, sizeof *places);
    if (!places)
        return nft_fail_memory("a list of networks", networks * (int64_t)sizeof *places);
    for (int64_t i = 0; i < networks; i++)
        if (assigned->sets[assigned->firsts[k] + i] == set)
            places[count++] = i;
    nft_status status = NFT_OK;
    *item = count == networks ? k : count ? collection->item_count : -1;
    if (count && count < networks)
        status = add_item(collection, k, places, count);
    nft_release(places);
    return status;
}

/* --- groups --- */

static nft_status copy_group(nft_group *copy, const nft_group *group, int64_t set)
{
    *copy = (nft_group){
        .space = nft_space_retain(group->space), .hash = group->hash, .set = set, .kind = group->kind};
    copy->names = nft_allocate_array((size_t)group->space->tensor_count, sizeof *copy->names);
    if (!copy->names)
        return nft_fail_memory("a table of names", group->space->tensor_count);
    for (int64_t t = 0; t < group->space->tensor_count; t++) {
        copy->names[t] = nft_copy_text(group->names[t]);
        if (!copy->names[t])
            return nft_fail_memory("a tensor's name", (int64_t)strlen(group->names[t]));
    }
    return nft_metadata_add_all(&copy->metadata, &group->metadata);
}

/* The networks of a group that are in the set. */
static nft_status fill_group(nft_collection *collection, nft_group *copy, const nft_group *group,
                             const assignment *assigned)
{
    nft_status status = NFT_OK;
    for (int64_t m = 0; m < group->member_count && !status; m++) {
        int64_t item = -1;
        status = choose_networks(&item, collection, assigned, group->members[m], copy->set);
        if (status || item < 0)
            continue;
        status = nft_grow(&copy->members, copy->member_count + 1, &copy->member_capacity,
                          sizeof *copy->members, "a list of networks", 0);
        if (status)
            continue;
        copy->members[copy->member_count++] = item;
        copy->networks += collection->items[item].networks;
    }
    return status;
}

/* Replaces the groups by those of every set, one set after the other. A space that a set does not have is
 * none of its groups. */
static nft_status split_groups(nft_collection *collection, const assignment *assigned)
{
    int64_t old_count = collection->group_count, count = 0;
    nft_group *old = collection->groups;
    nft_group *groups =
        nft_allocate_array((size_t)nft_size_multiply(old_count, collection->set_count), sizeof *groups);
    if (!groups)
        return nft_fail_memory("a table of spaces", old_count * (int64_t)sizeof *groups);
    nft_status status = NFT_OK;
    for (int64_t set = 0; set < collection->set_count && !status; set++)
        for (int64_t g = 0; g < old_count && !status; g++) {
            nft_group *copy = &groups[count];
            status = copy_group(copy, &old[g], set);
            if (!status)
                status = fill_group(collection, copy, &old[g], assigned);
            if (status || copy->member_count)
                count++;
            else
                nft_group_clear(copy);
        }
    for (int64_t g = 0; g < old_count; g++)
        nft_group_clear(&old[g]);
    nft_release(old);
    collection->groups = groups;
    collection->group_count = collection->group_capacity = count;
    return status;
}

nft_status nft_collection_split(nft_collection *collection)
{
    assignment assigned = {0};
    nft_status status = count_networks(&assigned, collection);
    if (!status)
        status = assign(&assigned, &collection->options);
    if (!status)
        status = split_groups(collection, &assigned);
    clear_assignment(&assigned);
    return status;
}
