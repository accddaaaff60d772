#include "io/network.h"
#include "io/adapt.h"
#include "io/families/families.h"
#include "io/incomplete.h"
#include "io/sidecar.h"
#include "base/nearest.h"
#include "io/formats/format.h"
#include "io/graph/graph.h"
#include "space/metadata.h"
#include "space/weights.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SHAPE_CAPACITY 192
#define PIECE 4096 /* floats that are read at once where a slice's runs are short */

nft_status nft_check_float_entry(const nft_entry *entry)
{
    if (nft_type_is_float(entry->type))
        return NFT_OK;
    return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' is %s, expected F32, F16, BF16 or F64", entry->name,
                    nft_type_name(entry->type));
}

nft_status nft_network_allocate(nft_network *network, const nft_space *space, const nft_file *file)
{
    size_t count = (size_t)space->tensor_count;
    network->space = nft_space_retain(space);
    network->entries = nft_allocate_array(count, sizeof *network->entries);
    network->names = nft_allocate_array(count, sizeof *network->names);
    if (!network->used)
        network->used = nft_allocate_array((size_t)file->entry_count, sizeof *network->used);
    if (network->entries && network->names && network->used)
        return NFT_OK;
    return nft_fail_memory("a table of tensors", (int64_t)(count * sizeof *network->entries));
}

/* A tensor that is not there, with the name of the file's that it may be. */
static nft_status fail_missing(const nft_file *file, const char *name, const nft_space *space,
                               const nft_tensor *tensor)
{
    int count = file->entry_count < INT_MAX ? (int)file->entry_count : INT_MAX;
    const char **names = nft_allocate_array((size_t)count, sizeof *names);
    if (!names)
        return nft_fail_memory("a table of names", count * (int64_t)sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = file->entries[i].name;
    int nearest = nft_nearest(name, names, count);
    char shape[SHAPE_CAPACITY];
    nft_tensor_describe(space, tensor, shape, sizeof shape);
    nft_status status = nft_fail(NFT_ERROR_FORMAT, "tensor '%s' %s of the space is not there%s%s%s", name,
                                 shape, nearest < 0 ? "" : "; did you mean '",
                                 nearest < 0 ? "" : names[nearest], nearest < 0 ? "" : "'?");
    nft_release(names);
    return status;
}

/* The rank of the first tensor that is there decides: one network, a stack or features. */
static nft_status find_leading(nft_network *network, const nft_entry *entry,
                               const nft_stored_tensor *expected)
{
    int64_t leading = entry->rank - expected->rank;
    if (leading < 0 || leading > 2) {
        char found[SHAPE_CAPACITY], shape[SHAPE_CAPACITY];
        nft_shape_describe(entry->shape, entry->rank, found, sizeof found);
        nft_shape_describe(expected->shape, expected->rank, shape, sizeof shape);
        return nft_fail(NFT_ERROR_FORMAT,
                        "tensor '%s' has shape %s, expected %s; or N before that for a stack, or N, C for "
                        "features",
                        entry->name, found, shape);
    }
    network->rank = leading + 1;
    network->count = leading > 0 ? entry->shape[0] : 1;
    network->channels = leading > 1 ? entry->shape[1] : 1;
    if (network->channels >= 1 && network->channels <= INT32_MAX)
        return NFT_OK;
    return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' has %" PRId64 " channels, expected 1 … %d", entry->name,
                    network->channels, INT32_MAX);
}

static nft_status check_shape(const nft_network *network, const nft_entry *entry,
                              const nft_stored_tensor *expected, const nft_tensor *part)
{
    int64_t leading = network->rank - 1, rank = leading + expected->rank;
    int64_t shape[2 + NFT_ARRAY_MAX_RANK] = {network->count};
    if (leading > 1)
        shape[1] = network->channels;
    memcpy(shape + leading, expected->shape, (size_t)expected->rank * sizeof *shape);
    if (entry->rank == rank && !memcmp(entry->shape, shape, (size_t)rank * sizeof *shape))
        return nft_check_float_entry(entry);
    char found[SHAPE_CAPACITY], numbers[SHAPE_CAPACITY], axes[SHAPE_CAPACITY];
    nft_shape_describe(entry->shape, entry->rank, found, sizeof found);
    nft_shape_describe(shape, rank, numbers, sizeof numbers);
    nft_tensor_describe(network->space, part, axes, sizeof axes);
    return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' has shape %s, expected %s: %s %s%s", entry->name, found,
                    numbers, part->from ? "its parts are like" : "it is", axes,
                    leading == 0   ? " of one network"
                    : leading == 1 ? " behind N networks"
                                   : " behind N networks and C channels");
}

static nft_status match_item(nft_network *network, const nft_file *file, const nft_stored_tensor *item,
                             const int64_t *parts)
{
    const nft_tensor *first = &network->space->tensors[parts[0]];
    const char *name = first->from ? first->from : network->names[parts[0]];
    const nft_entry *entry = nft_file_find(file, name);
    if (!entry) {
        bool bias = network->space->layer_count && parts[0] % 2;
        return bias ? NFT_OK : fail_missing(file, name, network->space, first);
    }
    network->used[entry - file->entries] = true;
    nft_status status = network->rank ? NFT_OK : find_leading(network, entry, item);
    if (!status)
        status = check_shape(network, entry, item, first);
    for (int64_t i = 0; i < item->parts; i++)
        network->entries[parts[i]] = entry;
    return status;
}

nft_status nft_network_match(nft_network *network, const nft_file *file)
{
    nft_stored_tensors table = {0};
    nft_status status = nft_stored_tensors_find(&table, network->space);
    network->rank = 0;
    for (int64_t i = 0; i < table.count && !status; i++)
        status = match_item(network, file, &table.items[i], table.order + table.items[i].first);
    network->slices = table.slices;
    table.slices = NULL;
    nft_stored_tensors_clear(&table);
    return status;
}

/* By the names of the space. Layers that it does not have belong to a network, too. */
static nft_status find_by_name(nft_network *network, const nft_file *file, const nft_space *space,
                               const char *prefix)
{
    nft_status status = nft_network_allocate(network, space, file);
    if (!status)
        status = nft_network_mark_layers(network, file);
    for (int64_t t = 0; t < space->tensor_count && !status; t++) {
        nft_text name = {0};
        nft_text_append(&name, "%s%s", prefix, space->tensors[t].name);
        network->names[t] = name.data;
        if (name.failed)
            status = nft_fail_memory("a tensor's name", (int64_t)strlen(space->tensors[t].name));
    }
    return status ? status : nft_network_match(network, file);
}

/* Whether the file has all weights of a chain under the space's own names. */
static bool has_own_names(const nft_file *file, const nft_space *space)
{
    for (int64_t t = 0; t < space->tensor_count; t += 2)
        if (!nft_file_find(file, space->tensors[t].name))
            return false;
    return true;
}

/* By the names that everybody's networks have, or else a chain. */
static nft_status find_by_family(nft_network *network, const nft_file *file, const nft_load_options *options)
{
    const char *prefix = options->prefix ? options->prefix : "";
    nft_space *space = NULL;
    char *found = NULL;
    nft_status status = options->layers ? NFT_OK : nft_find_family(&space, &found, file, prefix);
    if (!status && !space && !options->layers) {
        status = nft_refuse_incomplete_layers(file, prefix);
        if (!status)
            status = nft_find_sequential(&space, file, prefix);
    }
    if (!status)
        status = space ? find_by_name(network, file, space, found ? found : prefix)
                       : nft_network_find_chain(network, file, NULL, options);
    nft_space_free(space);
    nft_release(found);
    return status;
}

static nft_status find(nft_network *network, const nft_file *file, const nft_space *space,
                       const nft_load_options *options)
{
    const char *prefix = options->prefix ? options->prefix : "";
    if (!space)
        return find_by_family(network, file, options);
    if (space->layer_count && (options->layers || *prefix || !has_own_names(file, space)))
        return nft_network_find_chain(network, file, space, options);
    if (options->layers)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "layers are named, but the networks are no chain of layers: their "
                        "space has tensors and axes; leave nft_load_options.layers NULL");
    return find_by_name(network, file, space, prefix);
}

/* A chain that a file describes by tensors, in an order that its names do not have, is a chain to those who
 * need layers. */
static nft_status take_chain(nft_network *network)
{
    nft_space *chain = NULL;
    nft_status status = network->space->layer_count ? NFT_OK : nft_space_as_chain(&chain, network->space);
    if (!chain)
        return status;
    nft_space_free(network->space);
    network->space = chain;
    return NFT_OK;
}

/* The space that the file describes: in its metadata, or as the graph of a model. NULL if it does not. */
static nft_status find_own(nft_space **own, const nft_file *file)
{
    const char *text = nft_file_metadata(file, NFT_SPACE_KEY);
    if (!text)
        return file->format == &nft_format_onnx ? nft_graph_space(own, file, NULL) : NFT_OK;
    nft_status status = nft_space_parse(own, text, strlen(text));
    if (status)
        nft_fail_in(status == NFT_ERROR_CONFIG ? NFT_ERROR_FORMAT : status,
                    "'" NFT_SPACE_KEY "' of its metadata");
    return status == NFT_ERROR_CONFIG ? NFT_ERROR_FORMAT : status;
}

/* Whether a tensor that is not read may be a part of the networks. Names with a dot are those of modules; a
 * label has none. */
static bool may_belong(const nft_entry *entry, const nft_load_options *options)
{
    const char *dot = strrchr(entry->name, '.'), *kind = dot ? dot + 1 : entry->name;
    if (!nft_type_is_float(entry->type) || !entry->rank)
        return false;
    if (!strcmp(kind, "running_mean") || !strcmp(kind, "running_var"))
        return true;
    if (options->layers || options->prefix)
        return false;
    return dot || strstr(kind, "weight") || strstr(kind, "bias");
}

/* A space says which tensors the networks have; names of layers do not. */
static void find_outsider(nft_network *network, const nft_file *file, const nft_load_options *options,
                          bool is_described)
{
    if (is_described)
        return;
    for (int64_t i = 0; i < file->entry_count && !network->outsider; i++)
        if (!network->used[i] && may_belong(&file->entries[i], options))
            network->outsider = &file->entries[i];
}

nft_status nft_network_described(nft_space **space, bool *by_sidecar, const nft_file *file,
                                 const nft_load_options *options)
{
    nft_status status = NFT_OK;
    *space = NULL;
    if (!options->space && !(options->layers && file->format == &nft_format_onnx))
        status = find_own(space, file);
    bool is_alone = status || *space || options->space || options->layers || !strcmp(file->path, "memory");
    if (!is_alone)
        status = nft_sidecar_space(space, file->path);
    *by_sidecar = !is_alone && *space;
    return status;
}

nft_status nft_network_find(nft_network *network, nft_file *file, const nft_load_options *options)
{
    nft_space *described = NULL;
    bool by_sidecar = false;
    nft_load_options with = *options;
    *network = (nft_network){0};
    nft_status status = nft_network_described(&described, &by_sidecar, file, options);
    with.space = options->space ? options->space : described;
    if (!status)
        status = nft_file_adapt(file, &with);
    if (!status)
        status = find(network, file, with.space, options);
    if (!status && !options->space && with.space)
        status = take_chain(network);
    if (!status)
        find_outsider(network, file, options,
                      options->space || by_sidecar || nft_file_metadata(file, NFT_SPACE_KEY));
    network->origin = by_sidecar         ? "its space is that of its sidecar"
                      : file->is_stacked ? "several alike networks are read as a stack; a prefix chooses one"
                                         : NULL;
    nft_space_free(described);
    if (status && status != NFT_ERROR_MEMORY && nft_file_metadata(file, NFT_CONFIG_KEY))
        return nft_fail(status, "this is a model file, expected networks");
    return status;
}

void nft_network_clear(nft_network *network)
{
    for (int64_t t = 0; network->names && t < network->space->tensor_count; t++)
        nft_release(network->names[t]);
    nft_release(network->names);
    nft_release(network->entries);
    nft_release(network->slices);
    nft_release(network->used);
    nft_release(network->note);
    nft_release(network->doubt);
    nft_space_free(network->space);
    *network = (nft_network){0};
}

void nft_network_tell(const nft_network *network, const nft_file *file)
{
    if (network->origin)
        nft_log(NFT_LOG_INFO, "%s: %s", file->path, network->origin);
    if (network->note)
        nft_log(NFT_LOG_WARNING, "%s: %s", file->path, network->note);
    if (network->doubt)
        nft_log(NFT_LOG_WARNING, "%s: %s", file->path, network->doubt);
}

nft_status nft_weights_note_doubts(nft_weights *weights, const nft_network *network)
{
    const char *outsider = network->outsider ? network->outsider->name : NULL;
    weights->outsider = outsider ? nft_copy_text(outsider) : NULL;
    if (outsider && !weights->outsider)
        return nft_fail_memory("a tensor's name", (int64_t)strlen(outsider));
    weights->doubt = network->doubt ? nft_copy_text(network->doubt) : NULL;
    return network->doubt && !weights->doubt ? nft_fail_memory("a note", (int64_t)strlen(network->doubt))
                                             : NFT_OK;
}

nft_status nft_entry_again(const nft_entry **again, const nft_file *file, const nft_entry *entry)
{
    const nft_entry *found = nft_file_find(file, entry->name);
    *again = found;
    if (found && found->type == entry->type && found->rank == entry->rank &&
        !memcmp(found->shape, entry->shape, (size_t)entry->rank * sizeof *entry->shape))
        return NFT_OK;
    return nft_fail(NFT_ERROR_FORMAT, "tensor '%s' is not as it was when the file was opened first",
                    entry->name);
}

/* Runs that are close together are read at once, with the numbers between them. */
static nft_status read_slice(const nft_file *file, const nft_entry *entry, const nft_slice *slice,
                             int64_t first, int64_t count, float *out)
{
    float buffer[PIECE];
    int64_t together = PIECE / slice->stride;
    nft_status status = NFT_OK;
    if (!together)
        for (int64_t i = 0; i < count && !status; i++)
            status = nft_file_read_f32(file, entry, (first + i) * slice->stride + slice->start, slice->run,
                                       out + i * slice->run);
    for (int64_t i = 0; together && i < count && !status; i += together) {
        int64_t now = count - i < together ? count - i : together;
        status = nft_file_read_f32(file, entry, (first + i) * slice->stride + slice->start,
                                   (now - 1) * slice->stride + slice->run, buffer);
        for (int64_t k = 0; k < now && !status; k++)
            memcpy(out + (i + k) * slice->run, buffer + k * slice->stride, (size_t)slice->run * sizeof *out);
    }
    return status;
}

nft_status nft_network_read(const nft_network *network, const nft_file *file, int64_t tensor, int64_t first,
                            int64_t count, float *out)
{
    const nft_slice *slice = &network->slices[tensor];
    int64_t runs = network->channels * slice->runs;
    const nft_entry *entry = NULL;
    if (!count)
        return NFT_OK;
    if (!network->entries[tensor]) {
        memset(out, 0, (size_t)(count * runs * slice->run) * sizeof *out);
        return NFT_OK;
    }
    nft_status status = nft_entry_again(&entry, file, network->entries[tensor]);
    if (status)
        return status;
    if (slice->run == slice->stride)
        return nft_file_read_f32(file, entry, first * runs * slice->run, count * runs * slice->run, out);
    return read_slice(file, entry, slice, first * runs, count * runs, out);
}
